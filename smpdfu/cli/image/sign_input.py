"""What ``sign`` refuses to wrap into an image: what is no firmware by its content."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from smpdfu.errors import ImageError

if TYPE_CHECKING:
    from smpdfu.image.signing.spec import ImageSpec


def check_input(infile: Path, spec: ImageSpec) -> None:
    """ImageError that says what the file is instead. Data that is never booted (``--non-bootable``) may be anything.

    What ``build`` refuses is left to it.
    """
    from smpdfu.image.files import read_firmware
    from smpdfu.image.format import IMAGE_MAGIC
    from smpdfu.image.inspect.not_firmware import objection

    flat = read_firmware(infile).flat()
    code = flat if spec.pad_header else flat[spec.header_size :]
    no_room = not spec.pad_header and any(flat[: spec.header_size])
    if spec.non_bootable or no_room or not code or code.startswith(IMAGE_MAGIC.to_bytes(4, spec.endian)):
        return
    if sentence := objection(code):
        raise ImageError(f"{infile} is no firmware: {sentence} (--any-input signs it all the same)")
