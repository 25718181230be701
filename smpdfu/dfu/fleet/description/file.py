"""The file that describes a fleet: its devices, their packages, the waves, and when to stop.

::

    [fleet]
    id = "roofs-7f3a"           # names the fleet's log; a copy of the file with the same id continues it
    name = "roofs"              # the file's name, if not given
    operator = "night shift"    # who runs it, for the log and the report; the login name, if not given
    at_once = 16                # devices at a time
    soak_s = 600                # from the end of a wave until the next one begins
    stop_after_failures = 3     # then no further device begins
    stop_at_rate = 0.05         # or when this share of a wave's devices that ended have failed
    wave_success = 1.0          # the share of a wave that must have its package before the next wave begins
    max_unreachable = 0         # up to this number, devices that do not answer are no failures
    unproven = "continue"       # or "stop": begin no further device when nothing proves an update
    devices = "devices.csv"     # columns name,address[,hardware,serial]; and/or [[device]] tables

    [update]                    # as the options of `smpdfu update`
    soak_s = 5.0
    health = "./check.sh"       # finds the device in SMPDFU_TO
    no_downgrade = true         # refuse an application that is older than the one that runs
    trust = ["signing.pub.pem"] # refuse packages that none of these keys has signed
    net_keys = ["nsib.pub.pem"] # refuse network images that none of these keys has sealed for b0n; or net_provision.hex
    b0_keys = ["nsib.pub.pem"]  # the same for MCUboot itself and b0
    device_timeout_s = 14400    # a device that takes longer is stopped; its wave continues
    transfer_timeout_s = 3600   # an upload that takes longer is stopped, too
    net_version_from = "settings:net/version"
    ncs = "3.2"                 # with partitions and net_address: what you know about the bootloader

    [packages]                  # hardware -> dfu_application.zip, beside this file
    default = "dfu_application.zip"

    [hardware.big]              # what differs on this hardware; also in [[device]] tables and columns
    ncs = "2.5"

    [[wave]]
    name = "canary"
    devices = ["roof-1", "lab-*"]   # or count = 5, or share = 0.1; without any: all that are left

    [[device]]
    name = "roof-1"
    address = "udp:10.0.0.7"
    hardware = "default"
    serial = "1050012345"       # tells this device from the one that replaces it
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

from smpdfu.dfu.fleet.description.device_list import FleetDevice as FleetDevice
from smpdfu.dfu.fleet.description.device_list import Loaders, Place, read_devices
from smpdfu.dfu.fleet.description.table import Table, is_text, read_bytes, read_tables, tables_of
from smpdfu.dfu.fleet.description.treatment import Treatment as Treatment
from smpdfu.dfu.fleet.description.treatment import read_treatment
from smpdfu.errors import FleetFileError

_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Wave:
    """Devices that are updated together, by name, and the seconds to wait after the last of them."""

    name: str
    devices: tuple[str, ...]
    soak_s: float = 0.0


class Unproven(StrEnum):
    """What the fleet does if a device has its package as far as smpdfu can tell, and nothing proves it."""

    CONTINUE = "continue"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Limits:
    """How many devices are updated at a time (``at_once``), and when no further one begins.

    ``stop_after_failures`` is a number of failed devices, ``stop_at_rate`` a share of those devices of a wave that have
    ended; None: no such limit. ``unproven`` says whether an update without a proof stops the fleet.

    ``wave_success`` is the share of a wave that must have its package before the next wave begins. None: with one of
    the two limits above one device, without them every device. Up to ``max_unreachable`` devices that do not answer
    are no failures and are not needed for that; with ``skip_unreachable``, this holds for all of them.
    """

    at_once: int = 8
    stop_after_failures: int | None = None
    stop_at_rate: float | None = None
    unproven: Unproven = Unproven.CONTINUE
    wave_success: float | None = None
    max_unreachable: int = 0
    skip_unreachable: bool = False

    def needed(self, size: int) -> int:
        """Count the devices of a wave of this size that must have their package before the next wave begins."""
        if self.wave_success is not None:
            return math.ceil(round(self.wave_success * size, 6))
        limited = self.stop_after_failures is not None or self.stop_at_rate is not None
        return min(size, 1) if limited else size


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet, whole and consistent: every device is in one wave and has a package.

    ``trust`` are files of keys, one of which must have signed each image. ``net_keys`` and ``b0_keys`` are files of the
    keys that b0n and b0 of all devices trust. ``id`` names the log and ``operator`` who
    runs the fleet, if the file says so. ``content`` is the file itself.
    """

    name: str
    path: Path
    devices: Mapping[str, FleetDevice]
    waves: tuple[Wave, ...]
    packages: Mapping[str, Path]
    limits: Limits = Limits()
    treatment: Treatment = field(default_factory=Treatment)
    trust: tuple[Path, ...] = ()
    id: str | None = None
    content: bytes = field(default=b"", repr=False)
    operator: str | None = None
    net_keys: tuple[Path, ...] = ()
    b0_keys: tuple[Path, ...] = ()

    @classmethod
    def load(cls, path: Path, place: Place = str) -> Fleet:
        """Read the file; ``place`` gives the one spelling of an address.

        Raises FleetFileError with one sentence that names the place, or OSError.
        """
        content = read_bytes(path)
        tables = read_tables(content, path, _KNOWN)
        head = Table(tables.get("fleet", {}), f"[fleet] of {path.name}")
        name = head.text("name", path.stem)
        limits = Limits(
            head.whole("at_once", 8, lowest=1),
            head.whole("stop_after_failures", None, lowest=1),
            head.number("stop_at_rate", None, highest=1.0),
            Unproven(head.choice("unproven", tuple(Unproven), Unproven.CONTINUE)),
            head.number("wave_success", None, highest=1.0),
            head.whole("max_unreachable", 0, lowest=0),
        )
        own_id = _id(head)
        operator = head.text("operator", None)
        soak_s = cast("float", head.number("soak_s", 0.0))
        listed = head.text("devices", None)
        head.nothing_else()
        update = Table(tables.get("update", {}), f"[update] of {path.name}")
        loaders = Loaders.read(update, tables.get("hardware", {}), path.name)
        listed_in = None if listed is None else path.parent / listed
        devices = read_devices(path, tables.get("device", []), listed_in, loaders, place)
        packages = _packages(path, tables.get("packages", {}), devices)
        waves = _waves(tables.get("wave", []), tuple(devices), soak_s, path.name)
        names = ("trust", "net_keys", "b0_keys")
        trust, net, b0 = (tuple(path.parent / name for name in update.texts(key) or ()) for key in names)
        treatment = read_treatment(update)
        return cls(name, path, devices, waves, packages, limits, treatment, trust, own_id, content, operator, net, b0)


def _id(head: Table) -> str | None:
    text = head.text("id", None)
    if text is not None and _ID.fullmatch(text) is None:
        raise FleetFileError(f"'id' in {head.where} must have 1 to 64 letters, digits, '.', '_' and '-'")
    return cast("str | None", text)


_KNOWN = ("fleet", "update", "packages", "hardware", "wave", "device")


def _packages(path: Path, tables: Any, devices: Mapping[str, FleetDevice]) -> dict[str, Path]:
    if not isinstance(tables, dict) or not all(map(is_text, tables.values())):
        raise FleetFileError(f"[packages] of {path.name} must name a file for each hardware")
    for one in devices.values():
        if one.hardware not in tables:
            raise FleetFileError(
                f"[packages] of {path.name} has no package for the hardware {one.hardware!r} of {one.name!r}"
            )
    used = {one.hardware for one in devices.values()}
    return {hardware: path.parent / file for hardware, file in tables.items() if hardware in used}


def _waves(tables: Any, names: tuple[str, ...], soak_s: float, file: str) -> tuple[Wave, ...]:
    left = list(names)
    waves = []
    for number, one in enumerate(tables_of(tables, "wave"), 1):
        table = Table(one, f"[[wave]] number {number} of {file}")
        name = table.text("name", f"wave {number}")
        wait_s = cast("float", table.number("soak_s", soak_s))
        chosen = _choose(table, left, len(names))
        table.nothing_else()
        taken = set(chosen)
        left = [name for name in left if name not in taken]
        waves.append(Wave(name, tuple(chosen), wait_s))
    if not waves:
        return (Wave("all", names, 0.0),)
    if left:
        raise FleetFileError(f"{left[0]!r} and {len(left) - 1} more devices of {file} are in no wave")
    return tuple(waves)


def _choose(table: Table, left: Sequence[str], total: int) -> list[str]:
    patterns = table.texts("devices")
    count = table.whole("count", None, lowest=1)
    share = table.number("share", None, highest=1.0)
    if sum(one is not None for one in (patterns, count, share)) > 1:
        raise FleetFileError(f"{table.where} has more than one of devices, count and share")
    if patterns is not None:
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in left):
                raise FleetFileError(f"{pattern!r} in {table.where} matches no device that is left")
        return [name for name in left if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if share is not None:
        count = max(math.ceil(share * total), 1)
    chosen = list(left if count is None else left[:count])
    if not chosen:
        raise FleetFileError(f"no device is left for {table.where}")
    return chosen
