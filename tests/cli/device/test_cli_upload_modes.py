"""``virtual new --mode``, ``upload`` and the rest on virtual devices whose bootloader swaps nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.virtual.store import devices as store_devices

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.cli.conftest import Call
    from tests.cli.device.conftest import InMode, ModeDesk

MODES = ["direct-xip", "direct-xip-revert", "ram-load"]
ACTIVE = "active confirmed"


@pytest.fixture(params=MODES)
def desk(request: pytest.FixtureRequest, in_mode: InMode) -> ModeDesk:
    """A device in each mode that starts either slot."""
    return in_mode(request.param)


@pytest.fixture
def one_slot(in_mode: InMode) -> ModeDesk:
    """A device with one slot."""
    return in_mode("single-slot")


def test_a_higher_version_runs_from_the_slot_that_it_was_uploaded_to(desk: ModeDesk) -> None:
    for version, slot in (("2.0.0", 1), ("3.0.0", 0), ("3.0.1", 1)):
        said = desk.json("upload", desk.made_for(slot, version), "--confirm")
        assert (said["running"], said["slot"]) == (True, slot)
        shown = json.loads(desk.run("virtual", "show", desk.name, "--json").out)
        assert [one["active"] for one in shown["slots"]] == [slot == 0, slot == 1]
        assert [flags for place, _, flags in desk.slots() if place == slot] == [ACTIVE]
    assert f"{desk.mode}" in desk.run("virtual", "show", desk.name).out
    assert "3.0.1, runs" in desk.run("virtual", "show", desk.name).out


def test_an_image_of_a_stranger_leaves_the_old_one_running(desk: ModeDesk, soon: None) -> None:
    refused = desk.call("upload", desk.made_for(1, "2.0.0", key=generate("ecdsa-p256")), "--confirm")
    assert refused.code == 7
    assert desk.slots() == [(0, "1.0.0", ACTIVE)]


@pytest.mark.parametrize("version", ["0.9.0", "1.0.0+7"])
def test_a_version_that_would_not_start_is_refused_before_it_is_sent(desk: ModeDesk, version: str) -> None:
    refused = desk.call("upload", desk.made_for(1, version), "--confirm")
    assert refused.code == 6
    assert "starts the highest version. 1.0.0 runs" in refused.sentence
    assert desk.slots() == [(0, "1.0.0", ACTIVE)]


def test_a_power_cut_in_an_upload_is_mended_by_the_next_one(desk: ModeDesk) -> None:
    assert desk.run("virtual", "cut", desk.name, "--after", 3).code == 0
    desk.call("upload", desk.made_for(1, "2.0.0"), "--confirm", "--boot-timeout", 1)
    assert desk.json("upload", desk.made_for(1, "2.0.0"), "--confirm")["running"] is True
    assert (1, "2.0.0", ACTIVE) in desk.slots()


def test_with_revert_a_test_that_is_not_confirmed_ends(in_mode: InMode) -> None:
    desk = in_mode("direct-xip-revert")
    desk.json("upload", desk.made_for(1, "2.0.0"), "--test")
    shown = json.loads(desk.run("virtual", "show", desk.name, "--json").out)
    assert shown["next_boot"] == "test"
    for listed in ([(0, "1.0.0", "confirmed"), (1, "2.0.0", "active")], [(0, "1.0.0", ACTIVE)]):
        assert desk.run("virtual", "reset", desk.name).code == 0
        assert desk.slots() == listed


def test_an_image_for_the_other_slot_is_loaded_where_its_code_belongs(in_mode: InMode) -> None:
    desk = in_mode("direct-xip")
    assert desk.run("virtual", "load", desk.name, desk.made_for(1, "2.0.0")).code == 0
    assert desk.slots() == [(0, "1.0.0", ""), (1, "2.0.0", ACTIVE)]


def test_one_slot_is_shown_and_only_recovery_writes_it(one_slot: ModeDesk) -> None:
    assert one_slot.slots() == [(0, "1.0.0", ACTIVE)]
    shown = json.loads(one_slot.run("virtual", "show", one_slot.name, "--json").out)
    assert [(one["name"], one["size_bytes"]) for one in shown["slots"]] == [("primary", 0xF_4000)]
    refused = one_slot.call("upload", one_slot.made_for(0, "2.0.0"), "--confirm")
    assert refused.code == 6
    assert "from which the application runs, and MCUboot's serial recovery replaces it" in refused.sentence
    assert one_slot.slots() == [(0, "1.0.0", ACTIVE)]
    assert one_slot.call("reset", "--boot-mode", 1).code == 0
    assert one_slot.call("upload", one_slot.made_for(0, "2.0.0"), "--recovery").code == 0
    assert one_slot.call("reset").code == 0
    assert one_slot.slots() == [(0, "2.0.0", ACTIVE)]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--mode", "direct-xip", "--enc-key", "{key}"), "cannot decrypt in direct-xip mode"),
        (("--mode", "direct-xip", "--prevent-downgrade", "version"), "no downgrade prevention in direct-xip mode"),
        (("--mode", "ram-load", "--layout", "nrf5340dk-simultaneous"), "2 image pairs, and ram-load takes one"),
        (("--mode", "swap-move", "--layout", "nrf5340dk-single-slot"), "no secondary slot, unlike swap-move"),
    ],
)
def test_what_no_bootloader_is_built_for_makes_no_device(
    smpdfu: Call, trusted: tuple[PrivateKey, PrivateKey], tmp_path: Path, options: tuple[str, ...], reason: str
) -> None:
    key = tmp_path / "encryption.pem"
    key.write_bytes(trusted[1].to_private_pem())
    refused = smpdfu("virtual", "new", "desk", *(option.format(key=key) for option in options))
    assert refused.code == 2
    assert reason in refused.err
    assert store_devices.list_devices() == ()
