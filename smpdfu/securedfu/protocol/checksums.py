"""CRC-32 of the beginnings of some bytes, as the bootloader reports it, without a look at all bytes each time."""

from __future__ import annotations

from zlib import crc32

_STEP = 4096


class Checksums:
    """The checksums of ``data``. Each question costs the bytes of one step, and no more after the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._steps = [0]  # the CRC-32 of the first 0, 1, 2 ... steps

    def of(self, end: int) -> int:
        """Return the CRC-32 of the first ``end`` bytes, which are at most as many as there are."""
        whole = end // _STEP
        while len(self._steps) <= whole:
            at = (len(self._steps) - 1) * _STEP
            self._steps.append(crc32(self._data[at : at + _STEP], self._steps[-1]))
        return crc32(self._data[whole * _STEP : end], self._steps[whole])
