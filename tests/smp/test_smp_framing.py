"""Every framing: round trip however the bytes are cut, and no harm from noise."""

from __future__ import annotations

from binascii import crc_hqx

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.smp.framing import ConsoleFraming, DatagramFraming, Framing, GattFraming, RawFraming
from smpdfu.smp.groups.os import Echo, EchoReply
from smpdfu.smp.message import MESSAGE_MAX, Header, Op

FRAMINGS: list[type[Framing]] = [ConsoleFraming, RawFraming, DatagramFraming, GattFraming]
STREAMS: list[type[Framing]] = [ConsoleFraming, RawFraming, GattFraming]
UNLIMITED = 1 << 30


def messages(largest: int = 600) -> st.SearchStrategy[bytes]:
    """Well-formed messages with any body."""

    def build(op: Op, version: int, sequence: int, body: bytes) -> bytes:
        return Header(op, version, 0, len(body), 1, sequence, 2).to_bytes() + body

    return st.builds(build, st.sampled_from(Op), st.integers(0, 1), st.integers(0, 255), st.binary(max_size=largest))


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """``data`` in pieces of these sizes, the last one repeated."""
    pieces = []
    while data:
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        pieces.append(data[:size])
        data = data[size:]
    return pieces


@pytest.mark.parametrize("kind", FRAMINGS)
def test_round_trip(kind: type[Framing]) -> None:
    @given(st.lists(messages(), max_size=4))
    def check(sent: list[bytes]) -> None:
        framing = kind()
        assert [message for one in sent for message in framing.feed(kind().encode(one))] == sent
        assert framing.take_text() == ""

    check()


@pytest.mark.parametrize("kind", STREAMS)
def test_streams_may_be_cut_anywhere(kind: type[Framing]) -> None:
    @given(st.lists(messages(200), max_size=4), st.lists(st.integers(1, 50), min_size=1))
    def check(sent: list[bytes], sizes: list[int]) -> None:
        framing = kind()
        stream = b"".join(framing.encode(message) for message in sent)
        assert [message for piece in cut(stream, sizes) for message in framing.feed(piece)] == sent

    check()


@pytest.mark.parametrize("kind", STREAMS)
def test_the_longest_message(kind: type[Framing]) -> None:
    framing = kind()
    size = framing.message_max(1 << 31, UNLIMITED)
    message = Header(Op.READ, 1, 0, size - 8, 1, 2, 3).to_bytes() + bytes(size - 8)
    assert framing.feed(framing.encode(message)) == [message]


@pytest.mark.parametrize("kind", FRAMINGS)
def test_noise_never_raises_nor_grows(kind: type[Framing]) -> None:
    @given(st.lists(st.one_of(st.binary(max_size=300), messages(50).map(kind().encode)), max_size=10))
    def check(pieces: list[bytes]) -> None:
        framing = kind()
        for piece in pieces:
            for message in framing.feed(piece):
                assert 8 <= len(message) <= MESSAGE_MAX
            framing.resync()

    check()


@pytest.mark.parametrize("kind", FRAMINGS)
@pytest.mark.parametrize("noise", [b"\x06\x09AAAA", b"x" * 1000, b"\x00\x00\xff\xff", b"\x04\x14////\n", b"\xff" * 999])
def test_memory_is_bounded(kind: type[Framing], noise: bytes) -> None:
    framing = kind()
    for _ in range(1 << 21 >> len(noise).bit_length()):
        framing.feed(noise)
    held = [value for value in vars(framing).values() if isinstance(value, (bytes, bytearray))]
    assert sum(map(len, held)) <= 2 * 65536 + 16384


# --- console --------------------------------------------------------------------------------------------------------

HELLO = Echo("hello").to_bytes(3)
ANSWER = Header(Op.WRITE_RSP, 1, 0, 9, 0, 3, 0).to_bytes() + EchoReply("hello").to_body()
FRAME = ConsoleFraming().encode(HELLO)


def test_console_lines() -> None:
    wire = ConsoleFraming().encode(Echo("x" * 400).to_bytes(0))
    lines = wire.splitlines(keepends=True)
    assert lines[0].startswith(b"\x06\x09")
    assert all(line.startswith(b"\x04\x14") for line in lines[1:])
    assert {len(line) for line in lines[:-1]} == {127}
    assert len(lines[-1]) <= 127


@pytest.mark.parametrize("length", [8, 20, 60, 64, 128, 512, 4096])
def test_console_line_length_is_a_matter_of_taste(length: int) -> None:
    message = Echo("x" * 400).to_bytes(0)
    wire = ConsoleFraming(length).encode(message)
    assert max(map(len, wire.splitlines(keepends=True))) <= length
    assert ConsoleFraming().feed(wire) == [message]


def test_console_line_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="no room"):
        ConsoleFraming(6)
    with pytest.raises(ValueError, match="cannot carry"):
        ConsoleFraming().encode(bytes(65534))


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        (b"I: booting\n" + FRAME, "I: booting\n"),
        (b"uart:~$ " + FRAME, "uart:~$ \n"),  # a prompt, then a frame
        (FRAME + b"after\r\n", "after\n"),
        (FRAME.replace(b"\n", b"\r\n"), ""),
        (FRAME[:12] + FRAME, ""),  # half a frame, cut without a newline
        (FRAME[:12] + b"\n" + FRAME, ""),
        (b"\x04\x14AAAA\n" + FRAME, ""),  # a further line of nothing
        (b"\n\r\n" + FRAME, ""),
        (b"\x06\x09!!!!\n" + FRAME, ""),
        (b"\x06\x09!!!!\n\x04\x14AAAA\n" + FRAME, ""),  # a further line of a broken frame
        (FRAME + b"\x04\x14AAAA\n", ""),  # and of one that is whole
        (b"\xc3\xa4\xff\n" + FRAME, "ä�\n"),
    ],
)
def test_console_finds_the_frame_and_keeps_the_text(wire: bytes, text: str) -> None:
    for step in (len(wire), 1):
        framing = ConsoleFraming()
        found = [message for piece in cut(wire, [step]) for message in framing.feed(piece)]
        assert found == [HELLO]
        assert framing.take_text() == text
        assert framing.take_text() == ""


def test_console_log_line_between_the_lines_of_a_frame() -> None:
    message = Echo("x" * 150).to_bytes(9)
    first, second, *_ = ConsoleFraming().encode(message).splitlines(keepends=True)
    framing = ConsoleFraming()
    assert framing.feed(first + b"<inf> hello\n" + second) == [message]
    assert framing.take_text() == "<inf> hello\n"


def packet(message: bytes, *, length: int = 0, crc: int = 0, more: bytes = b"") -> bytes:
    """A frame with chosen mistakes."""
    from base64 import b64encode

    size, check = len(message) + 2 + length, crc_hqx(message, 0) ^ crc
    return b"\x06\x09" + b64encode(size.to_bytes(2, "big") + message + check.to_bytes(2, "big") + more) + b"\n"


@pytest.mark.parametrize(
    "wire",
    [
        packet(HELLO, crc=1),
        packet(HELLO, length=-1),
        packet(HELLO, length=1),
        packet(HELLO, more=b"x"),
        packet(b""),
        packet(HELLO[:7]),
        packet(HELLO).replace(b"A", b"=", 1),
        packet(HELLO)[:-4] + b"\n",
    ],
)
def test_console_drops_damaged_packets(wire: bytes) -> None:
    framing = ConsoleFraming()
    assert framing.feed(wire) == []
    assert framing.feed(FRAME) == [HELLO]


def test_console_takes_lines_that_are_padded_or_cut_askew() -> None:
    whole = FRAME[2:-1]
    askew = b"\x06\x09" + whole[:5] + b"\n\x04\x14" + whole[5:7] + b"\n\x04\x14" + whole[7:] + b"\n"
    assert ConsoleFraming().feed(askew) == [HELLO]


def test_console_flips_never_pass() -> None:
    for position in range(len(FRAME)):
        for bit in range(8):
            wire = bytearray(FRAME)
            wire[position] ^= 1 << bit
            assert ConsoleFraming().feed(bytes(wire) + b"\n") in ([], [HELLO])


def test_console_keeps_the_newest_text() -> None:
    framing = ConsoleFraming()
    for number in range(20000):
        framing.feed(b"line %d\n" % number)
    text = framing.take_text()
    assert text.endswith("line 19999\n")
    assert len(text) <= 65536


# --- bare messages --------------------------------------------------------------------------------------------------


def test_raw_steps_over_bytes_that_are_no_header() -> None:
    assert RawFraming().feed(b"\xff\xfe*** Booting" + HELLO) == [HELLO]


def test_raw_forgets_half_a_message_when_told_to() -> None:
    framing = RawFraming()
    assert framing.feed(b"\x09\x00\x10\x00" + HELLO) == []
    assert framing.resync() == b""
    assert framing.feed(HELLO) == [HELLO]


def test_raw_finds_after_silence_what_a_stray_byte_hid() -> None:
    """A stray byte that could begin a header makes one of the bytes behind it, with a length that is wrong."""
    framing = RawFraming(answers=True)
    assert framing.feed(b"\x0b\x00\x0b" + ANSWER + ANSWER) == []
    assert framing.waits
    assert framing.settle() == [ANSWER, ANSWER]
    assert not framing.waits
    assert framing.feed(ANSWER) == [ANSWER]


def test_raw_knows_a_header_that_cannot_be() -> None:
    empty, flagged = b"\x0b\x00\x00\x00", b"\x0b\xff\x00\x09"  # a body has a byte at least, servers set no flags
    for stray in (empty, flagged):
        assert RawFraming(answers=True).feed(stray + ANSWER) == [ANSWER]
    for end in range(1, len(ANSWER)):
        framing = RawFraming(answers=True)
        assert framing.feed(b"\xff" + ANSWER[:end]) + framing.feed(ANSWER[end:]) == [ANSWER]


def test_raw_settles_for_nothing_when_only_noise_is_kept() -> None:
    framing = RawFraming(answers=True)
    assert framing.feed(b"\x0b\x00\xff\xff" + b"\x0b" * 3000) == []
    assert framing.settle() == []
    assert not framing.waits
    assert framing.feed(ANSWER) == [ANSWER]


@pytest.mark.parametrize("first", [0x00, 0x02, 0x0A, 0x0C, 0x13, 0x1B], ids=hex)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_raw_client_steps_over_whole_messages_that_are_no_answers(first: int, step: int) -> None:
    """Its own request from a line with an echo, or a version that is none: the bytes inside can look like answers."""
    for sequence in range(256):
        stranger = bytes([first, 0, 0, 11, 0, 0, sequence, 6]) + bytes.fromhex("a2636f6666006172626e6f")
        answer = bytes([9, 0, 0, 1, 0, 0, sequence, 6, 0xA0])
        framing, wire = RawFraming(answers=True), stranger + answer
        found = [one for at in range(0, len(wire), step) for one in framing.feed(wire[at : at + step])]
        assert found == [stranger, answer]
        assert not framing.waits


def test_a_raw_client_waits_for_no_text() -> None:
    """Text can begin a header for a client no more than noise can: what it says is stepped over at once."""
    framing = RawFraming(answers=True)
    assert framing.feed(b"\r\n*** Booting Zephyr OS ***\r\nI: ready\r\n" + ANSWER) == [ANSWER]


def test_messages_of_bluetooth_may_pause() -> None:
    framing = GattFraming()
    assert framing.feed(HELLO[:9]) == []
    assert not framing.waits


def test_gatt_starts_afresh_with_a_notification() -> None:
    framing = GattFraming()
    assert framing.feed(b"\xff" + HELLO) == []
    assert framing.feed(HELLO[:5]) == []
    assert framing.feed(HELLO[5:]) == [HELLO]


def test_datagram_of_no_message_length_is_dropped() -> None:
    assert DatagramFraming().feed(HELLO[:7]) == []
    assert DatagramFraming().feed(bytes(MESSAGE_MAX + 1)) == []


# --- sizes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("framing", "buf_size", "max_write", "longest"),
    [
        (ConsoleFraming(), 384, UNLIMITED, 380),
        (ConsoleFraming(), None, UNLIMITED, 252),
        (ConsoleFraming(), 1 << 31, UNLIMITED, 65533),
        (RawFraming(), 384, UNLIMITED, 384),
        (RawFraming(), None, UNLIMITED, 256),
        (DatagramFraming(), 2048, 1472, 1472),
        (DatagramFraming(), 512, 1472, 512),
        (DatagramFraming(), None, 1472, 1472),
        (GattFraming(), 2475, 244, 2475),
        (GattFraming(), None, 244, 244),
    ],
)
def test_longest_message(framing: Framing, buf_size: int | None, max_write: int, longest: int) -> None:
    assert framing.message_max(buf_size, max_write) == longest


@pytest.mark.parametrize("kind", [ConsoleFraming, RawFraming])
def test_newline_ends_what_was_cut_on_a_console_only(kind: type[Framing]) -> None:
    assert kind().resync() == (b"\x06\x09\n" if kind is ConsoleFraming else b"")
