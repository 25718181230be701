"""The part of ``scan`` that uses Bluetooth."""

from __future__ import annotations

from smpdfu.connect import ble_backends
from smpdfu.errors import ConnectError
from smpdfu.link.ble import pipe
from smpdfu.link.ble.search import Found
from smpdfu.local.doctor import checks, system


async def listen(seconds: float, controller: str | None) -> tuple[tuple[Found, ...], str | None]:
    """Return the BLE devices with the SMP service, the nearest first; or none, and why Bluetooth cannot be used."""
    try:
        return await pipe.scan(seconds, ble_backends(controller)), None
    except ConnectError as error:
        known = checks.why_no_bluetooth(system.System()) if controller is None else None
        return (), str(error) if known is None else known.what
