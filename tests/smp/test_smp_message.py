"""Headers, bodies, requests and responses, over the whole registry."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smpdfu.errors import LocalProtocolError, RemoteProtocolError
from smpdfu.smp import cbor
from smpdfu.smp.body import Body
from smpdfu.smp.groups import RCS, REQUESTS, find_request, rc_name
from smpdfu.smp.groups.image import ImageRc, ImageUpload, StateReply
from smpdfu.smp.groups.os import BootloaderInfoReply, Echo, ParamsReply, Reset
from smpdfu.smp.groups.raw import RawRequest
from smpdfu.smp.message import HEADER_SIZE, Header, MgmtRc, Op, Refusal, Request, Response, decode_map, split_message

KINDS: list[type[Body]] = [*REQUESTS, *dict.fromkeys(kind.response for kind in REQUESTS)]
HEADERS = st.builds(
    Header,
    st.sampled_from(Op),
    st.integers(0, 3),
    st.integers(0, 255),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
    st.integers(0, 255),
    st.integers(0, 255),
)


def name(value: object) -> str:
    return getattr(value, "__name__", str(value))


@given(HEADERS)
def test_header_round_trip(header: Header) -> None:
    assert Header.from_bytes(header.to_bytes()) == header


@given(st.binary(max_size=20))
def test_any_bytes_are_a_header_that_writes_itself_or_a_named_error(data: bytes) -> None:
    try:
        header = Header.from_bytes(data)
    except RemoteProtocolError:
        assert len(data) < HEADER_SIZE or data[0] & 0xE4
    else:
        assert header.to_bytes() == data[:HEADER_SIZE]


@pytest.mark.parametrize(
    "changes",
    [{"version": 4}, {"version": -1}, {"length": 65536}, {"group": -1}, {"sequence": 256}, {"command": 256}],
    ids=str,
)
def test_a_header_that_does_not_fit_is_a_value_error(changes: dict[str, int]) -> None:
    header = dataclasses.replace(Header(Op.READ, 1, 0, 0, 0, 0, 0), **changes)  # type: ignore[arg-type]  # ints all
    with pytest.raises(ValueError, match="fit"):
        header.to_bytes()


def test_a_message_whose_length_lies_is_refused() -> None:
    message = Echo("x").to_bytes(1)
    assert split_message(message).header.length == len(message) - HEADER_SIZE
    for wrong in (message[:-1], message + b"\0", message[:7], b""):
        with pytest.raises(RemoteProtocolError):
            split_message(wrong)


def test_a_reply_repeats_what_identifies_the_request() -> None:
    request = split_message(Echo("x").to_bytes(7)).header
    reply = split_message(request.reply(b"\xa0")).header
    assert (reply.op, reply.sequence, reply.group, reply.command) == (Op.WRITE_RSP, 7, 0, 0)
    with pytest.raises(ValueError, match="has no answer"):
        reply.reply(b"\xa0")


# --- bodies, over the registry --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=name)
def test_body_round_trip(kind: type[Body], bodies: Callable[[type[Body]], st.SearchStrategy[Body]]) -> None:
    @given(bodies(kind))
    @settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
    def check(body: Body) -> None:
        assert kind.from_map(decode_map(body.to_body())) == body
        entries = body.to_map()
        assert None not in entries.values()
        # Newer devices send more: keys that we do not know do no harm.
        assert kind.from_map(decode_map(cbor.dumps({"unknown": [1], **entries}))) == body

    check()


@pytest.mark.parametrize("kind", KINDS, ids=name)
def test_any_map_is_a_body_or_a_named_error(kind: type[Body]) -> None:
    keys = [field.metadata.get("key", field.name) for field in dataclasses.fields(kind)]
    junk = st.one_of(
        st.none(), st.booleans(), st.integers(-(2**64), 2**64 - 1), st.binary(max_size=4), st.text("ab", max_size=3)
    )
    nested = st.one_of(junk, st.lists(st.one_of(junk, st.dictionaries(st.sampled_from(["slot", "image"]), junk))))

    @given(st.dictionaries(st.sampled_from([*keys, "other"]), nested))
    @settings(max_examples=40)
    def check(entries: dict[str, object]) -> None:
        try:
            body = kind.from_map(decode_map(cbor.dumps(entries)))
        except RemoteProtocolError:
            return
        assert kind.from_map(decode_map(body.to_body())) == body

    check()


def test_body_names_the_field_that_is_wrong() -> None:
    for body, words in [
        (b"\x80", "an array, not a map"),
        (cbor.dumps({"buf_size": 1}), "ParamsReply.buf_count is missing"),
        (cbor.dumps({"buf_size": "1", "buf_count": 1}), "ParamsReply.buf_size is text, not an integer"),
        (cbor.dumps({"buf_size": -1, "buf_count": 1}), "ParamsReply.buf_size is -1, outside 0 to"),
        (cbor.dumps({"buf_size": True, "buf_count": 1}), "ParamsReply.buf_size is a boolean"),
    ]:
        with pytest.raises(RemoteProtocolError, match=words):
            ParamsReply.from_map(decode_map(body))
    with pytest.raises(RemoteProtocolError, match=r"ImageSlot\.slot is missing"):
        StateReply.from_map(decode_map(cbor.dumps({"images": [{"version": "1.0.0"}]})))


def test_our_own_mistakes_are_value_errors() -> None:
    wrong: list[Request[Any]] = [Echo(5), Reset(force=256), Reset(boot_mode=True), ImageUpload(off=0, data="x")]  # type: ignore[arg-type]  # on purpose
    for request in wrong:
        with pytest.raises(ValueError, match="must be"):
            request.to_bytes(0)
    with pytest.raises(LocalProtocolError, match="more than SMP can carry"):
        ImageUpload(off=0, data=bytes(70000)).to_bytes(0)
    with pytest.raises(ValueError, match="version"):
        Echo().to_bytes(0, version=3)


def test_a_key_that_is_no_python_name() -> None:
    reply = BootloaderInfoReply(mode=9, no_downgrade=True)
    assert cbor.loads(reply.to_body()) == {"mode": 9, "no-downgrade": True}


# --- the registry ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REQUESTS, ids=name)
def test_registry_finds_every_request(kind: type[Request[Response]]) -> None:
    for op in (kind.op, *kind.also):
        assert find_request(op, kind.group, kind.command) is kind
        assert op in (Op.READ, Op.WRITE)
    assert kind.group in RCS
    assert kind.title


def test_registry_has_no_two_requests_of_one_number() -> None:
    wires = [(op, kind.group, kind.command) for kind in REQUESTS for op in (kind.op, *kind.also)]
    assert len(set(wires)) == len(wires)
    assert find_request(Op.READ, 77, 0) is None


def test_codes_have_names() -> None:
    assert rc_name(None, 8) == "ENOTSUP"
    assert rc_name(1, ImageRc.NO_FREE_SLOT) == "NO_FREE_SLOT"
    assert rc_name(1, 99) is None
    assert rc_name(64, 1) is None


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refusal",
    [Refusal(MgmtRc.ENOTSUP), Refusal(MgmtRc.EINVAL, reason="no such thing"), Refusal(9, group=1)],
    ids=str,
)
def test_refusal_round_trip(refusal: Refusal) -> None:
    entries = cbor.loads(refusal.to_body())
    assert isinstance(entries, dict)
    assert Refusal.from_map(entries) == refusal


@pytest.mark.parametrize("entries", [{}, {"rc": 0}, {"err": {"group": 1, "rc": 0}}, {"off": 3}], ids=str)
def test_no_refusal(entries: dict[object, object]) -> None:
    assert Refusal.from_map(entries) is None


@pytest.mark.parametrize(
    "entries", [{"rc": "no"}, {"rc": -1}, {"rc": None}, {"err": 3}, {"err": {}}, {"err": {"rc": 3}}], ids=str
)
def test_neither_success_nor_refusal(entries: dict[object, object]) -> None:
    with pytest.raises(RemoteProtocolError):
        Refusal.from_map(entries)


@pytest.mark.parametrize("size", [0x10000, 0x10001])
def test_a_body_that_its_header_cannot_say_is_refused(size: int) -> None:
    """By one sentence, also for one byte too many."""

    def request(length: int) -> RawRequest:
        """Two values, both of them with a head of three bytes: maps with such bodies differ by their data alone."""
        first = length // 2
        return RawRequest(64, 0, payload={"d": bytes(first), "e": bytes(length - first)})

    heads = len(request(0x8000).to_body()) - 0x8000
    assert len(request(0xFFFF - heads).to_bytes(0)) == HEADER_SIZE + 0xFFFF
    assert len(request(size - heads).to_body()) == size
    with pytest.raises(LocalProtocolError, match="more than SMP can carry"):
        request(size - heads).to_bytes(0)


@given(st.integers(0, 0xFFFFFFFF), st.binary(max_size=300), st.none() | st.integers(0, 3))
def test_a_piece_of_an_image_is_what_the_codec_makes_of_its_map(off: int, data: bytes, image: int | None) -> None:
    piece = ImageUpload(image=image, off=off, data=data)
    assert piece.to_body() == cbor.dumps(piece.to_map())


@pytest.mark.parametrize(
    "piece",
    [ImageUpload(off=-1), ImageUpload(off=1 << 32), ImageUpload(off=True), ImageUpload(off=0, data="x")],  # type: ignore[arg-type]
)
def test_a_piece_with_a_wrong_value_is_refused(piece: ImageUpload) -> None:
    with pytest.raises(ValueError, match="ImageUpload"):
        piece.to_body()
