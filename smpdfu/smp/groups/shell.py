"""Group 9, shell: a command line of the device's shell.

Source: Zephyr, "Shell management" (smp_group_9.rst).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from smpdfu.smp.body import I32
from smpdfu.smp.message import Op, Refusal, Request, Response

GROUP = 9


class ShellRc(IntEnum):
    """Result codes of the shell group."""

    OK = 0
    UNKNOWN = 1
    COMMAND_TOO_LONG = 2
    EMPTY_COMMAND = 3


@dataclass(frozen=True, slots=True)
class ShellReply(Response):
    """The output of the command, and its return value: ``ret``, or ``rc`` from old servers."""

    o: str
    ret: I32 | None = None
    rc: I32 | None = None

    @property
    def value(self) -> int:
        """The command's return value; 0 if the server does not report it."""
        return next((found for found in (self.ret, self.rc) if found is not None), 0)


@dataclass(frozen=True, slots=True)
class ShellExecute(Request[ShellReply]):
    """Run a command with its arguments."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 0
    op: ClassVar[Op] = Op.WRITE
    title: ClassVar[str] = "shell execute"
    response: ClassVar[type[Response]] = ShellReply

    argv: tuple[str, ...]

    @classmethod
    def read_refusal(cls, entries: dict[object, object]) -> Refusal | None:
        """Return the refusal. Next to an output, ``rc`` is the return value of the command and not a refusal."""
        return None if "o" in entries else Refusal.from_map(entries)
