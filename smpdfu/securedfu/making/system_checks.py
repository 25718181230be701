"""Would a new SoftDevice or bootloader work? A mistake here leaves a device that only a debugger can repair.

The MBR copies a new bootloader to the address in the MBR or in UICR; the bootloader looks into a new SoftDevice before
it copies it. Source: nRF5 SDK 17, ``nrf_dfu_validation.c`` (``softdevice_info_ok``), ``nrf_dfu_mbr.c``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from smpdfu.image.inspect.identify import FileKind
from smpdfu.image.secure_dfu.flash import MBR_END, PAGE_SIZE, align_to_page
from smpdfu.image.secure_dfu.init_packet import NO_SOFTDEVICE
from smpdfu.image.secure_dfu.softdevices import SOFTDEVICES
from smpdfu.securedfu.findings import Finding, Severity
from smpdfu.securedfu.making.contents import holds_mbr, holds_settings, holds_softdevice
from smpdfu.securedfu.making.memory import APPLICATION_STARTS
from smpdfu.securedfu.making.order import SecureDfuOrder
from smpdfu.securedfu.making.parts import Nrf52Firmware
from smpdfu.securedfu.signature import bootloader_key

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PublicHalf

DFU_SERVICE_BASE = bytes.fromhex("50eada308883b89f604f15f3")
"""The start of the base UUID of the DFU characteristics, 8EC9xxxx-F315-4F60-9FB8-838830DAEA50, as it is in memory."""
_BRICK = "Only a debugger could repair such a device"


def image_of(order: SecureDfuOrder) -> str:
    """The name of the image in which SoftDevice and bootloader go."""
    parts = (("softdevice", order.softdevice), ("bootloader", order.bootloader))
    return "_".join(name for name, part in parts if part is not None)


def softdevice_findings(order: SecureDfuOrder) -> Iterator[Finding]:
    """What speaks against the SoftDevice."""
    part, image = order.softdevice, image_of(order)
    if part is None:
        return
    info = part.softdevice
    if info is None:
        text = f"{part.name} is no SoftDevice: it has no information structure at 0x3000"
        yield _error("no-softdevice", text, "Give the hex file of the SoftDevice as Nordic publishes it", image)
        return
    whole = MBR_END + len(part.data)
    if align_to_page(whole) > info.end:
        text = f"{part.name} reaches 0x{whole:x}, and the SoftDevice in it ends at 0x{info.end:x}: it also holds more"
        yield _error("holds-application", text, "Give the SoftDevice alone", image)
    if order.sd_id and info.fwid not in order.sd_id:
        said = ", ".join(f"0x{number:02X}" for number in order.sd_id)
        text = f"{part.name} is the SoftDevice 0x{info.fwid:02X}, and sd_id says {said}"
        advice = f"Use sd_id 0x{info.fwid:02X}: otherwise the device refuses the application after the SoftDevice"
        yield _error("sd-id", text, advice, image)
    yield from _old_softdevices(order, info.fwid, image)


def _old_softdevices(order: SecureDfuOrder, fwid: int, image: str) -> Iterator[Finding]:
    """What the device says to a new SoftDevice in the place of the one that it has, or has not."""
    with_bootloader = order.bootloader is not None
    if NO_SOFTDEVICE in order.sd_req and not with_bootloader and any(order.sd_req):
        text = "sd_req has 0x00 besides others: a device that has a SoftDevice would refuse the new one"
        advice = "Make two packages: one with sd_req 0x00 alone, and one without 0x00"
        yield Finding("softdevice-or-none", Severity.WARNING, text, advice, image)
    new = SOFTDEVICES.get(fwid)
    if new is None:
        return
    old = [SOFTDEVICES[one].name for one in order.sd_req if one in SOFTDEVICES]
    relatives = [one for one in old if _family(one) == _family(new.name)]
    others = [one for one in old if one not in relatives]
    if others:
        text = f"the new SoftDevice is {new.name}, and the device may have {', '.join(others)}: another family"
        advice = "Bootloaders of nRF5 SDK 17 refuse it after the last byte"
        yield Finding("softdevice-family", Severity.WARNING, text, advice, image)
    older = [one for one in relatives if _major(one) != _major(new.name)]
    if older and not with_bootloader:
        text = f"the new SoftDevice is {new.name}, and the device may have {', '.join(older)}: another major version"
        advice = "A bootloader with BLE needs a new bootloader in the same package, and the application is erased"
        yield Finding("softdevice-major", Severity.WARNING, text, advice, image)


def _family(name: str) -> str:
    return name.partition(" ")[0]


def _major(name: str) -> str:
    return name.partition(".")[0]


def bootloader_findings(order: SecureDfuOrder, key: PublicHalf | None) -> Iterator[Finding]:
    """What speaks against the new bootloader."""
    part, image = order.bootloader, image_of(order)
    if part is None:
        return
    yield from holds_mbr(part, image)
    yield from holds_softdevice(part, image)
    yield from holds_settings(part, image)
    if part.kind is FileKind.MCUBOOT_IMAGE or part.vectors is None:
        text = f"{part.name} does not begin with a vector table, as a bootloader does"
        yield _error("no-vectors", text, "Give the hex file of the bootloader", image)
        return
    yield from _bootloader_place(part, order, image)
    yield from _bootloader_room(part, order, image)
    yield from _bootloader_key(part, key, image)
    yield from _bootloader_over_ble(part, order, image)


def _bootloader_place(part: Nrf52Firmware, order: SecureDfuOrder, image: str) -> Iterator[Finding]:
    start = part.start
    if start is None:
        return
    if start in APPLICATION_STARTS or not part.fits(start):
        text = (
            f"{part.name} begins at 0x{start:x}, where applications begin"
            if part.fits(start)
            else (f"{part.name} begins at 0x{start:x}, and its vectors point elsewhere")
        )
        yield _error("no-bootloader", f"{text}: it is no bootloader", "Give the hex file of the bootloader", image)
        return
    if start % PAGE_SIZE:
        yield _error("bootloader-address", f"{part.name} begins at 0x{start:x}, which is no start of a page", "", image)
    wanted = [part.stated_bootloader]
    if order.known_bootloader is not None:
        wanted.append(order.known_bootloader.stated_bootloader or order.known_bootloader.start)
    for address in wanted:
        if address not in (None, start):
            text = f"{part.name} begins at 0x{start:x}, and the bootloader of the devices at 0x{address:x}: the MBR "
            advice = f"Link the new bootloader for 0x{address:x}"
            yield _error("bootloader-address", f"{text}would start it at the old address. {_BRICK}", advice, image)
            return


def _bootloader_room(part: Nrf52Firmware, order: SecureDfuOrder, image: str) -> Iterator[Finding]:
    """It must end below the parameters of the MBR and the settings: the last two pages of the flash."""
    start = part.start if part.start is not None else order.bootloader_start
    limit = order.flash_end - 2 * PAGE_SIZE
    if start is not None and start + len(part.data) > limit:
        text = (
            f"{part.name} reaches 0x{start + len(part.data):x}, and the last two pages, from 0x{limit:x} on, are for "
        )
        yield _error("too-large", f"{text}the settings and the MBR. {_BRICK}", "Make the bootloader smaller", image)


def _bootloader_key(part: Nrf52Firmware, key: PublicHalf | None, image: str) -> Iterator[Finding]:
    if key is not None and bootloader_key(key) not in part.data:
        text = f"{part.name} does not have the public half of the key that signs this package"
        advice = "After this update, the devices take packages that another key signs"
        yield Finding("bootloader-key-changes", Severity.WARNING, text, advice, image)


def _bootloader_over_ble(part: Nrf52Firmware, order: SecureDfuOrder, image: str) -> Iterator[Finding]:
    if DFU_SERVICE_BASE in part.data:
        return
    text = f"{part.name} has no BLE: the UUID of the DFU service is not in it"
    if order.only_over_ble:
        yield _error("no-ble", f"{text}, and these devices can be updated over BLE only", _BRICK, image)
    elif any(one in SOFTDEVICES for one in order.others_need):
        advice = "If these devices can be updated over BLE only, no later update reaches them"
        yield Finding("no-ble", Severity.WARNING, text, advice, image)


def _error(code: str, text: str, advice: str, image: str) -> Finding:
    return Finding(code, Severity.ERROR, text, advice, image)
