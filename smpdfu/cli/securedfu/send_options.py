"""The options of ``secure-dfu send``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from smpdfu.cli.app import completion
from smpdfu.cli.terminal import lazy_typer as typer

_PANEL = "The bootloader"
"""A panel of its own: these are fewer options than those of a connection with SMP."""


@dataclass(frozen=True, slots=True)
class DfuConnection:
    """Where the bootloader is. Exactly one of ``port``, ``ble``, ``to`` and ``profile`` counts."""

    port: Annotated[
        str | None,
        typer.Option(
            "--port",
            metavar="DEV",
            rich_help_panel=_PANEL,
            help="Serial port of the bootloader: a UART, or USB.",
            autocompletion=completion.ports,
        ),
    ] = None
    baudrate: Annotated[
        int | None, typer.Option("--baudrate", rich_help_panel=_PANEL, help="Speed of --port. [default: 115200]")
    ] = None
    flow_control: Annotated[
        bool | None,
        typer.Option(
            "--flow-control/--no-flow-control",
            rich_help_panel=_PANEL,
            help="Use the lines RTS and CTS of --port. [default: on a UART, and not on USB of the device itself]",
            show_default=False,
        ),
    ] = None
    ble: Annotated[
        str | None,
        typer.Option(
            "--ble",
            metavar="NAME|ADDRESS",
            rich_help_panel=_PANEL,
            help="Bluetooth LE device, in its application or in its bootloader. '*' takes the only one in reach.",
        ),
    ] = None
    ble_hci: Annotated[
        str | None,
        typer.Option(
            "--ble-hci",
            metavar="CONTROLLER",
            rich_help_panel=_PANEL,
            help="Use this controller for --ble and not the system's Bluetooth: usb:0, serial:/dev/ttyACM0,1000000, "
            "tcp-client:HOST:PORT. Needs smpdfu[bumble]; experimental.",
        ),
    ] = None
    bootloader_name: Annotated[
        str | None,
        typer.Option(
            "--bootloader-name",
            metavar="NAME",
            rich_help_panel=_PANEL,
            help="With --ble: the name that the bootloader shall advertise. [default: chosen where needed]",
        ),
    ] = None
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="ADDRESS",
            rich_help_panel=_PANEL,
            help="serial:/dev/ttyACM0?flow=rtscts or ble:NAME. SMPDFU_TO gives the default.",
            autocompletion=completion.addresses,
        ),
    ] = None
    profile: Annotated[
        str | None,
        typer.Option(
            "-c",
            "--profile",
            metavar="NAME",
            rich_help_panel=_PANEL,
            help="A profile of smpdfu.toml.",
            autocompletion=completion.profile_names,
        ),
    ] = None
    timeout: Annotated[
        float | None,
        typer.Option(
            "-t",
            "--timeout",
            metavar="SECONDS",
            rich_help_panel=_PANEL,
            help="Timeout per answer in seconds. [default: 2.5]",
        ),
    ] = None

    # What other commands have beside these: a profile may have them, and they mean nothing here.
    @property
    def ip(self) -> None:
        """No Secure DFU over UDP."""

    @property
    def raw(self) -> None:
        """No SMP."""

    @property
    def window(self) -> None:
        """No SMP."""

    @property
    def log(self) -> None:
        """No SMP."""

    @property
    def log_data(self) -> bool:
        """No SMP."""
        return False


@dataclass(frozen=True, slots=True)
class SendOptions:
    """How ``secure-dfu send`` sends."""

    force: Annotated[
        bool, typer.Option("--force", help="Send the package in spite of errors that the checks found.")
    ] = False
    boot_timeout: Annotated[
        float | None,
        typer.Option(
            "--boot-timeout",
            metavar="SECONDS",
            min=0.1,
            max=86400,
            help="How long the device may take to install a part and to come back. [default: by its size]",
            show_default=False,
        ),
    ] = None
    events: Annotated[
        bool, typer.Option("--events", help="Print each event on stdout as a line of JSON when it happens.")
    ] = False
