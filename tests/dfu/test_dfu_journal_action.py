"""The journal keeps what ordered an update: before anything is sent, and when another order continues it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.dfu.decide.record import DONE
from smpdfu.dfu.do.journal.reading import read_record
from smpdfu.dfu.do.journal.updates import JournalUpdate, read_updates

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.dfu.conftest import Maker
    from tests.dfu.dfu_device import KilledError, MortalJournal, new_device, run_update, update
else:
    from dfu_device import KilledError, MortalJournal, new_device, run_update, update

from tests.simulated import simulate

FIRST = {"server": "https://hawkbit.example", "tenant": "DEFAULT", "id": "17"}
SECOND = FIRST | {"id": "18"}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_action_is_in_the_first_line_and_stays_after_the_end(make: Maker, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    run_update(new_device(make), make.package(), path, action=FIRST)
    assert lines(path)[0]["action"] == FIRST
    assert [line for line in lines(path) if "action" in line] == [lines(path)[0]]
    assert (read_record(path).end, read_record(path).action) == (DONE, FIRST)


def test_an_update_without_an_action_has_none(make: Maker, tmp_path: Path) -> None:
    run_update(new_device(make), make.package(), tmp_path / "journal")
    assert read_record(tmp_path / "journal").action is None
    assert not [line for line in lines(tmp_path / "journal") if "action" in line]


@pytest.mark.parametrize("next_one", [FIRST, SECOND, None])
def test_who_continues_an_update_stands_in_the_journal_before_its_next_step(
    make: Maker, tmp_path: Path, next_one: dict[str, str] | None
) -> None:
    path, device, package = tmp_path / "journal", new_device(make), make.package()
    with MortalJournal(path) as journal:
        journal.life = 3
        with pytest.raises(KilledError):
            simulate(update(device, package, journal, action=FIRST))
    assert read_record(path).action == FIRST
    before = len(lines(path))
    run_update(device, package, path, action=next_one)
    assert read_record(path).action == next_one
    added = lines(path)[before:]
    assert [line["action"] for line in added if "action" in line] == ([] if next_one == FIRST else [next_one])
    if next_one != FIRST:
        assert next(at for at, line in enumerate(added) if "action" in line) < next(
            at for at, line in enumerate(added) if "step" in line
        )
    found = [one for one in read_updates(path) if isinstance(one, JournalUpdate)]
    assert [one.begin["action"] for one in found] == [FIRST], "it is one update still"


def test_an_update_of_the_same_package_after_the_end_is_a_new_order(make: Maker, tmp_path: Path) -> None:
    path, package = tmp_path / "journal", make.package()
    run_update(new_device(make), package, path, action=FIRST)
    run_update(new_device(make), package, path, action=SECOND)
    assert read_record(path).action == SECOND


@pytest.mark.parametrize("value", ["17", 17, [FIRST], None])
def test_what_is_no_action_counts_as_none(tmp_path: Path, value: object) -> None:
    path = tmp_path / "journal"
    path.write_text("".join(json.dumps(line) + "\n" for line in ({"update": "d", "action": FIRST}, {"action": value})))
    assert read_record(path).action is None
