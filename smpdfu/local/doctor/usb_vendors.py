"""The USB vendor IDs of boards and of USB-UART adapters.

Sources: the USB ID repository and the vendors' drivers; for Zephyr, its USB samples.
"""

from __future__ import annotations

SEGGER, NORDIC, ZEPHYR = "1366", "1915", "2fe3"

# The vendor of a board, or of a USB-UART chip.
_VENDORS = {
    SEGGER: "SEGGER J-Link (on a development kit, or a probe)",
    NORDIC: "Nordic Semiconductor",
    ZEPHYR: "Zephyr USB device",
    "0403": "FTDI USB-UART adapter",
    "0483": "STMicroelectronics",
    "067b": "Prolific USB-UART adapter",
    "0d28": "Arm DAPLink",
    "10c4": "Silicon Labs CP210x USB-UART adapter",
    "1a86": "WCH CH34x USB-UART adapter",
    "1fc9": "NXP LPC-Link",
    "239a": "Adafruit",
    "2341": "Arduino",
    "2886": "Seeed Studio",
    "2e8a": "Raspberry Pi",
    "303a": "Espressif",
}
MASS_STORAGE_OFF = (
    "Turn the disk off: start JLinkExe (JLink.exe on Windows), type MSDDisable, then exit. Unplug the board and plug "
    "it in again. MSDEnable turns the disk on again."
)
"""What ends the damage that the disk of an on-board J-Link does to its serial port."""
ADAPTERS = {"0403", "067b", "10c4", "1a86"}
"""Vendors of USB-UART chips. Without a driver, no port appears."""


def board_of(usb_id: str | None) -> str | None:
    """Return in words what a USB device such as "1366:1051" is; None if it is unknown or not on USB."""
    return None if usb_id is None else _VENDORS.get(usb_id.partition(":")[0].lower())
