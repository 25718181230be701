"""What a swap is decided by, the cipher on the way between the slots, and the record of a swap under way."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.image.format import Flag, Header, Version
from smpdfu.image.signing.encrypt import ctr
from smpdfu.image.trailer import FlagState, MagicState, Trailer
from smpdfu.virtual.boot.swap.move import SwapMove
from smpdfu.virtual.boot.swap.swap import Cipher, Status, Step, confirm_primary, finish, init_status
from smpdfu.virtual.boot.swap.swap_type import SwapType, decide

if TYPE_CHECKING:
    from tests.virtual.conftest import Bench

# --- the decision ---------------------------------------------------------------------------------------------------

MAGICS: tuple[MagicState, ...] = ("good", "bad", "unset")
FLAGS: tuple[FlagState, ...] = ("set", "unset", "bad")
TRAILERS = list(product(MAGICS, FLAGS, FLAGS))


@pytest.mark.parametrize(("magic", "copy_done", "image_ok"), TRAILERS)
def test_the_secondary_slot_decides_first(magic: MagicState, copy_done: FlagState, image_ok: FlagState) -> None:
    primary = Trailer(magic, None, copy_done, image_ok)
    assert decide(primary, Trailer("good", None, "unset", "unset")) is SwapType.TEST
    assert decide(primary, Trailer("good", None, "unset", "set")) is SwapType.PERM
    unconfirmed = (magic, copy_done, image_ok) == ("good", "set", "unset")
    rest = SwapType.REVERT if unconfirmed else SwapType.NONE
    assert decide(primary, Trailer("good", None, "unset", "bad")) is rest


@pytest.mark.parametrize(("magic", "copy_done", "image_ok"), TRAILERS)
def test_only_a_finished_swap_that_nobody_confirmed_is_reverted(
    magic: MagicState, copy_done: FlagState, image_ok: FlagState
) -> None:
    primary = Trailer(magic, None, copy_done, image_ok)
    unconfirmed = (magic, copy_done, image_ok) == ("good", "set", "unset")
    expected = SwapType.REVERT if unconfirmed else SwapType.NONE
    unset, bad = (Trailer(state, None, "unset", "unset") for state in (MAGICS[2], MAGICS[1]))
    for trailer, older in ((unset, expected), (bad, SwapType.NONE)):
        assert decide(primary, trailer) is expected
        assert decide(primary, trailer, reverts_past_any_magic=False) is older


# --- the cipher on the way between the slots ------------------------------------------------------------------------

KEY = bytes(range(16))


@given(st.integers(32, 600).map(lambda size: size // 16 * 16), st.binary(min_size=1, max_size=3000))
def test_chunks_are_decrypted_as_the_whole_is(hdr_size: int, payload: bytes) -> None:
    header = Header(Version(1), len(payload), hdr_size, flags=Flag.ENCRYPTED_AES128)
    cipher, tail = Cipher(header, KEY), b"TLVs"
    stored = bytes(hdr_size) + ctr(payload, KEY) + tail
    chunks = (cipher.apply(offset, stored[offset : offset + 1024]) for offset in range(0, len(stored), 1024))
    assert b"".join(chunks) == bytes(hdr_size) + payload + tail


def test_a_header_that_is_not_made_of_cipher_blocks_ruins_the_image() -> None:
    header = Header(Version(1), 3000, 40, flags=Flag.ENCRYPTED_AES128)
    stored = bytes(40) + ctr(bytes(3000), KEY)
    cipher = Cipher(header, KEY)
    assert cipher.apply(0, stored[:1024]) == bytes(1024)
    assert cipher.apply(1024, stored[1024:2048]) != bytes(1024)


@pytest.mark.parametrize(("flags", "key"), [(Flag(0), KEY), (Flag.ENCRYPTED_AES128, None)])
def test_what_is_not_encrypted_or_has_no_key_is_copied(flags: Flag, key: bytes | None) -> None:
    assert Cipher(Header(Version(1), 100, 32, flags=flags), key).apply(0, bytes(132)) == bytes(132)


# --- the record of a swap -------------------------------------------------------------------------------------------


@pytest.fixture
def begun(bench: Bench) -> Bench:
    """A device in the middle of a swap that is to be permanent, with no step of it recorded yet."""
    bench.write("primary", bench.app_image(1))
    bench.upload(bench.app_image(2), permanent=True)
    init_status(bench.slots.primary, bench.slots, Status(swap_type=SwapType.PERM, swap_size=9000))
    bench.slots.secondary.erase_trailer()
    return bench


SECTORS = 7
POSITIONS = [
    (0, (Step.MOVE, 1, 1)),
    (1, (Step.MOVE, 2, 1)),
    (SECTORS - 1, (Step.MOVE, SECTORS, 1)),
    (SECTORS, (Step.SWAP, 1, 1)),
    (SECTORS + 1, (Step.SWAP, 1, 2)),
    (SECTORS + 2, (Step.SWAP, 2, 1)),
    (3 * SECTORS, (Step.SWAP, SECTORS + 1, 1)),
]


@pytest.mark.parametrize(("entries", "position"), POSITIONS)
def test_the_last_status_entry_tells_where_to_go_on(
    begun: Bench, entries: int, position: tuple[Step, int, int]
) -> None:
    if entries:
        begun.slots.primary.write_status(entries - 1, 1)
    status = SwapMove(begun.slots, begun.log.append).read_status()
    assert (status.step, status.index, status.state) == position
    assert (status.resumed, status.swap_type) == (True, SwapType.PERM)
    assert status.is_reset == (entries == 0)
    assert begun.log[-1] == "I: Boot source: primary slot"


def test_a_swap_has_begun_when_the_secondary_mark_is_gone(begun: Bench) -> None:
    begun.slots.secondary.write_magic()
    status = SwapMove(begun.slots, begun.log.append).read_status()
    assert (status.is_reset, status.resumed, status.swap_type) == (True, False, SwapType.NONE)
    assert begun.log[-1] == "I: Boot source: none"


def test_the_record_keeps_what_the_mark_said(begun: Bench) -> None:
    trailer = begun.slots.primary.trailer()
    assert (trailer.magic, trailer.image_ok, trailer.copy_done, trailer.swap_type) == ("good", "set", "unset", 3)
    assert begun.slots.primary.swap_size() == 9000


def test_a_swap_that_has_begun_is_not_finished_with_an_image_that_is_damaged(begun: Bench) -> None:
    area = begun.slots.secondary.area
    area.program(0x1000, bytes(4))
    result = begun.boot()
    assert (result.swap_type, result.swapped) == (SwapType.FAIL, False)
    assert result.running is not None
    assert begun.is_blank("secondary")


@pytest.mark.parametrize("swap_type", [SwapType.TEST, SwapType.PERM, SwapType.REVERT])
def test_a_finished_swap_is_confirmed_unless_it_is_a_test(bench: Bench, swap_type: SwapType) -> None:
    bench.slots.primary.write_magic()
    finish(bench.slots, swap_type)
    trailer = bench.slots.primary.trailer()
    assert (trailer.copy_done, trailer.image_ok) == ("set", "unset" if swap_type is SwapType.TEST else "set")


def test_a_flag_that_is_set_is_not_written_again(bench: Bench) -> None:
    confirm_primary(bench.slots)
    operations = bench.app.operations
    confirm_primary(bench.slots)
    assert bench.app.operations == operations


def test_images_that_leave_no_sector_to_move_by_are_not_swapped(bench: Bench) -> None:
    before = bench.app.operations
    status = Status(swap_type=SwapType.TEST, swap_size=6 * 4096)
    SwapMove(bench.slots, bench.log.append).run(status, (None, None))
    assert (status.swap_type, bench.app.operations) == (SwapType.NONE, before)
    assert bench.log[-1] == "W: required 28672 bytes but only 24576 are available"


@pytest.mark.parametrize("slot", [0, 1])
def test_a_content_key_is_kept_for_each_slot(encrypted_bench: Bench, slot: int) -> None:
    primary = encrypted_bench.slots.primary
    primary.write_key(slot, KEY)
    assert [primary.key(0), primary.key(1)] == [KEY if number == slot else None for number in range(2)]
