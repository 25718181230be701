"""``scan``: the devices that this computer can reach, and the next command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from smpdfu.cli.app.command import command
from smpdfu.cli.terminal.show import Output, table

if TYPE_CHECKING:
    from rich.console import RenderableType

Row = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    command(app, "scan")(scan)


async def scan(
    out: Output,
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds", metavar="N", min=0, max=600, help="Time to listen for BLE devices in seconds. 0 skips BLE."
        ),
    ] = 5.0,
    ble_hci: Annotated[
        str | None,
        typer.Option("--ble-hci", metavar="CONTROLLER", help="Use this Bluetooth controller instead of the system's."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also list serial ports that do not look like boards.")] = False,
) -> None:
    """List the devices in reach: serial ports, BLE and virtual devices."""
    rows = [*_serial(every=every), *_virtual()]
    fault = None
    if seconds:
        found, fault = await _ble(seconds, ble_hci, out)
        rows += found
    answer = {"devices": rows, "bluetooth": fault}
    out.emit(answer, lambda: _shown(rows))
    if fault is not None:
        out.say(f"Bluetooth cannot be used: {fault}. `smpdfu doctor` shows what to do.")
    if rows:
        out.say(f"Next: `smpdfu list --to {rows[0]['address']}`")
    elif not every:
        out.say("`smpdfu doctor` checks this computer; `smpdfu scan --all` lists every serial port.")


def _serial(*, every: bool) -> list[Row]:
    """Return the ports that look like boards, known vendors first."""
    from smpdfu.link.serial.pipe import list_serial_ports
    from smpdfu.local.doctor.usb_vendors import board_of

    names = _stable_names()
    rows = []
    for port in list_serial_ports():
        board = board_of(port.usb_id)
        if every or port.usb_id is not None:
            what = ", ".join(filter(None, (board, port.description)))
            rows.append(
                _row("serial", port.name, what or "serial port", known=board is not None)
                | {"serial_number": port.serial_number, "usb_id": port.usb_id, "stable_name": names.get(port.name)}
            )
    return sorted(rows, key=lambda row: not row["known"])


def _row(kind: str, target: str, what: str, *, known: bool = True) -> Row:
    return {"kind": kind, "address": f"{kind}:{target}", "what": what, "known": known}


def _stable_names() -> dict[str, str]:
    """Return each port's stable name from udev, which does not depend on the order of plugging in."""
    from smpdfu.local.doctor.system import System

    found = {}
    for link in System().entries("/dev/serial/by-id"):
        try:
            found[str(link.resolve(strict=True))] = str(link)
        except (OSError, RuntimeError):
            continue
    return found


def _virtual() -> list[Row]:
    from smpdfu.connect import WIRES
    from smpdfu.virtual.store.names import holder_of, list_devices

    rows = []
    for name in list_devices():
        port = str((holder_of(name) or {}).get("port") or "")
        wire, _, rest = port.partition(":")
        if wire in WIRES:  # a process runs it: clients must use its port, because its name is in use
            rows.append(_row(wire, rest, f"virtual device {name}"))
        elif port:
            rows.append(_row("serial", port, f"virtual device {name}"))
        else:
            rows.append(_row("virtual", name, "virtual device"))
    return rows


async def _ble(seconds: float, controller: str | None, out: Output) -> tuple[list[Row], str | None]:
    """Return the BLE devices with the SMP service, the nearest first; or none, and why Bluetooth cannot be used."""
    from smpdfu.connect import ble_backends
    from smpdfu.errors import ConnectError
    from smpdfu.link.ble.pipe import scan as listen
    from smpdfu.local.doctor.checks import why_no_bluetooth
    from smpdfu.local.doctor.system import System

    out.say(f"Listening for BLE devices for {seconds:g} s ...")
    try:
        found = await listen(seconds, ble_backends(controller))
    except ConnectError as error:
        known = why_no_bluetooth(System()) if controller is None else None
        return [], str(error) if known is None else known.what
    return [
        _row("ble", one.address, f"{one.name or 'no name'}, {one.rssi} dBm") | {"name": one.name, "rssi": one.rssi}
        for one in found
    ], None


def _shown(rows: list[Row]) -> RenderableType:
    if not rows:
        return "No devices found."
    cells = [(row["address"], row["what"], row.get("stable_name")) for row in rows]
    return table("", ("address (--to)", "what", "stable name"), cells)
