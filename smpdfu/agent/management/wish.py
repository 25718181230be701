"""What a person wants at the server: names, and a rollout in groups. Checked before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# Bounds of hawkBit: NamedEntity, NamedVersionedEntity, Type, TargetFilterQuery, and its quota of groups.
MAX_NAME = 128
MAX_VERSION = 64
MAX_TYPE = 64
MAX_QUERY = 1024
MAX_GROUPS = 500
_NOT_IN_NAMES = '"\\*<>'
"""Quotes, backslash and star mean something in a query, the brackets are refused by hawkBit as HTML."""


class ActionKind(StrEnum):
    """How urgent an update is for the devices: hawkBit's words for the type of an action."""

    FORCED = "forced"
    SOFT = "soft"
    DOWNLOAD_ONLY = "downloadonly"


@dataclass(frozen=True, slots=True)
class RolloutWish:
    """A rollout: ``targets`` is hawkBit's query of the devices, which the server divides into ``groups``.

    The next group starts when ``success_percent`` of a group have succeeded. The rollout pauses when more than
    ``error_percent`` of a group have failed.
    """

    name: str
    targets: str
    groups: int = 1
    success_percent: int = 100
    error_percent: int = 10
    action: ActionKind = ActionKind.FORCED
    start: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for what hawkBit cannot have."""
        checked_name(self.name, "the name of the rollout")
        if not 1 <= len(self.targets) <= MAX_QUERY or not self.targets.isprintable():
            raise ValueError(f"the query of the targets must have 1 to {MAX_QUERY} printable characters")
        if not 1 <= self.groups <= MAX_GROUPS:
            raise ValueError(f"a rollout has 1 to {MAX_GROUPS} groups, not {self.groups}")
        if not 1 <= self.success_percent <= 100:
            raise ValueError(f"the success threshold is 1 to 100 percent, not {self.success_percent}")
        if not 0 <= self.error_percent <= 100:
            raise ValueError(f"the error threshold is 0 to 100 percent, not {self.error_percent}")


def checked_name(text: str, what: str, most: int = MAX_NAME) -> str:
    """Return a name or version that the server can keep and find again. Raises ValueError with ``what`` it is."""
    if not 1 <= len(text) <= most or text != text.strip() or not text.isprintable():
        raise ValueError(f"{what} must have 1 to {most} printable characters, without blanks around them")
    bad = sorted(set(text) & set(_NOT_IN_NAMES))
    if bad:
        raise ValueError(f"{what} must not have {' '.join(bad)}")
    return text
