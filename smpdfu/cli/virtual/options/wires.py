"""Options of ``smpdfu virtual run``: the wires of a device, and what they do to the bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from smpdfu.cli.terminal import lazy_typer as typer

_WIRE = "Wire"


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


@dataclass(frozen=True, slots=True)
class WireParts:
    """What the wire does to the bytes, in each direction."""

    baudrate: Annotated[
        int | None,
        typer.Option(
            "--baudrate",
            metavar="N",
            min=1,
            rich_help_panel=_WIRE,
            help="Speed of the line in bits per second. [default: no limit]",
        ),
    ] = None
    latency: Annotated[
        float,
        typer.Option(
            "--latency", metavar="MS", min=0.0, rich_help_panel=_WIRE, help="Delay in each direction in milliseconds."
        ),
    ] = 0.0
    interval: Annotated[
        float,
        typer.Option(
            "--interval",
            metavar="MS",
            min=0.0,
            rich_help_panel=_WIRE,
            help="Send bytes only once in this number of milliseconds.",
        ),
    ] = 0.0
    loss: Annotated[
        float,
        typer.Option(
            "--loss",
            metavar="PERCENT",
            min=0.0,
            max=100.0,
            rich_help_panel=_WIRE,
            help="Share of the messages that are lost.",
        ),
    ] = 0.0
    duplicate: Annotated[
        float,
        typer.Option(
            "--duplicate",
            metavar="PERCENT",
            min=0.0,
            max=100.0,
            rich_help_panel=_WIRE,
            help="Share of the datagrams that arrive twice.",
        ),
    ] = 0.0
    reorder: Annotated[
        float,
        typer.Option(
            "--reorder",
            metavar="PERCENT",
            min=0.0,
            max=100.0,
            rich_help_panel=_WIRE,
            help="Share of the datagrams that arrive after the next one.",
        ),
    ] = 0.0
    corrupt: Annotated[
        float,
        typer.Option(
            "--corrupt",
            metavar="PERCENT",
            min=0.0,
            max=100.0,
            rich_help_panel=_WIRE,
            help="Share of the bytes that arrive damaged or not at all, as a debugger's mass storage does it.",
        ),
    ] = 0.0
    flow_control: Annotated[
        bool,
        typer.Option(
            "--flow-control/--no-flow-control",
            rich_help_panel=_WIRE,
            help="Let a host wait while the chip is busy, or lose what it sends then. For an nRF52 with Secure DFU.",
        ),
    ] = True
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            metavar="N",
            rich_help_panel=_WIRE,
            help="Seed of the random losses and damages. The same seed gives the same ones.",
        ),
    ] = 0
