"""CBOR: what we write others read, what others write we read, and nothing breaks the reader."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.errors import RemoteProtocolError
from smpdfu.smp import cbor

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(cbor.NINT_MIN, cbor.UINT_MAX),
    st.binary(max_size=300),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
)
ITEMS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text("abcdef", max_size=4), inner)),
    max_leaves=12,
)


@given(ITEMS)
def test_what_is_written_is_read_back(item: object) -> None:
    assert cbor.loads(cbor.dumps(item)) == item


@given(st.integers(0, cbor.UINT_MAX), st.binary(max_size=300))
def test_heads_are_those_of_cbor2(value: int, data: bytes) -> None:
    assert cbor.head(cbor.UINT, value) == cbor2.dumps(value)
    assert cbor.head(cbor.BYTES, len(data)) + data == cbor2.dumps(data)
    assert len(cbor.head(cbor.UINT, value)) == cbor.head_size(value)


@given(ITEMS)
def test_indefinite_lengths_are_read(item: object) -> None:
    assert cbor.loads(cbor2.dumps(item, indefinite_containers=True)) == item


@given(ITEMS, st.binary(max_size=20))
def test_what_follows_the_item_is_left_alone(item: object, rest: bytes) -> None:
    assert cbor.loads(cbor.dumps(item) + rest) == item


@pytest.mark.parametrize("tag", [*range(300), 1004, 43000, 55799])
def test_no_tag_is_followed(tag: int) -> None:
    with pytest.raises(RemoteProtocolError, match="tag"):
        cbor.loads(b"\xd9" + tag.to_bytes(2, "big") + b"\x00")


@given(st.binary(max_size=200))
def test_garbage_gives_one_named_error(data: bytes) -> None:
    with suppress(RemoteProtocolError):
        cbor.loads(data)


@given(ITEMS, st.data())
def test_a_flipped_or_cut_message_gives_one_named_error(item: object, draw: st.DataObject) -> None:
    data = bytearray(cbor.dumps(item))
    data[draw.draw(st.integers(0, len(data) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    for broken in (bytes(data), cbor.dumps(item)[:-1]):
        with suppress(RemoteProtocolError):
            cbor.loads(broken)


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ("bfff", {}),
        ("bf616101ff", {"a": 1}),
        ("bf61619f0102ffff", {"a": [1, 2]}),
        ("9f9fff80ff", [[], []]),
        ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"),
        ("7f657374726561646d696e67ff", "streaming"),
        ("1b00000000000000ff", 255),  # longer than it must be
        ("63ff6162", "�ab"),
    ],
)
def test_forms_that_devices_send(encoded: str, value: Any) -> None:
    assert cbor.loads(bytes.fromhex(encoded)) == value


@pytest.mark.parametrize(
    "encoded",
    [
        "",  # nothing
        "a1",  # ends in a map
        "a2616101616102",  # a key twice
        "a10000",  # a key that is a number
        "a1f400",  # a key that is a boolean
        "c11a514b67b0",  # a tag: a date
        "c249010000000000000000",  # a tag: a big number
        "d81c81d81d00",  # tags: an array that holds itself
        "d823635b612b",  # a tag: a regular expression
        "d90fa000",  # a tag that nobody knows
        "a1800000",  # a key that is an array
        "1c",  # reserved
        "df",  # an indefinite tag
        "1f",  # an indefinite integer
        "ff",  # a break alone
        "5f6161ff",  # text in bytes
        "5f5f4101ffff",  # indefinite in indefinite
        "bf6161ff",  # a key without a value
        "9bffffffffffffffff",  # as many entries as there are atoms
        "bb7fffffffffffffff",
        "5bffffffffffffffff00",
        "f818",  # an unknown simple value
    ],
)
def test_refused(encoded: str) -> None:
    with pytest.raises(RemoteProtocolError):
        cbor.loads(bytes.fromhex(encoded))


@pytest.mark.parametrize("opening", [b"\x81", b"\x9f", b"\xa1\x61a", b"\xbf\x61a"])
def test_deep_nesting_is_refused_not_followed(opening: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="depth"):
        cbor.loads(opening * 5000)


@given(st.integers(0, cbor.UINT_MAX))
def test_head_size_is_the_size_of_the_head(argument: int) -> None:
    assert cbor.head_size(argument) == len(cbor.dumps(argument))


@pytest.mark.parametrize("opening", [b"\x81", b"\x9f", b"\xa1\x61a", b"\xbf\x61a"])
def test_nesting_has_a_bound_of_our_own(opening: bytes) -> None:
    """Of every kind of container, and well below what the decoder would take by itself."""
    closing = b"\xff" if opening[0] & 0x1F == 0x1F else b""
    assert cbor.loads(opening * (cbor.MAX_DEPTH - 1) + b"\x00" + closing * (cbor.MAX_DEPTH - 1))
    with pytest.raises(RemoteProtocolError):
        cbor.loads(opening * (cbor.MAX_DEPTH + 2) + b"\x00" + closing * (cbor.MAX_DEPTH + 2))
