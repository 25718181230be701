"""The console text of a boot: what a device prints from a reset until it answers again.

    phase    begins with                               text in it                              ends with
    -------  ----------------------------------------  --------------------------------------  ----------------------
    IDLE                                               does not count                          a request to reset
    ASKED    the request to reset                      counts if the answer was lost           its answer
    BOOTING  the answer to it                          is the boot's                           the first answer to a
                                                                                               later request

The text may include lines of the application from before its first answer. ``smpdfu.loaders.console`` finds the lines
of the bootloader.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from smpdfu.errors import DeviceError, RemoteProtocolError
from smpdfu.loaders.boot_lines import MAX_TEXT, begins_boot, plain
from smpdfu.smp.message import Response


class Phase(Enum):
    """See the table above."""

    IDLE = "idle"
    ASKED = "asked"
    BOOTING = "booting"


class BootText:
    """Collects the text of the last boot. ``text`` has whole lines without colour codes, at most 64 KiB.

    If there is more, it keeps the bootloader's lines: it drops the lines before them first, then the newest.
    """

    def __init__(self) -> None:
        self.phase = Phase.IDLE
        self._lines: deque[str] = deque()
        self._size = 0
        self._before: int | None = None  # lines that stand before the bootloader's first one

    @property
    def text(self) -> str:
        """The text that was kept."""
        return "".join(self._lines)

    @property
    def count(self) -> int:
        """The number of lines that were kept."""
        return len(self._lines)

    def reset_asked(self) -> None:
        """Note that a request to reset leaves now: the text until now belongs to another boot."""
        self._clear()
        self.phase = Phase.ASKED

    def reset_answered(self, outcome: Response | DeviceError | RemoteProtocolError) -> None:
        """Note the answer to it: the boot begins now. A refusal ends it; an unreadable answer changes nothing."""
        if self.phase is Phase.ASKED and not isinstance(outcome, RemoteProtocolError):
            self._clear()  # the application has printed that
            self.phase = Phase.BOOTING if isinstance(outcome, Response) else Phase.IDLE

    def end(self) -> None:
        """Note that the device answered, or that the link is closed: the text is complete."""
        self.phase = Phase.IDLE

    def take(self, text: str) -> bool:
        """Take whole lines; return True if they certainly belong to the boot."""
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
