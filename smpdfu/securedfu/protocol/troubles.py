"""Counts what goes wrong in a transfer, and decides when it is enough."""

from __future__ import annotations

from smpdfu.errors import DamagedLineError, InconsistentBootloaderError, LinkError, SilentBootloaderError

PATIENCE = 24
"""The troubles in a row that a transfer survives. A page of 4 KiB that passes once in three attempts does pass."""
SILENCE_MAX = 24
"""How much silence in a row is enough: a ping counts 1, for its answer is quick, another request ``REQUEST_COUNTS``."""
SILENCE_AT_THE_END = 8
"""The same after the last Execute, when the device restarts."""
REQUEST_COUNTS = 4
IN_VAIN_MAX = 500
"""Answers that bring nothing forward, until the next object. Each trouble leaves some late ones; care leaves more."""
DROP_COUNTS = 20
"""How many of them an object counts that differs, and is dropped: each time the device erases a page."""
CAREFUL_SIZE = 28
"""A write of so many bytes is a frame of less than 64, whatever the bytes are: some on-board debuggers lose more."""
CARE_AFTER, CARE_FOR = 3, 8
"""After so many troubles in a row, a transfer takes care, until so many objects have passed without trouble."""


class Troubles:
    """What went wrong so far. ``repeats`` and ``damaged`` are as in ``TransferProgress``."""

    def __init__(self) -> None:
        self.repeats = self.damaged = 0
        self._strikes = self._silence = self._care = self._damaged_before = self._in_vain = 0
        self._ever_heard = False

    @property
    def careful(self) -> bool:
        """True while writes should be small, and each should be checked."""
        return self._care > 0

    def heard(self) -> None:
        """Something arrived."""
        self._silence = 0
        self._ever_heard = True

    def progress(self) -> None:
        """An object was executed that was not executed before."""
        if self._strikes == 0:
            self._care = max(0, self._care - 1)
        self._strikes = self._in_vain = 0
        self._damaged_before = self.damaged

    def strike(self) -> bool:
        """Something went wrong; return True if it is enough."""
        self.repeats += 1
        self._strikes += 1
        if self._strikes >= CARE_AFTER:
            self._care = CARE_FOR
        return self._strikes > PATIENCE

    def in_vain(self, counts: int = 1) -> bool:
        """An answer brought nothing forward; return True if it is enough, or a device could keep us for ever."""
        self._in_vain += counts
        return self._in_vain > IN_VAIN_MAX

    def silence(self, *, pinged: bool, ending: bool) -> bool:
        """Nothing was heard in time; return True if it is enough. ``ending``: the last Execute was sent."""
        self._silence += 1 if pinged else REQUEST_COUNTS
        return self._silence >= (SILENCE_AT_THE_END if ending else SILENCE_MAX)

    def error(self, off: int, total: int) -> LinkError:
        """Return the error for a transfer that cannot go on: ``off`` of ``total`` bytes are in the device."""
        if self._in_vain > IN_VAIN_MAX:
            return InconsistentBootloaderError(off, total)
        damaged = self.damaged - self._damaged_before
        if damaged:
            return DamagedLineError(damaged, off, total)
        return SilentBootloaderError(heard=self._ever_heard, off=off, total=total)
