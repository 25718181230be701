"""``virtual run``: serve devices on their wires until Ctrl-C."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.interrupt import run_async
from smpdfu.cli.terminal.show import Output
from smpdfu.cli.virtual.nrf52.run import serve_nrf52
from smpdfu.cli.virtual.options.wires import WireParts, Wires
from smpdfu.cli.virtual.serve import servings, wires_of_many
from smpdfu.cli.virtual.serving import announce, read_traffic, serve_until_stopped, show_console, traffic_of
from smpdfu.local.state.limits import allow_open_files
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.copies import copies_of
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.timers import precise_loop
from smpdfu.virtual.line.traffic import Traffic
from smpdfu.virtual.server.serial_recovery import RecoveryBuild
from smpdfu.virtual.store import devices as store_devices
from smpdfu.virtual.store.kinds import is_nrf52


def run_devices(names: list[str], out: Output, wires: Wires, wire: WireParts) -> None:
    """Serve devices until Ctrl-C or SIGTERM. Raises typer.BadParameter, ConnectError or OSError."""
    if wires.copies and len(names) > 1:
        raise typer.BadParameter("--copies works with one device. Give one NAME")
    each = wires_of_many(wires, wires.copies or len(names))
    traffic = read_traffic(wire, wires)
    kinds = {is_nrf52(name) for name in names}
    if kinds == {True}:
        run_async(serve_nrf52(names, out, traffic, each, flow_control=wire.flow_control), precise_loop)
        return
    if len(kinds) > 1:
        raise typer.BadParameter("run devices with an nRF5340 and with an nRF52 in commands of their own")
    if not wire.flow_control:
        raise typer.BadParameter("--no-flow-control is for an nRF52 with Secure DFU. Leave it out")
    run_async(_serve(names, out, traffic, each), precise_loop)


async def _serve(names: list[str], out: Output, traffic: Traffic, each: list[Wires]) -> None:
    with ExitStack() as stack:
        devices = _taken(names, each[0].copies, out, stack)
        parts = []
        for number, (device, wires) in enumerate(zip(devices, each, strict=True)):
            device.traffic = traffic_of(traffic, number)
            show_console(device, device.name, among=len(devices))
            _start_recovery(device, wires)
            kept = device if isinstance(device, store_devices.StoredDevice) else None
            parts += servings(device, wires, partial(announce, device.name, kept, out))
        await serve_until_stopped(parts)


def _start_recovery(device: VirtualNrf5340, wires: Wires) -> None:
    if not wires.recovery:
        return
    if device.layout.mode is BootMode.FIRMWARE_LOADER:
        raise typer.BadParameter(
            f"{device.name} has a firmware loader, and such a bootloader has no serial recovery. Leave out --recovery"
        )
    device.recovers = True
    device.recovery_build = RecoveryBuild(direct_upload=wires.direct_upload)
    device.enter_recovery()


def _taken(names: list[str], copies: int | None, out: Output, stack: ExitStack) -> Sequence[VirtualNrf5340]:
    if not copies:
        return [stack.enter_context(store_devices.open_device(name)) for name in names]
    allow_open_files(2 * copies + 100)
    devices = copies_of(store_devices.view_device(names[0]), copies)
    out.say(f"smpdfu runs {copies} copies of {names[0]} in memory. Press Ctrl-C to stop and discard them")
    return devices
