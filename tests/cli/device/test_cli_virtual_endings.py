"""``smpdfu virtual show``: how the last boot ended, whoever has the device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.package.images import Core
from smpdfu.image.keys.keys import generate
from smpdfu.virtual.boot.build import BootOptions
from smpdfu.virtual.boot.network.netcore import B0n
from smpdfu.virtual.store import devices as store_devices
from tests.cli.device.preflight_bench import SIMULTANEOUS, STAGED, Bench, Built
from tests.dfu.conftest import Maker

if TYPE_CHECKING:
    from tests.cli.conftest import Call

SILENT, REFUSING = BootOptions(b0n=B0n.SILENT), BootOptions(b0n=B0n.REFUSES)


@pytest.fixture
def make(smpdfu: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    keys = Maker(generate("ecdsa-p256"), generate("ecdsa-p256"))
    return Bench(smpdfu, tmp_path, keys, Built(), monkeypatch, generate("ecdsa-p256"))


def network_image_waits(bench: Bench, number: int = 0) -> None:
    """The network core's image is marked, as by an update, and not restarted yet."""
    with store_devices.open_device("desk") as device:
        data = bench.data(Core.NET, "2.0.0", counter=1)
        slot = device.images[number].secondary
        slot.area.program(0, data + b"\xff" * (-len(data) % 4))
        slot.set_pending(permanent=False, image=number)


def application_is_linked_elsewhere(bench: Bench) -> None:
    with store_devices.open_device("desk") as device:
        device.load_app(bench.data(address=0x9_0200, counter=1))


def application_is_gone(bench: Bench) -> None:
    with store_devices.open_device("desk") as device:
        device.images[0].primary.area.erase_all()


ROWS = [
    (Built(), lambda bench: None, "runs", "application core: runs"),
    (Built(options=SILENT), network_image_waits, "hang", "waits for the network core forever"),
    (Built(SIMULTANEOUS, options=REFUSING), lambda bench: network_image_waits(bench, 1), "assert", "at an assertion"),
    (Built(), application_is_linked_elsewhere, "crash", "is for another slot"),
    (Built(), application_is_gone, "no image", "found no image"),
]


@pytest.mark.parametrize(("built", "prepare", "ending", "words"), ROWS, ids=[row[2] for row in ROWS])
def test_how_the_last_boot_ended(make: Bench, built: Built, prepare: object, ending: str, words: str) -> None:
    make.built = built
    make.start()
    assert callable(prepare)
    prepare(make)
    assert make.run("virtual", "reset", "desk").code == 0
    shown = make.run("virtual", "show", "desk", "--json").document
    assert (shown["ending"], shown["app_runs"], shown["powered"]) == (ending, ending == "runs", True)
    assert words in " ".join(make.run("virtual", "show", "desk").out.split())
    with store_devices.open_device("desk"):  # the same where another process serves it
        assert make.run("virtual", "show", "desk", "--json").document["ending"] == ending
    assert make.run("virtual", "show", "desk", "--json").document["ending"] == ending


def test_what_is_off_or_in_recovery_is_said(make: Bench) -> None:
    make.built = Built(STAGED)
    make.start()
    make.do("reset", "--boot-mode", "1")
    shown = make.run("virtual", "show", "desk", "--json").document
    assert (shown["ending"], shown["app_runs"]) == ("recovery", False)
    assert "in MCUboot's serial recovery" in " ".join(make.run("virtual", "show", "desk").out.split())
    with store_devices.open_device("desk"):
        assert make.run("virtual", "show", "desk", "--json").document["ending"] == "recovery"
