"""The options of ``package``, in groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from smpdfu.cli.image.options import ADDRESS, NUMBER, option
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal import values
from smpdfu.image.trailer import SwapMode

_SLOTS, _BOARD = "The slots (without these: of the build folder, else as on the nRF5340 DK)", "The package"

BuildDir = Annotated[
    Path | None,
    typer.Argument(
        metavar="BUILD_DIR",
        help="Build folder of the nRF Connect SDK (2.5 and later). smpdfu reads the firmware, the slots and the "
        "version from it.",
        show_default=False,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="DIR",
        help="Folder for the files. Required without BUILD_DIR. [default: the folder smpdfu in BUILD_DIR]",
        show_default=False,
    ),
]
PlanOnly = Annotated[
    bool, typer.Option("--plan", help="Show what smpdfu found and what it would write. It writes nothing.")
]


@dataclass(frozen=True, slots=True)
class Inputs:
    """The firmware: a file for each core, or one for both; MCUboot itself."""

    app: Annotated[
        Path | None,
        typer.Option(
            "--app",
            metavar="FILE",
            help="Firmware of the application core. Without -k also a signed image, which smpdfu checks and packs "
            "unchanged.",
        ),
    ] = None
    net: Annotated[
        Path | None,
        typer.Option("--net", metavar="FILE", help="Firmware of the network core. Without -k also a signed image."),
    ] = None
    merged: Annotated[
        Path | None,
        typer.Option(
            "--merged",
            metavar="HEX",
            help="Firmware of both cores in one Intel HEX file. smpdfu separates them by address.",
        ),
    ] = None
    mcuboot: Annotated[
        Path | None,
        typer.Option(
            "--mcuboot",
            metavar="FILE",
            help="MCUboot itself for slot S0 of NSIB (b0). smpdfu writes it into dfu_mcuboot.zip. It must have the "
            "seal of b0, or give --nsib-key. Without -k: an image that is sealed and signed.",
        ),
    ] = None
    mcuboot_s1: Annotated[
        Path | None,
        typer.Option("--mcuboot-s1", metavar="FILE", help="The same for slot S1."),
    ] = None

    @property
    def has_cores(self) -> bool:
        """True if there is firmware for a core."""
        return any(one is not None for one in (self.app, self.net, self.merged))

    @property
    def has_mcuboot(self) -> bool:
        """True if there is MCUboot itself."""
        return self.mcuboot is not None or self.mcuboot_s1 is not None


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots, and how the bootloader was built."""

    app_address: Annotated[
        int,
        option(
            "--app-address",
            parse=values.unsigned32,
            metavar=ADDRESS,
            text="Start of the primary slot. It goes into the image's header, too. [default: 0xc000]",
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
            text="Size of the primary slot in bytes. [default: 0x7a000]",
            panel=_SLOTS,
        ),
    ] = 0x7A000
    net_address: Annotated[
        int | None,
        option(
            "--net-address",
            parse=values.unsigned32,
            metavar=ADDRESS,
            text="Start of the network application. [default: 0x1008800, or 0x1002800 if the code is linked for it]",
            panel=_SLOTS,
        ),
    ] = None
    net_slot_size: Annotated[
        int | None,
        option(
            "--net-slot-size",
            parse=values.number,
            metavar=NUMBER,
            text="Space for the network application in bytes. [default: the rest of the flash]",
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
            text="Size of MCUboot's header in bytes. [default: 0x200]",
            panel=_SLOTS,
        ),
    ] = 0x200
    swap_mode: Annotated[
        SwapMode, typer.Option("--swap-mode", help="How the bootloader installs an image.", rich_help_panel=_SLOTS)
    ] = SwapMode.MOVE
    no_link_check: Annotated[
        bool,
        typer.Option(
            "--no-link-check", help="Do not warn if the firmware is linked for another place.", rich_help_panel=_SLOTS
        ),
    ] = False


@dataclass(frozen=True, slots=True)
class Labels:
    """What the package says about itself."""

    version: Annotated[
        Any,
        option(
            "-v",
            "--version",
            parse=values.version,
            metavar="VERSION",
            text="Version of all images, such as 1.2.3+4. Required without BUILD_DIR, unless all images are signed. "
            "With it, the version of the application. [default: that of the build]",
            panel=_BOARD,
        ),
    ] = None
    net_version: Annotated[
        Any,
        option(
            "--net-version",
            parse=values.version,
            metavar="VERSION",
            text="Version of the network core's image. [default: that of the build, else --version]",
            panel=_BOARD,
        ),
    ] = None
    mcuboot_version: Annotated[
        Any,
        option(
            "--mcuboot-version",
            parse=values.version,
            metavar="VERSION",
            text="Version of MCUboot's own image. NSIB compares the version in its firmware info instead. [default: "
            "that of the build, else --version]",
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
            text="Security counter of the application core's images: the application, and MCUboot itself.",
            panel=_BOARD,
        ),
    ] = None
    tie: Annotated[
        bool,
        typer.Option(
            "--tie",
            help="Make the network core's image depend on this application. Only bootloaders with two image pairs "
            "check that. Do not use it if the bootloader compares versions of the network core "
            "(PCD_READ_NETCORE_APP_VERSION): it refuses such an image.",
            rich_help_panel=_BOARD,
        ),
    ] = False
    name: Annotated[
        str | None, typer.Option("--name", metavar="TEXT", help="Name of the package.", rich_help_panel=_BOARD)
    ] = None
    board: Annotated[
        str, typer.Option("--board", metavar="BOARD", help="Board, by its Zephyr name.", rich_help_panel=_BOARD)
    ] = "nrf5340dk/nrf5340"
    multi_image: Annotated[
        bool,
        typer.Option(
            "--multi-image",
            help="Also write dfu_multi_image.bin: the images one behind the other, for updates over Matter.",
            rich_help_panel=_BOARD,
        ),
    ] = False
