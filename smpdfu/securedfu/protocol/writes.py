"""The writes of an object: how large the next one is, and how many the device has not confirmed."""

from __future__ import annotations

from collections import deque

from smpdfu.image.secure_dfu.flash import WORD_SIZE
from smpdfu.securedfu.protocol.slip import FIRST_SIZE, UART_MTU, payload_max
from smpdfu.securedfu.protocol.troubles import CAREFUL_SIZE


class Writes:
    """``receipts`` and ``writes_max`` are as in ``Transfer``; ``longest`` is its ``write_size``, in whole words.

    Raises ValueError if nothing could ever move.
    """

    def __init__(self, longest: int | None, receipts: int, writes_max: int) -> None:
        if longest is not None and longest < WORD_SIZE:
            raise ValueError(f"a write has at least {WORD_SIZE} bytes, not {longest}")
        if receipts and writes_max < receipts:
            raise ValueError(f"a receipt after {receipts} writes never comes if {writes_max} may be sent")
        self.longest = longest and longest - longest % WORD_SIZE
        self.receipts = receipts
        self._writes_max = writes_max
        self._due: deque[int] = deque()

    def clear(self) -> None:
        """Forget the writes: the device has them all, or it will say where it stands."""
        self._due.clear()

    def sent(self, end: int) -> None:
        """Take note of a write that ends at ``end``."""
        self._due.append(end)

    @property
    def are_due(self) -> bool:
        """True if the device has not confirmed all of them."""
        return bool(self._due)

    @property
    def is_full(self) -> bool:
        """True if nothing more may be sent until a receipt comes."""
        return bool(self.receipts) and len(self._due) >= self._writes_max

    def confirm(self, offset: int) -> bool:
        """The device has all up to ``offset``; return False if that is no news."""
        is_news = bool(self._due) and offset >= self._due[0]
        while self._due and self._due[0] <= offset:
            self._due.popleft()
        return is_news

    @property
    def are_long(self) -> bool:
        """True if they are longer than a bootloader takes that is built for a UART."""
        return self.longest is not None and self.longest > payload_max(UART_MTU)

    def next_size(self, written: int, *, careful: bool) -> int:
        """Return the most bytes of the next write of an object that has ``written`` bytes."""
        twice = 2 * written // WORD_SIZE * WORD_SIZE
        return min(self.longest or WORD_SIZE, CAREFUL_SIZE if careful else max(FIRST_SIZE, twice))
