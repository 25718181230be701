"""MCUboot's firmware loader mode: which of the two applications is started, and what each of them serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.client.client import Client
from smpdfu.errors import DeviceError
from smpdfu.image.format import Image
from smpdfu.loaders.releases import UPSTREAM, UPSTREAM_OLD, releases_of
from smpdfu.loaders.rules import Loader
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.smp.groups.image import (
    Erase,
    ImageRc,
    ImageSlot,
    ImageUpload,
    SlotInfo,
    SlotInfoReply,
    StateRead,
    StateWrite,
)
from smpdfu.smp.groups.os import (
    BootloaderInfo,
    BootloaderInfoReply,
    BootloaderMode,
    Echo,
    EchoReply,
    Info,
    Params,
    ParamsReply,
    Reset,
)
from smpdfu.smp.groups.zephyr import EraseStorage
from smpdfu.smp.message import Empty, MgmtRc, Response
from smpdfu.virtual.boot.bootloader import Ending
from smpdfu.virtual.boot.build import BootKeys, BootOptions, Entrance
from smpdfu.virtual.chip.flash import Tear
from smpdfu.virtual.chip.layout import Region
from smpdfu.virtual.device import VirtualNrf5340
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.virtual.loader_board import (
        APPLICATION,
        AT_ONCE,
        CHUNK,
        LOADER,
        LOADERS,
        NEW,
        OLD,
        SLOT_SECTORS,
        Board,
        line_of,
        small_loading,
        upload,
    )
    from tests.virtual.virtual_bench import DECRYPTION, HEADER, SECTOR, SIGNING, Bench
else:
    from loader_board import (
        APPLICATION,
        AT_ONCE,
        CHUNK,
        LOADER,
        LOADERS,
        NEW,
        OLD,
        SLOT_SECTORS,
        Board,
        line_of,
        small_loading,
        upload,
    )
    from virtual_bench import DECRYPTION, HEADER, SECTOR, SIGNING, Bench


@pytest.fixture
def board() -> Board:
    """A device whose application runs."""
    board = Board()
    board.device.reset()
    return board


# --- what is started ------------------------------------------------------------------------------------------------


def _none(board: Board, place: int) -> None:
    board.bench.slots.places[place].area.erase_all()


def _forged(board: Board, place: int) -> None:
    """One bit of the code is another."""
    slot = board.bench.slots.places[place]
    address = slot.area.region.start + HEADER + 1000
    board.device.program(address, bytes([slot.area.read(HEADER + 1000, 1)[0] ^ 1]))


def _elsewhere(board: Board, place: int) -> None:
    """Signed and whole, and linked for another address: MCUboot does not look."""
    slot = board.bench.slots.places[place]
    board.device.chip.load(slot.area, board.bench.linked_image(0x0100_8800 + HEADER, version=NEW))


def _whole(board: Board, place: int) -> None:
    pass


States = Mapping[str, Callable[[Board, int], None]]
STATES: States = {"whole": _whole, "none": _none, "forged": _forged, "elsewhere": _elsewhere}
APP_RUNS, LOADER_RUNS = (APPLICATION, OLD.major), (LOADER, LOADERS.major)

# (what is in the application's slot, in the loader's) -> what runs after a reset, and when the loader is asked for.
BOOTS: Mapping[tuple[str, str], tuple[object, object]] = {
    ("whole", "whole"): (APP_RUNS, LOADER_RUNS),
    ("whole", "none"): (APP_RUNS, APP_RUNS),
    ("whole", "forged"): (APP_RUNS, APP_RUNS),
    ("whole", "elsewhere"): (APP_RUNS, Ending.CRASH),
    ("none", "whole"): (LOADER_RUNS, LOADER_RUNS),
    ("none", "none"): (Ending.NO_IMAGE, Ending.NO_IMAGE),
    ("forged", "whole"): (LOADER_RUNS, LOADER_RUNS),
    ("forged", "forged"): (Ending.NO_IMAGE, Ending.NO_IMAGE),
    ("elsewhere", "whole"): (Ending.CRASH, LOADER_RUNS),
}


@pytest.mark.parametrize("slots", BOOTS, ids="-".join)
def test_what_is_whole_decides_and_nothing_is_erased(slots: tuple[str, str]) -> None:
    board = Board()
    for place, state in enumerate(slots):
        STATES[state](board, place)
    before = dict(board.device.app.pages())
    for asked, expected in zip((False, True), BOOTS[slots], strict=True):
        board.device.button_held = asked
        board.device.reset()
        assert board.runs == expected
    assert dict(board.device.app.pages()) == before


@pytest.mark.parametrize("entrance", Entrance)
def test_only_the_entrances_that_are_built_in_lead_to_the_loader(entrance: Entrance) -> None:
    board = Board(BootOptions(entrances=(entrance,)))
    board.device.reset()
    board.start_loader()
    assert board.runs == (LOADER_RUNS if entrance is Entrance.BOOT_MODE else APP_RUNS)
    board.device.button_held = True
    board.device.reset()
    assert board.runs == (LOADER_RUNS if entrance is Entrance.BUTTON else APP_RUNS)
    board.device.button_held = False
    _none(board, APPLICATION)
    board.device.reset()
    assert board.runs == (LOADER_RUNS if entrance is Entrance.NO_APPLICATION else Ending.NO_IMAGE)


def test_the_boot_mode_counts_for_one_reset(board: Board) -> None:
    board.start_loader()
    assert board.runs == LOADER_RUNS
    board.device.reset()
    assert board.runs == APP_RUNS


def test_a_security_counter_holds_for_both_and_starting_raises_none() -> None:
    layout = replace(small_loading(), otp=Region("otp", 0x00FF_8100, 0x2FC))
    keys = BootKeys((SIGNING.public,), options=BootOptions(rollback_protection=True))
    bench = Bench(layout, keys)
    device = VirtualNrf5340(layout, keys, flashes=bench.chip.flashes)
    device.load_app(bench.app_image(1, security_counter=3))
    device.load_app(bench.linked_image(layout.secondary.start + HEADER, security_counter=1))
    for button in (False, True):
        device.button_held = button
        device.reset()
        assert device.running is not None
        assert device.running.slot == int(button)


REFUSED: Mapping[str, tuple[BootKeys, str]] = {
    "2.6": (BootKeys((), options=BootOptions(loader=Loader(releases_of("2.6")[0]))), "NCS 2.6 has no firmware loader"),
    "no way in": (BootKeys((), options=BootOptions(entrances=())), "at least one way"),
    "encrypts": (BootKeys((), DECRYPTION), "does not decrypt"),
    "downgrades": (BootKeys((), options=BootOptions(downgrade_prevention=True)), "no downgrade prevention"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_builds_that_there_are_not(name: str) -> None:
    keys, words = REFUSED[name]
    bench = Bench(small_loading(), keys)
    with pytest.raises(ValueError, match=words):
        VirtualNrf5340(bench.layout, keys).reset()


@pytest.mark.parametrize("loader", [Loader(releases_of("2.7")[0]), Loader(UPSTREAM), Loader(UPSTREAM_OLD)], ids=str)
def test_builds_that_there_are(loader: Loader) -> None:
    board = Board(BootOptions(loader=loader))
    board.device.reset()
    assert board.runs == APP_RUNS


# --- what a host sees -----------------------------------------------------------------------------------------------

SLOT_BYTES = SLOT_SECTORS * SECTOR
MODE = BootloaderInfoReply(mode=BootloaderMode.FIRMWARE_LOADER)


def first(image: bytes, *, upgrade: bool | None = None) -> ImageUpload:
    return ImageUpload(off=0, len=len(image), data=image[:CHUNK], upgrade=upgrade)


def slots_of(reply: Response | DeviceError) -> list[tuple[int, int | None, int | None]]:
    assert isinstance(reply, SlotInfoReply)
    return [(slot.slot, slot.size, slot.upload_image_id) for one in reply.images for slot in one.slots]


def test_while_the_application_runs_its_slot_is_listed_and_nothing_can_be_changed(board: Board) -> None:
    assert board.listed() == [(0, "1.0.0", True, False, True)]
    assert board.ask(BootloaderInfo("mode")) == MODE
    assert board.ask(Echo("x")) == EchoReply("x")
    assert slots_of(board.ask(SlotInfo())) == [(0, SLOT_BYTES, None)]
    assert board.refusal(first(board.application(NEW))) == ImageRc.FLASH_OPEN_FAILED
    assert board.refusal(Erase()) == ImageRc.FLASH_OPEN_FAILED
    assert board.refusal(Erase(0)) == ImageRc.NO_FREE_SLOT
    assert board.refusal(StateWrite(confirm=True)) == MgmtRc.ENOTSUP


def test_while_the_loader_runs_it_lists_the_application_and_not_itself(board: Board) -> None:
    board.start_loader()
    assert board.listed() == [(0, "1.0.0", False, False, False)]
    assert board.ask(BootloaderInfo("mode")) == MODE
    assert board.ask(Params()) == ParamsReply(1220, 4)
    assert slots_of(board.ask(SlotInfo())) == [(0, SLOT_BYTES, 0)]
    application = Image.from_bytes(board.application(OLD)).hash
    for request in (Echo("x"), Info(), StateWrite(confirm=True), StateWrite(application, False)):
        assert board.refusal(request) == MgmtRc.ENOTSUP
    assert board.refusal(first(board.application(NEW), upgrade=True)) == ImageRc.VERSION_GET_FAILED
    assert board.refusal(Erase(1)) == ImageRc.FLASH_OPEN_FAILED
    assert board.ask(EraseStorage()) == Empty()
    assert board.ask(Erase()) == Empty()
    assert board.listed() == []
    board.device.reset()
    assert board.runs == LOADER_RUNS


def test_the_loader_has_a_name_of_its_own_and_prints_nothing(board: Board) -> None:
    assert board.device.advertised_name == "board"
    lines: list[str] = []
    board.device.watch(lines.append)
    board.start_loader()
    assert board.device.advertised_name == "FW loader"
    assert lines[-1] == "I: Jumping to the first image slot"
    assert f"I: Bootloader chainload address offset: 0x{board.bench.layout.secondary.start:x}" in lines
    assert board.device.radio_up


def test_an_application_may_leave_the_images_to_the_loader() -> None:
    board = Board(resources=replace(AT_ONCE, serves_images=False))
    board.device.reset()
    requests = (StateRead(), SlotInfo(), Erase(), first(board.application(NEW)))
    for request in requests:
        assert board.refusal(request) == MgmtRc.ENOTSUP
    assert board.ask(BootloaderInfo("mode")) == MODE
    board.start_loader()
    for request in requests:
        assert board.refusal(request) is None


@pytest.mark.parametrize("number", [0, 1, 5])
def test_a_host_replaces_the_application_through_the_loader(board: Board, number: int) -> None:
    """One image: the number in an upload is not looked at."""
    new, loader = board.application(NEW), board.bench.slots.secondary.area.read_all()

    async def use() -> list[ImageSlot]:
        async with Client(board.device.connect(), ConsoleFraming()) as client:
            await client.request(Reset(boot_mode=1))
            await client.upload(new, number)
            listed = (await client.request(StateRead())).images
            await client.request(Reset())
            return [*listed, *(await client.request(StateRead())).images]

    before, after = simulate(use())
    assert (line_of(before), line_of(after)) == ((0, "2.0.0", False, False, False), (0, "2.0.0", True, False, True))
    assert board.runs == (APPLICATION, NEW.major)
    assert board.bench.holds("primary", new)
    assert board.bench.slots.secondary.area.read_all() == loader


def test_an_upload_that_is_no_application_leaves_the_loader_running(board: Board) -> None:
    """Nothing is checked before the boot, and there is no old application to go back to."""
    board.start_loader()
    for _ in upload(board, board.bench.app_image(2, key=None)):
        pass
    board.device.reset()
    assert board.runs == LOADER_RUNS
    for _ in upload(board, board.application(NEW)):
        pass
    board.device.reset()
    assert board.runs == (APPLICATION, NEW.major)


def test_a_network_image_in_the_slot_is_started_and_only_the_button_helps(board: Board) -> None:
    board.start_loader()
    for _ in upload(board, board.bench.net_image(2)):
        pass
    board.device.reset()
    assert board.device.ending is Ending.CRASH
    board.device.button_held = True
    board.device.reset()
    assert board.runs == LOADER_RUNS


# --- power cuts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("built_in", [True, False], ids=["no-application", "button-only"])
@pytest.mark.parametrize("tear", Tear)
def test_a_cut_at_any_operation_of_an_upload_leaves_a_device_that_can_be_updated(tear: Tear, built_in: bool) -> None:
    """Half an application is none: the loader starts by itself, or else only with the button."""
    entrances = tuple(Entrance) if built_in else (Entrance.BUTTON, Entrance.BOOT_MODE)
    board = Board(BootOptions(entrances=entrances))
    board.device.reset()
    new, power = board.application(NEW, 12_000), board.device.chip.power
    before = dict(board.device.app.pages())
    board.start_loader()
    start = power.operations
    assert list(upload(board, new))[-1] == len(new)
    operations = power.operations - start
    assert operations > 20
    seen = set()
    for cut in range(operations):
        board.device.app.load(before)
        board.device.reset()
        board.start_loader()
        power.cut_after, power.tear = cut, tear
        assert list(upload(board, new))[-1:] != [len(new)]
        assert not board.device.powered
        board.device.reset()
        seen.add(board.runs)
        if board.runs == Ending.NO_IMAGE:
            board.device.button_held = True
            board.device.reset()
            board.device.button_held = False
        if board.runs == APP_RUNS:  # nothing was erased yet
            assert cut == 0
            board.start_loader()
        assert board.runs == LOADER_RUNS
        assert list(upload(board, new))[-1] == len(new)
        board.device.reset()
        assert board.runs == (APPLICATION, NEW.major)
    assert seen - {APP_RUNS} == {LOADER_RUNS if built_in else Ending.NO_IMAGE}
