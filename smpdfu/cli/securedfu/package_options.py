"""The options of ``secure-dfu package``, in groups. Names and meanings are those of ``nrfutil pkg generate``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from smpdfu.cli.image.options import option
from smpdfu.cli.keys.options import PassphraseOptions
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal import values

FIRMWARE, REQUIRED, CHECKS, SIGNING = "Firmware", "What the device must have", "Checks", "Keys"
CHIPS = "nrf52805|nrf52810|nrf52811|nrf52820|nrf52832|nrf52833|nrf52840"
VALIDATIONS = "NO_VALIDATION|VALIDATE_GENERATED_CRC|VALIDATE_GENERATED_SHA256|VALIDATE_ECDSA_P256_SHA256"


def _file(name: str, text: str, panel: str = FIRMWARE) -> Any:
    return typer.Option(name, metavar="FILE", help=text, rich_help_panel=panel)


def _version(name: str, text: str, panel: str = FIRMWARE) -> Any:
    return option(name, parse=values.unsigned32, metavar="NUMBER", text=text, panel=panel)


def _word(name: str, of: str, metavar: str, text: str, panel: str) -> Any:
    return option(name, parse=values.word_of(*of.split("|")), metavar=metavar, text=text, panel=panel)


def _ids(name: str, text: str) -> Any:
    return typer.Option(name, metavar="ID[,ID]...", help=text, rich_help_panel=REQUIRED)


@dataclass(frozen=True, slots=True)
class Files:
    """The firmware, hex or bin, and its versions."""

    application: Annotated[Path | None, _file("--application", "The application: a .hex or .bin file.")] = None
    application_version: Annotated[int | None, _version("--application-version", "Version of the application.")] = None
    application_version_string: Annotated[
        str | None,
        typer.Option(
            "--application-version-string",
            metavar="X.Y.Z",
            help="Version of the application as text: 2.7.31 becomes 20731.",
            rich_help_panel=FIRMWARE,
        ),
    ] = None
    bootloader: Annotated[Path | None, _file("--bootloader", "The bootloader: a .hex or .bin file.")] = None
    bootloader_version: Annotated[int | None, _version("--bootloader-version", "Version of the bootloader.")] = None
    softdevice: Annotated[Path | None, _file("--softdevice", "The SoftDevice: its .hex file.")] = None
    external_app: Annotated[
        bool,
        typer.Option(
            "--external-app",
            help="The device hands the application on to another chip and does not run it.",
            rich_help_panel=FIRMWARE,
        ),
    ] = False


@dataclass(frozen=True, slots=True)
class Requirements:
    """What the bootloader compares with the device before it takes a byte."""

    hw_version: Annotated[
        int | None,
        _version(
            "--hw-version",
            "Hardware version: NRF_DFU_HW_VERSION of the bootloader. The examples of the SDK have 52.",
            REQUIRED,
        ),
    ] = None
    sd_req: Annotated[
        list[str] | None,
        _ids(
            "--sd-req",
            "IDs of the SoftDevices of which the device must have one, such as 0x100 for S140 7.2.0. 0x00: none. May "
            "be repeated.",
        ),
    ] = None
    sd_id: Annotated[
        list[str] | None,
        _ids("--sd-id", "With --softdevice and --application: the ID of the new SoftDevice. May be repeated."),
    ] = None
    app_boot_validation: Annotated[
        str,
        _word(
            "--app-boot-validation",
            VALIDATIONS,
            "METHOD",
            f"How the bootloader checks the application at each boot: {VALIDATIONS.replace('|', ', ')}.",
            REQUIRED,
        ),
    ] = "VALIDATE_GENERATED_CRC"
    sd_boot_validation: Annotated[
        str,
        _word("--sd-boot-validation", VALIDATIONS, "METHOD", "The same for the SoftDevice.", REQUIRED),
    ] = "VALIDATE_GENERATED_CRC"
    debug_mode: Annotated[
        bool,
        typer.Option(
            "--debug-mode",
            help="Let a bootloader that is built for debugging skip all checks of versions.",
            rich_help_panel=REQUIRED,
        ),
    ] = False


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What is known of the devices: smpdfu checks more with it. None of it goes into the package."""

    chip: Annotated[
        str | None, _word("--chip", CHIPS, "CHIP", f"The chip, for the size of its flash: {CHIPS}.", CHECKS)
    ] = None
    for_bootloader: Annotated[
        Path | None,
        _file(
            "--for-bootloader",
            "The bootloader that the devices have: smpdfu compares its key and its address.",
            CHECKS,
        ),
    ] = None
    only_over_ble: Annotated[
        bool,
        typer.Option(
            "--only-over-ble",
            help="The devices cannot be updated in another way: refuse what would cut them off.",
            rich_help_panel=CHECKS,
        ),
    ] = False


@dataclass(frozen=True, slots=True)
class SigningKey(PassphraseOptions):
    """Who signs."""

    key: Annotated[
        str | None,
        typer.Option(
            "-k",
            "--key",
            "--key-file",
            metavar="KEY",
            help="Key that signs, ECDSA P-256: a PEM file, env:NAME, - for standard input, or a key URI (pkcs11:, "
            "cmd:, awskms:, gcpkms:, azurekms:).",
            rich_help_panel=SIGNING,
        ),
    ] = None


def _hidden(name: str) -> Any:
    return typer.Option(name, hidden=True, help="Not made by smpdfu.")


@dataclass(frozen=True, slots=True)
class Zigbee:
    """nrfutil's options for Zigbee: smpdfu says that it makes no such packages."""

    zigbee: Annotated[str | None, _hidden("--zigbee")] = None
    manufacturer_id: Annotated[str | None, _hidden("--zigbee-manufacturer-id")] = None
    image_type: Annotated[str | None, _hidden("--zigbee-image-type")] = None
    comment: Annotated[str | None, _hidden("--zigbee-comment")] = None
    ota_hw_version: Annotated[str | None, _hidden("--zigbee-ota-hw-version")] = None
    ota_fw_version: Annotated[str | None, _hidden("--zigbee-ota-fw-version")] = None
    ota_min_hw_version: Annotated[str | None, _hidden("--zigbee-ota-min-hw-version")] = None
    ota_max_hw_version: Annotated[str | None, _hidden("--zigbee-ota-max-hw-version")] = None

    def refuse(self) -> None:
        """Raise typer.BadParameter if one of them is given, except ``--zigbee False``."""
        given = [one.name for one in fields(self) if getattr(self, one.name) is not None]
        if given and not (given == ["zigbee"] and str(self.zigbee).lower() in ("0", "false", "no")):
            raise typer.BadParameter("smpdfu makes no packages for Zigbee: leave the --zigbee options out")
