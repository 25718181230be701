"""The wires of a device that ``smpdfu virtual run`` runs: one, or several at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace

from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.virtual.options.wires import Wires
from smpdfu.cli.virtual.serving import check_ble_interval, no_bumble
from smpdfu.connect import Address, host_and_port
from smpdfu.errors import ConnectError
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.server.shell_uart import DeviceShellFraming
from smpdfu.virtual.wires.pty import serve_pty
from smpdfu.virtual.wires.raw_uart import DeviceRawFraming
from smpdfu.virtual.wires.udp import serve_udp

Announce = Callable[[str], None]
"""Takes a port, or an address for ``--to``, as soon as clients can use it."""
_LAST_PORT = 0xFFFF


def wires_of_many(wires: Wires, count: int) -> list[Wires]:
    """Return the wires of each of ``count`` devices. Raises typer.BadParameter if a wire serves only one device."""
    if count == 1:
        return [wires]
    for given, option in ((wires.link, "--link"), (wires.ble_hci, "--ble-hci")):
        if given is not None:
            raise typer.BadParameter(f"{option} works with one device, not with {count}. Leave it out")
    if wires.udp is None:
        return [wires] * count
    host, port = _host_and_port(wires.udp)
    if port + count - 1 > _LAST_PORT:
        raise typer.BadParameter(f"there are not enough ports from {port} on for {count} devices. Choose a lower port")
    shown = f"[{host}]" if ":" in host else host
    return [replace(wires, udp=f"{shown}:{port + number}" if port else wires.udp) for number in range(count)]


def servings(device: VirtualNrf5340, wires: Wires, announce: Announce) -> list[Coroutine[None, None, None]]:
    """Return the coroutines that serve the device; run all of them. Raises typer.BadParameter."""
    check_ble_interval(wires)
    if wires.raw_timeout is not None and not wires.raw:
        raise typer.BadParameter("--raw-timeout works only with --raw")
    if wires.raw and wires.shell_uart:
        raise typer.BadParameter("--raw and --shell-uart are different terminals. Use one of them")
    return list(_servings(device, wires, announce))


def _servings(device: VirtualNrf5340, wires: Wires, announce: Announce) -> Iterator[Coroutine[None, None, None]]:
    if wires.udp is not None:
        host, port = _host_and_port(wires.udp)
        yield _udp(device, host, port, announce)
    if wires.ble_hci is not None:
        yield _ble(device, wires.ble_hci, wires.ble_interval, announce)
    if wires.terminal:
        yield _terminal(device, wires, announce)


async def _terminal(device: VirtualNrf5340, wires: Wires, announce: Announce) -> None:
    if not wires.raw:
        shell = DeviceShellFraming(lambda: device.running is not None) if wires.shell_uart else None
        await serve_pty(device, announce, wires.link, shell)
        return
    timeout_s = None if wires.raw_timeout is None else wires.raw_timeout / 1000
    clock = asyncio.get_running_loop().time
    framing = DeviceRawFraming(lambda: device.buffers.size_bytes, input_timeout_s=timeout_s, clock=clock)
    await serve_pty(device, lambda port: announce(f"serial:{port}?framing=raw"), wires.link, framing)


async def _udp(device: VirtualNrf5340, host: str, port: int, announce: Announce) -> None:
    def ready(host: str, port: int) -> None:
        announce(f"udp:[{host}]:{port}" if ":" in host else f"udp:{host}:{port}")

    await serve_udp(device, host, port, ready)


async def _ble(device: VirtualNrf5340, moniker: str, interval_ms: float, announce: Announce) -> None:
    try:
        from smpdfu.virtual.wires import gatt, radio  # here: bumble is an optional package
    except ImportError as error:
        raise no_bumble() from error
    if not device.radio_up:
        typer.echo(f"{device.name} does not use Bluetooth until its network core runs firmware", err=True)

    def ready(hci: str | None) -> None:
        name = device.advertised_name
        announce(f"ble:{name}?hci={hci}" if hci else f"ble:{name}")

    await gatt.serve_moniker(device, moniker, ready, radio.Radio(interval_ms))


def _host_and_port(text: str) -> tuple[str, int]:
    if text == "0":  # any that is free
        return "127.0.0.1", 0
    target = f"127.0.0.1:{text}" if text.isascii() and text.isdigit() else text
    try:
        return host_and_port(Address("udp", target))
    except ConnectError as error:
        raise typer.BadParameter(str(error)) from None
