"""What is in a virtual nRF52, as facts: for ``smpdfu virtual show`` and for tests."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from smpdfu.virtual.nrf52.device import VirtualNrf52
from smpdfu.virtual.nrf52.settings import BankCode
from smpdfu.virtual.nrf52.start import Nrf52Ending


@dataclass(frozen=True, slots=True)
class ImageReport:
    """An image in the flash. ``valid``: the settings say so; the bootloader checks it at each start."""

    address: int
    size_bytes: int
    version: int | None
    crc32: int | None
    valid: bool


@dataclass(frozen=True, slots=True)
class SoftDeviceReport:
    """The SoftDevice: ``firmware_id`` is what ``sd_req`` of a package names, ``end`` the first address behind it."""

    firmware_id: int
    version: int
    end: int


@dataclass(frozen=True, slots=True)
class Nrf52Report:
    """The device. ``ending`` is what runs, as ``Nrf52Ending``; "off" without power.

    ``update_under_way``: DFU mode accepted an init packet, and its firmware is not complete.
    ``wear`` is the page that was erased most often, and how often; None for a new flash.
    """

    name: str
    layout: str
    powered: bool
    app_runs: bool
    ending: str
    transport: str
    hw_version: int
    trusts_key: bool
    bootloader_version: int
    bootloader: ImageReport
    softdevice: SoftDeviceReport | None
    application: ImageReport | None
    update_under_way: bool
    wear: tuple[int, int] | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def report_nrf52(device: VirtualNrf52) -> Nrf52Report:
    """The facts of a device as it is now."""
    chip, settings, build = device.chip, device.chip.settings, device.trust.build
    place, bank = device.layout.bootloader, settings.bank_0
    found = chip.softdevice
    softdevice = None if found is None else SoftDeviceReport(found.fwid, found.version, found.end)
    has_app = bank.code == BankCode.VALID_APP
    application = ImageReport(chip.bank_0_start, bank.image_size, settings.app_version, bank.image_crc, valid=True)
    erased = chip.flash.erase_counts.most_common(1)
    return Nrf52Report(
        name=device.name,
        layout=device.layout.name,
        powered=device.powered,
        app_runs=device.app_runs,
        ending="off" if device.ending is None else str(device.ending),
        transport=str(build.transport),
        hw_version=build.hw_version,
        trusts_key=device.trust.key is not None,
        bootloader_version=settings.bootloader_version,
        bootloader=ImageReport(
            place.start,
            place.size_bytes,
            settings.bootloader_version,
            None,
            valid=device.ending is not Nrf52Ending.NO_BOOTLOADER,
        ),
        softdevice=softdevice,
        application=application if has_app else None,
        update_under_way=device.bootloader is not None and device.bootloader.is_busy,
        wear=erased[0] if erased else None,
    )
