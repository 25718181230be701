"""``smpdfu virtual`` with an nRF52 that has the secure bootloader of the nRF5 SDK."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.device_scan import virtual_devices
from smpdfu.image.files import encode_firmware
from smpdfu.image.hexfile import Segment
from smpdfu.virtual.chip.flash import PowerCut
from smpdfu.virtual.nrf52.settings import read_pages
from smpdfu.virtual.nrf52.softdevice import make_softdevice
from smpdfu.virtual.store import nrf52
from smpdfu.virtual.store.kinds import smp_devices
from smpdfu.virtual.store.names import list_devices
from tests.virtual.nrf52.nrf52_bench import S140_7_2, firmware

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

LAYOUT = ("--layout", "nrf52840-secure-dfu")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "app.bin"
    path.write_bytes(firmware(0x1000, 1))
    return path


@pytest.fixture
def old(smpdfu: Call, keys: Keys, app: Path) -> str:
    """A device that runs an application."""
    smpdfu("virtual", "new", "old", *LAYOUT, "-k", keys.signing, "--app", app)
    return "old"


def shown(smpdfu: Call, name: str) -> Any:
    return json.loads(done(smpdfu, "virtual", "show", name, "--json"))


def done(smpdfu: Call, *words: object) -> str:
    """The standard output of a command that ends well."""
    result = smpdfu(*words)
    assert result.code == 0, result.err
    return result.out


def test_a_new_device_runs_its_application(smpdfu: Call, old: str) -> None:
    found = shown(smpdfu, old)
    assert (found["layout"], found["ending"], found["app_runs"]) == ("nrf52840-secure-dfu", "application", True)
    assert (found["hw_version"], found["transport"], found["trusts_key"]) == (52, "uart", True)
    assert found["application"]["address"] == 0x1000
    words = done(smpdfu, "virtual", "show", old)
    assert "the application" in words
    assert "version 1, 0x1000 to 0x3000" in words


def test_without_an_application_it_waits_in_dfu_mode(smpdfu: Call, keys: Keys) -> None:
    options = ("-k", keys.signing, "--softdevice", "s140 7.2.0", "--json")
    found = json.loads(done(smpdfu, "virtual", "new", "bare", *LAYOUT, *options))
    assert found["ending"] == "dfu"
    assert found["softdevice"] == {"firmware_id": 0x100, "version": 7_002_000, "end": 0x27000}


def test_the_button_starts_dfu_mode_until_the_next_reset(smpdfu: Call, old: str) -> None:
    assert "DFU mode" in done(smpdfu, "virtual", "reset", old, "--button")
    assert shown(smpdfu, old)["ending"] == "dfu"
    smpdfu("virtual", "reset", old)
    assert shown(smpdfu, old)["ending"] == "application"


def test_list_log_and_delete_take_both_kinds(smpdfu: Call, old: str) -> None:
    smpdfu("virtual", "new", "desk")
    rows = json.loads(done(smpdfu, "virtual", "list", "--json"))["devices"]
    assert [(row["name"], row["layout"], row["app_runs"]) for row in rows] == [
        ("desk", "nrf5340dk-staged", False),
        ("old", "nrf52840-secure-dfu", True),
    ]
    assert "start the application at 0x1000" in done(smpdfu, "virtual", "log", old)
    smpdfu("virtual", "delete", old)
    assert [row["name"] for row in json.loads(done(smpdfu, "virtual", "list", "--json"))["devices"]] == ["desk"]


def test_load_replaces_the_application_and_the_settings_say_so(smpdfu: Call, old: str, tmp_path: Path) -> None:
    path = tmp_path / "new.hex"
    path.write_bytes(encode_firmware((Segment(0x1000, firmware(0x1000, 2, 5000)),), path))
    assert "Its application runs" in done(smpdfu, "virtual", "load", old, path)
    assert shown(smpdfu, old)["application"]["size_bytes"] == 5000


def test_load_writes_a_hex_with_other_addresses_as_it_is(smpdfu: Call, old: str, tmp_path: Path) -> None:
    path = tmp_path / "softdevice.hex"
    path.write_bytes(encode_firmware((Segment(0x0, bytes(4096) + make_softdevice(S140_7_2)),), path))
    smpdfu("virtual", "load", old, path)
    found = shown(smpdfu, old)
    assert found["softdevice"]["firmware_id"] == 0x100
    assert found["ending"] == "dfu"  # the application is where the SoftDevice is now


def test_dump_gives_the_settings_page(smpdfu: Call, old: str, tmp_path: Path) -> None:
    path = tmp_path / "page.bin"
    smpdfu("virtual", "dump", old, "--region", "bootloader settings", "-o", path)
    page = path.read_bytes()
    assert read_pages(page, page).app_version == 1
    shown_bytes = done(smpdfu, "virtual", "dump", old, "--address", "0x1000", "--size", "16")
    assert shown_bytes.startswith("00001000  ")


def test_a_cut_takes_the_power_and_a_reset_gives_it_back(smpdfu: Call, old: str) -> None:
    done(smpdfu, "virtual", "cut", old, "--after", "0")
    with nrf52.open_nrf52(old, switch_on=False) as device:
        device.chip.settings.app_version += 1
        with pytest.raises(PowerCut):
            device.chip.save_settings()
    done(smpdfu, "virtual", "reset", old)
    assert shown(smpdfu, old)["ending"] == "application"


# --- what does not apply --------------------------------------------------------------------------------------------


def test_commands_that_speak_smp_say_what_the_device_is(smpdfu: Call, old: str) -> None:
    result = smpdfu("list", "--to", f"virtual:{old}")
    assert "is an nRF52 with a Secure DFU bootloader" in result.refused(4)
    assert "smpdfu secure-dfu send" in result.err


def test_scan_and_the_choice_of_a_device_leave_it_out(smpdfu: Call, old: str) -> None:
    done(smpdfu, "virtual", "new", "desk")
    assert [one.name for one in virtual_devices()] == ["desk"]
    assert smp_devices() == ("desk",)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--mode", "swap-move"), "--mode is for an nRF5340"),
        (("--net-key", "x.pem"), "--net-key is for an nRF5340"),
        (("--buffers", "2"), "--buffers is for an nRF5340"),
        (("--demo",), "--demo is for an nRF5340"),
        (("--softdevice", "s140 99"), "is not known"),
    ],
)
def test_new_names_an_option_that_does_not_apply(smpdfu: Call, options: tuple[str, ...], named: str) -> None:
    assert named in smpdfu("virtual", "new", "old", *LAYOUT, *options).refused(2)
    said = smpdfu("virtual", "new", "desk", "--softdevice", "s140 7.2.0").refused(2)
    assert "--softdevice works only with --layout nrf52840-secure-dfu" in said


@pytest.mark.parametrize("option", ["--raw", "--shell-uart", "--recovery", "--udp=0", "--copies=2"])
def test_run_names_a_wire_that_the_device_does_not_have(smpdfu: Call, old: str, option: str) -> None:
    said = smpdfu("virtual", "run", old, option).refused(2)
    assert f"{option.partition('=')[0]} is for an nRF5340" in said


def test_run_names_the_wire_that_the_bootloader_is_built_for(smpdfu: Call, old: str, keys: Keys) -> None:
    assert "has no Bluetooth" in smpdfu("virtual", "run", old, "--ble-hci", "usb:0").refused(2)
    smpdfu("virtual", "new", "air", *LAYOUT, "-k", keys.signing, "--dfu-wire", "ble")
    assert "is built for Bluetooth and has no serial line" in smpdfu("virtual", "run", "air").refused(2)
    smpdfu("virtual", "new", "desk")
    assert "commands of their own" in smpdfu("virtual", "run", "desk", old).refused(2)


def test_a_key_of_another_kind_is_refused(smpdfu: Call, tmp_path: Path) -> None:
    key = tmp_path / "ed.pem"
    smpdfu("keygen", "-t", "ed25519", "-k", key)
    assert "trusts only ecdsa-p256 keys" in smpdfu("virtual", "new", "old", *LAYOUT, "-k", key).refused(2)
    assert list_devices() == ()
