"""Real runs over virtual devices, and then: which of them run an image? The answer is what the devices run."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.client import Client
from smpdfu.device_search import affected
from smpdfu.dfu.do.journal.reading import journal_path
from smpdfu.dfu.fleet.affected.answer import Affected, AffectedStatus, DeviceAnswer
from smpdfu.dfu.fleet.affected.boards import RunEvidence
from smpdfu.dfu.fleet.outcome import FleetOutcome
from smpdfu.dfu.fleet.reach import Reach
from smpdfu.dfu.fleet.schedule import Outcome
from smpdfu.dfu.fleet.session import FleetSession, FleetWish
from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.package import Package
from smpdfu.link.pipe import Pipe
from tests.dfu.dfu_device import (
    FAST,
    KilledError,
    LosingPipe,
    MortalJournal,
    new_device,
    run_update,
    update,
    version,
    wire_of,
)
from tests.dfu.test_dfu_fleet import dead
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker

NAMES = ("good", "reverted", "offline", "failed")
Wire = Callable[[Pipe], Pipe]


class Roofs:
    """A fleet of four devices and the packages of two releases; ``reverted`` has a hardware of its own."""

    def __init__(self, make: Maker, folder: Path) -> None:
        self.make, self.folder = make, folder
        self.devices = {name: new_device(make) for name in NAMES}
        self.wires: dict[str, Wire] = {}
        self.one = make.package(make.image(version="2.0.0"), make.image(Role.NET, version="2.0.0"))
        self.two = make.package(make.image(version="3.0.0", mark=3), make.image(Role.NET, version="3.0.0", mark=3))
        self.file = folder / "roofs.toml"
        self.write(self.one, self.one)

    def write(self, package: Package, other: Package) -> None:
        package.write(self.folder / "p.zip")
        other.write(self.folder / "other.zip")
        listed = "".join(
            f'[[device]]\nname = "{name}"\naddress = "virtual:{name}"\n'
            + ('hardware = "other"\n' if name == "reverted" else "")
            for name in NAMES
        )
        self.file.write_text(
            '[fleet]\nid = "roofs"\nat_once = 1\nwave_success = 0.0\n[update]\nboot_timeout_s = 1\n'
            f'[packages]\ndefault = "p.zip"\nother = "other.zip"\n{listed}'
        )

    def _client(
        self, address: str, *, timeout_s: float | None = None, transfer_timeout_s: float | None = None
    ) -> Client:
        name = address.partition(":")[2]
        pipe, framing = wire_of(self.devices[name])
        wire = self.wires.get(name)
        return Client(pipe if wire is None else wire(pipe), framing, timeout_s=0.2, attempts=2, patience=FAST)

    async def run(self) -> FleetOutcome:
        async def no_places(address: str) -> tuple[str, ...]:
            return ()

        session = FleetSession.open(self.file, Reach(self._client, str, no_places))
        return await session.run(FleetWish(go_on=True))

    async def both_releases(self) -> Mapping[str, Outcome]:
        """Release 1 reaches all devices, release 2 ``good``; the others revert, are silent, or lose their reset."""
        first = await self.run()
        assert set(first.outcomes.values()) == {Outcome.DONE}
        other = type(self.make)(self.make.encryption, self.make.key)
        self.write(self.two, other.package(other.image(version="3.0.0"), other.image(Role.NET, version="3.0.0")))
        self.devices["offline"] = dead(self.make)
        self.wires["failed"] = lambda wire: LosingPipe(wire, resets=99)
        return (await self.run()).outcomes


def hash_of(package: Package, part: str = "app") -> str:
    return next(image.hash.hex() for image in package.images if image.part == part and image.hash is not None)


def by_name(found: Affected) -> Mapping[str, DeviceAnswer]:
    return {one.device.name: one for one in found.devices}


def statuses(found: Affected) -> dict[str, AffectedStatus]:
    return {name: one.status for name, one in by_name(found).items()}


@pytest.fixture
def roofs(make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Roofs:
    monkeypatch.setenv("SMPDFU_STATE_HOME", str(tmp_path / "state"))
    return Roofs(make, tmp_path)


def test_each_release_is_where_it_runs(roofs: Roofs) -> None:
    """The device that lost its reset may run either: that is not known, and no "not affected"."""
    outcomes = simulate(roofs.both_releases())
    expected = (Outcome.DONE, Outcome.REVERTED, Outcome.UNREACHABLE, Outcome.INCOMPLETE)
    assert outcomes == dict(zip(NAMES, expected, strict=True))
    first = affected(hashes=[hash_of(roofs.one)])
    runs, unknown, was, never = AffectedStatus
    assert statuses(first) == dict(zip(NAMES, (was, runs, runs, unknown), strict=True))
    assert statuses(affected(hashes=[hash_of(roofs.two)])) == dict(
        zip(NAMES, (runs, never, never, unknown), strict=True)
    )
    assert statuses(affected(hashes=[hash_of(roofs.one, "net")])) == dict(
        zip(NAMES, (was, runs, runs, runs), strict=True)
    )
    assert statuses(affected(hashes=[hash_of(roofs.two, "net")])) == dict(
        zip(NAMES, (runs, never, never, never), strict=True)
    )
    assert version(roofs.devices["good"]) == "3.0.0"
    assert version(roofs.devices["reverted"]) == version(roofs.devices["failed"]) == "2.0.0"


def test_the_answer_says_since_when_and_with_which_evidence(roofs: Roofs) -> None:
    simulate(roofs.both_releases())
    found = by_name(affected(hashes=[hash_of(roofs.one)], fleets=[roofs.file]))
    offline, good = found["offline"], found["good"]
    (app, net), (ran,) = offline.now, good.past
    assert (app.part, app.image.version, app.evidence) == ("app", "2.0.0", RunEvidence.PROVEN)
    assert (net.part, net.image.hash, net.evidence) == ("net", hash_of(roofs.one, "net"), RunEvidence.PROVEN)
    assert (ran.part, ran.image.hash) == ("app", hash_of(roofs.one))
    assert offline.seen is not None
    assert good.seen is not None
    assert app.since <= offline.seen < good.seen
    assert ran.since < ran.until <= good.seen
    assert (good.device.fleets, good.device.address) == (("roofs",), "virtual:good")


@pytest.mark.parametrize("digits", [8, 20, 64])
@pytest.mark.parametrize("of", ["hash", "file", "package"])
def test_a_hash_may_be_of_the_image_its_file_or_the_package(roofs: Roofs, digits: int, of: str) -> None:
    simulate(roofs.both_releases())
    app = next(image for image in roofs.two.images if image.part == "app")
    whole = {"hash": hash_of(roofs.two), "file": hashlib.sha256(app.data).hexdigest(), "package": roofs.two.digest}[of]
    found = affected(hashes=[whole[:digits].upper()])
    assert [one.device.name for one in found.of(AffectedStatus.AFFECTED)] == ["good"]


def test_an_update_of_one_device_and_what_ran_before_are_known_by_its_journal(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMPDFU_STATE_HOME", str(tmp_path))
    package = make.package(make.image(version="2.0.0"))
    device = new_device(make)
    before = device.running
    assert before is not None
    assert before.hash is not None
    run_update(device, package, journal_path("virtual:desk"))
    assert [one.status for one in affected(hashes=[hash_of(package)]).devices] == [AffectedStatus.AFFECTED]
    (answer,) = affected(hashes=[before.hash.hex()]).devices
    assert (answer.status, answer.evidence) == (AffectedStatus.WAS_AFFECTED, RunEvidence.PROVEN)
    assert answer.past[0].until <= time.time()


@pytest.mark.parametrize("life", range(1, 22))
@pytest.mark.parametrize("written", [True, False])
def test_a_run_that_was_killed_anywhere_never_hides_what_the_device_runs(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, life: int, *, written: bool
) -> None:
    """Whichever of the two versions the device runs then: it is affected by that one, or not known."""
    monkeypatch.setenv("SMPDFU_STATE_HOME", str(tmp_path))
    package = make.package(make.image(version="2.0.0"))
    device = new_device(make)
    old = device.running
    assert old is not None
    assert old.hash is not None
    path = journal_path("virtual:desk")
    with MortalJournal(path) as journal:
        journal.life, journal.written = life, written
        with suppress(KilledError):
            simulate(update(device, package, journal))
    assert device.running is not None
    runs = device.running.hash
    assert runs is not None
    found = affected(hashes=[runs.hex()]).devices
    assert all(one.status in (AffectedStatus.AFFECTED, AffectedStatus.UNKNOWN) for one in found)
    device.reset()  # a trial that nobody confirmed ends here
    device.reset()
    assert device.running is not None
    assert device.running.hash is not None
    for one in affected(hashes=[device.running.hash.hex()]).devices:
        assert one.status in (AffectedStatus.AFFECTED, AffectedStatus.UNKNOWN)


def without_hashes(folder: Path) -> None:
    """Make the state as an older release wrote it."""
    for path in folder.rglob("*.jsonl"):
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        for entry in lines:
            for key in ("packages", "from_hash", "to_hash", "policy", "either", "images", "uploads_run", "runs"):
                entry.pop(key, None)
        path.write_text("".join(json.dumps(entry) + "\n" for entry in lines))


def test_devices_of_an_older_release_are_unknown_until_the_package_is_there(roofs: Roofs) -> None:
    simulate(roofs.both_releases())
    state = roofs.folder / "state"
    without_hashes(state)
    net = hash_of(roofs.two, "net")
    assert set(statuses(affected(hashes=[net])).values()) == {AffectedStatus.UNKNOWN}
    assert statuses(affected(hashes=[net], fleets=[roofs.file]))["good"] is AffectedStatus.AFFECTED
    for path in (state / "updates").glob("*.jsonl"):
        path.unlink()
    for digits in (net, hash_of(roofs.two), hash_of(roofs.one)):
        assert set(statuses(affected(hashes=[digits])).values()) == {AffectedStatus.UNKNOWN}


def test_a_device_of_the_file_that_was_never_updated_is_unknown(roofs: Roofs) -> None:
    found = affected(hashes=["ab" * 32], fleets=[roofs.file])
    assert found.counts == {"affected": 0, "unknown": 4, "was-affected": 0, "not-affected": 0}
    assert {one.reason for one in found.devices} == {"no update of it is recorded"}
