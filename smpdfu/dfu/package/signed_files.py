"""Images that were signed elsewhere, taken into a package as they are: their bytes are checked and kept."""

from __future__ import annotations

from pathlib import Path

from smpdfu.errors import FormatError, ImageError
from smpdfu.image.files import Firmware, read_firmware
from smpdfu.image.format import IMAGE_MAGIC, SIGNATURE_TYPES, Image
from smpdfu.image.image_file import naming
from smpdfu.image.trailer import has_magic
from smpdfu.image.verification.verdict import Code
from smpdfu.image.verification.verify import verify


def is_image(firmware: Firmware) -> bool:
    """True if the file begins with MCUboot's header, so that it may be a signed image."""
    return firmware.leading().startswith(IMAGE_MAGIC.to_bytes(4, "little"))


def read_signed(path: Path, firmware: Firmware | None = None) -> tuple[bytes, Image]:
    """Read a signed image, and return its bytes as they are uploaded. ``firmware`` is what was read of the file.

    Raises ImageError that names the file: for what is no whole image, is damaged, not signed, or the content of a slot
    with its trailer. OSError.
    """
    firmware = read_firmware(path) if firmware is None else firmware
    with naming(path):
        data = firmware.leading()
        if not is_image(firmware):
            raise FormatError("this is no signed image: give the key that signs it, or the image that is signed")
        image = Image.from_bytes(data)
        if len(firmware.segments) > 1 or has_magic(data[image.size_bytes :]):
            raise ImageError("this is a slot with its trailer: give the image that was signed without padding")
        wrong = next((one for one in verify(image).refusals if one.code != Code.ENCRYPTED), None)
        if wrong is not None:
            raise ImageError(wrong.message).because(wrong.code)
        if not any(tlv.type in SIGNATURE_TYPES for tlv in image.unprotected):
            raise ImageError("the image has no signature: give the key that signs it").because("not-signed")
    return data, image
