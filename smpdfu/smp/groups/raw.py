"""Any command of any group, as a map: for vendor groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from smpdfu.smp.groups import find_request
from smpdfu.smp.message import Op, Request, Response


@dataclass(frozen=True, slots=True)
class RawReply(Response):
    """The whole map of an answer, unchanged."""

    entries: dict[object, object]

    def to_map(self) -> dict[str, object]:
        """Return the map. Raises ValueError for a key that is not text."""
        return _texts(self.entries)

    @classmethod
    def from_map(cls, entries: Mapping[Any, object]) -> Self:
        """Keep the map unchanged."""
        return cls(dict(entries))


@dataclass(frozen=True, slots=True)
class RawRequest(Request[RawReply]):
    """Any command, for vendor groups. ``payload`` is the map to send.

    Raises ValueError for a number that SMP does not have, or for an operation that is not a request.
    """

    response: ClassVar[type[Response]] = RawReply

    group: int  # type: ignore[misc]  # a fact of the class for all other requests
    command: int  # type: ignore[misc]  # the same
    op: Op = Op.READ  # type: ignore[misc]  # the same
    payload: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (0 <= self.group <= 0xFFFF and 0 <= self.command <= 0xFF and self.op in (Op.READ, Op.WRITE)):
            raise ValueError(f"there is no request {self.op!r} of group {self.group}, command {self.command} in SMP")

    @property
    def title(self) -> str:  # type: ignore[override]  # the same
        """The name for people."""
        known = find_request(self.op, self.group, self.command)
        return known.title if known is not None else f"group {self.group} command {self.command}"

    def to_map(self) -> dict[str, object]:
        """Return the payload. Raises ValueError for a key that is not text."""
        return _texts(self.payload)

    def __hash__(self) -> int:
        return hash((self.group, self.command, self.op))


def _texts(entries: Mapping[Any, object]) -> dict[str, object]:
    if not all(isinstance(name, str) for name in entries):
        raise ValueError("every key of an SMP body must be text")
    return dict(entries)
