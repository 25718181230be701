"""NOR flash, as the chip has it: a page is erased to 0xff, a word is programmed by clearing bits.

Addresses are absolute. The contents live in any mutable buffer: a ``bytearray``, or an ``mmap`` of a file that outlives
the process. The flash counts its operations (one per page erased, one per call of ``program``) and can lose its power
at any of them, in the middle of the work.
"""

from __future__ import annotations

import mmap
from collections import Counter
from dataclasses import dataclass

from smpdfu.virtual.layout import Region

ERASED = 0xFF

Storage = bytearray | mmap.mmap


class FlashError(Exception):
    """The flash was asked for what it cannot do. ``address`` is where."""

    def __init__(self, message: str, address: int) -> None:
        super().__init__(f"{message} (at 0x{address:08x})")
        self.address = address


class PowerCut(Exception):  # noqa: N818 - an event of the world and nobody's error
    """The power went away during a flash operation; ``operation`` is its number, counted from 0."""

    def __init__(self, operation: int) -> None:
        super().__init__(f"power lost during flash operation {operation}")
        self.operation = operation


class Flash:
    """``size_bytes`` of flash from the absolute address ``base``.

    ``operations`` and ``erase_counts`` (by page address) only grow. ``cut_after`` is how many more operations go well:
    the one behind them is torn, raises ``PowerCut`` and disarms the cut. A torn ``program`` has written the first half
    of its words; a torn erase has erased one half of its page, the upper one with ``tear_upper``.
    """

    def __init__(
        self,
        base: int,
        size_bytes: int,
        *,
        page_size: int = 4096,
        write_size: int = 4,
        storage: Storage | None = None,
    ) -> None:
        """New flash is erased; ``storage`` is taken as it is. ``ValueError`` when the sizes do not fit together."""
        if page_size % (2 * write_size) or size_bytes % page_size or base % page_size or size_bytes <= 0:
            raise ValueError("flash is made of whole pages, and a page of an even number of words")
        if storage is not None and len(storage) != size_bytes:
            raise ValueError(f"the storage has {len(storage)} bytes, the flash {size_bytes}")
        self.base, self.size_bytes = base, size_bytes
        self.page_size, self.write_size = page_size, write_size
        self.operations = 0
        self.erase_counts: Counter[int] = Counter()
        self.cut_after: int | None = None
        self.tear_upper = False
        self._storage: Storage = bytearray([ERASED]) * size_bytes if storage is None else storage

    @property
    def end(self) -> int:
        """The first address behind the flash."""
        return self.base + self.size_bytes

    def read(self, address: int, size: int) -> bytes:
        """``size`` bytes; raises ``FlashError`` outside the flash."""
        start = self._offset(address, size)
        return bytes(self._storage[start : start + size])

    def program(self, address: int, data: bytes) -> None:
        """Clear bits so that ``data`` is there; one operation.

        Raises ``FlashError`` when the place or the size is not made of whole words, or when a bit would have to be set,
        which only an erase can do; and ``PowerCut``.
        """
        start = self._offset(address, len(data))
        if address % self.write_size or len(data) % self.write_size:
            raise FlashError(f"only whole words of {self.write_size} bytes can be programmed", address)
        end = start + len(data)
        if not _is_erased(self._storage[start:end]) and _sets_bits(self._storage[start:end], data):
            raise FlashError("only an erase can set bits", address)
        if self._power_fails():
            words = len(data) // self.write_size // 2
            end = start + words * self.write_size
            self._storage[start:end] = data[: end - start]
            raise PowerCut(self.operations - 1)
        self._storage[start:end] = data

    def erase(self, address: int, size: int) -> None:
        """Set whole pages to 0xff; one operation each. Raises ``FlashError`` for parts of pages, and ``PowerCut``."""
        start = self._offset(address, size)
        if address % self.page_size or size % self.page_size:
            raise FlashError(f"only whole pages of {self.page_size} bytes can be erased", address)
        for page in range(start, start + size, self.page_size):
            self._erase_page(page)

    def _erase_page(self, page: int) -> None:
        self.erase_counts[self.base + page] += 1
        cut = self._power_fails()
        size = self.page_size // 2 if cut else self.page_size
        start = page + size if cut and self.tear_upper else page
        self._storage[start : start + size] = bytes([ERASED]) * size
        if cut:
            raise PowerCut(self.operations - 1)

    def _offset(self, address: int, size: int) -> int:
        if size < 0:
            raise ValueError(f"size is {size}: it must be at least 0")
        if not (self.base <= address and address + size <= self.end):
            raise FlashError(f"{size} bytes lie outside the flash 0x{self.base:08x} to 0x{self.end:08x}", address)
        return address - self.base

    def _power_fails(self) -> bool:
        self.operations += 1
        if self.cut_after is None:
            return False
        self.cut_after -= 1
        if self.cut_after >= 0:
            return False
        self.cut_after = None
        return True


@dataclass(frozen=True, slots=True)
class Area:
    """A part of a flash, seen by offsets from its start (a ``flash_area`` of Zephyr and MCUboot)."""

    flash: Flash
    region: Region

    @property
    def size_bytes(self) -> int:
        """Size of the area."""
        return self.region.size_bytes

    def read(self, offset: int, size: int) -> bytes:
        """``size`` bytes at ``offset``; raises ``FlashError``, also beyond the area."""
        return self.flash.read(self._address(offset, size), size)

    def read_all(self) -> bytes:
        """The whole area."""
        return self.read(0, self.size_bytes)

    def program(self, offset: int, data: bytes) -> None:
        """As ``Flash.program``."""
        self.flash.program(self._address(offset, len(data)), data)

    def erase(self, offset: int, size: int) -> None:
        """As ``Flash.erase``."""
        self.flash.erase(self._address(offset, size), size)

    def erase_all(self) -> None:
        """Erase the whole area."""
        self.erase(0, self.size_bytes)

    def _address(self, offset: int, size: int) -> int:
        address = self.region.start + offset
        if offset < 0 or offset + size > self.size_bytes:
            raise FlashError(f"{size} bytes at offset {offset} leave {self.region.name}", address)
        return address


def _is_erased(data: bytes | bytearray) -> bool:
    return data.count(ERASED) == len(data)


def _sets_bits(old: bytes | bytearray, new: bytes) -> bool:
    return bool(int.from_bytes(new, "little") & ~int.from_bytes(old, "little"))
