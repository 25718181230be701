"""Words that were once false: proofs that were none, and calls to repeat what repeating does not help.

The device's flash says what is true.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.cli.app.advice_by_code import proof_lines
from smpdfu.dfu.decide.evidence import Bootloader, Evidence, given_clue
from smpdfu.dfu.decide.proof import net_taken
from smpdfu.dfu.decide.proof_value import Proof, ProofSource
from smpdfu.dfu.decide.record import DONE, REVERTED, Record
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.journal.reading import read_record
from smpdfu.dfu.do.one_image_steps import install
from smpdfu.dfu.do.state_reading import read_state
from smpdfu.dfu.do.steps import StepRunner
from smpdfu.dfu.do.update import Event, StepDone, Wish
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.package import Package, new_package
from smpdfu.errors import NotBootedError, RevertedError, StepError
from smpdfu.image.format import Version
from smpdfu.image.trailer import SwapMode
from smpdfu.loaders.rules import Loader
from smpdfu.smp.groups.image import ImageSlot
from smpdfu.smp.groups.os import BootloaderMode
from smpdfu.virtual.boot.bootloader import BootKeys, BootOptions
from smpdfu.virtual.boot.network.netcore import B0n
from smpdfu.virtual.chip.layout import LAYOUTS
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import Resources
from tests.simulated import simulate

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.dfu.conftest import Maker, State
    from tests.dfu.dfu_device import (
        OVERWRITES,
        SHORT,
        SWAPS,
        client_of,
        net_holds,
        new_device,
        run_update,
        slots,
        version,
    )
else:
    from dfu_device import OVERWRITES, SHORT, SWAPS, client_of, net_holds, new_device, run_update, slots, version

Pack = Callable[["Maker"], Package]
QUICK = dataclasses.replace(SHORT, boot_s=2.0, settle_s=0.1)
SMALL_B0N, USUAL = 0x0100_2800, 0x0100_8800


def loader(name: str, b0n: B0n = B0n.ACCEPTS) -> BootOptions:
    return BootOptions(loader=Loader.from_name(name), b0n=b0n)


def proof_of(events: list[Event]) -> Proof:
    return next(event.proof for event in events if isinstance(event, StepDone) and event.proof is not None)


def steps_of(events: list[Event]) -> list[str]:
    return [event.step.name for event in events if isinstance(event, StepDone)]


# --- an image for another b0n is swapped in and back ------------------------------------------------------------------


def far_package(make: Maker) -> Package:
    """A network image that is linked, sealed and signed for the small b0n."""
    data = make.data(Core.NET, address=SMALL_B0N)
    return new_package([(PackageImage.from_bytes(data, "net.bin", {"load_address": SMALL_B0N}), SMALL_B0N)])


@pytest.mark.parametrize("release", ["2.9", "3.2", "3.4.0"])
@pytest.mark.parametrize("told", ["nothing", "its true place", "by another board's journal"])
def test_what_was_swapped_in_and_back_is_no_hand_over(make: Maker, tmp_path: Path, release: str, told: str) -> None:
    device, package, path = new_device(make, options=loader(f"{release}/pm")), far_package(make), tmp_path / "journal"
    before = device.net.read(USUAL, 2000)
    if told == "by another board's journal":
        with Journal(path) as journal:
            journal.begin("another package", about={"net_address": SMALL_B0N})
            journal.note({"proof": {"value": True, "reason": "The console said it.", "source": "console"}})
            journal.end(DONE)
    address = USUAL if told == "its true place" else None
    wish = Wish(force=True, bootloader=Bootloader(release, net_address=address))
    with pytest.raises(StepError):
        run_update(device, package, path, deadlines=QUICK, console=False, wish=wish)
    device.reset()  # by a hand, or by itself: the trial ends
    assert (version(device), slots(device)[1].pending) == ("1.0.0", False)
    proof = proof_of(run_update(device, package, path, deadlines=QUICK, console=False, wish=wish))
    assert (proof.value, proof.source) == (None, None), proof
    assert proof.code == "net-elsewhere"
    assert "--net-address" in proof_lines(proof)[-1]
    assert "handed" not in proof.reason
    assert device.net.read(USUAL, 2000) == before


# --- another board's journal ------------------------------------------------------------------------------------------


def cut_before(path: Path, step: str) -> None:
    """As if the call was killed before it began that step."""
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: next(at for at, line in enumerate(lines) if json.loads(line).get("step") == step)]))


def board(make: Maker, mode: SwapMode, options: BootOptions, number: str) -> VirtualNrf5340:
    return new_device(make, mode, options=options, number=number or None)


def as_behind_a_hand_over(make: Maker, device: VirtualNrf5340, package: Package, path: Path) -> None:
    """It has the package's application, and its network core refuses the image."""
    run_update(device, package, path, console=False)
    assert version(device) == "2.0.0"
    assert not net_holds(device, package.images[1])


@pytest.mark.parametrize("mode", [SWAPS, OVERWRITES], ids=str)
@pytest.mark.parametrize("numbers", [("", ""), ("0a", ""), ("", "0b"), ("0a", "0b")], ids=str)
@pytest.mark.parametrize("first", ["3.2/pm", "3.4.1/pm"])
def test_another_boards_unfinished_update_proves_nothing(
    make: Maker, tmp_path: Path, mode: SwapMode, numbers: tuple[str, str], first: str
) -> None:
    """Neither what its console said of the network core, nor what it said of its bootloader."""
    package, path = make.package(), tmp_path / "journal"
    run_update(board(make, mode, loader(first), numbers[0]), package, path)
    cut_before(path, "check net")
    assert read_record(path).is_proven
    other = board(make, mode, loader("3.4.1/pm", B0n.REFUSES), numbers[1])
    as_behind_a_hand_over(make, other, package, tmp_path / "its own journal")
    events = run_update(other, package, path, deadlines=QUICK, console=False)
    assert proof_of(events).value is None, proof_of(events)
    assert ("upload net" in steps_of(events)) is all(numbers), "of another chip's update nothing counts"
    assert not net_holds(other, package.images[1])
    assert not read_record(path).is_proven


def test_the_same_chips_unfinished_update_is_believed(make: Maker, tmp_path: Path) -> None:
    device, package, path = board(make, SWAPS, loader("3.4.1/pm"), "0a"), make.package(), tmp_path / "journal"
    run_update(device, package, path)
    cut_before(path, "check net")
    proof = proof_of(run_update(device, package, path, console=False))
    assert (proof.value, proof.source) == (True, ProofSource.CONSOLE)


def test_what_was_noted_of_one_device_is_not_of_the_next(make: Maker, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        journal.begin("package")
        journal.note({"hardware": "0a"})
        journal.note({"net_version": "1.0.0"})
        journal.note({"proof": {"value": True, "reason": "", "source": "console"}})
        journal.done("reset net")
        record = journal.record
        assert record.on("0a") == record
        assert record.on("0b") == Record()
        unknown = record.on(None)
        assert (unknown.steps, unknown.proof, unknown.net_version) == (record.steps, None, None)
        journal.note({"hardware": None})
        assert (journal.record.proof, journal.record.hardware) == (None, None)
        assert journal.record.on("0a").unfinished
        journal.end(DONE)
    assert read_record(path).on(None) == read_record(path)


# --- what stays pending -----------------------------------------------------------------------------------------------


def encrypted(make: Maker) -> Package:
    return make.package(make.image(encrypted=True))


LEFT: dict[str, tuple[BootOptions, Pack]] = {
    "an encrypted application before NCS 2.8": (loader("2.5/pm", B0n.REFUSES), encrypted),
    "an application without a class UUID": (
        dataclasses.replace(loader("3.4.1/pm"), app_class=bytes([1] * 16), net_class=bytes([2] * 16)),
        lambda make: make.package(make.image()),
    ),
}


@pytest.mark.parametrize(("options", "pack"), LEFT.values(), ids=LEFT)
def test_what_the_bootloader_left_alone_is_not_to_be_repeated(
    make: Maker, tmp_path: Path, options: BootOptions, pack: Pack
) -> None:
    """The console shows the boot, so the first call knows; over other wires the second one does, and all behind it."""
    device, package, path = new_device(make, options=options), pack(make), tmp_path / "journal"
    says = r"did not install app_update\.bin: it still waits.*runs 1\.0\.0.*Free the slot"
    with pytest.raises(RevertedError, match=says):
        run_update(device, package, path, deadlines=QUICK)
    assert read_record(path).end == REVERTED
    assert (version(device), slots(device)[1].pending) == ("1.0.0", True)

    mute, path = new_device(make, options=options), tmp_path / "mute"
    with pytest.raises(NotBootedError, match="still waits for the next boot"):
        run_update(mute, package, path, deadlines=QUICK, console=False)
    assert read_record(path).left_waiting
    for _ in range(2):
        with pytest.raises(RevertedError, match=says) as caught:
            run_update(mute, package, path, deadlines=QUICK, console=False)
        assert caught.value.ran is False
        assert read_record(path).end == REVERTED
    assert version(mute) == "1.0.0"


class Counting(VirtualNrf5340):
    """Counts its boots."""

    boots = 0

    def reset(self) -> None:
        self.boots += 1
        super().reset()


@pytest.mark.parametrize(("options", "pack"), LEFT.values(), ids=LEFT)
@pytest.mark.parametrize(("console", "resets"), [(True, 1), (False, 2)], ids=["console", "no console"])
def test_an_upload_has_no_journal_and_resets_twice(
    make: Maker, options: BootOptions, pack: Pack, console: bool, resets: int
) -> None:
    device, image = new_device(make, options=options, kind=Counting), pack(make).images[0]
    assert isinstance(device, Counting)
    boots = device.boots

    async def upload() -> None:
        async with client_of(device, console=console) as client:
            await client.upload(image.data)
            await install(StepRunner(client, QUICK), image, await read_state(client))

    with pytest.raises(RevertedError, match=r"did not install app_update\.bin: it still waits"):
        simulate(upload())
    assert (version(device), device.boots - boots) == ("1.0.0", resets)


def two_pairs(make: Maker, options: BootOptions, *, decrypts: bool = True) -> VirtualNrf5340:
    layout = LAYOUTS["nrf5340dk-simultaneous"]
    keys = BootKeys((make.key.public,), make.encryption if decrypts else None, options=options)
    device = VirtualNrf5340(layout, keys, resources=Resources(reset_delay_s=0.0))
    device.load_app(make.data(version="1.0.0", mark=1, address=layout.primary.start + 0x200))
    device.load_net(make.data(Core.NET, version="1.0.0", mark=1))
    device.reset()
    return device


def tied_package(make: Maker, *, encrypted: bool = False) -> Package:
    address = LAYOUTS["nrf5340dk-simultaneous"].primary.start + 0x200
    return make.package(make.image(address=address, encrypted=encrypted), make.image(Role.NET, needs=(0, Version(2))))


@pytest.mark.parametrize("console", [True, False], ids=["console", "no console"])
def test_an_application_that_was_erased_is_told_at_once(make: Maker, tmp_path: Path, console: bool) -> None:
    """Only the image that waits for it is still there: that is no trial that somebody stopped."""
    device, path = two_pairs(make, loader("3.0/pm"), decrypts=False), tmp_path / "journal"
    package = tied_package(make, encrypted=True)
    for _ in range(2):
        with pytest.raises(RevertedError, match=r"did not take app_update.*image still waits for the next boot"):
            run_update(device, package, path, deadlines=QUICK, console=console)
        assert read_record(path).end == REVERTED
        assert version(device) == "1.0.0"
        assert not net_holds(device, package.images[1])


def test_an_image_that_waits_for_another_is_not_tried_again(make: Maker, tmp_path: Path) -> None:
    device = two_pairs(make, loader("3.2/pm"))
    package = make.package(make.image(Role.NET, needs=(0, Version(9))))
    with pytest.raises(RevertedError, match=r"needs image 0 of version 9\.0\.0 or higher and waits") as caught:
        run_update(device, package, tmp_path / "journal", deadlines=QUICK)
    assert "tries it again" not in str(caught.value)
    assert not net_holds(device, package.images[0])


# --- the reason why it is not known -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "mode", "left", "names", "not_names"),
    [
        (None, BootloaderMode.OVERWRITE_ONLY, "gone", "NCS 3.4.1 and later that overwrite", "NCS 3.2"),
        (None, BootloaderMode.OVERWRITE_ONLY, "pending", "NCS 2.2 to 2.7", "3.4.1"),
        ("2.9", BootloaderMode.OVERWRITE_ONLY, "pending", "NCS 2.8 to 3.1 that", "NCS 3.2"),
        (None, BootloaderMode.SWAP_WITHOUT_SCRATCH, "listed", "Bootloaders of NCS 3.4.1 and later do so", "offset"),
        ("3.4.1", BootloaderMode.SWAP_WITHOUT_SCRATCH, "listed", "or connect the serial console", "say which release"),
        ("3.2", None, "listed", "swap using an offset do so without", "3.4.1"),
    ],
)
def test_the_doubt_names_the_loaders_that_the_device_may_have(
    make: Maker,
    state: State,
    release: str | None,
    mode: BootloaderMode | None,
    left: str,
    names: str,
    not_names: str,
) -> None:
    image = make.image(Role.NET)
    slot = ImageSlot(slot=1, version="2.0.0", hash=image.hash, pending=left == "pending")
    found = state(
        *(state().slots[0], *([] if left == "gone" else [slot])),
        mode=mode,
        evidence=Evidence(given_clue(release, None)),
    )
    proof = net_taken(image, found)
    assert proof.value is None
    assert names in proof.doubt, proof.doubt
    assert not_names not in proof.doubt, proof.doubt


@pytest.mark.parametrize("release", ["2.3", "2.9", "3.2", "3.4.0"])
def test_what_is_gone_before_3_4_1_was_erased_unread(make: Maker, state: State, release: str) -> None:
    found = state(mode=BootloaderMode.OVERWRITE_ONLY, evidence=Evidence(given_clue(release, None)))
    assert net_taken(make.image(Role.NET), found).value is False
