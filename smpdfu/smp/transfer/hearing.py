"""Does a device hear a request while it works on another? Found out by probes: requests whose loss costs little.

A server behind a small UART, or whose processor stops while flash is written, loses the bytes of a second request that
comes meanwhile. The number of its buffers does not tell: the bytes never get there. So nothing of an image is sent
behind a chunk in flight before a probe was: an request as long as the chunk, while the device works on that.

    what is seen                          what follows
    ------------------------------------  ------------------------------------------------------------------------------
    a probe is answered                   several may be in flight; but behind the first chunk that ends a page of flash
                                          (and has it erased or written) only a probe is sent
    that one is answered, too             the device hears
    a probe is not answered, but the      one in flight; the next probe after ``HOLDS`` answers. At the second, ``full``
    chunk is                              of them in a row must be answered
    a fault with several in flight that   one in flight until the wire loses a message that no busy device can have
    the wire does not explain             missed; then, or if it has before, ``full`` in a row must be answered
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
    """What is known of one device. ``full``: probes behind all chunks of a page of flash; 0: it is sure to hear."""

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
        """May several requests be in flight, though perhaps not behind a chunk that ends a page?"""
        return not self.full or not self._wanted

    @property
    def wants_page(self) -> bool:
        """Must a probe, and nothing else, go behind the next chunk that ends a page?"""
        return bool(self.full) and not self._page

    @property
    def missed_before(self) -> bool:
        """Was a probe lost?"""
        return self._misses > 0

    def may_ask(self, answers: int, *, wire: bool = False) -> bool:
        """Is a probe due, after so many answers? ``wire``: it loses other messages, too."""
        return not self.proven and (wire or not self._deaf) and answers >= self._barred_until

    def phase(self, *, page: bool, spread: bool) -> float:
        """When the next probe is sent, as a share of the round trip; ``page``: behind a chunk that ends one.

        At another moment of the device's work each time, but again at the one at which a probe was lost. The first is
        that of a second chunk, with ``spread`` between answers, else at once.
        """
        first = _SPREAD if page or spread else 0.0
        return (first + (self._pages if page else self._others) * _GOLDEN) % _LATEST

    def heard(self, *, page: bool) -> None:
        """A probe was answered; ``page``: the chunk before it ended one."""
        if page:
            self._pages += 1
        else:
            self._others += 1
        self._wanted = max(self._wanted - 1, 0)
        self._page = self._page or page

    def missed(self, answers: int, *, page: bool, wire: bool) -> None:
        """A probe was not answered, but what it was sent behind was; ``answers`` have come so far.

        ``wire``: that happens to other messages on this wire, too.
        """
        if self._misses and not wire:
            self._row = max(self._row, self.full)
        self._wanted = min(self._wanted + 1, self._row) if wire else self._row
        self._barred_until = answers + HOLDS[min(self._misses, len(HOLDS) - 1)]
        self._misses += 1

    def doubt(self, *, wire: bool) -> None:
        """Several in flight failed, more often than can be explained; ``wire``: it loses other messages, too."""
        self._deaf = not wire
        self._wanted = self._row = self.full


@dataclass(slots=True)
class Losses:
    """How often answers came, and faults, with one in flight and with several. ``answers``: how many were lost."""

    alone_answers: int = 0
    alone_faults: int = 0
    many_answers: int = 0
    many_faults: int = 0
    answers: int = 0

    def answered(self, size: int) -> None:
        """An answer came with ``size`` in flight."""
        if size == 1:
            self.alone_answers += 1
        else:
            self.many_answers += 1

    @property
    def unexplained(self) -> float:
        """The faults with several in flight, less twice those that the wire alone makes likely."""
        alone = self.many_answers * self.alone_faults / max(self.alone_answers, 1)
        return self.many_faults - 2 * (self.answers + alone)

    @property
    def by_wire(self) -> bool:
        """Were messages lost that no busy device can have missed?"""
        return self.alone_faults + self.answers > 0

    def forget_many(self) -> None:
        """What failed with several in flight does not count any more."""
        self.many_answers = self.many_faults = 0
