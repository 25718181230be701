"""Can a device receive a request while it works on another? Probes find out: requests whose loss costs little.

If a server has a small UART, or its processor stops while it writes flash, it loses the bytes of a second request that
arrives meanwhile. The number of its buffers does not show this, because the bytes never reach a buffer. So before the
second chunk is sent behind a chunk in flight, a probe is sent: a request as long as the chunk, while the device works.

    observation                           consequence
    ------------------------------------  ------------------------------------------------------------------------------
    a probe is answered                   several may be in flight; but after the first chunk that ends a page of flash
                                          (which the device then erases or writes) only a probe is sent
    that probe is answered, too           the device can receive while it works
    a probe is not answered, but the      one in flight; the next probe after ``HOLDS`` answers. At the second, ``full``
    chunk is                              of them in a row must be answered
    a fault with several in flight that   one in flight until the wire loses a message that no busy device can have
    the wire does not explain             missed; then, or if that happened before, ``full`` in a row must be answered
    a probe is lost on such a wire        one more must be answered
"""

from __future__ import annotations

from dataclasses import dataclass

PAGE = 4096
"""Bytes of flash that are erased at a time (nRF52, nRF53, most external flash)."""
HOLDS = (4, 64, 512)
"""Answers until the next probe after the first, second, ... one that was lost."""
_SPREAD, _GOLDEN, _LATEST = 0.4, 0.618, 0.8


@dataclass(slots=True)
class Hearing:
    """What is known of one device. ``full``: the probes after all chunks of a page; 0: no probe is necessary."""

    full: int = 0
    _row: int = 1  # probes in a row that prove it
    _wanted: int = 1
    _page: bool = False
    _misses: int = 0
    _pages: int = 0
    _others: int = 0
    _barred_until: int = 0
    _deaf: bool = False

    @property
    def proven(self) -> bool:
        """True if several requests may be in flight, perhaps not after a chunk that ends a page."""
        return not self.full or not self._wanted

    @property
    def wants_page(self) -> bool:
        """True if only a probe may follow the next chunk that ends a page."""
        return bool(self.full) and not self._page

    @property
    def missed_before(self) -> bool:
        """True if a probe was lost."""
        return self._misses > 0

    def may_ask(self, answers: int, *, wire: bool = False) -> bool:
        """Return whether a probe is due after ``answers`` answers. ``wire``: the wire loses other messages, too."""
        return not self.proven and (wire or not self._deaf) and answers >= self._barred_until

    def phase(self, *, page: bool, spread: bool) -> float:
        """Return when to send the next probe, as a share of the round trip. ``page``: after a chunk that ends one.

        Each probe meets another moment of the device's work; after a lost probe, the next one repeats its moment. The
        first moment is that of a second chunk: between answers with ``spread``, else at once.
        """
        first = _SPREAD if page or spread else 0.0
        return (first + (self._pages if page else self._others) * _GOLDEN) % _LATEST

    def heard(self, *, page: bool) -> None:
        """Note that a probe was answered. ``page``: the chunk before it ended a page."""
        if page:
            self._pages += 1
        else:
            self._others += 1
        self._wanted = max(self._wanted - 1, 0)
        self._page = self._page or page

    def missed(self, answers: int, *, page: bool, wire: bool) -> None:
        """Note that a probe was not answered, but the chunk before it was, after ``answers`` answers in all.

        ``wire``: the wire loses other messages, too.
        """
        if self._misses and not wire:
            self._row = max(self._row, self.full)
        self._wanted = min(self._wanted + 1, self._row) if wire else self._row
        self._barred_until = answers + HOLDS[min(self._misses, len(HOLDS) - 1)]
        self._misses += 1

    def doubt(self, *, wire: bool) -> None:
        """Note more faults with several in flight than the wire explains. ``wire``: it loses other messages, too."""
        self._deaf = not wire
        self._wanted = self._row = self.full


@dataclass(slots=True)
class Losses:
    """The answers and faults with one request in flight and with several. ``answers`` counts lost answers."""

    alone_answers: int = 0
    alone_faults: int = 0
    many_answers: int = 0
    many_faults: int = 0
    answers: int = 0

    def answered(self, size: int) -> None:
        """Note an answer with ``size`` requests in flight."""
        if size == 1:
            self.alone_answers += 1
        else:
            self.many_answers += 1

    @property
    def unexplained(self) -> float:
        """The faults with several in flight, minus twice those that the wire alone explains."""
        alone = self.many_answers * self.alone_faults / max(self.alone_answers, 1)
        return self.many_faults - 2 * (self.answers + alone)

    @property
    def by_wire(self) -> bool:
        """True if messages were lost that no busy device can have missed."""
        return self.alone_faults + self.answers > 0

    def forget_many(self) -> None:
        """Forget the faults with several in flight."""
        self.many_answers = self.many_faults = 0
