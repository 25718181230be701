"""Intel HEX: text to segments of memory and back.

Source: Intel, "Hexadecimal Object File Format Specification", revision A. The text that is written is the one of the
IntelHex package, which imgtool uses: 16 bytes a record, upper case, an extended linear address record wherever the
upper 16 bits change (and at the start, when any address needs them).
"""

from __future__ import annotations

import io
import re
import sys
from array import array
from binascii import hexlify
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from smpdfu.errors import FormatError

_DATA, _END, _LINEAR_BASE, _LINEAR_START = 0, 1, 4, 5
_BANK = 0x1_0000
_RECORD_SIZE = 16
_OVERHEAD = 5  # size, address, type and checksum of a record
_NEGATED = bytes(-byte & 0xFF for byte in range(256))
_WIDEST = 250  # bytes of data: the sums of wider records could run over their 16 bits
_SHORT_RUN, _LONG_RUN = 8, 8192  # records that are looked at together: as many as were alike before, and more
MAX_ODD_BYTES = 8 << 20
"""The longest text that is read record by record, at 40 bytes of memory for each of the file."""
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
    return b"".join((*_lines(merge(segments)), _record(_END, b"")))


def _lines(segments: tuple[Segment, ...]) -> Iterator[bytes]:
    bank = -1 if segments and segments[-1].end > _BANK else 0
    for segment in segments:
        at = segment.address
        while at < segment.end:
            if at // _BANK != bank:
                bank = at // _BANK
                yield _record(_LINEAR_BASE, bank.to_bytes(2, "big"))
            end = min(segment.end, (bank + 1) * _BANK)
            whole = at + (end - at) // _RECORD_SIZE * _RECORD_SIZE
            start = segment.address
            yield _records(at % _BANK, segment.data[at - start : whole - start], _RECORD_SIZE)
            yield _records(whole % _BANK, segment.data[whole - start : end - start], end - whole)
            at = end


def _record(kind: int, data: bytes) -> bytes:
    """A record without an address."""
    body = bytes((len(data), 0, 0, kind)) + data
    return f":{body.hex().upper()}{-sum(body) & 0xFF:02X}\n".encode("ascii")


def _records(low: int, data: bytes, size: int) -> bytes:
    """Data records of ``size`` bytes each, within one bank: made column by column, so that C does the work."""
    if not data:
        return b""
    count, stride = len(data) // size, size + _OVERHEAD
    raw = bytearray(count * stride)
    raw[0::stride] = bytes([size]) * count
    raw[1::stride], raw[2::stride] = _addresses(low, size, count)
    for column in range(size):
        raw[4 + column :: stride] = data[column::size]
    raw[stride - 1 :: stride] = _sums(raw, stride, count).translate(_NEGATED)
    return b":" + hexlify(raw, ":", stride).upper().replace(b":", b"\n:") + b"\n"


@lru_cache(maxsize=64)  # a file's banks are alike
def _addresses(low: int, size: int, count: int) -> tuple[bytes, bytes]:
    """The high and the low bytes of the addresses of ``count`` records of ``size`` bytes."""
    words = array("H", range(low, low + count * size, size))
    if sys.byteorder == "little":
        words.byteswap()
    both = words.tobytes()
    return both[0::2], both[1::2]


def _sums(raw: bytes | bytearray, stride: int, count: int) -> bytes:
    """The sum, modulo 256, of each of ``count`` records: columns are added as numbers with digits of 16 bits."""
    total = 0
    wide = bytearray(2 * count)
    for column in range(stride):
        wide[0::2] = raw[column::stride]
        total += int.from_bytes(wide, "little")
    return total.to_bytes(2 * count, "little")[0::2]


# --- reading --------------------------------------------------------------------------------------------------------


def decode(text: bytes) -> tuple[Segment, ...]:
    """Read the text: segments in ascending order, none touching another.

    What build tools write is read here, quickly; whatever is out of the ordinary is IntelHex's to read or to refuse.
    Raises ``FormatError`` with the offset of the line that is wrong: no record, bad checksum, cut off, overlapping.
    """
    segments = _plain(text)
    return _odd(text) if segments is None else segments


def _plain(text: bytes) -> tuple[Segment, ...] | None:
    """Data by linear addresses up to the end record; None where there is anything else."""
    line_end = next((end for end in (b"\r\n", b"\n") if end in text[:_LONGEST_START]), b"\r")
    try:
        return merge(_data(text.rstrip() + line_end, line_end))
    except ValueError:
        return None


def _data(text: bytes, line_end: bytes) -> Iterator[Segment]:
    """The data of adjoining records of one size, run by run; ValueError: not plain."""
    base = at = 0
    longest = _SHORT_RUN
    while at < len(text):
        raw, size = _lines_of_one_size(text, at, longest, line_end)
        kind = raw[3]
        stride = size + _OVERHEAD
        count = _adjoining(raw, size) if kind == _DATA else 1
        raw = raw[: count * stride]
        if any(_sums(raw, stride, count)):
            raise ValueError("a checksum is wrong")
        at += count * (2 * stride + 1 + len(line_end))
        longest = min(4 * longest, _LONG_RUN) if count == longest else max(count, _SHORT_RUN)
        if kind == _DATA:
            yield Segment(base + (raw[1] << 8 | raw[2]), _payload(raw, size, count))
        elif kind == _END and at == len(text):
            return
        elif kind == _LINEAR_BASE and size == 2:
            base = int.from_bytes(raw[4:6], "big") << 16
        elif kind != _LINEAR_START or size != 4:
            raise ValueError(f"a record of type {kind} is not plain")
    raise ValueError("there is no end record")


def _lines_of_one_size(text: bytes, at: int, longest: int, line_end: bytes) -> tuple[bytes, int]:
    """The bytes of the records from ``at`` on, as many as have the first one's size, and that size."""
    size = int(text[at + 1 : at + 3], 16)
    digits = 2 * (size + _OVERHEAD)
    width = 1 + digits + len(line_end)
    count = min(longest if size <= _WIDEST else 1, (len(text) - at) // width)
    lines = text[at : at + count * width]
    for place, wanted in enumerate(b":" + text[at + 1 : at + 3]):
        column = lines[place::width][:count]
        count = len(column) - len(column.lstrip(bytes([wanted])))
    lines = lines[: count * width]
    raw = bytes.fromhex(lines.replace(b":", b" ").decode("ascii"))
    ends = all(lines[1 + digits + i :: width] == bytes([byte]) * count for i, byte in enumerate(line_end))
    if not count or not ends or 2 * len(raw) != digits * count:  # fromhex skips blanks: every digit must have counted
        raise ValueError("this is not a record")
    return raw, size


def _adjoining(raw: bytes, size: int) -> int:
    """How many records, from the first on, are data of one bank without a gap."""
    stride = size + _OVERHEAD
    first = raw[1] << 8 | raw[2]
    if not size:
        return 1
    kinds = raw[3::stride]
    count = min(len(kinds) - len(kinds.lstrip(b"\0")), -(-(_BANK - first) // size))
    found = raw[1::stride][:count], raw[2::stride][:count]
    wanted = _addresses(first, size, count)
    if found == wanted:
        return count
    return next(i for i in range(count) if any(one[i] != other[i] for one, other in zip(found, wanted, strict=True)))


def _payload(raw: bytes, size: int, count: int) -> bytes:
    data = bytearray(size * count)
    for column in range(size):
        data[column::size] = raw[4 + column :: size + _OVERHEAD]
    return bytes(data)


def _odd(text: bytes) -> tuple[Segment, ...]:
    from intelhex import IntelHex, IntelHexError  # rarely needed, and slow

    if len(text) > MAX_ODD_BYTES:
        raise FormatError(
            f"a hex file of more than {MAX_ODD_BYTES >> 20} MiB is read only if its records are in the usual form: "
            "data by linear addresses, checksums that are right, an end record"
        )
    memory = IntelHex()
    try:
        memory.loadhex(io.StringIO(text.decode("latin-1"), newline=None))
    except IntelHexError as error:
        offset = _offset(text, getattr(error, "line", None))
        raise FormatError(f"this is not valid Intel HEX: {error}", offset) from None
    if not re.search(rb"(?i)(?:\A|[\r\n]):00[0-9a-f]{4}01", text):
        raise FormatError("the hex file is cut off: it has no end record", len(text))
    try:
        return tuple(Segment(start, memory.tobinstr(start, end - 1)) for start, end in memory.segments())
    except ValueError as error:
        raise FormatError(f"the hex file goes beyond the end of memory: {error}") from None


def _offset(text: bytes, line: int | None) -> int | None:
    return None if line is None else sum(map(len, text.splitlines(keepends=True)[: line - 1]))


def merge(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """In ascending order, those that touch made one, empty ones dropped. ``ValueError`` if two overlap."""
    merged: list[list[Segment]] = []
    for segment in sorted((one for one in segments if one.data), key=lambda one: one.address):
        end = merged[-1][-1].end if merged else -1
        if segment.address < end:
            raise ValueError(f"address 0x{segment.address:x} appears twice")
        if segment.address == end:
            merged[-1].append(segment)
        else:
            merged.append([segment])
    return tuple(Segment(run[0].address, b"".join(one.data for one in run)) for run in merged)
