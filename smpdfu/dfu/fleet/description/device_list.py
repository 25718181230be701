"""The devices of a fleet: from ``[[device]]`` tables and a CSV file, each at one address only."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from smpdfu.dfu.decide.evidence import UNKNOWN_BOOTLOADER, Bootloader
from smpdfu.dfu.fleet.description.table import MAX_DEVICES, Table, read_bytes, tables_of
from smpdfu.errors import ConnectError, FleetFileError

DEFAULT = "default"
_BOOTLOADER_KEYS = ("ncs", "partitions", "net_address", "active_b0_slot")
Place = Callable[[str], str]
"""Gives the one spelling of an address; raises ConnectError for a text that is not an address."""


@dataclass(frozen=True, slots=True)
class FleetDevice:
    """One device: ``name`` for people, ``address`` as ``client_for`` takes it, ``hardware`` a key of the packages.

    ``bootloader`` is what the file says about the device's bootloader, ``serial`` the device's number if the file has
    one. ``place`` is the address in its one spelling ("": as ``address``).
    """

    name: str
    address: str
    hardware: str = DEFAULT
    bootloader: Bootloader = UNKNOWN_BOOTLOADER
    serial: str = ""
    place: str = field(default="", compare=False)

    @property
    def identity(self) -> str:
        """Place and serial number: with the name, they say to which device an outcome in the log belongs."""
        place = self.place or self.address
        return f"{place} {self.serial}" if self.serial else place


@dataclass(frozen=True, slots=True)
class Loaders:
    """What the file says about bootloaders: about all of them, and about those of one hardware."""

    of_all: Bootloader
    of_hardware: Mapping[str, Bootloader]

    @classmethod
    def read(cls, update: Table, tables: Any, file: str) -> Loaders:
        """Read ``[update]`` and the ``[hardware.NAME]`` tables. Raises FleetFileError."""
        if not isinstance(tables, dict):
            raise FleetFileError(f"'hardware' of {file} is not a table of tables: write [hardware.NAME]")
        found = {name: Table(table, f"[hardware.{name}] of {file}") for name, table in tables.items()}
        of_all = update.bootloader(UNKNOWN_BOOTLOADER)
        of_hardware = {name: table.bootloader(of_all) for name, table in found.items()}
        for table in found.values():
            table.nothing_else()
        return cls(of_all, of_hardware)

    def of(self, hardware: str) -> Bootloader:
        """What the file says of the bootloader of devices of this hardware."""
        return self.of_hardware.get(hardware, self.of_all)


def read_devices(
    path: Path, tables: Any, listed: Path | None, loaders: Loaders, place: Place, *, lowest: int = 1
) -> dict[str, FleetDevice]:
    """Read the devices of the file ``path``: those of the CSV file ``listed``, then those of its ``tables``.

    Raises FleetFileError, so for fewer devices than ``lowest``, or OSError.
    """
    found = [] if listed is None else _from_csv(listed, loaders)
    for number, one in enumerate(tables_of(tables, "device"), 1):
        table = Table(one, f"[[device]] number {number} of {path.name}")
        address = table.text("address", None)
        if address is None:
            raise FleetFileError(f"{table.where} has no address")
        hardware = table.text("hardware", DEFAULT)
        known = table.bootloader(loaders.of(hardware))
        name = table.text("name", address)
        serial = table.text("serial", None)
        found.append(FleetDevice(name, address, hardware, known, serial or ""))
        table.nothing_else()
    if len(found) < lowest:
        raise FleetFileError(f"{path.name} has no devices: add a [[device]] table with name and address for each")
    if len(found) > MAX_DEVICES:
        raise FleetFileError(f"{path.name} has {len(found)} devices; a fleet has at most {MAX_DEVICES}")
    return _unique([_placed(one, place, path.name) for one in found])


def _placed(device: FleetDevice, place: Place, file: str) -> FleetDevice:
    try:
        return replace(device, place=place(device.address))
    except ConnectError as error:
        raise FleetFileError(f"the device {device.name!r} of {file}: {error}") from error


def _unique(found: Sequence[FleetDevice]) -> dict[str, FleetDevice]:
    devices: dict[str, FleetDevice] = {}
    places: dict[str, FleetDevice] = {}
    for one in found:
        if one.name in devices:
            raise FleetFileError(f"two devices are named {one.name!r}")
        other = places.setdefault(one.place, one)
        if other is not one:
            spelled = "" if other.address == one.address else f" ({other.address} and {one.address})"
            raise FleetFileError(f"{other.name!r} and {one.name!r} have the same address, {one.place}{spelled}")
        devices[one.name] = one
    return devices


def _from_csv(path: Path, loaders: Loaders) -> list[FleetDevice]:
    try:
        with io.StringIO(read_bytes(path).decode("utf-8-sig"), newline="") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise FleetFileError(f"{path.name} is not a CSV file in UTF-8: {error}") from error
    found = []
    for number, row in enumerate(rows, 2):
        name, address = ((row.get(key) or "").strip() for key in ("name", "address"))
        if not name or not address:
            raise FleetFileError(
                f"line {number} of {path.name} has no name or no address: its columns are name,address"
            )
        hardware = (row.get("hardware") or "").strip() or DEFAULT
        said = {key: text for key in _BOOTLOADER_KEYS if (text := (row.get(key) or "").strip())}
        known = Table(said, f"line {number} of {path.name}").bootloader(loaders.of(hardware))
        found.append(FleetDevice(name, address, hardware, known, (row.get("serial") or "").strip()))
    return found
