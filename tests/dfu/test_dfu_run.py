"""Updates of virtual devices in memory: to the end, refused, reverted, and killed at every entry of the journal."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.client import Client
from smpdfu.dfu.decide.device_state import DeviceState, Past, Scheme
from smpdfu.dfu.decide.record import DONE, REVERTED
from smpdfu.dfu.decide.steps.rules import STAGED, Policy
from smpdfu.dfu.do import steps
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.journal.reading import read_record
from smpdfu.dfu.do.state_reading import read_state
from smpdfu.dfu.do.update import Progress, StepBegun, StepDone, Update, Wish, decide
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.errors import DeviceError, LinkError, LinkLostError, PlanError, RevertedError, SmpdfuError, StepError
from smpdfu.image.format import Image, TlvType
from smpdfu.image.keys.keys import generate
from smpdfu.image.trailer import SwapMode
from smpdfu.link.memory import Faults
from smpdfu.smp.groups.image import ImageSlot, StateReply
from smpdfu.smp.groups.os import BootloaderMode
from smpdfu.smp.groups.shell import ShellExecute
from smpdfu.smp.message import MgmtRc
from smpdfu.virtual.chip.layout import NRF5340DK_STAGED
from smpdfu.virtual.device import VirtualNrf5340
from tests.simulated import simulate

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.dfu.conftest import Maker
    from tests.dfu.dfu_device import (
        SHORT,
        KilledError,
        MortalJournal,
        client_of,
        net_holds,
        new_device,
        run_update,
        slots,
        update,
        version,
    )
else:
    from dfu_device import (
        SHORT,
        KilledError,
        MortalJournal,
        client_of,
        net_holds,
        new_device,
        run_update,
        slots,
        update,
        version,
    )

ALL = [step.name for step in STAGED]
NOTES = ("the bootloader's banner", "the network core took its image")


@pytest.fixture
def device(make: Maker) -> VirtualNrf5340:
    return new_device(make)


def test_both_cores(device: VirtualNrf5340, make: Maker, tmp_path: Path) -> None:
    package = make.package(make.image(size=30_000, encrypted=True), make.image(Role.NET, size=20_000))
    events = run_update(device, package, tmp_path / "journal")
    assert [event.step.name for event in events if isinstance(event, StepBegun)] == ALL
    assert [event.step.name for event in events if isinstance(event, StepDone)] == ALL
    assert [(event.number, event.total) for event in events if isinstance(event, StepBegun)][-1] == (9, 9)
    moves = [event for event in events if isinstance(event, Progress) and event.step.role is Role.APP]
    assert (moves[0].done, moves[-1].done, moves[-1].total) == (0, moves[-1].total, len(package.images[0].data))
    assert version(device) == "2.0.0"
    assert slots(device)[0].confirmed
    assert net_holds(device, package.images[1])
    assert device.net_core.running
    assert read_record(tmp_path / "journal").end == DONE


def test_a_second_call_has_nothing_to_do(device: VirtualNrf5340, make: Maker, tmp_path: Path) -> None:
    run_update(device, make.package(), tmp_path / "journal")
    written = (tmp_path / "journal").read_bytes()
    assert run_update(device, make.package(), tmp_path / "journal") == []
    assert (tmp_path / "journal").read_bytes().startswith(written)


def test_the_state_that_is_read(device: VirtualNrf5340) -> None:
    async def ask() -> DeviceState:
        async with client_of(device) as client:
            return await read_state(client)

    found = simulate(ask())
    assert found.running is not None
    assert (found.running.version, found.other, found.scheme) == ("1.0.0", None, Scheme.STAGED)
    assert (found.mode, found.board) == (BootloaderMode.SWAP_USING_MOVE, "nrf5340dk/nrf5340/cpuapp")
    assert not found.no_downgrade
    assert found.size_bytes(0) == found.size_bytes(1) == 0x7A000


def refused_image(make: Maker, why: str) -> PackageImage:
    """An application image that the bootloader does not take, and that only the boot shows."""
    if why == "wrong key":
        return type(make)(generate("ecdsa-p256"), make.encryption).image(version="2.0.0")
    if why == "other encryption":
        return type(make)(make.key, generate("ecdsa-p256")).image(version="2.0.0", encrypted=True)
    data = bytearray(make.data())
    data[0x280] ^= 1
    return PackageImage.from_bytes(bytes(data), "app_update.bin", {"load_address": 0xC200})


@pytest.mark.parametrize("why", ["wrong key", "other encryption", "flipped bit"])
def test_a_refused_image_leaves_the_old_firmware(device: VirtualNrf5340, make: Maker, tmp_path: Path, why: str) -> None:
    package = make.package(refused_image(make, why), make.image(Role.NET))
    old_net = device.net.read(NRF5340DK_STAGED.net.app.start, 1000)
    with pytest.raises(RevertedError, match=r"did not take app_update\.bin.*the device runs 1\.0\.0"):
        run_update(device, package, tmp_path / "journal")
    assert version(device) == "1.0.0"
    assert slots(device)[0].confirmed
    assert device.net.read(NRF5340DK_STAGED.net.app.start, 1000) == old_net
    assert read_record(tmp_path / "journal").end == REVERTED
    run_update(device, make.package(), tmp_path / "journal")
    assert version(device) == "2.0.0"


async def sick(client: Client) -> None:
    raise LinkLostError("the sensor does not answer")


def test_an_image_that_is_not_well_goes_back(device: VirtualNrf5340, make: Maker, tmp_path: Path) -> None:
    with pytest.raises(RevertedError, match=r"fails its check \(the sensor does not answer\); it was not confirmed"):
        run_update(device, make.package(), tmp_path / "journal", health=sick)
    assert version(device) == "1.0.0"
    assert slots(device)[0].confirmed
    assert read_record(tmp_path / "journal").end == REVERTED


def test_an_image_that_does_not_start_is_told_and_goes_back(
    device: VirtualNrf5340, make: Maker, tmp_path: Path
) -> None:
    """Encrypted, so that the bootloader cannot see for which core it is: it is tried, and the device is mute."""
    package = make.package(make.image(address=0x0100_8800, encrypted=True), make.image(Role.NET))
    with pytest.raises(StepError, match="switch it off and on") as caught:
        run_update(device, package, tmp_path / "journal", deadlines=SHORT)
    assert caught.value.resumable
    assert version(device) is None
    device.reset()
    assert version(device) == "1.0.0"
    with pytest.raises(RevertedError, match="was tried and did not last"):
        run_update(device, package, tmp_path / "journal")
    assert slots(device)[0].confirmed


@pytest.mark.parametrize(("resets", "written"), [(0, True), (1, True), (2, True), (0, False)])
def test_killed_at_every_entry_the_next_calls_finish(make: Maker, tmp_path: Path, resets: int, written: bool) -> None:
    """Whatever the journal saw last, and however often the device was switched off and on meanwhile."""
    package, path = make.package(), tmp_path / "journal"
    lives = 0
    while True:
        device = new_device(make)
        path.unlink(missing_ok=True)
        if not kill_at(lives, device, package, path, written=written):
            break
        lives += 1
        for _ in range(resets):
            device.reset()
        assert version(device) in ("1.0.0", "2.0.0")
        run_update(device, package, path)  # a trial that nobody watched begins anew
        assert version(device) == "2.0.0"
        assert net_holds(device, package.images[1])
        assert [slot.pending for slot in slots(device)] == [False, False]
        assert read_record(path).end == DONE
    assert lives == 1 + 2 * len(ALL) + 1 + len(NOTES)


def kill_at(entry: int, device: VirtualNrf5340, package: Package, path: Path, *, written: bool) -> bool:
    with MortalJournal(path) as journal:
        journal.life, journal.written = entry, written
        try:
            simulate(update(device, package, journal))
        except KilledError:
            return True
    return False


def test_a_cut_link_can_be_gone_on_with(make: Maker, tmp_path: Path) -> None:
    """Cut for good after more and more bytes, until one is not cut any more."""
    package, path, cuts = make.package(), tmp_path / "journal", 0
    while True:
        device = new_device(make)
        path.unlink(missing_ok=True)
        error = cut_update(device, package, path, 250 + 500 * cuts)
        if error is None:
            break
        cuts += 1
        # Before the first step nothing is to be gone on with: the link's own error tells.
        assert read_record(path).unfinished is isinstance(error, StepError)
        assert getattr(error, "resumable", True)
        assert version(device) in ("1.0.0", "2.0.0")
        run_update(device, package, path)
        assert version(device) == "2.0.0"
        assert net_holds(device, package.images[1])
    assert cuts > 10


def cut_update(device: VirtualNrf5340, package: Package, path: Path, after_bytes: int) -> SmpdfuError | None:
    try:
        cut = Faults(cut_after_bytes=after_bytes, reconnect=False)
        run_update(device, package, path, faults=cut, deadlines=SHORT)
    except (StepError, LinkError) as error:
        return error
    return None


def test_what_is_only_sent_is_no_past(device: VirtualNrf5340, make: Maker, tmp_path: Path) -> None:
    """What a bootloader takes shows only where it took something."""
    package, path = make.package(make.image(counter=9)), tmp_path / "journal"
    run_update(device, package, path, wish=Wish(Policy.UPLOAD_ONLY))
    assert read_record(path).past == {}
    assert version(device) == "1.0.0"
    run_update(device, package, path)
    assert Past.from_entry(read_record(path).past) == Past.of(package)


def test_a_mark_without_an_image_is_not_in_the_way(make: Maker, tmp_path: Path) -> None:
    """What a bootloader that overwrites leaves when it loses its power between two erases, and never removes."""
    device = new_device(make, SwapMode.OVERWRITE_ONLY)
    secondary = device.images[0].secondary
    secondary.set_pending(permanent=False, image=0)
    assert slots(device) == slots(device)[:1], "an empty slot"
    run_update(device, make.package(), tmp_path / "journal")
    assert version(device) == "2.0.0"
    data = make.data(version="3.0.0")
    secondary.area.program(0, data + bytes(-len(data) % 4))
    secondary.set_pending(permanent=False, image=0)
    with pytest.raises(DeviceError, match="NO_FREE_SLOT"):  # an image that does wait is left alone
        run_update(device, make.package(make.image(version="4.0.0")), tmp_path / "journal")


def test_force_does_not_get_past_everything(device: VirtualNrf5340, make: Maker, tmp_path: Path) -> None:
    image = make.image()
    bare = replace(image.image, unprotected=tuple(tlv for tlv in image.image.unprotected if tlv.type != TlvType.SHA256))
    package = make.package(replace(image, image=bare, data=bare.to_bytes()))
    with pytest.raises(PlanError) as caught:
        run_update(device, package, tmp_path / "journal", wish=Wish(force=True))
    assert caught.value.codes == ("no-hash",)
    device.enter_recovery()
    with pytest.raises(PlanError) as caught:
        run_update(device, make.package(), tmp_path / "journal", wish=Wish(force=True))
    assert caught.value.codes == ("recovery",)


# --- devices that lie -----------------------------------------------------------------------------------------------


class FakeClient:
    """Answers everything with a list of images that never changes, and never goes down."""

    boot_text = ""

    def __init__(self, *images: ImageSlot) -> None:
        self.images = images

    async def request(self, request: object) -> StateReply:
        if isinstance(request, ShellExecute):
            raise DeviceError(None, MgmtRc.ENOTSUP, request.title)
        return StateReply(self.images)

    async def reset(self, **_: object) -> bool:
        """It says yes."""
        return True

    async def wait_for_device(self, deadline_s: float) -> None:
        """It never was away."""


WANTED = hashlib.sha256(b"wanted").digest()
LIES = [
    (lambda client, state: steps.mark(client, state, WANTED), StepError, "accepted the mark"),
    (lambda client, state: steps.mark(client, state, WANTED, permanent=True), StepError, "accepted the mark"),
    (lambda client, state: steps.confirm(client, state, WANTED), RevertedError, "did not take the new image"),
    (lambda client, state: steps.confirm(client, state, b"\x11" * 32), StepError, "accepted the confirmation"),
    (lambda client, state: steps.restart(client, state, SHORT), StepError, "did not restart"),
]


@pytest.mark.parametrize(("lie", "error", "words"), LIES)
def test_what_a_device_says_is_checked(lie: Any, error: type[Exception], words: str) -> None:
    images = (
        ImageSlot(slot=0, version="1.0.0", hash=b"\x11" * 32, active=True),
        ImageSlot(slot=1, version="2.0.0", hash=WANTED),
        ImageSlot(slot=1, version="3.0.0", hash=b"\x33" * 32, pending=True),
    )
    with pytest.raises(error, match=words):
        simulate(lie(FakeClient(*images), DeviceState(images)))


class FakeTurncoat(FakeClient):
    """Runs another application after a reset."""

    name = "turncoat"

    async def reset(self, **_: object) -> bool:
        self.images = (ImageSlot(slot=0, version="9.0.0", hash=b"\x99" * 32, active=True, confirmed=True),)
        return True


def test_a_network_image_that_went_to_the_application_core_is_seen(make: Maker, tmp_path: Path) -> None:
    images = (
        ImageSlot(slot=0, version="1.0.0", hash=b"\x11" * 32, active=True, confirmed=True),
        ImageSlot(slot=1, version="2.0.0", hash=make.image(Role.NET).hash, pending=True),
    )
    package = make.package(make.image(Role.NET))

    async def do() -> None:
        with Journal(tmp_path / "journal") as journal:
            client: Any = FakeTurncoat(*images)
            job = Update(client, package, journal, deadlines=SHORT)
            decision = decide(package, DeviceState(images), journal.record, Wish(scheme=Scheme.STAGED))
            assert [step.name for step in decision.plan.steps] == ["reset net", "check net"]
            await job.run(decision)

    with pytest.raises(StepError, match="runs another image than before") as caught:
        simulate(do())
    assert not caught.value.resumable


def test_images_are_what_they_say(make: Maker) -> None:
    """The samples of these tests are what the virtual bootloader judges: real images."""
    assert Image.from_bytes(make.data()).to_bytes() == make.data()
