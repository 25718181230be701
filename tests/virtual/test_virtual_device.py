"""A whole virtual device: what its SMP server, its bootloaders and its wire do together."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.errors import DeviceError
from smpdfu.image.format import Image
from smpdfu.link.memory import pipe_pair
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import ConsoleFraming, Framing, RawFraming
from smpdfu.smp.groups.image import ImageRc, ImageSlot, ImageUpload, StateRead, StateReply, StateWrite, UploadReply
from smpdfu.smp.groups.os import Echo, EchoReply, Reset
from smpdfu.smp.message import Empty, Request, Response
from smpdfu.smp.session import read_outcome
from smpdfu.virtual.boot.bootloader import Ending
from smpdfu.virtual.boot.build import AddressCheck, BootOptions
from smpdfu.virtual.boot.network.netcore import B0n
from smpdfu.virtual.chip.flash import FlashError
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import Resources
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.virtual.conftest import Bench

CHUNK = 1500


def net_firmware(seed: int, size: int = 3000) -> bytes:
    """Firmware linked for the network core's slot, as plain Zephyr builds it."""
    table = struct.pack("<16I", 0x2100_4000, *[0x0100_8800 + 0x101] * 15)
    return table + bytes((seed + at) % 251 for at in range(size))


def made(bench: Bench, *, reset_delay_s: float = 0.0) -> VirtualNrf5340:
    """The bench's chip as a device, blank and without power."""
    flashes = {"app": bench.app, "net": bench.net_flash}
    return VirtualNrf5340(bench.layout, bench.keys, flashes=flashes, resources=Resources(reset_delay_s=reset_delay_s))


@pytest.fixture
def device(bench: Bench) -> VirtualNrf5340:
    """A device that runs version 1 on both cores."""
    device = made(bench)
    device.load_app(bench.app_image(1))
    device.load_net(net_firmware(1))
    device.reset()
    return device


def ask(device: VirtualNrf5340, request: Request[Any]) -> Response | DeviceError:
    (answer,) = device.answers(request.to_bytes(5))
    return read_outcome(request, answer[8:])


def upload(device: VirtualNrf5340, image: bytes, *, confirm: bool | None = None) -> None:
    """Upload and, with ``confirm``, mark for a test (False) or for good (True)."""
    for off in range(0, len(image), CHUNK):
        piece = image[off : off + CHUNK]
        size = len(image) if off == 0 else None
        assert ask(device, ImageUpload(off=off, len=size, data=piece)) == UploadReply(off + len(piece))
    if confirm is not None:
        assert isinstance(ask(device, StateWrite(Image.from_bytes(image).hash, confirm)), StateReply)


def slots(device: VirtualNrf5340) -> tuple[ImageSlot, ...]:
    reply = ask(device, StateRead())
    assert isinstance(reply, StateReply)
    return reply.images


def running_hash(device: VirtualNrf5340) -> bytes | None:
    return None if device.running is None else device.running.hash


# --- power ----------------------------------------------------------------------------------------------------------


def test_a_blank_device_is_silent_and_says_why_on_its_console(bench: Bench) -> None:
    device = made(bench)
    assert device.answers(Echo("x").to_bytes(1)) == []
    device.reset()
    assert device.running is None
    assert device.answers(Echo("x").to_bytes(1)) == []
    assert "E: Unable to find bootable image" in device.log


def test_a_device_with_firmware_answers_and_both_cores_run(device: VirtualNrf5340) -> None:
    assert ask(device, Echo("x")) == EchoReply("x")
    assert device.net_core.running
    assert device.log[-1].startswith("*** Booting Zephyr OS")


def test_firmware_that_a_stranger_signed_does_not_start(bench: Bench, device: VirtualNrf5340) -> None:
    device.load_app(bench.app_image(1, key=None))
    device.reset()
    assert device.answers(Echo("x").to_bytes(1)) == []


# --- updates over SMP -----------------------------------------------------------------------------------------------


def test_a_test_that_nobody_confirms_is_reverted(bench: Bench, device: VirtualNrf5340) -> None:
    old, new = bench.app_image(1), bench.app_image(2)
    upload(device, new, confirm=False)
    device.reset()
    assert running_hash(device) == Image.from_bytes(new).hash
    assert [(one.active, one.confirmed) for one in slots(device)] == [(True, False), (False, True)]
    assert bench.holds("primary", new)
    assert bench.holds("secondary", old)
    device.reset()
    assert running_hash(device) == Image.from_bytes(old).hash
    assert bench.holds("primary", old)


def test_a_confirmed_image_stays(bench: Bench, device: VirtualNrf5340) -> None:
    new = bench.app_image(2)
    upload(device, new, confirm=False)
    device.reset()
    assert isinstance(ask(device, StateWrite(confirm=True)), StateReply)
    device.reset()
    assert running_hash(device) == Image.from_bytes(new).hash
    assert slots(device)[0].confirmed


def test_an_image_with_one_wrong_bit_is_gone_after_the_boot(bench: Bench, device: VirtualNrf5340) -> None:
    damaged = bytearray(bench.app_image(2))
    damaged[2000] ^= 1
    upload(device, bytes(damaged), confirm=True)
    device.reset()
    assert running_hash(device) == Image.from_bytes(bench.app_image(1)).hash
    assert [one.slot for one in slots(device)] == [0]
    assert bench.is_blank("secondary")


def test_a_network_image_goes_to_the_network_core(bench: Bench, device: VirtualNrf5340) -> None:
    firmware = net_firmware(2)
    before = device.net.read(0x0100_8800, len(firmware))
    upload(device, bench.image(firmware), confirm=False)
    assert device.net.read(0x0100_8800, len(firmware)) == before
    device.reset()
    assert device.net.read(0x0100_8800, len(firmware)) == firmware
    assert device.net_core.running
    assert running_hash(device) == Image.from_bytes(bench.app_image(1)).hash


def test_an_upload_resumes_until_the_reset(bench: Bench, device: VirtualNrf5340) -> None:
    image = bench.app_image(2)
    start = ImageUpload(off=0, len=len(image), sha=b"\x07" * 32, data=image[:CHUNK])
    ask(device, start)
    ask(device, ImageUpload(off=CHUNK, data=image[CHUNK : 2 * CHUNK]))
    assert ask(device, start) == UploadReply(2 * CHUNK)
    device.reset()
    assert ask(device, start) == UploadReply(CHUNK)


def test_put_aside_and_resumed_it_goes_on_as_if_nothing_had_happened(bench: Bench, device: VirtualNrf5340) -> None:
    image = bench.app_image(2)
    start = ImageUpload(off=0, len=len(image), sha=b"\x07" * 32, data=image[:CHUNK])
    ask(device, start)
    again, ram = made(bench), device.put_aside()
    assert ram is not None
    again.resume(ram)
    assert again.running == device.running
    assert again.net_core.running
    assert not again.log
    assert ask(again, start) == UploadReply(CHUNK)
    for off in range(CHUNK, len(image), CHUNK):
        ask(again, ImageUpload(off=off, data=image[off : off + CHUNK]))
    assert bench.holds("secondary", image)


# --- power cuts -----------------------------------------------------------------------------------------------------


def test_a_power_cut_in_an_upload_silences_the_device_until_it_boots(bench: Bench, device: VirtualNrf5340) -> None:
    image = bench.app_image(2)
    device.app.power.cut_after = 1
    ask(device, ImageUpload(off=0, len=len(image), data=image[:CHUNK]))
    assert device.answers(ImageUpload(off=CHUNK, data=image[CHUNK : 2 * CHUNK]).to_bytes(1)) == []
    assert device.answers(Echo("x").to_bytes(1)) == []
    device.reset()
    assert ask(device, Echo("x")) == EchoReply("x")


def test_a_power_cut_in_a_swap_is_continued_at_the_next_boot(bench: Bench, device: VirtualNrf5340) -> None:
    new = bench.app_image(2)
    upload(device, new, confirm=True)
    device.app.power.cut_after = 10
    assert device.reset() is None
    assert device.answers(Echo("x").to_bytes(1)) == []
    assert device.put_aside() is None
    assert device.reset() is not None
    assert bench.holds("primary", new)
    assert ask(device, Echo("x")) == EchoReply("x")


# --- a debugger -----------------------------------------------------------------------------------------------------


def test_a_debugger_writes_anywhere_and_keeps_what_is_around(device: VirtualNrf5340) -> None:
    device.program(0x10, b"abc")
    device.program(0x12, b"de")
    assert device.app.read(0xF, 6) == b"\xffabde\xff"
    device.program(0x0100_0001, b"net")
    assert device.net.read(0x0100_0000, 5) == b"\xffnet\xff"
    with pytest.raises(FlashError):
        device.program(0x0080_0000, b"nowhere")


def test_of_a_signed_network_image_the_firmware_is_loaded(bench: Bench, device: VirtualNrf5340) -> None:
    firmware = net_firmware(9)
    device.load_net(bench.image(firmware))
    assert device.net.read(0x0100_8800, len(firmware)) == firmware


# --- the wire -------------------------------------------------------------------------------------------------------


class Host:
    """The other end of a wire: what a person's computer reads."""

    def __init__(self, pipe: Pipe, framing: Framing) -> None:
        self.pipe, self.framing, self.raw = pipe, framing, b""

    async def ask(self, request: Request[Any]) -> Response | DeviceError:
        await self.pipe.write(self.framing.encode(request.to_bytes(9)))
        return read_outcome(request, (await self.message())[8:])

    async def message(self) -> bytes:
        while True:
            data = await self.pipe.read()
            self.raw += data
            for message in self.framing.feed(data):
                return message

    async def until(self, text: bytes) -> None:
        while text not in self.raw:
            self.raw += await self.pipe.read()


async def served(device: VirtualNrf5340, framing: type[Framing]) -> tuple[Host, asyncio.Task[None], Pipe]:
    host, far = pipe_pair()
    await host.open()
    await far.open()
    return Host(host, framing()), asyncio.create_task(device.serve(far, framing())), far


@pytest.mark.parametrize("framing", [ConsoleFraming, RawFraming])
def test_requests_are_answered_on_a_wire_until_it_is_closed(device: VirtualNrf5340, framing: type[Framing]) -> None:
    async def talk() -> None:
        host, serving, _ = await served(device, framing)
        assert await host.ask(Echo("one")) == EchoReply("one")
        assert await host.ask(Echo("two")) == EchoReply("two")
        await host.pipe.close()
        await asyncio.wait_for(serving, 10)

    simulate(talk())


def test_the_boot_log_stands_between_the_frames_of_a_console(device: VirtualNrf5340) -> None:
    async def talk() -> None:
        host, serving, _ = await served(device, ConsoleFraming)
        assert await host.ask(Reset()) == Empty()
        await host.until(b"*** Booting Zephyr OS v4.4.0 ***\r\n")
        assert await host.ask(Echo("x")) == EchoReply("x")
        serving.cancel()

    simulate(talk())


def test_a_wire_without_console_has_frames_only(device: VirtualNrf5340) -> None:
    async def talk() -> None:
        host, serving, _ = await served(device, RawFraming)
        booted = asyncio.Event()
        device.watch(lambda line: booted.set())
        assert await host.ask(Reset()) == Empty()
        await asyncio.wait_for(booted.wait(), 10)
        assert await host.ask(Echo("x")) == EchoReply("x")
        assert b"Booting" not in host.raw
        serving.cancel()

    simulate(talk())


def test_a_message_that_does_not_fit_the_buffer_gets_no_answer(device: VirtualNrf5340) -> None:
    async def talk() -> None:
        host, serving, _ = await served(device, ConsoleFraming)
        longest = 2048 - 4 - len(Echo("").to_bytes(1)) - 2  # less the packet's length and CRC, and a longer text's head
        assert await host.ask(Echo("x" * longest)) == EchoReply("x" * longest)
        await host.pipe.write(host.framing.encode(Echo("y" * (longest + 1)).to_bytes(1)))
        assert await host.ask(Echo("alive")) == EchoReply("alive")
        serving.cancel()

    simulate(talk())


def test_the_old_firmware_goes_on_answering_until_the_reset_happens(bench: Bench) -> None:
    device = made(bench, reset_delay_s=3600)
    device.load_app(bench.app_image(1))
    device.reset()
    new = bench.app_image(2)
    upload(device, new, confirm=True)

    async def talk() -> None:
        host, serving, _ = await served(device, ConsoleFraming)
        assert await host.ask(Reset()) == Empty()
        assert await host.ask(Echo("x")) == EchoReply("x")
        assert running_hash(device) != Image.from_bytes(new).hash
        await host.pipe.close()  # nobody is there to wait for it: the reset happens now
        await asyncio.wait_for(serving, 10)

    simulate(talk())
    assert running_hash(device) == Image.from_bytes(new).hash


def test_its_own_pipe_is_served_whenever_it_is_open(device: VirtualNrf5340) -> None:
    async def talk() -> None:
        pipe = device.connect()
        for text in ("first", "second"):
            async with pipe:
                assert await Host(pipe, ConsoleFraming()).ask(Echo(text)) == EchoReply(text)

    simulate(talk())
    assert device.connect().name == "virtual:nrf5340"


def test_a_dead_device_leaves_the_wire_alone(bench: Bench) -> None:
    device = made(bench)

    async def talk() -> None:
        host, serving, _ = await served(device, ConsoleFraming)
        await host.pipe.write(host.framing.encode(Echo("x").to_bytes(1)))
        for _ in range(20):
            await asyncio.sleep(0)
        await host.pipe.close()
        await asyncio.wait_for(serving, 10)
        assert host.raw == b""

    simulate(talk())


def test_an_image_for_the_wrong_place_is_refused_by_the_server_or_the_bootloader(
    bench: Bench, device: VirtualNrf5340
) -> None:
    too_large = ImageUpload(off=0, len=bench.layout.secondary.size_bytes + 1, data=bench.app_image(2)[:CHUNK])
    outcome = ask(device, too_large)
    assert isinstance(outcome, DeviceError)
    assert outcome.is_code(ImageRc.INVALID_IMAGE_TOO_LARGE, 1)
    device.keys = replace(device.keys, options=BootOptions(check_address=AddressCheck.VECTOR))
    elsewhere = bench.image(struct.pack("<16I", 0x2000_4000, *[0x0004_0101] * 15) + bytes(500))
    upload(device, elsewhere, confirm=True)
    device.reset()
    assert running_hash(device) == Image.from_bytes(bench.app_image(1)).hash
    assert bench.is_blank("secondary")


def test_a_device_whose_network_core_is_silent_waits_until_its_power_goes_and_then_again(bench: Bench) -> None:
    bench.keys = replace(bench.keys, options=BootOptions(b0n=B0n.SILENT))
    device = VirtualNrf5340(bench.layout, bench.keys, flashes=bench.chip.flashes)
    bench.write("primary", bench.app_image(1))
    bench.upload(bench.net_image(2))
    device.recovers = True
    for _ in range(2):
        result = device.reset()
        assert result is not None
        assert result.ending is Ending.HANG
        assert (device.running, device.recovery, device.powered) == (None, None, True)
        assert device.answers(Echo("x").to_bytes(1)) == []
        assert device.log[-1] == "I: Turned on network core"
