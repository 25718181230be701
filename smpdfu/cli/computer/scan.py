"""``scan``: the devices that this computer can reach, and the next command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smpdfu.cli.terminal.show import Output, table
from smpdfu.connect import WIRES
from smpdfu.link.serial import pipe as serial_pipe
from smpdfu.local.doctor import system
from smpdfu.local.doctor.usb_vendors import board_of
from smpdfu.virtual.store.names import holder_of, list_devices

if TYPE_CHECKING:
    from rich.console import RenderableType

Row = dict[str, Any]


async def show_devices(out: Output, seconds: float, controller: str | None, *, every: bool) -> None:
    """List the devices in reach. Listen for BLE devices for ``seconds``; 0: not at all."""
    rows = [*_serial(every=every), *_virtual()]
    fault = None
    if seconds:
        from smpdfu.cli.computer.scan_ble import listen  # here: 40 ms, which --seconds 0 does not pay

        out.say(f"Listening for BLE devices for {seconds:g} s ...")
        found, fault = await listen(seconds, controller)
        rows += [
            _row("ble", one.address, f"{one.name or 'no name'}, {one.rssi} dBm") | {"name": one.name, "rssi": one.rssi}
            for one in found
        ]
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
    names = _stable_names()
    rows = []
    for port in serial_pipe.list_serial_ports():
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
    found = {}
    for link in system.System().entries("/dev/serial/by-id"):
        try:
            found[str(link.resolve(strict=True))] = str(link)
        except (OSError, RuntimeError):
            continue
    return found


def _virtual() -> list[Row]:
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


def _shown(rows: list[Row]) -> RenderableType:
    if not rows:
        return "No devices found."
    cells = [(row["address"], row["what"], row.get("stable_name")) for row in rows]
    return table("", ("address (--to)", "what", "stable name"), cells)
