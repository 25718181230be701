"""Which device is meant: the command line, then SMPDFU_TO, then smpdfu.toml."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from smpdfu.cli.options import Connection

CONFIG_NAME = "smpdfu.toml"
_WAYS = ("port", "ble", "ip", "to")
_KEYS = {*_WAYS, "baudrate", "timeout"}


@dataclass(frozen=True, slots=True)
class Settings:
    """A device's address and the bound on one request; None: the client's own."""

    address: str
    timeout_s: float | None


def resolve(connection: Connection) -> Settings:
    """Settle the address and the timeout. Raises typer.BadParameter with a sentence that says what to type."""
    given = {key: getattr(connection, key) for key in _KEYS if getattr(connection, key) is not None}
    ways = [way for way in _WAYS if way in given]
    if connection.profile is not None:
        if ways:
            raise typer.BadParameter(f"give either -c or --{ways[0]}, not both")
        given = _profile(connection.profile) | given
    elif not ways:
        given = _default() | given
    timeout_s = float(given["timeout"]) if "timeout" in given else None
    if timeout_s is not None and not 0 < timeout_s < 86400:
        raise typer.BadParameter(f"--timeout {timeout_s:g} is not a number of seconds above 0")
    return Settings(_checked_address(_address(given)), timeout_s)


def _checked_address(text: str) -> str:
    from smpdfu.connect import parse_address
    from smpdfu.errors import ConnectError

    try:
        return str(parse_address(text))
    except ConnectError as error:
        raise typer.BadParameter(str(error)) from None


def _address(given: dict[str, Any]) -> str:
    ways = [way for way in _WAYS if way in given]
    if not ways:
        raise typer.BadParameter(_no_device())
    if len(ways) > 1:
        raise typer.BadParameter(f"give one of {', '.join('--' + way for way in ways)}, not several")
    way, value = ways[0], str(given[ways[0]])
    if "baudrate" in given:
        if way != "port":
            raise typer.BadParameter("--baudrate goes with --port")
        return f"serial:{value}?baudrate={given['baudrate']}"
    return {"port": f"serial:{value}", "ble": f"ble:{value}", "ip": f"udp:{value}", "to": value}[way]


def _default() -> dict[str, Any]:
    to = os.environ.get("SMPDFU_TO")
    if to:
        return {"to": to}
    for path in config_files():
        table = _read(path).get("connection")
        if table is not None:
            return _checked(table, f"[connection] of {path}")
    return {}


def _profile(name: str) -> dict[str, Any]:
    for path in config_files():
        table = _read(path).get("profile", {})
        if isinstance(table, dict) and name in table:
            return _checked(table[name], f"[profile.{name}] of {path}")
    places = " or ".join(str(path) for path in config_files())
    raise typer.BadParameter(f"there is no [profile.{name}] in {places}")


def config_files() -> tuple[Path, ...]:
    """The places where smpdfu.toml may be, the nearer first: the current folder, the user's config folder."""
    if sys.platform == "win32":
        home = Path(os.environ.get("APPDATA", Path.home()))
    elif sys.platform == "darwin":
        home = Path.home() / "Library" / "Application Support"
    else:
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return Path(CONFIG_NAME), home / "smpdfu" / CONFIG_NAME


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path} cannot be read: {error}") from error


def _checked(table: Any, where: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise typer.BadParameter(f"{where} is not a table")
    unknown = sorted(set(table) - _KEYS)
    if unknown:
        raise typer.BadParameter(f"{where} has an unknown key {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}")
    for key in ("baudrate", "timeout"):
        if isinstance(table.get(key, 1), bool) or not isinstance(table.get(key, 1), int | float):
            raise typer.BadParameter(f"{key!r} of {where} is not a number")
    return dict(table)


def _no_device() -> str:
    from smpdfu.connect import nearby

    found = nearby()
    seen = "Found here: " + ", ".join(found) + "." if found else "No serial port and no virtual device was found here."
    return f"which device? Give --port, --ble, --ip or --to, or set SMPDFU_TO. {seen}"
