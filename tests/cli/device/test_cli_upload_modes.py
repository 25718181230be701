"""``virtual new --mode``, ``upload`` and the rest on virtual devices whose bootloader swaps nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.format import Version
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.virtual.store import devices as store_devices

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.cli.conftest import Call
    from tests.cli.device.conftest import Desk, firmware
else:
    from conftest import Desk, firmware

SLOTS = (0xC000, 0x8_6000)
RAM = 0x2001_0000
MODES = ["direct-xip", "direct-xip-revert", "ram-load"]
ACTIVE = "active confirmed"


class ModeDesk(Desk):
    """A device in a mode; ``mode`` says how its images are linked."""

    mode = ""

    def made_for(self, slot: int, version: str, key: PrivateKey | None = None) -> Path:
        """A signed image for a slot, with the address in its header as the SDK puts it there."""
        in_ram = self.mode == "ram-load"
        start = RAM if in_ram else SLOTS[slot]
        spec = ImageSpec(Version.from_text(version), 0x200, 0, pad_header=True)
        spec = replace(spec, load_addr=RAM) if in_ram else replace(spec, rom_fixed=start)
        path = self.folder / f"{version}-{slot}.bin"
        path.write_bytes(build(spec, firmware(start + 0x200, 3000, ord(version[0])), key or self.key).to_bytes())
        return path


def new_in(mode: str, smpdfu: Call, folder: Path, trusted: tuple[PrivateKey, PrivateKey]) -> ModeDesk:
    """Make a device by the command, which runs version 1.0.0."""
    desk = ModeDesk(smpdfu, "desk", folder, *trusted)
    desk.mode = mode
    key = folder / "key.pem"
    key.write_bytes(desk.key.to_pem())
    made = smpdfu("virtual", "new", "desk", "--mode", mode, "-k", key, "--app", desk.made_for(0, "1.0.0"), "--json")
    assert made.code == 0, made.err
    assert json.loads(made.out)["app_runs"] is True
    return desk


@pytest.fixture(params=MODES)
def desk(
    request: pytest.FixtureRequest, smpdfu: Call, tmp_path: Path, trusted: tuple[PrivateKey, PrivateKey]
) -> ModeDesk:
    return new_in(request.param, smpdfu, tmp_path, trusted)


@pytest.fixture
def one_slot(smpdfu: Call, tmp_path: Path, trusted: tuple[PrivateKey, PrivateKey]) -> ModeDesk:
    return new_in("single-slot", smpdfu, tmp_path, trusted)


def test_a_higher_version_runs_from_the_slot_that_it_was_uploaded_to(desk: ModeDesk) -> None:
    for version, slot in (("2.0.0", 1), ("3.0.0", 0), ("3.0.1", 1)):
        said = desk.json("upload", desk.made_for(slot, version), "--confirm")
        assert (said["running"], said["slot"]) == (True, slot)
        shown = json.loads(desk.run("virtual", "show", desk.name, "--json").out)
        assert [one["active"] for one in shown["slots"]] == [slot == 0, slot == 1]
        assert [flags for place, _, flags in desk.slots() if place == slot] == [ACTIVE]
    assert f"{desk.mode}" in desk.run("virtual", "show", desk.name).out
    assert "3.0.1, runs" in desk.run("virtual", "show", desk.name).out


def test_an_image_of_a_stranger_leaves_the_old_one_running(desk: ModeDesk) -> None:
    refused = desk.call("upload", desk.made_for(1, "2.0.0", key=generate("ecdsa-p256")), "--confirm")
    assert refused.code == 7
    assert desk.slots() == [(0, "1.0.0", ACTIVE)]


def test_a_lower_version_is_refused_before_it_is_sent_where_nothing_else_decides(desk: ModeDesk) -> None:
    refused = desk.call("upload", desk.made_for(1, "0.9.0"), "--confirm")
    assert refused.code in (6, 7)
    assert desk.slots()[0] == (0, "1.0.0", ACTIVE)


@pytest.mark.parametrize("mode", MODES)
def test_a_power_cut_in_an_upload_is_mended_by_the_next_one(
    mode: str, smpdfu: Call, tmp_path: Path, trusted: tuple[PrivateKey, PrivateKey]
) -> None:
    desk = new_in(mode, smpdfu, tmp_path, trusted)
    assert desk.run("virtual", "cut", desk.name, "--after", 3).code == 0
    desk.call("upload", desk.made_for(1, "2.0.0"), "--confirm")
    assert desk.json("upload", desk.made_for(1, "2.0.0"), "--confirm")["running"] is True
    assert (1, "2.0.0", ACTIVE) in desk.slots()


def test_with_revert_a_test_that_is_not_confirmed_ends(
    smpdfu: Call, tmp_path: Path, trusted: tuple[PrivateKey, PrivateKey]
) -> None:
    desk = new_in("direct-xip-revert", smpdfu, tmp_path, trusted)
    desk.json("upload", desk.made_for(1, "2.0.0"), "--test")
    shown = json.loads(desk.run("virtual", "show", desk.name, "--json").out)
    assert shown["next_boot"] == "test"
    for listed in ([(0, "1.0.0", "confirmed"), (1, "2.0.0", "active")], [(0, "1.0.0", ACTIVE)]):
        assert desk.run("virtual", "reset", desk.name).code == 0
        assert desk.slots() == listed


def test_an_image_for_the_other_slot_is_loaded_where_its_code_belongs(
    smpdfu: Call, tmp_path: Path, trusted: tuple[PrivateKey, PrivateKey]
) -> None:
    desk = new_in("direct-xip", smpdfu, tmp_path, trusted)
    assert desk.run("virtual", "load", desk.name, desk.made_for(1, "2.0.0")).code == 0
    assert desk.slots() == [(0, "1.0.0", ""), (1, "2.0.0", ACTIVE)]


def test_one_slot_is_shown_and_only_recovery_writes_it(one_slot: ModeDesk) -> None:
    assert one_slot.slots() == [(0, "1.0.0", ACTIVE)]
    shown = json.loads(one_slot.run("virtual", "show", one_slot.name, "--json").out)
    assert [(one["name"], one["size_bytes"]) for one in shown["slots"]] == [("primary", 0xF_4000)]
    refused = one_slot.call("upload", one_slot.made_for(0, "2.0.0"), "--confirm")
    assert refused.code == 5
    assert one_slot.slots() == [(0, "1.0.0", ACTIVE)]
    assert one_slot.call("reset", "--boot-mode", 1).code == 0
    assert one_slot.call("upload", one_slot.made_for(0, "2.0.0"), "--recovery").code == 0
    assert one_slot.call("reset").code == 0
    assert one_slot.slots() == [(0, "2.0.0", ACTIVE)]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--mode", "firmware-loader"), "no virtual device whose bootloader is built for firmware-loader yet"),
        (("--mode", "direct-xip", "--prevent-downgrade", "version"), "no downgrade prevention in direct-xip mode"),
        (("--mode", "ram-load", "--layout", "nrf5340dk-simultaneous"), "2 image pairs, and ram-load takes one"),
        (("--mode", "swap-move", "--layout", "nrf5340dk-single-slot"), "no secondary slot, unlike swap-move"),
    ],
)
def test_what_no_bootloader_is_built_for_makes_no_device(smpdfu: Call, options: tuple[str, ...], reason: str) -> None:
    refused = smpdfu("virtual", "new", "desk", *options)
    assert refused.code == 2
    assert reason in refused.err
    assert store_devices.list_devices() == ()
