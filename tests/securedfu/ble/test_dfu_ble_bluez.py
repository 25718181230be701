"""Secure DFU with unmodified bleak, through D-Bus, with a stand-in for BlueZ behind it."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.securedfu.send import ble
from smpdfu.securedfu.send.ble import BleTransport
from smpdfu.securedfu.send.session import SecureDfuProgress, Session
from smpdfu.securedfu.send.transport import CameBack
from tests.ble.fake_bluez import Manner, on_bus, private_bus
from tests.securedfu.send.dfu_bench import package_of

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.securedfu.ble.dfu_ble_rig import INIT, NEW, device, holds
    from tests.securedfu.ble.fake_dfu_bluez import APPLICATION, BOOTLOADER, FakeDfuBluez
else:
    from dfu_ble_rig import INIT, NEW, device, holds
    from fake_dfu_bluez import APPLICATION, BOOTLOADER, FakeDfuBluez

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="BlueZ is the Bluetooth of Linux"),
    pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="dbus-daemon is not installed (Debian: dbus)"),
]


@pytest.fixture
def bus_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    from bleak.backends.bluezdbus.version import BlueZFeatures

    with private_bus(tmp_path) as address:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        monkeypatch.setattr(ble, "SURE_S", 0.05)
        monkeypatch.setattr(BlueZFeatures, "checked_bluez_version", True)  # else it asks a program that may not be here
        yield address


@pytest.mark.parametrize("notifications", [1, 2], ids=["once", "twice, as BlueZ does after some reconnections"])
@pytest.mark.parametrize("target", ["lamp", APPLICATION])
def test_an_application_is_updated(bus_address: str, target: str, notifications: int) -> None:
    async def use() -> None:
        lamp = device()
        manner = Manner(mtu=247, notifications=notifications)
        async with on_bus(bus_address, partial(FakeDfuBluez, device=lamp, manner=manner)) as fake:
            sent = await Session(BleTransport(target)).send(package_of(NEW, INIT))
            assert sent.came_back is CameBack.APPLICATION
            assert holds(lamp, NEW)
            assert fake.packets >= len(NEW) // 244
            assert (fake.connections, fake.connected) == (2, False)

    asyncio.run(use())


def test_a_lost_link_is_opened_again_at_the_bootloaders_address(bus_address: str) -> None:
    async def use() -> None:
        lamp = device()
        async with on_bus(bus_address, partial(FakeDfuBluez, device=lamp, manner=Manner(mtu=247))) as fake:

            def watch(event: object) -> None:
                if isinstance(event, SecureDfuProgress) and event.progress.off >= 8_192 and fake.connections == 2:
                    fake.run(fake.lose())

            transport = BleTransport("lamp")
            sent = await Session(transport, watch=watch).send(package_of(NEW, INIT))
            assert transport.name == f"ble:{BOOTLOADER}"
            assert sent.came_back is CameBack.APPLICATION
            assert holds(lamp, NEW)
            assert fake.connections == 3

    asyncio.run(use())
