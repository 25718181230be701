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
    """Put the name of the file into what is said about its contents."""
    try:
        yield
    except FormatError as error:
        raise FormatError(f"{file}: {error}", error.offset) from None
    except TooLargeError as error:
        raise TooLargeError(f"{file}: {error}", error.size_bytes, error.limit_bytes) from None
    except ImageError as error:
        raise ImageError(f"{file}: {error}") from None


def read_image(file: Path) -> Image:
    """The MCUboot image in a .bin or .hex, of either byte order; raises ImageError that names the file, OSError."""
    firmware = read_firmware(file)
    with naming(file):
        data = firmware.leading()  # in a padded .hex the trailer may lie far behind
        return Image.from_bytes(data, "big" if data.startswith(IMAGE_MAGIC.to_bytes(4, "big")) else "little")


def is_hex(path: Path) -> bool:
    """True if a file with this name is written as Intel HEX."""
    return path.suffix.lower() in (".hex", ".ihex")
