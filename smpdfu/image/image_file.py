"""An image in a file of its own: .bin or .hex, and errors that name the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smpdfu.errors import FormatError, ImageError, TooLargeError
from smpdfu.image.files import read_firmware
from smpdfu.image.format import IMAGE_MAGIC, Image


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Put the name of the file into what is said about its contents. The error keeps its code and its facts."""
    try:
        yield
    except ImageError as error:
        raise _named(error, file).because(error.code, **error.facts) from None


def _named(error: ImageError, file: Path) -> ImageError:
    text = f"{file}: {error}"
    if isinstance(error, FormatError):
        return FormatError(text, error.offset)
    if isinstance(error, TooLargeError):
        return TooLargeError(text, error.size_bytes, error.limit_bytes)
    return ImageError(text)


def read_image(file: Path) -> Image:
    """The MCUboot image in a .bin or .hex, of either byte order; raises ImageError that names the file, OSError."""
    firmware = read_firmware(file)
    with naming(file):
        data = firmware.leading()  # in a padded .hex the trailer may lie far behind
        return Image.from_bytes(data, "big" if data.startswith(IMAGE_MAGIC.to_bytes(4, "big")) else "little")


def is_hex(path: Path) -> bool:
    """True if a file with this name is written as Intel HEX."""
    return path.suffix.lower() in (".hex", ".ihex")
