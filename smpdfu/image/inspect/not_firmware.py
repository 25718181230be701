"""What is handed over to be signed or uploaded and is no firmware: a whole flash, images in a row, text, noise."""

from __future__ import annotations

from smpdfu.errors import FormatError
from smpdfu.image.format import Image
from smpdfu.image.inspect.identify import FileKind, has_vector_table, identify
from smpdfu.image.vector_table import Vectors, find_images

_SHORTEST = 8


def image_inside(data: bytes) -> int | None:
    """Where a whole MCUboot image lies behind other code: in a dump of flash, or a bootloader merged with it."""
    for offset in find_images(data):
        if not offset:
            continue
        try:
            Image.from_bytes(data[offset:])
        except FormatError:
            continue
        return offset
    return None


def objection(code: bytes) -> str | None:
    """Why these bytes are no firmware to sign, in one sentence; None where they begin as Cortex-M code does.

    Less than a stack pointer and a reset vector tell nothing, unless they are text.
    """
    kind = identify(code)
    if len(code) < _SHORTEST and kind is not FileKind.TEXT:
        return None
    if kind is FileKind.DFU_MULTI_IMAGE:
        return "it contains several signed images (dfu_multi_image.bin): a bootloader installs them one by one"
    inside = image_inside(code)
    if inside is not None:
        return (
            f"it is a whole flash image, with a signed application 0x{inside:x} bytes behind its start: sign the "
            "application alone, as its build made it"
        )
    if has_vector_table(code) or Vectors.of(code) is not None:
        return None
    what = "" if kind is FileKind.UNKNOWN else f" but looks like {kind}"
    return f"it does not begin with a vector table, as Cortex-M firmware does{what}"
