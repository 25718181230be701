"""The transfer, against the virtual bootloader, over a line that may do anything: the right bytes or a clear error."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.errors import DamagedLineError, DfuRefusedError, LinkError, SilentBootloaderError
from smpdfu.securedfu.protocol.actions import SendRequest
from smpdfu.securedfu.protocol.transfer import Transfer
from smpdfu.virtual.nrf52.build import Nrf52Build, Transport
from smpdfu.virtual.nrf52.device import VirtualNrf52
from tests.securedfu.dfu_line import Damage, Line, at_frame, clean, flips, losses
from tests.virtual.nrf52.nrf52_bench import OTHER_KEY, firmware, init_command, new_device, sign

START = 0x1000
OLD, NEW = firmware(START, 1), firmware(START, 2, 3 * 4096 + 1204)
PACKET = sign(init_command(NEW))


def device_in_dfu(build: Nrf52Build | None = None) -> VirtualNrf52:
    device = new_device(Nrf52Build() if build is None else build, app=OLD)
    device.enter_dfu()
    return device


def runs_new(device: VirtualNrf52) -> bool:
    return device.app_runs and device.chip.read(START, len(NEW)) == NEW


def test_an_application_arrives_with_the_fewest_round_trips() -> None:
    device = device_in_dfu()
    line = Line(device)
    transfer = Transfer(PACKET, NEW)
    line.carry(transfer)
    assert runs_new(device)
    writes = 3 + 3 * 69 + 21  # the init packet, three whole pages, and the rest, in pieces of 60 bytes
    # ping, MTU twice, receipts, select; create, check, execute of the init packet; select; the same three of each page
    assert line.frames == writes + 5 + 3 + 1 + 4 * 3
    assert transfer.confirmed
    progress = transfer.progress
    assert (progress.off, progress.len, progress.resumed_at) == (len(NEW), len(NEW), 0)
    assert (progress.repeats, progress.damaged) == (0, 0)


@pytest.mark.parametrize("size", [4, 20, 64, 244, 1024])
def test_every_size_of_a_write_arrives(size: int) -> None:
    device = device_in_dfu(Nrf52Build(Transport.USB))
    Line(device).carry(Transfer(PACKET, NEW, write_size=size))
    assert runs_new(device)


@pytest.mark.parametrize(("receipts", "writes_max"), [(1, 1), (4, 8), (12, 12), (10, 20), (1000, 1000)])
def test_with_receipts_no_more_than_the_window_is_unconfirmed(receipts: int, writes_max: int) -> None:
    device = device_in_dfu()
    line = Line(device)
    line.carry(Transfer(PACKET, NEW, write_size=20, receipts=receipts, writes_max=writes_max, pings=False))
    assert runs_new(device)


class Reduced(Nrf52Build):
    """A UART bootloader that is built with NRF_DFU_PROTOCOL_REDUCED."""

    @property
    def is_reduced(self) -> bool:
        return True


def test_a_device_without_ping_and_mtu_is_written_to_in_small_pieces() -> None:
    device = device_in_dfu(Reduced())
    Line(device).carry(Transfer(PACKET, NEW))
    assert runs_new(device)


# --- resume -----------------------------------------------------------------------------------------------------------

ALL_FRAMES = 252


@pytest.mark.parametrize("frames", range(0, ALL_FRAMES, 3))
def test_a_transfer_that_ends_anywhere_is_taken_up_again(frames: int) -> None:
    device = device_in_dfu()
    Line(device).carry(Transfer(PACKET, NEW), frames)
    second = Transfer(PACKET, NEW)
    line = Line(device)
    line.carry(second)
    assert runs_new(device)
    assert line.frames + frames < ALL_FRAMES + 30  # what had arrived was not sent again
    if frames > 30:
        assert second.resumed_at > 0


def test_another_firmware_under_way_is_replaced() -> None:
    device = device_in_dfu()
    other = firmware(START, 3, 9000)
    Line(device).carry(Transfer(sign(init_command(other)), other), 120)
    transfer = Transfer(PACKET, NEW)
    Line(device).carry(transfer)
    assert runs_new(device)
    assert transfer.resumed_at == 0


def test_a_device_that_restarted_without_its_progress_begins_again() -> None:
    device = device_in_dfu()
    line = Line(device)
    transfer = Transfer(PACKET, NEW)
    line.carry(transfer, 150)
    device.enter_dfu()
    line.frames = 0
    line.carry(transfer)
    assert runs_new(device)


def test_a_device_that_saves_its_progress_goes_on_after_a_restart() -> None:
    device = device_in_dfu(Nrf52Build(saves_progress=True))
    Line(device).carry(Transfer(PACKET, NEW), 200)
    device.enter_dfu()
    second = Transfer(PACKET, NEW)
    Line(device).carry(second)
    assert runs_new(device)
    assert second.resumed_at == 2 * 4096


# --- faulty lines -----------------------------------------------------------------------------------------------------

KINDS: dict[str, Damage] = {
    "dropped": lambda frame: b"",
    "twice": lambda frame: frame * 2,
    "first-byte": lambda frame: bytes([frame[0] ^ 0x20]) + frame[1:],
    "end-lost": lambda frame: frame[:-1],
    "cut": lambda frame: frame[: len(frame) // 2],
    "middle-flipped": lambda frame: (
        frame[: len(frame) // 2] + bytes([frame[len(frame) // 2] ^ 1]) + frame[len(frame) // 2 + 1 :]
    ),
    "split": lambda frame: frame[: len(frame) // 2] + b"\xc0" + frame[len(frame) // 2 :],
    "noise-before": lambda frame: b"\x33\xdb\x00\xff" + frame,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frame", [*range(12), 40, 75, 76, 77, 78, 79, 80, ALL_FRAMES - 3, ALL_FRAMES - 2])
def test_one_bad_frame_to_the_device_costs_no_more_than_time(kind: str, frame: int) -> None:
    device = device_in_dfu()
    transfer = Transfer(PACKET, NEW)
    Line(device, to_device=at_frame(frame, KINDS[kind])).carry(transfer)
    assert runs_new(device)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frame", range(22))
def test_one_bad_answer_costs_no_more_than_time(kind: str, frame: int) -> None:
    device = device_in_dfu()
    transfer = Transfer(PACKET, NEW)
    Line(device, to_host=at_frame(frame, KINDS[kind])).carry(transfer)
    assert runs_new(device)


def test_a_last_answer_that_is_lost_is_not_repeated_and_not_claimed() -> None:
    device = device_in_dfu()
    answers = 21  # ping, MTU twice, receipts, select; three, select; four times three, the last of which is the last

    transfer = Transfer(PACKET, NEW)
    Line(device, to_host=at_frame(answers - 1, KINDS["dropped"])).carry(transfer)
    assert runs_new(device)
    assert not transfer.confirmed


@pytest.mark.parametrize("seed", range(6))
def test_a_line_that_flips_a_bit_now_and_then_brings_the_right_bytes(seed: int) -> None:
    device = device_in_dfu()
    transfer = Transfer(PACKET, NEW)
    Line(device, flips(5000, seed), flips(500, seed + 100)).carry(transfer)
    assert runs_new(device)


@pytest.mark.parametrize("seed", range(6))
def test_a_line_that_loses_a_byte_now_and_then_brings_the_right_bytes(seed: int) -> None:
    device = device_in_dfu()
    Line(device, losses(5000, seed), losses(500, seed + 100)).carry(Transfer(PACKET, NEW))
    assert runs_new(device)


@pytest.mark.parametrize("seed", range(6))
def test_a_line_that_flips_most_ends_with_its_cause(seed: int) -> None:
    device = device_in_dfu()
    transfer = Transfer(PACKET, NEW)
    with pytest.raises(DamagedLineError, match="the line damages bytes"):
        Line(device, flips(4, seed), flips(4, seed + 100)).carry(transfer)
    assert device.chip.read(START, len(OLD)) == OLD
    Line(device).carry(Transfer(PACKET, NEW))  # the same device, on a good line
    assert runs_new(device) or not device.bootloader


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 3000), st.integers(2, 3000), st.integers(0, 1 << 30), st.booleans())
def test_whatever_a_line_does_the_bytes_are_right_or_there_is_an_error(
    every_out: int, every_in: int, seed: int, flipped: bool
) -> None:
    device = device_in_dfu()
    make = flips if flipped else losses
    transfer = Transfer(PACKET, NEW)
    try:
        Line(device, make(every_out, seed), make(every_in, seed + 1)).carry(transfer)
    except (LinkError, DfuRefusedError):
        assert not runs_new(device)
        return
    if transfer.confirmed:
        assert runs_new(device)
    assert not device.app_runs or device.chip.read(START, len(OLD)) == OLD or runs_new(device)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=24), max_size=60))
def test_answers_of_any_bytes_end_in_nothing_but_our_errors(answers: list[bytes]) -> None:
    transfer = Transfer(PACKET, NEW)
    left = iter(answers)
    try:
        while (action := transfer.next_action()) is not None:
            if isinstance(action, SendRequest):
                transfer.answered(next(left, b""))
    except (LinkError, DfuRefusedError):
        return


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_wrong_key_is_refused_with_a_sentence() -> None:
    device = device_in_dfu()
    with pytest.raises(DfuRefusedError, match="signature") as refused:
        Line(device).carry(Transfer(sign(init_command(NEW), OTHER_KEY), NEW))
    assert refused.value.code == "dfu-signature"
    assert "Sign the package" in refused.value.advice
    assert device.chip.read(START, len(OLD)) == OLD


def test_another_board_is_refused_with_the_extended_error() -> None:
    device = device_in_dfu()
    with pytest.raises(DfuRefusedError, match="hardware version") as refused:
        Line(device).carry(Transfer(sign(init_command(NEW, hw_version=51)), NEW))
    assert (refused.value.result, refused.value.extended) == (0x0B, 0x06)
    assert refused.value.name == "EXTENDED_ERROR, HW_VERSION_FAILURE"


def test_a_refusal_by_one_flipped_bit_is_none() -> None:
    device = device_in_dfu()
    execute_of_init = 7  # ping, MTU twice, receipts, select, create, check, execute
    flipped: Damage = lambda frame: frame[:2] + b"\x05" + frame[3:]  # noqa: E731
    transfer = Transfer(PACKET, NEW)
    Line(device, to_host=at_frame(execute_of_init, flipped)).carry(transfer)
    assert runs_new(device)
    assert transfer.progress.repeats == 1


def test_firmware_that_is_not_that_of_the_init_packet_is_refused_at_the_end() -> None:
    device = device_in_dfu()
    wrong = bytearray(NEW)
    wrong[5000] ^= 1
    with pytest.raises(DfuRefusedError, match="hash"):
        Line(device).carry(Transfer(PACKET, bytes(wrong)))


# --- silence, and wrong use -------------------------------------------------------------------------------------------


def test_nobody_at_the_other_end() -> None:
    device = new_device(app=OLD)
    device.reset()
    transfer = Transfer(PACKET, NEW)
    line = Line(device)
    with pytest.raises(SilentBootloaderError, match="no Secure DFU bootloader") as silent:
        line.carry(transfer)
    assert not silent.value.heard
    assert line.frames == 24


def test_a_device_that_goes_away_says_how_far_it_was() -> None:
    device = device_in_dfu()
    transfer = Transfer(PACKET, NEW)
    line = Line(device)
    line.carry(transfer, 150)
    device.reset()
    line.frames = 0
    with pytest.raises(SilentBootloaderError, match=f"4096 of {len(NEW)} bytes") as silent:
        line.carry(transfer)
    assert silent.value.heard


def test_a_link_that_was_lost_and_opened_is_no_end() -> None:
    device = device_in_dfu()
    line, random = Line(device), Random(3)
    transfer = Transfer(PACKET, NEW)
    for _ in range(10):
        line.frames = 0
        line.carry(transfer, random.randrange(10, 60))
        transfer.link_lost()
        line.answers.clear()
    line.frames = 0
    line.to_device = clean
    line.carry(transfer)
    assert runs_new(device)


@pytest.mark.parametrize(
    "wrong",
    [
        {"init_packet": b""},
        {"firmware": b""},
        {"write_size": 3},
        {"receipts": 10, "writes_max": 9},
    ],
)
def test_wrong_use(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"needs|at least|never"):
        Transfer(**{"init_packet": PACKET, "firmware": NEW} | wrong)  # type: ignore[arg-type]
