"""One signing: read the firmware, make the image, write every file of it; and reading an image back. For both doors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.errors import FormatError, ImageError, TooLargeError

if TYPE_CHECKING:
    from smpdfu.image.encrypt import Recipient
    from smpdfu.image.files import Firmware
    from smpdfu.image.format import Image
    from smpdfu.image.keys import PrivateKey
    from smpdfu.image.spec import ImageSpec


@dataclass(frozen=True, slots=True)
class Order:
    """What to sign, for whom, and where to. A .hex among ``outfiles`` starts at ``hex_addr``, or by the firmware."""

    spec: ImageSpec
    infile: Path
    outfiles: tuple[Path, ...]
    signer: PrivateKey | None = None
    recipient: Recipient | None = None
    hex_addr: int | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """What came of an order. ``payload`` is the plain firmware without its header."""

    order: Order
    firmware: Firmware
    image: Image
    payload: bytes


def sign(order: Order) -> Signed:
    """Make the image and all its files: all bytes are there before the first file is written, each one whole.

    Raises ImageError, SigningError, OSError.
    """
    from smpdfu.image.build import build
    from smpdfu.image.files import read_firmware, write_file_atomic

    firmware = read_firmware(order.infile)
    with naming(order.infile):
        flat = firmware.flat()
        image = build(order.spec, flat, order.signer, order.recipient)
    files = [(path, _file_bytes(order, image, firmware, path)) for path in order.outfiles]
    for path, data in files:
        write_file_atomic(path, data)
    return Signed(order, firmware, image, flat if order.spec.pad_header else flat[order.spec.header_size :])


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
    from smpdfu.image.files import read_firmware
    from smpdfu.image.format import IMAGE_MAGIC, Image

    firmware = read_firmware(file)
    with naming(file):
        data = firmware.flat()
        return Image.from_bytes(data, "big" if data.startswith(IMAGE_MAGIC.to_bytes(4, "big")) else "little")


def is_hex(path: Path) -> bool:
    """True if a file with this name is written as Intel HEX."""
    return path.suffix.lower() in (".hex", ".ihex")


def _file_bytes(order: Order, image: Image, firmware: Firmware, path: Path) -> bytes:
    from smpdfu.image.build import lay_out, lay_out_segments, output_base
    from smpdfu.image.files import encode_firmware

    if not is_hex(path):
        return lay_out(image, order.spec)
    base = output_base(order.spec, firmware.base, order.hex_addr)
    return encode_firmware(lay_out_segments(image, order.spec, base), path)


@dataclass(frozen=True, slots=True)
class Caution:
    """Something that was made as asked and will hardly work; ``code`` is for scripts."""

    code: str
    message: str


def cautions(signed: Signed, slot_address: int | None, *, check_link: bool) -> tuple[Caution, ...]:
    """What speaks against the image though it is valid: linked for another place, too large for a usual bootloader."""
    found = []
    if check_link and (sentence := _link_warning(signed, slot_address)):
        found.append(Caution("linked-elsewhere", f"{signed.order.infile}: {sentence}"))
    if sentence := _size_warning(signed):
        found.append(Caution("large-for-swap-move", sentence))
    return tuple(found)


def _link_warning(signed: Signed, slot_address: int | None) -> str | None:
    from smpdfu.image.linked import link_warning

    spec, base = signed.order.spec, signed.firmware.base
    slot = slot_address if slot_address is not None else spec.rom_fixed or spec.load_addr or None
    if slot is not None:
        return link_warning(signed.payload, slot + spec.header_size)
    return link_warning(signed.payload, base if base is None or spec.pad_header else base + spec.header_size)


def _size_warning(signed: Signed) -> str | None:
    """imgtool's options do not say how the bootloader swaps: the strictest way is what Zephyr builds by default."""
    from smpdfu.image.build import check_size
    from smpdfu.image.trailer import SwapMode

    spec = signed.order.spec
    if spec.swap_mode is not None or spec.overwrite_only or not spec.slot_size:
        return None
    try:
        check_size(signed.image, replace(spec, swap_mode=SwapMode.MOVE))
    except TooLargeError as error:
        return f"a bootloader built for swap-move or swap-offset would refuse this image: {error} (say --swap-mode)"
    return None


def summary(signed: Signed) -> dict[str, Any]:
    """What came of it, for scripts."""
    image, order = signed.image, signed.order
    return {
        "version": image.header.version,
        "size_bytes": image.size_bytes,
        "slot_size_bytes": order.spec.slot_size,
        "hash": image.hash,
        "signature": order.signer.kind.name if order.signer else None,
        "keyhash": order.signer.keyhash if order.signer else None,
        "encryption": f"aes-{order.spec.encrypt_keylen}" if order.recipient else None,
        "clear": bool(order.recipient) and order.spec.clear,
        "files": [{"path": path, "format": "hex" if is_hex(path) else "bin"} for path in order.outfiles],
    }
