"""What a virtual nRF5340 must do as the real one does, numbered; one test for each, by its number."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.client import Client
from smpdfu.errors import DeviceError, ResponseTimeoutError
from smpdfu.image.format import Dependency, Image, Version
from smpdfu.image.trailer import SwapMode
from smpdfu.link.memory import pipe_pair
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.smp.groups.image import Erase, ImageRc, ImageUpload, StateRead, StateReply, StateWrite, UploadReply
from smpdfu.smp.groups.os import Echo, EchoReply, Params, ParamsReply, Reset
from smpdfu.smp.message import Empty, MgmtRc, Request, Response
from smpdfu.smp.session import read_outcome
from smpdfu.virtual.bootbuild import AddressCheck, BootKeys, BootOptions
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.flash import FlashError
from smpdfu.virtual.pool import Resources
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.virtual.virtual_bench import (
        DECRYPTION,
        NET_SIGNING,
        SIGNING,
        Bench,
        net_firmware,
        small_layout,
        small_simultaneous,
    )
else:
    from virtual_bench import (
        DECRYPTION,
        NET_SIGNING,
        SIGNING,
        Bench,
        net_firmware,
        small_layout,
        small_simultaneous,
    )

NEW = Version(2)
CHUNK = 1500
NET_KEYS = BootKeys((SIGNING.public,), net_verifiers=(NET_SIGNING.public,))
ENCRYPTING = replace(NET_KEYS, decryption=DECRYPTION)


def piece(off: int, data: bytes, image: int = 0, size: int | None = None, sha: bytes | None = None) -> ImageUpload:
    return ImageUpload(off=off, data=data, image=image, len=size, sha=sha)


@dataclass
class Board:
    """A device of the bench that runs version 1 on both cores, and whoever talks to it."""

    bench: Bench = field(default_factory=lambda: Bench(keys=NET_KEYS))
    resources: Resources = field(default_factory=lambda: Resources(reset_delay_s=0.0))

    def __post_init__(self) -> None:
        bench = self.bench
        self.device = VirtualNrf5340(
            bench.layout, bench.keys, flashes=bench.chip.flashes, resources=self.resources, name="board"
        )
        bench.chip.power = self.device.chip.power
        bench.net = self.device.net_core
        self.device.load_app(bench.app_image(1))
        self.device.load_net(bench.net_image(1))
        self.device.reset()
        assert self.device.running is not None

    def ask(self, request: Request[Any], version: int = 2) -> Response | DeviceError:
        (answer,) = self.device.answers(request.to_bytes(5, version))
        return read_outcome(request, answer[8:])

    def refusal(self, request: Request[Any]) -> int | None:
        outcome = self.ask(request)
        return outcome.rc if isinstance(outcome, DeviceError) else None

    def upload(self, image: bytes, number: int = 0, *, confirm: bool | None = None) -> None:
        """Upload and, with ``confirm``, mark for a test (False) or for good (True)."""
        for off in range(0, len(image), CHUNK):
            data = image[off : off + CHUNK]
            size = len(image) if off == 0 else None
            assert self.ask(piece(off, data, number, size)) == UploadReply(off + len(data))
        if confirm is not None:
            assert isinstance(self.ask(StateWrite(Image.from_bytes(image).hash, confirm)), StateReply)

    def update(self, image: bytes, *, confirm: bool = False) -> None:
        """Upload, mark, reset."""
        self.upload(image, confirm=confirm)
        self.device.reset()

    def listed(self) -> list[tuple[int, int, str, bool]]:
        """Image, slot, version, confirmed."""
        reply = self.ask(StateRead())
        assert isinstance(reply, StateReply)
        return [(one.image or 0, one.slot, one.version or "", bool(one.confirmed)) for one in reply.images]

    @property
    def version(self) -> Version | None:
        """What the application core runs."""
        return None if self.device.running is None else self.device.running.header.version

    def net_holds(self, image: bytes) -> bool:
        """True if the network core's flash has what this image carries."""
        payload = Image.from_bytes(image).payload
        return self.device.net_core.app.read(0, len(payload)) == payload


def simultaneous(keys: BootKeys = NET_KEYS) -> Board:
    return Board(Bench(small_simultaneous(), keys))


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


# --- staged network core --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confirm", [False, True])
def test_12_a_network_image_goes_to_the_network_core_and_the_application_does_not_swap(confirm: bool) -> None:
    board = Board()
    image = board.bench.net_image(2, version=NEW)
    board.update(image, confirm=confirm)
    assert board.net_holds(image)
    assert (board.version, board.device.radio_up) == (Version(1), True)
    assert board.device.boot_s >= 1.0  # MCUboot looks once a second


@pytest.mark.parametrize("mode", [SwapMode.MOVE, SwapMode.OVERWRITE_ONLY])
def test_13_its_trailer_is_erased_and_where_nothing_is_swapped_its_header_too(mode: SwapMode) -> None:
    board = Board(Bench(small_layout(mode), NET_KEYS))
    board.update(board.bench.net_image(2, version=NEW))
    assert board.bench.slots.secondary.trailer().magic == "unset"
    assert (board.bench.slots.secondary.header() is None) == (mode is SwapMode.OVERWRITE_ONLY)
    assert len(board.listed()) == (2 if mode is SwapMode.MOVE else 1)


def test_14_the_network_core_does_not_revert() -> None:
    board = Board()
    image = board.bench.net_image(2, version=NEW)
    for _ in range(2):
        board.update(image) if not board.net_holds(image) else board.device.reset()
    assert board.net_holds(image)


def test_15_without_its_validation_b0n_refuses_it_and_only_the_radio_suffers() -> None:
    """b0n looks before it copies: what ran stays. What a debugger puts there without a seal does not start."""
    board = Board()
    old, bad = board.bench.net_image(1), board.bench.net_image(2, seal=SIGNING, version=NEW)
    board.update(bad)
    assert board.net_holds(old)
    assert (board.version, board.device.radio_up) == (Version(1), True)
    board.device.load_net(net_firmware(3, board.bench.layout.net.app.start, 9000))
    board.device.reset()
    assert not board.device.radio_up
    assert board.ask(Echo("serial lives")) == EchoReply("serial lives")


def test_16_an_encrypted_network_image_in_the_staged_scheme_stops_the_device() -> None:
    board = Board(Bench(keys=ENCRYPTING))
    board.update(board.bench.net_image(2, version=NEW, encrypt=DECRYPTION))
    assert board.device.running is None
    assert board.device.answers(Echo("x").to_bytes(1)) == []
    board.device.reset()  # the watchdog
    assert board.version == Version(1)


# --- simultaneous ---------------------------------------------------------------------------------------------------


def test_17_one_reset_updates_both_cores_and_nothing_is_reverted() -> None:
    board = simultaneous()
    app, net = board.bench.app_image(2, version=NEW), board.bench.net_image(2, version=NEW)
    board.upload(net, 1, confirm=False)
    board.upload(app, 0, confirm=False)
    assert [line[:3] for line in board.listed()] == [(0, 0, "1.0.0"), (0, 1, "2.0.0"), (1, 1, "2.0.0")]
    for _ in range(2):
        board.device.reset()
        assert (board.version, board.net_holds(net), board.device.radio_up) == (NEW, True, True)
    assert board.listed() == [(0, 0, "2.0.0", True)]  # the network core's primary slot is RAM


def test_18_image_1_cannot_be_confirmed() -> None:
    board = simultaneous()
    net = board.bench.net_image(2, version=NEW)
    board.upload(net, 1)
    assert board.refusal(StateWrite(Image.from_bytes(net).hash, True)) == ImageRc.IMAGE_CONFIRMATION_DENIED
    assert board.refusal(StateWrite(Image.from_bytes(net).hash, False)) is None


def test_19_encrypted_images_of_both_cores_work_there() -> None:
    board = simultaneous(ENCRYPTING)
    app = board.bench.app_image(2, version=NEW, encrypt=DECRYPTION)
    net = board.bench.net_image(2, version=NEW, encrypt=DECRYPTION)
    board.upload(net, 1, confirm=False)
    board.upload(app, 0, confirm=False)
    board.device.reset()
    plain = board.bench.net_image(2, version=NEW)
    assert (board.version, board.net_holds(plain), board.device.radio_up) == (NEW, True, True)


# The network core's own slot always says 0.0.0, so what is there counts for nothing; nobody asks for an image 2.
NEEDS = [("2.0.0", 0, True), ("2.0.1", 0, False), ("1.0.0", 1, False), ("0.0.0", 1, True), ("0.0.0", 2, True)]


@pytest.mark.parametrize(("version", "on", "met"), NEEDS)
def test_20_an_image_with_an_unmet_dependency_is_not_installed(version: str, on: int, met: bool) -> None:
    board = simultaneous()
    needs = (Dependency(on, Version.from_text(version)),)
    app = board.bench.app_image(2, version=NEW, dependencies=needs)
    board.upload(app, 0, confirm=False)
    board.device.reset()
    assert (board.version == NEW) == met
    if not met:
        assert board.bench.slots.secondary.trailer().magic == "good"  # and is tried again at each boot


def test_20_what_comes_with_it_counts() -> None:
    board = simultaneous()
    net = board.bench.net_image(2, version=NEW)
    app = board.bench.app_image(2, version=NEW, dependencies=(Dependency(1, NEW),))
    board.upload(net, 1, confirm=False)
    board.upload(app, 0, confirm=False)
    board.device.reset()
    assert (board.version, board.net_holds(net)) == (NEW, True)


# --- power, downgrades, interfaces ----------------------------------------------------------------------------------


def test_21_a_cut_copy_to_the_network_core_is_repeated_while_the_image_is_pending() -> None:
    board = Board()
    image, power = board.bench.net_image(2, version=NEW), board.device.chip.power
    board.upload(image, confirm=False)
    power.cut_after = 3
    assert board.device.reset() is None
    assert not board.net_holds(image)
    board.device.reset()
    assert (board.net_holds(image), board.device.radio_up) == (True, True)


def test_21_a_network_core_that_lost_its_image_has_no_radio() -> None:
    board = Board()
    image, power = board.bench.net_image(2, version=NEW), board.device.chip.power
    board.upload(image, confirm=False)
    power.cut_after = 3
    assert board.device.reset() is None
    board.bench.slots.secondary.area.erase_all()
    board.device.reset()
    assert (board.version, board.device.radio_up) == (Version(1), False)


@pytest.mark.parametrize("mode", SwapMode)
def test_22_downgrade_prevention_erases(mode: SwapMode) -> None:
    keys = replace(NET_KEYS, options=BootOptions(downgrade_prevention=True))
    board = Board(Bench(small_layout(mode), keys))
    board.update(board.bench.app_image(2, version=NEW), confirm=True)
    board.upload(board.bench.app_image(3, version=Version(1, 9)), confirm=True)
    board.device.reset()
    assert board.version == NEW
    assert board.bench.is_blank("secondary")


def test_23_cores_that_speak_different_interfaces_have_no_radio() -> None:
    board = Board()
    speaking = [b"smpdfu-interface:%d;" % number for number in (1, 2)]
    payload = board.bench.payload(board.bench.layout.primary.start + 0x200)
    for app, up in ((speaking[0], True), (speaking[1], False), (b"", True)):
        address = board.bench.layout.net.app.start
        board.device.load_net(b0n_sealed(net_firmware(1, address, 9000) + speaking[0] + bytes(12), address))
        board.device.load_app(board.bench.image(payload + app))
        board.device.reset()
        assert board.device.radio_up == up
        assert board.version is not None  # the application runs either way


def b0n_sealed(firmware: bytes, address: int) -> bytes:
    from smpdfu.image import b0n

    info = b0n.FirmwareInfo(len(firmware), 1, address).to_bytes()
    return b0n.seal(firmware[:0x200] + info + firmware[0x200 + len(info) :], address, NET_SIGNING)


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
