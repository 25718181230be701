"""A fleet in which boards are exchanged: an outcome belongs to the chip that told its number."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.connect import places_by_lookup
from smpdfu.dfu.do.journal.device_lock import locked
from smpdfu.dfu.package.images import Core
from smpdfu.fleets import open_fleet
from smpdfu.image.keys.keys import generate
from smpdfu.virtual.store import devices as store_devices
from tests.cli.device.conftest import Desk, new_desk

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PrivateKey
    from tests.cli.conftest import Call

ONE, OTHER = "0011223344556677", "8899aabbccddeeff"


class Roof:
    """A fleet of the device ``a``, at whose address another board can be put."""

    def __init__(self, smpdfu: Call, folder: Path, keys: tuple[PrivateKey, PrivateKey]) -> None:
        self.run, self.desk, self.file = smpdfu, Desk(smpdfu, "a", folder, *keys), folder / "roofs.toml"
        self.desk.package(cores=(Core.APP,)).rename(folder / "dfu_application.zip")
        self.file.write_text(
            '[packages]\ndefault = "dfu_application.zip"\n[[device]]\nname = "a"\naddress = "virtual:a"\n'
        )

    def put(self, number: str | None) -> None:
        """A board that runs 1.0.0, whose firmware tells this number."""
        if self.desk.name in store_devices.list_devices():
            store_devices.delete(self.desk.name)
        new_desk(self.desk, "nrf5340dk-staged")
        recipe = store_devices.home() / self.desk.name / "device.json"
        recipe.write_text(json.dumps(json.loads(recipe.read_text()) | {"device_id": number}))

    def events(self) -> list[dict[str, Any]]:
        done = self.run("fleet", "run", self.file, "--events")
        assert done.code == 0, done.err
        return [json.loads(line) for line in done.out.splitlines()]

    def runs(self) -> str:
        return self.desk.slots()[0][1]


@pytest.fixture
def roof(smpdfu: Call, tmp_path: Path, trusted: tuple[PrivateKey, PrivateKey]) -> Roof:
    return Roof(smpdfu, tmp_path, trusted)


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events if event["event"] != "step"]


def test_an_exchanged_board_is_asked_anew(roof: Roof) -> None:
    roof.put(ONE)
    (end,) = [event for event in roof.events() if event["event"] == "end"]
    assert (end["outcome"], end["chip"]) == ("done", ONE)
    assert kinds(roof.events()) == ["run", "leave"], "the same board is not touched again"
    roof.put(OTHER)
    assert roof.run("fleet", "status", roof.file, "--json").document["counts"] == {"done": 1}
    events = roof.events()
    (found,) = [event for event in events if event["event"] == "exchanged"]
    assert (found["device"], found["chip"], found["before"]) == ("a", OTHER, ONE)
    assert [event["outcome"] for event in events if event["event"] == "end"] == ["done"]
    assert roof.runs() == "2.0.0"
    assert kinds(roof.events()) == ["run", "leave"]


def test_what_is_there_counts_also_where_nothing_was_done(roof: Roof) -> None:
    """A board that had the package, was refused or reverted has told its number, too."""
    roof.put(ONE)
    roof.desk.call("update", roof.file.with_name("dfu_application.zip"))
    (end,) = [event for event in roof.events() if event["event"] == "end"]
    assert (end["outcome"], end["chip"]) == ("current", ONE)
    roof.put(OTHER)
    done = roof.run("fleet", "run", roof.file)
    assert "another board is at virtual:a than before; smpdfu updates it" in done.err
    assert roof.runs() == "2.0.0"


@pytest.mark.parametrize(("first", "second"), [(None, OTHER), (ONE, None), (None, None)])
def test_what_is_not_told_proves_nothing(roof: Roof, first: str | None, second: str | None) -> None:
    roof.put(first)
    roof.events()
    roof.put(second)
    assert "exchanged" not in kinds(roof.events())
    assert roof.runs() == "1.0.0"


def test_a_board_that_does_not_answer_keeps_its_outcome(roof: Roof) -> None:
    roof.put(ONE)
    roof.events()
    store_devices.delete("a")
    assert kinds(roof.events()) == ["run", "leave"]


# --- several names of one board ---------------------------------------------------------------------------------------

NAMES = {"roof": ("127.0.0.1",), "attic": ("127.0.0.9", "127.0.0.1"), "cellar": ("127.0.0.5",)}


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Host names of this computer, as a name server would have them."""
    real = asyncio.base_events.BaseEventLoop.getaddrinfo

    async def known(self: Any, host: str, port: int, **how: Any) -> list[Any]:
        if host not in NAMES:
            found: list[Any] = await real(self, host, port, **how)
            return found
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (one, port)) for one in NAMES[host]]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", known)


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize("address", ["udp:127.0.0.1:9", "udp:attic:9", "udp:localhost:9"])
def test_one_board_under_two_names_is_updated_once(roof: Roof, address: str) -> None:
    """While another update has it by another name, also if that leads to several addresses; exit code 8."""
    package = roof.file.with_name("dfu_application.zip")
    with locked(asyncio.run(places_by_lookup("udp:roof:9"))):
        said = roof.run("update", package, "--to", address).refused(8)
    assert "is updating the device at udp:127.0.0.1:9, perhaps under another name" in said


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(("one", "other", "same"), [("roof", "attic", True), ("roof", "cellar", False)])
def test_a_fleet_refuses_two_names_of_one_board(roof: Roof, one: str, other: str, same: bool) -> None:
    listed = "".join(f'[[device]]\nname = "{name}"\naddress = "udp:{name}:9"\n' for name in (one, other))
    roof.file.write_text(f'[packages]\ndefault = "dfu_application.zip"\n{listed}')
    done = roof.run("fleet", "run", roof.file, "--plan")
    assert (done.code == 3) == same
    assert ("have the same address, udp:127.0.0.1:9" in done.err) == same


# --- a pause ----------------------------------------------------------------------------------------------------------


def test_only_a_resume_that_runs_lifts_a_pause(roof: Roof) -> None:
    """It was gone after ``resume --plan``, and after a resume that was refused."""
    roof.put(ONE)
    folder = open_fleet(roof.file).folder
    folder.mkdir(parents=True)
    (folder / "pause").touch()
    assert roof.run("fleet", "resume", roof.file, "--plan").code == 0
    foreign = roof.file.with_name("foreign.pem")
    foreign.write_bytes(generate("ecdsa-p256").public.to_pem())
    roof.run("fleet", "resume", roof.file, "--trust", foreign).refused(6)
    roof.run("fleet", "run", roof.file).refused(8)
    assert roof.runs() == "1.0.0"
    assert roof.run("fleet", "resume", roof.file).code == 0
    assert roof.runs() == "2.0.0"
    assert roof.run("fleet", "status", roof.file, "--json").document["paused"] is False
