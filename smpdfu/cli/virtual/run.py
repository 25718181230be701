"""``virtual run``: serve devices on their wires until Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import typer

from smpdfu.cli.app.stop_signals import stopped_by_signals
from smpdfu.cli.terminal.interrupt import run_async
from smpdfu.cli.terminal.show import Output
from smpdfu.cli.virtual.options.wires import WireParts, Wires
from smpdfu.cli.virtual.serve import servings, wires_of_many
from smpdfu.local.state.limits import allow_open_files
from smpdfu.untrusted import text as door
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.copies import copies_of
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.timers import precise_loop
from smpdfu.virtual.line.traffic import Traffic
from smpdfu.virtual.server.serial_recovery import RecoveryBuild
from smpdfu.virtual.store import devices as store_devices


def run_devices(names: list[str], out: Output, wires: Wires, wire: WireParts) -> None:
    """Serve devices until Ctrl-C or SIGTERM. Raises typer.BadParameter, ConnectError or OSError."""
    if wires.copies and len(names) > 1:
        raise typer.BadParameter("--copies works with one device. Give one NAME")
    each = wires_of_many(wires, wires.copies or len(names))
    run_async(_serve(names, out, _traffic(wire, stream=wires.stream), each), precise_loop)


def _traffic(wire: WireParts, *, stream: bool) -> Traffic:
    """Return the options in the form that the device takes; typer.BadParameter for what a ``stream`` cannot do."""
    if stream and (wire.duplicate or wire.reorder):
        raise typer.BadParameter(
            "only UDP duplicates or reorders messages. Use --duplicate and --reorder with --udp alone, without "
            "a serial line or Bluetooth"
        )
    return Traffic(
        baudrate=wire.baudrate,
        latency_s=wire.latency / 1000,
        interval_s=wire.interval / 1000,
        loss=wire.loss / 100,
        duplication=wire.duplicate / 100,
        reordering=wire.reorder / 100,
        seed=wire.seed,
    )


async def _serve(names: list[str], out: Output, traffic: Traffic, each: list[Wires]) -> None:
    with ExitStack() as stack:
        devices = _taken(names, each[0].copies, out, stack)
        parts = []
        for number, (device, wires) in enumerate(zip(devices, each, strict=True)):
            loses = traffic.loss or traffic.reshuffles  # each device loses different messages
            device.traffic = replace(traffic, seed=traffic.seed + number) if loses else traffic
            _show_console(device, among=len(devices))
            _start_recovery(device, wires)
            parts += servings(device, wires, partial(_announce, device, out))
        try:
            await asyncio.sleep(0)  # Ctrl-C may have come meanwhile
        except asyncio.CancelledError:
            for part in parts:
                part.close()
            raise
        serving = asyncio.gather(*parts)
        try:
            with stopped_by_signals(serving.cancel):
                await asyncio.wait([serving])
        finally:  # Ctrl-C may also come before the signal handlers are there
            serving.cancel()
            await asyncio.wait([serving])
            failed = None if serving.cancelled() else serving.exception()
        if failed is not None and not isinstance(failed, asyncio.CancelledError):
            raise failed


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


def _show_console(device: VirtualNrf5340, *, among: int) -> None:
    """Show the console from now on; for a single device also the lines of its boot."""
    if among > 1:
        device.watch(lambda line: _console_line(f"{device.name}: {line}"))
        return
    for line in device.log:
        _console_line(line)
    device.watch(_console_line)


def _announce(device: VirtualNrf5340, out: Output, port: str) -> None:
    """Print the port as one line that a script can read."""
    kept = device if isinstance(device, store_devices.StoredDevice) else None
    if kept is not None:
        kept.announce(port)
    typer.echo(json.dumps({"name": device.name, "port": port}) if out.json else port)
    if kept is not None:
        out.say(f"{device.name} runs at {port}. Press Ctrl-C to stop it")


def _console_line(line: str) -> None:
    sys.stderr.write(door.line(line) + "\n")
    sys.stderr.flush()
