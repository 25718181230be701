"""What ``virtual run`` does for devices of every kind: their consoles, their ports, and Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Protocol

from smpdfu.cli.app.stop_signals import stopped_by_signals
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output, print_text
from smpdfu.cli.virtual.options.wires import WireParts, Wires
from smpdfu.errors import ConnectError
from smpdfu.untrusted import text as door
from smpdfu.virtual.line.traffic import Traffic
from smpdfu.virtual.watched import Watched


class Kept(Protocol):
    """A device of the store."""

    def announce(self, port: str) -> None:
        """Tell other processes its port."""


def read_traffic(wire: WireParts, wires: Wires) -> Traffic:
    """Return the options in the form that the device takes; typer.BadParameter for what a wire cannot do."""
    if wires.stream and (wire.duplicate or wire.reorder):
        raise typer.BadParameter(
            "only UDP duplicates or reorders messages. Use --duplicate and --reorder with --udp alone, without "
            "a serial line or Bluetooth"
        )
    if wire.corrupt and (wires.udp is not None or wires.ble_hci is not None):
        raise typer.BadParameter("only a serial line damages bytes. Use --corrupt without --udp and --ble-hci")
    return Traffic(
        baudrate=wire.baudrate,
        latency_s=wire.latency / 1000,
        interval_s=wire.interval / 1000,
        loss=wire.loss / 100,
        duplication=wire.duplicate / 100,
        reordering=wire.reorder / 100,
        corruption=wire.corrupt / 100,
        seed=wire.seed,
    )


def traffic_of(traffic: Traffic, number: int) -> Traffic:
    """Return the traffic of the device ``number``: each device loses and damages different messages."""
    is_random = traffic.loss or traffic.corruption or traffic.reshuffles
    return replace(traffic, seed=traffic.seed + number) if is_random else traffic


def check_ble_interval(wires: Wires) -> None:
    """Raise typer.BadParameter if --ble-interval cannot be used."""
    if wires.ble_interval and not (wires.ble_hci or "").startswith("tcp-server:"):
        raise typer.BadParameter(
            "--ble-interval works only with --ble-hci tcp-server:HOST:PORT, because real radios have their own interval"
        )
    if wires.ble_interval and not 7.5 <= wires.ble_interval <= 4000:
        raise typer.BadParameter(
            f"--ble-interval {wires.ble_interval:g} is wrong. Give 7.5 to 4000 milliseconds, or 0 for none"
        )


def no_bumble() -> ConnectError:
    """Return the error for --ble-hci without bumble."""
    return ConnectError("--ble-hci needs bumble, which is not installed: pip install 'smpdfu[bumble]'")


async def serve_until_stopped(parts: Sequence[Coroutine[None, None, None]]) -> None:
    """Run all wires until Ctrl-C or SIGTERM, or until one fails: then that error is raised."""
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


def show_console(device: Watched, name: str, *, among: int) -> None:
    """Show the console from now on; for a single device also the lines of its boot."""
    if among > 1:
        device.watch(lambda line: _console_line(f"{name}: {line}"))
        return
    for line in device.log:
        _console_line(line)
    device.watch(_console_line)


def announce(name: str, kept: Kept | None, out: Output, port: str) -> None:
    """Print the port as one line that a script can read. ``kept``: the device, if it is one of the store."""
    if kept is not None:
        kept.announce(port)
    print_text((json.dumps({"name": name, "port": port}) if out.json else port) + "\n")
    if kept is not None:
        out.say(f"{name} runs at {port}. Press Ctrl-C to stop it")


def _console_line(line: str) -> None:
    sys.stderr.write(door.line(line) + "\n")
    sys.stderr.flush()
