"""``reset``: what became of an image that waited for it, and devices that list none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.package import Core
from smpdfu.image.keys import generate
from smpdfu.smp.groups.image import SlotInfo, StateRead, StateWrite
from smpdfu.virtual import application, store

if TYPE_CHECKING:
    from tests.cli.device.conftest import Desk


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
    assert "2.0.0 runs on trial; `smpdfu confirm` keeps it, the next reset brings back 1.0.0" in shown.out
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
    boots = "".join(store.read_log(desk.name)).count("Booting MCUboot")
    assert desk.json("reset") == {"reset": True}
    assert "the device is back and answers" in desk.call("reset").out
    assert desk.call("info", "--reset").code == 0
    assert "".join(store.read_log(desk.name)).count("Booting MCUboot") == boots + 3
