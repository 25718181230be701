"""What the options of ``secure-dfu package`` ask for, as one value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from smpdfu.cli.securedfu.package_options import DeviceFacts, Files, Requirements
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal import values
from smpdfu.image.secure_dfu.init_packet import ValidationType
from smpdfu.securedfu.making.memory import APPLICATION_STARTS
from smpdfu.securedfu.making.order import SecureDfuOrder, version_number
from smpdfu.securedfu.making.parts import Nrf52Firmware


def read_order(files: Files, needs: Requirements, device: DeviceFacts) -> SecureDfuOrder:
    """The order that the options make, with its files read; typer.BadParameter for options that do not go together."""

    def part(path: Path | None) -> Nrf52Firmware | None:
        return None if path is None else Nrf52Firmware.read(path)

    def validation(name: str) -> ValidationType:
        return ValidationType[name.replace("GENERATED_SHA256", "SHA256")]

    text = files.application_version_string
    if text is not None and files.application_version is not None:
        raise typer.BadParameter("give either --application-version or --application-version-string, not both")
    version = (
        files.application_version if text is None else _checked(version_number, text, "--application-version-string")
    )
    sd_req, sd_id = (_numbers(given, name) for given, name in ((needs.sd_req, "--sd-req"), (needs.sd_id, "--sd-id")))
    parts = [part(path) for path in (files.application, files.bootloader, files.softdevice, device.for_bootloader)]
    known = parts[3]
    if known is not None:
        _check_bootloader(known)
    try:
        return SecureDfuOrder(
            hw_version=needs.hw_version,
            sd_req=sd_req,
            sd_id=sd_id,
            application=parts[0],
            application_version=version,
            bootloader=parts[1],
            bootloader_version=files.bootloader_version,
            softdevice=parts[2],
            app_boot_validation=validation(needs.app_boot_validation),
            sd_boot_validation=validation(needs.sd_boot_validation),
            is_debug=needs.debug_mode,
            is_external=files.external_app,
            chip=device.chip,
            known_bootloader=known,
            only_over_ble=device.only_over_ble,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _check_bootloader(known: Nrf52Firmware) -> None:
    """Raise typer.BadParameter for a file that holds no bootloader."""
    if known.start in APPLICATION_STARTS:
        raise typer.BadParameter(
            f"--for-bootloader {known.name} begins at 0x{known.start:x}, where applications begin: it is no bootloader"
        )
    if known.vectors is None:
        raise typer.BadParameter(
            f"--for-bootloader {known.name} does not begin with a vector table: it is no bootloader"
        )


def _numbers(given: list[str] | None, name: str) -> tuple[int, ...]:
    """The IDs behind an option that may be repeated and takes lists."""
    words = filter(None, (one.strip() for one in ",".join(given or ()).split(",")))
    found = [_checked(values.unsigned32, one, name) for one in words]
    if given and not found:
        raise typer.BadParameter(f"{name} has no ID in it: write it as 0x100, or as 0x100,0xCA")
    return tuple(found)


def _checked(parse: Callable[[str], int], text: str, option: str) -> int:
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from None
