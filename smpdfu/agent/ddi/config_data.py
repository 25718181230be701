"""What an agent tells of a target: attributes to select targets by, and what was installed without the server.

Source: ``DdiConfigData`` and ``DdiAssignedVersion`` of hawkBit, and its ``JpaControllerManagement`` for the characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from smpdfu.agent.ddi.limits import MAX_ATTRIBUTE, MAX_ATTRIBUTES

# hawkBit answers 400 to a name or a value with any other character, and takes none of the attributes then.
_OTHERS = re.compile(r"[^a-zA-Z0-9_\-!@#$%^&*()+=\[\]{}|;:'\",.<>/\\? ]")
_REPLACED = "?"


class Mode(StrEnum):
    """What the server does with the attributes that it has."""

    MERGE = "merge"
    REPLACE = "replace"
    REMOVE = "remove"


@dataclass(frozen=True)
class ConfigData:
    """Attributes of a target, in a form that hawkBit takes.

    Characters that hawkBit refuses become ``?``, names and values are cut to ``MAX_ATTRIBUTE`` characters. Raises
    ``ValueError`` for no attribute, for more than ``MAX_ATTRIBUTES``, and for names that are empty or alike then.
    """

    data: Mapping[str, str]
    mode: Mode = Mode.MERGE

    def __post_init__(self) -> None:
        if not 0 < len(self.data) <= MAX_ATTRIBUTES:
            raise ValueError(f"{len(self.data)} attributes; a target has 1 to {MAX_ATTRIBUTES}")
        taken = {attribute_text(key): attribute_text(value) for key, value in self.data.items()}
        if len(taken) < len(self.data) or "" in taken:
            raise ValueError("two attributes have one name, or one has none")
        object.__setattr__(self, "data", taken)

    def to_bytes(self) -> bytes:
        """Return the body in JSON; the same attributes give the same bytes."""
        body = {"mode": self.mode.value, "data": dict(sorted(self.data.items()))}
        return json.dumps(body, separators=(",", ":")).encode()


@dataclass(frozen=True)
class AssignedVersion:
    """``PUT installedBase``: the distribution set that was installed without the server."""

    name: str
    version: str

    def to_bytes(self) -> bytes:
        """Return the body in JSON."""
        return json.dumps({"name": self.name, "version": self.version}, separators=(",", ":")).encode()


@dataclass(frozen=True)
class AutoConfirm:
    """``POST activateAutoConfirm``: who switches the server's own confirmation on, and why."""

    initiator: str = ""
    remark: str = ""

    def to_bytes(self) -> bytes:
        """Return the body in JSON."""
        body = {"initiator": self.initiator, "remark": self.remark}
        return json.dumps({key: value for key, value in body.items() if value}, separators=(",", ":")).encode()


def attribute_text(text: str) -> str:
    """Return a text as hawkBit takes it for the name or the value of an attribute."""
    return _OTHERS.sub(_REPLACED, text[:MAX_ATTRIBUTE])
