"""The same upload over every kind of bad wire, to a virtual device: the right image must arrive, whatever happens."""

from __future__ import annotations

import asyncio
import os
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from smpdfu.client import Client, Patience, UploadResult, image_hash
from smpdfu.errors import LinkLostError
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import generate
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.link.memory import NO_FAULTS, Faults, served_pipe
from smpdfu.link.pipe import Pipe
from smpdfu.link.serial.pipe import SerialPipe
from smpdfu.smp.framing import ConsoleFraming, DatagramFraming, Framing, GattFraming, RawFraming
from smpdfu.smp.groups.image import ImageSlot, StateRead
from smpdfu.virtual.boot.bootloader import BootKeys
from smpdfu.virtual.chip.layout import NRF5340DK_STAGED
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.wires.pty import serve_pty
from tests.deadlines import HANG_S
from tests.simulated import simulate

KEY = generate("ecdsa-p256")
HEADER_SIZE = 512
LONG_S, SHORT_S = 20.0, 0.05
"""Time-outs: one that never comes, and one for wires that lose something."""
NO_PAUSES = Patience(pause_s=0.0, quiet_s=0.0)
GATT_WRITE = 244


def signed_image(version: int) -> bytes:
    """60 KB for the primary slot: some thirty frames for the device's buffers of 2 KB."""
    start = NRF5340DK_STAGED.primary.start + HEADER_SIZE
    firmware = struct.pack("<2I", 0x2000_4000, start + 0x101) + random.Random(version).randbytes(60_000)
    return build(ImageSpec(Version(version), HEADER_SIZE, 0, pad_header=True), firmware, KEY).to_bytes()


OLD, NEW = signed_image(1), signed_image(2)


class Bench:
    """A virtual device that runs ``OLD``, and a client at the other end of its wire.

    With ``restarts`` the device lives off the wire: each cut restarts it, and it forgets the upload.
    """

    def __init__(
        self,
        to_device: Faults = NO_FAULTS,
        to_host: Faults | None = None,
        framing: Callable[[], Framing] = ConsoleFraming,
        max_write: int | None = None,
        timeout_s: float = LONG_S,
    ) -> None:
        self.device = VirtualNrf5340(NRF5340DK_STAGED, BootKeys((KEY.public,)))
        self.device.load_app(OLD)
        self.device.reset()
        self.connections = 0
        self.restarts = False
        self._framing = framing
        pipe = served_pipe(self._serve, to_device, to_host=to_host)
        pipe.max_write = max_write or pipe.max_write
        self.client = Client(pipe, framing(), timeout_s=timeout_s, attempts=8, patience=NO_PAUSES)

    async def _serve(self, pipe: Pipe) -> None:
        self.connections += 1
        if self.restarts and self.connections > 1:
            self.device.reset()
        await self.device.serve(pipe, self._framing())

    def upload(self) -> UploadResult:
        """Upload ``NEW``, and check that the device holds it."""
        return simulate(self.do_upload())

    async def do_upload(self) -> UploadResult:
        async with self.client as client:
            result = await client.upload(NEW, erase_timeout_s=client.timeout_s)
            listed = await self._list()
        assert (result.off, result.len, result.listed) == (len(NEW), len(NEW), True)
        assert [(slot.slot, slot.hash) for slot in listed] == [(0, image_hash(OLD)), (1, image_hash(NEW))]
        assert self.device.images[0].secondary.area.read(0, len(NEW)) == NEW
        return result

    async def _list(self) -> tuple[ImageSlot, ...]:
        """The device's list; the wire may be cut once more."""
        try:
            return (await self.client.request(StateRead())).images
        except LinkLostError:
            await self.client.wait_for_device(5.0)
            return (await self.client.request(StateRead())).images


@dataclass(frozen=True)
class Wire:
    """A wire, and what is noticed of its faults: requests are sent again, answers come that nobody waits for.

    ``retries`` None: it depends on how many are in flight.
    """

    faults: Faults
    retries: bool | None = False
    strays: bool = False

    @property
    def timeout_s(self) -> float:
        """A short one if time-outs are what the wire is about."""
        return LONG_S if self.retries is False else SHORT_S


GOOD = Wire(NO_FAULTS)
LOSSY = Wire(Faults(seed=3, loss=0.05), retries=True)
# A copy takes one of the device's buffers, too: with several requests in flight there are none left.
DUPLICATING = Wire(Faults(seed=5, duplication=0.5), retries=None, strays=True)
CORRUPTING = Wire(Faults(seed=3, corruption=0.1), retries=True)
SLOW = Wire(Faults(delay_s=0.002))
WIRES = {
    "good": GOOD,
    "one byte at a time": Wire(Faults(split=1)),
    "split anywhere": Wire(Faults(split=7)),
    "lossy": LOSSY,
    "duplicating": DUPLICATING,
    "corrupting": CORRUPTING,
    "slow": SLOW,
    "slower than the timeout": Wire(Faults(delay_s=SHORT_S * 0.6), retries=True, strays=True),
    "everything at once": Wire(Faults(3, None, 0.05, 0.05, 0.2, 0.001), retries=True, strays=True),
}


@pytest.mark.parametrize("wire", WIRES.values(), ids=list(WIRES))
def test_the_upload_arrives_over_a_console(wire: Wire) -> None:
    bench = Bench(wire.faults, timeout_s=wire.timeout_s)
    result = bench.upload()
    assert bench.connections == 1
    assert wire.retries in (None, bool(result.retries))
    assert bench.client.strays or not wire.strays


# Without the console's check sum, corruption is the affair of the layers below; so is loss on BLE.
OTHER_WIRES = {"good": GOOD, "lossy": LOSSY, "duplicating": DUPLICATING, "slow": SLOW}


@pytest.mark.parametrize("wire", OTHER_WIRES.values(), ids=list(OTHER_WIRES))
@pytest.mark.parametrize("framing", [RawFraming, DatagramFraming])
def test_the_upload_arrives_as_bare_messages(framing: Callable[[], Framing], wire: Wire) -> None:
    bench = Bench(wire.faults, framing=framing, timeout_s=wire.timeout_s)
    retries = bench.upload().retries
    assert wire.retries in (None, bool(retries))


def test_raw_messages_arrive_one_byte_at_a_time() -> None:
    Bench(Faults(split=1), framing=RawFraming).upload()


@pytest.mark.parametrize("wire", [GOOD, SLOW], ids=["good", "slow"])
def test_the_upload_arrives_in_the_short_writes_of_gatt(wire: Wire) -> None:
    Bench(wire.faults, framing=GattFraming, max_write=GATT_WRITE).upload()


@pytest.mark.skipif(os.name != "posix", reason="the system has no pseudo terminals")
@pytest.mark.parametrize("threaded", [False, True], ids=["loop", "threads"])
def test_the_upload_arrives_over_a_serial_port(threaded: bool) -> None:
    bench = Bench()

    async def use() -> None:
        port: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        serving = asyncio.ensure_future(serve_pty(bench.device, port.set_result))
        pipe = SerialPipe(await port, threaded=threaded)
        bench.client = Client(pipe, ConsoleFraming(), timeout_s=HANG_S, patience=NO_PAUSES)
        try:
            assert (await bench.do_upload()).retries == 0
        finally:
            serving.cancel()
            await asyncio.wait([serving])

    asyncio.run(use())


# --- a wire that is cut -------------------------------------------------------------------------------------------


OTHERS = {"good": GOOD, "lossy": LOSSY, "duplicating": DUPLICATING}


@pytest.mark.parametrize("other", OTHERS.values(), ids=list(OTHERS))
def test_the_upload_arrives_when_every_tenth_request_cuts_the_wire(other: Wire) -> None:
    cut = replace(other.faults, cut_after_writes=9)
    bench = Bench(cut, other.faults, timeout_s=other.timeout_s)
    assert bench.upload().retries
    assert bench.connections >= 4


@pytest.mark.parametrize("other", OTHERS.values(), ids=list(OTHERS))
def test_the_upload_arrives_when_every_tenth_answer_cuts_the_wire(other: Wire) -> None:
    cut = replace(other.faults, cut_after_writes=9)
    bench = Bench(other.faults, cut, timeout_s=other.timeout_s)
    assert bench.upload().retries
    assert bench.connections >= 4


FRAMES = range(1, 46)
"""More than there are in an upload over a good wire: the last ones are behind its end."""


@pytest.mark.parametrize("restarts", [False, True], ids=["device stays on", "device restarts"])
@pytest.mark.parametrize("direction", ["request", "answer"])
def test_the_upload_arrives_wherever_the_wire_is_cut_once(direction: str, restarts: bool) -> None:
    cut_frames = 0
    for frame in FRAMES:
        once = Faults(cut_after_writes=frame - 1, cuts=1)
        bench = Bench(once, NO_FAULTS) if direction == "request" else Bench(NO_FAULTS, once)
        bench.restarts = restarts
        bench.upload()
        cut_frames += bench.connections > 1
    assert 25 < cut_frames < len(FRAMES)


def test_the_upload_goes_on_with_shorter_messages_when_the_way_became_narrow() -> None:
    """As a path of IP networks does, or another MTU of Bluetooth after a reset."""
    bench = Bench(Faults(cut_after_writes=9, cuts=1), NO_FAULTS, framing=DatagramFraming, max_write=1472)
    pipe = bench.client._exchange.pipe
    open_wide, sizes = pipe._open, [1472, 512]

    async def open_narrow() -> None:
        pipe.max_write = sizes.pop(0)
        await open_wide()

    pipe._open = open_narrow  # type: ignore[method-assign]  # stands in for the network between
    assert bench.upload().retries
    assert (bench.connections, sizes) == (2, [])
