"""``update`` where the upload replaces the application: what a person types, reads and gets as an exit code."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu import install
from smpdfu.dfu.package.images import Core
from smpdfu.image.keys.keys import generate
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.server.serial_recovery import RecoveryBuild
from smpdfu.virtual.store import devices as store_devices
from tests.simulated import simulate_commands

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.cli.device.conftest import Desk, InMode, ModeDesk

ACTIVE = "active confirmed"
RUNS_1, RUNS_2 = [(0, "1.0.0", ACTIVE)], [(0, "2.0.0", ACTIVE)]
APP_ONLY = ("--only", "app")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """In simulated time, with a device that stays in recovery while it has nothing to start."""
    simulate_commands(monkeypatch)
    always = property(lambda self: True, lambda self, value: None)
    monkeypatch.setattr(VirtualNrf5340, "recovers", always, raising=False)


@pytest.fixture
def one_slot(in_mode: InMode) -> ModeDesk:
    return in_mode("single-slot")


@pytest.fixture
def loading(in_mode: InMode) -> ModeDesk:
    """A device with a firmware loader, whose application runs."""
    desk = in_mode("firmware-loader")
    assert desk.run("virtual", "load", desk.name, desk.made_for(1, "7.0.0")).code == 0
    assert desk.slots() == RUNS_1
    return desk


def names(said: dict[str, list[dict[str, str]]]) -> list[str]:
    return [step["name"] for step in said["steps"]]


# --- what is shown --------------------------------------------------------------------------------------------------


def test_the_plan_of_a_device_with_a_firmware_loader(loading: ModeDesk) -> None:
    shown = loading.call("update", loading.package(cores=(Core.APP,)), "--plan")
    assert shown.code == 0, shown.err
    assert "restart the device into its firmware loader" in shown.out
    assert "no application" in " ".join(shown.out.split())
    refused = loading.call("update", loading.package(), "--plan")
    assert refused.code == 6
    assert "no-steps" in refused.out


def test_a_firmware_loader_installs_the_application_once(loading: ModeDesk) -> None:
    said = loading.json("update", loading.package(), *APP_ONLY)
    assert (said["result"], said["method"], said["proven"]) == ("done", "firmware-loader", True)
    assert names(said) == ["enter-loader app", "upload app", "reset app", "check app"]
    assert loading.slots() == RUNS_2
    again = loading.json("update", loading.package(), *APP_ONLY)
    assert (again["result"], again["steps"]) == ("nothing to do", [])


def test_one_slot_is_updated_in_recovery_with_both_cores(one_slot: ModeDesk) -> None:
    package = one_slot.package()
    done = one_slot.call("update", package)
    assert done.code == 0, done.err
    said = " ".join(done.err.split())
    assert "MCUboot's serial recovery replaces what runs, and nothing can be rolled back" in said
    assert "do not switch the device off within 30 s after that upload" in said
    assert "does not report whether the network core took its image" in said
    assert (one_slot.slots(), one_slot.net_holds("2.0.0")) == (RUNS_2, True)
    assert one_slot.json("update", package)["result"] == "nothing to do"
    assert one_slot.call("update", one_slot.package("3.0.0"), "--require-proof").code == 9
    assert one_slot.net_holds("3.0.0")


def test_a_device_that_is_found_in_recovery_needs_the_option(desk: Desk) -> None:
    assert desk.call("reset", "--boot-mode", 1, "--no-wait").code == 0
    refused = desk.call("update", desk.package())
    assert refused.code == 6
    assert "--recovery updates it in serial recovery" in refused.err
    said = desk.json("update", desk.package(), "--recovery")
    assert (said["method"], names(said)[0]) == ("serial-recovery", "upload net")
    assert (desk.slots()[0], desk.net_holds("2.0.0")) == (RUNS_2[0], True)


# --- what is refused ------------------------------------------------------------------------------------------------


def test_without_direct_upload_the_network_image_is_refused_and_the_application_starts_again(
    one_slot: ModeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smpdfu.virtual.device.DEFAULT_BUILD", RecoveryBuild(params=False, direct_upload=False))
    before = one_slot.flash()
    refused = one_slot.call("update", one_slot.package())
    assert refused.code == 6
    assert "it has no direct upload, or no such image" in refused.sentence
    assert "Use --only app." in refused.err
    assert (one_slot.flash(), one_slot.slots()) == (before, RUNS_1)
    assert one_slot.call("update", one_slot.package(), *APP_ONLY).code == 0
    assert one_slot.slots() == RUNS_2


@pytest.mark.parametrize("mode", ["single-slot", "firmware-loader"])
def test_firmware_without_boot_modes_says_what_to_do_by_hand(
    in_mode: InMode, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, real = in_mode(mode), VirtualNrf5340._want_reset
    monkeypatch.setattr(VirtualNrf5340, "_want_reset", lambda self, boot_mode: real(self, 0))
    refused = desk.call("update", desk.package(), *APP_ONLY)
    assert refused.code == 6
    assert "Nothing was written. To start it by hand, hold the" in refused.sentence
    assert desk.slots() == RUNS_1


def test_an_image_that_is_not_started_is_an_error_of_the_image(loading: ModeDesk) -> None:
    stranger = loading._package("stranger.zip", {Core.APP: loading.data(key=generate("ecdsa-p256"))})
    refused = loading.call("update", stranger)
    assert refused.code == 3
    assert "the device stays in its firmware loader" in refused.sentence
    assert loading.call("update", loading.package(), *APP_ONLY).code == 0
    assert loading.slots() == RUNS_2


def test_there_is_no_upload_alone(one_slot: ModeDesk) -> None:
    refused = one_slot.call("update", one_slot.package(), "--upload-only")
    assert refused.code == 6
    assert "Leave --upload-only out." in refused.err


def test_upload_leaves_an_application_alone_and_writes_where_the_loader_answers(loading: ModeDesk) -> None:
    image = loading.made_for(0, "2.0.0")
    for options in ((), ("--confirm",)):
        refused = loading.call("upload", image, *options)
        assert refused.code == 6
        assert "`smpdfu reset --boot-mode 1` starts the loader" in refused.err
    assert loading.slots() == RUNS_1
    assert loading.call("reset", "--boot-mode", 1).code == 0
    said = loading.json("upload", image, "--confirm")
    assert (said["running"], said["slot"], said["marked"]) == (True, 0, None)
    assert loading.slots() == RUNS_2


# --- interrupted ----------------------------------------------------------------------------------------------------


def test_an_update_that_lost_its_power_is_continued_by_the_printed_command(one_slot: ModeDesk) -> None:
    assert one_slot.run("virtual", "cut", one_slot.name, "--after", 40).code == 0
    package = one_slot.package()
    stopped = one_slot.call("update", package, "--loader-to", one_slot.address)
    assert stopped.code == 8, stopped.err
    assert f"--loader-to {one_slot.address} --resume" in stopped.sentence
    assert "hold the recovery button while you restart the device" in stopped.sentence
    done = one_slot.call("update", package, "--resume")
    assert done.code == 0, done.err
    assert (one_slot.slots(), one_slot.net_holds("2.0.0")) == (RUNS_2, True)


def test_an_address_of_the_loader_that_is_none(one_slot: ModeDesk) -> None:
    refused = one_slot.call("update", one_slot.package(), "--loader-to", "nowhere")
    assert refused.code == 2


# --- without the command line ---------------------------------------------------------------------------------------


def test_a_program_names_the_address_of_the_loader(loading: ModeDesk, tmp_path: Path) -> None:
    package = loading.package(cores=(Core.APP,))
    done = asyncio.run(install(loading.address, package, loader_address=loading.address))
    assert (done.changed, done.proven) == (True, True)
    with store_devices.open_device(loading.name) as device:
        assert device.running is not None
        assert device.running.slot == 0
