"""Security counters that only grow, in memory that is written once (OTP), as the nRF Connect SDK keeps them.

Each image has a share of the words; a new value goes into the next blank one, and the last one written counts. Source:
``bl_storage.c`` of the nRF Connect SDK (monotonic counters), whose words are 16 bits wide and inverted; these are not.
"""

from __future__ import annotations

from dataclasses import dataclass

from smpdfu.virtual.chip.flash import Area
from smpdfu.virtual.chip.storage import ERASED

_WORD = 4
_BLANK = bytes([ERASED]) * _WORD


class CounterError(Exception):
    """There is no blank word left for a new value."""


@dataclass(frozen=True, slots=True)
class SecurityCounters:
    """The counters of ``images`` images in ``area``."""

    area: Area
    images: int

    def read(self, image: int) -> int:
        """The value of an image's counter; 0 before the first one was stored."""
        words = [word for word in self._words(image) if word != _BLANK]
        return int.from_bytes(words[-1], "little") if words else 0

    def raise_to(self, image: int, value: int) -> None:
        """Store ``value`` if it is higher. Raises ``CounterError`` when there is no room, and ``PowerCut``."""
        if value <= self.read(image):
            return
        words = self._words(image)
        if _BLANK not in words:
            raise CounterError(f"the security counter of image {image} cannot be raised any more")
        self.area.program(self._start(image) + words.index(_BLANK) * _WORD, value.to_bytes(_WORD, "little"))

    def _words(self, image: int) -> list[bytes]:
        data = self.area.read(self._start(image), self._share)
        return [data[start : start + _WORD] for start in range(0, len(data), _WORD)]

    def _start(self, image: int) -> int:
        return image * self._share

    @property
    def _share(self) -> int:
        return self.area.size_bytes // _WORD // self.images * _WORD
