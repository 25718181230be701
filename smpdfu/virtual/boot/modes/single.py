"""An MCUboot with a single slot: it starts what is valid there, erases nothing and brings nothing in.

What updates it is its serial recovery, or an image that somebody writes into the slot. Source: ``single_loader.c`` and
``boot_image_load_header`` of Nordic's MCUboot, its log lines too.
"""

from __future__ import annotations

from smpdfu.image.format import Flag
from smpdfu.virtual.boot.checks import Checks
from smpdfu.virtual.boot.ram_load import is_loaded, jump_into_ram
from smpdfu.virtual.boot.result import BootResult
from smpdfu.virtual.boot.slot import Slot
from smpdfu.virtual.boot.start import Place, jump, nothing_to_start
from smpdfu.virtual.chip.boot_mode import BootMode


def start_single(checks: Checks) -> BootResult:
    """Start the image in the slot, after it was copied to RAM in a build that does so."""
    slot, in_ram = checks.slots().primary, checks.layout.mode is BootMode.SINGLE_SLOT_RAM_LOAD
    if not has_image(checks, slot) or (in_ram and not is_loaded(checks, slot)):
        return nothing_to_start(checks)
    if not checks.is_good(slot, "secondary" if in_ram else "primary", slot.geometry):
        return nothing_to_start(checks)
    if in_ram:
        return jump_into_ram(checks, slot, 0)
    image, region = slot.image(), slot.area.region
    code = range(region.start, region.end)
    return jump(checks, image, Place(0, code, image.reset_vector, region.start, "first image slot"))


def has_image(checks: Checks, slot: Slot) -> bool:
    """True if there is a header that MCUboot goes on with; else the console says why not."""
    header, room = slot.raw_header(), slot.area.size_bytes
    if not header.is_image:
        checks.log(f"E: Bad image magic 0x{header.magic:x}")
        return False
    if header.flags & Flag.NON_BOOTABLE:
        checks.log("E: Image not bootable")
        return False
    size = header.hdr_size + header.img_size
    if size >= room:
        checks.log(f"E: Image size bigger than designated area: {size} > {room}")
        return False
    return True
