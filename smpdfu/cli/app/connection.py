"""Which device is meant: the command line, then SMPDFU_TO, then smpdfu.toml."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from smpdfu.cli.app.config_file import BOOTLOADER_KEYS, CONNECTION_KEYS, WAYS, ConfigFile, config_files, configs
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import note
from smpdfu.connect import Address, client_for, nearby, parse_address
from smpdfu.errors import ConnectError

if TYPE_CHECKING:
    from smpdfu.client import Client


class Options(Protocol):
    """The connection options of a command: an attribute for each of ``CONNECTION_KEYS``, the profile and the log."""

    @property
    def profile(self) -> str | None: ...
    @property
    def log(self) -> Path | None: ...
    @property
    def log_data(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """A device's address, the bound on one request and that on requests in flight; None: the client's own.

    ``bootloader`` is what smpdfu.toml says of the device's bootloader, by the names of ``BOOTLOADER_KEYS``.
    """

    address: str
    timeout_s: float | None
    window_max: int | None = None
    bootloader: Mapping[str, Any] = field(default_factory=dict)


def resolve(connection: Options, kinds: Collection[str] | None = None) -> Settings:
    """Settle the address and the bounds. Raises typer.BadParameter with a sentence that says what to type.

    ``kinds`` are the kinds of addresses that the command takes, such as "serial"; None: all.
    """
    given = {key: getattr(connection, key) for key in CONNECTION_KEYS if getattr(connection, key) is not None}
    ways = [way for way in WAYS if way in given]
    if connection.profile is not None:
        if ways:
            raise typer.BadParameter(f"you gave -c and --{ways[0]}. Give only one of them")
        given = _profile(connection.profile) | given
    elif not ways:
        given = _default() | given
    timeout_s = float(given["timeout"]) if "timeout" in given else None
    if timeout_s is not None and not 0 < timeout_s < 86400:
        raise typer.BadParameter(f"--timeout {timeout_s:g} is wrong. Give seconds: more than 0 and less than 86400")
    bootloader = {key: given[key] for key in BOOTLOADER_KEYS if key in given}
    return Settings(address_of(given, kinds), timeout_s, given.get("window"), bootloader)


def open_client(connection: Options, *, transfer_timeout_s: float | None = None, address: str | None = None) -> Client:
    """A client for the device, to be entered with ``async with``; ``transfer_timeout_s`` bounds its transfers.

    ``address`` is another address of the same device.

    Raises typer.BadParameter as ``resolve`` does, and OSError if the file of ``--log`` cannot be written.
    """
    settings = resolve(connection)
    client = client_for(
        address or settings.address,
        timeout_s=settings.timeout_s,
        window_max=settings.window_max,
        transfer_timeout_s=transfer_timeout_s,
    )
    if connection.log is not None:
        from smpdfu.cli.app.frame_log import FrameLog  # here: 20 ms, which a run without --log does not pay

        client.trace = FrameLog(connection.log, address or settings.address, data=connection.log_data)
    return client


def address_of(given: dict[str, Any], kinds: Collection[str] | None = None) -> str:
    """The address that options or a table of smpdfu.toml give. Raises typer.BadParameter."""
    try:
        return str(parse_address(_address(given, kinds)))
    except ConnectError as error:
        raise typer.BadParameter(str(error)) from None


def _address(given: dict[str, Any], kinds: Collection[str] | None) -> str:
    ways = [way for way in WAYS if way in given]
    if not ways:
        raise typer.BadParameter(_no_device(kinds))
    if len(ways) > 1:
        raise typer.BadParameter(f"you gave {' and '.join('--' + way for way in ways)}. Give only one of them")
    way, value = ways[0], str(given[ways[0]])
    if "ble_hci" in given and way != "ble":
        raise typer.BadParameter("--ble-hci works only with --ble")
    if way == "port" and value.startswith("dev="):  # a connection string of mcumgr
        way = "to"
    if way == "port":
        options = [f"baudrate={given['baudrate']}"] if "baudrate" in given else []
        options += ["framing=raw"] if given.get("raw") else []
        return f"serial:{value}?{'&'.join(options)}" if options else f"serial:{value}"
    for option in ("baudrate", "raw"):
        if given.get(option):
            raise typer.BadParameter(f"--{option} works only with --port")
    if "ble_hci" in given:
        return str(Address("ble", value, {"hci": given["ble_hci"]}))
    return {"ble": f"ble:{value}", "ip": f"udp:{value}", "to": value}[way]


def _default() -> dict[str, Any]:
    to = os.environ.get("SMPDFU_TO")
    if to:
        return {"to": to}
    for file in configs():
        table = file.connection
        if table is not None:
            return _told(table, file)
    return {}


def _profile(name: str) -> dict[str, Any]:
    known: list[str] = []
    for file in configs():
        table = file.profile(name)
        if table is not None:
            return _told(table, file)
        known += file.names
    if known:
        raise typer.BadParameter(f"there is no profile {name!r}. Known profiles: {', '.join(known)}")
    places = " or ".join(str(path) for path in config_files())
    raise typer.BadParameter(f"there is no [profile.{name}] in {places}")


def _told(table: dict[str, Any], file: ConfigFile) -> dict[str, Any]:
    """Return the table. A note names the device if the file is in the current folder: it may be another person's."""
    if file.is_here:
        note(f"smpdfu.toml in this folder names the device: {address_of(table)}")
    return table


_KIND_OF_WAY = {"port": "serial", "ble": "ble", "ip": "udp"}


def _no_device(kinds: Collection[str] | None) -> str:
    ways = [f"--{way}" for way, kind in _KIND_OF_WAY.items() if kinds is None or kind in kinds]
    found = [one for one in nearby() if kinds is None or one.partition(":")[0] in kinds]
    nothing = "There is no serial port and no virtual device here."
    if kinds is not None and "virtual" not in kinds:
        nothing = "There is no serial port on USB here."
    seen = "Found here: " + ", ".join(found) + "." if found else nothing
    return f"which device? Give {', '.join(ways)} or --to, or set SMPDFU_TO. {seen}"
