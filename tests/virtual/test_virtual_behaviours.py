"""What a virtual nRF5340 must do as the real one does, numbered; one test for each, by its number.

Numbers 12 to 23, of both cores together, are in ``test_virtual_behaviours_cores``.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.client import Client
from smpdfu.errors import DeviceError, ResponseTimeoutError
from smpdfu.image.format import Version
from smpdfu.link.memory import pipe_pair
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.smp.groups.image import Erase, ImageRc, StateRead, StateReply, StateWrite, UploadReply
from smpdfu.smp.groups.os import Echo, EchoReply, Params, ParamsReply, Reset
from smpdfu.smp.message import Empty, MgmtRc
from smpdfu.smp.session import read_outcome
from smpdfu.virtual.boot.build import AddressCheck, BootOptions
from smpdfu.virtual.chip.flash import FlashError
from smpdfu.virtual.line.load import Resources
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.virtual.behaviour_board import NET_KEYS, NEW, Board, piece
    from tests.virtual.virtual_bench import (
        NET_SIGNING,
        SIGNING,
        Bench,
        small_simultaneous,
    )
else:
    from behaviour_board import NET_KEYS, NEW, Board, piece
    from virtual_bench import (
        NET_SIGNING,
        SIGNING,
        Bench,
        small_simultaneous,
    )

# --- flash ----------------------------------------------------------------------------------------------------------


def test_01_pages_erase_to_ff_programming_clears_bits_only_unaligned_writes_are_refused() -> None:
    flash = Bench().app
    flash.program(0, b"\x0f" * 8)
    flash.program(0, b"\x07" * 8)
    with pytest.raises(FlashError, match="only an erase can set bits"):
        flash.program(0, b"\x0f" * 8)
    with pytest.raises(FlashError, match="whole words"):
        flash.program(2, b"\x00" * 4)
    flash.erase(0, 4096)
    assert flash.read(0, 4096) == b"\xff" * 4096


def test_02_the_application_core_cannot_touch_network_flash() -> None:
    chip = Bench(small_simultaneous()).chip
    with pytest.raises(FlashError, match="there is no flash"):
        chip.bus.read(0x0100_8800, 4)
    with pytest.raises(ValueError, match="there is no flash where region"):
        chip.bus.area(Bench().layout.net.app)


# --- test, confirm, revert ------------------------------------------------------------------------------------------


def test_03_a_test_runs_unconfirmed_and_a_reset_without_confirm_reverts() -> None:
    board = Board()
    board.update(board.bench.app_image(2, version=NEW))
    assert board.listed() == [(0, 0, "2.0.0", False), (0, 1, "1.0.0", True)]
    board.device.reset()
    assert board.listed() == [(0, 0, "1.0.0", True), (0, 1, "2.0.0", False)]


def test_04_a_confirmed_running_image_is_not_reverted() -> None:
    board = Board()
    board.update(board.bench.app_image(2, version=NEW))
    assert board.bench.slots.primary.trailer().image_ok == "unset"
    assert isinstance(board.ask(StateWrite(confirm=True)), StateReply)
    assert board.bench.slots.primary.trailer().image_ok == "set"
    board.device.reset()
    assert board.version == NEW


def test_05_permanent_is_confirmed_at_once() -> None:
    board = Board()
    board.update(board.bench.app_image(2, version=NEW), confirm=True)
    assert board.listed()[0] == (0, 0, "2.0.0", True)
    board.device.reset()
    assert board.version == NEW


# --- upload ---------------------------------------------------------------------------------------------------------


def test_06_the_first_chunk_erases_the_secondary_slot() -> None:
    board = Board()
    board.upload(board.bench.app_image(2, version=NEW))
    assert len(board.listed()) == 2
    third = board.bench.app_image(3, version=Version(3))
    board.ask(piece(0, third[:200], 0, len(third)))
    assert len(board.listed()) == 1


def test_07_resume_by_sha_within_one_power_cycle_from_0_after_a_reset() -> None:
    board = Board()
    image, sha = board.bench.app_image(2, version=NEW), bytes(range(32))
    board.ask(piece(0, image[:200], 0, len(image), sha))
    board.ask(piece(200, image[200:400]))
    assert board.ask(piece(0, image[:200], 0, len(image), sha)) == UploadReply(400)
    board.device.reset()
    assert board.ask(piece(0, image[:200], 0, len(image), sha)) == UploadReply(200)


def test_08_no_free_slot_while_the_secondary_is_pending_or_a_revert_needs_it() -> None:
    board = Board()
    image = board.bench.app_image(2, version=NEW)
    board.upload(image, confirm=False)
    assert board.refusal(piece(0, image[:200], 0, len(image))) == ImageRc.NO_FREE_SLOT
    assert board.refusal(Erase()) == ImageRc.NO_FREE_SLOT
    board.device.reset()
    assert board.refusal(piece(0, image[:200], 0, len(image))) == ImageRc.NO_FREE_SLOT


def test_08_a_build_may_allow_to_erase_what_is_pending_but_not_what_a_revert_needs() -> None:
    board = Board(resources=Resources(reset_delay_s=0.0, allow_erase_pending=True))
    image, later = board.bench.app_image(2, version=NEW), board.bench.app_image(3, version=NEW)
    board.upload(image, confirm=False)
    board.upload(later)
    assert [slot for _, slot, _, _ in board.listed()] == [0, 1]
    board.device.reset()
    assert board.version != NEW  # the mark went with the image that it was for
    board.upload(later, confirm=False)
    assert board.refusal(Erase()) is None
    assert [slot for _, slot, _, _ in board.listed()] == [0]
    board.upload(image, confirm=False)
    board.device.reset()
    assert board.refusal(piece(0, image[:200], 0, len(image))) == ImageRc.NO_FREE_SLOT
    assert board.refusal(Erase()) == ImageRc.NO_FREE_SLOT


FIRST_CHUNKS = [
    ({"data": bytes(64), "len": 1000}, ImageRc.INVALID_IMAGE_HEADER_MAGIC),
    ({"data": bytes(8), "len": 1000}, ImageRc.INVALID_IMAGE_HEADER),
    ({}, ImageRc.INVALID_LENGTH),
    ({"len": 1 << 24}, ImageRc.INVALID_IMAGE_TOO_LARGE),
]


@pytest.mark.parametrize(("changes", "rc"), FIRST_CHUNKS)
def test_09_a_bad_first_chunk_is_refused(changes: dict[str, Any], rc: ImageRc) -> None:
    board = Board()
    first = piece(0, board.bench.app_image(2)[:200], 0)
    assert board.refusal(replace(first, **changes)) == rc


# --- what is refused at the boot ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["bit", "stranger", "unsigned"])
def test_10_a_bad_signature_leaves_the_old_image_running_and_nothing_pending(fault: str) -> None:
    board = Board()
    key = {"bit": SIGNING, "stranger": NET_SIGNING, "unsigned": None}[fault]
    image = bytearray(board.bench.app_image(2, version=NEW, key=key))
    image[3000] ^= fault == "bit"
    board.update(bytes(image))
    assert board.listed() == [(0, 0, "1.0.0", True)]
    assert board.bench.is_blank("secondary")


@pytest.mark.parametrize("check", [AddressCheck.VECTOR, AddressCheck.NONE])
def test_11_an_image_that_is_linked_elsewhere_is_erased_only_where_addresses_are_checked(check: AddressCheck) -> None:
    board = Board(Bench(keys=replace(NET_KEYS, options=BootOptions(check_address=check))))
    board.update(board.bench.linked_image(0x9_0000, version=NEW))
    if check is AddressCheck.NONE:
        assert board.device.running is None
        board.device.reset()  # as a watchdog does: it is reverted
        assert board.listed() == [(0, 0, "1.0.0", True), (0, 1, "2.0.0", False)]
        return
    assert board.listed() == [(0, 0, "1.0.0", True)]
    assert board.bench.is_blank("secondary")


# --- the server and its wire ----------------------------------------------------------------------------------------


def test_24_reset_answers_first_and_a_boot_that_swaps_takes_the_flash_s_time() -> None:
    board = Board()
    board.upload(board.bench.app_image(2, version=NEW), confirm=False)
    assert board.ask(Reset()) == Empty()
    assert board.version == Version(1)
    board.device.finish_reset()
    assert board.version == NEW
    swapping = board.device.boot_s
    board.ask(StateWrite(confirm=True))
    board.device.reset()
    assert swapping > board.device.boot_s + 5 * 0.0875  # more than five pages erased


@pytest.mark.parametrize(("factor", "heard"), [(0.0, True), (1000.0, False)])
def test_24_the_device_is_deaf_while_it_boots(factor: float, heard: bool) -> None:
    async def exchange() -> None:
        board = Board(resources=Resources(reset_delay_s=0.0, time_factor=factor))
        board.upload(board.bench.app_image(2, version=NEW), confirm=False)
        board.ask(Reset())
        board.device.finish_reset()
        assert board.device.boot_s > 0.5
        async with Client(board.device.connect(), ConsoleFraming(), timeout_s=0.1, attempts=1) as client:
            if heard:
                assert await client.request(Echo("x")) == EchoReply("x")
            else:
                with pytest.raises(ResponseTimeoutError):
                    await client.request(Echo("x"))

    simulate(exchange())


def test_25_boot_log_lines_come_between_the_frames() -> None:
    async def exchange() -> bytes:
        board = Board()
        host, device = pipe_pair()
        await host.open()
        await device.open()
        serving = asyncio.create_task(board.device.serve(device, ConsoleFraming()))
        await host.write(ConsoleFraming().encode(Echo("x").to_bytes(1)))
        heard = await host.read()
        board.device.reset()
        while b"Jumping" not in heard:
            heard += await host.read()
        await host.write(ConsoleFraming().encode(Echo("y").to_bytes(2)))
        while heard.count(b"\x06\x09") < 2:
            heard += await host.read()
        serving.cancel()
        await asyncio.wait([serving])
        return heard

    heard = simulate(exchange())
    first, second = heard.index(b"\x06\x09"), heard.rindex(b"\x06\x09")
    assert first < heard.index(b"I: Starting bootloader") < second


def test_26_a_message_that_is_too_long_is_dropped_without_an_answer() -> None:
    async def exchange() -> None:
        board = Board()
        params = board.ask(Params())
        assert isinstance(params, ParamsReply)
        async with Client(board.device.connect(), ConsoleFraming(), timeout_s=0.2, attempts=1) as client:
            with pytest.raises(ResponseTimeoutError):
                await client.request(Echo("x" * params.buf_size))
            assert await client.request(Echo("y")) == EchoReply("y")

    simulate(exchange())


def test_27_version_1_requests_are_answered_as_version_1() -> None:
    board = Board()
    for version in (1, 2):
        (answer,) = board.device.answers(StateRead().to_bytes(5, version))
        assert answer[0] >> 3 == version - 1


def test_28_unknown_groups_and_commands_and_bad_cbor() -> None:
    board = Board()
    unknown_group = bytes((2 | 1 << 3, 0, 0, 1, 0x12, 0x34, 9, 0)) + b"\xa0"
    unknown_command = bytes((0 | 1 << 3, 0, 0, 1, 0, 0, 9, 99)) + b"\xa0"
    for message in (unknown_group, unknown_command):
        (answer,) = board.device.answers(message)
        outcome = read_outcome(Echo("x"), answer[8:])
        assert isinstance(outcome, DeviceError)
        assert outcome.rc == MgmtRc.ENOTSUP
    (answer,) = board.device.answers(bytes((2 | 1 << 3, 0, 0, 1, 0, 0, 9, 0)) + b"\xff")
    outcome = read_outcome(Echo("x"), answer[8:])
    assert isinstance(outcome, DeviceError)
    assert outcome.rc in (MgmtRc.EINVAL, MgmtRc.ECORRUPT)


def test_29_the_radio_tells_of_every_boot_so_that_the_address_may_change() -> None:
    board = Board()
    boots = []
    board.device.watch_power(lambda: boots.append(board.device.radio_up))
    board.device.reset()
    assert boots == [False, True]


def test_30_serial_recovery_answers_its_own_subset_and_writes_the_primary_slot() -> None:
    board = Board()
    image = board.bench.app_image(2, version=NEW)
    board.ask(Reset(boot_mode=1))
    board.device.finish_reset()
    assert board.device.running is None
    for off in range(0, len(image), 400):
        request = piece(off, image[off : off + 400], 0, len(image) if off == 0 else None)
        assert not isinstance(board.ask(request), DeviceError)
    assert board.bench.holds("primary", image)
    board.ask(Reset())
    board.device.finish_reset()
    assert board.version == NEW
