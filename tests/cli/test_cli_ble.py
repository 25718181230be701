"""Command lines about Bluetooth LE that lead nowhere. Those that lead somewhere are in tests/ble/."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.virtual.store import devices as store_devices

if TYPE_CHECKING:
    from tests.cli.conftest import Call


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--port", "/dev/x", "--ble-hci", "usb:0"), "--ble-hci works only with --ble"),
        (("--ble-hci", "usb:0"), "which device?"),
        (("--ble", "x", "--ble-hci", ""), "'--ble-hci' is empty|does not name|cannot be opened"),
        (("--to", "ble:x?speed=1"), "unknown option 'speed'. Options of ble: adapter, hci, pair"),
        (("--to", "ble:x?pair=perhaps"), "pair 'perhaps' is wrong. It must be yes or no"),
    ],
)
def test_options_that_do_not_fit(smpdfu: Call, words: tuple[str, ...], sentence: str) -> None:
    refused = smpdfu("list", *words)
    assert refused.code in (2, 4)
    assert any(one in " ".join(refused.err.split()) for one in sentence.split("|")), refused.err


@pytest.mark.parametrize(
    ("controller", "why"),
    [
        ("tcp-client:127.0.0.1:1", "cannot be opened: Connect call failed"),
        ("carrier-pigeon", "cannot be opened: smpdfu opens only controllers such as usb:0"),
        ("serial:/dev/does-not-exist", "cannot be opened: "),
    ],
)
def test_controllers_that_cannot_be_had(smpdfu: Call, controller: str, why: str) -> None:
    refused = smpdfu("list", "--ble", "*", "--ble-hci", controller)
    assert f"the Bluetooth controller {controller!r} {why}" in refused.refused(4)


def test_no_bluetooth_on_this_computer(smpdfu: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'nobody'}")
    assert smpdfu("list", "--ble", "board").refused(4).startswith("cannot connect to ble:board: ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--ble-interval", "15"), "--ble-interval works only with --ble-hci tcp-server:HOST:PORT"),
        (
            ("--ble-hci", "usb:0", "--ble-interval", "15"),
            "--ble-interval works only with --ble-hci tcp-server:HOST:PORT",
        ),
        (("--ble-hci", "tcp-server:127.0.0.1:0", "--ble-interval", "5"), "--ble-interval 5 is wrong. Give 7.5 to 4000"),
        (("--ble-hci", "tcp-server:9001"), "does not say where to listen: write tcp-server:127.0.0.1:PORT"),
    ],
)
def test_a_device_that_cannot_be_served(smpdfu: Call, words: tuple[str, ...], sentence: str) -> None:
    store_devices.create("desk", store_devices.Recipe("nrf5340dk-staged"))
    refused = smpdfu("virtual", "run", "desk", *words)
    assert refused.code in (2, 4)
    assert sentence in " ".join(refused.err.split())
