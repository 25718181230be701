"""Options of ``smpdfu virtual new`` for the build of both cores' bootloaders."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from smpdfu.cli.app import completion
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.update.bootloader_options import PartitionsChoice

DEFAULT_LAYOUT = "nrf5340dk-staged"
_PANEL = "Bootloader"


class Mode(StrEnum):
    """The mode that MCUboot is built in."""

    SCRATCH = "swap-scratch"
    MOVE = "swap-move"
    OFFSET = "swap-offset"
    OVERWRITE = "overwrite-only"
    DIRECT_XIP = "direct-xip"
    DIRECT_XIP_REVERT = "direct-xip-revert"
    RAM_LOAD = "ram-load"
    SINGLE_SLOT = "single-slot"
    SINGLE_SLOT_RAM_LOAD = "single-slot-ram-load"
    FIRMWARE_LOADER = "firmware-loader"


class Prevention(StrEnum):
    """What MCUboot compares to detect a downgrade."""

    VERSION = "version"
    COUNTER = "counter"


class KeyLength(StrEnum):
    """Length in bits of the key that encrypts a payload."""

    AES128 = "128"
    AES256 = "256"


class AddressChoice(StrEnum):
    """What MCUboot compares to detect an image for another slot."""

    HEADER = "header"
    VECTOR = "vector"
    NONE = "none"


class B0nChoice(StrEnum):
    """How b0n, the network core's bootloader, decides about new firmware."""

    KEYS = "keys"
    ACCEPTS = "accepts"
    REFUSES = "refuses"
    SILENT = "silent"


class EntranceChoice(StrEnum):
    """What makes MCUboot start the firmware loader."""

    BUTTON = "button"
    BOOT_MODE = "boot-mode"
    NO_APPLICATION = "no-application"


@dataclass(frozen=True, slots=True)
class LoaderParts:
    """The release of MCUboot's loader, and the options of its build."""

    ncs: Annotated[
        str,
        typer.Option(
            "--ncs",
            metavar="RELEASE",
            rich_help_panel=_PANEL,
            help="The nRF Connect SDK release of MCUboot: 2.3, 3.4.0, 3.4.1, latest; or upstream, upstream-2.1.",
            autocompletion=completion.loader_names,
        ),
    ] = "latest"
    partitions: Annotated[
        PartitionsChoice,
        typer.Option(
            "--partitions",
            rich_help_panel=_PANEL,
            help="What laid out the flash: the Partition Manager or the devicetree (from NCS 3.3).",
        ),
    ] = PartitionsChoice.PM
    check_address: Annotated[
        AddressChoice | None,
        typer.Option(
            "--check-address",
            rich_help_panel=_PANEL,
            help="Make MCUboot erase images that are for another slot. It compares the load address in the "
            "header, or the reset vector. [default: what the release and the layout use]",
        ),
    ] = None
    net_version: Annotated[
        bool,
        typer.Option(
            "--net-version",
            rich_help_panel=_PANEL,
            help="With --prevent-downgrade: also compare the version of the network core's firmware "
            "(PCD_READ_NETCORE_APP_VERSION).",
        ),
    ] = False
    xip_split: Annotated[
        bool,
        typer.Option(
            "--xip-split", rich_help_panel=_PANEL, help="Build for an application with a second half in QSPI flash."
        ),
    ] = False
    app_cid: Annotated[
        str | None,
        typer.Option(
            "--app-cid", metavar="UUID", rich_help_panel=_PANEL, help="Class UUID of the application's images."
        ),
    ] = None
    net_cid: Annotated[
        str | None,
        typer.Option(
            "--net-cid", metavar="UUID", rich_help_panel=_PANEL, help="Class UUID of the network core's images."
        ),
    ] = None
    b0n: Annotated[
        B0nChoice,
        typer.Option(
            "--b0n",
            rich_help_panel=_PANEL,
            help="How the network core's bootloader answers new firmware: it checks the keys, accepts all, refuses "
            "all, or never answers.",
        ),
    ] = B0nChoice.KEYS
    loader_entrance: Annotated[
        list[EntranceChoice] | None,
        typer.Option(
            "--loader-entrance",
            rich_help_panel=_PANEL,
            help="With --mode firmware-loader: what starts the loader. It is a button, boot mode 1 of a reset, or a "
            "missing application. Repeat it for several. [default: all]",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class BootParts:
    """The partition table, and how MCUboot is built for it."""

    layout: Annotated[
        str,
        typer.Option(
            "--layout",
            metavar="LAYOUT|FILE",
            rich_help_panel=_PANEL,
            help="Partition table of both cores: a name, or a pm_static.yml or partitions.yml file.",
            autocompletion=completion.layouts,
        ),
    ] = DEFAULT_LAYOUT
    mode: Annotated[
        Mode | None,
        typer.Option(
            "--mode", rich_help_panel=_PANEL, help="The mode that MCUboot is built in. [default: what the layout uses]"
        ),
    ] = None
    prevent_downgrade: Annotated[
        Prevention | None,
        typer.Option("--prevent-downgrade", rich_help_panel=_PANEL, help="Make MCUboot refuse older images."),
    ] = None
    rollback_protection: Annotated[
        bool,
        typer.Option(
            "--rollback-protection",
            rich_help_panel=_PANEL,
            help="Make MCUboot store the highest security counter and refuse lower ones.",
        ),
    ] = False
    encrypt_keylen: Annotated[
        KeyLength,
        typer.Option(
            "--encrypt-keylen",
            rich_help_panel=_PANEL,
            help="Length in bits of the content keys that MCUboot decrypts with --enc-key.",
        ),
    ] = KeyLength.AES128
    hmac_sha512: Annotated[
        bool,
        typer.Option(
            "--hmac-sha512", rich_help_panel=_PANEL, help="Accept only content keys that SHA-512 wrapped (X25519)."
        ),
    ] = False
