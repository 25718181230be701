"""A small key-value store in flash: what a firmware keeps over a reset.

The format is our own, not that of Zephyr's NVS, for no tool looks into it. The area is an append-only log of records:

    u16 length of the name, u16 length of the value (both little-endian), name, value, CRC-32 of all that;
    filled up to a word with 0xff

The last record of a name holds; one without value deletes. A record that a power cut tore, or anything else that is no
record, ends the log: what comes next goes into a fresh one, after an erase, together with all that holds. A power cut
between that erase and the writing loses everything, which a store with a spare page would not.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping

from smpdfu.virtual.chip.flash import Area, FlashError
from smpdfu.virtual.chip.storage import ERASED

_HEAD = struct.Struct("<HH")
_CRC = struct.Struct("<I")
_WORD = 4


class Records:
    """The values by name, in ``area``, which is made of whole pages."""

    def __init__(self, area: Area) -> None:
        self.area = area

    def read(self) -> dict[str, bytes]:
        """All values."""
        values: dict[str, bytes] = {}
        for name, value, _ in _records(self.area.read_all()):
            values.pop(name, None)
            if value:
                values[name] = value
        return values

    def write(self, values: Mapping[str, bytes]) -> None:
        """Make the store hold just ``values``, with as little wear as it takes; an empty value is none.

        Raises ``FlashError`` when there is no room, and ``PowerCut``.
        """
        wanted = {name: value for name, value in values.items() if value}
        held = self.read()
        changed = [name for name in wanted if held.get(name) != wanted[name]]
        news = b"".join(self._pack(name, wanted.get(name, b"")) for name in (*changed, *(held.keys() - wanted.keys())))
        everything = self.area.read_all()
        end = max((end for *_, end in _records(everything)), default=0)
        rest = everything[end:]
        if len(news) <= len(rest) and rest.count(ERASED) == len(rest):
            self._program(end, news)
            return
        packed = b"".join(self._pack(name, value) for name, value in wanted.items())
        if len(packed) > self.area.size_bytes:
            raise FlashError(f"{len(packed)} bytes of records do not fit", self.area.region.start)
        self.area.erase_all()
        self._program(0, packed)

    def _program(self, offset: int, packed: bytes) -> None:
        if packed:
            self.area.program(offset, packed)

    def _pack(self, name: str, value: bytes) -> bytes:
        encoded = name.encode()
        try:
            record = _HEAD.pack(len(encoded), len(value)) + encoded + value
        except struct.error:
            raise FlashError(f"a record has no room for {len(value)} bytes", self.area.region.start) from None
        record += _CRC.pack(zlib.crc32(record))
        return record + bytes([ERASED]) * (-len(record) % _WORD)


def _records(log: bytes) -> Iterator[tuple[str, bytes, int]]:
    """Name and value of each record, and where the next one begins."""
    offset = 0
    while offset + _HEAD.size <= len(log):
        name_size, value_size = _HEAD.unpack_from(log, offset)
        end = offset + _HEAD.size + name_size + value_size
        if end + _CRC.size > len(log) or _CRC.unpack_from(log, end) != (zlib.crc32(log[offset:end]),):
            return
        name = log[offset + _HEAD.size :][:name_size].decode(errors="replace")
        value = log[end - value_size : end]
        offset = -(-(end + _CRC.size) // _WORD) * _WORD
        yield name, value, offset
