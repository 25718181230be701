"""What comes back on USB: the bootloader 1915:521f leaves, and something, or nothing, takes its place.

The ports are pyserial's own ``ListPortInfo``, as its listing of a computer's ports has them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from smpdfu.errors import DfuNotStartedError
from smpdfu.link.serial.pipe import list_serial_ports
from smpdfu.link.serial.usb_identity import Port, port_named
from smpdfu.securedfu.send import serial
from smpdfu.securedfu.send.serial import SerialTransport
from smpdfu.securedfu.send.session import Session
from smpdfu.securedfu.send.transport import CameBack
from smpdfu.virtual.nrf52.build import Nrf52Build, Transport
from smpdfu.virtual.nrf52.device import VirtualNrf52
from tests.securedfu.send.dfu_bench import device_in_dfu, package_of, runs_new, served

BOOTLOADER, APPLICATION = 0x521F, 0x520F
Ports = Callable[[str], list[ListPortInfo]]
"""The ports of the computer, by the name of the one that the package was sent to."""


def usb(name: str, product: int, serial_number: str | None = "ABC", location: str = "1-2:1.0") -> ListPortInfo:
    port = ListPortInfo(name)
    port.vid, port.pid, port.serial_number, port.location = 0x1915, product, serial_number, location
    return port


def the_application(_: str) -> list[ListPortInfo]:
    return [usb("/dev/ttyACM9", APPLICATION)]


def the_application_without_a_number(_: str) -> list[ListPortInfo]:
    """It is in the same socket."""
    return [usb("/dev/ttyACM9", APPLICATION, None)]


def another_device(_: str) -> list[ListPortInfo]:
    return [usb("/dev/ttyACM9", APPLICATION, "XYZ", "1-3:1.0")]


def the_bootloader(name: str) -> list[ListPortInfo]:
    return [usb(name, BOOTLOADER)]


def nothing(_: str) -> list[ListPortInfo]:
    return []


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> VirtualNrf52:
    monkeypatch.setattr(serial, "SURE_S", 0.0)
    monkeypatch.setattr(serial, "LOOK_EVERY_S", 0.05)
    # A pseudo terminal has no USB device in Linux' /sys: here, the listing alone tells.
    monkeypatch.setattr(serial, "usb_port", lambda name: port_named(name, list_serial_ports()))
    return device_in_dfu(Nrf52Build(Transport.USB))


def came_back(device: VirtualNrf52, after: Ports, monkeypatch: pytest.MonkeyPatch, within_s: float) -> CameBack:
    """Send a package; ``after`` are the ports when the device has restarted, and left USB for two looks."""
    looks: list[int] = []

    async def use() -> CameBack:
        async with served(device) as address:
            name = address.removeprefix("serial:")

            def ports() -> list[ListPortInfo]:
                if not device.app_runs and after is not the_bootloader:
                    return [usb(name, BOOTLOADER)]
                looks.append(1)
                return after(name) if len(looks) > 2 or after is the_bootloader else []

            monkeypatch.setattr(list_ports, "comports", ports)
            transport = SerialTransport(name)
            sent = await Session(transport, boot_timeout_s=within_s).send(package_of())
            return sent.came_back

    found = asyncio.run(use())
    assert len(looks) > 2
    return found


@pytest.mark.parametrize("after", [the_application, the_application_without_a_number])
def test_an_application_is_known_by_its_number_or_its_place(
    device: VirtualNrf52, after: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert came_back(device, after, monkeypatch, within_s=60) is CameBack.APPLICATION
    assert runs_new(device)


@pytest.mark.parametrize("after", [another_device, nothing])
def test_what_is_not_the_device_is_not_claimed(
    device: VirtualNrf52, after: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert came_back(device, after, monkeypatch, within_s=1) is CameBack.UNKNOWN
    assert runs_new(device)


def test_the_bootloader_that_is_back_is_told(device: VirtualNrf52, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "reset", partial(device.reset, wants_dfu=True))  # the button is held
    with pytest.raises(DfuNotStartedError, match="in its bootloader again"):
        came_back(device, the_bootloader, monkeypatch, within_s=60)


def test_the_ports_are_the_real_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_ports, "comports", lambda: [usb("/dev/ttyACM0", BOOTLOADER)])
    (port,) = list_serial_ports()
    known: Port = port
    assert (known.name, known.usb_id, known.serial_number) == ("/dev/ttyACM0", serial.BOOTLOADER_USB_ID, "ABC")
