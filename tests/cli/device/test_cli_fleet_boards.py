"""A fleet in which boards are exchanged: an outcome belongs to the chip that told its number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.dfu.package import Core
from smpdfu.virtual import store
from tests.cli.device.conftest import Desk, new_desk

if TYPE_CHECKING:
    from smpdfu.image.keys import PrivateKey
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
        if self.desk.name in store.list_devices():
            store.delete(self.desk.name)
        new_desk(self.desk, "nrf5340dk-staged")
        recipe = store.home() / self.desk.name / "device.json"
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
    assert "another board is at virtual:a than before: it is asked anew" in done.err
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
    store.delete("a")
    assert kinds(roof.events()) == ["run", "leave"]
