"""Every cell of the tables of facts has a test that runs it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smpdfu.loaders.rules import RULES
from tests.loaders.cells import COLUMNS, SIMULTANEOUS, STAGED, Cell

TESTS = Path(__file__).parent.parent
ROWS = [*STAGED.items(), *SIMULTANEOUS.items()]


def test_the_columns_are_nordic_s_rules() -> None:
    assert len(COLUMNS) == 8
    assert len(RULES) == len(COLUMNS) + 2


@pytest.mark.parametrize(("behaviour", "cells"), ROWS, ids=[behaviour for behaviour, _ in ROWS])
def test_every_cell_is_there_once_and_has_its_test(behaviour: str, cells: tuple[Cell, ...]) -> None:
    columns = [column for cell in cells for column in cell.columns]
    assert sorted(columns) == sorted(COLUMNS), behaviour
    for cell in cells:
        assert bool(cell.test) != bool(cell.not_modelled), cell
        if cell.test:
            path, function = cell.test.split("::")
            assert re.search(rf"^def {function}\(", (TESTS / path).read_text("utf-8"), re.MULTILINE), cell.test


def test_what_is_not_modelled_is_one_cell() -> None:
    missing = {behaviour for behaviour, cells in ROWS if any(cell.not_modelled for cell in cells)}
    assert missing == {"second stage MCUboot behind NSIB"}
