"""Unmodified bleak, through D-Bus, with a stand-in for BlueZ behind it."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.client import Client, Patience, UploadProgress
from smpdfu.errors import ConnectError, LinkLostError, ResponseTimeoutError
from smpdfu.link.ble import search as ble_search
from smpdfu.link.ble.pipe import BlePipe, scan
from smpdfu.smp.framing import GattFraming
from smpdfu.smp.groups.os import Echo
from tests.deadlines import HANG_S

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.ble.ble_rig import NEW, secondary, signed_image, virtual_device
    from tests.ble.fake_bluez import FakeBluez, Manner, bluez, private_bus
else:
    from ble_rig import NEW, secondary, signed_image, virtual_device
    from fake_bluez import FakeBluez, Manner, bluez, private_bus

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="BlueZ is the Bluetooth of Linux"),
    pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="dbus-daemon is not installed (Debian: dbus)"),
]
SMALL = signed_image(2, 10_000)
Use = Callable[[FakeBluez], Coroutine[Any, Any, Any]]
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def bus_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with private_bus(tmp_path_factory.mktemp("bus")) as address:
        yield address


@pytest.fixture
def with_bluez(bus_address: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call a coroutine function with a BlueZ of a certain manner, and a device that it hears."""
    from bleak.backends.bluezdbus.version import BlueZFeatures

    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus_address)
    monkeypatch.setattr(ble_search, "SETTLE_S", 0.05)
    monkeypatch.setattr(BlueZFeatures, "checked_bluez_version", True)  # else it asks a program that may not be here

    def call(use: Use, **manner: Any) -> Any:
        async def go() -> Any:
            async with bluez(bus_address, virtual_device(), Manner(**manner)) as fake:
                return await use(fake)

        return asyncio.run(go())

    return call


def client(pipe: BlePipe | None = None, **options: Any) -> Client:
    given: dict[str, Any] = {"timeout_s": HANG_S, "patience": Patience(pause_s=0.0, quiet_s=0.0)} | options
    return Client(pipe or BlePipe("board"), GattFraming(), **given)


@pytest.mark.parametrize(("mtu", "step"), [(498, 495), (None, 20), (517, 512)])
def test_the_upload_arrives(with_bluez: Run, mtu: int | None, step: int) -> None:
    async def use(fake: FakeBluez) -> None:
        pipe = BlePipe("board")
        async with client(pipe) as one:
            assert (pipe.max_write, pipe.in_flight_max) == (step, None)
            data = NEW if mtu else SMALL
            result = await one.upload(data)
            assert (result.listed, result.retries) == (True, 0)
        assert secondary(fake.device, len(data)) == data
        assert not fake.connected

    with_bluez(use, mtu=mtu)


def test_an_upload_goes_on_when_the_link_comes_back(with_bluez: Run) -> None:
    async def use(fake: FakeBluez) -> None:
        seen: list[int] = []

        def watch(at: UploadProgress) -> None:
            if at.off > 0.4 * len(NEW) and max(seen) <= 0.4 * len(NEW):
                fake.run(fake.lose())
            seen.append(at.off)

        async with client() as one:
            result = await one.upload(NEW, progress=watch)
        assert result.listed
        assert (fake.connections, secondary(fake.device, len(NEW)) == NEW) == (2, True)

    with_bluez(use)


def test_the_device_is_found_again_under_a_new_address(with_bluez: Run) -> None:
    async def use(fake: FakeBluez) -> None:
        pipe = BlePipe(fake.address)
        async with client(pipe) as one:
            await one.request(Echo("before"))
            await fake.lose("C0:00:00:00:00:02")
            await one.wait_for_device(HANG_S)
            assert (await one.request(Echo("after"))).r == "after"
            assert pipe.device is not None
            assert pipe.device.address == "C0:00:00:00:00:02"

    with_bluez(use)


def test_connecting_that_is_aborted_is_no_lost_link(with_bluez: Run) -> None:
    """bleak tries again, and each time tells of a loss although it has a connection in the end."""

    async def use(fake: FakeBluez) -> None:
        async with client(attempts=1) as one:
            assert (await one.request(Echo("third time"))).r == "third time"
        assert fake.connections == 1

    with_bluez(use, aborts=2)


def test_a_restart_of_the_device_is_a_lost_link(with_bluez: Run) -> None:
    async def use(fake: FakeBluez) -> None:
        async with client() as one:
            assert await one.reset()
            await one.wait_for_device(HANG_S)
            await one.request(Echo("back"))
        assert fake.connections == 2

    with_bluez(use)


@pytest.mark.parametrize("target", ["board", "*", "c0:00:00:00:00:01"])
def test_a_connection_that_somebody_left_behind_is_used(with_bluez: Run, target: str) -> None:
    """BlueZ keeps it, and a device that is connected does not advertise."""

    async def use(fake: FakeBluez) -> None:
        await fake.be_connected()
        async with client(BlePipe(target, connect_s=5.0)) as one:
            await one.request(Echo("still there"))
        assert (fake.connections, fake.connected) == (1, False)

    with_bluez(use)


def test_notifications_that_come_twice(with_bluez: Run) -> None:
    """As BlueZ sends them after some reconnections."""

    async def use(fake: FakeBluez) -> None:
        async with client() as one:
            assert (await one.upload(SMALL)).retries == 0
            assert one.strays > 0
        assert secondary(fake.device, len(SMALL)) == SMALL

    with_bluez(use, notifications=2)


def test_scan(with_bluez: Run) -> None:
    async def use(fake: FakeBluez) -> None:
        (found,) = await scan(0.3)
        assert (found.name, found.address, found.rssi) == ("board", fake.address, -46)

    with_bluez(use)


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("manner", "words"),
    [
        ({"powered": False}, "cannot connect to ble:board: Bluetooth is switched off"),
        ({"adapter": False}, "cannot connect to ble:board: this computer has no Bluetooth adapter"),
        ({"forgets": True}, "cannot connect to ble:board: the system no longer hears the device"),
    ],
)
def test_why_there_is_no_connection(with_bluez: Run, manner: dict[str, Any], words: str) -> None:
    async def use(fake: FakeBluez) -> None:
        await BlePipe("board").open()

    with pytest.raises(ConnectError) as refused:
        with_bluez(use, **manner)
    assert str(refused.value).startswith(words)


def test_an_adapter_that_is_not_there(with_bluez: Run) -> None:
    async def use(fake: FakeBluez) -> None:
        await BlePipe("board", adapter="hci7").open()

    with pytest.raises(ConnectError, match="cannot connect to ble:board: there is no such Bluetooth adapter"):
        with_bluez(use)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Not connected", "the link to ble:board is lost: the device is no longer connected"),
        ("Not paired", "the link to ble:board is lost: the device needs pairing"),
        ("Write acquired", "the link to ble:board is lost: .*Write acquired"),
    ],
)
def test_a_write_that_bluez_refuses(with_bluez: Run, said: str, words: str) -> None:
    async def use(fake: FakeBluez) -> None:
        async with client() as one:
            await one.request(Echo("first"))
            await one.request(Echo("second"))

    with pytest.raises(LinkLostError, match=words):
        with_bluez(use, write_error=said)


def test_bluez_that_does_not_run(bus_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus_address)
    for job in (lambda: BlePipe("board").open(), lambda: scan(0.1)):
        with pytest.raises(ConnectError, match="BlueZ is not running: start its service"):
            asyncio.run(job())


def test_no_bus_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'nobody'}")
    with pytest.raises(ConnectError, match="D-Bus does not answer, and smpdfu reaches BlueZ"):
        asyncio.run(BlePipe("board").open())


def test_bluez_that_is_too_old(with_bluez: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bleak.backends.bluezdbus.version import BlueZFeatures

    monkeypatch.setattr(BlueZFeatures, "checked_bluez_version", False)
    monkeypatch.setattr(BlueZFeatures, "supported_version", True)
    monkeypatch.setattr(BlueZFeatures, "_check_bluez_event", None)
    program = tmp_path / "bluetoothctl"
    program.write_text("#!/bin/sh\necho bluetoothctl: 5.43\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    async def use(fake: FakeBluez) -> None:
        await BlePipe("board").open()

    with pytest.raises(ConnectError, match=r"BlueZ is too old: version 5\.55 is the first that works"):
        with_bluez(use)


# --- pairing ----------------------------------------------------------------------------------------------------------


def test_a_device_that_wants_pairing_is_silent_until_it_gets_it(with_bluez: Run) -> None:
    async def ask(fake: FakeBluez, pair: bool) -> str:
        async with client(BlePipe("board", pair=pair), attempts=1, timeout_s=HANG_S if pair else 0.3) as one:
            return (await one.request(Echo("secret"))).r

    with pytest.raises(ResponseTimeoutError, match="it may need pairing"):
        with_bluez(lambda fake: ask(fake, pair=False), wants_pairing=True)
    assert with_bluez(lambda fake: ask(fake, pair=True), wants_pairing=True) == "secret"


def test_pairing_that_fails(with_bluez: Run) -> None:
    async def use(fake: FakeBluez) -> None:
        await BlePipe("board", pair=True).open()

    with pytest.raises(ConnectError, match="pairing failed: the device refuses it, or no longer knows a pairing"):
        with_bluez(use, wants_pairing=True, pair_error="org.bluez.Error.AuthenticationFailed")


def test_nothing_is_said_on_the_side(with_bluez: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """What a library logs is not for people: the one sentence of the error is."""

    async def use(fake: FakeBluez) -> None:
        await scan(0.05)
        for library in ("bleak.backends", "dbus_fast.message_bus", "bumble.host"):
            logging.getLogger(library).warning("something that nobody understands")

    root = logging.getLogger()
    root.handlers, kept = [], root.handlers
    try:
        with_bluez(use)
    finally:
        root.handlers = kept
    assert capfd.readouterr().err == ""
