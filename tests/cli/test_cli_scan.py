"""``scan``: what is here, in words and as JSON, and what to type next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.errors import ConnectError
from smpdfu.link.ble.search import Found
from smpdfu.link.serial import pipe as serial_pipe
from smpdfu.local.doctor.usb_vendors import board_of

if TYPE_CHECKING:
    from tests.cli.conftest import Call

PORTS = (
    serial_pipe.PortInfo("/dev/ttyUSB9", "something", usb_id="ffff:0001"),
    serial_pipe.PortInfo("/dev/ttyACM0", "J-Link", "000960012345", "1366:1051"),
    serial_pipe.PortInfo("/dev/ttyS0", "ttyS0"),
)


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_pipe, "list_serial_ports", lambda: PORTS)


@pytest.fixture
def air(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is heard on Bluetooth, or the error; ``scan`` listens to it in place of a radio."""
    heard: list[Any] = []

    async def listen(seconds: float, backends: object) -> tuple[Found, ...]:
        for one in heard:
            if isinstance(one, Exception):
                raise one
        return tuple(heard)

    monkeypatch.setattr("smpdfu.link.ble.pipe.scan", listen)
    return heard


def found(smpdfu: Call, *options: str) -> list[str]:
    return [one["address"] for one in smpdfu("scan", "--json", *options).document["devices"]]


@pytest.mark.usefixtures("ports")
def test_boards_come_first_and_built_in_ports_on_demand(smpdfu: Call) -> None:
    assert found(smpdfu, "--seconds", "0") == ["serial:/dev/ttyACM0", "serial:/dev/ttyUSB9"]
    assert "serial:/dev/ttyS0" in found(smpdfu, "--seconds", "0", "--all")
    row = smpdfu("scan", "--json", "--seconds", "0").document["devices"][0]
    assert (row["usb_id"], row["serial_number"]) == ("1366:1051", "000960012345")
    assert row["what"].startswith("SEGGER J-Link")


@pytest.mark.usefixtures("ports")
def test_it_says_what_to_type(smpdfu: Call, air: list[Any]) -> None:
    air.append(Found("DK", "F0:00:00:00:00:01", -50))
    done = smpdfu("scan")
    assert "Next: `smpdfu list --to serial:/dev/ttyACM0`" in done.err
    assert "ble:F0:00:00:00:00:01" in done.out
    assert "DK, -50 dBm" in done.out


@pytest.mark.usefixtures("ports")
def test_a_secure_dfu_bootloader_is_named_with_its_command(smpdfu: Call, air: list[Any]) -> None:
    air += [Found("DfuTarg", "F0:00:00:00:00:02", -40, secure_dfu=True), Found("DK", "F0:00:00:00:00:01", -50)]
    done = smpdfu("scan")
    assert "Secure DFU bootloader (nRF5 SDK): DfuTarg, -40 dBm" in " ".join(done.out.split())
    assert "`smpdfu list --to serial:/dev/ttyACM0` or `smpdfu secure-dfu send PACKAGE.zip --to" in done.err
    assert "--to ble:F0:00:00:00:00:02`" in done.err
    rows = smpdfu("scan", "--json").document["devices"]
    assert [row["secure_dfu"] for row in rows if row["kind"] == "ble"] == [True, False]


def test_no_smp_command_for_a_secure_dfu_bootloader_alone(
    smpdfu: Call, air: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_pipe, "list_serial_ports", lambda: ())
    air.append(Found("DfuTarg", "F0:00:00:00:00:02", -40, secure_dfu=True))
    assert "Next: `smpdfu secure-dfu send PACKAGE.zip --to ble:F0:00:00:00:00:02`" in smpdfu("scan").err


def test_nothing_is_told_as_nothing(smpdfu: Call, air: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_pipe, "list_serial_ports", lambda: ())
    done = smpdfu("scan")
    assert (done.code, done.out) == (0, "No devices found.\n")
    assert "smpdfu doctor" in done.err


def test_without_bluetooth_the_rest_is_shown(smpdfu: Call, air: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smpdfu.local.doctor.checks.why_no_bluetooth", lambda system: None)
    air.append(ConnectError("cannot look for Bluetooth devices: it is switched off"))
    done = smpdfu("scan")
    assert done.code == 0
    assert "it is switched off. `smpdfu doctor` shows" in done.err
    assert smpdfu("scan", "--json").document["bluetooth"].endswith("switched off")


def test_virtual_devices_are_here(smpdfu: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_pipe, "list_serial_ports", lambda: ())
    assert smpdfu("virtual", "new", "desk").code == 0
    assert found(smpdfu, "--seconds", "0") == ["virtual:desk"]
    from smpdfu.virtual.store.devices import open_device

    with open_device("desk") as device:
        served = {
            "/dev/pts/7": "serial:/dev/pts/7",
            "serial:/dev/pts/7?framing=raw": "serial:/dev/pts/7?framing=raw",
            "udp:127.0.0.1:1337": "udp:127.0.0.1:1337",
        }
        for port, address in served.items():  # its name would be refused
            device.announce(port)
            assert found(smpdfu, "--seconds", "0") == [address]


def test_a_virtual_nrf52_is_named_with_its_command(smpdfu: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_pipe, "list_serial_ports", lambda: ())
    assert smpdfu("virtual", "new", "lamp", "--layout", "nrf52840-secure-dfu").code == 0
    from smpdfu.virtual.store.nrf52 import open_nrf52

    with open_nrf52("lamp") as device:
        device.announce("/dev/pts/7")
        done = smpdfu("scan", "--seconds", "0")
    assert "virtual nRF52 with Secure DFU lamp" in " ".join(done.out.split())
    assert "Next: `smpdfu secure-dfu send PACKAGE.zip --to serial:/dev/pts/7`" in done.err


def test_a_name_from_the_air_moves_no_cursor(smpdfu: Call, air: list[Any]) -> None:
    air.append(Found("\x1b[2J[red]x", "F0:00:00:00:00:01", -50))
    done = smpdfu("scan")
    assert "\x1b" not in done.out
    assert "[red]x" in done.out


def test_boards_are_known_by_their_makers() -> None:
    assert "Nordic" in str(board_of("1915:521F"))
    assert board_of("ffff:0001") is None
    assert board_of(None) is None
