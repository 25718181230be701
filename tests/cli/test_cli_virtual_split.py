"""``smpdfu virtual`` with an application in two halves: made, loaded and shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.format import Version
from smpdfu.image.keys.keys import load_private
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.virtual.server.groups.image import ConfirmsOthers
from smpdfu.virtual.store.devices import view_device
from smpdfu.virtual.store.names import home
from smpdfu.virtual.store.sample_firmware import split_halves

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

LAYOUT = "nrf5340dk-xip-split"
HALVES = ("internal", "external")


@pytest.fixture
def halves(keys: Keys, tmp_path: Path) -> dict[tuple[str, int], Path]:
    """The signed halves of both versions of the sample."""
    key = load_private(keys.signing.read_bytes())
    made = {}
    for number in (1, 2):
        spec = ImageSpec(Version(number), 0x200, 0, pad_header=True)
        for name, payload in zip(HALVES, split_halves(number).values(), strict=True):
            made[name, number] = tmp_path / f"{name}-{number}.bin"
            made[name, number].write_bytes(build(spec, payload, key).to_bytes())
    return made


def test_a_board_with_both_halves_runs(smpdfu: Call, keys: Keys, halves: dict[tuple[str, int], Path]) -> None:
    options = ("--layout", LAYOUT, "--app", halves["internal", 1], "--external", halves["external", 1])
    made = smpdfu("virtual", "new", "desk", "--key", keys.signing_public, *options, "--json")
    assert made.code == 0, made.err
    shown = json.loads(made.out)
    assert (shown["ending"], shown["external_half"]) == ("runs", 2)
    assert [(one["image"], one["name"]) for one in shown["slots"] if one["version"]] == [(0, "primary"), (2, "primary")]


def test_halves_of_two_builds_do_not_run_and_it_says_why(
    smpdfu: Call, keys: Keys, halves: dict[tuple[str, int], Path]
) -> None:
    options = ("--layout", LAYOUT, "--app", halves["internal", 1], "--external", halves["external", 2])
    made = smpdfu("virtual", "new", "desk", "--key", keys.signing_public, *options)
    assert made.code == 0
    assert "its two halves are of different builds" in " ".join(made.err.split())
    assert "its two halves are of different builds" in " ".join(smpdfu("virtual", "show", "desk").out.split())


def test_load_knows_the_external_half_by_its_missing_vectors(
    smpdfu: Call, keys: Keys, halves: dict[tuple[str, int], Path]
) -> None:
    options = ("--layout", LAYOUT, "--app", halves["internal", 1], "--external", halves["external", 1])
    smpdfu("virtual", "new", "desk", "--key", keys.signing_public, *options)
    one = smpdfu("virtual", "load", "desk", halves["internal", 2], "--json")
    assert json.loads(one.out)["app_runs"] is False
    other = smpdfu("virtual", "load", "desk", halves["external", 2], "--json")
    assert json.loads(other.out)["app_runs"] is True


def test_a_layout_with_one_image_takes_no_half(smpdfu: Call, keys: Keys, halves: dict[tuple[str, int], Path]) -> None:
    refused = smpdfu("virtual", "new", "desk", "--key", keys.signing_public, "--external", halves["external", 1])
    assert refused.code == 2
    assert "--external needs a layout with a second half" in " ".join(refused.err.split())
    assert json.loads(smpdfu("virtual", "list", "--json").out)["devices"] == []


@pytest.mark.parametrize("name", ConfirmsOthers)
def test_which_confirmations_its_server_takes_is_kept(smpdfu: Call, keys: Keys, name: ConfirmsOthers) -> None:
    smpdfu("virtual", "new", "desk", "--key", keys.signing_public, "--layout", LAYOUT, "--confirm-others", name)
    assert view_device("desk").resources.confirms_others is name


def test_a_device_from_before_the_choice_takes_none(smpdfu: Call, keys: Keys) -> None:
    smpdfu("virtual", "new", "desk", "--key", keys.signing_public, "--confirm-others", "any")
    kept = home() / "desk" / "device.json"
    recipe = json.loads(kept.read_text())
    del recipe["resources"]["confirms_others"]
    kept.write_text(json.dumps(recipe))
    assert view_device("desk").resources.confirms_others is ConfirmsOthers.NONE
