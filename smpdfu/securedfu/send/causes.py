"""What is said about a line that damages bytes, and about a bootloader that is silent."""

from __future__ import annotations

from smpdfu.errors import DamagedLineError, InconsistentBootloaderError, LinkError, SilentBootloaderError
from smpdfu.local.doctor.usb_vendors import MASS_STORAGE_OFF
from smpdfu.securedfu.send.transport import Transport

_AGAIN = "Then send the package again: it continues where the device is."
_DEBUGGER = "This port leads through an on-board J-Link, whose disk (JLINK, mass storage) damages serial bytes."
_PERHAPS_DEBUGGER = (
    "The usual cause is an on-board J-Link debugger whose disk (JLINK, mass storage) damages serial bytes."
)
_NO_DEBUGGER = "Check the cable and its ground, the speed, and that no other program writes to the port."
_RESTART = (
    "Restart the device into its bootloader: damaged bytes can make it deaf until then. It restarts by itself after "
    "some minutes without a command."
)
_INCONSISTENT = (
    "Restart the device into its bootloader, then send the package again. Check that no other program uses the device. "
    "If it happens again, the bootloader is an unusual one: ask its makers."
)
_ENTER = (
    "Bring the device into its bootloader: hold its DFU button during a reset, or start it from the application. Check "
    "the port, its speed, and on a UART that RTS and CTS are connected."
)


def explain(error: LinkError, transport: Transport) -> None:
    """Add to ``error`` what a person can do, by what is known of the wire."""
    if isinstance(error, DamagedLineError):
        error.through_debugger = transport.through_debugger
        error.advising("dfu-damaged-line", f"{_cause(transport.through_debugger)} {_AGAIN}")
    elif isinstance(error, InconsistentBootloaderError):
        error.advising("dfu-inconsistent", _INCONSISTENT)
    elif isinstance(error, SilentBootloaderError):
        if error.heard:
            error.advising("dfu-silent", f"{_RESTART} {_AGAIN}")
        elif transport.pings:
            error.found_nobody_at(transport.name)
            error.advising("dfu-no-bootloader", _ENTER)


def _cause(through_debugger: bool | None) -> str:
    if through_debugger is False:
        return _NO_DEBUGGER
    return f"{_DEBUGGER if through_debugger else _PERHAPS_DEBUGGER} {MASS_STORAGE_OFF}"
