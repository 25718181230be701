"""The console text of a boot: what a device prints from a reset until it answers again.

    phase    begins with                               text in it                              ends with
    -------  ----------------------------------------  --------------------------------------  ----------------------
    IDLE                                               is nobody's                             a reset is asked for
    ASKED    the request to reset                      counts if the answer was lost           its answer
    BOOTING  the answer to it                          is the boot's                           the first answer to a
                                                                                               later request

What the application prints before it answers may be among it: ``smpdfu.loaders.console`` tells which lines are the
bootloader's.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from smpdfu.errors import DeviceError, RemoteProtocolError
from smpdfu.loaders.console import MAX_TEXT, begins_boot, plain
from smpdfu.smp.message import Response


class Phase(Enum):
    """See the table above."""

    IDLE = "idle"
    ASKED = "asked"
    BOOTING = "booting"


class BootText:
    """Collects the text of the last boot. ``text`` has whole lines, without colour codes, 64 KiB at most.

    Where there is more, the bootloader's lines are kept: what was said before it begins goes first, then the newest.
    """

    def __init__(self) -> None:
        self.phase = Phase.IDLE
        self._lines: deque[str] = deque()
        self._size = 0
        self._before: int | None = None  # lines that stand before the bootloader's first one

    @property
    def text(self) -> str:
        """What was kept."""
        return "".join(self._lines)

    @property
    def count(self) -> int:
        """How many lines were kept."""
        return len(self._lines)

    def reset_asked(self) -> None:
        """A request to reset is about to leave: what was kept is of another boot."""
        self._clear()
        self.phase = Phase.ASKED

    def reset_answered(self, outcome: Response | DeviceError | RemoteProtocolError) -> None:
        """The answer to it has come: the boot begins now. A refusal ends it; an unreadable answer tells nothing."""
        if self.phase is Phase.ASKED and not isinstance(outcome, RemoteProtocolError):
            self._clear()  # the application has printed that
            self.phase = Phase.BOOTING if isinstance(outcome, Response) else Phase.IDLE

    def end(self) -> None:
        """The device has answered, or nobody listens any more: the text is whole."""
        self.phase = Phase.IDLE

    def take(self, text: str) -> bool:
        """Whole lines have come; True if they are kept for sure."""
        if self.phase is Phase.IDLE:
            return False
        for line in plain(text).splitlines(keepends=True):
            self._keep(line)
        return self.phase is Phase.BOOTING

    def _keep(self, line: str) -> None:
        if self._before is None and begins_boot(line.strip()):
            self._before = len(self._lines)
        self._lines.append(line)
        self._size += len(line)
        while self._size > MAX_TEXT:
            if self._before == 0:
                self._size -= len(self._lines.pop())
                continue
            self._size -= len(self._lines.popleft())
            self._before = None if self._before is None else self._before - 1

    def _clear(self) -> None:
        self._lines.clear()
        self._size = 0
        self._before = None
