"""``upload --recovery``: a device in MCUboot's serial recovery, met with and without being asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.package import Core
from smpdfu.image.keys import generate
from smpdfu.virtual import store

if TYPE_CHECKING:
    from tests.cli.device.conftest import Desk

RUNS_1 = (0, "1.0.0", "active confirmed")


@pytest.fixture
def recovering(desk: Desk) -> Desk:
    """The device in recovery, by a reset with a boot mode."""
    assert desk.call("reset", "--boot-mode", 1, "--no-wait").code == 0
    return desk


def test_an_application_is_written_and_boots(recovering: Desk) -> None:
    sent = recovering.json("upload", recovering.image(), "--recovery")
    assert {key: sent[key] for key in ("image", "version", "verified", "recovery", "retries")} == {
        "image": 1,
        "version": "2.0.0",
        "verified": True,
        "recovery": True,
        "retries": 0,
    }
    assert recovering.call("reset", "--no-wait").code == 0
    assert recovering.slots() == [(0, "2.0.0", "active confirmed")]


def test_a_network_image_goes_to_the_network_core_by_itself(recovering: Desk) -> None:
    before = recovering.flash()
    sent = recovering.json("upload", recovering.image(Core.NET), "--recovery")
    assert (sent["image"], sent["verified"]) == (3, False)
    assert recovering.net_holds("2.0.0")
    assert recovering.flash() == before


@pytest.mark.parametrize("number", [1, 2])
def test_a_network_image_is_never_sent_to_the_applications_slots(recovering: Desk, number: int) -> None:
    before = recovering.flash()
    for extra in ((), ("--force",)):
        refused = recovering.call("upload", recovering.image(Core.NET), "--recovery", "-n", number, *extra)
        assert refused.code == 6
        assert "which it would overwrite: nothing was written. Send it with -n 3" in refused.sentence
    assert recovering.flash() == before


def test_recovery_that_is_met_unasked_is_left_alone(recovering: Desk) -> None:
    before = recovering.flash()
    refused = recovering.call("upload", recovering.image())
    assert refused.code == 6
    assert "is in MCUboot's serial recovery, where an upload overwrites what runs" in refused.sentence
    assert "Add --recovery" in refused.sentence
    assert recovering.flash() == before


def test_recovery_that_is_not_there_is_not_made_up(desk: Desk) -> None:
    refused = desk.call("upload", desk.image(), "--recovery")
    assert refused.code == 6
    assert "is not in serial recovery: nothing was written" in refused.sentence
    assert desk.slots() == [RUNS_1]


@pytest.mark.parametrize("extra", [("--test",), ("--confirm",), ("--slot", 1)])
def test_what_recovery_does_not_have_is_a_usage_error(desk: Desk, extra: tuple[object, ...]) -> None:
    refused = desk.call("upload", desk.image(), "--recovery", *extra)
    assert refused.code == 2
    assert "serial recovery has no --test, --confirm or --slot" in " ".join(refused.err.split())


def test_an_image_that_the_bootloader_does_not_take_is_told_of(recovering: Desk) -> None:
    refused = recovering.call("upload", recovering.image(key=generate("ecdsa-p256")), "--recovery")
    assert refused.code == 3
    assert "does not accept it (another key" in refused.sentence
    assert recovering.call("upload", recovering.image(), "--recovery").code == 0


def test_the_list_of_a_bootloader_has_no_flags(recovering: Desk) -> None:
    listed = recovering.call("list")
    assert listed.code == 0
    assert "1.0.0" in listed.out
    assert "not bootable" not in listed.out


def test_update_refuses_a_device_in_recovery(recovering: Desk) -> None:
    before = recovering.flash()
    refused = recovering.call("update", recovering.package())
    assert refused.code == 6
    assert "recovery" in refused.err
    assert recovering.flash() == before


def test_a_device_that_is_run_in_recovery_says_so(desk: Desk) -> None:
    with store.open_device(desk.name) as device:
        device.enter_recovery()
        assert list(device.log)[-1] == "I: Enter the serial recovery mode"
    assert json.loads(desk.call("list", "--json").out)["images"][0]["active"] is False
