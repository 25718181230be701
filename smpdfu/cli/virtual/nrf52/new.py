"""``virtual new`` for an nRF52: make the device, load its firmware and show it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from smpdfu.cli.keys.passphrase import Passphrase, read_key
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output
from smpdfu.cli.virtual.nrf52.flash import read_application
from smpdfu.cli.virtual.nrf52.show import emit
from smpdfu.cli.virtual.options.b0 import B0Parts
from smpdfu.cli.virtual.options.boot import BootParts, LoaderParts
from smpdfu.cli.virtual.options.device import Parts, ServerParts
from smpdfu.cli.virtual.options.secure_dfu import SecureDfuParts
from smpdfu.cli.virtual.refused_name import refused_name
from smpdfu.image.secure_dfu.softdevices import SOFTDEVICES, SoftDeviceInfo
from smpdfu.virtual.nrf52.build import Nrf52Build, Transport
from smpdfu.virtual.nrf52.flashing import flash_application, flash_bootloader, flash_softdevice
from smpdfu.virtual.store import devices as store_devices
from smpdfu.virtual.store.nrf52 import Buttonless, Nrf52Recipe, create_nrf52, open_nrf52
from smpdfu.virtual.store.sample_firmware import Core, stand_in

_KEY_KIND = "ecdsa-p256"
_OTHERS = (Parts, BootParts, LoaderParts, B0Parts, ServerParts)
_SUITS = {"layout", "key", "app", "time_factor"}
"""Options of the nRF5340 that an nRF52 has, too."""


def new_nrf52(name: str, parts: Parts, layout: str, time_factor: float, dfu: SecureDfuParts, out: Output) -> None:
    """Make a device and show it. Raises typer.BadParameter, SmpdfuError or OSError; then no device is left."""
    build = Nrf52Build(
        transport=Transport(str(dfu.dfu_wire)),
        hw_version=dfu.hw_version,
        prevents_downgrade=not dfu.allow_downgrade,
        allows_debug=dfu.debug_bootloader,
        single_bank=dfu.single_bank,
        saves_progress=dfu.save_progress,
        inactivity_s=dfu.dfu_timeout,
    )
    softdevice = None if dfu.softdevice is None else _softdevice(dfu.softdevice)
    recipe = Nrf52Recipe(layout, _key(parts.key), build, time_factor, Buttonless(str(dfu.buttonless)))
    try:
        create_nrf52(name, recipe)
    except ValueError as error:
        raise refused_name(name, error) from None
    try:
        with open_nrf52(name, switch_on=False) as device:
            place = device.layout.bootloader
            flash_bootloader(
                device.chip,
                stand_in(Core("secure bootloader", 0, place.start, device.layout.ram.end), dfu.bootloader_version),
                dfu.bootloader_version,
            )
            if softdevice is not None:
                flash_softdevice(device.chip, softdevice)
            if parts.app is not None:
                image = read_application(device, parts.app)
                flash_application(device.chip, build, image, dfu.application_version)
            device.reset()
    except BaseException:
        store_devices.delete(name)
        raise
    emit(name, out)


def refuse_other_options(given: Callable[[str], bool]) -> None:
    """Raise typer.BadParameter for an option that only an nRF5340 has."""
    names = (field.name for group in _OTHERS for field in fields(group))
    for name in (*names, "build", "demo"):
        if name not in _SUITS and given(name):
            option = name.replace("_", "-")
            raise typer.BadParameter(f"--{option} is for an nRF5340, not for an nRF52 with Secure DFU. Leave it out")


def refuse_dfu_options(given: Callable[[str], bool]) -> None:
    """Raise typer.BadParameter for an option that only an nRF52 has."""
    for field in fields(SecureDfuParts):
        if given(field.name):
            option = field.name.replace("_", "-")
            raise typer.BadParameter(f"--{option} works only with --layout nrf52840-secure-dfu or nrf52832-secure-dfu")


def _key(paths: list[Path] | None) -> str | None:
    if not paths:
        return None
    if len(paths) > 1:
        raise typer.BadParameter("a secure bootloader trusts one key. Give --key once")
    key = read_key(paths[0], Passphrase()).public
    if key.kind.name != _KEY_KIND:
        raise typer.BadParameter(f"a secure bootloader trusts only {_KEY_KIND} keys, and this one is {key.kind.name}")
    return key.to_pem().decode()


def _softdevice(text: str) -> SoftDeviceInfo:
    """Return the SoftDevice with this name or firmware ID. Raises typer.BadParameter for one that is not known."""
    plain = re.sub(r"[\s_-]+", " ", text.strip().lower())
    number = int(plain, 16) if re.fullmatch(r"0x[0-9a-f]{1,8}", plain) else None
    for one in SOFTDEVICES.values():
        if one.end is not None and (one.fwid == number or one.name.lower() == plain):
            family, _, version = one.name.partition(" ")
            major, minor, patch = (int(part) for part in version.split("."))
            code = major * 1_000_000 + minor * 1000 + patch
            return SoftDeviceInfo(one.end, one.fwid, int(family[1:]), code)
    raise typer.BadParameter(f"--softdevice {text!r} is not known. Give a name such as 's140 7.2.0', or an ID as 0x100")
