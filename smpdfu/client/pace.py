"""How slow a transfer may be: a device that transfers almost nothing must not hold its caller for ever.

    observation                                              consequence
    -------------------------------------------------------  ----------------------------------------------------------
    ``ANSWERS`` answers in a row that bring less than        RemoteProtocolError
    ``LEAST`` bytes each on average
    ``WINDOW_S`` seconds that bring less than ``FLOOR``      RemoteProtocolError
    bytes a second
    the transfer falls back                                  it is measured anew from there; how often that may be is
                                                             bounded elsewhere

So the whole takes at most its bytes / ``FLOOR`` seconds, and one window more. The slowest wire in use, a serial port
at 1200 baud, carries 80 bytes a second; the shortest message that SMP servers are built for carries 16 bytes of data.
"""

from __future__ import annotations

from smpdfu.errors import RemoteProtocolError

ANSWERS, LEAST = 64, 4
WINDOW_S, FLOOR = 120.0, 16


class Pace:
    """Measures the speed of one transfer, called ``what`` in errors."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._last = -1
        self._answers = self._answers_off = self._window_off = 0
        self._window_at = 0.0

    def moved(self, off: int, at: float) -> None:
        """Note an answer at the time ``at`` with ``off`` bytes in all. Raises RemoteProtocolError, see above."""
        fell_back, self._last = off < self._last or self._last < 0, off
        if fell_back:
            self._answers, self._answers_off = 0, off
            self._window_at, self._window_off = at, off
            return
        self._answers += 1
        if self._answers >= ANSWERS:
            self._judge(off - self._answers_off, ANSWERS * LEAST, f"{self._answers} answers")
            self._answers, self._answers_off = 0, off
        seconds = at - self._window_at
        if seconds >= WINDOW_S:
            self._judge(off - self._window_off, seconds * FLOOR, f"{seconds:.0f} seconds")
            self._window_at, self._window_off = at, off

    def _judge(self, brought: int, least: float, within: str) -> None:
        if brought < least:
            raise RemoteProtocolError(f"{self._what} is too slow: {brought} bytes in {within}")
