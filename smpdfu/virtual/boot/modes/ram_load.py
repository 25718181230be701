"""An MCUboot that copies images to RAM and runs them there.

Source: ``ram_load.c`` of Nordic's MCUboot, its log lines too.
"""

from __future__ import annotations

from smpdfu.errors import FormatError
from smpdfu.image.format import Flag, Image
from smpdfu.image.signing.encrypt import ctr
from smpdfu.virtual.boot.checks import Checks
from smpdfu.virtual.boot.higher_version import HigherVersion
from smpdfu.virtual.boot.result import BootResult
from smpdfu.virtual.boot.slot import Slot
from smpdfu.virtual.boot.start import Place, jump


def start_in_ram(checks: Checks) -> BootResult:
    """Copy the higher version to its load address and start it there. Raises ``PowerCut``."""
    return _FromRam(checks).run()


def is_loaded(checks: Checks, slot: Slot) -> bool:
    """``boot_load_image_to_sram``: False if the header of the image names no place in the RAM for it."""
    header, ram = slot.raw_header(), checks.layout.executable_ram
    if not header.flags & Flag.RAM_LOAD:
        return False
    try:
        image = slot.image()
    except FormatError:
        return False
    at, end = header.load_addr, header.load_addr + image.size_bytes
    if at < ram.start or end > ram.end:
        checks.log(f"I: Image 0 RAM load address 0x{at:x} is invalid.")
        return False
    loads = not image.encrypted or checks.content_key(image) is not None
    checks.log(f"I: Image 0 RAM loading to 0x{at:x} is {'succeeded' if loads else 'failed'}.")
    return loads


def jump_into_ram(checks: Checks, slot: Slot, number: int) -> BootResult:
    """Jump into what was loaded from slot ``number``."""
    image = slot.image()
    at, size = image.header.load_addr, image.size_bytes
    return jump(checks, image, Place(number, range(at, at + size), _vector(checks, image), at, "first image slot"))


def _vector(checks: Checks, image: Image) -> int | None:
    """The reset vector as it is in the RAM, decrypted."""
    key = checks.content_key(image)
    return image.reset_vector if key is None else int.from_bytes(ctr(image.payload[:8], key)[4:], "little")


class _FromRam(HigherVersion):
    role = "secondary"

    def is_ready(self, number: int) -> bool:
        """False for an image that cannot be loaded; it is erased."""
        slot = self.places[number]
        if is_loaded(self.checks, slot):
            return True
        self.log(f"I: Removing image 0 slot {number} from flash")
        slot.area.erase_all()
        return False

    def start(self, number: int) -> BootResult:
        """Jump into the RAM."""
        return jump_into_ram(self.checks, self.places[number], number)
