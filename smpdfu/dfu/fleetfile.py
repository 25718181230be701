"""The file that describes a fleet: which devices there are, what each one gets, in which waves, and when to stop.

::

    [fleet]
    name = "roofs"              # the file's name, if not given
    at_once = 16                # devices at a time
    soak_s = 600                # from the end of a wave until the next one begins
    stop_after_failures = 3     # no further device begins then
    stop_at_rate = 0.05         # or when this share of a wave's devices that ended have failed
    devices = "devices.csv"     # columns name,address[,hardware]; and/or [[device]] tables

    [update]                    # as the options of `smpdfu update`
    soak_s = 5.0
    health = "./check.sh"       # finds the device in SMPDFU_TO

    [packages]                  # hardware -> dfu_application.zip, beside this file
    default = "dfu_application.zip"

    [[wave]]
    name = "canary"
    devices = ["roof-1", "lab-*"]   # or count = 5, or share = 0.1; without any: all that are left

    [[device]]
    name = "roof-1"
    address = "udp:10.0.0.7"
    hardware = "default"
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

from smpdfu.dfu.plan import Policy
from smpdfu.dfu.state import Scheme
from smpdfu.errors import FleetFileError
from smpdfu.untrusted.files import read_start

MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_DEVICES = 100_000
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class FleetDevice:
    """One device: ``name`` for people, ``address`` as for ``--to``, ``hardware`` a key of the packages."""

    name: str
    address: str
    hardware: str = DEFAULT


@dataclass(frozen=True, slots=True)
class Wave:
    """Devices that are updated together, by name, and the seconds to wait after the last of them."""

    name: str
    devices: tuple[str, ...]
    soak_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """``at_once`` devices at a time. No further one begins when ``stop_after_failures`` have failed, or when of a
    wave's devices that ended the share ``stop_at_rate`` failed; None: never for that.
    """

    at_once: int = 8
    stop_after_failures: int | None = None
    stop_at_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Treatment:
    """How each device is updated; as the options of ``smpdfu update``. Times in seconds."""

    policy: Policy = Policy.TEST_AND_CONFIRM
    scheme: Scheme | None = None
    soak_s: float = 0.0
    health: str | None = None
    health_timeout_s: float = 60.0
    boot_timeout_s: float = 120.0
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet, whole and consistent: every device is in one wave and has a package."""

    name: str
    path: Path
    devices: Mapping[str, FleetDevice]
    waves: tuple[Wave, ...]
    packages: Mapping[str, Path]
    limits: Limits = Limits()
    treatment: Treatment = field(default_factory=Treatment)

    @classmethod
    def load(cls, path: Path) -> Fleet:
        """Read the file. Raises FleetFileError with one sentence that names the place, or OSError."""
        tables = _tables(path)
        head = _Table(tables.get("fleet", {}), f"[fleet] of {path.name}")
        name = head.text("name", path.stem)
        limits = Limits(
            head.whole("at_once", 8, lowest=1),
            head.whole("stop_after_failures", None, lowest=1),
            head.number("stop_at_rate", None, highest=1.0),
        )
        soak_s = cast("float", head.number("soak_s", 0.0))
        listed = head.text("devices", None)
        head.nothing_else()
        devices = _devices(path, tables.get("device", []), None if listed is None else path.parent / listed)
        packages = _packages(path, tables.get("packages", {}), devices)
        waves = _waves(tables.get("wave", []), tuple(devices), soak_s, path.name)
        treatment = _treatment(_Table(tables.get("update", {}), f"[update] of {path.name}"))
        return cls(name, path, devices, waves, packages, limits, treatment)


_KNOWN = ("fleet", "update", "packages", "wave", "device")


def _tables(path: Path) -> dict[str, Any]:
    import tomllib

    data = read_start(path, MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise FleetFileError(f"{path.name} is larger than {MAX_FILE_BYTES >> 20} MiB")
    try:
        tables = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise FleetFileError(f"{path.name} is not valid TOML: {error}") from error
    unknown = sorted(set(tables) - set(_KNOWN))
    if unknown:
        raise FleetFileError(f"{path.name} has an unknown table {unknown[0]!r}; known are {', '.join(_KNOWN)}")
    return tables


class _Table:
    """A table of the file, read key by key; what is wrong is told with its place."""

    def __init__(self, table: Any, where: str) -> None:
        if not isinstance(table, dict):
            raise FleetFileError(f"{where} is not a table")
        self._left, self.where = dict(table), where

    def text(self, key: str, default: str | None) -> Any:
        value = self._left.pop(key, default)
        if value is not None and (not isinstance(value, str) or not value):
            raise FleetFileError(f"{key!r} in {self.where} is not a text")
        return value

    def whole(self, key: str, default: int | None, *, lowest: int) -> Any:
        value = self._left.pop(key, default)
        if value is not None and (type(value) is not int or value < lowest):
            raise FleetFileError(f"{key!r} in {self.where} is not a whole number of at least {lowest}")
        return value

    def number(self, key: str, default: float | None, *, highest: float = 1e7) -> float | None:
        value = self._left.pop(key, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
            raise FleetFileError(f"{key!r} in {self.where} is not a number from 0 to {highest:g}")
        return float(value)

    def texts(self, key: str) -> list[str] | None:
        value = self._left.pop(key, None)
        if value is not None and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            raise FleetFileError(f"{key!r} in {self.where} is not a list of texts")
        return cast("list[str] | None", value)

    def choice(self, key: str, choices: Sequence[str], default: str) -> str:
        value = self._left.pop(key, default)
        if value not in choices:
            raise FleetFileError(f"{key!r} in {self.where} is none of {', '.join(choices)}")
        return str(value)

    def nothing_else(self) -> None:
        if self._left:
            raise FleetFileError(f"{self.where} has an unknown key {min(self._left)!r}")


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise FleetFileError(f"{what} is not a list of tables: write [[{what}]]")
    return value


def _devices(path: Path, tables: Any, listed: Path | None) -> dict[str, FleetDevice]:
    found = [] if listed is None else _from_csv(listed)
    for number, one in enumerate(_list(tables, "device"), 1):
        table = _Table(one, f"the {number}. [[device]] of {path.name}")
        address = table.text("address", None)
        if address is None:
            raise FleetFileError(f"{table.where} has no address")
        found.append(FleetDevice(table.text("name", address), address, table.text("hardware", DEFAULT)))
        table.nothing_else()
    if not 0 < len(found) <= MAX_DEVICES:
        raise FleetFileError(f"{path.name} has {len(found)} devices; a fleet has 1 to {MAX_DEVICES}")
    return _unique(found)


def _unique(found: Sequence[FleetDevice]) -> dict[str, FleetDevice]:
    devices: dict[str, FleetDevice] = {}
    addresses: dict[str, str] = {}
    for one in found:
        if one.name in devices:
            raise FleetFileError(f"two devices are named {one.name!r}")
        if one.address in addresses:
            raise FleetFileError(f"{addresses[one.address]!r} and {one.name!r} have the same address, {one.address}")
        devices[one.name], addresses[one.address] = one, one.name
    return devices


def _from_csv(path: Path) -> list[FleetDevice]:
    try:
        data = read_start(path, MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise FleetFileError(f"{path.name} is larger than {MAX_FILE_BYTES >> 20} MiB")
        with io.StringIO(data.decode("utf-8-sig"), newline="") as file:
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
        found.append(FleetDevice(name, address, (row.get("hardware") or "").strip() or DEFAULT))
    return found


def _packages(path: Path, tables: Any, devices: Mapping[str, FleetDevice]) -> dict[str, Path]:
    if not isinstance(tables, dict) or not all(isinstance(one, str) for one in tables.values()):
        raise FleetFileError(f"[packages] of {path.name} does not name a file for each hardware")
    for one in devices.values():
        if one.hardware not in tables:
            raise FleetFileError(f"[packages] of {path.name} has none for {one.hardware!r}, which {one.name!r} is")
    used = {one.hardware for one in devices.values()}
    return {hardware: path.parent / file for hardware, file in tables.items() if hardware in used}


def _waves(tables: Any, names: tuple[str, ...], soak_s: float, file: str) -> tuple[Wave, ...]:
    left, waves = list(names), []
    for number, one in enumerate(_list(tables, "wave"), 1):
        table = _Table(one, f"the {number}. [[wave]] of {file}")
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


def _choose(table: _Table, left: Sequence[str], total: int) -> list[str]:
    patterns = table.texts("devices")
    count, share = table.whole("count", None, lowest=1), table.number("share", None, highest=1.0)
    if sum(one is not None for one in (patterns, count, share)) > 1:
        raise FleetFileError(f"{table.where} has more than one of devices, count and share")
    if patterns is not None:
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in left):
                raise FleetFileError(f"{pattern!r} in {table.where} is no device that is left")
        return [name for name in left if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if share is not None:
        count = max(math.ceil(share * total), 1)
    chosen = list(left if count is None else left[:count])
    if not chosen:
        raise FleetFileError(f"no device is left for {table.where}")
    return chosen


def _treatment(table: _Table) -> Treatment:
    times = {one.name: one.default for one in fields(Treatment) if one.name.endswith("_s")}
    scheme = table.choice("scheme", ("auto", *Scheme), "auto")
    seconds = {name: table.number(name, cast("float | None", default)) for name, default in times.items()}
    for name, value in seconds.items():
        if value == 0 and name != "soak_s":
            raise FleetFileError(f"{name!r} in {table.where} is 0: nothing can be done in no time")
    treatment = Treatment(
        policy=Policy(table.choice("policy", tuple(Policy), Policy.TEST_AND_CONFIRM)),
        scheme=None if scheme == "auto" else Scheme(scheme),
        health=table.text("health", None),
        **seconds,  # type: ignore[arg-type]  # see fields
    )
    table.nothing_else()
    return treatment
