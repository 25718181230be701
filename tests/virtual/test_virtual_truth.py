"""What Nordic's own loader did, replayed on the virtual device: every state of every case equal.

``vectors/truth`` is the data: Nordic's ``loader.c`` of seven releases, compiled and run, and what lay in flash after
each boot.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from smpdfu.loaders.releases import Release
from tests.virtual.truth_cases import SIMULTANEOUS, STAGED, Setup
from tests.virtual.truth_device import TruthDevice, Variant, releases

DATA = Path(__file__).parent.parent / "vectors" / "truth"
FILES = sorted(DATA.glob("*.json"))

# Cases in which the virtual device rightly does something else: the reason, by variant, case and release.
EXCEPTIONS: dict[tuple[str, str, str], str] = {}


class Measured(NamedTuple):
    """A case as the data have it, to be run with the loader of ``release``."""

    variant: str
    case: str
    named: str
    release: Release
    states: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.variant}-{self.case}-{self.release.name}"


def measured() -> Iterator[Measured]:
    for path in FILES:
        for variant, cases in json.loads(path.read_text("utf-8")).items():
            for case, by_release in cases.items():
                for named, states in by_release.items():
                    for release in releases(named):
                        yield Measured(variant, case, named, release, tuple(states))


MEASURED = list(measured())


def setup_of(variant: Variant, case: str) -> Setup:
    return (SIMULTANEOUS if variant.simultaneous else STAGED)[case]


def device_of(variant: Variant, release: Release, setup: Setup) -> TruthDevice:
    """The device on the eve of the first boot."""
    device = TruthDevice(variant, release, setup.answers, setup.running, setup.blank_net)
    for image, what in enumerate((setup.x, setup.y)):
        if what is not None:
            device.stage(what, image, permanent=setup.permanent)
    return device


def replay(one: Measured) -> tuple[str, ...]:
    variant = Variant(one.variant)
    device = device_of(variant, one.release, setup_of(variant, one.case))
    return tuple(device.states(len(one.states) - 1))


@pytest.mark.parametrize("one", MEASURED, ids=str)
def test_the_virtual_loader_does_what_nordic_s_did(one: Measured) -> None:
    reason = EXCEPTIONS.get((one.variant, one.case, one.named))
    if reason is None:
        assert replay(one) == one.states
    else:
        assert replay(one) != one.states, f"the exception is not needed any more: {reason}"


def test_the_data_are_all_there() -> None:
    runs = [one for one in MEASURED if one.release.name != "3.4.1"]  # the data have it under the name of main
    assert (len(FILES), len({(one.variant, one.case) for one in runs}), len(runs)) == (11, 165, 604)
    assert sum(len(one.states) for one in runs) == 2348
