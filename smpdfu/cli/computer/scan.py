"""``scan``: the devices that this computer can reach, and the next command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smpdfu.cli.terminal.show import Output, table
from smpdfu.device_scan import VirtualDevice, ble_devices, serial_devices, virtual_devices

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.link.ble.search import Found

Row = dict[str, Any]


async def show_devices(out: Output, seconds: float, controller: str | None, *, every: bool) -> None:
    """List the devices in reach. Listen for BLE devices for ``seconds``; 0: not at all."""
    rows = [*_serial(every=every), *_virtual()]
    fault = None
    if seconds:
        out.say(f"Listening for BLE devices for {seconds:g} s ...")
        found, fault = await ble_devices(seconds, controller)
        rows += [_heard(one) for one in found]
    answer = {"devices": rows, "bluetooth": fault}
    out.emit(answer, lambda: _shown(rows))
    if fault is not None:
        out.say(f"Bluetooth cannot be used: {fault}. `smpdfu doctor` shows what to do.")
    if rows:
        out.say(_next(rows))
    elif not every:
        out.say("`smpdfu doctor` checks this computer; `smpdfu scan --all` lists every serial port.")


def _serial(*, every: bool) -> list[Row]:
    """Return the ports that look like boards, known vendors first."""
    return [
        _row(
            "serial",
            port.address,
            ", ".join(filter(None, (port.board, port.description))) or "serial port",
            known=port.board is not None,
        )
        | {"serial_number": port.serial_number, "usb_id": port.usb_id, "stable_name": port.stable_name}
        for port in serial_devices(every=every)
    ]


def _heard(found: Found) -> Row:
    what = f"{found.name or 'no name'}, {found.rssi} dBm"
    if found.secure_dfu:
        what = f"Secure DFU bootloader (nRF5 SDK): {what}"
    return _row("ble", f"ble:{found.address}", what) | {
        "name": found.name,
        "rssi": found.rssi,
        "secure_dfu": found.secure_dfu,
    }


def _next(rows: list[Row]) -> str:
    """Return the next command for the first device, and for the first one with Secure DFU."""
    smp = next((row for row in rows if not row.get("secure_dfu")), None)
    secure_dfu = next((row for row in rows if row.get("secure_dfu")), None)
    commands = [f"smpdfu list --to {smp['address']}"] if smp else []
    if secure_dfu is not None:
        commands.append(f"smpdfu secure-dfu send PACKAGE.zip --to {secure_dfu['address']}")
    return f"Next: {' or '.join(f'`{one}`' for one in commands)}"


def _row(kind: str, address: str, what: str, *, known: bool = True) -> Row:
    return {"kind": kind, "address": address, "what": what, "known": known}


def _virtual() -> list[Row]:
    return [_virtual_row(one) for one in virtual_devices()]


def _virtual_row(one: VirtualDevice) -> Row:
    what = "virtual nRF52 with Secure DFU" if one.secure_dfu else "virtual device"
    row = _row(one.address.partition(":")[0], one.address, f"{what} {one.name}" if one.running else what)
    return row | {"secure_dfu": True} if one.secure_dfu else row


def _shown(rows: list[Row]) -> RenderableType:
    if not rows:
        return "No devices found."
    cells = [(row["address"], row["what"], row.get("stable_name")) for row in rows]
    return table("", ("address (--to)", "what", "stable name"), cells)
