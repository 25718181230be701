"""Options of ``smpdfu virtual new`` for a device's firmware and its SMP server, and of ``virtual cut``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from smpdfu.cli.terminal import lazy_typer as typer

_SERVER = "SMP server"


@dataclass(frozen=True, slots=True)
class Parts:
    """The keys and the firmware of a device."""

    key: Annotated[
        list[Path] | None,
        typer.Option(
            "-k", "--key", "--sign-key", metavar="PEM", help="Key that MCUboot trusts. Repeat it for several keys."
        ),
    ] = None
    enc_key: Annotated[
        Path | None, typer.Option("--enc-key", metavar="PEM", help="Private key that MCUboot decrypts images with.")
    ] = None
    net_key: Annotated[
        list[Path] | None,
        typer.Option(
            "--net-key", metavar="PEM", help="Key that b0n on the network core trusts. Repeat it for several keys."
        ),
    ] = None
    app: Annotated[
        Path | None, typer.Option("--app", metavar="FILE", help="Signed image that the application core runs at first.")
    ] = None
    external: Annotated[
        Path | None,
        typer.Option(
            "--external",
            metavar="FILE",
            help="Signed external half of an application in two halves (QSPI XIP); --app is the internal one.",
        ),
    ] = None
    loader: Annotated[
        Path | None,
        typer.Option(
            "--loader", metavar="FILE", help="Signed firmware loader, for a board with --mode firmware-loader."
        ),
    ] = None
    net: Annotated[Path | None, typer.Option("--net", metavar="FILE", help="Firmware of the network core.")] = None
    device_id: Annotated[
        str | None,
        typer.Option(
            "--device-id",
            metavar="HEX",
            help="Number of the chip that `hwinfo devid` shows. With none, the firmware has no such command. "
            "[default: random]",
            show_default=False,
        ),
    ] = None


class ConfirmsOthers(StrEnum):
    """Which slots of the images that do not run may be confirmed."""

    NONE = "none"
    SECONDARY = "secondary"
    ANY = "any"


class Erasing(StrEnum):
    """When an upload erases the pages of its slot."""

    FIRST = "first"
    PROGRESSIVE = "progressive"


@dataclass(frozen=True, slots=True)
class ServerParts:
    """The build of the application's SMP server, and the speed of the chip."""

    buffers: Annotated[
        int,
        typer.Option(
            "--buffers", metavar="N", min=1, rich_help_panel=_SERVER, help="Number of buffers for SMP messages."
        ),
    ] = 4
    buffer_size: Annotated[
        int,
        typer.Option(
            "--buffer-size",
            metavar="BYTES",
            min=64,
            max=0xFFFF,
            rich_help_panel=_SERVER,
            help="Size of each buffer in bytes.",
        ),
    ] = 2048
    uart_ring: Annotated[
        int | None,
        typer.Option(
            "--uart-ring",
            metavar="BYTES",
            min=1,
            rich_help_panel=_SERVER,
            help="Bytes that the UART keeps while the server is busy. It loses the rest. [default: no limit]",
        ),
    ] = None
    time_factor: Annotated[
        float,
        typer.Option(
            "--time-factor",
            metavar="X",
            min=0.0,
            rich_help_panel=_SERVER,
            help="Time that requests and flash take: 1 as on the chip, 0 none.",
        ),
    ] = 0.0
    erase: Annotated[
        Erasing,
        typer.Option(
            "--erase", rich_help_panel=_SERVER, help="When an upload erases its slot: all of it first, or page by page."
        ),
    ] = Erasing.FIRST

    allow_erase_pending: Annotated[
        bool,
        typer.Option(
            "--allow-erase-pending",
            rich_help_panel=_SERVER,
            help="Accept uploads and erases while an image is pending.",
        ),
    ] = False
    confirm_others: Annotated[
        ConfirmsOthers,
        typer.Option(
            "--confirm-others",
            rich_help_panel=_SERVER,
            help="Accept the confirmation of images other than image 0: in no slot, in the secondary slot, or in any.",
        ),
    ] = ConfirmsOthers.NONE
    no_images: Annotated[
        bool,
        typer.Option(
            "--no-images",
            rich_help_panel=_SERVER,
            help="Build the application without the image commands. With --mode firmware-loader the loader has them.",
        ),
    ] = False


class Torn(StrEnum):
    """Which part of the interrupted operation takes effect."""

    LOWER = "lower"
    UPPER = "upper"
    CLEAN = "clean"
