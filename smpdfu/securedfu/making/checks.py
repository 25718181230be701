"""Everything that speaks against an order, before anything is signed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from smpdfu.image.keys.known_keys import known_key_warnings
from smpdfu.image.secure_dfu.bounds import MAX_SD_REQ
from smpdfu.image.secure_dfu.init_packet import ANY_SOFTDEVICE, NO_SOFTDEVICE
from smpdfu.image.secure_dfu.softdevices import SOFTDEVICES, softdevice_words
from smpdfu.securedfu.findings import Finding, Severity
from smpdfu.securedfu.making.application_checks import application_findings
from smpdfu.securedfu.making.order import SecureDfuOrder
from smpdfu.securedfu.making.system_checks import DFU_SERVICE_BASE, bootloader_findings, softdevice_findings
from smpdfu.securedfu.signature import bootloader_key

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PublicHalf

_SDK_HW_VERSION = 52
"""``NRF_DFU_HW_VERSION`` in the SDK's bootloaders for the nRF52 series."""


def order_findings(order: SecureDfuOrder, key: PublicHalf | None = None) -> tuple[Finding, ...]:
    """What speaks against an order. ``key`` is the one that will sign; None if nobody signs."""
    return (
        *softdevice_findings(order),
        *bootloader_findings(order, key),
        *application_findings(order),
        *_required_softdevices(order),
        *_versions(order),
        *_signing_key(order, key),
        *_over_ble(order),
    )


def _required_softdevices(order: SecureDfuOrder) -> Iterator[Finding]:
    numbers = tuple(dict.fromkeys((*order.application_needs, *order.others_need)))
    if ANY_SOFTDEVICE in numbers and not order.is_debug:
        text = "sd_req 0xFFFE fits no SoftDevice: bootloaders compare the numbers, except in debug mode"
        yield Finding("sd-req-any", Severity.ERROR, text, "Name the SoftDevices that the devices may have")
    wide = [number for number in numbers if number > 0xFFFF]
    if wide:
        text = f"sd_req has 0x{wide[0]:X}: the ID of a SoftDevice has 16 bits, so that no device has this one"
        yield Finding("sd-req-range", Severity.ERROR, text, "Name the IDs in hexadecimal, such as 0x100")
    if len(numbers) > MAX_SD_REQ:
        text = f"sd_req has {len(numbers)} numbers, and the bootloader has room for {MAX_SD_REQ}"
        yield Finding("too-many", Severity.ERROR, text, "Name fewer SoftDevices")
    unknown = [n for n in numbers if n not in SOFTDEVICES and n not in (NO_SOFTDEVICE, ANY_SOFTDEVICE) and n <= 0xFFFF]
    for number in unknown:
        text = f"smpdfu does not know the SoftDevice {softdevice_words(number)}: it cannot check where it ends"
        yield Finding("sd-req-unknown", Severity.NOTE, text)
    if order.application is not None and order.application_needs[:1] == (NO_SOFTDEVICE,) and not order.is_external:
        text = (
            "sd_req 0x00: on a device that has a SoftDevice, the application takes its place, if the bootloader works "
        )
        yield Finding("replaces-softdevice", Severity.NOTE, f"{text}without it", image="application")


def _versions(order: SecureDfuOrder) -> Iterator[Finding]:
    if order.hw_version is not None and order.hw_version != _SDK_HW_VERSION and not order.is_debug:
        text = f"the hardware version is {order.hw_version}, and bootloaders of the nRF5 SDK for the nRF52 series have "
        advice = "The device refuses another number than NRF_DFU_HW_VERSION of its bootloader"
        yield Finding("hw-version", Severity.WARNING, f"{text}{_SDK_HW_VERSION} by default", advice)


def _signing_key(order: SecureDfuOrder, key: PublicHalf | None) -> Iterator[Finding]:
    if key is None:
        return  # the judge of the package says that it is not signed
    for sentence in known_key_warnings([key.public_bytes]):
        yield Finding("known-key", Severity.WARNING, sentence)
    known = order.known_bootloader
    if known is not None and bootloader_key(key) not in known.data:
        text = f"the bootloader {known.name} does not have the public half of this key: it would refuse the package"
        yield Finding("other-key", Severity.ERROR, text, "Sign with the key whose public half was built into it")


def _over_ble(order: SecureDfuOrder) -> Iterator[Finding]:
    """Can a device that is in reach over BLE only be updated once more after this?"""
    part = order.application
    if not order.only_over_ble or part is None or order.is_external:
        return
    if not order.application_needs_softdevice:
        text = f"{part.name} runs without a SoftDevice, so without BLE, and these devices can be updated over BLE only"
        yield Finding("no-ble", Severity.ERROR, text, "No later update would reach them", "application")
    elif DFU_SERVICE_BASE not in part.data:
        text = f"{part.name} has no buttonless DFU service: it cannot restart the device in its bootloader over BLE"
        advice = "After this update, the next one needs a button or a reset pin"
        yield Finding("no-buttonless", Severity.WARNING, text, advice, "application")
