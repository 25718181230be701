"""Images that one of the bootloaders does not take, and devices that cannot go back or cannot tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.dfu.decide.checks.refusals import not_run
from smpdfu.dfu.decide.device_state import DeviceState, Past
from smpdfu.dfu.decide.record import REVERTED
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.journal.reading import read_record
from smpdfu.dfu.do.state_reading import read_state
from smpdfu.dfu.do.update import Event, StepDone, Update, Wish, decide
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.errors import DeviceError, LinkLostError, RevertedError, StepError
from smpdfu.image.keys.keys import generate
from smpdfu.image.trailer import SwapMode
from smpdfu.loaders.rules import Loader
from smpdfu.smp.groups.image import Erase, ImageSlot, ImageUpload
from smpdfu.smp.message import Request
from smpdfu.virtual.boot.bootloader import BootOptions
from smpdfu.virtual.device import VirtualNrf5340
from tests.simulated import now, simulate

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from smpdfu.client import Client
    from tests.dfu.conftest import Maker, State
    from tests.dfu.dfu_device import (
        OVERWRITES,
        SHORT,
        SWAPS,
        client_of,
        net_holds,
        new_device,
        run_update,
        update,
        version,
    )
else:
    from dfu_device import OVERWRITES, SHORT, SWAPS, client_of, net_holds, new_device, run_update, update, version


def refused_net(make: Maker, why: str) -> PackageImage:
    """A network image that MCUboot refuses, which only the boot shows."""
    if why == "wrong key":
        return type(make)(generate("ecdsa-p256"), make.encryption).image(Role.NET)
    data = bytearray(make.data(Core.NET))
    data[-3] ^= 1
    return PackageImage.from_bytes(bytes(data), "net_core_update.bin", {"load_address": 0x0100_8800})


WHY = pytest.mark.parametrize("why", ["wrong key", "damaged"])


@WHY
def test_a_refused_network_image_is_told(make: Maker, tmp_path: Path, why: str) -> None:
    device, net = new_device(make, SWAPS), refused_net(make, why)
    with pytest.raises(RevertedError, match=r"did not take net_core_update\.bin.*keeps its firmware.*runs 2\.0\.0"):
        run_update(device, make.package(make.image(), net), tmp_path / "journal")
    assert read_record(tmp_path / "journal").end == REVERTED
    assert not net_holds(device, net)
    run_update(device, make.package(), tmp_path / "journal")
    assert net_holds(device, make.image(Role.NET))


@WHY
def test_where_a_refusal_cannot_be_seen_nothing_is_said_to_be_proven(make: Maker, tmp_path: Path, why: str) -> None:
    device, net = new_device(make, OVERWRITES), refused_net(make, why)
    events = run_update(device, make.package(make.image(), net), tmp_path / "journal")
    assert [event.step.name for event in events if isinstance(event, StepDone) and not event.proven] == ["check net"]
    assert not net_holds(device, net)


@pytest.mark.parametrize("mode", [SWAPS, OVERWRITES])
def test_a_network_core_that_does_not_take_its_image(make: Maker, tmp_path: Path, mode: SwapMode) -> None:
    """b0n wants a seal of its own, which the image has not: MCUboot of NCS 3.2 tries it again at each boot."""
    options = BootOptions(loader=Loader.from_name("3.2/pm"))
    device = new_device(make, mode, net_keys=(generate("ecdsa-p256").public,), options=options)
    package = make.package()
    for _ in range(2):
        with pytest.raises(RevertedError, match=r"the network core did not take net_core.*Each reset.*erase"):
            run_update(device, package, tmp_path / "journal")
        assert read_record(tmp_path / "journal").end == REVERTED
        assert version(device) == "2.0.0"
    for request in (Erase(), ImageUpload(off=0, data=package.images[1].data[:64], len=64)):
        with pytest.raises(DeviceError, match="NO_FREE_SLOT"):
            simulate(ask(device, request))


async def ask(device: VirtualNrf5340, request: Request[Any]) -> object:
    async with client_of(device) as client:
        return await client.request(request)


def test_a_device_that_answers_as_before_is_not_waited_for_as_long_as_for_one_that_boots(
    make: Maker, tmp_path: Path
) -> None:
    options = BootOptions(loader=Loader.from_name("3.2/pm"))
    device = new_device(make, net_keys=(generate("ecdsa-p256").public,), options=options)
    deadlines = replace(SHORT, boot_s=600.0, settle_s=0.2)

    async def wait() -> float:
        began = now()
        with (
            Journal(tmp_path / "journal") as journal,
            pytest.raises(RevertedError, match="the network core did not take"),
        ):
            await update(device, make.package(), journal, deadlines=deadlines, console=False)
        return now() - began

    assert simulate(wait()) < 300


async def sick(client: Client) -> None:
    raise LinkLostError("the sensor does not answer")


def test_an_image_that_is_not_well_and_cannot_go_back(make: Maker, tmp_path: Path) -> None:
    """Called again, it is checked again: that it runs does not make it well."""
    device, package, path = new_device(make, OVERWRITES), make.package(), tmp_path / "journal"
    for _ in range(2):
        with pytest.raises(StepError, match=r"fails its check.*overwrites, so the device cannot go back"):
            run_update(device, package, path, health=sick)
        assert read_record(path).unfinished
        assert version(device) == "2.0.0"
    events = run_update(device, package, path)
    assert next(event.step.name for event in events if isinstance(event, StepDone)) == "check app"
    assert net_holds(device, package.images[1])


def test_another_board_on_the_same_port(make: Maker, tmp_path: Path) -> None:
    """It has the application of the update before, and an old network core: the journal is about another board."""
    package, path = make.package(), tmp_path / "journal"
    run_update(new_device(make, OVERWRITES), package, path)
    board = new_device(make, OVERWRITES)
    board.load_app(make.data())
    board.reset()
    run_update(board, package, path)
    assert net_holds(board, package.images[1])


def test_what_hangs_on_the_journal_is_told_and_can_be_done_again(make: Maker, tmp_path: Path) -> None:
    device, package, path = new_device(make), make.package(), tmp_path / "journal"
    run_update(device, package, path)
    device.load_net(make.data(Core.NET, version="1.0.0", mark=1))
    device.reset()
    record = read_record(path)
    state = simulate(look(device))
    assert decide(package, state, record).net_done_at == record.ended_at
    assert not decide(package, state, record).plan.steps
    again = decide(package, state, record, Wish(again=True))
    assert (again.plan.steps[0].name, again.net_done_at) == ("upload net", None)
    run_update(device, package, path, wish=Wish(again=True, force=True))
    assert net_holds(device, package.images[1])


async def look(device: VirtualNrf5340) -> DeviceState:
    async with client_of(device) as client:
        return await read_state(client)


def test_a_device_that_is_another_one_in_the_middle_keeps_its_network_core(make: Maker, tmp_path: Path) -> None:
    """Two boards change places on their ports: the one that answers now does not run the package's application."""
    device, package = new_device(make), make.package()

    async def change_places() -> None:
        with Journal(tmp_path / "journal") as journal:
            async with client_of(device) as client:
                job = Update(client, package, journal, deadlines=SHORT)

                def exchange(event: Event) -> None:
                    if isinstance(event, StepDone) and event.step.name == "confirm app":
                        device.load_app(make.data(version="1.0.0", mark=1))
                        device.reset()

                await job.run(await job.look(), exchange)

    with pytest.raises(StepError, match="it is another device") as caught:
        simulate(change_places())
    assert caught.value.resumable
    assert not net_holds(device, package.images[1])
    assert read_record(tmp_path / "journal").unfinished


# --- why, as far as the image tells ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "device", "cause"),
    [
        ({"signed": False}, {}, "the image is not signed"),
        ({"encrypted": True}, {}, "the image is encrypted for another key than the device's, or"),
        ({"address": 0x20200}, {}, "vector"),
        ({"version": "0.9.0"}, {"no_downgrade": True}, "the image is older than 1.0.0, and the bootloader refuses"),
        ({}, {"past": Past(key=bytes(32))}, "the image is signed with another key than the last update"),
        ({"counter": 1}, {"past": Past(counter=2)}, "the security counter is below 2"),
        ({}, {}, "the bootloader does not trust the key that signed the image"),
    ],
)
def test_the_likely_cause_comes_from_the_image(
    make: Maker, state: State, how: dict[str, Any], device: dict[str, Any], cause: str
) -> None:
    error = not_run(make.image(**how), state(**device))
    assert str(error).startswith("the bootloader did not take app_update.bin and erased it; the device runs 1.0.0")
    assert cause in str(error).partition(". Likely cause: ")[2]
    assert error.ran is False


def test_an_image_that_is_still_listed_may_have_run(make: Maker, state: State) -> None:
    image = make.image()
    there = ImageSlot(slot=1, version="2.0.0", hash=image.hash)
    error = not_run(image, state(*state().slots, there))
    assert "was tried and did not last" in str(error)
    assert error.ran is None
