"""The first write of an object ahead of the answer to Create: fewer waits, and on any line the right bytes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.errors import DfuRefusedError, LinkError
from smpdfu.securedfu.protocol.actions import Action, Await, SendRequest, WriteData
from smpdfu.securedfu.protocol.messages import Opcode
from smpdfu.securedfu.protocol.transfer import Transfer
from smpdfu.virtual.nrf52.build import Nrf52Build, Transport
from tests.securedfu.dfu_line import Line, at_frame, flips, losses
from tests.securedfu.protocol.test_securedfu_transfer import KINDS, NEW, PACKET, device_in_dfu, runs_new

USB = Nrf52Build(Transport.USB)


def ahead() -> Transfer:
    return Transfer(PACKET, NEW, write_ahead=True)


class Noted(Line):
    """A line that notes what a transfer wants."""

    def carry_noted(self, transfer: Transfer) -> list[Action]:
        actions: list[Action] = []
        plain = transfer.next_action

        def noted() -> Action | None:
            action = plain()
            if action is not None:
                actions.append(action)
            return action

        transfer.next_action = noted  # type: ignore[method-assign]
        self.carry(transfer)
        return actions


def behind_create(build: Nrf52Build) -> set[type[Action]]:
    """What follows the requests that create an object."""
    device = device_in_dfu(build)
    actions = Noted(device).carry_noted(ahead())
    assert runs_new(device)
    return {
        type(second)
        for first, second in pairwise(actions)
        if isinstance(first, SendRequest) and first.message[0] == Opcode.CREATE
    }


def test_over_usb_the_first_write_does_not_wait_for_its_object() -> None:
    assert behind_create(USB) == {WriteData}


def test_over_a_uart_it_waits() -> None:
    assert behind_create(Nrf52Build()) == {Await}


def test_no_request_follows_another_one_without_its_answer() -> None:
    actions = Noted(device_in_dfu(USB)).carry_noted(ahead())
    asked = [one for one in actions if not isinstance(one, WriteData)]
    assert all(isinstance(one, Await) for one in asked[1::2])
    assert all(isinstance(one, SendRequest) for one in asked[::2])


ALL_FRAMES = 43


def test_all_frames_are_cut_below() -> None:
    line = Line(device_in_dfu(USB))
    line.carry(ahead())
    assert line.frames == ALL_FRAMES


@pytest.mark.parametrize("frames", range(ALL_FRAMES))
def test_a_transfer_that_ends_anywhere_is_taken_up_again(frames: int) -> None:
    device = device_in_dfu(USB)
    Line(device).carry(ahead(), frames)
    line = Line(device)
    line.carry(ahead())
    assert runs_new(device)
    assert line.frames + frames < ALL_FRAMES + 12  # what had arrived was not sent again


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frame", range(ALL_FRAMES - 1))
def test_one_bad_frame_to_the_device_costs_no_more_than_time(kind: str, frame: int) -> None:
    device = device_in_dfu(USB)
    Line(device, to_device=at_frame(frame, KINDS[kind])).carry(ahead())
    assert runs_new(device)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frame", range(22))
def test_one_bad_answer_costs_no_more_than_time(kind: str, frame: int) -> None:
    device = device_in_dfu(USB)
    Line(device, to_host=at_frame(frame, KINDS[kind])).carry(ahead())
    assert runs_new(device)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 3000), st.integers(2, 3000), st.integers(0, 1 << 30), st.booleans())
def test_whatever_a_line_does_the_bytes_are_right_or_there_is_an_error(
    every_out: int, every_in: int, seed: int, flipped: bool
) -> None:
    device = device_in_dfu(USB)
    make = flips if flipped else losses
    transfer = ahead()
    try:
        Line(device, make(every_out, seed), make(every_in, seed + 1)).carry(transfer)
    except (LinkError, DfuRefusedError):
        assert not runs_new(device)
        return
    assert runs_new(device) or not transfer.confirmed
