"""The adaptive window against a model of each class of servers, in simulated time: shapes, not figures of a machine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.client import Client, Trace, UploadResult
from smpdfu.errors import DeviceError, ResponseTimeoutError
from smpdfu.smp.framing import ConsoleFraming, DatagramFraming, GattFraming, RawFraming
from smpdfu.smp.groups.image import ImageUpload, UploadReply
from smpdfu.smp.message import MgmtRc, Refusal
from tests.simulated import simulate, turns

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.client.fake_device import Answer, image
    from tests.client.server_models import Server, SimulatedPipe, Wire, upload
else:
    from fake_device import Answer, image
    from server_models import Server, SimulatedPipe, Wire, upload

SIZE = 96 * 1024
DATA, LONG = image(SIZE - 72), image(256 * 1024 - 72)
MS = 0.001


def serial(round_trip_ms: float, loss: float = 0.0) -> Wire:
    return Wire(delay_s=round_trip_ms / 2 * MS, loss=loss)


def udp(round_trip_ms: float) -> Wire:
    return Wire(DatagramFraming, delay_s=round_trip_ms / 2 * MS, max_write=1472)


def ble(interval_ms: float, per_event: int = 6) -> Wire:
    return Wire(GattFraming, interval_s=interval_ms * MS, per_event=per_event, max_write=495)


QUICK = Server(erase_s=0.0)
DROPPER = Server(erase_s=0.0, service_s=20 * MS, ring=256)
MUTE = Server(erase_s=0.0, mute=True, buf_size=2048)

LOSSLESS = {
    "serial, 4 buffers, 30 ms": (QUICK, serial(30)),
    "serial, 4 buffers, no latency": (QUICK, serial(0.2)),
    "serial, 8 long buffers": (replace(QUICK, buffers=8, buf_size=2048), serial(7.5)),
    "serial, 2 buffers": (replace(QUICK, buffers=2), serial(15)),
    "serial, 1 buffer": (replace(QUICK, buffers=1), serial(15)),
    "raw serial": (QUICK, replace(serial(15), framing=RawFraming)),
    "115200 baud": (replace(QUICK, service_s=5 * MS), Wire(delay_s=0.5 * MS, bytes_per_s=11520)),
    "115200 baud, slow adapter": (replace(QUICK, service_s=5 * MS), Wire(delay_s=8 * MS, bytes_per_s=11520)),
    "slow flash": (replace(QUICK, buf_size=2048, service_s=3 * MS, page_s=87 * MS), serial(2)),
    "UDP, 2 buffers": (replace(MUTE, buffers=2, service_s=3 * MS), udp(30)),
    "UDP, 2 buffers, no latency": (replace(MUTE, buffers=2, service_s=3 * MS), udp(0.2)),
    "BLE, 4 buffers": (replace(MUTE, buf_size=2475), ble(50, 24)),
    "BLE, 8 short buffers": (replace(MUTE, buffers=8, buf_size=498), ble(50)),
    "BLE, short interval": (replace(MUTE, buffers=8, buf_size=2475), ble(7.5, 4)),
    "recovery, in units of 4": (replace(QUICK, buffers=1, buf_size=1024, service_s=0.1, unit=4, ring=64), serial(2)),
    "no params": (replace(QUICK, tells=False), serial(30)),
}
LOSING = {
    "small UART": (DROPPER, serial(2)),
    "small UART, long messages": (replace(DROPPER, buf_size=2048), serial(2)),
    "small UART, fast": (replace(DROPPER, buf_size=2048, service_s=5 * MS, ring=64), serial(2)),
    "small UART, latency": (replace(DROPPER, service_s=3 * MS), serial(30)),
    "pool that pauses for an erase": (replace(QUICK, page=1 << 14, page_s=0.3), serial(30)),
    "1 % loss": (QUICK, serial(30, 0.005)),
    "1 % loss, no latency": (QUICK, replace(serial(0.2, 0.005), seed=2)),  # with this one, the list is not lost
    "UDP, deaf while it writes flash": (replace(MUTE, page_s=20 * MS, deaf_for_s=20 * MS), udp(60)),
    "UDP, 8 buffers, deaf at times": (replace(MUTE, buffers=8, page_s=20 * MS, deaf_for_s=5 * MS), udp(30)),
    "UDP in disorder": (MUTE, replace(udp(30), loss=0.02, duplication=0.05, reordering=0.05)),
}
EVERY = LOSSLESS | LOSING


# --- the gain --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSLESS)
def test_nothing_is_sent_again_on_a_lossless_wire(name: str) -> None:
    outcome = upload(DATA, *LOSSLESS[name])
    assert (outcome.result.retries, outcome.pipe.overflows, outcome.strays) == (0, 0, 0)


@pytest.mark.parametrize("name", EVERY)
def test_the_window_is_never_slower_than_one_in_flight(name: str) -> None:
    server, wire = EVERY[name]
    data = LONG if name in LOSING else DATA
    alone, adaptive = (upload(data, server, wire, window_max=bound) for bound in (1, None))
    assert alone.result.window == 1
    assert alone.seconds / adaptive.seconds >= 0.97


@pytest.mark.parametrize("buf_size", [384, 2048])
def test_three_times_as_fast_with_four_buffers(buf_size: int) -> None:
    server = replace(QUICK, buf_size=buf_size)
    alone, adaptive = (upload(LONG, server, serial(30), window_max=bound) for bound in (1, 3))
    assert alone.seconds / adaptive.seconds >= 2.7


@pytest.mark.parametrize("buffers", [1, 2, 4, 8])
@pytest.mark.parametrize("round_trip_ms", [7.5, 15, 30, 50])
def test_the_link_carries_what_the_buffers_allow(buffers: int, round_trip_ms: float) -> None:
    server = replace(QUICK, buffers=buffers)
    outcome = upload(LONG, server, serial(round_trip_ms))
    chunks, trip_s = outcome.result.requests, round_trip_ms * MS + server.service_s
    window = max(1, min(buffers - 1, trip_s / server.service_s))
    modelled_s = trip_s + (chunks - 1) * trip_s / window
    assert outcome.seconds <= (modelled_s + 2 * trip_s) / 0.95  # params and list take a round trip each


def test_a_baud_rate_is_used_up() -> None:
    server, wire = EVERY["115200 baud, slow adapter"]
    outcome = upload(DATA, server, wire)
    sent = sum(len(ConsoleFraming().encode(message)) for message in outcome.pipe.device.heard)
    assert sent / 11520 / outcome.seconds > 0.95


def test_a_radio_carries_several_requests_in_one_event() -> None:
    server, wire = EVERY["BLE, 8 short buffers"]
    alone, adaptive = (upload(DATA, server, wire, window_max=bound) for bound in (1, None))
    assert alone.seconds / adaptive.seconds > 5


def test_more_than_there_are_buffers_when_the_device_is_idle_between_requests() -> None:
    server, wire = EVERY["UDP, 2 buffers"]
    alone, adaptive = (upload(LONG, server, wire, window_max=bound) for bound in (1, None))
    assert alone.seconds / adaptive.seconds > 2
    assert adaptive.result.window > 1
    assert adaptive.pipe.most_inside == 1  # spread so well that they never met there


def test_a_short_upload_does_not_pay_for_trials_beyond_the_buffers() -> None:
    assert upload(image(20_000), *EVERY["UDP, 2 buffers"]).result.window == 1


def test_no_more_than_there_are_buffers_when_a_radio_brings_them_together() -> None:
    outcome = upload(DATA, *EVERY["BLE, 4 buffers"])
    assert outcome.result.window == 3
    assert outcome.pipe.most_inside > 1


# --- servers that cannot do more -------------------------------------------------------------------------------------


def test_lost_bytes_that_go_unnoticed_are_not_risked() -> None:
    server, wire = EVERY["raw serial"]
    assert upload(DATA, server, wire).result.window == 1
    assert upload(DATA, server, wire, window_max=3).result.window == 3  # who knows the device may ask for it


class NotComparing(SimulatedPipe):
    """Built without CONFIG_IMG_ENABLE_IMAGE_CHECK."""

    def _upload(self, request: ImageUpload) -> Answer:
        answer = super()._upload(request)
        return replace(answer, match=None) if isinstance(answer, UploadReply) else answer


@pytest.mark.parametrize(
    ("wire", "buf_size", "proof"),
    [
        (serial(2), 2048, True),
        (udp(2), 2048, True),
        (ble(15), 495, True),  # a message is one packet
        (ble(15), 2048, False),
        (replace(serial(2), framing=RawFraming), 384, False),
    ],
)
def test_a_list_proves_an_upload_only_if_each_message_was_checked(wire: Wire, buf_size: int, proof: bool) -> None:
    pipe = NotComparing(replace(QUICK, buf_size=buf_size), wire)

    async def main() -> UploadResult:
        async with Client(pipe, wire.framing()) as client:
            return await client.upload(DATA)

    result = simulate(main())
    assert (result.match, result.listed) == (None, True)
    assert result.verified is proof


@pytest.mark.parametrize("told", [True, False])
def test_what_pays_is_found_without_the_device_telling(told: bool) -> None:
    outcome = upload(DATA, replace(QUICK, buf_size=256, buffers=3, tells=told), serial(30), window_max=2)
    assert outcome.result.window == 2


@pytest.mark.parametrize("most", [0, 1, 2, 3])
def test_the_wire_has_a_queue_of_its_own(most: int) -> None:
    async def main() -> int:
        pipe = SimulatedPipe(replace(MUTE, buffers=8), udp(30))
        pipe.in_flight_max = most * 1472 + 100
        async with Client(pipe, DatagramFraming()) as client:
            return (await client.upload(DATA)).window

    assert simulate(main()) == max(most, 1)


# --- silence ---------------------------------------------------------------------------------------------------------


def test_a_lost_request_costs_less_than_the_timeout() -> None:
    wires = (serial(30), replace(serial(30, 0.02), seed=3))  # with this one, the first chunk passes
    good, lossy = (upload(DATA, QUICK, wire, window_max=1) for wire in wires)
    assert lossy.result.retries >= 2
    assert (lossy.seconds - good.seconds) / lossy.result.retries < 0.2


def test_a_wire_that_loses_one_message_in_a_hundred_keeps_several_in_flight() -> None:
    server = replace(MUTE, buffers=4)
    good, *lossy = (
        upload(LONG, server, replace(udp(15), loss=loss, seed=seed)).seconds
        for loss, seed in [(0.0, 0), *((0.005, seed) for seed in range(8))]
    )
    assert max(lossy) <= good * 2


def test_a_pause_of_the_device_is_borne() -> None:
    pausing = replace(QUICK, page=1 << 15, page_s=0.9)
    outcome = upload(DATA, pausing, serial(30))
    assert outcome.pipe.device.erasures == 1
    assert outcome.result.requests < outcome.result.len / 320 * 1.2
    assert outcome.seconds < 10


def test_an_erase_of_thirty_seconds_is_borne() -> None:
    outcome = upload(DATA, replace(QUICK, erase_s=30.0), serial(30))
    assert outcome.pipe.device.erasures == 1
    assert 30 < outcome.seconds < 36
    firsts = [request for request in outcome.pipe.device.requests(ImageUpload) if request.off == 0]
    assert len(firsts) <= 4  # the buffers had no room for more


class Dying(SimulatedPipe):
    """Falls silent in the middle."""

    def _upload(self, request: ImageUpload) -> Answer:
        return super()._upload(request) if request.off < SIZE // 2 else None


@pytest.mark.parametrize("bound", [1, 3, None])
def test_a_device_that_falls_silent_is_given_up_in_time(bound: int | None) -> None:
    seen: list[Trace] = []

    async def main() -> float:
        client = Client(Dying(QUICK, serial(30)), ConsoleFraming(), window_max=bound)
        client.trace = seen.append
        async with client:
            await client.upload(DATA)
        return 0.0

    with pytest.raises(ResponseTimeoutError, match=r"did not answer img upload within 2\.5 s in 8 attempts"):
        simulate(main())
    last = max(trace.at_s for trace in seen if trace.kind == "received")
    after = [trace.at_s for trace in seen if trace.kind == "sent" and trace.at_s > last]
    assert 17 < max(after) - last < 25
    assert len(after) < 20


class Restarting(SimulatedPipe):
    """Is reset in the middle: what was sent is lost, it says nothing for a while, then its console speaks."""

    restarts = 1
    down_until = 0.0

    def _upload(self, request: ImageUpload) -> Answer:
        if self.restarts and request.off > SIZE // 2:
            loop = asyncio.get_running_loop()
            self.restarts, self.down_until = self.restarts - 1, loop.time() + 4
            self.device.total, self.device.buffer = 0, bytearray()
            for number in range(40):
                loop.call_later(1 + number / 20, self._host_hears, b"booting\r\n")
        return super()._upload(request)

    def _arrive(self, data: bytes) -> None:
        if asyncio.get_running_loop().time() >= self.down_until:
            super()._arrive(data)

    def _done(self, answers: list[bytes]) -> None:
        super()._done(answers if asyncio.get_running_loop().time() >= self.down_until else [])


@pytest.mark.parametrize("bound", [1, None])
def test_a_device_that_restarts_gets_everything_again(bound: int | None) -> None:
    pipe, sent = Restarting(QUICK, serial(30)), list[float]()

    async def main() -> None:
        client = Client(pipe, ConsoleFraming(), window_max=bound)
        client.trace = lambda trace: sent.append(trace.at_s) if trace.kind == "sent" else None
        async with client:
            await client.upload(DATA)

    simulate(main())
    assert (pipe.device.stored, pipe.device.erasures) == (DATA, 2)
    text_at = pipe.down_until - 3
    assert not [at for at in sent if text_at < at < text_at + 2]  # some boards hang if one talks to them then


class Full(SimulatedPipe):
    """Has no buffer any more from the middle on."""

    def _upload(self, request: ImageUpload) -> Answer:
        return super()._upload(request) if request.off < SIZE // 2 else Refusal(MgmtRc.ENOMEM)


@pytest.mark.parametrize("bound", [1, 3])
def test_a_device_without_memory_is_given_up(bound: int) -> None:
    pipe = Full(QUICK, serial(30))

    async def main() -> None:
        async with Client(pipe, ConsoleFraming(), window_max=bound) as client:
            await client.upload(DATA)

    with pytest.raises(DeviceError, match="ENOMEM"):
        simulate(main())
    assert len(pipe.device.requests(ImageUpload)) < SIZE / 320


def test_nobody_polls() -> None:
    """A device that needs an hour is not asked about it, and the loop does not turn meanwhile."""

    async def main() -> int:
        client = Client(SimulatedPipe(replace(QUICK, erase_s=3600.0), serial(30)), ConsoleFraming(), timeout_s=3600)
        async with client:
            task = asyncio.ensure_future(client.upload(DATA, erase_timeout_s=8 * 3600))
            await asyncio.sleep(1)
            before = turns()
            await asyncio.sleep(3500)
            turned = turns() - before
            await task
            return turned

    assert simulate(main()) <= 2
