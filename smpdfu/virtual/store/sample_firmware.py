"""Firmware for a demo device: Zephyr's hci_usb where its package is installed (smpdfu[samples]), else a tiny stand-in.

Both are for the virtual device only. The stand-in is a vector table and a text, no program. Zephyr's sample is linked
for 0x0 and 0x01000000; ``relocate`` moves the entries of its vector table to the slots of the nRF5340 DK. A bootloader
looks at nothing else, but the code would not run on a chip.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from smpdfu.errors import ImageError
from smpdfu.image.files import read_firmware, split_cores
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import Signer
from smpdfu.image.nrf5340 import NET
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.nsib.seal import seal
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.virtual.boot.halves import mark
from smpdfu.virtual.chip.regions import Region

PACKAGE = "zephyr_4_4_0_hci_usb_nrf5340dk_default"
BUILD_ID, SECOND_BUILD_ID = b"684c9e8f32e4", b"second-build"
"""The build ID in the boot banner of the sample, and the one that its second version has instead."""
MCUBOOT_HEADER, INFO_OFFSET = 0x200, 0x200
"""The size of MCUboot's header before MCUboot in S0 and S1, and where in its firmware the firmware info is."""
_WIDEST_GAP = 1 << 20
_VECTORS, _STAND_IN_BYTES = 64, 8192


@dataclass(frozen=True, slots=True)
class Core:
    """A core: where the sample was linked, where the code of its slot on the DK begins, and the end of its RAM."""

    name: str
    linked: int
    slot_code: int
    ram_end: int


# The slots of the nRF5340 DK in the nRF Connect SDK: MCUboot's primary slot at 0xc000 with a header of 0x200; the
# network core's application behind b0n.
CORES = (Core("app", 0x0, 0xC200, 0x2008_0000), Core("net", NET.start, 0x0100_8800, 0x2101_0000))

# The firmware loader's slot of the layout nrf5340dk-firmware-loader.
LOADER = Core("firmware loader", 0x0, 0xC_0200, CORES[0].ram_end)
# Where the code of both halves begins in samples/nrf5340/extxip_smp_svr of nrfconnect/sdk-nrf.
INTERNAL_CODE, EXTERNAL_CODE = 0x1_0200, 0x1012_0200


def has_sample() -> bool:
    """Whether Zephyr's sample is installed."""
    try:
        import_module(PACKAGE)
    except ImportError:
        return False
    return True


def read_sample() -> dict[str, bytes]:
    """Return Zephyr's sample as it was linked: the bytes of each core by its name, gaps as erased flash.

    Raises ``ImageError`` if it is not installed, or not the file that its package describes.
    """
    try:
        sample = import_module(PACKAGE)
    except ImportError:
        raise ImageError("the sample firmware is not installed: pip install 'smpdfu[samples]'") from None
    path = Path(sample.HEX_PATH)
    if hashlib.sha256(path.read_bytes()).hexdigest() != sample.HEX_SHA256:
        raise ImageError(f"{path} is not the file that its package describes: install smpdfu[samples] again")
    split = split_cores(read_firmware(path))
    return {
        name: firmware.flat(max_gap=_WIDEST_GAP)
        for name, firmware in (("app", split.app), ("net", split.net))
        if firmware is not None
    }


def relocate(image: bytes, core: Core) -> bytes:
    """Move the vector table of ``image`` from ``core.linked`` to ``core.slot_code``.

    Word 0 is the stack pointer and stays. The table ends at the first word that is neither 0 (an unused vector) nor an
    odd (Thumb) address inside the image.
    """
    moved = bytearray(image)
    for offset in range(4, len(image) - 3, 4):
        (entry,) = struct.unpack_from("<I", image, offset)
        if entry == 0:
            continue
        if not (entry % 2 and core.linked <= entry < core.linked + len(image)):
            break
        struct.pack_into("<I", moved, offset, entry - core.linked + core.slot_code)
    return bytes(moved)


def second_version(image: bytes) -> bytes:
    """Return the sample with another build ID; ``ImageError`` if it does not contain the known one once."""
    if image.count(BUILD_ID) != 1:
        raise ImageError("the sample firmware is not the expected build: its banner has no single build id")
    return image.replace(BUILD_ID, SECOND_BUILD_ID)


def stand_in(core: Core, number: int) -> bytes:
    """Return a firmware of 8 KiB for ``core``, always the same for a version ``number``."""
    reset = core.slot_code + 4 * _VECTORS + 1  # odd: Thumb code
    table = struct.pack(f"<{_VECTORS}I", core.ram_end, *[reset] * (_VECTORS - 1))
    text = f"smpdfu stand-in for firmware, {core.name} core, version {number}\n".encode()
    return (table + text).ljust(_STAND_IN_BYTES, b"\0")


def split_halves(number: int) -> Mapping[int, bytes]:
    """Return both halves of a split application (QSPI XIP) in a version ``number``, by the address of their code.

    They are stand-ins for the slots of ``nrf5340dk-xip-split``. The external half begins with code, not with vectors.
    Both name their build (``boot.halves``): those of different versions do not run together.
    """
    build = mark(f"sample-{number}")
    internal = stand_in(Core("internal half", 0x0, INTERNAL_CODE, CORES[0].ram_end), number)
    text = f"smpdfu stand-in for the external half of an application, version {number}\n".encode()
    code = b"\x70\x47" * (2 * _VECTORS)  # bx lr
    external = (code + text + build).ljust(_STAND_IN_BYTES, b"\0")
    return {INTERNAL_CODE: internal.rstrip(b"\0") + build.ljust(64, b"\0"), EXTERNAL_CODE: external}


def mcuboot_firmware(number: int, slot: Region) -> bytes:
    """Return a stand-in for MCUboot in a version ``number``, for one slot of NSIB: it runs behind MCUboot's header.

    It has the firmware info that b0 looks for. ``nsib.seal`` makes of it what b0 starts.
    """
    core = Core(f"MCUboot in {slot.name}", 0x0, slot.start + MCUBOOT_HEADER, CORES[0].ram_end)
    plain = stand_in(core, number)
    info = FirmwareInfo(size=len(plain), version=number, address=core.slot_code).to_bytes()
    return plain[:INFO_OFFSET] + info + plain[INFO_OFFSET + len(info) :]


def mcuboot_image(number: int, slot: Region, seal_key: Signer, sign_key: Signer | None) -> bytes:
    """Return that stand-in, sealed for b0 and signed for MCUboot: as it is uploaded to a device.

    Raises ``SigningError`` for a key that cannot sign so.
    """
    sealed = seal(mcuboot_firmware(number, slot), slot.start + MCUBOOT_HEADER, seal_key)
    spec = ImageSpec(Version(number), MCUBOOT_HEADER, slot.size_bytes, pad_header=True)
    return build(spec, sealed, sign_key).to_bytes()


def demo_firmware(number: int) -> Mapping[Core, bytes]:
    """Return the firmware of both cores in version 1 or 2, linked for the slots of the DK.

    Raises ``ImageError`` if the installed sample is damaged.
    """
    if not has_sample():
        return {core: stand_in(core, number) for core in CORES}
    sample = read_sample()
    first = {core: relocate(sample[core.name], core) for core in CORES}
    return first if number == 1 else {core: second_version(data) for core, data in first.items()}
