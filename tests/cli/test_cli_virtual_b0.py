"""``smpdfu virtual`` for a board with NSIB below MCUboot: made, shown, loaded, updated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.format import Version
from smpdfu.image.keys.keys import load_private
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.virtual.chip.layout import NRF5340DK_B0
from smpdfu.virtual.store.sample_firmware import CORES, Core, mcuboot_image, stand_in

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

LAYOUT = ("--layout", "nrf5340dk-b0")
TO = ("--to", "virtual:desk")
CODE = NRF5340DK_B0.primary.start + 0x200


class Files:
    """An application, and MCUboot 2 for both slots: the key that signs also seals."""

    def __init__(self, keys: Keys, folder: Path) -> None:
        key = load_private(keys.signing.read_bytes())
        assert NRF5340DK_B0.nsib is not None
        spec = ImageSpec(Version(1), 0x200, 0, pad_header=True)
        core = Core("application", 0x0, CODE, CORES[0].ram_end)
        self.app = folder / "app.bin"
        self.app.write_bytes(build(spec, stand_in(core, 1), key).to_bytes())
        self.mcuboot = [folder / f"mcuboot-{slot.name}.bin" for slot in NRF5340DK_B0.nsib.slots]
        for path, slot in zip(self.mcuboot, NRF5340DK_B0.nsib.slots, strict=True):
            path.write_bytes(mcuboot_image(2, slot, key, key))


@pytest.fixture
def files(keys: Keys, tmp_path: Path) -> Files:
    return Files(keys, tmp_path)


def b0_of(smpdfu: Call) -> dict[str, object]:
    found: dict[str, object] = json.loads(smpdfu("virtual", "show", "desk", "--json").out)["b0"]
    return found


def running(smpdfu: Call) -> list[str]:
    slots = b0_of(smpdfu)["slots"]
    assert isinstance(slots, list)
    return [slot["name"] for slot in slots if slot["active"]]


def test_a_board_with_b0_updates_its_mcuboot(smpdfu: Call, keys: Keys, files: Files) -> None:
    made = smpdfu(
        "virtual", "new", "desk", *LAYOUT, "-k", keys.signing_public, "--b0-key", keys.signing, "--app", files.app
    )
    assert made.code == 0, made.err
    assert "MCUboot" in made.out
    assert running(smpdfu) == ["s0"]
    assert smpdfu("upload", files.mcuboot[1], "--test", *TO).code == 0
    assert smpdfu("virtual", "reset", "desk").code == 0
    assert running(smpdfu) == ["s1"]
    found = b0_of(smpdfu)
    assert (found["lowest_version"], found["counts_left"], found["error"]) == (2, 238, None)
    log = smpdfu("virtual", "log", "desk").out
    for line in ("Attempting to boot slot 1.", "I: Firmware signature verified.", "Firmware version 2"):
        assert line in log


def test_mcuboot_of_a_file_is_loaded_where_it_is_linked_for(smpdfu: Call, keys: Keys, files: Files) -> None:
    made = smpdfu(
        "virtual",
        "new",
        "desk",
        *LAYOUT,
        "-k",
        keys.signing_public,
        "--b0-key",
        keys.signing_public,
        "--mcuboot",
        files.mcuboot[1],
        "--app",
        files.app,
    )
    assert made.code == 0, made.err
    assert running(smpdfu) == ["s1"]
    assert smpdfu("virtual", "load", "desk", files.mcuboot[0]).code == 0
    assert running(smpdfu) == ["s0"]


def test_a_board_whose_mcuboot_is_gone_says_so(smpdfu: Call, keys: Keys, files: Files) -> None:
    assert smpdfu("virtual", "new", "desk", *LAYOUT, "-k", keys.signing_public, "--app", files.app).code == 0
    blank = files.app.with_name("blank.bin")
    blank.write_bytes(b"\xff" * 64)
    assert smpdfu("virtual", "load", "desk", blank, "--region", "s0").code == 0
    shown = smpdfu("virtual", "show", "desk")
    assert "b0 found no MCUboot that it can start" in shown.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--layout", "nrf5340dk-staged", "--b0-counter-slots", 2), "has no b0"),
        ((*LAYOUT, "--b0-counter-slots", 3), "is even"),
        ((*LAYOUT, "--demo", "--b0-counter-slots", 2), "without b0"),
        ((*LAYOUT, "--ncs", "upstream"), "cannot be started by b0"),
    ],
)
def test_options_that_do_not_fit(smpdfu: Call, options: tuple[object, ...], words: str) -> None:
    made = smpdfu("virtual", "new", "desk", *options)
    assert (made.code, words in " ".join(made.err.split())) == (2, True), made.err


def test_a_public_key_seals_no_sample(smpdfu: Call, keys: Keys) -> None:
    made = smpdfu("virtual", "new", "desk", *LAYOUT, "--b0-key", keys.signing_public)
    assert (made.code, "public key" in made.err) == (2, True)
    assert smpdfu("virtual", "show", "desk").code != 0


def test_a_file_that_is_no_mcuboot_makes_no_board(smpdfu: Call, keys: Keys, files: Files) -> None:
    made = smpdfu("virtual", "new", "desk", *LAYOUT, "--b0-key", keys.signing, "--mcuboot", files.app)
    assert made.code != 0
    assert "no MCUboot for S0 or S1" in made.err
    assert smpdfu("virtual", "show", "desk").code != 0
