"""Provisioning data: any of them are read back, what is strange is refused, and OTP only loses bits."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.errors import FormatError, SigningError, SmpdfuError, TooLargeError
from smpdfu.image.files import Firmware, Segment
from smpdfu.image.keys.keys import PublicKey, generate
from smpdfu.image.nrf5340 import OTP
from smpdfu.image.nsib.provision import (
    FRONT_BYTES,
    MAX_NUMBERED_KEYS,
    Counter,
    CounterUse,
    LifeCycle,
    Place,
    Provision,
    ProvisionedKey,
    Tokens,
    VariableData,
    mcuboot_provision,
    provision_for,
    room,
)
from smpdfu.image.nsib.provision_reading import find_provision, problems, read_dump, read_provision

KEYS = [generate("ecdsa-p256").public for _ in range(3)]
S0, S1 = 0x8000, 0x14000
NEW = provision_for(S0, S1, KEYS, counter_slots=4, mcuboot_counter_slots=2)
DATA = NEW.to_bytes()
COUNTERS_AT = 12 + 3 * 20


# --- strategies -----------------------------------------------------------------------------------------------------


def counter(use: CounterUse) -> st.SearchStrategy[Counter]:
    def with_values(slots: int) -> st.SearchStrategy[Counter]:
        values = st.lists(st.integers(1, 0xFFFF), max_size=slots).map(tuple)
        return values.map(lambda found: Counter(use, slots, found))

    return st.integers(1, 30).flatmap(with_values)


COUNTERS = st.tuples(st.none() | counter(CounterUse.NSIB), st.none() | counter(CounterUse.MCUBOOT), st.booleans()).map(
    lambda found: tuple(one for one in (found[:2] if found[2] else found[1::-1]) if one is not None)
)
PROVISIONED_KEYS = st.builds(ProvisionedKey, st.binary(min_size=16, max_size=16), st.booleans())
ADDRESSES = st.integers(1, (1 << 30) - 1).map(lambda one: 4 * one)
VARIABLE = st.lists(st.builds(VariableData, st.integers(0, 255), st.binary(max_size=40)), max_size=3).map(tuple)


@st.composite
def provisions(draw: st.DrawFn) -> Provision:
    keys = tuple(draw(st.lists(PROVISIONED_KEYS, min_size=1, max_size=MAX_NUMBERED_KEYS)))
    return Provision(
        draw(ADDRESSES),
        draw(ADDRESSES),
        keys,
        draw(COUNTERS),
        draw(st.sampled_from(Tokens)),
        variable=draw(VARIABLE),
    )


def alone(data: bytes) -> Firmware:
    return Firmware((Segment(0, data),), addressed=False)


@given(data=provisions(), erased=st.integers(0, 64))
@settings(max_examples=100, deadline=None)
def test_any_data_are_read_back(data: Provision, erased: int) -> None:
    written = data.to_bytes()
    assert read_provision(written + b"\xff" * erased) == data
    assert find_provision(alone(written)) == data
    front = b"\0\0" * 2 + b"\xff\xff" * 2 + bytes(range(32))
    dumped = read_dump(front + written + b"\xff" * erased)
    assert dumped == replace(data, life_cycle=LifeCycle.SECURED, implementation_id=bytes(range(32)))
    parts = Firmware((Segment(0x100, b"firmware"), Segment(0xFF8100, front + written)), addressed=True)
    assert find_provision(parts, 0xFF8100) == dumped


@given(slots=st.integers(1, 99).map(lambda one: 2 * one), place=st.sampled_from((Place.MCUBOOT, Place.BARE)))
@settings(max_examples=50, deadline=None)
def test_any_data_of_mcuboot_alone_are_read_back(slots: int, place: Place) -> None:
    made = mcuboot_provision(slots, place=place)
    assert find_provision(alone(made.to_bytes())) == made
    assert read_provision(made.to_bytes(), place) == made


@given(data=st.binary(max_size=200) | st.binary(max_size=60).map(lambda more: DATA[:80] + more), dump=st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes, dump: bool) -> None:
    """What is read is what is there: written again, it gives the same bytes."""
    try:
        found = find_provision(alone(data), 0 if dump else None)
    except FormatError:
        return
    front = FRONT_BYTES if found.life_cycle is not None else 0
    assert data[front:].startswith(found.to_bytes())


@given(at=st.integers(0, len(DATA) - 1), bit=st.integers(0, 7))
@settings(max_examples=200, deadline=None)
def test_a_flipped_bit_is_no_unnoticed_revocation(at: int, bit: int) -> None:
    spoiled = bytearray(DATA)
    spoiled[at] ^= 1 << bit
    try:
        found = read_provision(bytes(spoiled))
    except FormatError:
        return
    assert found != NEW
    assert not any(key.revoked for key in found.keys)


# --- what is refused ------------------------------------------------------------------------------------------------


def patched(at: int, form: str, *values: int) -> bytes:
    data = bytearray(DATA)
    struct.pack_into(form, data, at, *values)
    return bytes(data)


STRANGE: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 0),
    "erased": (b"\xff" * 640, 0),
    "cut off in the addresses": (DATA[:11], 11),
    "an address that is none": (patched(0, "<I", 0x8001), 0),
    "no address": (patched(4, "<I", 0), 4),
    "more keys than there is room": (patched(8, "<I", 0xFFFF_FFFF), 8),
    "a token of another place": (patched(12, "<I", 0x51FA_FFFF), 12),
    "a token turned to zeros": (patched(12, "<I", 0), 12),
    "plain among numbered": (patched(32, "<I", 0xFFFF_FFFF), 32),
    "half revoked": (patched(12, "<I", 0x50FA_0F00), 12),
    "unknown data": (patched(COUNTERS_AT, "<H", 7), COUNTERS_AT),
    "three counters": (patched(COUNTERS_AT + 2, "<H", 3), COUNTERS_AT + 2),
    "no counter": (patched(COUNTERS_AT + 2, "<H", 0), COUNTERS_AT + 2),
    "an unknown counter": (patched(COUNTERS_AT + 4, "<H", 3), COUNTERS_AT + 4),
    "a counter twice": (patched(COUNTERS_AT + 16, "<H", 1), COUNTERS_AT + 16),
    "a counter without slots": (patched(COUNTERS_AT + 6, "<H", 0), COUNTERS_AT + 6),
    "erased slots number": (patched(COUNTERS_AT + 6, "<H", 0xFFFF), COUNTERS_AT + 6),
    "a used slot behind a free one": (patched(COUNTERS_AT + 10, "<H", 0xFFF0), COUNTERS_AT + 8),
    "something behind": (DATA + b"\0\0", len(DATA)),
    "variable data cut off": (DATA + struct.pack("<HHBB", 0x9312, 1, 1, 9) + b"abc", len(DATA) + 4),
    "variable data without end": (DATA + struct.pack("<HHBB", 0x9312, 1, 1, 1) + b"a\xff", len(DATA) + 7),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_strange_is_refused_with_its_place(name: str) -> None:
    data, offset = STRANGE[name]
    with pytest.raises(FormatError) as refused:
        read_provision(data)
    assert refused.value.offset == offset


def test_a_state_that_no_device_has_is_refused() -> None:
    for words in ((0xFFFF, 0, 0xFFFF, 0xFFFF), (0, 0xFFFF, 0xFFFF, 0), (0x1234, 0xFFFF, 0xFFFF, 0xFFFF)):
        with pytest.raises(FormatError, match="not a life-cycle state"):
            read_dump(struct.pack("<4H", *words) + bytes(32) + DATA)
    with pytest.raises(FormatError, match="cut off"):
        read_dump(bytes(39))


def test_where_the_data_are_is_asked_for() -> None:
    both = Firmware((Segment(0, b"firmware"), Segment(0xFF8128, DATA)), addressed=True)
    with pytest.raises(FormatError) as refused:
        find_provision(both)
    assert refused.value.code == "provision-where"
    assert find_provision(both, 0xFF8100) == NEW
    with pytest.raises(FormatError) as refused:
        find_provision(both, 0xFF8200)
    assert refused.value.code == "provision-where"


@pytest.mark.parametrize("state", LifeCycle)
def test_each_state_of_a_device(state: LifeCycle) -> None:
    entered = list(LifeCycle).index(state)
    words = [0 if entered > number else 0xFFFF for number in range(3)]
    front = struct.pack("<4H", words[0], words[1], 0xFFFF, words[2])
    found = find_provision(alone(front + b"\xff" * 32 + DATA.ljust(600, b"\xff")))
    assert found == replace(NEW, life_cycle=state)


# --- making ---------------------------------------------------------------------------------------------------------


def with_hash(digest: bytes) -> Callable[[PublicKey], ProvisionedKey]:
    return lambda _: ProvisionedKey(digest)


def test_a_hash_that_looks_erased_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One key in 8192 has such a hash; here the hash is given."""
    for digest, refused in (
        (b"\x01\x02\xff\xff" + bytes(12), True),
        (bytes(14) + b"\xff\xff", True),
        (b"\x01\xff\xff" + bytes(13), False),  # not aligned
    ):
        monkeypatch.setattr(ProvisionedKey, "of", with_hash(digest))
        if not refused:
            assert provision_for(S0, S1, KEYS[:1]).keys[0].usable
            continue
        with pytest.raises(SigningError, match="make another key") as caught:
            provision_for(S0, S1, KEYS[:1])
        assert caught.value.code == "provision-key-hash"


MADE_WRONG: dict[str, tuple[Callable[[], Provision], type[SmpdfuError]]] = {
    "provision-no-key": (lambda: provision_for(S0, S1, ()), SigningError),
    "provision-key-twice": (lambda: provision_for(S0, S1, (*KEYS, KEYS[0])), SigningError),
    "provision-keys": (lambda: provision_for(S0, S1, KEYS * 6), SigningError),
    "seal-key-type": (lambda: provision_for(S0, S1, (generate("ed25519").public,)), SigningError),
    "provision-address": (lambda: provision_for(0x8001, S1, KEYS), FormatError),
    "provision-slots": (lambda: provision_for(S0, S1, KEYS, counter_slots=3), FormatError),
    "provision-size": (lambda: provision_for(S0, S1, KEYS, counter_slots=2000), TooLargeError),
}


@pytest.mark.parametrize("code", MADE_WRONG)
def test_what_cannot_be_made(code: str) -> None:
    make, kind = MADE_WRONG[code]
    with pytest.raises(kind) as refused:
        make()
    assert refused.value.code == code


def test_mcuboot_alone_needs_its_counter() -> None:
    for slots in (0, 5):
        with pytest.raises(FormatError):
            mcuboot_provision(slots)


def test_the_limit_counts_from_the_provision_address() -> None:
    size = FRONT_BYTES + len(NEW.to_bytes())
    make = partial(provision_for, S0, S1, KEYS, counter_slots=4, mcuboot_counter_slots=2)
    assert make(max_bytes=size) == NEW
    with pytest.raises(TooLargeError) as refused:
        make(max_bytes=size - 1)
    assert (refused.value.size_bytes, refused.value.limit_bytes) == (size, size - 1)
    assert (room(OTP.start), room(0x0100_8580)) == (0x2FC, 0x1000)


def test_one_slot_has_its_address_twice() -> None:
    found = provision_for(0x1008800, None, KEYS[:1])
    assert (found.s0, found.s1) == (0x1008800, 0x1008800)


# --- life of a device -----------------------------------------------------------------------------------------------


def only_clears(old: bytes, new: bytes) -> bool:
    return len(old) == len(new) and all(after & ~before == 0 for before, after in zip(old, new, strict=True))


@pytest.mark.parametrize("tokens", Tokens)
def test_revoking_clears_bits_only(tokens: Tokens) -> None:
    before = provision_for(S0, S1, KEYS, tokens=tokens)
    after = before.revoke_before(2)
    assert [key.revoked for key in after.keys] == [True, True, False]
    assert only_clears(before.to_bytes(), after.to_bytes())
    assert read_provision(after.to_bytes()) == after


def test_counting_clears_bits_only_until_no_slot_is_left() -> None:
    data = NEW
    for left, value in ((3, 1), (2, 7), (1, 0x0FFF), (0, 0xFFFF)):
        later = data.count(CounterUse.NSIB, value)
        assert only_clears(data.to_bytes(), later.to_bytes())
        assert read_provision(later.to_bytes()) == later
        found = later.counter(CounterUse.NSIB)
        assert found is not None
        assert (found.current, found.left) == (value, left)
        data = later
    for before, value in ((NEW, 0), (NEW.count(CounterUse.NSIB, 5), 5), (data, 0x1_0000)):
        with pytest.raises(ValueError, match="no slot is left"):
            before.count(CounterUse.NSIB, value)


def test_problems_are_told_of() -> None:
    assert problems(NEW) == ()
    bad = ProvisionedKey(b"\xff" * 16)
    worn = replace(NEW, keys=(bad, bad), counters=(Counter(CounterUse.NSIB, 2, (4, 9)),))
    codes = ["provision-key-hash", "provision-key-hash", "provision-key-twice", "provision-counter-full"]
    assert [one.code for one in problems(worn)] == codes
    gone = NEW.revoke_before(3)
    assert [one.code for one in problems(gone)] == ["provision-no-key"]
    assert problems(mcuboot_provision(2)) == ()
