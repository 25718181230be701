"""``affected``: its documents and tables, and mistakes in the question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.cli.fleet.affected import csv_table, document
from smpdfu.dfu.fleet.affected.answer import Affected, DeviceHistory, Judge, catalog_of
from smpdfu.dfu.fleet.affected.boards import APP, Attempt, Result, boards_of
from smpdfu.dfu.fleet.affected.question import by_hashes
from smpdfu.dfu.package.image_record import ImageRecord

if TYPE_CHECKING:
    from tests.cli.conftest import Call

BAD, GOOD = "aa" * 32, "bb" * 32
RELEASES = {f"package {one}": (ImageRecord(APP, one, "1.0.0"),) for one in (BAD, GOOD)}


def after(*installed: str) -> Affected:
    """The answer for a device on which these images were installed, ten seconds after each other."""
    attempts = [
        Attempt(
            10.0 * at, 10.0 * at + 5, f"package {one}", parts=(APP,), result=Result.INSTALLED, proven=True, seen=1.0
        )
        for at, one in enumerate(installed)
    ]
    catalog = catalog_of(RELEASES, {})
    question = by_hashes([BAD], catalog)
    device = DeviceHistory("desk", "virtual:desk", boards=tuple(boards_of(attempts, RELEASES)))
    return Affected(tuple(Judge(question, catalog).answers(device)), question)


@pytest.mark.parametrize(
    ("installed", "status", "since", "until"),
    [
        ((BAD,), "affected", 5, None),
        ((BAD, GOOD), "was-affected", None, 15),
        ((BAD, GOOD, BAD), "affected", 25, None),
        ((BAD, GOOD, BAD, GOOD), "was-affected", None, 35),
        ((GOOD,), "not-affected", None, None),
    ],
)
def test_a_device_is_affected_since_a_time_or_was_until_one(
    installed: tuple[str, ...], status: str, since: int | None, until: int | None
) -> None:
    found = after(*installed)
    (told,) = json.loads(json.dumps(document(found), default=str))["devices"]
    times = [None if at is None else f"1970-01-01T00:00:{at:02}Z" for at in (since, until)]
    assert [told["status"], told["since"], told["until"]] == [status, *times]
    assert len(told["past"]) == installed[:-1].count(BAD)
    row = csv_table(found).splitlines()[1]
    assert [time for time in times if time is not None and time not in row] == []
    assert row.count("1970-") == 1 + sum(time is not None for time in times), "and when it was seen last"


@pytest.fixture
def sbom(tmp_path: Path) -> Path:
    properties = [{"name": "smpdfu:image-hash", "value": BAD}, {"name": "smpdfu:role", "value": "app"}]
    library: dict[str, Any] = {"type": "library", "name": "mbedtls", "version": "3.6.1"}
    image = {"type": "firmware", "name": "app", "properties": properties, "components": [library]}
    path = tmp_path / "release.cdx.json"
    path.write_text(json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [image]}))
    return path


def test_a_version_that_is_none_is_a_wrong_call(sbom: Path, smpdfu: Call) -> None:
    refused = smpdfu("affected", "--sbom", sbom, "--component", "mbedtls@abc").refused(2)
    assert "'mbedtls@abc' has no version that smpdfu can compare" in " ".join(refused.replace("│", " ").split())
    assert smpdfu("affected", "--sbom", sbom, "--component", "mbedtls@3.6.1").code == 0
