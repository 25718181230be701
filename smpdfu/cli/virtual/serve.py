"""The wires of a device that ``smpdfu virtual run`` runs: one, or several at the same time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from smpdfu.virtual.device import VirtualNrf5340

Announce = Callable[[str], None]
"""Takes a port, or an address for ``--to``, as soon as clients can use it."""


@dataclass(frozen=True, slots=True)
class Wires:
    """The wires of a device. The default is a pseudo terminal."""

    pty: Annotated[bool, typer.Option("--pty", help="Serve SMP at a pseudo terminal. This is the default.")] = False
    link: Annotated[
        Path | None,
        typer.Option(
            "--link", metavar="PATH", help="Create a symbolic link to the terminal, as a name that does not change."
        ),
    ] = None
    raw: Annotated[bool, typer.Option("--raw", help="Use bare SMP messages at the terminal, without a console.")] = (
        False
    )
    raw_timeout: Annotated[
        float | None,
        typer.Option(
            "--raw-timeout",
            metavar="MS",
            min=1.0,
            help="With --raw: drop an incomplete message after this time. [default: never]",
        ),
    ] = None
    shell_uart: Annotated[
        bool,
        typer.Option("--shell-uart", help="Use a terminal that Zephyr's shell and SMP share."),
    ] = False
    udp: Annotated[
        str | None,
        typer.Option(
            "--udp",
            metavar="[HOST:]PORT",
            help="Serve SMP at this UDP port. Only this computer can use it, unless you give a HOST such as 0.0.0.0. "
            "Several devices use this port and the next ones.",
        ),
    ] = None
    ble_hci: Annotated[
        str | None,
        typer.Option(
            "--ble-hci",
            metavar="CONTROLLER",
            help="Serve SMP over Bluetooth LE with this controller: usb:0 or serial:/dev/ttyACM0,1000000. Without "
            "hardware, tcp-server:HOST:PORT offers a virtual controller to programs on this computer. Needs "
            "smpdfu[bumble]; experimental.",
        ),
    ] = None
    ble_interval: Annotated[
        float,
        typer.Option(
            "--ble-interval",
            metavar="MS",
            min=0.0,
            help="Connection interval of the virtual controllers in milliseconds: 7.5 to 4000, or 0 for none.",
        ),
    ] = 0.0
    recovery: Annotated[
        bool,
        typer.Option(
            "--recovery",
            help="Start in MCUboot's serial recovery. The device stays there until it has an image to boot.",
        ),
    ] = False
    direct_upload: Annotated[
        bool,
        typer.Option(
            "--direct-upload/--no-direct-upload",
            help="With --recovery: accept uploads to any slot by its number, or only to the application (as MCUboot "
            "does by default).",
        ),
    ] = True
    copies: Annotated[
        int | None,
        typer.Option(
            "--copies",
            metavar="N",
            min=1,
            max=60_000,
            help="Run N copies of the device in memory. Ctrl-C discards them.",
        ),
    ] = None

    @property
    def terminal(self) -> bool:
        """True if one of them is a pseudo terminal."""
        asked_for = self.pty or self.raw or self.shell_uart or self.link is not None
        return asked_for or (self.udp is None and self.ble_hci is None)

    @property
    def stream(self) -> bool:
        """True if one of the wires keeps the order of the bytes and loses or repeats none."""
        return self.terminal or self.ble_hci is not None

    def of_many(self, count: int) -> list[Wires]:
        """Return the wires of each of ``count`` devices. Raises typer.BadParameter if a wire serves only one device."""
        if count == 1:
            return [self]
        for given, option in ((self.link, "--link"), (self.ble_hci, "--ble-hci")):
            if given is not None:
                raise typer.BadParameter(f"{option} works with one device, not with {count}. Leave it out")
        if self.udp is None:
            return [self] * count
        host, port = _host_and_port(self.udp)
        if port + count - 1 > _LAST_PORT:
            raise typer.BadParameter(
                f"there are not enough ports from {port} on for {count} devices. Choose a lower port"
            )
        shown = f"[{host}]" if ":" in host else host
        return [replace(self, udp=f"{shown}:{port + number}" if port else self.udp) for number in range(count)]


_LAST_PORT = 0xFFFF


def servings(device: VirtualNrf5340, wires: Wires, announce: Announce) -> list[Coroutine[None, None, None]]:
    """Return the coroutines that serve the device; run all of them. Raises typer.BadParameter."""
    if wires.ble_interval and not (wires.ble_hci or "").startswith("tcp-server:"):
        raise typer.BadParameter(
            "--ble-interval works only with --ble-hci tcp-server:HOST:PORT, because real radios have their own interval"
        )
    if wires.ble_interval and not 7.5 <= wires.ble_interval <= 4000:
        raise typer.BadParameter(
            f"--ble-interval {wires.ble_interval:g} is wrong. Give 7.5 to 4000 milliseconds, or 0 for none"
        )
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
    import asyncio

    from smpdfu.virtual.server.shell_uart import DeviceShellFraming
    from smpdfu.virtual.wires.pty import serve_pty
    from smpdfu.virtual.wires.raw_uart import DeviceRawFraming

    if not wires.raw:
        shell = DeviceShellFraming(lambda: device.running is not None) if wires.shell_uart else None
        await serve_pty(device, announce, wires.link, shell)
        return
    timeout_s = None if wires.raw_timeout is None else wires.raw_timeout / 1000
    clock = asyncio.get_running_loop().time
    framing = DeviceRawFraming(lambda: device.buffers.size_bytes, input_timeout_s=timeout_s, clock=clock)
    await serve_pty(device, lambda port: announce(f"serial:{port}?framing=raw"), wires.link, framing)


async def _udp(device: VirtualNrf5340, host: str, port: int, announce: Announce) -> None:
    from smpdfu.virtual.wires.udp import serve_udp

    def ready(host: str, port: int) -> None:
        announce(f"udp:[{host}]:{port}" if ":" in host else f"udp:{host}:{port}")

    await serve_udp(device, host, port, ready)


async def _ble(device: VirtualNrf5340, moniker: str, interval_ms: float, announce: Announce) -> None:
    from smpdfu.errors import ConnectError

    try:
        from smpdfu.virtual.wires.gatt import serve_moniker
        from smpdfu.virtual.wires.radio import Radio
    except ImportError as error:
        raise ConnectError("--ble-hci needs bumble, which is not installed: pip install 'smpdfu[bumble]'") from error
    if not device.radio_up:
        typer.echo(f"{device.name} does not use Bluetooth until its network core runs firmware", err=True)
    name = device.name
    await serve_moniker(
        device, moniker, lambda hci: announce(f"ble:{name}?hci={hci}" if hci else f"ble:{name}"), Radio(interval_ms)
    )


def _host_and_port(text: str) -> tuple[str, int]:
    from smpdfu.connect import Address, host_and_port
    from smpdfu.errors import ConnectError

    if text == "0":  # any that is free
        return "127.0.0.1", 0
    target = f"127.0.0.1:{text}" if text.isascii() and text.isdigit() else text
    try:
        return host_and_port(Address("udp", target))
    except ConnectError as error:
        raise typer.BadParameter(str(error)) from None
