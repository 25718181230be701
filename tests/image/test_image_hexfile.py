"""Intel HEX: the text is the one of the IntelHex package, and what is not Intel HEX is one named error."""

from __future__ import annotations

import io
from binascii import unhexlify
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intelhex import IntelHex

from smpdfu.errors import FormatError
from smpdfu.image import hexfile
from smpdfu.image.hexfile import Segment, decode, encode, is_hex, merge


@st.composite
def layouts(draw: st.DrawFn) -> tuple[Segment, ...]:
    """Segments that do not overlap, near the borders that matter: 16 bytes, 64 KiB."""
    address = draw(st.sampled_from((0, 1, 0xC200, 0xFFE0, 0xFFFF, 0x1_0000, 0x0100_8800, 0xFFFE_FFF0)))
    segments = []
    for _ in range(draw(st.integers(1, 4))):
        data = draw(st.binary(max_size=50))
        segments.append(Segment(address, data))
        address += len(data) + draw(st.sampled_from((0, 1, 7, 16, 40, 0x4321)))
    return tuple(segments)


@given(layouts())
def test_the_text_is_intelhexs(segments: tuple[Segment, ...]) -> None:
    memory, text = IntelHex(), io.StringIO()
    for segment in segments:
        memory.frombytes(segment.data, segment.address)
    memory.write_hex_file(text)
    assert encode(segments).decode() == text.getvalue().replace("\r\n", "\n")


@given(layouts(), st.sampled_from((b"\n", b"\r\n", b"\r", b"\n\n")), st.booleans())
def test_what_is_written_is_read_back(segments: tuple[Segment, ...], end: bytes, lower: bool) -> None:
    text = encode(segments).replace(b"\n", end)
    assert decode(text.lower() if lower else text) == merge(segments)
    assert is_hex(text)


@pytest.mark.parametrize(
    "segment", [Segment(0xFFF0, bytes(16)), Segment(0xFFF0, bytes(17)), Segment(2**32 - 5, b"12345")]
)
def test_the_borders_are_intelhexs(segment: Segment) -> None:
    memory, text = IntelHex(), io.StringIO()
    memory.frombytes(segment.data, segment.address)
    memory.write_hex_file(text)
    assert encode([segment]).decode() == text.getvalue().replace("\r\n", "\n")
    assert decode(encode([segment])) == (segment,)


RECORDS = (b":020000040001F9", b":020000021000EC", b":0100000041BE", b":0100010042BC")
START = b":040000050000800176"


@settings(max_examples=200)
@given(st.lists(st.sampled_from(RECORDS), max_size=5), st.booleans(), st.sampled_from((b"\n", b"\r\n")))
def test_whatever_is_read_is_what_intelhex_reads(records: list[bytes], start: bool, end: bytes) -> None:
    text = end.join([*records, *([START] if start else []), b":00000001FF"])
    try:
        found = decode(text)
    except FormatError:
        return
    memory = IntelHex(io.StringIO(text.decode(), newline=None))
    assert {at + i: byte for at, data in ((s.address, s.data) for s in found) for i, byte in enumerate(data)} == {
        address: memory[address] for address in memory.addresses()
    }


def record(kind: int, low: int, data: bytes) -> bytes:
    body = bytes((len(data), low >> 8, low & 0xFF, kind)) + data
    return b":" + (body + bytes([-sum(body) & 0xFF])).hex().encode() + b"\n"


@given(layouts(), st.lists(st.integers(1, 255), min_size=1, max_size=3), st.booleans())
def test_records_of_any_size_are_read_without_intelhex(
    segments: tuple[Segment, ...], sizes: list[int], whole: bool
) -> None:
    lines, bank, number = [record(4, 0, bytes(2))], 0, 0
    for segment in segments:
        at = segment.address
        while at < segment.end:
            if at >> 16 != bank:
                bank = at >> 16
                lines.append(record(4, 0, bank.to_bytes(2, "big")))
            end = min(at + sizes[number % len(sizes)], segment.end, (bank + 1) << 16)
            lines.append(record(0, at & 0xFFFF, segment.data[at - segment.address : end - segment.address]))
            at, number = end, number + 1
    lines += [record(5, 0, bytes(4)), record(1, 0, b"")]
    text = b"".join(lines) if whole else b"".join(lines).rstrip()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smpdfu.image.hexfile._odd", lambda _: pytest.fail("this is plain"))
        assert decode(text) == merge(segments)


@given(st.integers(0, 1 << 17), st.integers(1, 20_000), st.data())
def test_long_runs_are_read_as_intelhex_reads_them(address: int, size: int, data: st.DataObject) -> None:
    segment = Segment(address, bytes(index * 31 >> 3 & 0xFF for index in range(size)))
    lines = encode([segment]).splitlines(keepends=True)
    gone = data.draw(st.integers(0, len(lines) - 2))
    if lines[gone].startswith(b":02000004"):
        return
    del lines[gone]
    memory = IntelHex(io.StringIO(b"".join(lines).decode()))
    found = decode(b"".join(lines))
    assert [(one.address, one.end) for one in found] == memory.segments()
    assert all(one.data == memory.tobinstr(one.address, one.end - 1) for one in found)


def test_the_shortest_file_looks_like_hex() -> None:
    assert is_hex(b":00000001FF")
    assert decode(b":00000001FF") == ()


@pytest.mark.parametrize("last", [b":020000040001F9\n", b":020000040001F9\n:0100000000FF\n", b":0000000000\n"])
def test_no_pattern_of_records_is_read_many_times(last: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a long run many records are looked at together: not again and again if they are not alike."""
    text = encode([Segment(0, bytes(0x10000))]).removesuffix(b":00000001FF\n") + last * 4000 + b":00000001FF\n"
    looked_at = 0

    def noted(digits: bytes) -> bytes:
        nonlocal looked_at
        looked_at += len(digits)
        return unhexlify(digits)

    monkeypatch.setattr(hexfile, "unhexlify", noted)
    with suppress(FormatError):  # the second one has an address twice
        decode(text)
    assert looked_at < 3 * len(text)


def test_a_segment_longer_than_a_bank() -> None:
    segment = Segment(0xFFF8, bytes(range(256)) * 600)
    assert decode(encode([segment])) == (segment,)


def test_intelhexs_own_records_are_read() -> None:
    lines = [
        ":020000021000EC",  # segment base 0x10000
        ":0300100041424327",
        ":0400000300003800C1",  # start address: passed over
        ":020000040100F9",  # linear base 0x01000000
        ":01000000AA55",
        ":00000001FF",
        "what comes after the end does not count",
    ]
    assert decode("\n".join(lines).encode()) == (Segment(0x10010, b"ABC"), Segment(0x0100_0000, b"\xaa"))


def test_order_does_not_matter() -> None:
    one, other = encode([Segment(0x20, b"b")]), encode([Segment(0x10, b"a")])
    text = one.replace(b":00000001FF\n", b"") + other
    assert decode(text) == (Segment(0x10, b"a"), Segment(0x20, b"b"))


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        (b"", 0, "cut off: it has no end record"),
        (b":0100000041BE\n", 14, "cut off: it has no end record"),
        (b":0100000041BF\n:00000001FF\n", 0, "line 1 .*checksum"),
        (b":0100000041BE\nhello\n", 14, "invalid record at line 2"),
        (b":0100000041BE\n:0100010041\n", 14, "line 2 has invalid length"),
        (b":0100000041BE00\n", 0, "line 1 has invalid length"),
        (b":01000000 41BE\n", 0, "invalid record at line 1"),
        (b":010000004\n", 0, "invalid record at line 1"),
        (b":01000000xxBE\n", 0, "invalid record at line 1"),
        (b":\n", 0, "invalid record at line 1"),
        (b":\xff\xff\n", 0, "invalid record at line 1"),
        (b":00000006FA\n", 0, "line 1 has invalid record type"),
        (b":0100000401FA\n", 0, "Linear Address Record at line 1"),
        (b":0100000041BE\n:0100000042BD\n:00000001FF\n", 14, "overlap at address 0x0 on line 2"),
        (b":02000004FFFFFC\n:02FFFF004142" + b"7D\n:00000001FF\n", None, "end of memory"),
    ],
)
def test_what_is_not_intel_hex_is_told_with_its_line(text: bytes, offset: int | None, words: str) -> None:
    with pytest.raises(FormatError, match=words) as caught:
        decode(text)
    assert caught.value.offset == offset


@settings(max_examples=200)
@given(layouts(), st.data())
def test_every_changed_byte_is_noticed(segments: tuple[Segment, ...], data: st.DataObject) -> None:
    text = bytearray(encode(segments))
    position = data.draw(st.integers(0, len(text) - 1))
    text[position] = data.draw(st.integers(0, 255))
    try:
        found = decode(bytes(text))
    except FormatError:
        return
    assert found == merge(segments)  # another line end, a small letter


@given(st.binary(max_size=100).map(lambda data: b":" + data) | st.text().map(str.encode))
def test_garbage_is_a_format_error(text: bytes) -> None:
    with pytest.raises(FormatError):
        decode(text)


@given(layouts())
@settings(max_examples=30)
def test_a_file_that_is_cut_off_is_noticed(segments: tuple[Segment, ...]) -> None:
    text = encode(segments)
    for size in range(len(text) - 1):
        with pytest.raises(FormatError):
            decode(text[:size])


def test_overlapping_segments_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="twice"):
        encode([Segment(0, b"ab"), Segment(1, b"c")])


@pytest.mark.parametrize(("address", "size"), [(-1, 1), (2**32 - 1, 2), (2**32, 1)])
def test_segments_lie_in_32_bits(address: int, size: int) -> None:
    with pytest.raises(ValueError, match="32 bits"):
        Segment(address, bytes(size))


@pytest.mark.parametrize("text", [b":10C20000", b"hello", b"", b"\n\n", b":", b";00000001FF", b":00000001F!"])
def test_what_does_not_look_like_hex(text: bytes) -> None:
    assert not is_hex(text)
