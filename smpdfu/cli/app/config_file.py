"""smpdfu.toml: ``[connection]``, the device that is meant when none is named, and ``[profile.NAME]``, for -c NAME."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.connect import parse_address
from smpdfu.errors import ConnectError
from smpdfu.link.ble.controllers import check_controller, serial_port_of
from smpdfu.untrusted.files import read_start
from smpdfu.untrusted.nesting import load_toml

CONFIG_NAME = "smpdfu.toml"
MAX_BYTES = 1 << 20
WAYS = ("port", "ble", "ip", "to")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


def _is_partitions(value: object) -> bool:
    return value in ("pm", "dts")


Check = tuple[Callable[[object], bool], str]
TEXT: Check = (_is_text, "a text")
COUNT: Check = (_is_count, "a whole number above 0")
NUMBER: Check = (_is_number, "a number")
SWITCH: Check = (_is_switch, "true or false")

CONNECTION_KEYS: Mapping[str, Check] = {
    **dict.fromkeys(WAYS, TEXT),
    "baudrate": COUNT,
    "raw": SWITCH,
    "ble_hci": TEXT,
    "timeout": NUMBER,
    "window": COUNT,
}
BOOTLOADER_KEYS: Mapping[str, Check] = {"ncs": TEXT, "partitions": (_is_partitions, "pm or dts"), "net_address": COUNT}
KEYS: Mapping[str, Check] = {**CONNECTION_KEYS, **BOOTLOADER_KEYS}
"""What a table may have: the names of the options of a connection and of a bootloader, and what their values must be.
"""


def config_files() -> tuple[Path, ...]:
    """Return the places of smpdfu.toml, the nearest first: the current folder, then the user's config folder."""
    if sys.platform == "win32":
        home = Path(os.environ.get("APPDATA", Path.home()))
    elif sys.platform == "darwin":
        home = Path.home() / "Library" / "Application Support"
    else:
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return Path(CONFIG_NAME), home / "smpdfu" / CONFIG_NAME


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A smpdfu.toml: its text, for line numbers, and its tables."""

    path: Path
    text: str
    tables: Mapping[str, Any]

    @property
    def is_here(self) -> bool:
        """True for the file of the current folder, which may be another person's."""
        return self.path == Path(CONFIG_NAME)

    @property
    def connection(self) -> dict[str, Any] | None:
        """The table [connection], checked; None if there is none. Raises typer.BadParameter."""
        return self._checked("connection", self.tables["connection"]) if "connection" in self.tables else None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its profiles. Raises typer.BadParameter if ``profile`` is no table."""
        return tuple(self._profiles())

    def profile(self, name: str) -> dict[str, Any] | None:
        """The table [profile.NAME], checked; None if there is none. Raises typer.BadParameter."""
        found = self._profiles()
        return self._checked(f"profile.{name}", found[name]) if name in found else None

    def strangers(self) -> Iterator[str]:
        """A sentence for every other table: it has no effect."""
        for name in self.tables:
            if name not in ("connection", "profile"):
                yield f"{self._place(name)}: [{name}] has no effect. Known tables: [connection] and [profile.NAME]"

    def _profiles(self) -> Mapping[str, Any]:
        found = self.tables.get("profile", {})
        if not isinstance(found, dict):
            raise typer.BadParameter(f"{self._place('profile')}: profile is not a table. Write [profile.NAME]")
        return found

    def _checked(self, name: str, found: Any) -> dict[str, Any]:
        if not isinstance(found, dict):
            raise typer.BadParameter(f"{self._place(name)}: {name} is not a table. Write [{name}]")
        for key, value in found.items():
            check, kind = KEYS.get(key, (None, ""))
            if check is None:
                known = ", ".join(sorted(KEYS))
                raise typer.BadParameter(
                    f"{self._place(name, key)}: [{name}] has an unknown key {key!r}; known: {known}"
                )
            if not check(value):
                raise typer.BadParameter(f"{self._place(name, key)}: {key!r} of [{name}] must be {kind}")
        ways = [way for way in WAYS if way in found]
        if len(ways) != 1:
            what = f"has {' and '.join(ways)}" if ways else "names no device"
            raise typer.BadParameter(f"{self._place(name)}: [{name}] {what}; it needs one of {', '.join(WAYS)}")
        reason = _unsafe(found) if self.is_here else None
        if reason is not None:
            key, why = reason
            raise typer.BadParameter(
                f"{self._place(name, key)}: {key!r} of [{name}] {why}, and a file in the current folder may not choose "
                "that. Give it on the command line, or in the smpdfu.toml of your configuration folder"
            )
        return dict(found)

    def _place(self, name: str, key: str = "") -> str:
        """``smpdfu.toml:7``: the line of a table, or of a key in it, where it is written in the usual way."""
        plain = re.compile(r"\[\s*" + r"\s*\.\s*".join(_name(part) for part in name.split(".", 1)) + r"\s*\]")
        entry = re.compile(rf"{_name(key)}\s*=")
        inside = False
        at = 0
        for number, line in enumerate(self.text.splitlines(), 1):
            bare = line.strip()
            if bare.startswith("["):
                inside = plain.match(bare) is not None
                at = number if inside else at
            elif inside and key and entry.match(bare):
                at = number
                break
        return f"{self.path}:{at}" if at else str(self.path)


def _unsafe(table: Mapping[str, Any]) -> tuple[str, str] | None:
    """The key that names a file, a program or a listener, and in words what; None in a table that names devices only.

    A file of the current folder may come with another person's project. It may name devices and nothing else.
    """
    controllers, ports = [("ble_hci", table.get("ble_hci"))], [("port", table.get("port"))]
    try:
        address = parse_address(table["to"]) if "to" in table else None
    except ConnectError:  # told when the address is used
        address = None
    if address is not None and address.kind == "ble":
        controllers.append(("to", address.options.get("hci")))
    elif address is not None and address.kind == "serial":
        ports.append(("to", address.target))
    for key, controller in controllers:
        try:
            check_controller(controller) if controller is not None else None
        except ConnectError:
            return key, f"is {controller!r}, which is not a Bluetooth controller"
        ports.append((key, None if controller is None else serial_port_of(controller)))
    return next(((key, f"names {port}, which is not a port") for key, port in ports if not _can_be_port(port)), None)


def _can_be_port(name: str | None) -> bool:
    """False for a file, a pipe or a folder, and for pyserial's URLs."""
    if name is None:
        return True
    try:
        return "://" not in name and stat.S_ISCHR(os.stat(name).st_mode)
    except (OSError, ValueError):  # not there, or a name that only this system's ports have: opening it tells
        return "://" not in name


def _name(part: str) -> str:
    return rf"[\"']?{re.escape(part)}[\"']?"


def read_config(path: Path) -> ConfigFile | None:
    """The file at ``path``, None if there is none. Raises typer.BadParameter if it cannot be read."""
    try:
        data = read_start(path, MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise typer.BadParameter(f"{path} is too large for a configuration: it has more than {MAX_BYTES} bytes")
        text = data.decode()
        return ConfigFile(path, text, load_toml(text))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else error
        raise typer.BadParameter(f"{path} cannot be read: {what}") from error


def configs() -> Iterator[ConfigFile]:
    """Yield the files that exist, the nearest first."""
    for path in config_files():
        found = read_config(path)
        if found is not None:
            yield found
