"""Stored devices whose bootloader starts either slot, or has one: what runs outlasts the process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from smpdfu.errors import ConnectError
from smpdfu.image.format import Version
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.layout import LAYOUTS
from smpdfu.virtual.report import report
from smpdfu.virtual.store import devices as store_devices
from smpdfu.virtual.store.devices import Recipe, StoredDevice

if TYPE_CHECKING:
    from tests.virtual.virtual_bench import SIGNING, Bench
else:
    from virtual_bench import SIGNING, Bench

KEYS = (SIGNING.public.to_pem().decode(),)
LAYOUT = "nrf5340dk-direct-xip"
DK = Bench(LAYOUTS[LAYOUT])


def image(number: int, major: int) -> bytes:
    """An application for slot ``number`` of the DK."""
    return DK.linked_image(DK.layout.images[0].places[number].start + 0x200, version=Version(major))


@pytest.fixture
def desk() -> str:
    """A device that runs version 2 from its secondary slot, with its power on."""
    store_devices.create("desk", Recipe(LAYOUT, KEYS))
    with store_devices.open_device("desk", switch_on=False) as device:
        for number in (0, 1):
            device.load_app(image(number, number + 1))
        device.reset()
        assert runs_from(device) == 1
    return "desk"


def runs_from(device: StoredDevice) -> int | None:
    return None if device.running is None else device.running.slot


def test_the_slot_that_runs_outlasts_the_process(desk: str) -> None:
    for _ in range(2):
        with store_devices.open_device(desk) as device:
            assert runs_from(device) == 1
            assert device.application.images.active == 1
            assert device.running is not None
            assert device.running.header.version.major == 2


def test_a_view_shows_which_slot_runs_whoever_has_the_device(desk: str) -> None:
    assert [slot.active for slot in report(store_devices.view_device(desk)).slots] == [False, True]
    with store_devices.open_device(desk):
        assert [slot.active for slot in report(store_devices.view_device(desk)).slots] == [False, True]


@pytest.mark.parametrize(("told", "slot"), [(None, 0), (0, 0), (1, 1), (7, 0), ("1", 0)])
def test_a_state_without_a_slot_or_with_a_strange_one_means_the_primary_slot(
    desk: str, told: object, slot: int
) -> None:
    path = store_devices.home() / desk / "ram.json"
    ram = json.loads(path.read_text())
    del ram["slot"]
    path.write_text(json.dumps(ram if told is None else ram | {"slot": told}))
    with store_devices.open_device(desk) as device:
        assert runs_from(device) == slot


def test_a_state_that_names_a_slot_that_is_not_there_means_the_one_that_is() -> None:
    store_devices.create("one", Recipe("nrf5340dk-single-slot", KEYS))
    with store_devices.open_device("one", switch_on=False) as device:
        device.load_app(image(0, 1))
        device.reset()
    path = store_devices.home() / "one" / "ram.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"slot": 1}))
    with store_devices.open_device("one") as device:
        assert runs_from(device) == 0


@pytest.mark.parametrize("mode", [mode for mode in BootMode if mode is not BootMode.SCRATCH])
def test_a_mode_is_kept_by_its_name(mode: BootMode) -> None:
    store_devices.create("any", Recipe("nrf5340dk-staged", KEYS, mode=str(mode)))
    found = store_devices.view_device("any")
    assert (found.layout.mode, report(found).mode) == (mode, str(mode))
    assert len(report(found).slots) == (1 if mode.has_one_slot else 2)


def test_an_unknown_mode_is_one_sentence(desk: str) -> None:
    path = store_devices.home() / desk / "device.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mode": "by-hand"}))
    with pytest.raises(ConnectError, match="by-hand"):
        store_devices.view_device(desk)
