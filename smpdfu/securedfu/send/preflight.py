"""What is checked before the first byte: the package by itself, and against what the bootloader says that it has.

The bootloader checks versions, hardware and signature itself, before any byte of firmware. What it does not check is
whether the application can run where it puts it. Source: nRF5 SDK 17, ``nrf_dfu_validation.c``, ``nrf_dfu_utils.c``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from smpdfu.errors import FormatError, PlanError
from smpdfu.image.secure_dfu.flash import MBR_END, WORD_SIZE
from smpdfu.image.secure_dfu.init_packet import FwType
from smpdfu.image.secure_dfu.package import Entry, SecureDfuPackage
from smpdfu.image.secure_dfu.softdevices import SoftDeviceInfo
from smpdfu.image.vector_table import Vectors
from smpdfu.securedfu.findings import errors_of
from smpdfu.securedfu.judging import judge_entry
from smpdfu.securedfu.protocol.messages import FirmwareType
from smpdfu.securedfu.send.installed import Installed

_WITH_SOFTDEVICE = (FwType.SOFTDEVICE, FwType.SOFTDEVICE_BOOTLOADER)


class _Reason(NamedTuple):
    code: str
    words: str


def check_sendable(package: SecureDfuPackage) -> None:
    """Check that there is something to send. No force overrides that. Raises FormatError."""
    if not package.entries:
        raise FormatError("the package has no image: its manifest names none, and nothing was sent")
    for entry in package.entries:
        _ = entry.init_packet  # raises for an entry with a fault
        if not entry.firmware:
            raise FormatError(f"the firmware of the image {entry.name!r} is empty, and nothing was sent")
    kinds = [entry.init_packet.init.type for entry in package.entries]
    if len(set(kinds)) < len(kinds):
        raise FormatError("the package has two images of the same type: no device takes both, and nothing was sent")


def check_package(package: SecureDfuPackage) -> None:
    """Check what needs no device, after ``check_sendable``. Raises PlanError if no bootloader takes the package."""
    reasons: list[_Reason] = []
    for entry in package.in_sending_order:
        packet = entry.init_packet
        reasons += [_Reason(one.code, f"{entry.name}: {one.words}") for one in errors_of(judge_entry(entry).findings)]
        if len(entry.firmware) % WORD_SIZE and packet.init.type != FwType.EXTERNAL_APPLICATION:
            words = f"{entry.name}: the firmware has {len(entry.firmware)} bytes, and the bootloader writes words of "
            reasons.append(_Reason("odd-size", f"{words}{WORD_SIZE}. Make the package again from a padded firmware"))
    _refuse("no bootloader takes this package", reasons)


def check_device(package: SecureDfuPackage, installed: Installed) -> None:
    """Check that the application runs where this device puts it. Raises PlanError."""
    entries = package.in_sending_order
    _refuse("the application would not start on this device", list(_misplaced(entries, installed)))


def _refuse(what: str, reasons: Sequence[_Reason]) -> None:
    if reasons:
        words = tuple(one.words for one in reasons)
        raise PlanError(f"{what}: {'; and '.join(words)}; nothing was sent", words, tuple(one.code for one in reasons))


def _misplaced(entries: Sequence[Entry], installed: Installed) -> Iterator[_Reason]:
    for entry in entries:
        vectors = Vectors.of(entry.firmware)
        if entry.init_packet.init.type != FwType.APPLICATION or vectors is None:
            continue
        start = _start_of(entry, entries, installed)
        if not start <= vectors.reset < start + len(entry.firmware):
            yield _Reason(
                "linked-elsewhere",
                f"the device puts it at 0x{start:x}, and its reset handler is at 0x{vectors.reset:x}: the update would "
                "complete, and nothing would start. Link the application for this address, or send the SoftDevice that "
                "it was linked for",
            )


def _start_of(entry: Entry, entries: Sequence[Entry], installed: Installed) -> int:
    """Where the device puts the application: behind its SoftDevice, unless the package replaces that.

    An application whose first ``sd_req`` is 0 overwrites the SoftDevice.
    """
    if not any(entry.init_packet.init.sd_req[:1]):
        return MBR_END
    for other in entries:
        info = SoftDeviceInfo.find(other.firmware) if other.init_packet.init.type in _WITH_SOFTDEVICE else None
        if info is not None:
            return info.end
    here = installed.get(FirmwareType.SOFTDEVICE)
    return MBR_END if here is None else here.size
