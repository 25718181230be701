"""Intel HEX: text to segments of memory and back.

Source: Intel, "Hexadecimal Object File Format Specification", revision A. The text that is written is the one of the
IntelHex package, which imgtool uses: 16 bytes a record, upper case, an extended linear address record wherever the
upper 16 bits change (and at the start, when any address needs them).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from smpdfu.errors import FormatError

_DATA, _END, _SEGMENT_BASE, _SEGMENT_START, _LINEAR_BASE, _LINEAR_START = range(6)
# Bytes that a record of each type has; None: any number.
_LENGTHS = {_DATA: None, _END: 0, _SEGMENT_BASE: 2, _SEGMENT_START: 4, _LINEAR_BASE: 2, _LINEAR_START: 4}
_BANK = 0x1_0000
_RECORD_SIZE = 16
_LONGEST_START = 600  # a record has at most 521 characters


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes without a gap at an address (0 to 2**32). ``ValueError`` if they would lie outside."""

    address: int
    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.address < 0 or self.end > 1 << 32:
            raise ValueError(f"addresses 0x{self.address:x} to 0x{self.end:x} do not fit 32 bits")

    @property
    def end(self) -> int:
        """The address after the last byte."""
        return self.address + len(self.data)


def is_hex(data: bytes) -> bool:
    """True if this looks like Intel HEX: the first line with anything in it is a colon and hex digits."""
    line = next(iter(data[:_LONGEST_START].split(maxsplit=1)), b"")
    return len(line) >= 11 and line.startswith(b":") and all(byte in b"0123456789abcdefABCDEF" for byte in line[1:])


# --- writing --------------------------------------------------------------------------------------------------------


def encode(segments: Iterable[Segment]) -> bytes:
    """The text, with ``\\n`` at the line ends. ``ValueError`` if segments overlap."""
    merged = merge(segments)
    lines = list(_lines(merged))
    lines.append(_record(_END, b""))
    return "".join(lines).encode()


def _lines(segments: tuple[Segment, ...]) -> Iterator[str]:
    bank = -1 if segments and segments[-1].end > _BANK else 0
    for segment in segments:
        data, digits = segment.data, segment.data.hex().upper()
        at = 0
        while at < len(data):
            address = segment.address + at
            if address // _BANK != bank:
                bank = address // _BANK
                yield _record(_LINEAR_BASE, bank.to_bytes(2, "big"))
            low = address % _BANK
            size = min(_RECORD_SIZE, len(data) - at, _BANK - low)
            check = -(size + (low >> 8) + low + sum(data[at : at + size])) & 0xFF
            yield f":{size:02X}{low:04X}00{digits[2 * at : 2 * (at + size)]}{check:02X}\n"
            at += size


def _record(kind: int, data: bytes) -> str:
    """A record without an address."""
    body = bytes((len(data), 0, 0, kind)) + data
    return f":{body.hex().upper()}{-sum(body) & 0xFF:02X}\n"


# --- reading --------------------------------------------------------------------------------------------------------


def decode(text: bytes) -> tuple[Segment, ...]:
    """Read the text: segments in ascending order, none touching another.

    Raises ``FormatError`` with the offset of the line that is wrong: no record, bad checksum, cut off, overlapping.
    """
    chunks: list[tuple[int, bytearray]] = []
    base = 0
    for offset, kind, address, data in _records(text):
        if kind == _END:
            break
        if kind == _DATA:
            _append(chunks, base + address, data)
        elif kind in (_SEGMENT_BASE, _LINEAR_BASE):
            base = int.from_bytes(data, "big") << (4 if kind == _SEGMENT_BASE else 16)
        if base + address + len(data) > 1 << 32:
            raise FormatError(f"line {_line_number(text, offset)} of the hex file runs over the end of memory", offset)
    else:
        raise FormatError("the hex file is cut off: it has no end record", len(text))
    try:
        return merge(Segment(address, bytes(data)) for address, data in chunks)
    except ValueError as error:
        raise FormatError(f"the hex file contradicts itself: {error}") from None


def _append(chunks: list[tuple[int, bytearray]], address: int, data: bytes) -> None:
    if chunks and chunks[-1][0] + len(chunks[-1][1]) == address:
        chunks[-1][1].extend(data)
    elif data:
        chunks.append((address, bytearray(data)))


def _records(text: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """(offset of the line, record type, 16-bit address, data) of each record."""
    offset = 0
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        if stripped:
            try:
                record = _parse(stripped)
            except ValueError as error:
                raise FormatError(f"line {_line_number(text, offset)} of the hex file {error}", offset) from None
            yield offset, record[3], record[1] << 8 | record[2], record[4:-1]
        offset += len(line)


def _parse(line: bytes) -> bytes:
    if not line.startswith(b":"):
        raise ValueError("does not start with a colon")
    try:
        record = bytes.fromhex(line[1:].decode("ascii"))
    except ValueError:
        raise ValueError("has something else than pairs of hex digits") from None
    if len(record) < 5 or len(record) != record[0] + 5 or len(line) != 2 * len(record) + 1:
        raise ValueError("is cut off or too long")
    if sum(record) & 0xFF:
        raise ValueError("has a wrong checksum")
    if _LENGTHS.get(record[3], -1) not in (None, record[0]):
        raise ValueError(f"has a record of type {record[3]} with {record[0]} bytes, which does not exist")
    return record


def _line_number(text: bytes, offset: int) -> int:
    return len(text[:offset].splitlines()) + 1


def merge(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """In ascending order, those that touch made one, empty ones dropped. ``ValueError`` if two overlap."""
    merged: list[list[Segment]] = []
    for segment in sorted((one for one in segments if one.data), key=lambda one: one.address):
        end = merged[-1][-1].end if merged else -1
        if segment.address < end:
            raise ValueError(f"address 0x{segment.address:x} is there twice")
        if segment.address == end:
            merged[-1].append(segment)
        else:
            merged.append([segment])
    return tuple(Segment(run[0].address, b"".join(one.data for one in run)) for run in merged)
