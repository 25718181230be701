"""Resets, and the device that comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from smpdfu.client import Client, Patience
from smpdfu.errors import DeviceError, LinkLostError, ResponseTimeoutError
from smpdfu.link.memory import Faults
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import ConsoleFraming, DatagramFraming, Framing
from smpdfu.smp.groups.os import Echo, EchoReply, Params, ParamsReply, Reset
from smpdfu.smp.message import Empty, MgmtRc, Refusal
from tests.simulated import simulate

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.client.fake_device import IMPATIENT, LONG_S, SHORT_S, Answer, FakeDevice, with_client
    from tests.client.server_models import Server, SimulatedPipe, Wire
else:
    from fake_device import IMPATIENT, LONG_S, SHORT_S, Answer, FakeDevice, with_client
    from server_models import Server, SimulatedPipe, Wire


def test_reset() -> None:
    device = FakeDevice()
    assert with_client(device.client(), lambda client: client.reset(force=True, boot_mode=1)) is True
    assert device.requests(Reset) == [Reset(force=1, boot_mode=1)]


def test_a_lost_answer_to_a_reset_is_no_error_and_no_reason_to_reset_twice() -> None:
    device = FakeDevice({Reset: lambda request: None})
    assert with_client(device.client(timeout_s=SHORT_S), Client.reset) is False
    assert len(device.requests(Reset)) == 1
    assert with_client(device.client(Faults(cut_after_writes=0)), Client.reset) is False


def test_a_damaged_answer_to_a_reset_is_no_acknowledgement() -> None:
    device = FakeDevice({Reset: lambda request: b"\xff"})
    assert with_client(device.client(timeout_s=SHORT_S), Client.reset) is False
    assert len(device.requests(Reset)) == 1


def test_a_link_that_is_lost_already_is_opened_for_a_reset() -> None:
    async def act(client: Client) -> bool:
        with pytest.raises(LinkLostError):
            await ten_times(client)
        return await client.reset()

    device = FakeDevice()
    assert with_client(device.client(Faults(cut_after_writes=3)), act) is True
    assert len(device.requests(Reset)) == 1
    with pytest.raises(LinkLostError, match="does not come back"):
        with_client(FakeDevice().client(Faults(cut_after_writes=3, reconnect=False)), act)


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
    """Prints ``lines`` lines, one a ``pause_s``, from when it is connected to. ``heard_at``: when each message came."""

    lines, pause_s = 20, 0.1

    async def serve(self, pipe: Pipe) -> None:
        self.heard_at: list[float] = []
        printing = asyncio.create_task(self.print_boot_text(pipe))
        try:
            await super().serve(pipe)
        finally:
            printing.cancel()

    async def print_boot_text(self, pipe: Pipe) -> None:
        for number in range(self.lines):
            await pipe.write(b"I: boot line %d\n" % number)
            await asyncio.sleep(self.pause_s)

    def handle(self, message: bytes) -> bytes | None:
        self.heard_at.append(asyncio.get_running_loop().time())
        return super().handle(message)


class Clock(asyncio.SelectorEventLoop):
    """A loop in whose time nothing takes long: where others would wait, it jumps ahead."""

    now_s = 0.0

    def time(self) -> float:
        return self.now_s

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]  # asyncio's own lists
            self.now_s = max(self.now_s, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def wait_for(device: FakeDevice, patience: Patience) -> float:
    """How long, in the time of ``Clock``, ``wait_for_device`` takes."""

    async def act() -> float:
        async with Client(device.pipe(), ConsoleFraming(), patience=patience) as client:
            await client.reset()
            began = asyncio.get_running_loop().time()
            await client.wait_for_device(120.0)
            return asyncio.get_running_loop().time() - began

    with asyncio.Runner(loop_factory=Clock) as runner:
        return runner.run(act())


def test_nothing_is_said_to_a_device_that_prints_its_boot_text() -> None:
    device = Booting()
    wait_for(device, Patience(reset_grace_s=0.0, quiet_s=0.3, quiet_max_s=10.0))
    reset, ping = device.heard_at
    assert reset < 0.1
    assert 2.2 - 0.1 <= ping <= 2.3


def test_a_device_that_always_prints_is_spoken_to_after_a_while() -> None:
    device = Booting(drop=0)
    device.lines = 10_000
    assert 2.9 <= wait_for(device, Patience()) <= 4.0


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


@pytest.mark.parametrize("answers", [True, False])
def test_a_link_to_a_device_that_never_answered_was_not_lost(answers: bool) -> None:
    """Over UDP the link is open before anybody is known to be there."""
    device = FakeDevice()
    client = device.client(Faults(cut_after_writes=3 if answers else 0, reconnect=False))
    with pytest.raises(LinkLostError) as caught:
        with_client(client, ten_times)
    assert caught.value.reached is answers


@pytest.mark.parametrize("round_trip_s", [0.5, 1.5, 2.4, 6.0])
@pytest.mark.parametrize("framing", [ConsoleFraming, DatagramFraming])
def test_a_device_at_the_end_of_a_long_link_is_back(framing: type[Framing], round_trip_s: float) -> None:
    """The user's timeout counts, and the round trip that was measured: not the second after which is asked again."""

    async def main() -> None:
        pipe = SimulatedPipe(Server(), Wire(framing, delay_s=round_trip_s / 2))
        async with Client(pipe, framing()) as client:
            assert await client.params() is not None
            await client.reset()
            await client.wait_for_device(60.0)

    simulate(main())
