"""What Bluetooth stacks say, and what we make of it."""

from __future__ import annotations

import pytest
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
)

from smpdfu.link.ble.bluez import explain


@pytest.mark.parametrize("reason", BleakBluetoothNotAvailableReason)
def test_every_reason_why_there_is_no_bluetooth_has_words(reason: BleakBluetoothNotAvailableReason) -> None:
    words = explain(BleakBluetoothNotAvailableError("unused", reason))
    assert words
    if reason is not BleakBluetoothNotAvailableReason.UNKNOWN:
        assert "unused" not in words


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BleakDBusError("org.freedesktop.DBus.Error.ServiceUnknown", ["The name ..."]), "BlueZ is not running"),
        (BleakDBusError("org.freedesktop.DBus.Error.AccessDenied", ["Rejected"]), "you may not use BlueZ"),
        (BleakDBusError("org.bluez.Error.AuthenticationFailed", ["Authentication Failed"]), "pairing failed"),
        (BleakDBusError("org.bluez.Error.Failed", ["le-connection-abort-by-local"]), "the connection failed to be"),
        (BleakDBusError("org.bluez.Error.InProgress", ["In Progress"]), "the system is busy"),
        (
            BleakDeviceNotFoundError("C0", "It may have been removed from BlueZ"),
            "the system no longer hears the device",
        ),
        (BleakError("failed to discover services, device disconnected"), "the device disconnected while"),
        (PermissionError(13, "Permission denied"), "the system's D-Bus does not answer"),
        (BleakError("something of which nobody has heard"), "something of which nobody has heard"),
        (BleakError(), "BleakError"),
    ],
)
def test_words(error: Exception, words: str) -> None:
    assert explain(error).startswith(words)
