"""Files without measure: a .hex in thousands of pieces, whose text is bounded; devices that never end."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Call

PIECES = 300


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    """One byte in every third of the 64 KiB pages from 0x20000000 on, where no flash is."""
    lines = []
    for page in range(0x2000, 0x2000 + 3 * PIECES, 3):
        body = bytes((2, 0, 0, 4)) + page.to_bytes(2, "big")
        lines += [f":{body.hex()}{-sum(body) & 0xFF:02X}", ":01000000AA55"]
    path = tmp_path / "dense.hex"
    path.write_text("\n".join([*lines, ":00000001FF", ""]).upper())
    return path


def test_inspect_shows_a_hundred_segments(dense: Path, smpdfu: Call) -> None:
    done = smpdfu("inspect", dense)
    assert done.code == 0, done.err
    assert "Segments (200 more: see --json)" in done.out
    assert done.out.count("0x2") < 250
    assert len(smpdfu("inspect", dense, "--json").document["segments"]) == PIECES


def test_what_a_device_leaves_out_is_said_in_a_few_lines(dense: Path, smpdfu: Call, tmp_path: Path) -> None:
    assert smpdfu("virtual", "new", "desk").code == 0
    done = smpdfu("virtual", "load", "desk", dense, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["app_runs"] is False
    assert done.err.count("skipped") == 11
    assert "skipped 290 more ranges" in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")
def test_what_has_no_size_is_not_uploaded(smpdfu: Call) -> None:
    done = smpdfu("fs", "upload", "/dev/zero", "/lfs1/x", "--to", "virtual:none")
    assert done.code == 2
    assert "its size is unknown" in done.err
