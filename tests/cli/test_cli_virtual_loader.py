"""``smpdfu virtual`` with a firmware loader: made, started by each entrance, kept between commands."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.format import Version
from smpdfu.image.keys.keys import load_private
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.virtual.boot.build import Entrance
from smpdfu.virtual.store.devices import view_device
from smpdfu.virtual.store.sample_firmware import CORES, LOADER, stand_in

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

LAYOUT = ("--layout", "nrf5340dk-firmware-loader")
TO = ("--to", "virtual:desk")


class Files:
    """Signed images of the application in two versions, and of the loader."""

    def __init__(self, keys: Keys, folder: Path) -> None:
        key = load_private(keys.signing.read_bytes())
        spec = ImageSpec(Version(1), 0x200, 0, pad_header=True)
        made = {
            "app-1": (spec, stand_in(CORES[0], 1)),
            "app-2": (replace(spec, version=Version(2)), stand_in(CORES[0], 2)),
            "loader": (replace(spec, version=Version(7)), stand_in(LOADER, 1)),
        }
        for name, (one, payload) in made.items():
            (folder / f"{name}.bin").write_bytes(build(one, payload, key).to_bytes())
        self.old, self.new, self.loader = (folder / f"{name}.bin" for name in made)


@pytest.fixture
def files(keys: Keys, tmp_path: Path) -> Files:
    return Files(keys, tmp_path)


def new(smpdfu: Call, keys: Keys, files: Files, *options: object) -> None:
    made = smpdfu(
        "virtual", "new", "desk", "-k", keys.signing_public, "--app", files.old, "--loader", files.loader, *options
    )
    assert made.code == 0, made.err


def shown(smpdfu: Call) -> dict[str, object]:
    found: dict[str, object] = json.loads(smpdfu("virtual", "show", "desk", "--json").out)
    return found


def test_a_board_with_a_loader_runs_its_application_and_shows_both(smpdfu: Call, keys: Keys, files: Files) -> None:
    new(smpdfu, keys, files, *LAYOUT)
    found = shown(smpdfu)
    assert (found["mode"], found["ending"], found["loader_runs"]) == ("firmware-loader", "runs", False)
    slots = found["slots"]
    assert isinstance(slots, list)
    assert [(one["slot"], one["version"], one["active"]) for one in slots] == [(0, "1.0.0", True), (1, "7.0.0", False)]


def test_a_host_updates_it_by_boot_mode_over_several_commands(smpdfu: Call, keys: Keys, files: Files) -> None:
    new(smpdfu, keys, files, *LAYOUT)
    assert smpdfu("upload", files.new, *TO).code != 0
    assert json.loads(smpdfu("os", "bootloader", *TO, "--json").out)["mode"] == 7
    smpdfu("reset", "--boot-mode", "1", *TO)
    assert shown(smpdfu)["loader_runs"] is True
    listed = json.loads(smpdfu("list", *TO, "--json").out)["images"]
    assert [(one["slot"], one["version"], one["active"]) for one in listed] == [(0, "1.0.0", False)]
    assert smpdfu("upload", files.new, *TO).code == 0
    smpdfu("reset", *TO)
    listed = json.loads(smpdfu("list", *TO, "--json").out)["images"]
    assert [(one["slot"], one["version"], one["active"]) for one in listed] == [(0, "2.0.0", True)]


def test_the_button_starts_it_and_a_reset_without_ends_that(smpdfu: Call, keys: Keys, files: Files) -> None:
    new(smpdfu, keys, files, *LAYOUT)
    held = smpdfu("virtual", "reset", "desk", "--button")
    assert "runs the firmware loader" in held.out
    assert shown(smpdfu)["loader_runs"] is True
    smpdfu("virtual", "reset", "desk")
    assert shown(smpdfu)["loader_runs"] is False


def test_half_an_upload_starts_the_loader_at_the_next_power_on(smpdfu: Call, keys: Keys, files: Files) -> None:
    new(smpdfu, keys, files, *LAYOUT, "--no-images")
    assert smpdfu("list", *TO).code != 0
    smpdfu("reset", "--boot-mode", "1", *TO)
    smpdfu("virtual", "cut", "desk", "--after", "5")
    assert smpdfu("upload", files.new, "--timeout", "0.1", *TO).code != 0
    smpdfu("virtual", "reset", "desk")
    assert shown(smpdfu)["loader_runs"] is True
    assert smpdfu("upload", files.new, *TO).code == 0
    smpdfu("virtual", "reset", "desk")
    assert (shown(smpdfu)["loader_runs"], shown(smpdfu)["app_runs"]) == (False, True)


def test_which_entrances_are_built_in_is_kept(smpdfu: Call, keys: Keys, files: Files) -> None:
    options = ("--loader-entrance", "button", "--loader-entrance", "boot-mode")
    new(smpdfu, keys, files, *LAYOUT, *options)
    device = view_device("desk")
    assert device.keys.options.entrances == (Entrance.BUTTON, Entrance.BOOT_MODE)
    assert device.resources.serves_images


def test_the_mode_may_be_given_for_another_table(smpdfu: Call, keys: Keys, files: Files) -> None:
    wrong = smpdfu(
        "virtual", "new", "desk", "-k", keys.signing_public, "--mode", "firmware-loader", "--loader", files.old
    )
    assert wrong.code == 2
    assert "is not linked for the firmware loader's slot, 0x86000 to 0x100000" in " ".join(wrong.err.split())
    made = smpdfu("virtual", "new", "desk", "-k", keys.signing_public, "--mode", "firmware-loader", "--app", files.old)
    assert made.code == 0, made.err
    assert shown(smpdfu)["mode"] == "firmware-loader"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--ncs", "2.6", *LAYOUT), "NCS 2.6 has no firmware loader mode"),
        ((), "built in swap-move mode and has no firmware loader"),
    ],
)
def test_boards_without_a_loader_take_none(
    smpdfu: Call, keys: Keys, files: Files, options: tuple[str, ...], words: str
) -> None:
    refused = smpdfu("virtual", "new", "desk", "-k", keys.signing_public, "--loader", files.loader, *options)
    assert refused.code == 2
    assert words in " ".join(refused.err.split())
    assert json.loads(smpdfu("virtual", "list", "--json").out)["devices"] == []


def test_a_board_without_a_loader_has_no_button_for_it(smpdfu: Call, keys: Keys) -> None:
    smpdfu("virtual", "new", "desk", "-k", keys.signing_public)
    refused = smpdfu("virtual", "reset", "desk", "--button")
    assert refused.code == 2
    assert "has no firmware loader" in " ".join(refused.err.split())


def test_there_is_no_serial_recovery_beside_a_loader(smpdfu: Call, keys: Keys, files: Files) -> None:
    new(smpdfu, keys, files, *LAYOUT)
    refused = smpdfu("virtual", "run", "desk", "--udp", "0", "--recovery")
    assert refused.code == 2
    assert "no serial recovery" in " ".join(refused.err.split())
