"""The unsigned firmware of a build's image: the bytes that belong into its slot, found by their addresses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smpdfu.dfu.build_folder.build import Build, UpdateImage
from smpdfu.dfu.package.images import Role
from smpdfu.errors import PackageError, TooLargeError
from smpdfu.image.files import Firmware, Segment, read_firmware
from smpdfu.image.nrf5340 import APP, NET, XIP

_UICR_BYTES = 0x1000


@dataclass(frozen=True, slots=True)
class Code:
    """``payload`` from the first byte of code on, and the ``address`` where that byte is linked to run."""

    payload: bytes
    address: int


def read_code(build: Build, update: UpdateImage) -> Code:
    """Read the firmware of an image.

    Raises PackageError for a file that is missing (``build-no-firmware``), or that has code elsewhere or where its
    header will be (``build-place``), TooLargeError for code that is larger than its slot, ImageError for what is no
    firmware, OSError.
    """
    if update.unsigned is None:
        looked = ", ".join(update.unsigned_names)
        raise PackageError(
            f"the build has no firmware of {update.image.name or 'the application'}: there is no {looked}"
        ).because("build-no-firmware", file=update.unsigned_names[0])
    path = build.root / update.unsigned
    firmware = read_firmware(path)
    code = _from_ram(firmware, update) if build.bootloader.runs_in_ram else _from_slot(firmware, update, path)
    _check_room(len(code.payload), update, path)
    return code


def _check_room(size: int, update: UpdateImage, path: Path) -> None:
    room = update.slot.value.end - update.code
    if size > room:
        raise TooLargeError(
            f"{path} has {size} bytes of code, and its slot has room for {room} ({update.slot.origin})", size, room
        ).because("build-too-large", file=update.unsigned or "")


def _from_ram(firmware: Firmware, update: UpdateImage) -> Code:
    """Code that is linked for RAM: all there is, behind the room for its header."""
    return Code(_without_room(firmware.flat(), update), firmware.base or 0)


def _from_slot(firmware: Firmware, update: UpdateImage, path: Path) -> Code:
    if not firmware.addressed:
        return Code(_without_room(firmware.flat(), update), update.code)
    start, end = _place(firmware, update)
    inside = tuple(part for one in firmware.segments if (part := _cut(one, start, end)) is not None)
    outside = [one for one in firmware.segments if not (start <= one.address and one.end <= end)]
    other = [one for one in outside if not _may_be_left(one, update)]
    for one in other:
        if start <= one.address < end:
            _check_room(one.end - max(one.address, start + update.code - update.slot.value.address), update, path)
    if not inside or other:
        found = other[0] if other else firmware.segments[0]
        raise PackageError(
            f"{path} has code at 0x{found.address:x}, and its slot is 0x{start:x} to 0x{end:x} ({update.slot.origin})"
        ).because("build-place", file=update.unsigned or "", address=f"0x{found.address:x}")
    code = start + update.code - update.slot.value.address
    flat = Firmware(inside, addressed=True).flat()
    lead = code - inside[0].address
    if lead <= 0:
        return Code(b"\xff" * -lead + flat, code)
    if any(flat[:lead]):  # imgtool refuses it, too
        raise PackageError(
            f"{path} has bytes other than zero in the {lead} before 0x{code:x}, where the header of its image will be"
        ).because("build-place", file=update.unsigned or "", address=f"0x{inside[0].address:x}")
    return Code(flat[lead:], code)


def _place(firmware: Firmware, update: UpdateImage) -> tuple[int, int]:
    """Where the slot is in the file: external flash by its offset, or by the address where the core sees it."""
    slot = update.slot.value
    if update.role is Role.EXTERNAL and slot.address < XIP.start:
        seen = XIP.start + slot.address
        if any(_cut(one, seen, seen + slot.size) is not None for one in firmware.segments):
            return seen, seen + slot.size
    return slot.address, slot.end


def _cut(segment: Segment, start: int, end: int) -> Segment | None:
    low, high = max(segment.address, start), min(segment.end, end)
    return Segment(low, segment.data[low - segment.address : high - segment.address]) if low < high else None


def _may_be_left(segment: Segment, update: UpdateImage) -> bool:
    """UICR, which no update writes; of a file with both halves of an application, the other half."""
    if any(core.uicr <= segment.address < core.uicr + _UICR_BYTES for core in (APP, NET)):
        return True
    return (update.role is Role.EXTERNAL) != (segment.address in XIP) and update.role in (Role.APP, Role.EXTERNAL)


def _without_room(flat: bytes, update: UpdateImage) -> bytes:
    """The firmware without the zeros that keep room for a header; as it is where it begins with something else."""
    room = update.header_size.value
    return flat[room:] if room and not any(flat[:room]) and len(flat) > room else flat
