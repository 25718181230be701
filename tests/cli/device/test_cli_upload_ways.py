"""``upload`` on devices that take no test, do not tell how they update, or have more than one place for an image."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from smpdfu.connect import client_for
from smpdfu.dfu.decide.one_image import Wanted
from smpdfu.dfu.do.one_image_steps import bring_to_run, find_job
from smpdfu.dfu.do.state_reading import read_state
from smpdfu.dfu.do.steps import Deadlines, StepRunner
from smpdfu.dfu.package.images import Core, PackageImage
from smpdfu.errors import RevertedError
from smpdfu.image.format import Version
from smpdfu.image.signing.build import ImageSpec, build, lay_out
from smpdfu.smp.groups.image import ImageSlot
from smpdfu.smp.message import MgmtRc
from smpdfu.virtual.server.groups import image as image_group
from smpdfu.virtual.server.groups.os import OsGroup
from smpdfu.virtual.server.server import Refused
from smpdfu.virtual.server.slot_content import Content
from smpdfu.virtual.store import devices as store_devices

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.cli.conftest import Outcome
    from tests.cli.device.conftest import Desk
    from tests.cli.device.model_servers import TwoSlots, served
else:
    from model_servers import TwoSlots, served

RUNS_1, RUNS_2 = (0, "1.0.0", "active confirmed"), (0, "2.0.0", "active confirmed")
RAM_LOAD, DIRECT_XIP = 6, 4


# --- no bootloader info, as in most builds ---------------------------------------------------------------------------


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Applications have no ``os bootloader info``."""

    def refuse(self: OsGroup, request: object) -> NoReturn:
        raise Refused(MgmtRc.ENOTSUP)

    monkeypatch.setattr(OsGroup, "on_bootloader_info", refuse)


@pytest.mark.usefixtures("silent")
def test_a_device_that_does_not_tell_gets_a_trial_and_shows_that_it_can_go_back(desk: Desk) -> None:
    done = desk.call("upload", desk.image(), "--confirm", "--json")
    said = json.loads(done.out)
    assert (said["running"], said["reverts"]) == (True, True)
    before, _, _ = done.err.partition("100")
    assert "on trial: the device restarts" in before
    assert "does not tell how its bootloader updates: if that overwrites, the image cannot be rolled back" in done.err
    assert "will be permanent" not in done.err
    assert desk.slots()[0] == RUNS_2
    assert "Swap type: test" in "".join(store_devices.read_log(desk.name))


@pytest.mark.usefixtures("silent")
def test_a_device_that_does_not_tell_may_overwrite(overwriting: Desk) -> None:
    done = overwriting.call("upload", overwriting.image(), "--confirm")
    assert done.code == 0
    assert "the bootloader overwrites, so there was no trial" in done.out
    assert overwriting.json("upload", overwriting.image(version="3.0.0"), "--confirm")["reverts"] is False
    assert overwriting.slots()[0] == (0, "3.0.0", "active confirmed")


@pytest.mark.usefixtures("silent")
def test_a_trial_that_the_bootloader_refuses_ends_with_the_old_image(desk: Desk) -> None:
    from smpdfu.image.keys.keys import generate

    refused = desk.call("upload", desk.image(key=generate("ecdsa-p256")), "--confirm")
    assert refused.code == 7
    assert desk.slots()[0] == RUNS_1


@pytest.mark.usefixtures("silent")
def test_a_network_image_of_such_a_device_is_only_tested(desk: Desk) -> None:
    assert desk.json("upload", desk.image(Core.NET), "--confirm")["running"] is False
    assert desk.net_holds("2.0.0")
    assert "Swap type: perm" not in "".join(store_devices.read_log(desk.name))


# --- the higher version boots ----------------------------------------------------------------------------------------


@pytest.fixture(params=[RAM_LOAD, DIRECT_XIP, None], ids=["RAM load", "direct XIP", "does not tell"])
def higher(desk: Desk, request: pytest.FixtureRequest) -> Iterator[tuple[TwoSlots, str]]:
    model = TwoSlots({0: desk.data(version="1.0.0")}, mode=request.param)
    with served(model) as address:
        yield model, address


def call(desk: Desk, address: str, *words: object) -> Outcome:
    return desk.run("upload", *words, "--to", address)


def test_confirm_is_told_before_and_done_by_the_version(desk: Desk, higher: tuple[TwoSlots, str]) -> None:
    model, address = higher
    where: dict[str, Any] = {"ram": 0x2001_0000, "address": 0x2001_0200} if model.mode == RAM_LOAD else {}
    for version, slot in (("2.0.0", 1), ("3.0.0", 0), ("3.0.1", 1)):
        done = call(desk, address, desk.image(version=version, **where), "--confirm", "--json")
        assert done.code == 0, done.err
        assert "it starts the higher version at the next reset. After the upload the device restarts" in done.err
        said = json.loads(done.out)
        assert (said["running"], said["proven"], said["slot"], said["marked"]) == (True, True, slot, None)
        assert model.running == slot
    assert model.marks == 0


def test_confirm_of_a_version_that_would_not_boot_writes_nothing(desk: Desk, higher: tuple[TwoSlots, str]) -> None:
    model, address = higher
    for version in ("0.9.0", "1.0.0+7"):
        refused = call(desk, address, desk.image(version=version, mark=7), "--confirm")
        assert refused.code == 6
        assert "starts the highest version. 1.0.0 runs" in refused.sentence
        assert "nothing was written" in refused.sentence
    assert model.uploads == 0


def test_an_image_that_the_bootloader_does_not_start_is_no_success(desk: Desk, higher: tuple[TwoSlots, str]) -> None:
    model, address = higher
    model.refuses = True
    image = PackageImage.from_bytes(desk.data(), "new.bin")

    async def act() -> None:
        async with client_for(address) as client:
            state = await read_state(client)
            job = await find_job(client, image, state, Wanted(confirm=True))
            await client.upload(image.data, job.number)
            await bring_to_run(StepRunner(client, Deadlines(poll_s=0.01, settle_s=0.1)), image, state, job)

    with pytest.raises(RevertedError, match=r"the device runs 1\.0\.0"):
        asyncio.run(act())


def test_what_runs_already_is_not_sent(desk: Desk, higher: tuple[TwoSlots, str]) -> None:
    model, address = higher
    done = call(desk, address, desk.image(version="1.0.0"), "--confirm")
    assert (done.code, "runs already, confirmed" in done.out) == (0, True)
    assert model.uploads == 0


def test_there_is_no_test(desk: Desk, higher: tuple[TwoSlots, str]) -> None:
    model, address = higher
    refused = call(desk, address, desk.image(), "--test")
    assert refused.code == 6
    assert "cannot try an image: nothing was written. An installation without a test" in refused.sentence
    assert "`smpdfu upload FILE --confirm`" in refused.err
    assert model.uploads == 0


@pytest.mark.parametrize("running", [0, 1])
def test_only_what_works_is_advised_and_the_slot_is_the_real_one(
    desk: Desk, higher: tuple[TwoSlots, str], running: int
) -> None:
    model, address = higher
    model.slots, model.running = {running: desk.data(version="1.0.0")}, running
    done = call(desk, address, desk.image())
    assert (done.code, "smpdfu test" in done.out) == (0, False)
    assert f"image 0 slot {1 - running}" in done.out
    assert ("`smpdfu reset` starts it" in done.out) == (model.mode is not None or running == 1)
    lower = call(desk, address, desk.image(version="0.5.0"), "--json")
    assert json.loads(lower.out)["slot"] == 1 - running
    assert sorted(model.slots) == [0, 1]


# --- an image pair for each core -------------------------------------------------------------------------------------


def test_a_network_image_finds_its_own_pair(two_pairs: Desk) -> None:
    said = two_pairs.json("upload", two_pairs.image(Core.NET), "--confirm")
    assert said["image"] == 1
    assert two_pairs.net_holds("2.0.0")
    assert two_pairs.slots()[0] == RUNS_1


@pytest.mark.parametrize(("core", "number", "right"), [(Core.NET, 0, "Use -n 1."), (Core.APP, 1, "Use -n 0.")])
@pytest.mark.parametrize("how", [(), ("--test",), ("--confirm",), ("--test", "--force")], ids=" ".join)
def test_the_wrong_pair_is_refused_with_the_right_number(
    two_pairs: Desk, core: Core, number: int, right: str, how: tuple[str, ...]
) -> None:
    before = two_pairs.flash()
    refused = two_pairs.call("upload", two_pairs.image(core), "-n", number, *how)
    assert refused.code == 6
    assert right in refused.err
    assert "nothing was written" in refused.sentence
    assert two_pairs.flash() == before


@pytest.mark.parametrize("core", list(Core))
def test_an_encrypted_image_may_show_no_core_so_its_pair_must_be_named(two_pairs: Desk, core: Core) -> None:
    path = two_pairs.folder / "encrypted.bin"
    spec = ImageSpec(Version(2), header_size=0x200, slot_size=0, pad_header=True)
    code = two_pairs.data(core)[0x200:3200]
    path.write_bytes(build(spec, code, two_pairs.key, two_pairs.encryption.public).to_bytes())
    refused = two_pairs.call("upload", path, "--test")
    assert refused.code == 6
    assert "Choose image 0 for the application, image 1 for the network core" in refused.sentence
    assert "Use -n 0 or -n 1." in refused.err
    number = int(core is Core.NET)
    assert two_pairs.json("upload", path, "-n", number)["image"] == number
    assert two_pairs.json("upload", two_pairs.image(core, encrypted=True))["image"] == number, "its header tells"


def test_both_cores_can_be_marked_one_after_the_other(two_pairs: Desk) -> None:
    two_pairs.json("upload", two_pairs.image(Core.NET), "--test")
    assert two_pairs.json("upload", two_pairs.image(), "--confirm")["running"]
    assert two_pairs.net_holds("2.0.0")


# --- what is there already -------------------------------------------------------------------------------------------


def test_test_of_what_runs_writes_nothing(desk: Desk) -> None:
    desk.json("upload", desk.image())
    before = desk.slots()
    said = desk.json("upload", desk.image(version="1.0.0"), "--test")
    assert (said["bytes"], said["running"]) == (0, True)
    assert desk.slots() == before
    assert "runs already, confirmed" in desk.call("upload", desk.image(version="1.0.0"), "--test").out
    desk.json("test")
    desk.json("reset")
    again = desk.call("upload", desk.image(), "--test")
    assert (again.code, "runs already, on trial; `smpdfu confirm` keeps it" in again.out) == (0, True)
    assert desk.slots()[0] == (0, "2.0.0", "active")


@pytest.mark.parametrize("how", ["--confirm", "--test"])
@pytest.mark.parametrize("mark", ["test", "confirm"])
@pytest.mark.parametrize("version", ["1.0.0", "3.0.0"])
def test_nothing_is_promised_while_another_image_boots_next(desk: Desk, how: str, mark: str, version: str) -> None:
    desk.json("upload", desk.image())
    desk.json(mark, desk.json("list")["images"][1]["hash"])
    before = desk.slots()
    for extra in ((), ("--force",)) if version == "1.0.0" else ((),):
        refused = desk.call("upload", desk.image(version=version), how, *extra)
        assert refused.code == 6
    assert "the image 2.0.0 waits in slot 1 for the next boot and would boot instead: nothing was" in refused.sentence
    assert desk.slots() == before


@pytest.mark.parametrize("how", [(), ("--test",), ("--confirm",)], ids=" ".join)
def test_a_damaged_image_is_not_sent(desk: Desk, how: tuple[str, ...]) -> None:
    path = desk.image(size=5000)
    data = bytearray(path.read_bytes())
    data[2000] ^= 1
    path.write_bytes(data)
    refused = desk.call("upload", path, *how)
    assert refused.code == 6
    assert "nothing was written" in refused.sentence
    assert desk.slots() == [RUNS_1]
    assert desk.call("upload", path, "--force").code == 0


def test_an_image_that_only_would_not_boot_may_be_sent(desk: Desk) -> None:
    """It is the file that counts where nothing is to boot: as before, it is a warning."""
    spec = ImageSpec(Version(2), header_size=0x200, slot_size=0, pad_header=True)
    path = desk.folder / "unsigned.bin"
    path.write_bytes(lay_out(build(spec, desk.data()[0x200:3200]), spec))
    done = desk.call("upload", path)
    assert (done.code, "is not signed" in done.err) == (0, True)


# --- a device that does not know its own slot -------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["upload"], ["upload", "--test"], ["upload", "--confirm"], ["erase"]])
def test_what_would_hit_the_running_firmware_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """zephyr#99762: an application that takes slot 1 for its own writes and erases slot 0, from which it runs."""
    desk.json("upload", desk.image(version="3.0.0"))
    right = image_group._line

    def line(image: int, slot: int, content: Content, flags: dict[str, bool]) -> ImageSlot:
        return right(image, slot, content, flags | {"active": slot == 1, "confirmed": slot == 1})

    before = desk.flash()
    monkeypatch.setattr(image_group, "_line", line)
    command, *how = arguments
    done = desk.call(command, *([desk.image()] if command == "upload" else []), *how)
    assert done.code == 6, done
    assert "slot 1 of image 0 as the running one, and its bootloader starts slot 0 only" in done.sentence
    assert "would overwrite what runs; nothing was written" in done.sentence
    assert desk.flash() == before
