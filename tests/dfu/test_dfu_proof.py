"""What is said of the network core is what its flash holds: every loader, both modes, with a console and without."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.cli.app.advice_by_code import proof_lines
from smpdfu.client import Client
from smpdfu.dfu.decide.evidence import Bootloader, Evidence, console_clue
from smpdfu.dfu.decide.proof import net_taken
from smpdfu.dfu.decide.proof_value import Proof, ProofSource
from smpdfu.dfu.decide.record import DONE, REVERTED, replay
from smpdfu.dfu.decide.steps.rules import Policy
from smpdfu.dfu.do.journal.reading import read_record
from smpdfu.dfu.do.net_version import VersionRule, judge, version_in
from smpdfu.dfu.do.replacing.reach import Reach, read_device
from smpdfu.dfu.do.result import is_proven
from smpdfu.dfu.do.update import Decision, Event, StepDone, Wish, decide, known_of
from smpdfu.dfu.package.images import Core, Role
from smpdfu.dfu.package.package import Package
from smpdfu.errors import RevertedError
from smpdfu.image.format import Version
from smpdfu.image.trailer import SwapMode
from smpdfu.loaders.console import read_boot
from smpdfu.loaders.proof import Picture
from smpdfu.loaders.releases import Generation
from smpdfu.loaders.rules import NORDIC, Loader
from smpdfu.smp.groups.image import ImageSlot
from smpdfu.smp.groups.os import BootloaderMode, Echo
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

QUICK = dataclasses.replace(SHORT, boot_s=2.0, settle_s=0.1)
LOADERS = sorted(NORDIC, key=lambda one: one.name)
MODES = pytest.mark.parametrize("mode", [SWAPS, OVERWRITES], ids=str)
B0NS = pytest.mark.parametrize("b0n", [B0n.ACCEPTS, B0n.REFUSES], ids=str)


def proof_of(events: list[Event]) -> Proof:
    proof = next(event.proof for event in events if isinstance(event, StepDone) and event.proof is not None)
    assert [event.proof for event in events if isinstance(event, StepDone) and event.proof is not None] == [proof]
    return proof


def outcome(make: Maker, mode: SwapMode, loader: Loader, b0n: B0n, path: Path, **how: object) -> tuple[Proof, bool]:
    """What the tool says of the network core, and what its flash holds."""
    device = new_device(make, mode, options=BootOptions(loader=loader, b0n=b0n))
    package = make.package()
    try:
        proof = proof_of(run_update(device, package, path, deadlines=QUICK, **how))
    except RevertedError as error:
        assert read_record(path).end == REVERTED
        proof = Proof(False, str(error))
    else:
        assert read_record(path).end == DONE
    return proof, net_holds(device, package.images[1])


@pytest.mark.parametrize("loader", LOADERS, ids=lambda one: one.name)
@MODES
@B0NS
def test_a_console_tells_what_became_of_it(
    make: Maker, tmp_path: Path, loader: Loader, mode: SwapMode, b0n: B0n
) -> None:
    proof, holds = outcome(make, mode, loader, b0n, tmp_path / "journal")
    assert proof.value is holds, proof
    if (loader.release.generation, loader.partitions) != (Generation.G4, "dts"):  # it erases every network image
        assert holds is (b0n is B0n.ACCEPTS)


@pytest.mark.parametrize("loader", LOADERS, ids=lambda one: one.name)
@MODES
@B0NS
@pytest.mark.parametrize("given", [False, True], ids=["loader unknown", "loader given"])
def test_without_a_console_nothing_false_is_said(
    make: Maker, tmp_path: Path, loader: Loader, mode: SwapMode, b0n: B0n, given: bool
) -> None:
    bootloader = Bootloader(loader.release.name, loader.partitions) if given else Bootloader()
    wish = Wish(force=True, bootloader=bootloader)
    proof, holds = outcome(make, mode, loader, b0n, tmp_path / "journal", console=False, wish=wish)
    assert proof.value in (None, holds), proof
    if given and mode is SWAPS and loader.release.generation is not Generation.G5:
        assert proof.value is holds, "this loader leaves another picture for each outcome"
    if loader.release.generation is Generation.G5:
        assert proof.value is None


# --- what it means, and what the next call knows ----------------------------------------------------------------------


def look(device: VirtualNrf5340, package: Package, path: Path) -> Decision:
    async def ask() -> Decision:
        async with client_of(device, console=False) as client:
            record = read_record(path)
            return decide(package, await read_device(Reach(client), package, record), record)

    return simulate(ask())


def proven(package: Package, proof: Proof | None) -> bool | None:
    return is_proven(package, Policy.TEST_AND_CONFIRM, proof)


@pytest.mark.parametrize("loader", ["2.5/pm", "3.2/pm", "3.4.0/pm"])
@B0NS
def test_an_image_that_is_pending_for_ever_is_told_as_that(make: Maker, tmp_path: Path, loader: str, b0n: B0n) -> None:
    """Row 8: it is copied at each boot, whatever becomes of it, and SMP cannot tell."""
    options = BootOptions(loader=Loader.from_name(loader), b0n=b0n)
    device, package, path = new_device(make, OVERWRITES, options=options), make.package(), tmp_path / "journal"
    proof = proof_of(run_update(device, package, path, deadlines=QUICK, console=False))
    assert (proof.value, proof.source) == (None, None)
    assert "still waits for the next boot" in proof.reason
    assert "hand it over again at each boot" in proof.doubt
    assert proof.code == "slot-not-free"
    assert "`smpdfu erase`" in proof_lines(proof)[-1]
    assert slots(device)[1].pending
    assert net_holds(device, package.images[1]) is (b0n is B0n.ACCEPTS)
    again = look(device, package, path)
    assert again.plan.steps == (), "a second call does not hand it over once more"
    assert proven(package, again.proof) is False
    assert [clue.source for clue in again.state.evidence.clues] == ["journal"]
    assert all(one.release.generation is not Generation.G5 for one in again.state.evidence.loaders)


@pytest.mark.parametrize("number", ["0123456789abcdef", None])
def test_a_proof_is_kept_for_the_second_call(make: Maker, tmp_path: Path, number: str | None) -> None:
    """Of the same chip. A device that does not tell its number may be another board that runs the same application."""
    device, package, path = new_device(make, number=number), make.package(), tmp_path / "journal"
    events = run_update(device, package, path)
    assert proven(package, proof_of(events)) is True
    second = look(device, package, path)
    assert (second.plan.steps, second.net_done_at is None) == ((), False)
    assert proven(package, second.proof) is (number is not None)
    assert second.proof is not None
    assert second.proof.source is (None if number is None else ProofSource.JOURNAL)
    assert "printed that the network core was updated" in second.proof.reason
    assert ("this may be another board" in second.proof.doubt) is (number is None)
    assert second.state.net == range(0x0100_8800, 0x0104_0000), "proven, so it is the device's"


def test_a_journal_without_the_number_of_a_chip_proves_nothing(make: Maker, tmp_path: Path) -> None:
    """The firmware did not tell it then, and does now: what is said of that is true all the same."""
    device, package, path = new_device(make, number="0123456789abcdef"), make.package(), tmp_path / "journal"
    run_update(device, package, path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "hardware" not in json.loads(line)))
    second = look(device, package, path).proof
    assert second is not None
    assert second.value is None
    assert second.doubt.startswith("No chip number shows that this is the board of that update")


def test_what_an_older_tool_wrote_proves_nothing(make: Maker, tmp_path: Path) -> None:
    """Its "done" said so of refused images, too. Its journal is read, and the other way round."""
    device, package, path = new_device(make), make.package(), tmp_path / "journal"
    run_update(device, package, path)
    lines = path.read_text().splitlines(keepends=True)
    old = [line for line in lines if not {"loader", "proof", "net_version"} & json.loads(line).keys()]
    assert len(old) < len(lines)
    path.write_text("".join(old))
    again = look(device, package, path)
    assert again.plan.steps == ()
    assert proven(package, again.proof) is False
    assert again.proof is not None
    assert "not how" in again.proof.reason
    assert replay(map(json.loads, old)).steps == replay(map(json.loads, lines)).steps


def test_an_earlier_update_may_have_been_of_another_board(make: Maker, tmp_path: Path) -> None:
    """Its bootloader is no proof for this one's: the second board at this address has another."""
    path = tmp_path / "journal"
    old = new_device(make, options=BootOptions(loader=Loader.from_name("3.2/pm")))
    run_update(old, make.package(), path)
    board = new_device(make, options=BootOptions(b0n=B0n.REFUSES))
    newer = make.package(make.image(version="3.0.0"), make.image(Role.NET, version="3.0.0", mark=3))
    proof = proof_of(run_update(board, newer, path, deadlines=QUICK, console=False))
    assert proof.value is None
    assert not net_holds(board, newer.images[1])


def test_contradictions_are_seen_and_nothing_is_proven_by_them(make: Maker, tmp_path: Path) -> None:
    device = new_device(make, options=BootOptions(b0n=B0n.REFUSES))
    device.load_app(make.data(version="1.0.0", mark=1))
    state = look(device, make.package(), tmp_path / "journal").state
    told = known_of(state, read_record(tmp_path / "journal"), Wish(bootloader=Bootloader("3.2")))
    assert not told.evidence.contradicts
    newest = console_clue(read_boot("*** Booting MCUboot v2.3.0-dev-e994ef4e ***\nStarting bootloader\n"))
    both = told.evidence.with_clues(newest)
    assert both.contradicts
    assert both.loaders == told.evidence.loaders | newest[0].loaders


SEEN = {"listed, not pending": Picture.LISTED, "still pending": Picture.PENDING, "gone": Picture.GONE}
SAYS = {"taken": True, "not taken": False, "not taken: erased": False, "not known": None}


def test_the_table_in_the_docs_is_what_is_decided(make: Maker, state: State) -> None:
    """docs/explanation/update-order.md, "Proof"."""
    text = (Path(__file__).parents[2] / "docs" / "explanation" / "update-order.md").read_text("utf-8")
    lines = text.partition("| the list after the reset |")[2].splitlines()[2:7]
    net, known = make.image(Role.NET), (Bootloader("3.2"), Bootloader("3.4.1"), Bootloader())
    for line in lines:
        what, *says = [cell.strip() for cell in line.strip("|").split("|")]
        mode, _, seen = what.partition(": ")
        left = ImageSlot(slot=1, version="2.0.0", hash=net.hash, pending=SEEN[seen] is Picture.PENDING)
        slots = (state().slots[0], *([] if SEEN[seen] is Picture.GONE else [left]))
        mode_of = {"swapping": BootloaderMode.SWAP_WITHOUT_SCRATCH, "overwriting": BootloaderMode.OVERWRITE_ONLY}
        for bootloader, said in zip(known, says, strict=True):
            found = state(*slots, mode=mode_of[mode], evidence=Evidence(bootloader.clues))
            assert net_taken(net, found).value is SAYS[said], (what, bootloader)


# --- the application's word -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loader", ["3.2/pm", "3.5/pm", "3.5/dts"])
@MODES
@B0NS
@pytest.mark.parametrize("versions", [(1, 2), (2, 2)], ids=["raised", "the same"])
def test_a_version_that_the_application_tells(
    make: Maker, tmp_path: Path, loader: str, mode: SwapMode, b0n: B0n, versions: tuple[int, int]
) -> None:
    options = BootOptions(loader=Loader.from_name(loader), b0n=b0n)
    device, path = new_device(make, mode, options=options), tmp_path / "journal"
    device.load_net(make.data(Core.NET, version="1.0.0", mark=1, firmware_version=versions[0]))
    device.reset()
    package = make.package(make.image(), make.image(Role.NET, firmware_version=versions[1]))

    async def ask(client: Client) -> str:
        await client.request(Echo("which"))
        return f"network core: version {device.net_core.version()}"

    value: bool | None
    try:
        proof = proof_of(run_update(device, package, path, deadlines=QUICK, console=False, net_version=ask))
        value = proof.value
    except RevertedError:
        value = False
    holds = net_holds(device, package.images[1])
    assert value in (None, holds)
    if versions == (1, 2):
        assert value is holds
        assert read_record(path).net_version == "1"


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [
        ("1.0.0", "2.0.0", True),
        (None, "2.0.0", None),
        ("2.0.0", "2.0.0", None),
        ("1.0.0", "1.0.0", False),
        (None, "1.0.0", False),
        ("1.0.0", "3.0.0", None),
        ("1", "2", True),
    ],
)
def test_versions_are_compared_with_those_of_the_package(
    make: Maker, before: str | None, after: str, value: bool | None
) -> None:
    proof = judge(make.image(Role.NET, firmware_version=2), before, after)
    assert proof is not None
    assert proof.value is value


def test_a_version_that_every_release_has_proves_nothing(make: Maker) -> None:
    proof = judge(make.image(Role.NET, version="0.0.0"), "1.0.0", "0.0.0")
    assert proof is not None
    assert proof.value is None
    assert judge(make.image(Role.NET), "1.0.0", None) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2.1.0", "2.1.0"),
        ("net core 0 runs v2.1.0+7, built 2026", "2.1.0+7"),
        ("version: 12\n", "12"),
        ("no version", None),
        ("1.2.3.4", "1.2.3+4"),
        ("0x12ab", None),
        ("version: \x1b[32m2.1.0\x1b[m\r\n", "2.1.0"),
        ("\x1b[1;31mversion 12\x1b[0m", "12"),
        ("\x1b[8D\x1b[Juart:~$ ", None),
    ],
)
def test_the_version_in_an_answer(text: str, found: str | None) -> None:
    assert version_in(text) == found


@pytest.mark.parametrize("text", ["settings", "nothing:x", "shell:", ":x", ""])
def test_a_rule_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not say how"):
        VersionRule.from_text(text)


# --- two image pairs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("console", [True, False], ids=["console", "no console"])
def test_half_an_update_is_told_as_that(make: Maker, tmp_path: Path, console: bool) -> None:
    """Nordic's loaders skip the image whose dependency is not met, and install the other one."""
    layout = LAYOUTS["nrf5340dk-simultaneous"]
    keys = BootKeys((make.key.public,), make.encryption)
    device = VirtualNrf5340(layout, keys, resources=Resources(reset_delay_s=0.0))
    address = layout.primary.start + 0x200
    device.load_app(make.data(version="1.0.0", mark=1, address=address))
    device.load_net(make.data(Core.NET, version="1.0.0", mark=1))
    device.reset()
    needs = (0, Version.from_text("9.0.0"))
    package = make.package(make.image(address=address), make.image(Role.NET, needs=needs))
    with pytest.raises(RevertedError, match=r"network core did not take net_core.*still waits.*runs 2\.0\.0"):
        run_update(device, package, tmp_path / "journal", deadlines=QUICK, console=console)
    assert version(device) == "2.0.0"
    assert not net_holds(device, package.images[1])
