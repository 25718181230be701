"""Options of ``smpdfu virtual new`` for an nRF52 with the nRF5 SDK's secure bootloader."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from smpdfu.cli.terminal import lazy_typer as typer

_PANEL = "nRF52 with Secure DFU (--layout nrf52840-secure-dfu or nrf52832-secure-dfu)"


class DfuWire(StrEnum):
    """The wire that the bootloader is built for."""

    UART = "uart"
    USB = "usb"
    BLE = "ble"


class ButtonlessChoice(StrEnum):
    """The service by which the application goes into DFU mode."""

    NONE = "none"
    UNBONDED = "unbonded"
    BONDED = "bonded"


@dataclass(frozen=True, slots=True)
class SecureDfuParts:
    """The secure bootloader, and what is beside it."""

    dfu_wire: Annotated[
        DfuWire,
        typer.Option("--dfu-wire", rich_help_panel=_PANEL, help="The wire that the bootloader is built for."),
    ] = DfuWire.UART
    buttonless: Annotated[
        ButtonlessChoice,
        typer.Option(
            "--buttonless",
            rich_help_panel=_PANEL,
            help="With --dfu-wire ble: the buttonless DFU service that the application has.",
        ),
    ] = ButtonlessChoice.UNBONDED
    hw_version: Annotated[
        int,
        typer.Option(
            "--hw-version", metavar="N", min=0, rich_help_panel=_PANEL, help="The bootloader's hardware version."
        ),
    ] = 52
    softdevice: Annotated[
        str | None,
        typer.Option(
            "--softdevice",
            metavar="NAME|ID",
            rich_help_panel=_PANEL,
            help="The SoftDevice on the device: a name such as 's140 7.2.0', or its firmware ID, such as 0x100. It is "
            "a sample without a program. [default: none]",
            show_default=False,
        ),
    ] = None
    application_version: Annotated[
        int,
        typer.Option(
            "--application-version",
            metavar="N",
            min=0,
            rich_help_panel=_PANEL,
            help="Version of the application that --app gives.",
        ),
    ] = 1
    bootloader_version: Annotated[
        int,
        typer.Option(
            "--bootloader-version", metavar="N", min=0, rich_help_panel=_PANEL, help="Version of the bootloader."
        ),
    ] = 1
    allow_downgrade: Annotated[
        bool,
        typer.Option(
            "--allow-downgrade", rich_help_panel=_PANEL, help="Make the bootloader accept older applications."
        ),
    ] = False
    debug_bootloader: Annotated[
        bool,
        typer.Option(
            "--debug-bootloader",
            rich_help_panel=_PANEL,
            help="Make the bootloader accept debug packages, whose versions it does not check.",
        ),
    ] = False
    single_bank: Annotated[
        bool,
        typer.Option(
            "--single-bank",
            rich_help_panel=_PANEL,
            help="Make the bootloader write an application over the old one, and not beside it.",
        ),
    ] = False
    save_progress: Annotated[
        bool,
        typer.Option(
            "--save-progress",
            rich_help_panel=_PANEL,
            help="Make the bootloader remember over a reset how much firmware has arrived.",
        ),
    ] = False
    dfu_timeout: Annotated[
        float,
        typer.Option(
            "--dfu-timeout",
            metavar="SECONDS",
            min=0.0,
            rich_help_panel=_PANEL,
            help="Time without a host after which DFU mode restarts the device. 0: never.",
        ),
    ] = 120.0
