"""SLIP frames: every message survives, damage costs no more than the frames that it touches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.securedfu.protocol.slip import SlipDecoder, encode, payload_max
from smpdfu.virtual.nrf52.slip_receiver import SlipReceiver

MESSAGES = st.lists(st.binary(min_size=1, max_size=60), max_size=8)
SPECIAL = st.lists(st.sampled_from([0xC0, 0xDB, 0xDC, 0xDD, 0x00]), min_size=1, max_size=40).map(bytes)


@pytest.mark.parametrize(
    ("message", "frame"),
    [("0907", "0907c0"), ("08c0", "08dbdcc0"), ("08db", "08dbddc0"), ("08dbdc", "08dbdddcc0"), ("c0db", "dbdcdbddc0")],
)
def test_a_message_has_this_frame(message: str, frame: str) -> None:
    assert encode(bytes.fromhex(message)).hex() == frame
    assert SlipDecoder(60).feed(bytes.fromhex(frame)) == [bytes.fromhex(message)]


def test_an_empty_frame_is_never_sent_and_is_skipped() -> None:
    with pytest.raises(ValueError, match="empty"):
        encode(b"")
    decoder = SlipDecoder(60)
    assert decoder.feed(b"\xc0\xc0" + encode(b"a") + b"\xc0") == [b"a"]
    assert decoder.damaged == 0


@given(MESSAGES, st.integers(1, 7))
def test_messages_survive_any_cut(messages: list[bytes], step: int) -> None:
    stream = b"".join(map(encode, messages))
    decoder = SlipDecoder(60)
    found = [one for at in range(0, len(stream), step) for one in decoder.feed(stream[at : at + step])]
    assert found == messages
    assert decoder.damaged == 0


@given(st.lists(SPECIAL, max_size=6))
def test_messages_of_special_bytes_survive(messages: list[bytes]) -> None:
    decoder = SlipDecoder(40)
    assert [one for message in messages for byte in encode(message) for one in decoder.feed(bytes([byte]))] == messages


@given(st.binary(max_size=400), st.integers(1, 9))
def test_garbage_keeps_no_more_than_its_bound_and_the_next_frame_counts(garbage: bytes, step: int) -> None:
    decoder = SlipDecoder(20)
    found = [one for at in range(0, len(garbage), step) for one in decoder.feed(garbage[at : at + step])]
    assert all(0 < len(one) <= 20 for one in found)
    decoder.feed(b"\xc0")  # the end of what was under way
    assert decoder.feed(encode(b"next")) == [b"next"]


@given(MESSAGES, st.data())
def test_damage_touches_its_own_frame_and_at_most_the_next(messages: list[bytes], data: st.DataObject) -> None:
    stream = bytearray(b"".join(map(encode, [*messages, b"last", b"one"])))
    at = data.draw(st.integers(0, len(stream) - len(encode(b"last") + encode(b"one")) - 1)) if messages else 0
    stream[at] ^= data.draw(st.integers(1, 255))
    found = SlipDecoder(200).feed(bytes(stream))
    assert found[-1] == b"one"


def test_a_frame_that_is_too_long_is_dropped_to_its_end() -> None:
    decoder = SlipDecoder(3)
    assert decoder.feed(b"abcd") == []
    assert decoder.feed(b"efg\xc0" + encode(b"abc")) == [b"abc"]
    assert decoder.damaged == 1


@pytest.mark.parametrize("frame", ["61db62c0", "61dbc0", "61dbdbdcc0"])
def test_an_escape_that_means_nothing_drops_its_frame(frame: str) -> None:
    decoder = SlipDecoder(60)
    assert decoder.feed(bytes.fromhex(frame) + encode(b"next")) == [b"next"]
    assert decoder.damaged == 1


@pytest.mark.parametrize(("mtu", "size"), [(131, 60), (130, 60), (2051, 1020), (4, 4), (0, 4)])
def test_the_bytes_of_one_write(mtu: int, size: int) -> None:
    assert payload_max(mtu) == size


@given(st.integers(14, 3000))
def test_two_writes_with_a_damaged_end_between_them_leave_the_bootloader_able_to_hear(mtu: int) -> None:
    write = encode(b"\x08" + b"a" * payload_max(mtu))
    receiver = SlipReceiver(mtu)
    receiver.feed(write[:-1] + b"\xc1" + write)
    assert not receiver.deaf
    assert receiver.feed(encode(b"next")) == [b"next"]
