"""Where the contents of a flash are kept: a buffer, a mapped file, or pages in memory that take no room while blank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Protocol

ERASED = 0xFF
_KNOWN_MAX = 4096


@lru_cache
def blank(size_bytes: int) -> bytes:
    """So many erased bytes, for each size one object."""
    return bytes([ERASED]) * size_bytes


class Storage(Protocol):
    """A buffer of fixed size, as ``bytearray``, ``mmap.mmap`` and ``SparseStorage`` are; slices have both ends."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: slice, /) -> bytes | bytearray: ...

    def __setitem__(self, key: slice, value: bytes, /) -> None: ...


class SparseStorage:
    """``size_bytes`` bytes in pages, of which only those that are not blank are there.

    Pages are never changed in place but replaced, so that storages share what is equal in them: a thousand devices that
    were loaded with one firmware, or got one by an update, hold it once.
    """

    def __init__(self, size_bytes: int, page_size: int) -> None:
        self._size, self._page_size = size_bytes, page_size
        self._blank = blank(page_size)
        self._pages: dict[int, bytes] = {}

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """The pages that are not blank, by number, in ascending order."""
        return iter(sorted(self._pages.items()))

    def replace(self, pages: Mapping[int, bytes]) -> None:
        """Hold these pages, by number, and no others; their contents are shared."""
        self._pages = {number: page for number, page in pages.items() if page != self._blank}

    def __getitem__(self, key: slice, /) -> bytes:
        size, (first, last) = self._page_size, self._range(key)
        if first == last:
            page, base = self._pages.get(first, self._blank), first * size
            return page[key.start - base : key.stop - base]
        joined = b"".join(self._held(first, last + 1))
        return joined[key.start - first * size : key.stop - first * size]

    def pieces(self, key: slice, /) -> tuple[bytes, ...]:
        """What ``self[key]`` has, in pieces: for whole pages they are the pages themselves, which keep their hash."""
        size, (first, last) = self._page_size, self._range(key)
        if key.start % size or key.stop % size or key.start == key.stop:
            return (self[key],)
        return tuple(self._held(first, last + 1))

    def __setitem__(self, key: slice, value: bytes, /) -> None:
        size, (first, last) = self._page_size, self._range(key)
        if first == last:
            start, stop = key.start - first * size, key.stop - first * size
            old = self._pages.get(first, self._blank)
            page = bytes(value) if stop - start == size else old[:start] + value + old[stop:]
            self._put(first, page, complete=stop == size)
            return
        for number in range(first, last + 1):
            start, stop = max(key.start, number * size), min(key.stop, (number + 1) * size)
            part = value[start - key.start : stop - key.start]
            old = self._pages.get(number, self._blank)
            page = old[: start - number * size] + part + old[stop - number * size :]
            self._put(number, page, complete=stop == (number + 1) * size)

    def _held(self, first: int, stop: int) -> list[bytes]:
        pages, blank = self._pages, self._blank
        return [pages.get(number, blank) for number in range(first, stop)]

    def _range(self, key: slice) -> tuple[int, int]:
        """The first and the last page that a slice reaches into; for an empty slice, one page that is left as it is."""
        size, start, stop = self._page_size, key.start, key.stop
        first = start // size
        return first, first if stop <= start else (stop - 1) // size

    def _put(self, number: int, page: bytes, *, complete: bool) -> None:
        """Hold a page. If written up to its end, as a rule it is ``complete``, and other storages may hold the same."""
        if page == self._blank:
            self._pages.pop(number, None)
        else:
            self._pages[number] = _shared(page) if complete else page


_known: dict[bytes, bytes] = {}
"""The latest pages that any storage wrote."""


def _shared(page: bytes) -> bytes:
    """An equal page that was written before, else this one."""
    found = _known.setdefault(page, page)
    if len(_known) > _KNOWN_MAX:
        _known.pop(next(iter(_known)), None)
    return found
