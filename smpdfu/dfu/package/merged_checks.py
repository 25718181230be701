"""What speaks against taking a merged hex apart: code that no image of a package holds, an application elsewhere.

A merged hex of the nRF Connect SDK has bootloaders and applications by their addresses. What is not where it is looked
for must not be signed along with the bootloader before it, nor left out without a word.
"""

from __future__ import annotations

from smpdfu.dfu.package.images import Core
from smpdfu.dfu.package.merged_hex import Code, Slot
from smpdfu.errors import FormatError, ImageError
from smpdfu.image.files import Firmware, Segment, split_cores
from smpdfu.image.format import Image
from smpdfu.image.inspect.identify import has_vector_table
from smpdfu.image.nrf5340 import APP, NET
from smpdfu.image.vector_table import Vectors, find_images

_UICR_BYTES = 0x1000
_SMALLEST_BOOTLOADER = 0x2000
_PAGE_BYTES = 0x800  # the network core's flash; the application core's pages are twice as large


def check_left_out(firmware: Firmware, name: str) -> None:
    """ImageError that names the range of code that belongs to neither core's flash, such as code in external flash.

    The configuration registers (UICR) are left out without a word: no update writes them.
    """
    left = [one for one in split_cores(firmware).dropped if not _is_uicr(one)]
    if left:
        ranges = ", ".join(f"0x{one.address:x} to 0x{one.end:x}" for one in left)
        raise ImageError(
            f"{name} has code outside the flash of both cores ({ranges}; external flash begins at 0x10000000), and a "
            "package has one image for each core: update such a device with the files that its build makes"
        )


def _is_uicr(segment: Segment) -> bool:
    return any(core.uicr <= segment.address and segment.end <= core.uicr + _UICR_BYTES for core in (APP, NET))


def check_place(firmware: Firmware, core: Core, code: Code, slot: Slot, name: str) -> None:
    """ImageError with the address found when the core's application is in another slot than ``slot``.

    Otherwise all of the core's flash, its bootloader with it, would be signed as one image.
    """
    if not code.whole or not firmware.addressed:
        return
    part = getattr(split_cores(firmware), core.value)
    found = None if part is None else application_start(part, slot.header_size)
    if found is not None and found != slot.start:
        raise ImageError(
            f"{name} has a bootloader of the {core.words} and an application in the slot at 0x{found:x}, not at "
            f"0x{slot.start:x}: say that the slot starts at 0x{found:x}, and how large it is"
        ).because("another-slot", core=str(core), address=f"0x{found:x}")


def application_start(part: Firmware, header_size: int) -> int | None:
    """Where the slot of an application behind a bootloader starts; None where there is none behind the first code.

    Found by the header of a signed image, or by a second vector table that points behind itself.
    """
    if part.segments[0].address - _core_start(part) >= _SMALLEST_BOOTLOADER:
        return None
    for segment in part.segments:
        for offset in find_images(segment.data):
            if segment.address + offset > part.segments[0].address and _is_image(segment.data[offset:]):
                return segment.address + offset
    for segment in part.segments:
        for address in _pages(segment, header_size):
            data = segment.data[address - segment.address :]
            vectors = Vectors.of(data)
            if vectors is not None and has_vector_table(data) and address <= vectors.reset < address + len(data):
                return address - header_size if address % _PAGE_BYTES == header_size else address
    return None


def _core_start(part: Firmware) -> int:
    return NET.start if part.segments[0].address in NET else APP.start


def _pages(segment: Segment, header_size: int) -> list[int]:
    """Addresses behind the smallest bootloader where code may begin: at a page, or behind a header there."""
    core = NET if segment.address in NET else APP
    first = max(segment.address, core.start + _SMALLEST_BOOTLOADER)
    page = first - first % _PAGE_BYTES
    found = {start for at in range(page, segment.end, _PAGE_BYTES) for start in (at, at + header_size)}
    return sorted(start for start in found if first <= start < segment.end)


def _is_image(data: bytes) -> bool:
    try:
        Image.from_bytes(data)
    except FormatError:
        return False
    return True


def one_core_warning(cores: list[Core], name: str) -> str | None:
    """What to say where a merged hex had code for one core only; None where it had both."""
    if len(cores) != 1:
        return None
    if cores[0] is Core.APP:
        return (
            f"{name} has code for the application core only, and so has the package: builds for several domains put "
            "the network core into merged_CPUNET.hex (give both files) or both cores into merged_domains.hex"
        )
    return (
        f"{name} has code for the network core only, and so has the package: the application core is in merged.hex "
        "(give both files), or both are in merged_domains.hex"
    )
