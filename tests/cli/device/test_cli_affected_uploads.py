"""``affected`` knows the images that ``upload`` has a device run, and an ``update`` behind that is as without it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from smpdfu import ImageEvent, ImageStage, Package, StepBegun, Wanted, affected, install, install_image
from smpdfu.dfu.do.journal.reading import journal_path, read_record
from smpdfu.dfu.do.one_image import load_image
from smpdfu.dfu.fleet.affected.answer import AffectedStatus, DeviceAnswer
from smpdfu.dfu.fleet.affected.boards import RunEvidence
from smpdfu.dfu.package.images import Core
from smpdfu.image.keys.keys import generate
from smpdfu.virtual.store import names as store_names

if TYPE_CHECKING:
    from pathlib import Path

    from smpdfu import Event
    from tests.cli.device.conftest import Desk

RUNS, UNKNOWN, WAS, NEVER = AffectedStatus


class StoppedError(Exception):
    """The call is stopped."""


def digits(path: Path) -> str:
    found = load_image(path).hash
    assert found is not None
    return found.hex()


def answer(path: Path) -> DeviceAnswer:
    """That for the image in a file, of the one device that is known."""
    (found,) = affected(hashes=[digits(path)]).devices
    return found


def status(path: Path) -> AffectedStatus:
    return answer(path).status


def updated(desk: Desk) -> None:
    """A fleet of this device gets release 2."""
    file = desk.folder / "roofs.toml"
    file.write_text(
        f'[fleet]\nid = "roofs"\n[packages]\ndefault = "{desk.package().name}"\n'
        f'[[device]]\nname = "desk"\naddress = "{desk.address}"\n'
    )
    assert desk.run("fleet", "run", file).code == 0


def test_an_upload_behind_an_update_is_what_runs(desk: Desk) -> None:
    updated(desk)
    one, two, other = desk.image(version="1.0.0"), desk.image(), desk.image(version="3.0.0")
    assert (status(two), status(one)) == (RUNS, WAS)
    assert desk.call("upload", one, "--confirm").code == 0
    assert (status(two), status(one)) == (WAS, RUNS)
    assert answer(one).evidence is RunEvidence.PROVEN
    assert desk.call("upload", other, "--confirm").code == 0
    assert (status(two), status(one), status(other)) == (WAS, WAS, RUNS)
    assert desk.call("update", desk.package(), "--again").code == 0
    assert (status(two), status(other)) == (RUNS, WAS)


def test_a_device_that_only_got_uploads_is_known(desk: Desk) -> None:
    two = desk.image()
    one = desk.image(version="1.0.0")
    asyncio.run(install_image(desk.address, two))
    assert (status(two), status(one)) == (RUNS, WAS)
    found = answer(two)
    assert (found.now[0].image.version, found.device.name) == ("2.0.0", desk.address)
    assert found.chip


@pytest.mark.parametrize(
    ("stage", "expected"),
    [(ImageStage.SENDING, (RUNS, NEVER)), (ImageStage.SENT, (RUNS, NEVER)), (ImageStage.STEPS, (UNKNOWN, UNKNOWN))],
)
def test_an_upload_that_was_stopped_is_either_from_the_mark_on(
    desk: Desk, stage: ImageStage, expected: tuple[AffectedStatus, AffectedStatus]
) -> None:
    updated(desk)
    new, two = desk.image(version="3.0.0"), desk.image()

    def watch(event: ImageEvent) -> None:
        if event is stage:
            raise StoppedError

    with pytest.raises(StoppedError):
        asyncio.run(install_image(desk.address, new, watch=watch))
    assert (status(two), status(new)) == expected
    assert desk.call("upload", new, "--confirm").code == 0
    assert (status(new), status(two)) == (RUNS, WAS)


def test_a_killed_upload_that_goes_on_is_settled(desk: Desk) -> None:
    """It ran already when its end was not on the disk."""
    new = desk.image()
    asyncio.run(install_image(desk.address, new))
    path = journal_path(desk.address)
    path.write_bytes(path.read_bytes()[:-9])
    assert status(new) is UNKNOWN
    again = asyncio.run(install_image(desk.address, new))
    assert not again.changed
    assert status(new) is RUNS


def test_a_mark_for_a_test_may_start_it_and_an_upload_alone_does_not(desk: Desk) -> None:
    updated(desk)
    new, two = desk.image(version="3.0.0"), desk.image()
    before = journal_path(desk.address).read_bytes()
    assert desk.call("upload", new).code == 0
    assert journal_path(desk.address).read_bytes() == before
    assert status(two) is RUNS
    assert desk.call("upload", new, "--test").code == 0
    assert (status(new), status(two)) == (UNKNOWN, UNKNOWN)


def test_a_device_that_went_back_runs_what_it_ran(desk: Desk) -> None:
    updated(desk)
    bad, two = desk.image(version="3.0.0", key=generate("ecdsa-p256")), desk.image()
    assert desk.call("upload", bad, "--confirm", "--force").code == 7
    assert (status(bad), status(two)) == (NEVER, RUNS)


def test_the_network_core_got_another_image(desk: Desk) -> None:
    updated(desk)
    two, new = desk.image(Core.NET), desk.image(Core.NET, "3.0.0")
    done = desk.json("upload", new, "--confirm")
    assert desk.net_holds("3.0.0")
    found = answer(new)
    assert found.status is RUNS
    assert (found.evidence is RunEvidence.PROVEN) == done["proven"]
    assert status(two) is (WAS if done["proven"] else UNKNOWN)
    assert status(desk.image()) is RUNS


def interrupted(desk: Desk) -> Path:
    """A package of which the application is installed, and the network core's image is not sent."""
    package = desk.package()

    def watch(event: Event) -> None:
        if isinstance(event, StepBegun) and event.step.name == "upload net":
            raise StoppedError

    with pytest.raises(StoppedError):
        asyncio.run(install(desk.address, package, watch=watch))
    return package


def test_an_update_goes_on_behind_an_upload_as_without_its_lines(desk: Desk) -> None:
    package, path, new = interrupted(desk), journal_path(desk.address), desk.image(version="3.0.0")
    before, record = path.read_bytes(), read_record(path)
    assert desk.call("upload", new, "--confirm").code == 0
    noted = path.read_bytes()
    assert noted.startswith(before)
    assert [set(json.loads(line)) for line in noted[len(before) :].splitlines()] == [{"upload", "time"}] * 2
    assert read_record(path) == record
    assert record.of(Package.load(package).digest).unfinished
    assert (status(new), status(desk.image())) == (RUNS, WAS)
    planned = desk.json("update", package, "--plan")
    path.write_bytes(before)
    assert desk.json("update", package, "--plan")["steps"] == planned["steps"]
    path.write_bytes(noted)
    assert desk.call("update", package, "--resume").code == 0
    assert desk.net_holds("2.0.0")
    assert (status(new), status(desk.image()), status(desk.image(Core.NET))) == (WAS, RUNS, RUNS)


def test_an_update_that_stops_behind_an_upload_leaves_what_that_installed(desk: Desk) -> None:
    package, new = interrupted(desk), desk.image(version="3.0.0")
    assert desk.call("upload", new, "--confirm").code == 0

    def watch(event: Event) -> None:
        if isinstance(event, StepBegun) and event.step.name == "reset app":
            raise StoppedError

    with pytest.raises(StoppedError):
        asyncio.run(install(desk.address, package, watch=watch))
    assert (status(new), status(desk.image())) == (UNKNOWN, UNKNOWN)


def test_an_upload_is_not_stopped_by_a_journal_that_cannot_be_written(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMPDFU_VIRTUAL_HOME", str(store_names.home()))
    path = journal_path(desk.address)
    path.mkdir(parents=True)
    ended = desk.call("upload", desk.image(), "--confirm")
    assert ended.code == 0
    assert ended.err.count("smpdfu does not note this upload") == 1
    assert str(path) in ended.err
    assert (0, "2.0.0", "active confirmed") in desk.slots()


def test_an_upload_alone_makes_no_journal(desk: Desk) -> None:
    asyncio.run(install_image(desk.address, desk.image(), wanted=Wanted()))
    assert not journal_path(desk.address).exists()


def test_a_mark_by_its_hash_is_known_and_a_confirmation_settles_it(desk: Desk) -> None:
    updated(desk)
    new, two, net = desk.image(version="3.0.0"), desk.image(), desk.image(Core.NET)
    assert desk.call("upload", new).code == 0
    assert (status(new), status(two)) == (NEVER, RUNS)
    assert desk.call("test", digits(new)).code == 0
    assert (status(new), status(two), status(net)) == (UNKNOWN, UNKNOWN, UNKNOWN)
    assert desk.call("reset").code == 0
    assert desk.call("confirm").code == 0
    assert (status(new), answer(new).evidence) == (RUNS, RunEvidence.PROVEN)
    assert (status(two), status(net)) == (WAS, RUNS)
    assert desk.call("confirm").code == 0
    assert (status(new), status(two), status(net)) == (RUNS, WAS, RUNS)


def test_a_test_that_was_not_confirmed_is_either(desk: Desk) -> None:
    """Nobody says which image runs after the next reset, and a network core would keep it."""
    updated(desk)
    new, two = desk.image(version="3.0.0"), desk.image()
    assert desk.call("upload", new).code == 0
    assert desk.call("test", digits(new)).code == 0
    assert desk.call("reset").code == 0
    assert desk.call("reset").code == 0
    assert desk.call("confirm").code == 0
    assert (status(new), status(two)) == (UNKNOWN, RUNS)


def test_an_image_that_becomes_permanent_by_its_hash_is_known(desk: Desk) -> None:
    new = desk.image(version="3.0.0")
    assert desk.call("upload", new).code == 0
    assert desk.call("confirm", digits(new)).code == 0
    assert status(new) is UNKNOWN
    assert desk.call("reset").code == 0
    assert desk.call("confirm").code == 0
    assert status(new) is RUNS


def test_a_network_image_that_is_marked_by_its_hash_is_not_forgotten(desk: Desk) -> None:
    updated(desk)
    new, two = desk.image(Core.NET, "3.0.0"), desk.image(Core.NET)
    assert desk.call("upload", new).code == 0
    assert desk.call("test", digits(new)).code == 0
    assert desk.call("reset").code == 0
    assert desk.net_holds("3.0.0")
    assert desk.call("confirm").code == 0
    assert (status(new), status(two), status(desk.image())) == (UNKNOWN, UNKNOWN, RUNS)


def test_serial_recovery_replaces_what_runs(desk: Desk) -> None:
    """The bootloader lists the image, and nobody has seen it run; of a network image it does not even tell that."""
    updated(desk)
    one, two = desk.image(version="1.0.0"), desk.image()
    net_one, net_two = desk.image(Core.NET, "1.0.0"), desk.image(Core.NET)
    assert desk.call("reset", "--boot-mode", 1, "--no-wait").code == 0
    assert desk.call("upload", one, "--recovery").code == 0
    assert (status(one), answer(one).evidence, status(two)) == (RUNS, RunEvidence.UNPROVEN, UNKNOWN)
    assert (status(net_two), status(net_one)) == (RUNS, NEVER)
    assert desk.call("upload", net_one, "--recovery").code == 0
    assert (status(net_two), status(net_one)) == (UNKNOWN, UNKNOWN)
