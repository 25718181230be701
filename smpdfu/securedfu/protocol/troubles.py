"""Counts what goes wrong in a transfer, and decides when it is enough."""

from __future__ import annotations

from smpdfu.errors import DamagedLineError, LinkError, SilentBootloaderError

PATIENCE = 24
"""The troubles in a row that a transfer survives. A page of 4 KiB that passes once in three attempts does pass."""
SILENCE_MAX = 24
"""How much silence in a row is enough: a ping counts 1, for its answer is quick, another request ``REQUEST_COUNTS``."""
SILENCE_AT_THE_END = 8
"""The same after the last Execute, when the device restarts."""
REQUEST_COUNTS = 4
CARE_AFTER, CARE_FOR = 3, 8
"""After so many troubles in a row, a transfer takes care, until so many objects have passed without trouble."""


class Troubles:
    """What went wrong so far. ``repeats`` and ``damaged`` are as in ``TransferProgress``."""

    def __init__(self) -> None:
        self.repeats = self.damaged = 0
        self._strikes = self._silence = self._care = self._damaged_before = 0
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
        self._strikes = 0
        self._damaged_before = self.damaged

    def strike(self) -> bool:
        """Something went wrong; return True if it is enough."""
        self.repeats += 1
        self._strikes += 1
        if self._strikes >= CARE_AFTER:
            self._care = CARE_FOR
        return self._strikes > PATIENCE

    def silence(self, *, pinged: bool, ending: bool) -> bool:
        """Nothing was heard in time; return True if it is enough. ``ending``: the last Execute was sent."""
        self._silence += 1 if pinged else REQUEST_COUNTS
        return self._silence >= (SILENCE_AT_THE_END if ending else SILENCE_MAX)

    def error(self, off: int, total: int) -> LinkError:
        """Return the error for a transfer that cannot go on: ``off`` of ``total`` bytes are in the device."""
        damaged = self.damaged - self._damaged_before
        if damaged:
            return DamagedLineError(damaged, off, total)
        return SilentBootloaderError(heard=self._ever_heard, off=off, total=total)
