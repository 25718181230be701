"""The application's SMP server where MCUboot swaps nothing: a client on the wire, and the boots behind its requests.

Source: Zephyr, ``img_mgmt.c`` and ``img_mgmt_state.c``, with CONFIG_MCUBOOT_BOOTLOADER_MODE_DIRECT_XIP,
.._DIRECT_XIP_WITH_REVERT, .._RAM_LOAD and .._SINGLE_APP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.client.client import Client
from smpdfu.errors import DeviceError
from smpdfu.image.format import Image
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.smp.groups.image import Erase, ImageRc, ImageUpload, SlotInfo, StateRead, StateReply, StateWrite
from smpdfu.smp.groups.os import BootloaderInfo, BootloaderInfoReply
from smpdfu.smp.message import MgmtRc, Request
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.flash import Tear
from smpdfu.virtual.device import VirtualNrf5340
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.virtual.modes_bench import State, bench_in, device_of, image_of, left, put
    from tests.virtual.virtual_bench import Bench
else:
    from modes_bench import State, bench_in, device_of, image_of, left, put

AT = 0x2001_0000
OK = "magic copy_done image_ok"
XIP, REVERT, RAM, ONE = BootMode.DIRECT_XIP, BootMode.DIRECT_XIP_REVERT, BootMode.RAM_LOAD, BootMode.SINGLE_SLOT
FLAGS = ("active", "confirmed", "pending", "permanent")


@dataclass
class Desk:
    """A device in a mode, and a client that asks it one thing at a time."""

    mode: BootMode

    def __post_init__(self) -> None:
        self.bench: Bench = bench_in(self.mode)
        self.device: VirtualNrf5340 = device_of(self.bench)

    def start(self, *states: State | None) -> None:
        """Write the slots and switch the device on."""
        for number, state in enumerate(states):
            put(self.bench, number, state)
        assert self.device.reset() is not None

    def image(self, number: int, major: int, **options: Any) -> bytes:
        """An image for slot ``number``."""
        at = AT if self.mode is RAM else None
        return image_of(self.bench, number, State(major, at=at, **options))

    def ask(self, request: Request[Any]) -> Any:
        """The answer, or the code of the refusal."""

        async def talk() -> Any:
            async with Client(self.device.connect(), ConsoleFraming()) as client:
                try:
                    return await client.request(request)
                except DeviceError as error:
                    return ImageRc(error.rc) if error.group == 1 else MgmtRc(error.rc)

        return simulate(talk())

    def upload(self, image: bytes) -> None:
        async def talk() -> None:
            async with Client(self.device.connect(), ConsoleFraming()) as client:
                await client.upload(image)

        simulate(talk())

    def restart(self) -> None:
        """Ask for a reset and let it happen."""

        async def talk() -> None:
            async with Client(self.device.connect(), ConsoleFraming()) as client:
                await client.reset()

        simulate(talk())

    def mark(self, image: bytes, *, confirm: bool) -> Any:
        return self.ask(StateWrite(Image.from_bytes(image).hash, confirm))

    @property
    def listed(self) -> list[str]:
        """The slots with an image: ``1: 2.0.0 active confirmed``."""
        reply = self.ask(StateRead())
        assert isinstance(reply, StateReply)
        return [
            " ".join((f"{one.slot}:", one.version, *(flag for flag in FLAGS if getattr(one, flag))))
            for one in reply.images
        ]


ACTIVE = "active confirmed"


@pytest.mark.parametrize("mode", [XIP, REVERT, RAM, ONE, BootMode.SINGLE_SLOT_RAM_LOAD])
def test_the_bootloader_says_its_number(mode: BootMode) -> None:
    desk = Desk(mode)
    desk.start(State(1, OK, at=AT if mode.number in (6, 8) else None))
    assert desk.ask(BootloaderInfo("mode")) == BootloaderInfoReply(mode=mode.number)


# --- direct XIP -------------------------------------------------------------------------------------------------------


def test_in_direct_xip_the_higher_version_is_pending_for_good_and_takes_turns() -> None:
    desk = Desk(XIP)
    desk.start(State(1))
    assert desk.listed == [f"0: 1.0.0 {ACTIVE}"]
    desk.upload(desk.image(1, 2))
    assert desk.listed == [f"0: 1.0.0 {ACTIVE}", "1: 2.0.0 pending permanent"]
    desk.restart()
    assert desk.listed == ["0: 1.0.0", f"1: 2.0.0 {ACTIVE}"]
    desk.upload(desk.image(0, 3))
    assert desk.listed == ["0: 3.0.0 pending permanent", f"1: 2.0.0 {ACTIVE}"]
    desk.restart()
    assert desk.listed == [f"0: 3.0.0 {ACTIVE}", "1: 2.0.0"]


@pytest.mark.parametrize("mode", [XIP, RAM])
def test_without_marks_there_is_no_request_that_sets_the_state(mode: BootMode) -> None:
    """img_mgmt_handlers: mh_write is NULL."""
    desk = Desk(mode)
    desk.start(State(1, at=AT if mode is RAM else None))
    image = desk.image(1, 2)
    desk.upload(image)
    for confirm in (False, True):
        assert desk.mark(image, confirm=confirm) is MgmtRc.ENOTSUP
    assert desk.ask(StateWrite(None, True)) is MgmtRc.ENOTSUP
    assert StateWrite not in desk.device.application.server.served
    assert left(desk.bench.slots.secondary) == "2"


@pytest.mark.parametrize("mode", [XIP, RAM])
def test_without_marks_what_is_pending_may_be_erased_and_written_over(mode: BootMode) -> None:
    """img_mgmt_slot_in_use: only the active slot is."""
    desk = Desk(mode)
    at = AT if mode is RAM else None
    desk.start(State(1, at=at), State(2, at=at))
    assert desk.listed[1] == f"1: 2.0.0 {ACTIVE}"
    desk.upload(desk.image(0, 3))
    desk.upload(desk.image(0, 4))
    assert desk.ask(Erase(1)) is ImageRc.NO_FREE_SLOT
    assert not isinstance(desk.ask(Erase()), ImageRc)
    assert left(desk.bench.slots.primary) == "-"


@pytest.mark.parametrize("mode", [XIP, REVERT, RAM])
def test_an_upload_goes_to_the_slot_that_does_not_run_and_slot_info_says_so(mode: BootMode) -> None:
    desk = Desk(mode)
    at = AT if mode is RAM else None
    desk.start(State(1, OK, at=at), State(2, OK, at=at))
    (info,) = desk.ask(SlotInfo()).images
    assert [slot.upload_image_id for slot in info.slots] == [0, None]
    image = desk.image(0, 3)
    assert desk.ask(ImageUpload(off=0, len=len(image), data=image[:64], upgrade=True)).off == 64
    assert desk.ask(ImageUpload(off=0, len=len(image), data=desk.image(0, 2)[:64], upgrade=True)) is (
        ImageRc.CURRENT_VERSION_IS_NEWER
    )


# --- with revert ------------------------------------------------------------------------------------------------------


def test_a_trial_that_nobody_confirms_ends_with_the_old_image() -> None:
    desk = Desk(REVERT)
    desk.start(State(1, OK))
    image = desk.image(1, 2)
    desk.upload(image)
    assert desk.listed == [f"0: 1.0.0 {ACTIVE}", "1: 2.0.0"]
    assert isinstance(desk.mark(image, confirm=False), StateReply)
    assert desk.listed == [f"0: 1.0.0 {ACTIVE}", "1: 2.0.0 pending"]
    assert left(desk.bench.slots.secondary) == "2 magic"
    desk.restart()
    assert desk.listed == ["0: 1.0.0 confirmed", "1: 2.0.0 active"]
    assert left(desk.bench.slots.secondary) == "2 magic copy_done"
    desk.restart()
    assert desk.listed == [f"0: 1.0.0 {ACTIVE}"]


def test_a_confirmed_trial_stays() -> None:
    desk = Desk(REVERT)
    desk.start(State(1, OK), State(2, "magic"))
    assert desk.listed == ["0: 1.0.0 confirmed", "1: 2.0.0 active"]
    assert isinstance(desk.ask(StateWrite(None, True)), StateReply)
    assert left(desk.bench.slots.secondary) == f"2 {OK}"
    for _ in range(2):
        assert desk.listed == ["0: 1.0.0", f"1: 2.0.0 {ACTIVE}"]
        desk.restart()


def test_an_image_that_is_confirmed_before_it_runs_is_there_for_good() -> None:
    desk = Desk(REVERT)
    desk.start(State(1, OK))
    image = desk.image(1, 2)
    desk.upload(image)
    desk.mark(image, confirm=True)
    assert left(desk.bench.slots.secondary) == f"2 {OK}"  # boot_set_next: copy_done as well
    assert desk.listed == [f"0: 1.0.0 {ACTIVE}", "1: 2.0.0 pending permanent"]
    desk.restart()
    assert desk.listed == ["0: 1.0.0", f"1: 2.0.0 {ACTIVE}"]


def test_a_lower_version_is_never_pending_whatever_its_marks() -> None:
    desk = Desk(REVERT)
    desk.start(State(2, OK))
    image = desk.image(1, 1)
    desk.upload(image)
    desk.mark(image, confirm=True)
    assert desk.listed == [f"0: 2.0.0 {ACTIVE}", "1: 1.0.0"]
    desk.restart()
    assert desk.listed == [f"0: 2.0.0 {ACTIVE}", "1: 1.0.0"]


def test_what_an_image_without_marks_is_worth() -> None:
    """It is listed, and the next boot erases it."""
    desk = Desk(REVERT)
    desk.start(State(1, OK))
    desk.upload(desk.image(1, 2))
    desk.restart()
    assert desk.listed == [f"0: 1.0.0 {ACTIVE}"]


def test_the_refusals_of_a_build_with_revert() -> None:
    desk = Desk(REVERT)
    desk.start(State(1, OK))
    image = desk.image(1, 2)
    desk.upload(image)
    running = desk.image(0, 1)
    assert desk.mark(running, confirm=False) is ImageRc.IMAGE_SETTING_TEST_TO_ACTIVE_DENIED
    assert isinstance(desk.mark(running, confirm=True), StateReply)
    assert [isinstance(desk.mark(image, confirm=False), StateReply) for _ in range(2)] == [True, True]
    assert desk.ask(ImageUpload(off=0, len=len(image), data=image[:64])) is ImageRc.NO_FREE_SLOT  # pending
    assert desk.ask(Erase()) is ImageRc.NO_FREE_SLOT
    desk.restart()
    assert desk.ask(ImageUpload(off=0, len=len(image), data=image[:64])) is ImageRc.NO_FREE_SLOT  # the way back
    assert desk.ask(Erase(0)) is ImageRc.NO_FREE_SLOT


def test_a_corrupt_trailer_is_refused_and_left_as_it_is() -> None:
    desk = Desk(REVERT)
    desk.start(State(2, OK), State(1, "bad"))
    assert desk.mark(desk.image(1, 1), confirm=False) is ImageRc.INVALID_IMAGE_HEADER_MAGIC
    assert left(desk.bench.slots.secondary) == "1 bad"


@pytest.mark.parametrize("tear", Tear)
@pytest.mark.parametrize("confirm", [False, True])
def test_a_cut_anywhere_in_an_update_leaves_a_device_that_starts(confirm: bool, tear: Tear) -> None:
    """The upload, its mark and the boot: one operation after another is the last."""

    def update(cut_after: int | None) -> VirtualNrf5340:
        desk = Desk(REVERT)
        desk.start(State(1, OK), State(1, OK))
        power = desk.bench.app.power
        power.cut_after, power.tear = cut_after, tear
        image = desk.image(1, 2)
        for off in range(0, len(image), 1500):
            size = len(image) if off == 0 else None
            desk.device.answers(ImageUpload(off=off, len=size, data=image[off : off + 1500]).to_bytes(1))
        desk.device.answers(StateWrite(Image.from_bytes(image).hash, confirm).to_bytes(1))
        desk.device.reset()
        return desk.device

    whole = update(None)
    assert whole.running is not None
    assert whole.running.slot == 1
    operations = whole.chip.power.operations
    for operation in range(operations):
        device = update(operation)
        if not device.powered:
            device.reset()
        assert device.running is not None, (operation, list(device.log)[-3:])


# --- RAM load ---------------------------------------------------------------------------------------------------------


def test_in_ram_load_the_higher_version_is_not_pending_but_comes() -> None:
    """The list goes by trailers, which nobody writes here; the active slot is what the bootloader tells."""
    desk = Desk(RAM)
    desk.start(State(1, at=AT))
    desk.upload(desk.image(1, 2))
    assert desk.listed == [f"0: 1.0.0 {ACTIVE}", "1: 2.0.0"]
    desk.restart()
    assert desk.listed == ["0: 1.0.0", f"1: 2.0.0 {ACTIVE}"]


# --- one slot ---------------------------------------------------------------------------------------------------------


def test_with_one_slot_nothing_can_be_uploaded() -> None:
    desk = Desk(ONE)
    desk.start(State(1))
    image = desk.image(0, 2)
    assert desk.listed == [f"0: 1.0.0 {ACTIVE}"]
    assert desk.ask(ImageUpload(off=0, len=len(image), data=image[:64])) is ImageRc.NO_FREE_SLOT
    assert desk.ask(Erase()) is ImageRc.FLASH_OPEN_FAILED
    assert desk.ask(Erase(0)) is ImageRc.NO_FREE_SLOT
    assert isinstance(desk.ask(StateWrite(None, True)), StateReply)
    (info,) = desk.ask(SlotInfo()).images
    assert [(slot.slot, slot.upload_image_id) for slot in info.slots] == [(0, None)]
    assert left(desk.bench.slots.primary) == "1"


def test_the_recovery_of_the_bootloader_writes_the_one_slot() -> None:
    desk = Desk(ONE)
    desk.start(State(1))
    desk.device.enter_recovery()
    desk.upload(desk.image(0, 2))
    desk.restart()
    assert desk.listed == [f"0: 2.0.0 {ACTIVE}"]


def test_a_device_without_image_stays_in_recovery_and_lists_nothing() -> None:
    desk = Desk(ONE)
    desk.device.recovers = True
    desk.start(State(1, signed=False))
    assert desk.device.recovery is not None
    assert desk.listed == []
    assert left(desk.bench.slots.primary) == "1"
