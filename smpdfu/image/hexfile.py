"""Intel HEX: text to segments of memory and back.

Source: Intel, "Hexadecimal Object File Format Specification", revision A. The text that is written is the one of the
IntelHex package, which imgtool uses: 16 bytes a record, upper case, an extended linear address record wherever the
upper 16 bits change (and at the start, when any address needs them).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from smpdfu.errors import FormatError

_DATA, _END, _LINEAR_BASE, _LINEAR_START = 0, 1, 4, 5
_COLON = ord(":")
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

    What build tools write is read here, quickly; whatever is out of the ordinary is IntelHex's to read or to refuse.
    Raises ``FormatError`` with the offset of the line that is wrong: no record, bad checksum, cut off, overlapping.
    """
    segments = _plain(text)
    return _odd(text) if segments is None else segments


def _plain(text: bytes) -> tuple[Segment, ...] | None:
    """Data by linear addresses up to the end record; None where there is anything else."""
    lines = text.split()
    try:
        raw = bytes.fromhex(b"".join(lines).replace(b":", b"").decode("ascii"))
        parts = list(_data(lines, raw))
        whole = sum(map(len, lines)) - len(lines) == 2 * len(raw)  # one colon a line
        return merge(Segment(address, b"".join(data)) for address, data in parts) if whole else None
    except (ValueError, IndexError):
        return None


def _data(lines: list[bytes], raw: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Address and data of each run of adjoining records. ``raw`` is all records; ValueError: not plain."""
    base = at = next_address = 0
    run: list[bytes] = []
    for number, line in enumerate(lines, 1):
        end = at + raw[at] + 5
        record, at = raw[at:end], end
        kind, size = record[3], len(record) - 5
        if line[0] != _COLON or len(line) != 2 * len(record) + 1 or sum(record) & 0xFF or size != record[0]:
            raise ValueError(f"line {number} is no record")
        if kind == _DATA:
            address = base + (record[1] << 8 | record[2])
            if address != next_address and run:
                yield next_address - sum(map(len, run)), run
                run = []
            run.append(record[4:-1])
            next_address = address + size
        elif kind == _END and number == len(lines):
            yield next_address - sum(map(len, run)), run
            return
        elif kind == _LINEAR_BASE and size == 2:
            base = int.from_bytes(record[4:6], "big") << 16
        elif kind != _LINEAR_START or size != 4:
            raise ValueError(f"line {number} is not plain")
    raise ValueError("there is no end record")


def _odd(text: bytes) -> tuple[Segment, ...]:
    from intelhex import IntelHex, IntelHexError  # rarely needed, and slow

    memory = IntelHex()
    try:
        memory.loadhex(io.StringIO(text.decode("latin-1"), newline=None))
    except IntelHexError as error:
        offset = _offset(text, getattr(error, "line", None))
        raise FormatError(f"this is no proper Intel HEX: {error}", offset) from None
    if not re.search(rb"(?mi)^:00[0-9a-f]{4}01", text):
        raise FormatError("the hex file is cut off: it has no end record", len(text))
    try:
        return tuple(Segment(start, memory.tobinstr(start, end - 1)) for start, end in memory.segments())
    except ValueError as error:
        raise FormatError(f"the hex file runs over the end of memory: {error}") from None


def _offset(text: bytes, line: int | None) -> int | None:
    return None if line is None else sum(map(len, text.splitlines(keepends=True)[: line - 1]))


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
