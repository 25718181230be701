"""MCUboot's serial recovery: a device that is brought back to life by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from smpdfu.cli.app.advice import advice
from smpdfu.client import Client, Patience
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.serial_recovery import (
    has_direct_upload,
    is_recovery,
    met_unasked,
    no_such_number,
    not_met,
    recovery_number,
)
from smpdfu.dfu.do.state_reading import read_state
from smpdfu.dfu.package.images import PackageImage
from smpdfu.errors import DeviceError, PlanError
from smpdfu.image.format import Image, Version
from smpdfu.link.memory import served_pipe
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import ConsoleFraming, RawFraming
from smpdfu.smp.groups.image import ImageSlot, ImageUpload, StateRead
from smpdfu.smp.groups.os import Echo, ParamsReply, Reset
from smpdfu.smp.message import Header as SmpHeader
from smpdfu.smp.message import MgmtRc, Op
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import Resources
from smpdfu.virtual.server.serial_recovery import RecoveryBuild, RecoveryServer
from smpdfu.virtual.server.server import Buffers
from smpdfu.virtual.wires.raw_uart import DeviceRawFraming
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.virtual.conftest import Bench

NO_PAUSES = Patience(pause_s=0.0, quiet_s=0.0, reset_grace_s=0.0)


# --- a device -------------------------------------------------------------------------------------------------------


def client_of(device: VirtualNrf5340) -> Client:
    return Client(device.connect(), ConsoleFraming(), timeout_s=20, patience=NO_PAUSES)


async def unlisted_upload(client: Client, data: bytes, number: int) -> None:
    result = await client.upload(data, number, compare=False)
    assert (result.off, result.window, result.retries) == (len(data), 1, 0)


def test_a_boot_mode_leads_there_once(device: VirtualNrf5340) -> None:
    async def use() -> None:
        async with client_of(device) as client:
            await client.request(Reset(boot_mode=1))
            device.finish_reset()
            assert device.recovery is not None
            with pytest.raises(DeviceError) as refused:
                await client.request(Echo("x"))
            assert refused.value.is_code(MgmtRc.ENOTSUP)
            await client.request(Reset())
            device.finish_reset()
            assert (await client.request(Echo("x"))).r == "x"

    simulate(use())
    assert device.running is not None


def test_a_boot_mode_is_kept_over_one_reset(device: VirtualNrf5340) -> None:
    device.answers(Reset(boot_mode=1).to_bytes(1))
    device.finish_reset()
    assert device.recovery is not None
    device.reset()  # by its button
    assert device.recovery is None
    assert device.running is not None


def test_an_upload_goes_to_where_the_application_runs_from(device: VirtualNrf5340, bench: Bench) -> None:
    new = bench.app_image(2, version=Version(2))

    async def use() -> None:
        device.enter_recovery()
        async with client_of(device) as client:
            state = await read_state(client)
            assert is_recovery(state, await client.params())
            await unlisted_upload(client, new, 1)
            (listed,) = (await client.request(StateRead())).images
            assert (listed.slot, listed.version, listed.hash) == (0, "2.0.0", Image.from_bytes(new).hash)
            await client.request(Reset())
        device.finish_reset()

    simulate(use())
    assert device.running is not None
    assert device.running.header.version == Version(2)


@pytest.mark.parametrize("size", [64, 384, 4096])
@pytest.mark.parametrize("raw", [False, True])
def test_recovery_has_its_own_buffer_whatever_the_application_has(bench: Bench, size: int, raw: bool) -> None:
    device = VirtualNrf5340(bench.layout, bench.keys, resources=Resources(Buffers(size, 4)))
    new = bench.app_image(2)

    async def serve(pipe: Pipe) -> None:
        await device.serve(pipe, DeviceRawFraming(lambda: device.buffers.size_bytes) if raw else None)

    async def use() -> None:
        device.enter_recovery()
        framing = RawFraming(answers=True) if raw else ConsoleFraming()
        async with Client(served_pipe(serve), framing, timeout_s=20, patience=NO_PAUSES) as client:
            assert await client.params() == ParamsReply(1024, 1)
            await unlisted_upload(client, new, 1)
            assert client.message_max() == (1024 if raw else 1020)

    simulate(use())
    assert device.images[0].primary.area.read(0, len(new)) == new


def test_the_secondary_slot_has_a_number_too(device: VirtualNrf5340, bench: Bench) -> None:
    new = bench.app_image(2)

    async def use() -> None:
        device.enter_recovery()
        async with client_of(device) as client:
            await unlisted_upload(client, new, 2)

    simulate(use())
    assert device.images[0].secondary.area.read(0, len(new)) == new


def test_the_network_core_has_number_3(device: VirtualNrf5340, bench: Bench) -> None:
    before = device.images[0].primary.area.read_all()

    async def use() -> None:
        device.enter_recovery()
        async with client_of(device) as client:
            await unlisted_upload(client, bench.net_image(3), 3)
            await client.request(Reset())
        device.finish_reset()

    simulate(use())
    assert device.net_core.running
    assert device.images[0].primary.area.read_all() == before


def test_a_device_without_an_image_stays_in_recovery_until_it_has_one(bench: Bench) -> None:
    device = VirtualNrf5340(bench.layout, bench.keys)
    device.recovers = True
    device.reset()

    async def use() -> None:
        async with client_of(device) as client:
            assert (await client.request(StateRead())).images == ()
            wrong = bench.app_image(1, key=None)
            await unlisted_upload(client, wrong, 0)
            assert (await client.request(StateRead())).images == (), "an image that is not accepted is not listed"
            await client.request(Reset())
            device.finish_reset()
            assert device.recovery is not None
            await unlisted_upload(client, bench.app_image(1), 0)
            await client.request(Reset())
            device.finish_reset()

    simulate(use())
    assert device.running is not None


def test_an_upload_that_is_cut_off_leaves_no_image(device: VirtualNrf5340, bench: Bench) -> None:
    data = bench.app_image(2)
    device.enter_recovery()
    first = ImageUpload(image=0, off=0, len=len(data), data=data[:512]).to_bytes(1)
    assert device.answers(first)[0].endswith(b"\x63off\x19\x02\x00\xff")
    device.reset()
    assert device.running is None


def test_pieces_that_are_no_whole_words_are_cut(device: VirtualNrf5340, bench: Bench) -> None:
    data = bench.app_image(2)
    device.enter_recovery()
    first = ImageUpload(image=0, off=0, len=len(data), data=data[:511]).to_bytes(1)
    assert device.answers(first)[0].endswith(b"\x63off\x19\x01\xfc\xff")


def test_a_piece_without_its_place_is_invalid(device: VirtualNrf5340) -> None:
    device.enter_recovery()
    body = b"\xa1\x64data\x41x"
    asked = SmpHeader(Op.WRITE, 1, 0, len(body), 1, 7, 1).to_bytes() + body
    assert device.answers(asked) == [SmpHeader(Op.WRITE_RSP, 1, 0, 6, 1, 7, 1).to_bytes() + b"\xbf\x62rc\x03\xff"]


def test_recovery_has_no_wire_but_the_serial_one(device: VirtualNrf5340) -> None:
    device.enter_recovery()
    assert device._handle_for_application(Echo("x").to_bytes(1)) == ([], 0.0)


def test_recovery_outlives_being_put_aside(device: VirtualNrf5340) -> None:
    device.enter_recovery()
    ram = device.put_aside()
    assert ram is not None
    assert ram.recovery
    device.resume(ram)
    assert device.recovery is not None


# --- decisions ------------------------------------------------------------------------------------------------------


def test_an_application_is_never_taken_for_a_bootloader(device: VirtualNrf5340) -> None:
    async def use() -> None:
        async with client_of(device) as client:
            assert not is_recovery(await read_state(client), await client.params())

    simulate(use())


@pytest.mark.parametrize(
    ("slot", "params", "recovery"),
    [
        (ImageSlot(slot=0, version="1.0.0", hash=bytes(32)), ParamsReply(1024, 1), True),
        (ImageSlot(slot=0, version="1.0.0"), None, True),
        (None, ParamsReply(1024, 1), True),
        (None, ParamsReply(2048, 4), False),
        (ImageSlot(slot=0, version="1.0.0", active=True), ParamsReply(1024, 1), False),
        (ImageSlot(slot=1, version="1.0.0", active=True), None, False),  # loaded to RAM from the second slot
    ],
)
def test_recovery_is_recognised_by_its_answers(
    slot: ImageSlot | None, params: ParamsReply | None, recovery: bool
) -> None:
    assert is_recovery(DeviceState(() if slot is None else (slot,)), params) is recovery


def test_each_core_gets_its_own_image_or_none_does(bench: Bench) -> None:
    app = PackageImage.from_bytes(bench.app_image(1), "app.bin")
    net = PackageImage.from_bytes(bench.net_image(1), "net.bin")
    strange = PackageImage.from_bytes(bench.linked_image(0x5000_0000), "odd.bin")
    assert [recovery_number(app, asked) for asked in (None, 0, 1, 2)] == [0, 0, 1, 2]
    assert [recovery_number(net, asked) for asked in (None, 3)] == [3, 3]
    assert [recovery_number(strange, asked) for asked in (0, 1, 2, 3)] == [0, 1, 2, 3]
    assert recovery_number(strange, None, force=True) == 0
    for image, asked, words in (
        (net, 0, "it would overwrite: nothing was written. Send it to image 3"),
        (net, 1, "it would overwrite: nothing was written. Send it to image 3"),
        (net, 2, "Send it to image 3"),
        (app, 3, "Send it to image 0"),
    ):
        for force in (False, True):
            with pytest.raises(PlanError, match=words):
                recovery_number(image, asked, force=force)
    with pytest.raises(PlanError, match="does not show for which core it is"):
        recovery_number(strange, None)


def test_without_direct_upload_there_is_one_slot(bench: Bench) -> None:
    app = PackageImage.from_bytes(bench.app_image(1), "app.bin")
    net = PackageImage.from_bytes(bench.net_image(1), "net.bin")
    assert [recovery_number(app, asked, direct=False) for asked in (None, 0, 1)] == [0, 0, 0]
    for image, asked in ((app, 2), (net, None), (net, 3)):
        with pytest.raises(PlanError, match=r"has no direct upload .* nothing was written"):
            recovery_number(image, asked, direct=False)
    refused = DeviceError(None, MgmtRc.EINVAL, "img upload", name="EINVAL")
    assert "has no direct upload" in str(no_such_number(net, 3, refused))
    told = no_such_number(app, 1, refused)
    assert "Without a number" in str(told)
    assert advice(told) == "Leave -n out."
    assert no_such_number(app, 0, refused) is refused
    other = DeviceError(1, MgmtRc.EINVAL, "img upload")
    assert no_such_number(net, 3, other) is other


@pytest.mark.parametrize(
    ("build", "direct"),
    [
        (RecoveryBuild(slot_info=True), True),
        (RecoveryBuild(slot_info=True, direct_upload=False), False),
        (RecoveryBuild(direct_upload=False), None),
        (RecoveryBuild(), None),
    ],
)
def test_slot_info_tells_whether_there_is_direct_upload(
    device: VirtualNrf5340, build: RecoveryBuild, direct: bool | None
) -> None:
    device.recovery_build = build
    device.enter_recovery()

    async def use() -> DeviceState:
        async with client_of(device) as client:
            return await read_state(client)

    assert has_direct_upload(simulate(use()).sizes) is direct


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_build_without_direct_upload_refuses_every_other_number(
    device: VirtualNrf5340, bench: Bench, number: int
) -> None:
    device.recovery_build = RecoveryBuild(direct_upload=False)
    device.enter_recovery()
    before = device.images[0].primary.area.read_all()

    async def use() -> None:
        async with client_of(device) as client:
            with pytest.raises(DeviceError) as refused:
                await client.upload(bench.app_image(2), number, compare=False)
            assert refused.value.is_code(MgmtRc.EINVAL)

    simulate(use())
    assert device.images[0].primary.area.read_all() == before


@pytest.mark.parametrize("number", [0, 1, 3])
def test_each_packet_names_its_image(device: VirtualNrf5340, bench: Bench, number: int) -> None:
    """A bootloader of before July 2023 reads the number from every packet, and takes one without for number 0."""
    device.recovery_build = RecoveryBuild(reads_each=True)
    device.enter_recovery()
    primary = device.images[0].primary.area
    before, data = primary.read_all(), bench.net_image(3) if number == 3 else bench.app_image(2)

    async def use() -> None:
        async with client_of(device) as client:
            await client.upload(data, number, compare=False, names_image=True)

    simulate(use())
    assert primary.read_all() == before if number == 3 else primary.read(0, len(data)) == data


@pytest.mark.parametrize("params", [True, False])
def test_a_list_with_flags_is_no_application(device: VirtualNrf5340, params: bool) -> None:
    device.recovery_build = RecoveryBuild(image_state=True, params=params)

    async def use() -> DeviceState:
        async with client_of(device) as client:
            return await read_state(client)

    assert not simulate(use()).recovery
    device.enter_recovery()
    state = simulate(use())
    assert state.running is not None
    assert state.recovery


def test_a_reset_is_refused_while_the_network_core_is_written(bench: Bench) -> None:
    now = [0.0]
    resets: list[str] = []
    device = VirtualNrf5340(bench.layout, bench.keys)
    server = RecoveryServer(
        device.images,
        device.net_core,
        lambda slots, role: True,
        lambda: resets.append("reset"),
        bench.log.append,
        clock=lambda: now[0],
        time_factor=1.0,
    )
    data = bench.net_image(3)
    for off in range(0, len(data), 512):
        length = len(data) if off == 0 else None
        server.answers(ImageUpload(image=3, off=off, len=length, data=data[off : off + 512]).to_bytes(1))
    assert server.answers(Reset().to_bytes(2))[0].endswith(b"\xbf\x62rc\x0a\xff")
    assert resets == []
    now[0] = 60.0
    assert server.answers(Reset().to_bytes(3))[0].endswith(b"\xbf\x62rc\x00\xff")
    assert resets == ["reset"]


def test_what_is_said_says_that_nothing_was_written() -> None:
    for error in (met_unasked(), not_met()):
        assert "nothing was written" in str(error)
