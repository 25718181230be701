"""``fate`` against what Nordic's own loaders did (vectors/truth), in every staged case and every release run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from smpdfu.loaders.fate import Fate, Seen, fate
from smpdfu.loaders.releases import LATEST, Partitions, releases_of
from smpdfu.loaders.rules import NORDIC, Build, Loader, Target

TRUTH = Path(__file__).parents[1] / "vectors" / "truth"
HOME, NET = range(0xC000, 0x8_6000), range(0x0100_8800, 0x0104_0000)
LOADERS = sorted(NORDIC, key=lambda one: one.name)
CIPHERTEXT = 0xA3F1_5E77

# The cases by their names: what there is to see of the image.
APP = Seen(0xC301, 0xC000, 0xC200)
SEALED = Seen(0x0100_8901, 0x0100_8800, 0x0100_8800)
CASES = {
    "app test": APP,
    "app perm": APP,
    "app encrypted": Seen(CIPHERTEXT, 0xC000, encrypted=True),
    "app without load address": Seen(0xC301, None, 0xC200),
    "app linked elsewhere (0x90200), load addr right": Seen(0x9_0301, 0xC000, 0x9_0200),
    "app linked elsewhere, load addr says so": Seen(0x9_0301, 0x9_0000, 0x9_0200),
    "app for QSPI 0x12000000": Seen(0x1200_0301, 0x1200_0000, 0x1200_0200),
    "net accepted, test": SEALED,
    "net accepted, perm": SEALED,
    "net refused": SEALED,
    "net hang": SEALED,
    "net without seal": SEALED,
    "net onto blank net core": SEALED,
    "net without load address": Seen(0x0100_8901, None, 0x0100_8800),
    "net linked for b0n area 0x01002800": Seen(0x0100_2901, 0x0100_2800, 0x0100_2800),
    "net encrypted": Seen(CIPHERTEXT, 0x0100_8800, encrypted=True),
    "net encrypted, no load address": Seen(CIPHERTEXT, None, encrypted=True),
}


def staged() -> Iterator[tuple[str, str, str, str]]:
    """Variant, case, release and the state after the first boot."""
    for file in sorted(TRUTH.glob("*.json")):
        for variant, cases in json.loads(file.read_text("utf-8")).items():
            if not variant.startswith(("move", "over", "offset")):
                continue
            for case, releases in cases.items():
                for release, states in releases.items():
                    yield variant, case, release, states[1]


def happened(state: str) -> set[Fate]:
    """What a state says became of the image; whether b0n could take it at all, it does not say."""
    handed = {Fate.HANDED_OVER, Fate.REFUSED}
    if state.startswith("HANG") or re.search("net=(new|partial|low)", state):
        return handed
    if state.startswith(("boots 2.0.0", "crash")):
        return {Fate.INSTALLED}
    assert state.startswith("boots 1.0.0"), state
    return {Fate.ERASED} if "s0=blank" in state else handed


def build_of(variant: str, release: str) -> Build:
    first, *options = variant.split("+")
    checks = "load" in options
    found = LATEST if release.startswith("main") else releases_of(release.removeprefix("NCS "))[0]
    kind = Partitions.DTS if checks and Partitions.DTS in found.partitions else Partitions.PM
    return Build(
        Loader(found, kind),
        overwrites=first == "over",
        by_offset=first == "offset",
        encrypts="enc" in options,
        checks_header=checks,
    )


ROWS = [row for row in staged() if row[1] in CASES]


def test_every_staged_case_is_replayed_or_is_about_versions() -> None:
    others = {case for _, case, *_ in staged() if case not in CASES}
    assert all("downgrade" in case or "version" in case for case in others), others
    assert len(ROWS) > 250


@pytest.mark.parametrize(("variant", "case", "release", "state"), ROWS, ids=["-".join(row[:3]) for row in ROWS])
def test_a_case_of_the_truth(variant: str, case: str, release: str, state: str) -> None:
    assert fate(build_of(variant, release), CASES[case], HOME, NET) in happened(state)


@pytest.mark.parametrize("loader", LOADERS, ids=[one.name for one in LOADERS])
def test_what_b0n_cannot_take(loader: Loader) -> None:
    """Ciphertext and code for another place are no hand-over that can end well, with any loader."""
    checks = loader.rule.checks_header
    for seen in (CASES["net encrypted"], CASES["net linked for b0n area 0x01002800"], CASES["app encrypted"]):
        assert fate(Build(loader, checks_header=checks), seen, HOME, NET) is not Fate.HANDED_OVER
    at_the_slots_start = fate(Build(loader, by_offset=True, checks_header=checks), SEALED, HOME, NET)
    assert at_the_slots_start is not Fate.HANDED_OVER


# Builds that go by class UUIDs: release, image, whose class it names, what becomes of it.
BY_CLASS = [
    ("3.4.0", SEALED, Target.NETWORK, Fate.HANDED_OVER),
    ("3.4.0", APP, Target.APPLICATION, Fate.LEFT),
    ("3.4.1", APP, Target.APPLICATION, Fate.INSTALLED),
    ("3.4.1", SEALED, Target.NETWORK, Fate.HANDED_OVER),
    ("3.4.1", SEALED, Target.APPLICATION, Fate.INSTALLED),
    ("3.4.1", CASES["net encrypted"], Target.NETWORK, Fate.REFUSED),
    ("3.4.1", CASES["net linked for b0n area 0x01002800"], Target.NETWORK, Fate.REFUSED),
    *((name, seen, Target.UNNAMED, Fate.LEFT) for name in ("3.4.0", "3.4.1") for seen in (APP, SEALED)),
    *((name, seen, Target.UNKNOWN, Fate.ERASED) for name in ("3.4.0", "3.4.1") for seen in (APP, SEALED)),
]


@pytest.mark.parametrize(("name", "seen", "target", "then"), BY_CLASS)
def test_a_build_that_goes_by_class_uuids(name: str, seen: Seen, target: Target, then: Fate) -> None:
    """As the virtual device does, ``test_class_uuids_tell_whom_an_image_is_for``."""
    build = Build(Loader(releases_of(name)[0]), by_uuid=True)
    assert fate(build, replace(seen, target=target), HOME, NET) is then
    without = fate(replace(build, by_uuid=False), replace(seen, target=target), HOME, NET)
    assert without is fate(replace(build, by_uuid=False), seen, HOME, NET)  # others do not look


def test_beside_a_split_xip_image_the_newest_loaders_look_at_no_class() -> None:
    build = Build(Loader(releases_of("3.4.1")[0]), by_uuid=True, xip_split=True)
    assert fate(build, replace(APP, target=Target.UNNAMED), HOME, NET) is Fate.INSTALLED
