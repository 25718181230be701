"""The options of ``package``, in groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from smpdfu.cli.image.options import ADDRESS, NUMBER, option
from smpdfu.cli.terminal import values
from smpdfu.image.trailer import SwapMode

_SLOTS, _BOARD = "The slots (without these: as on the nRF5340 DK)", "The package"


@dataclass(frozen=True, slots=True)
class Inputs:
    """The firmware: apart, or merged."""

    app: Annotated[Path | None, typer.Option("--app", metavar="FILE", help="Firmware of the application core.")] = None
    net: Annotated[Path | None, typer.Option("--net", metavar="FILE", help="Firmware of the network core.")] = None
    merged: Annotated[
        Path | None, typer.Option("--merged", metavar="HEX", help="Both in one Intel HEX, taken apart by address.")
    ] = None


@dataclass(frozen=True, slots=True)
class Slots:
    """Where the images will lie, and how the bootloader was built."""

    app_address: Annotated[
        int,
        option(
            "--app-address",
            parse=values.unsigned32,
            metavar=ADDRESS,
            text="Primary slot; default 0xc000. Also in the image's header, for bootloaders that check it.",
            panel=_SLOTS,
        ),
    ] = 0xC000
    app_slot_size: Annotated[
        int,
        option(
            "-S",
            "--app-slot-size",
            parse=values.number,
            metavar=NUMBER,
            text="Its size; default 0x7a000.",
            panel=_SLOTS,
        ),
    ] = 0x7A000
    net_address: Annotated[
        int | None,
        option(
            "--net-address",
            parse=values.unsigned32,
            metavar=ADDRESS,
            text="Network application; by default 0x1008800, or 0x1002800 where the code is linked for that.",
            panel=_SLOTS,
        ),
    ] = None
    net_slot_size: Annotated[
        int | None,
        option(
            "--net-slot-size",
            parse=values.number,
            metavar=NUMBER,
            text="Its room; by default the rest of the flash.",
            panel=_SLOTS,
        ),
    ] = None
    header_size: Annotated[
        int,
        option(
            "-H",
            "--header-size",
            parse=values.number,
            metavar=NUMBER,
            text="MCUboot's header; default 0x200.",
            panel=_SLOTS,
        ),
    ] = 0x200
    swap_mode: Annotated[
        SwapMode, typer.Option("--swap-mode", help="How the bootloader swaps.", rich_help_panel=_SLOTS)
    ] = SwapMode.MOVE
    no_link_check: Annotated[
        bool,
        typer.Option("--no-link-check", help="No warning about firmware linked elsewhere.", rich_help_panel=_SLOTS),
    ] = False


@dataclass(frozen=True, slots=True)
class Labels:
    """What the package says about itself."""

    version: Annotated[
        Any, option("-v", "--version", parse=values.version, metavar="VERSION", text="Such as 1.2.3+4.", panel=_BOARD)
    ]
    net_version: Annotated[
        Any,
        option(
            "--net-version",
            parse=values.version,
            metavar="VERSION",
            text="Of the network core; --version if not given.",
            panel=_BOARD,
        ),
    ] = None
    security_counter: Annotated[
        Any,
        option(
            "-s",
            "--security-counter",
            parse=values.security_counter,
            metavar="NUMBER|auto",
            text="Of the application core.",
            panel=_BOARD,
        ),
    ] = None
    tie: Annotated[
        bool,
        typer.Option(
            "--tie",
            help="The network core's image waits for this application: two image pairs, a higher version. With one "
            "pair no bootloader checks it. Not for bootloaders that compare the network core's versions "
            "(PCD_READ_NETCORE_APP_VERSION): they refuse a tied image.",
            rich_help_panel=_BOARD,
        ),
    ] = False
    name: Annotated[
        str | None, typer.Option("--name", metavar="TEXT", help="Name of the package.", rich_help_panel=_BOARD)
    ] = None
    board: Annotated[
        str, typer.Option("--board", metavar="BOARD", help="Board in Zephyr's words.", rich_help_panel=_BOARD)
    ] = "nrf5340dk/nrf5340"
