"""Which bytes of a firmware file are the image of a core: the slot's part of a merged hex, or all there is.

A merged hex of the nRF Connect SDK holds bootloaders as well: MCUboot at 0 and the application in its slot, b0n at the
start of the network core's flash and the network application behind it. Firmware that was built without a bootloader
is linked for the start of the flash; it is taken whole, and ``link_warning`` has something to say about it.

Where the network application starts depends on the size of b0n: ``find_code`` looks at each place that is known.

An application that is signed already is signed again: ``carry_over`` keeps what its image says beside the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from smpdfu.dfu.package.images import Core
from smpdfu.errors import FormatError, ImageError
from smpdfu.image.files import Firmware, split_cores
from smpdfu.image.format import (
    COMPRESSED_FLAGS,
    HASH_TYPES,
    SIGNATURE_TYPES,
    TLV_VENDOR_MAX,
    TLV_VENDOR_MIN,
    Dependency,
    Flag,
    Image,
    Tlv,
    TlvType,
)
from smpdfu.image.nrf5340 import NET
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.signing.protected_tlvs import boot_record_type
from smpdfu.image.signing.spec import ImageSpec
from smpdfu.image.vector_table import Vectors


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the image of a core lies: ``start`` to ``end``, the code ``header_size`` bytes behind ``start``.

    The network core's image has no header in flash: b0n gets what is behind it.
    """

    start: int
    end: int
    header_size: int = 0

    @property
    def code(self) -> int:
        """The address of the first byte of code."""
        return self.start + self.header_size


# Behind b0n and its provision data: in most releases, and with the small b0n of nRF Connect SDK 3.3 and later.
NET_SLOTS = (Slot(0x0100_8800, NET.end), Slot(0x0100_2800, NET.end))


@dataclass(frozen=True, slots=True)
class Code:
    """The firmware of a core without any header; ``whole`` is True where it was not found in its slot.

    ``image`` is the signed image that it was taken out of, if it was.
    """

    payload: bytes
    whole: bool
    image: Image | None = None


def find_code(firmware: Firmware, core: Core, slots: Sequence[Slot]) -> tuple[Code, Slot] | None:
    """``code_of`` for the first of ``slots`` that the code is linked for, or else for the first; and that slot.

    None when the file has nothing for this core. Raises ImageError as ``code_of`` does.
    """
    found = [(code, slot) for slot in slots if (code := code_of(firmware, core, slot)) is not None]
    linked = ((code, slot) for code, slot in found if not code.whole and _is_linked_for(code.payload, slot))
    return next(linked, found[0] if found else None)


def _is_linked_for(payload: bytes, slot: Slot) -> bool:
    info = FirmwareInfo.find(payload)
    vectors = Vectors.of(payload)
    if info is not None:
        return info.address == slot.code
    return vectors is not None and slot.code <= vectors.reset < min(slot.end, slot.code + len(payload))


def code_of(firmware: Firmware, core: Core, slot: Slot) -> Code | None:
    """The code for this core in a firmware file; None when the file has nothing for it.

    A .bin has no addresses, so all of it is meant. Raises ImageError when the parts are too far apart for one image.
    """
    if not firmware.addressed:
        return Code(firmware.flat(), whole=False)
    part = getattr(split_cores(firmware), core.value)
    if part is None:
        return None
    return _signed(part, slot) or _linked_for(part, slot) or Code(part.flat(), whole=True)


def _signed(part: Firmware, slot: Slot) -> Code | None:
    """The payload of an MCUboot image that fills the slot: a merged hex of a sysbuild has the signed application."""
    try:
        image = Image.from_bytes(_between(part, slot.start, slot.end))
    except FormatError:
        return None
    if image.encrypted:
        raise ImageError(
            f"the image at 0x{slot.start:x} is encrypted and cannot be packed again: use the plain firmware"
        )
    if image.header.flags & COMPRESSED_FLAGS:
        raise ImageError(
            f"the image at 0x{slot.start:x} is compressed and cannot be packed again: use the plain firmware"
        )
    return Code(image.payload, whole=False, image=image)


def _linked_for(part: Firmware, slot: Slot) -> Code | None:
    """What lies from the slot's first byte of code on, if it begins with a vector table for that place."""
    payload = _between(part, slot.code, slot.end)
    vectors = Vectors.of(payload)
    if vectors is None or not slot.code <= vectors.reset < slot.end:
        return None
    return Code(payload, whole=False)


def _between(part: Firmware, start: int, end: int) -> bytes:
    """The bytes from ``start`` to the last one below ``end``; empty when there is none at ``start`` itself."""
    found = bytearray()
    for segment in part.segments:
        low, high = max(segment.address, start), min(segment.end, end)
        if low < high:
            if not found and low > start:
                return b""
            found += b"\xff" * (low - start - len(found)) + segment.data[low - segment.address : high - segment.address]
    return bytes(found)


# --- signing again --------------------------------------------------------------------------------------------------

# What every signing makes anew.
_OF_A_SIGNING = frozenset((*HASH_TYPES, *SIGNATURE_TYPES, TlvType.KEYHASH, TlvType.PUBKEY, TlvType.SIG_PURE))
_KEPT_FLAGS = Flag.RAM_LOAD | Flag.ROM_FIXED | Flag.NON_BOOTABLE


def carry_over(spec: ImageSpec, image: Image) -> tuple[ImageSpec, tuple[str, ...]]:
    """``spec`` with what the header and the TLVs of ``image`` ask for, and the names of what is lost.

    What ``spec`` has already stays. Lost is what no request can ask for: a second TLV where one is allowed, types that
    are not known, what is not well-formed, unknown flags of the header.
    """
    lost = [tlv.name for tlv in image.unprotected if tlv.type not in _OF_A_SIGNING]
    seen: set[int] = set()
    for tlv in image.protected:
        is_second = tlv.type in seen and tlv.type != TlvType.DEPENDENCY
        change = None if is_second else _request(spec, tlv)
        if change is None:
            lost.append(tlv.name)
        else:
            spec = replace(spec, **change)
        seen.add(tlv.type)
    flags, address = image.header.flags, image.header.load_addr
    ram_load, rom_fixed = (address if flags & flag else 0 for flag in (Flag.RAM_LOAD, Flag.ROM_FIXED))
    wanted = 0 if ram_load else spec.rom_fixed or rom_fixed
    if rom_fixed not in (0, wanted):
        lost.append(f"ROM_FIXED 0x{rom_fixed:x}")
    spec = replace(spec, load_addr=ram_load, rom_fixed=wanted, non_bootable=bool(flags & Flag.NON_BOOTABLE))
    others = int(flags) & ~int(_KEPT_FLAGS)
    if others:
        lost.append(f"flags 0x{others:x}")
    return spec, tuple(lost)


def _request(spec: ImageSpec, tlv: Tlv) -> dict[str, Any] | None:
    """The options that ask for this TLV, where ``spec`` does not have them; None if there are none."""
    option: str
    value: object
    match tlv.type, len(tlv.data):
        case TlvType.DEPENDENCY, 12:
            return {"dependencies": (*spec.dependencies, Dependency.from_bytes(tlv.data))}
        case TlvType.SEC_CNT, 4:
            option, value = "security_counter", int.from_bytes(tlv.data, "little")
        case TlvType.BOOT_RECORD, _ if (name := boot_record_type(tlv.data)) is not None:
            option, value = "boot_record", name
        case (TlvType.UUID_VID, 16) | (TlvType.UUID_CID, 16):
            option, value = ("vid" if tlv.type == TlvType.UUID_VID else "cid"), tlv.data
        case TlvType.MANIFEST, _:
            option, value = "manifest", tlv.data
        case kind, _ if TLV_VENDOR_MIN <= kind <= TLV_VENDOR_MAX:
            return {"custom_tlvs": (*spec.custom_tlvs, tlv)}
        case _:
            return None
    return {option: value} if getattr(spec, option) is None else {}
