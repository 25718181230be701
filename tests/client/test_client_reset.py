"""Resets, and the device that comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from smpdfu.client import Client, Patience
from smpdfu.errors import DeviceError, LinkLostError, ResponseTimeoutError
from smpdfu.link.memory import Faults
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.smp.groups.os import Echo, EchoReply, Params, ParamsReply, Reset
from smpdfu.smp.message import Empty, MgmtRc, Refusal

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.client.fake_device import IMPATIENT, LONG_S, SHORT_S, Answer, FakeDevice, until, with_client
else:
    from fake_device import IMPATIENT, LONG_S, SHORT_S, Answer, FakeDevice, until, with_client


def test_reset() -> None:
    device = FakeDevice()
    with_client(device.client(), lambda client: client.reset(force=True, boot_mode=1))
    assert device.requests(Reset) == [Reset(force=1, boot_mode=1)]


def test_a_lost_answer_to_a_reset_is_no_error_and_no_reason_to_reset_twice() -> None:
    device = FakeDevice({Reset: lambda request: None})
    with_client(device.client(timeout_s=SHORT_S), Client.reset)
    assert len(device.requests(Reset)) == 1
    with_client(device.client(Faults(cut_after_writes=0)), Client.reset)


def test_a_refused_reset_is_an_error() -> None:
    with pytest.raises(DeviceError, match="os reset: EBUSY"):
        with_client(FakeDevice({Reset: lambda request: Refusal(MgmtRc.EBUSY)}).client(), Client.reset)


def test_waits_for_a_device_that_boots() -> None:
    device = FakeDevice(text=b"*** Booting ***\n")
    texts: list[str] = []

    async def act(client: Client) -> ParamsReply | None:
        client.console = texts.append
        await client.params()
        await client.reset()
        device.drop = 3
        device.answers[Params] = lambda request: ParamsReply(512, 2)
        await client.wait_for_device(LONG_S)
        return await client.params()

    assert with_client(device.client(), act) == ParamsReply(512, 2)
    assert len(device.heard) >= 6
    assert "*** Booting ***\n" in texts


class Booting(FakeDevice):
    """Prints for a while when it is connected to. ``heard_after``: how many lines, when each message came."""

    printed = 0

    async def serve(self, pipe: Pipe) -> None:
        self.heard_after: list[int] = []
        printing = asyncio.create_task(self.print_boot_text(pipe))
        try:
            await super().serve(pipe)
        finally:
            printing.cancel()

    async def print_boot_text(self, pipe: Pipe) -> None:
        for self.printed in range(1, 21):
            await pipe.write(b"I: boot line %d\n" % self.printed)
            await asyncio.sleep(0.001)

    def handle(self, message: bytes) -> bytes | None:
        self.heard_after.append(self.printed)
        return super().handle(message)


def test_nothing_is_said_to_a_device_that_prints_its_boot_text() -> None:
    async def act(client: Client) -> None:
        await until(lambda: device.printed > 1)
        await client.wait_for_device(LONG_S)

    device = Booting()
    with_client(Client(device.pipe(), ConsoleFraming(), patience=Patience(quiet_s=0.3)), act)
    assert device.heard_after == [20]


def test_waits_for_a_link_that_comes_back() -> None:
    device = FakeDevice()

    async def act(client: Client) -> EchoReply:
        with pytest.raises(LinkLostError):
            await ten_times(client)
        await client.wait_for_device(LONG_S)
        return await client.request(Echo("back"))

    assert with_client(device.client(Faults(cut_after_writes=3)), act) == EchoReply("back")


def test_what_still_answers_after_a_reset_is_not_what_comes_back() -> None:
    device = FakeDevice()
    down_at: list[float] = []

    def going_down(request: Reset) -> Answer:
        down_at.append(asyncio.get_running_loop().time() + IMPATIENT.reset_grace_s / 2)
        return Empty()

    def who(request: Params) -> Answer:
        return ParamsReply(384, 4) if asyncio.get_running_loop().time() < down_at[0] else ParamsReply(512, 2)

    async def act(client: Client) -> ParamsReply | None:
        await client.reset()
        await client.wait_for_device(LONG_S)
        return await client.params()

    device.answers = {Reset: going_down, Params: who}
    assert with_client(device.client(), act) == ParamsReply(512, 2)


@pytest.mark.parametrize("answer", [Refusal(MgmtRc.ENOTSUP), ParamsReply(384, 4)])
def test_any_answer_is_a_sign_of_life(answer: Answer) -> None:
    device = FakeDevice({Params: lambda request: answer})
    with_client(device.client(), lambda client: client.wait_for_device(LONG_S))


def test_a_device_that_does_not_come_back() -> None:
    with pytest.raises(ResponseTimeoutError, match=r"within 0\.2 s"):
        with_client(FakeDevice(drop=1000).client(), lambda client: client.wait_for_device(0.2))


def test_a_link_that_does_not_come_back() -> None:
    async def act(client: Client) -> None:
        with pytest.raises(LinkLostError):
            await ten_times(client)
        await client.wait_for_device(0.1)

    with pytest.raises(LinkLostError, match="does not come back"):
        with_client(FakeDevice().client(Faults(cut_after_writes=3, reconnect=False)), act)


async def ten_times(client: Client) -> None:
    for _ in range(10):
        await client.request(Echo("x"))
