"""Which devices that ``smpdfu scan`` finds are this gateway's: the table ``[scan]``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import cast

from smpdfu.dfu.fleet.description.device_list import DEFAULT, FleetDevice, Loaders, Place
from smpdfu.dfu.fleet.description.table import Table
from smpdfu.errors import AgentFileError

KINDS = ("ble", "serial", "virtual")
MAX_NAME = 256
"""Characters of a controller id, as in hawkBit."""
MAX_FOUND = 10_000
_LONGEST_LISTEN_S = 600.0


@dataclass(frozen=True, slots=True)
class SeenDevice:
    """A device that a search found: its wire, its name there ("": none), and its address.

    The name of a BLE device is the one that it sends, that of a serial port the serial number of its USB device.
    """

    kind: str
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class ScanRule:
    """Patterns of names by wire (as of a shell). A name that fits, after ``prefix``, becomes the controller id.

    The agent searches at its start, and again every ``every_s`` seconds; it listens for BLE devices for ``listen_s``.
    """

    patterns: Mapping[str, tuple[str, ...]]
    hardware: str = DEFAULT
    prefix: str = ""
    every_s: float = 3600.0
    listen_s: float = 10.0

    @classmethod
    def read(cls, table: Table) -> ScanRule:
        """Read ``[scan]``. Raises FleetFileError or AgentFileError."""
        patterns = {kind: tuple(table.texts(kind) or ()) for kind in KINDS}
        hardware = table.text("hardware", DEFAULT)
        prefix = table.text("prefix", None) or ""
        every_s = cast("float", table.number("every_s", 3600.0))
        listen_s = cast("float", table.number("listen_s", 10.0, highest=_LONGEST_LISTEN_S))
        table.nothing_else()
        if not any(patterns.values()):
            raise AgentFileError(f"{table.where} names no devices: give patterns of names with {', '.join(KINDS)}")
        if every_s < listen_s or every_s == 0:
            raise AgentFileError(f"'every_s' in {table.where} must be larger than 0 and not less than 'listen_s'")
        if not fits_as_name(prefix, least=0):
            raise AgentFileError(f"'prefix' in {table.where} is not printable, or too long")
        return cls({kind: some for kind, some in patterns.items() if some}, hardware, prefix, every_s, listen_s)

    def wants(self, seen: SeenDevice) -> bool:
        """Return whether a pattern of its wire fits the name."""
        return any(fnmatchcase(seen.name, pattern) for pattern in self.patterns.get(seen.kind, ()) if seen.name)

    def choose(
        self, found: Iterable[SeenDevice], known: Mapping[str, FleetDevice], loaders: Loaders, place: Place
    ) -> Chosen:
        """Choose this gateway's devices. ``known`` are those of the file: what it names is not taken again.

        Two devices with one name are both left out, because smpdfu cannot tell which of them a controller id means.
        """
        names, places = set(known), {one.place for one in known.values()}
        chosen: dict[str, FleetDevice] = {}
        refused: dict[str, str] = {}
        for seen in found:
            at = place(seen.address)
            aliases = {at, f"{seen.kind}:{seen.name}"}
            if not self.wants(seen) or places & aliases:
                continue
            name = self.prefix + seen.name
            other = chosen.get(name)
            if other is not None and other.place == at:
                continue
            if not fits_as_name(name):
                refused[name] = "its name is not printable, or longer than a controller id can be"
            elif name in names:
                refused[name] = "a device of the agent's file has the same name"
            elif other is not None or name in refused:
                refused[name] = "more than one device has this name"
            elif len(chosen) >= MAX_FOUND:
                refused[name] = f"a search takes {MAX_FOUND} devices at most"
            else:
                chosen[name] = FleetDevice(name, seen.address, self.hardware, loaders.of(self.hardware), place=at)
        return Chosen({name: one for name, one in chosen.items() if name not in refused}, refused)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The devices that a search adds, by controller id, and why others that fit the rule are left out."""

    devices: Mapping[str, FleetDevice]
    refused: Mapping[str, str]


def fits_as_name(name: str, *, least: int = 1) -> bool:
    """Return whether a text can be a controller id: printable, no space at its ends, at most 256 characters."""
    return least <= len(name) <= MAX_NAME and name.isprintable() and name == name.strip()
