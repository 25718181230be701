"""An application in two halves (QSPI XIP split): which of them are installed, what runs then, and what a host sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from smpdfu.client.client import Client
from smpdfu.errors import DeviceError
from smpdfu.image.format import Image, Version
from smpdfu.loaders.releases import UPSTREAM, Generation
from smpdfu.loaders.rules import NORDIC, Loader
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.smp.groups.image import ImageRc, ImageSlot, SlotInfo, StateRead, StateWrite
from smpdfu.smp.groups.os import Reset
from smpdfu.virtual.boot.bootloader import Ending
from smpdfu.virtual.boot.build import BootOptions
from smpdfu.virtual.boot.halves import are_of_one_build, mark
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.flash import PowerCut, Tear
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import Resources
from smpdfu.virtual.server.groups.image import ConfirmsOthers
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.virtual.split_bench import NEW, OLD, SplitBench, small_split
else:
    from split_bench import NEW, OLD, SplitBench, small_split

INTERNAL, EXTERNAL = "internal", "external"
BOTH = (INTERNAL, EXTERNAL)
OVERWRITE, MOVE = BootMode.OVERWRITE_ONLY, BootMode.MOVE
RUNS, CRASH = Ending.RUNS, Ending.CRASH

# What is uploaded and how it is marked ("test" or "permanent") -> how this boot and the next one end, and which
# versions of the internal and the external half lie in the primary slots then. Overwriting has no trial.
Case = tuple[BootMode, tuple[str, ...], str]
Boots = tuple[tuple[Ending, tuple[int, int]], tuple[Ending, tuple[int, int]]]
CASES: Mapping[Case, Boots] = {
    (OVERWRITE, BOTH, "test"): ((RUNS, (2, 2)), (RUNS, (2, 2))),
    (OVERWRITE, BOTH, "permanent"): ((RUNS, (2, 2)), (RUNS, (2, 2))),
    (OVERWRITE, (INTERNAL,), "test"): ((CRASH, (2, 1)), (CRASH, (2, 1))),
    (OVERWRITE, (EXTERNAL,), "test"): ((CRASH, (1, 2)), (CRASH, (1, 2))),
    (MOVE, BOTH, "test"): ((RUNS, (2, 2)), (RUNS, (1, 1))),
    (MOVE, BOTH, "permanent"): ((RUNS, (2, 2)), (RUNS, (2, 2))),
    (MOVE, (INTERNAL,), "test"): ((CRASH, (2, 1)), (RUNS, (1, 1))),
    (MOVE, (EXTERNAL,), "test"): ((CRASH, (1, 2)), (RUNS, (1, 1))),
    (MOVE, (INTERNAL,), "permanent"): ((CRASH, (2, 1)), (CRASH, (2, 1))),
    (MOVE, (EXTERNAL,), "permanent"): ((CRASH, (1, 2)), (CRASH, (1, 2))),
}


def number_of(board: SplitBench, half: str) -> int:
    return 0 if half == INTERNAL else board.external


def upload(board: SplitBench, halves: tuple[str, ...], begin: str) -> None:
    for half in halves:
        number = number_of(board, half)
        board.bench.upload(board.half(number, NEW), permanent=begin == "permanent", number=number)


@pytest.mark.parametrize("network", [True, False], ids=["net", "no-net"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{'+'.join(case[1])}-{case[2]}")
def test_both_halves_run_only_if_both_are_of_one_build(case: Case, network: bool) -> None:
    mode, halves, begin = case
    board = SplitBench(small_split(mode, network=network))
    upload(board, halves, begin)
    for ending, versions in CASES[case]:
        assert (board.bench.boot().ending, board.versions()) == (ending, versions)
    last = CASES[case][-1]
    secondary = board.bench.slots_of(board.external).secondary
    if mode is OVERWRITE and EXTERNAL in halves:
        assert (secondary.header(), secondary.trailer().magic) == (None, "unset")  # forgotten, as an application image
    elif EXTERNAL in halves and last[0] is RUNS:
        other = secondary.header()
        assert other is not None
        assert other.version.major == 3 - last[1][1]  # swapped out


@pytest.mark.parametrize("mode", [OVERWRITE, MOVE])
@pytest.mark.parametrize("half", BOTH)
def test_a_damaged_half_is_erased_and_the_other_one_installed_all_the_same(half: str, mode: BootMode) -> None:
    """MCUboot knows of no bond between the halves: "If one of the loaded updates is corrupt and deleted"."""
    board = SplitBench(small_split(mode, network=False))
    for one in BOTH:
        number = number_of(board, one)
        image = board.damaged(number, NEW) if one == half else board.half(number, NEW)
        board.bench.upload(image, number=number)
    assert board.bench.boot().ending is CRASH
    assert board.versions() == ((1, 2) if half == INTERNAL else (2, 1))
    assert board.bench.slots_of(number_of(board, half)).secondary.header() is None


def test_a_damaged_external_half_in_its_primary_slot_starts_nothing() -> None:
    board = SplitBench(small_split())
    board.bench.write("primary", board.damaged(board.external, OLD), board.external)
    assert board.bench.boot().ending is Ending.NO_IMAGE
    assert "E: Image in the primary slot is not valid!" in board.bench.log


@pytest.mark.parametrize("confirmed", [(0,), (0, 1)], ids=["internal", "both"])
def test_who_confirms_only_the_internal_half_loses_the_external_one(confirmed: tuple[int, ...]) -> None:
    board = SplitBench(small_split(MOVE, network=False))
    upload(board, BOTH, "test")
    assert board.bench.boot().ending is RUNS
    for number in confirmed:
        board.bench.slots_of(number).primary.set_confirmed()
    assert board.bench.boot().ending is (RUNS if len(confirmed) == 2 else CRASH)
    assert board.versions() == ((2, 2) if len(confirmed) == 2 else (2, 1))


def test_all_three_images_are_installed_in_one_boot() -> None:
    board = SplitBench(small_split())
    upload(board, BOTH, "test")
    network = board.bench.net_image(2, version=NEW)
    board.bench.upload(network, number=1)
    result = board.bench.boot()
    assert (result.ending, result.net_updated, board.versions()) == (RUNS, True, (2, 2))
    payload = Image.from_bytes(network).payload
    assert board.bench.net.app.read(0, len(payload)) == payload


def test_a_refused_network_image_stops_the_boot_between_the_halves() -> None:
    """b0n refuses image 1 after image 0 was copied: MCUboot stops at each boot, and image 2 is never reached."""
    board = SplitBench(small_split())
    upload(board, BOTH, "test")
    board.bench.upload(board.bench.net_image(2, seal=None, version=NEW), number=1)
    for _ in range(2):
        assert (board.bench.boot().ending, board.versions()) == (Ending.ASSERT, (2, 1))


# --- the address check of each generation ---------------------------------------------------------------------------

# Upstream MCUboot knows no network core, so there is no such build of it.
LOADERS = [(one, network) for one in sorted(NORDIC, key=lambda one: one.name) for network in (True, False)]


@pytest.mark.parametrize(
    ("loader", "network"), [*LOADERS, (Loader(UPSTREAM), False)], ids=lambda one: getattr(one, "name", str(one))
)
def test_the_address_check_leaves_out_a_half_that_has_no_reset_vector(loader: Loader, network: bool) -> None:
    """Up to NCS 2.7 it leaves out image 2 only, and upstream MCUboot none: there a word of code counts as a vector."""
    board = SplitBench(small_split(network=network), BootOptions(loader=loader))
    upload(board, BOTH, "permanent")
    erased = loader.release is UPSTREAM or (loader.release.generation is Generation.G1 and not network)
    assert board.bench.boot().ending is (CRASH if erased else RUNS)
    assert board.versions() == ((2, 1) if erased else (2, 2))


def test_a_swap_leaves_addresses_alone_in_every_generation() -> None:
    for loader in NORDIC:
        board = SplitBench(small_split(MOVE, network=False), BootOptions(loader=loader))
        upload(board, BOTH, "test")
        assert (board.bench.boot().ending, board.versions()) == (RUNS, (2, 2))


# --- which halves belong together -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("internal", "external", "together"),
    [
        ((OLD, None), (OLD, None), True),
        ((OLD, None), (NEW, None), False),
        ((OLD, "a"), (OLD, None), True),
        ((OLD, "a"), (OLD, "a"), True),
        ((OLD, "a"), (OLD, "b"), False),
        ((OLD, "a"), (NEW, "a"), True),
        ((OLD, None), (Version(1, 0, 0, 7), None), False),
    ],
)
def test_the_named_build_goes_before_the_version(
    internal: tuple[Version, str | None], external: tuple[Version, str | None], together: bool
) -> None:
    board = SplitBench(small_split())
    halves = [board.half(number, *one) for number, one in ((0, internal), (board.external, external))]
    assert are_of_one_build(*map(Image.from_bytes, halves)) is together


@pytest.mark.parametrize("name", ["", "a;b", "a b", "x" * 65])
def test_a_build_has_a_name_that_the_mark_can_carry(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a build"):
        mark(name)


# --- power cuts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tear", Tear)
@pytest.mark.parametrize(
    ("mode", "network", "begin"),
    [(OVERWRITE, True, "test"), (OVERWRITE, False, "test"), (MOVE, False, "test"), (MOVE, False, "permanent")],
)
def test_a_cut_at_any_operation_ends_with_both_halves_of_one_build(
    mode: BootMode, network: bool, begin: str, tear: Tear
) -> None:
    board = SplitBench(small_split(mode, network=network))
    upload(board, BOTH, begin)
    if network:
        board.bench.upload(board.bench.net_image(2, size=5000), number=1)
    power, flashes = board.bench.chip.power, board.bench.chip.flashes
    before = {name: dict(flash.pages()) for name, flash in flashes.items()}
    start = power.operations
    assert board.bench.boot().ending is RUNS
    operations = power.operations - start
    for cut in range(operations):
        for name, flash in flashes.items():
            flash.load(before[name])
        power.cut_after, power.tear = cut, tear
        board.bench.net.power_off()
        with pytest.raises(PowerCut):
            board.bench.boot()
        board.bench.net.power_off()
        result = board.bench.boot()
        assert (result.ending, board.versions()) == (RUNS, (2, 2)), cut
        if (mode, begin) == (MOVE, "test"):
            assert (board.bench.boot().ending, board.versions()) == (RUNS, (1, 1)), cut
    assert operations > 20


# --- what a host sees -----------------------------------------------------------------------------------------------


def on_the_wire(board: SplitBench, confirms: ConfirmsOthers = ConfirmsOthers.NONE) -> VirtualNrf5340:
    resources = Resources(reset_delay_s=0.0, confirms_others=confirms)
    device = VirtualNrf5340(board.layout, board.bench.keys, flashes=board.bench.chip.flashes, resources=resources)
    device.load_net(board.bench.net_image(1))
    device.reset()
    return device


Line = tuple[int, int, str, bool, bool, bool]


def lines(images: tuple[ImageSlot, ...]) -> list[Line]:
    """Image, slot, version, active, pending, confirmed."""
    return [
        (one.image or 0, one.slot, one.version or "", bool(one.active), bool(one.pending), bool(one.confirmed))
        for one in images
    ]


def test_a_host_updates_both_halves_and_the_network_core_by_their_numbers() -> None:
    board = SplitBench(small_split())
    device = on_the_wire(board)
    images = {0: board.half(0, NEW), 1: board.bench.net_image(2), 2: board.half(2, NEW)}

    async def use() -> tuple[list[Line], list[Line], list[tuple[int, int | None]]]:
        async with Client(device.connect(), ConsoleFraming()) as client:
            for number, image in images.items():
                await client.upload(image, number)
                await client.request(StateWrite(Image.from_bytes(image).hash, False))
            sizes = await client.request(SlotInfo())
            before = lines((await client.request(StateRead())).images)
            await client.request(Reset())
            after = lines((await client.request(StateRead())).images)
        slots = [(slot.slot, slot.upload_image_id) for one in sizes.images for slot in one.slots]
        return before, after, slots

    before, after, slots = simulate(use())
    assert before == [
        (0, 0, "1.0.0", True, False, True),
        (0, 1, "2.0.0", False, True, False),
        (1, 1, "1.0.0", False, True, False),
        (2, 0, "1.0.0", True, False, True),
        (2, 1, "2.0.0", False, True, False),
    ]
    assert after == [(0, 0, "2.0.0", True, False, True), (2, 0, "2.0.0", True, False, True)]
    assert slots == [(0, None), (1, 0), (0, None), (1, 1), (0, None), (1, 2)]
    assert device.net_core.app.read(0, 64) == Image.from_bytes(images[1]).payload[:64]


def test_half_an_update_leaves_the_device_silent_and_says_so_in_its_report() -> None:
    board = SplitBench(small_split())
    device = on_the_wire(board)
    board.bench.upload(board.half(0, NEW))
    result = device.reset()
    assert result is not None
    assert (result.ending, device.running, device.answers(StateRead().to_bytes(1))) == (CRASH, None, [])


# Which confirmations a build takes: of the external half in its secondary slot before the reset, and of the one that
# runs on trial.
CONFIRMS = {
    ConfirmsOthers.NONE: (ImageRc.IMAGE_CONFIRMATION_DENIED, ImageRc.IMAGE_CONFIRMATION_DENIED),
    ConfirmsOthers.SECONDARY: (None, ImageRc.IMAGE_CONFIRMATION_DENIED),
    ConfirmsOthers.ANY: (None, None),
}


@pytest.mark.parametrize("confirms", ConfirmsOthers)
def test_a_host_may_confirm_the_external_half_only_in_builds_that_allow_it(confirms: ConfirmsOthers) -> None:
    board = SplitBench(small_split(MOVE, network=False))
    device = on_the_wire(board, confirms)
    halves = [board.half(number, NEW) for number in board.halves]
    external = StateWrite(Image.from_bytes(halves[1]).hash, True)

    async def confirm(client: Client) -> ImageRc | None:
        try:
            await client.request(external)
        except DeviceError as error:
            return ImageRc(error.rc)
        return None

    async def use() -> tuple[ImageRc | None, ImageRc | None, list[Line]]:
        async with Client(device.connect(), ConsoleFraming()) as client:
            await client.upload(halves[1], 1)
            pending = await confirm(client)
            device.images[1].secondary.erase_trailer()
            for number, image in enumerate(halves):
                if number == 0:
                    await client.upload(image, number)
                await client.request(StateWrite(Image.from_bytes(image).hash, False))
            await client.request(Reset())
            running = await confirm(client)
            await client.request(StateWrite(confirm=True))
            return pending, running, lines((await client.request(StateRead())).images)

    pending, running, listed = simulate(use())
    assert (pending, running) == CONFIRMS[confirms]
    assert listed == [
        (0, 0, "2.0.0", True, False, True),
        (0, 1, "1.0.0", False, False, False),
        (1, 0, "2.0.0", True, False, running is None),
        (1, 1, "1.0.0", False, False, running is not None),
    ]
    device.reset()
    assert (device.ending, board.versions()) == ((RUNS, (2, 2)) if running is None else (CRASH, (2, 1)))


@pytest.mark.parametrize(("network", "number"), [(False, 3), (True, 5)], ids=["no-net", "net"])
def test_a_number_of_serial_recovery_leads_to_the_primary_slot_of_the_external_half(network: bool, number: int) -> None:
    """Without a network core image that is number 3, and what is sent goes into flash and not to the network core."""
    board = SplitBench(small_split(network=network))
    device = on_the_wire(board)
    device.recovers = True
    device.app.erase(board.layout.primary.start, 4096)
    device.reset()
    assert device.recovery is not None
    halves = board.half(0, NEW), board.half(board.external, NEW)

    async def use() -> None:
        async with Client(device.connect(), ConsoleFraming()) as client:
            for place, image in zip((1, number), halves, strict=True):
                await client.upload(image, place, compare=False)
            await client.request(Reset())

    simulate(use())
    assert (device.ending, board.versions()) == (RUNS, (2, 2))
