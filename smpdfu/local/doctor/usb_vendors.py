"""Which USB devices are boards, or the adapters that boards hang on: by the numbers of their makers.

The numbers are those of the USB ID repository and of the makers' drivers; Zephyr's own is that of its USB samples.
"""

from __future__ import annotations

SEGGER, NORDIC, ZEPHYR = "1366", "1915", "2fe3"

# A maker is a board's, or that of a chip that turns USB into a UART.
_MAKERS = {
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
ADAPTERS = {"0403", "067b", "10c4", "1a86"}
"""Makers of USB-UART chips: without a driver, no port appears."""


def board_of(usb_id: str | None) -> str | None:
    """What a USB device such as "1366:1051" is, in words; None if it is none that we know, or not on USB."""
    return None if usb_id is None else _MAKERS.get(usb_id.partition(":")[0].lower())
