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
from binascii import unhexlify
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from smpdfu.errors import FormatError

_DATA, _END, _LINEAR_BASE, _LINEAR_START = 0, 1, 4, 5
_BANK = 0x1_0000
_RECORD_SIZE = 16
_OVERHEAD = 5  # size, address, type and checksum of a record
_STRIDE = (
    6  # the same, and a byte for the two characters between records: so lines of text are an even number of digits
)
_HIGH_DIGITS = b"".join(bytes([digit]) * 16 for digit in b"0123456789ABCDEF")
_LOW_DIGITS = b"0123456789ABCDEF" * 16
_NEGATED = bytes(-byte & 0xFF for byte in range(256))
_WIDEST = 250  # bytes of data: the sums of wider records could run over their 16 bits
_SHORT_RUN, _LONG_RUN = 8, 8192  # records that are looked at together: four times as many as were alike before
MAX_ODD_BYTES = 8 << 20
"""The longest text that is read record by record, at 40 bytes of memory for each of the file."""
_TAIL = 8  # characters at the end that show whether the text ends with one line end
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
    return b"".join(pieces(segments))


def pieces(segments: Iterable[Segment]) -> tuple[bytes | bytearray, ...]:
    """The text of ``encode`` in pieces."""
    return (*_lines(merge(segments)), _record(_END, b""))


def _lines(segments: tuple[Segment, ...]) -> Iterator[bytes | bytearray]:
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


def _records(low: int, data: bytes, size: int) -> bytes | bytearray:
    """Data records of ``size`` bytes each, within one bank: made column by column, so that C does the work."""
    if not data:
        return b""
    count = len(data) // size
    text, begun = _begun(low, size, count)
    columns = [data[column::size] for column in range(size)]
    columns.append(_sums((begun, *columns)).translate(_NEGATED))
    return _with_columns(text, columns, 4)


def _with_columns(text: bytes, columns: Sequence[bytes], first: int) -> bytearray:
    """The text of records with the bytes number ``first`` and later of each, a column each, as digits."""
    changed = bytearray(text)
    width = len(text) // len(columns[0])
    for place, column in enumerate(columns, first):
        changed[2 * place + 1 :: width] = column.translate(_HIGH_DIGITS)
        changed[2 * place + 2 :: width] = column.translate(_LOW_DIGITS)
    return changed


@lru_cache(maxsize=4)  # a file's banks are alike
def _begun(low: int, size: int, count: int) -> tuple[bytes, bytes]:
    """The text of ``count`` records of ``size`` bytes without their data, and the sums of what they have before it."""
    line = b":" + b"0" * 2 * (size + _OVERHEAD) + b"\n"
    columns = [bytes([size]) * count, *_addresses(low, size, count)]
    return bytes(_with_columns(line * count, columns, 0)), _sums(columns)


@lru_cache(maxsize=64)  # a file's banks are alike
def _addresses(low: int, size: int, count: int) -> tuple[bytes, bytes]:
    """The high and the low bytes of the addresses of ``count`` records of ``size`` bytes."""
    words = array("H", range(low, low + count * size, size))
    if sys.byteorder == "little":
        words.byteswap()
    both = words.tobytes()
    return both[0::2], both[1::2]


@lru_cache(maxsize=64)
def _every_other(count: int) -> int:
    """As many bytes as a column has, of which the first, the third and so on have all bits set."""
    return int.from_bytes(b"\xff\0" * -(-count // 2), "little")


def _sums(columns: Sequence[bytes | bytearray]) -> bytes:
    """The sum, modulo 256, of each record, whose first bytes are the first column, and so on.

    Columns are added as numbers with digits of 16 bits: one sum has the records with even numbers, one the others.
    """
    count = len(columns[0])
    mask = _every_other(count)
    even = odd = 0
    for column in columns:
        number = int.from_bytes(column, "little")
        even += number & mask
        odd += number >> 8 & mask
    size = count + count % 2
    sums = bytearray(size)
    sums[0::2] = even.to_bytes(size, "little")[0::2]
    sums[1::2] = odd.to_bytes(size, "little")[0::2]
    return bytes(sums[:count])


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
    tail = text[-_TAIL:]
    if tail.rstrip() + line_end != tail:  # else nothing is copied
        text = text.rstrip() + line_end
    try:
        return merge(_data(text, line_end))
    except ValueError:
        return None


def _data(text: bytes, line_end: bytes) -> Iterator[Segment]:
    """The data of adjoining records of one size, run by run; ValueError: not plain."""
    base = at = 0
    longest = _SHORT_RUN
    while at < len(text):
        raw, size = _lines_of_one_size(text, at, longest, line_end)
        kind = raw[3]
        count = _adjoining(raw, size) if kind == _DATA else 1
        payload = _payload(raw, size, count)
        at += count * (2 * (size + _OVERHEAD) + 1 + len(line_end))
        if kind == _DATA:
            yield Segment(base + (raw[1] << 8 | raw[2]), payload)
            longest = min(max(4 * count, _SHORT_RUN), _LONG_RUN)
        elif kind == _END and at == len(text):
            return
        elif kind == _LINEAR_BASE and size == 2:
            base = int.from_bytes(payload, "big") << 16
        elif kind != _LINEAR_START or size != 4:
            raise ValueError(f"a record of type {kind} is not plain")
    raise ValueError("there is no end record")


def _lines_of_one_size(text: bytes, at: int, longest: int, line_end: bytes) -> tuple[bytes, int]:
    """The bytes of the records from ``at`` on, as many as have the first one's size, and that size.

    A record has ``_STRIDE`` bytes more than data; the last one has one byte less. Only of data is it more than one.
    """
    size = int(text[at + 1 : at + 3], 16)
    digits = 2 * (size + _OVERHEAD)
    width = 1 + digits + len(line_end)
    alone = not 0 < size <= _WIDEST or text[at + 7 : at + 9] != b"00"
    count = min(1 if alone else longest, (len(text) - at) // width)
    lines = text[at : at + count * width]
    for place, wanted in enumerate(b":" + text[at + 1 : at + 3]):
        column = lines[place::width][:count]
        count = len(column) - len(column.lstrip(bytes([wanted])))
    lines = lines[: count * width]
    ends = all(lines[1 + digits + i :: width] == bytes([byte]) * count for i, byte in enumerate(line_end))
    if not count or not ends:
        raise ValueError("this is not a record")
    if len(line_end) == 2:
        lines = lines.replace(b"\r", b"")
    return _bytes_of(lines, digits + 2, count), size


def _bytes_of(lines: bytes, width: int, count: int) -> bytes:
    """What digits of ``count`` lines of ``width`` characters stand for, with a zero where a line ends."""
    if len(lines) != count * width:
        raise ValueError("there is a line end inside of a record")
    plain = bytearray(lines)
    plain[0::width] = plain[width - 1 :: width] = b"0" * count
    return unhexlify(memoryview(plain)[1:-1])


def _adjoining(raw: bytes, size: int) -> int:
    """How many records, from the first on, are data of one bank without a gap."""
    stride = size + _STRIDE
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
    """The data of the first ``count`` records; ValueError where a checksum is wrong."""
    stride = size + _STRIDE
    end = count * stride
    columns = [raw[column:end:stride] for column in range(size + _OVERHEAD)]
    if any(_sums(columns)):
        raise ValueError("a checksum is wrong")
    data = bytearray(size * count)
    for place, column in enumerate(columns[4:-1]):
        data[place::size] = column
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
