"""The reference pages name everything that the code has: keys of files, errors, environment variables, findings."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from smpdfu.agent.description import file as agent_file
from smpdfu.agent.description.authentication import Way
from smpdfu.agent.description.file import GatewayLimits
from smpdfu.agent.description.scan_rule import KINDS
from smpdfu.cli.app.config_file import KEYS
from smpdfu.dfu.fleet.description.file import FleetDevice, Limits, Treatment
from tests.cli.device.preflight_rows import ROWS

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"


def section(page: str, heading: str) -> str:
    """A part of a page, to the next heading of its level."""
    return (REFERENCE / page).read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def codes(text: str) -> set[str]:
    """What a text has in backquotes."""
    return set(re.findall(r"`([^`]+)`", text))


def test_every_key_of_smpdfu_toml() -> None:
    assert set(KEYS) <= codes(section("file-formats.md", "smpdfu.toml"))


def test_every_key_of_a_fleet_file() -> None:
    told = codes(section("file-formats.md", "Fleet file"))
    ours = {one.name for kind in (Limits, Treatment, FleetDevice) for one in fields(kind)}
    assert ours - {"bootloader", "place", "skip_unreachable"} <= told  # not in the file: known otherwise, or an option


def test_every_key_of_an_agent_file() -> None:
    """Those of the example at the head of the module that reads it, where a test reads it whole, and of its code."""
    told = codes(section("file-formats.md", "Agent file"))
    example = "\n".join(line[4:] for line in (agent_file.__doc__ or "").partition("::\n\n")[2].splitlines())
    tables = {name: keys for name, keys in tomllib.loads(example).items() if isinstance(keys, dict)}
    assert {f"[{name}]" for name in tables if name != "hardware"} <= told | {"[update]"}
    keys = {key for name, found in tables.items() if name not in ("update", "hardware") for key in found}
    assert keys | set(Way) | set(KINDS) | {one.name for one in fields(GatewayLimits)} <= told


@pytest.mark.parametrize("page", ["Fleet log", "Journal"])
def test_every_field_that_is_documented_is_written_somewhere(page: str) -> None:
    """The names of the tables are words of the code that writes or reads them."""
    rooms = (ROOT / "smpdfu" / "dfu").rglob("*.py")
    written = set(re.findall(r"\w+", " ".join(path.read_text("utf-8") for path in rooms)))
    for cell in codes(section("file-formats.md", page)):
        names = re.findall(r'"(\w+)"', cell) if cell.startswith("{") else [cell]
        assert all(name in written for name in names if re.fullmatch(r"[a-z_]+", name)), cell


def test_the_severity_of_every_finding() -> None:
    told: dict[str, str] = {}
    for line in (REFERENCE / "findings.md").read_text("utf-8").splitlines():
        if line.startswith("| `"):
            cells = line.split("|")
            for code in codes(cells[1]):
                told[code] = told.get(code, "") + cells[2]
    for row in ROWS:
        assert str(row.severity) in told[row.code], row.code
