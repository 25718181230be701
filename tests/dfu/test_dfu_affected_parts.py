"""No device is clear by what nobody noted: parts without a recorded update, hashes that no update has noted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from smpdfu.dfu.fleet.affected.answer import AffectedStatus, DeviceHistory, Judge, catalog_of
from smpdfu.dfu.fleet.affected.boards import APP, NET, Attempt, Result, boards_of
from smpdfu.dfu.fleet.affected.components import ComponentQuery
from smpdfu.dfu.fleet.affected.fleet_logs import FleetRecord, SharedFacts
from smpdfu.dfu.fleet.affected.question import Catalog, Question, by_component, by_hashes, by_sboms
from smpdfu.dfu.fleet.affected.sbom import SbomIndex
from smpdfu.dfu.fleet.log.events import LogEvent
from smpdfu.dfu.fleet.log.frames import Frames
from smpdfu.dfu.package.image_record import ImageRecord

NEW, OLD, NET_NEW, STRANGE = (digit * 64 for digit in "1234")
APP_IMAGE, NET_IMAGE = ImageRecord(APP, NEW, "1.0.0"), ImageRecord(NET, NET_NEW, "1.0.0")
HALF, WHOLE = {"half": (APP_IMAGE,)}, {"half": (APP_IMAGE,), "whole": (APP_IMAGE, NET_IMAGE)}


def updated(package: str = "half") -> Attempt:
    """The device was updated once, with a package for the application core alone or for both."""
    images = WHOLE[package]
    parts = tuple(one.part for one in images)
    return Attempt(0, 5, package, images, parts, Result.INSTALLED, proven=True, runs=NEW, seen=5)


def sbom(*images: tuple[str, str, str]) -> SbomIndex:
    """An SBOM with these images: hash, part and component."""

    def entry(digits: str, part: str, component: str) -> dict[str, Any]:
        properties = {"smpdfu:image-hash": digits, "smpdfu:role": part}
        return {
            "type": "firmware",
            "name": part,
            "properties": [{"name": name, "value": value} for name, value in properties.items() if value],
            "components": [{"type": "library", "name": component}],
        }

    document = {"bomFormat": "CycloneDX", "components": [entry(*one) for one in images]}
    return SbomIndex.from_bytes(json.dumps(document).encode(), "release.cdx.json")


def hole(*sboms: SbomIndex) -> Callable[[Catalog], Question]:
    return lambda _: by_component(sboms, ComponentQuery.from_text("hole"))


HOLE_IN_OLD = (OLD, APP, "hole")
CLEAN_APP, CLEAN_NET = (NEW, APP, "zephyr"), (NET_NEW, NET, "zephyr")
CASES: dict[str, tuple[Callable[[Catalog], Question], Mapping[str, tuple[ImageRecord, ...]], str, AffectedStatus]] = {
    "a hash of nobody": (lambda known: by_hashes([STRANGE], known), HALF, "half", AffectedStatus.UNKNOWN),
    "beside one that is known": (
        lambda known: by_hashes([STRANGE, OLD], catalog_of({**HALF, "old": (ImageRecord(APP, OLD, ""),)}, {})),
        HALF,
        "half",
        AffectedStatus.UNKNOWN,
    ),
    "both cores are known": (
        lambda known: by_hashes([STRANGE], known),
        WHOLE,
        "whole",
        AffectedStatus.NOT_AFFECTED,
    ),
    "an SBOM without roles": (
        lambda _: by_sboms([sbom((STRANGE, "", "hole"))]),
        HALF,
        "half",
        AffectedStatus.UNKNOWN,
    ),
    "a release with two cores": (
        hole(sbom(CLEAN_APP, CLEAN_NET, HOLE_IN_OLD)),
        HALF,
        "half",
        AffectedStatus.UNKNOWN,
    ),
    "a package with two cores": (hole(sbom(CLEAN_APP, HOLE_IN_OLD)), WHOLE, "half", AffectedStatus.UNKNOWN),
    "a product with one core": (hole(sbom(CLEAN_APP, HOLE_IN_OLD)), HALF, "half", AffectedStatus.NOT_AFFECTED),
    "all is described": (
        hole(sbom(CLEAN_APP, CLEAN_NET, HOLE_IN_OLD)),
        WHOLE,
        "whole",
        AffectedStatus.NOT_AFFECTED,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_part_of_which_nothing_is_recorded(name: str) -> None:
    question, packages, package, status = CASES[name]
    catalog = catalog_of(packages, {})
    boards = tuple(boards_of([updated(package)], packages))
    (answer,) = Judge(question(catalog), catalog).answers(DeviceHistory("a", "a", boards=boards))
    assert answer.status is status
    if status is AffectedStatus.UNKNOWN:
        assert answer.reason == "no update of its network core's image is recorded"


def test_the_hash_of_nobody_is_told() -> None:
    catalog = catalog_of(WHOLE, {})
    assert by_hashes([STRANGE, NEW], catalog).not_noted(catalog) == (STRANGE,)


def test_the_beginning_of_a_hash_that_a_device_listed_last() -> None:
    """No package has the image, and the device lists it: it is the one that runs."""
    end = {"event": "end", "time": 5.0, "device": "a", "identity": "a", "outcome": "done", "to_hash": STRANGE}
    event = Frames(SharedFacts.of).whole(LogEvent.from_entry(end))
    assert event is not None
    record = FleetRecord()
    record.add([event])
    catalog = catalog_of(record.packages, record.listed)
    (logged,) = record.devices.values()
    (answer,) = Judge(by_hashes([STRANGE[:8]], catalog), catalog).answers(
        DeviceHistory("a", "a", boards=tuple(boards_of(logged.events, {})))
    )
    assert answer.status is AffectedStatus.AFFECTED
