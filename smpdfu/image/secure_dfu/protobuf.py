"""As much of protobuf's wire format as init packets need: fields of messages, to and from bytes.

The reader is bounded by the bytes that it gets: no number has more than ten bytes, no list is longer than its message,
and nothing nests here (a message in a field is bytes, until its own reader takes them). Source: "Encoding" in the
documentation of Protocol Buffers. Why no protobuf package: ADR 14.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from smpdfu.errors import FormatError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types. Groups (3 and 4) are in no init packet."""

MAX_UINT32 = 0xFFFFFFFF
_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}
_MAX_VARINT_BYTES = 10


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message: a number for ``VARINT``, bytes for the other wire types."""

    number: int
    wire_type: int
    value: int | bytes

    def to_bytes(self) -> bytes:
        """The field as it stands in its message."""
        key = encode_varint(self.number << 3 | self.wire_type)
        if isinstance(self.value, int):
            return key + encode_varint(self.value)
        return key + (encode_varint(len(self.value)) if self.wire_type == BYTES else b"") + self.value


def number_field(number: int, value: int) -> Field:
    """A field that holds a number (uint32, bool or enum)."""
    return Field(number, VARINT, value)


def bytes_field(number: int, value: bytes) -> Field:
    """A field that holds bytes or a message."""
    return Field(number, BYTES, value)


def encode(fields: Iterable[Field]) -> bytes:
    """A message of these fields, in this order."""
    return b"".join(field.to_bytes() for field in fields)


def encode_varint(value: int) -> bytes:
    """A number of 0 to 2**64 - 1, in as few bytes as possible; ``ValueError`` for another."""
    if not 0 <= value < 1 << 64:
        raise ValueError(f"{value} does not fit 64 bits")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode(data: bytes) -> Iterator[Field]:
    """The fields of a message, in order; raises ``FormatError`` with the offset of the one that is wrong."""
    return (field for field, _ in _placed(data))


def from_field_on(data: bytes, number: int) -> bytes:
    """The value of the first field with this number, and all bytes behind it; empty without the field."""
    return next((data[at:] for field, at in _placed(data) if field.number == number), b"")


def _placed(data: bytes) -> Iterator[tuple[Field, int]]:
    """Each field, and where its value begins."""
    at = 0
    while at < len(data):
        start = at
        key, at = _varint(data, at)
        kind = key & 7
        value: int | bytes
        if kind == VARINT:
            begin = at
            value, at = _varint(data, at)
        elif kind in (BYTES, *_FIXED_SIZES):
            size, begin = _varint(data, at) if kind == BYTES else (_FIXED_SIZES[kind], at)
            value, at = data[begin : begin + size], begin + size
        else:
            raise FormatError(f"the init packet has a field of the unknown wire type {kind} at byte {start}", start)
        if at > len(data):
            raise FormatError(f"the init packet is cut off in the field at byte {start}", start)
        yield Field(key >> 3, kind, value), begin


def decode_packed(data: bytes) -> Iterator[int]:
    """The numbers of a packed repeated field."""
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and where the next byte is. Bits above the 64th are dropped, as protobuf does."""
    value = 0
    for place in range(_MAX_VARINT_BYTES):
        if at + place >= len(data):
            raise FormatError(f"the init packet is cut off in the number at byte {at}", at)
        value |= (data[at + place] & 0x7F) << 7 * place
        if data[at + place] < 0x80:
            return value & 0xFFFFFFFF_FFFFFFFF, at + place + 1
    raise FormatError(f"the init packet has a number of more than ten bytes at byte {at}", at)


class Message:
    """The fields of a message by their numbers. What is not asked for is ``rest``, to be kept and written back.

    A number that stands twice counts in its last place, as in protobuf. A message or bytes that stand twice are
    ambiguous (protobuf merges messages, small readers take one), so they are a ``FormatError``.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self._fields = list(decode(data))
        self._name = name
        self._asked: set[int] = set()

    def number(self, number: int, limit: int = MAX_UINT32) -> int | None:
        """The number in this field; None without the field. ``FormatError`` for more than ``limit``."""
        found = [value for value in self._values(number, "a number") if isinstance(value, int)]
        for value in found:
            self._bounded(value, limit)
        return found[-1] if found else None

    def numbers(self, number: int, limit: int = MAX_UINT32) -> tuple[int, ...]:
        """All numbers in this repeated field, packed or not."""
        values: list[int] = []
        for value in self._values(number):
            values += [value] if isinstance(value, int) else decode_packed(value)
        for one in values:
            self._bounded(one, limit)
        return tuple(values)

    def data(self, number: int) -> bytes | None:
        """The bytes or the message in this field; None without it. ``FormatError`` if the field is there twice."""
        found = self.all_data(number)
        if len(found) > 1:
            raise FormatError(f"the {self._name} has field {number} twice: readers do not agree which one counts")
        return found[0] if found else None

    def all_data(self, number: int) -> tuple[bytes, ...]:
        """The bytes or messages of this repeated field."""
        return tuple(value for value in self._values(number, "bytes") if isinstance(value, bytes))

    @property
    def rest(self) -> tuple[Field, ...]:
        """The fields that nobody asked for, in order."""
        return tuple(field for field in self._fields if field.number not in self._asked)

    def _values(self, number: int, kind: str = "") -> list[int | bytes]:
        self._asked.add(number)
        wanted = {"a number": (VARINT,), "bytes": (BYTES,)}.get(kind, (VARINT, BYTES))
        found = [field for field in self._fields if field.number == number]
        if any(field.wire_type not in wanted for field in found):
            raise FormatError(f"field {number} of the {self._name} does not hold {kind or 'numbers'}")
        return [field.value for field in found]

    def _bounded(self, value: int, limit: int) -> None:
        if value > limit:
            raise FormatError(f"the {self._name} has the number {value}, which is more than {limit}")
