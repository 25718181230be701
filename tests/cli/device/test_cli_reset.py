"""``reset``: what became of an image that waited for it, and devices that list none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.package.images import Core
from smpdfu.image.keys.keys import generate
from smpdfu.smp.groups.image import SlotInfo, StateRead, StateWrite
from smpdfu.virtual.boot.network.netcore import B0n
from smpdfu.virtual.server import application
from smpdfu.virtual.store import devices as store_devices

if TYPE_CHECKING:
    from tests.cli.device.conftest import Board, Desk, Serve

STAGED, OVERWRITE = "nrf5340dk-staged", "nrf5340dk-staged-overwrite"


@pytest.mark.parametrize("core", Core)
def test_reset_says_that_the_bootloader_refused_an_image(desk: Desk, core: Core) -> None:
    image = desk.image(core, version="3.0.0", key=generate("ecdsa-p256"))
    desk.json("upload", image, "--test")
    done = desk.call("reset", "--json")
    assert done.code == 7
    assert done.document["error"]["message"] == "the bootloader refused 3.0.0 and erased it; 1.0.0 runs"
    assert "never ran" not in done.document["error"]["next"]
    assert "log" not in done.document["error"]["next"]
    assert [(one["version"], one["became"]) for one in done.document["outcomes"]] == [("3.0.0", "refused")]
    assert [one["version"] for one in done.document["images"]] == ["1.0.0"]
    desk.json("upload", image, "--test")
    shown = desk.call("reset")
    assert shown.refused(7) == "the bootloader refused 3.0.0 and erased it; 1.0.0 runs"
    assert "1.0.0" in shown.out
    assert desk.call("reset").code == 0


def test_reset_says_what_became_of_a_pending_image(desk: Desk) -> None:
    desk.json("upload", desk.image(), "--test")
    shown = desk.call("reset")
    assert shown.code == 0
    assert (
        "2.0.0 runs on trial: confirm it, else the next reset brings back 1.0.0. `smpdfu confirm` confirms it"
        in shown.out
    )
    assert "the trial of 2.0.0 ended without a confirmation; 1.0.0 runs again" in desk.call("reset").out
    desk.json("confirm", desk.json("upload", desk.image())["hash"])
    done = desk.json("reset")
    assert [(one["became"], one["words"]) for one in done["outcomes"]] == [("runs", "2.0.0 runs, confirmed")]
    assert desk.json("reset")["outcomes"] == []


def test_reset_says_what_became_of_a_network_image(desk: Desk) -> None:
    """Swapped bootloaders of some releases keep it in the list either way: the console tells."""
    desk.json("upload", desk.image(Core.NET), "--test")
    done = desk.json("reset")
    assert [(one["became"], one["words"]) for one in done["outcomes"]] == [
        ("taken", "the network core took 2.0.0; 1.0.0 runs")
    ]
    assert desk.net_holds("2.0.0")


def test_a_device_without_images_is_reset(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many applications have no image group."""
    without = (*application.DEFAULT_OPTIONS.without, StateRead, StateWrite, SlotInfo)
    monkeypatch.setattr(application, "DEFAULT_OPTIONS", replace(application.DEFAULT_OPTIONS, without=without))
    boots = "".join(store_devices.read_log(desk.name)).count("Booting MCUboot")
    assert desk.json("reset") == {"reset": True}
    assert "the device is back and answers" in desk.call("reset").out
    assert desk.call("info", "--reset").code == 0
    assert "".join(store_devices.read_log(desk.name)).count("Booting MCUboot") == boots + 3


# --- an image that still waits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("b0n", [B0n.ACCEPTS, B0n.REFUSES], ids=str)
@pytest.mark.parametrize(("loader", "layout"), [("2.5/pm", STAGED), ("3.2/pm", OVERWRITE)])
def test_the_console_tells_what_became_of_an_image_that_still_waits(
    board: Board, loader: str, layout: str, b0n: B0n
) -> None:
    """Loaders of NCS 2.2 to 3.4.0 that overwrite keep it pending whether the network core took it or not."""
    desk = board(loader, layout, b0n)
    desk.json("upload", desk.image(Core.NET), "--test")
    done = desk.call("reset", "--json")
    taken = b0n is B0n.ACCEPTS
    assert desk.net_holds("2.0.0") is taken
    assert [one["became"] for one in done.document["outcomes"]] == ["taken" if taken else "refused"]
    assert done.code == (0 if taken else 7)
    waits = "pending" in desk.slots()[-1][2]
    assert waits is (layout == OVERWRITE or not taken)
    said = done.document["outcomes"][0]["words"] + done.document.get("error", {}).get("message", "")
    assert ("Free the slot: erase it if the firmware allows that" in said) is waits
    typed = done.document["outcomes"][0]["words"] + done.document.get("error", {}).get("next", "")
    assert ("`smpdfu erase` erases the slot" in typed) is waits


@pytest.mark.parametrize("b0n", [B0n.ACCEPTS, B0n.REFUSES], ids=str)
def test_without_the_console_an_image_that_waits_may_have_been_taken(
    board: Board, over_udp: Serve, soon: None, b0n: B0n
) -> None:
    desk = board("3.2/pm", OVERWRITE, b0n)
    address = over_udp(desk)
    assert desk.run("upload", desk.image(Core.NET), "--test", "--to", address).code == 0
    for _ in range(2):
        done = desk.run("reset", "--json", "--to", address)
        assert (done.code, [one["became"] for one in done.document["outcomes"]]) == (0, ["unknown"])
        assert "the network core took it, or it was not installed" in done.document["outcomes"][0]["words"]


def test_a_bootloader_that_swaps_did_not_install_what_still_waits(board: Board, over_udp: Serve, soon: None) -> None:
    """Not a word of a reset that may not have been one: it was asked for twice."""
    desk = board("2.5/pm", b0n=B0n.REFUSES)
    address = over_udp(desk)
    assert desk.run("upload", desk.image(Core.NET), "--test", "--to", address).code == 0
    boots = "".join(store_devices.read_log(desk.name)).count("Starting network core update")
    done = desk.run("reset", "--json", "--to", address)
    assert (done.code, [one["became"] for one in done.document["outcomes"]]) == (7, ["not-installed"])
    assert "2.0.0 was not installed and still waits for the next boot; 1.0.0 runs" in done.document["error"]["message"]
    assert "".join(store_devices.read_log(desk.name)).count("Starting network core update") == boots + 2
    assert desk.net_holds("1.0.0")


def test_a_device_that_stays_away_is_no_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """8 would promise that the same command goes on."""
    monkeypatch.setattr("smpdfu.virtual.device.VirtualNrf5340.reset", lambda self: self._lose_power())
    done = desk.call("reset", "--boot-timeout", "1", "-t", "0.2")
    assert done.code == 4
    assert "the device did not come back within 1 s after the reset" in done.sentence


def test_ctrl_c_does_not_advise_a_reset_that_would_end_a_trial(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.json("upload", desk.image(), "--test")

    async def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("smpdfu.client.client.Client.wait_for_device", interrupted)
    done = desk.call("reset")
    assert done.code == 130
    assert "The device may have restarted: see `smpdfu list`. Another reset would end a trial." in done.err
    assert "Run the same command again" not in done.err
