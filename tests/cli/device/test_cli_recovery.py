"""``upload --recovery``: a device in MCUboot's serial recovery, met with and without being asked for."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from smpdfu import ImageError, ImageNote, ImageStage, LinkLostError, PlanError, UploadProgress, Wanted, recover_image
from smpdfu.dfu.package.images import Core
from smpdfu.image.keys.keys import generate
from smpdfu.virtual.server.serial_recovery import RecoveryBuild
from smpdfu.virtual.store import devices as store_devices

if TYPE_CHECKING:
    from smpdfu import ImageEvent
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
        "image": 0,
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


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_network_image_is_never_sent_to_the_applications_slots(recovering: Desk, number: int) -> None:
    before = recovering.flash()
    for extra in ((), ("--force",)):
        refused = recovering.call("upload", recovering.image(Core.NET), "--recovery", "-n", number, *extra)
        assert refused.code == 6
        assert "which it would overwrite: nothing was written. Send it to image 3" in refused.sentence
        assert "Use -n 3." in refused.err
    assert recovering.flash() == before


# --- builds without direct upload, which is MCUboot's default -------------------------------------------------------


@pytest.fixture
def plain(recovering: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A device in recovery without direct upload and without slot info."""
    monkeypatch.setattr("smpdfu.virtual.device.DEFAULT_BUILD", RecoveryBuild(direct_upload=False))
    return recovering


@pytest.mark.parametrize("number", [(), ("-n", 0)], ids=["no number", "number 0"])
def test_without_direct_upload_the_application_is_written(plain: Desk, number: tuple[object, ...]) -> None:
    sent = plain.json("upload", plain.image(), "--recovery", *number)
    assert (sent["image"], sent["verified"]) == (0, True)
    assert plain.call("reset", "--no-wait").code == 0
    assert plain.slots() == [(0, "2.0.0", "active confirmed")]


@pytest.mark.parametrize("number", [(), ("-n", 3)], ids=["no number", "number 3"])
def test_without_direct_upload_the_network_core_cannot_be_written(plain: Desk, number: tuple[object, ...]) -> None:
    before = plain.flash()
    refused = plain.call("upload", plain.image(Core.NET), "--recovery", *number)
    assert refused.code == 5
    assert "EINVAL" in refused.sentence
    assert "has no direct upload and cannot write net-2.0.0.bin to the network core" in refused.sentence
    assert "nothing was written. Start the application and update the network core through it" in refused.sentence
    assert "Upload a signed image" not in refused.err, "it is one"
    assert plain.flash() == before
    assert plain.net_holds("1.0.0")


@pytest.mark.parametrize("number", [(), ("-n", 3)], ids=["no number", "number 3"])
def test_what_slot_info_tells_is_said_before_a_byte(
    plain: Desk, number: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    build = RecoveryBuild(direct_upload=False, slot_info=True)
    monkeypatch.setattr("smpdfu.virtual.device.DEFAULT_BUILD", build)
    refused = plain.call("upload", plain.image(Core.NET), "--recovery", *number)
    assert refused.code == 6
    assert "has no direct upload" in refused.sentence
    assert plain.net_holds("1.0.0")
    assert plain.json("upload", plain.image(), "--recovery", "-n", 1)["image"] == 0


def test_each_packet_of_a_network_image_names_its_number(recovering: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bootloaders of before July 2023 take a packet without a number for the application's."""
    monkeypatch.setattr("smpdfu.virtual.device.DEFAULT_BUILD", RecoveryBuild(reads_each=True))
    before = recovering.flash()
    done = recovering.call("upload", recovering.image(Core.NET, size=30_000), "--recovery")
    assert done.code == 0
    assert "do not switch the device off for 30 s" in done.out + done.err
    assert recovering.flash() == before
    assert recovering.net_holds("2.0.0", size=30_000)


@pytest.mark.parametrize("params", [True, False])
def test_recovery_with_the_state_of_images_is_recognised(
    recovering: Desk, params: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = RecoveryBuild(image_state=True, params=params)
    monkeypatch.setattr("smpdfu.virtual.device.DEFAULT_BUILD", build)
    before = recovering.flash()
    assert recovering.slots()[0] == RUNS_1, "it looks like an application"
    for extra in ((), ("--force",), ("--test",), ("--confirm",)):
        refused = recovering.call("upload", recovering.image(Core.NET), *extra)
        assert refused.code == 6
        assert "Use --recovery or `smpdfu reset`." in refused.err
    assert recovering.flash() == before
    assert recovering.json("upload", recovering.image(), "--recovery")["image"] == 0


def test_a_reset_waits_until_the_network_core_has_its_image(
    desk: Desk, started: Callable[..., subprocess.Popen[str]]
) -> None:
    settings = store_devices.home() / desk.name / "device.json"
    found = json.loads(settings.read_text())
    found["resources"]["time_factor"] = 1.0
    settings.write_text(json.dumps(found))
    path = desk.folder / "port"
    process = started("virtual", "run", desk.name, "--recovery", "--link", path, "--json")
    assert process.stdout is not None
    assert process.stdout.readline(), process.communicate()
    assert desk.run("upload", desk.image(Core.NET), "--recovery", "--port", path).code == 0
    done = desk.run("reset", "--port", path, "--no-wait")
    assert done.code == 0
    assert "the bootloader copies an image to the network core: do not switch the device off for 30 s" in done.err


def test_virtual_devices_run_without_direct_upload(desk: Desk, started: Callable[..., subprocess.Popen[str]]) -> None:
    path = desk.folder / "port"
    process = started("virtual", "run", desk.name, "--recovery", "--no-direct-upload", "--link", path, "--json")
    assert process.stdout is not None
    assert process.stdout.readline(), process.communicate()
    assert desk.run("upload", desk.image(Core.NET), "--recovery", "--port", path).code == 5
    assert desk.run("upload", desk.image(), "--recovery", "--port", path).code == 0


# --- what is met ----------------------------------------------------------------------------------------------------


def test_recovery_that_is_met_unasked_is_left_alone(recovering: Desk) -> None:
    before = recovering.flash()
    refused = recovering.call("upload", recovering.image())
    assert refused.code == 6
    assert "is in MCUboot's serial recovery, where an upload overwrites what runs" in refused.sentence
    assert "Use --recovery or `smpdfu reset`." in refused.err
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
    with store_devices.open_device(desk.name) as device:
        device.enter_recovery()
        assert list(device.log)[-1] == "I: Enter the serial recovery mode"
    assert json.loads(desk.call("list", "--json").out)["images"][0]["active"] is False


# --- without the command line -------------------------------------------------------------------------------------


def test_a_program_can_send_an_image_in_recovery(recovering: Desk) -> None:
    events: list[ImageEvent] = []
    done = asyncio.run(recover_image(recovering.address, recovering.image(), watch=events.append))
    assert (done.number, done.accepted, done.verified, done.of_network_core) == (0, True, True, False)
    assert [event for event in events if isinstance(event, ImageStage)] == ["replacing", "sent"]
    progress = [event.off for event in events if isinstance(event, UploadProgress)]
    assert progress[-1] == done.sent.len
    net = asyncio.run(recover_image(recovering.address, recovering.image(Core.NET), watch=events.append))
    assert (net.number, net.accepted, net.verified, net.of_network_core) == (3, None, False, True)
    assert any(isinstance(event, ImageNote) and "do not switch the device off" in event.text for event in events)
    assert recovering.net_holds("2.0.0")


def test_a_program_is_refused_before_anything_is_written(desk: Desk) -> None:
    with pytest.raises(PlanError, match="is not in serial recovery: nothing was written"):
        asyncio.run(recover_image(desk.address, desk.image()))
    for wanted in (Wanted(test=True), Wanted(confirm=True), Wanted(slot=1)):
        with pytest.raises(ValueError, match="no test, no confirmation and no slot"):
            asyncio.run(recover_image(desk.address, desk.image(), wanted=wanted))
    assert desk.slots() == [RUNS_1]


def test_an_image_for_another_device_is_an_error_of_the_image(recovering: Desk) -> None:
    stranger = generate("ecdsa-p256")
    with pytest.raises(ImageError, match="does not accept it"):
        asyncio.run(recover_image(recovering.address, recovering.image(key=stranger)))


def test_what_the_watch_raises_comes_out_of_recovery(recovering: Desk) -> None:
    def watch(event: ImageEvent) -> None:
        if isinstance(event, UploadProgress) and event.off:
            raise LinkLostError("not the device's")

    with pytest.raises(LinkLostError, match="not the device's"):
        asyncio.run(recover_image(recovering.address, recovering.image(), watch=watch))
