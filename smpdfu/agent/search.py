"""Search for the devices that the table ``[scan]`` of an agent's file describes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from smpdfu.agent.description.file import AgentFile
from smpdfu.agent.description.scan_rule import Chosen, SeenDevice
from smpdfu.connect import place_of
from smpdfu.device_scan import ble_devices, serial_devices, virtual_devices
from smpdfu.dfu.fleet.description.device_list import FleetDevice
from smpdfu.errors import ConnectError

Refused = Callable[[str, str], None]
"""Is called with the name of a device that is left out, and why."""


async def search_devices(file: AgentFile, *, refused: Refused | None = None) -> Mapping[str, FleetDevice]:
    """Search once; return the devices that the rule adds to those of the file, by controller id.

    Raises ConnectError if the rule names BLE devices and Bluetooth cannot be used, and nothing else was found.
    """
    if file.scan is None:
        return {}
    seen, fault = await _seen(file.scan.patterns, file.scan.listen_s)
    chosen = choose(file, seen)
    for name, why in chosen.refused.items():
        if refused is not None:
            refused(name, why)
    if fault is not None and not chosen.devices:
        raise ConnectError(f"the search for BLE devices failed: {fault}")
    return chosen.devices


def choose(file: AgentFile, seen: list[SeenDevice]) -> Chosen:
    """Choose the devices of this gateway from those that were seen."""
    assert file.scan is not None
    return file.scan.choose(seen, file.devices, file.loaders, place_of)


async def _seen(kinds: Mapping[str, object], listen_s: float) -> tuple[list[SeenDevice], str | None]:
    """Return what is in reach over the wires ``kinds``, and why Bluetooth cannot be used."""
    seen: list[SeenDevice] = []
    fault = None
    if "serial" in kinds:
        seen += [SeenDevice("serial", one.serial_number or "", one.address) for one in serial_devices()]
    if "virtual" in kinds:
        seen += [SeenDevice("virtual", one.name, one.address) for one in virtual_devices() if not one.secure_dfu]
    if "ble" in kinds:
        found, fault = await ble_devices(listen_s)
        seen += [SeenDevice("ble", one.name or "", f"ble:{one.address}") for one in found if not one.secure_dfu]
    return seen, fault
