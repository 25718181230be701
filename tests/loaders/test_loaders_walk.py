"""The walk: every loader, way of updating, check and staged image; the pure judgement against the virtual device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest

from smpdfu.image.trailer import SwapMode
from smpdfu.loaders.fate import fate
from smpdfu.loaders.rules import NORDIC, RULES, Loader
from smpdfu.virtual.boot.build import AddressCheck, build_of
from tests.loaders.test_loaders_fate import CASES, happened
from tests.virtual.test_virtual_truth import device_of
from tests.virtual.truth_cases import STAGED
from tests.virtual.truth_device import Variant

MODES = {"move": SwapMode.MOVE, "scratch": SwapMode.SCRATCH, "offset": SwapMode.OFFSET, "over": SwapMode.OVERWRITE_ONLY}
CHECKS = (None, AddressCheck.HEADER, AddressCheck.VECTOR)


def newest(loaders: frozenset[Loader]) -> list[Loader]:
    """The newest loader of each row of the rules."""
    by_row: dict[object, Loader] = {}
    for loader in sorted(loaders, key=lambda one: (one.release.version, one.partitions)):
        by_row[loader.release.generation, loader.partitions] = loader
    return list(by_row.values())


def walk() -> Iterator[tuple[Loader, str, AddressCheck | None]]:
    for loader, mode, check in product(newest(NORDIC), MODES, CHECKS):
        offers = loader.release.by_offset or mode != "offset"
        if offers and (loader.release.offers_header_check or check is not AddressCheck.HEADER):
            yield loader, mode, check


WALK = list(walk())


def test_the_walk_comes_to_every_rule() -> None:
    upstream = 2
    assert {(loader.release.generation, loader.partitions) for loader, *_ in WALK} == {
        key for key in RULES if not key[0].value.startswith("upstream")
    }
    assert len(newest(NORDIC)) == len(RULES) - upstream


@pytest.mark.parametrize(("loader", "mode", "check"), WALK, ids=lambda one: getattr(one, "name", str(one)))
def test_every_loader_does_with_every_image_what_its_rule_says(
    loader: Loader, mode: str, check: AddressCheck | None
) -> None:
    for case, seen in CASES.items():
        encrypted = STAGED[case].x is not None and STAGED[case].x.encrypt  # type: ignore[union-attr]
        variant = Variant(f"{mode}+enc" if encrypted else mode)
        device = device_of(variant, loader.release, STAGED[case])
        options = replace(device.keys.options, loader=loader, check_address=check)
        device.keys = replace(device.keys, options=options)
        build = build_of(device.layout, device.keys)
        home, net = device.layout.primary, device.net.app.region
        judged = fate(build, seen, range(home.start, home.end), range(net.start, net.end))
        _, state = device.states(1)
        assert judged in happened(state), (case, state)
