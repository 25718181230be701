"""``virtual show``, ``list`` and ``reset``: what they show of a device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output, facts, stacked, table
from smpdfu.cli.virtual.nrf52.show import emit, reset_nrf52, row_of
from smpdfu.errors import ConnectError
from smpdfu.image.trailer import Trailer
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.nrf52.report import report_nrf52
from smpdfu.virtual.report import Report, SlotReport, report
from smpdfu.virtual.report_b0 import McubootReport
from smpdfu.virtual.store import devices as store_devices
from smpdfu.virtual.store.kinds import is_nrf52
from smpdfu.virtual.store.nrf52 import view_nrf52

if TYPE_CHECKING:
    from rich.console import RenderableType

_PARTITIONS = {"pm": "Partition Manager", "dts": "devicetree partitions"}


def reset_device(name: str, out: Output, *, button: bool = False) -> None:
    """Turn a device off and on, and show it. Raises ConnectError if a process runs it, or it does not exist.

    ``button``: hold the one that starts the firmware loader, or DFU mode. Raises typer.BadParameter for a device
    without one.
    """
    if is_nrf52(name):
        reset_nrf52(name, out, button=button)
        return
    with store_devices.open_device(name) as device:
        if button and device.layout.mode is not BootMode.FIRMWARE_LOADER:
            raise typer.BadParameter(
                f"{name} has no firmware loader, so there is no button for it. Leave out --button, or make a device "
                "with --mode firmware-loader"
            )
        device.button_held = button
        device.reset()
    show_device(name, out)


def show_device(name: str, out: Output) -> None:
    """Show both cores of a device. Raises ConnectError if it does not exist or is damaged."""
    if is_nrf52(name):
        emit(name, out)
        return
    found = look(name)
    out.emit(with_holder(found), lambda: rendered(found))


def list_devices(out: Output) -> None:
    """List the devices. A damaged device has a row with its error."""
    devices = [_row_of(name, out) for name in store_devices.list_devices()]
    columns = ("name", "layout", "power", "runs", "in use by", "port")
    keys = ("name", "layout", "powered", "app_runs", "pid", "port")
    rows = [[one.get(key) for key in keys] for one in devices]
    out.emit(
        {"devices": devices},
        lambda: (
            table("", columns, rows)
            if rows
            else "There are no virtual devices. `smpdfu virtual new desk --demo` makes one."
        ),
    )


def look(name: str) -> Report:
    """Look at a device. Raises ConnectError if it is damaged or not there."""
    return report(store_devices.view_device(name))


def _row_of(name: str, out: Output) -> dict[str, Any]:
    """Return a device's row of the list; a damaged device must not hide the others."""
    try:
        return row_of(report_nrf52(view_nrf52(name))) if is_nrf52(name) else with_holder(look(name))
    except ConnectError as error:
        out.warn(str(error))
        return {"name": name, "error": str(error)}


def with_holder(found: Report) -> dict[str, Any]:
    """Return what was found, with the process that runs the device and its port."""
    held = store_devices.holder_of(found.name) or {}
    return found.to_dict() | {"pid": held.get("pid"), "port": held.get("port")}


def rendered(found: Report) -> RenderableType:
    """Return the device, both cores and their slots as tables for people."""
    columns = ("slot", "address", "size", "version", "hash", "trailer")
    net = found.net
    return stacked(
        facts(
            (
                ("device", found.name),
                ("layout", f"{found.layout}, {found.mode}"),
                ("bootloader", _bootloader(found)),
                ("power", "on" if found.powered else "off"),
                ("next boot", found.next_boot),
                *_b0(found),
                *_worn(found),
            )
        ),
        *_mcuboot(found),
        table(f"application core: {_ended(found)}", columns, [_row(slot) for slot in found.slots]),
        table(
            f"network core: {_runs(found.net_runs)}{_without_radio(found)}",
            ("address", "size", "content", "version", "SHA-256"),
            [[f"0x{net.address:x}", f"0x{net.size_bytes:x}", net.state, net.version, net.sha256]],
        ),
    )


# By ``bootloader.Ending``.
_ENDINGS = {
    "runs": "runs",
    "off": "does not run",
    "recovery": "in MCUboot's serial recovery",
    "no image": "does not run: MCUboot found no image that it can start",
    "crash": "does not run: its image is for another slot and crashed",
    "assert": "does not run: MCUboot stopped at an assertion (see `smpdfu virtual log`)",
    "no bootloader": "does not run: b0 found no MCUboot that it can start",
    "hang": "does not run: MCUboot waits for the network core forever",
}


def _ended(found: Report) -> str:
    if found.loader_runs:
        return "runs the firmware loader"
    if found.ending == "crash" and found.external_half is not None:
        return "does not run: its two halves are of different builds, or for other slots"
    return _ENDINGS[found.ending]


def _bootloader(found: Report) -> str:
    checks = "does not check addresses" if found.address_check == "none" else f"checks the {found.address_check}"
    return f"{found.bootloader}, {_PARTITIONS[found.partitions]}, {checks}"


def _b0(found: Report) -> Iterator[tuple[str, str]]:
    """Yield what b0 was provisioned with."""
    b0 = found.b0
    if b0 is None:
        return
    if b0.error is not None:
        yield "b0", f"cannot read its data: {b0.error}"
        return
    keys = (f"{key.hash.hex()[:8]}{' (revoked)' if key.revoked else ''}" for key in b0.keys)
    yield "b0", f"trusts {', '.join(keys)}" if b0.keys else "checks the hash only"
    if b0.lowest_version is not None:
        yield "lowest version", f"{b0.lowest_version}, can still be raised {b0.counts_left} times"


def _mcuboot(found: Report) -> Iterator[RenderableType]:
    if found.b0 is None:
        return
    columns = ("slot", "address", "size", "version", "signed version", "b0")
    rows = [
        [slot.name, f"0x{slot.address:x}", f"0x{slot.size_bytes:x}", slot.version, slot.signed_version, _state(slot)]
        for slot in found.b0.slots
    ]
    yield table("MCUboot", columns, rows)


def _state(slot: McubootReport) -> str:
    state = "would start it" if slot.refusal is None else slot.refusal.rstrip(".")
    return f"{state}, runs" if slot.active else state


def _worn(found: Report) -> list[tuple[str, str]]:
    words = (f"{one.memory} 0x{one.address:x}: {one.erases} times" for one in found.wear)
    return [("most erased", ", ".join(words))] if found.wear else []


def _runs(runs: bool) -> str:
    return "runs" if runs else "does not run"


def _without_radio(found: Report) -> str:
    deaf = found.app_runs and found.net_runs and not found.radio_up
    return ", but its interface does not match the application: no radio" if deaf else ""


def _row(slot: SlotReport) -> list[object]:
    name = slot.name if slot.image == 0 else f"{slot.name} of image {slot.image}"
    marks = f"{', encrypted' if slot.encrypted else ''}{', runs' if slot.active else ''}"
    version = f"{slot.version or slot.state}{marks}"
    place = [name, f"0x{slot.address:x}", f"0x{slot.size_bytes:x}"]
    return [*place, version, slot.hash, _written(slot.trailer)]


def _written(trailer: Trailer) -> str:
    """Return the written fields of a trailer by MCUboot's names; "" if it is erased."""
    flags = {"copy_done": trailer.copy_done, "image_ok": trailer.image_ok}
    words = [] if trailer.magic == "unset" else [f"{trailer.magic} magic"]
    words += [] if trailer.swap_info is None else [f"swap_info {trailer.swap_info}"]
    words += [name if state == "set" else f"{name} {state}" for name, state in flags.items() if state != "unset"]
    return ", ".join(words)
