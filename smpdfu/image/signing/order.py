"""One signing: read the firmware, make the image, write every file of it; or write what is to be signed elsewhere."""

from __future__ import annotations

import os
from base64 import b64encode
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from smpdfu.errors import ImageError
from smpdfu.image import hexfile
from smpdfu.image.files import Segment, encode_firmware, read_firmware, write_files_atomic
from smpdfu.image.format import COMPRESSED_FLAGS, IMAGE_MAGIC, SIGNATURE_TYPES, TlvType
from smpdfu.image.image_file import is_hex, naming
from smpdfu.image.inspect.not_firmware import objection
from smpdfu.image.signing.build import build, lay_out, lay_out_segments, output_base
from smpdfu.untrusted.files import read_start

if TYPE_CHECKING:
    from smpdfu.image.files import Contents, Firmware
    from smpdfu.image.format import Image
    from smpdfu.image.keys.keys import PrivateKey, PublicKey
    from smpdfu.image.signers.remote import RemoteSigner
    from smpdfu.image.signing.encrypt import Recipient
    from smpdfu.image.signing.spec import ImageSpec
    from smpdfu.image.signing.two_pass import GivenSigner

_LONGEST_SIGNATURE_FILE = 1 << 16


@dataclass(frozen=True, slots=True)
class Order:
    """What to sign, for whom, and where to. A .hex among ``outfiles`` starts at ``hex_addr``, or by the firmware.

    Of several ``signers`` each makes a signature. ``sig_out`` gets the (first) signature, in base64. A file that holds
    a private key is replaced only with ``replace_keys``.
    """

    spec: ImageSpec
    infile: Path
    outfiles: tuple[Path, ...]
    signers: tuple[PrivateKey | RemoteSigner | GivenSigner, ...] = ()
    recipient: Recipient | None = None
    hex_addr: int | None = None
    sig_out: Path | None = None
    replace_keys: bool = False

    def __post_init__(self) -> None:
        if self.sig_out in self.outfiles:
            raise ImageError(f"the image and its signature have the same output file: {self.sig_out}")

    def with_signature(self, signature: Path, public: PublicKey) -> Order:
        """The order with a signature that was made elsewhere and is in a file: ``sign`` checks it with ``public``.

        Raises OSError, ImageError for a file that is too large to hold a signature.
        """
        signer = given_signer(signature, public)
        # The signature is used as it is, so nothing pads it.
        return replace(self, spec=replace(self.spec, pad_sig=False), signers=(signer,))


def given_signer(signature: Path, public: PublicKey) -> GivenSigner:
    """What signs by a signature in a file, made elsewhere by the key with this public half.

    Raises OSError, ImageError for a file that is too large to hold a signature.
    """
    from smpdfu.image.signing.two_pass import GivenSigner  # here: few images are signed in two passes

    data = read_start(signature, _LONGEST_SIGNATURE_FILE + 1)
    if len(data) > _LONGEST_SIGNATURE_FILE:
        raise ImageError(f"{signature} is not a signature: it is too large")
    return GivenSigner(public, data)


@dataclass(frozen=True, slots=True)
class Signed:
    """What came of an order. ``payload`` is the plain firmware without its header."""

    order: Order
    firmware: Firmware
    image: Image
    payload: bytes

    @property
    def compressed(self) -> bool:
        """False also where compression was asked for and made nothing smaller."""
        return bool(self.image.header.flags & COMPRESSED_FLAGS)

    @property
    def compressed_size(self) -> int:
        """How many bytes compression makes of the payload, whether or not the image has them."""
        # Here: few images are compressed.
        from smpdfu.image.signing.compress import COMPRESSIONS, STREAM_HEADER_SIZE, compress

        if not self.compressed:
            spec = self.order.spec
            return len(compress(self.payload, COMPRESSIONS[spec.compression], spec.lzma())) - STREAM_HEADER_SIZE
        size = self.image.tlv(TlvType.COMP_DEC_SIZE)  # there if encryption filled the payload up
        whole = self.image.header.img_size if size is None else int.from_bytes(size, self.image.endian)
        return whole - STREAM_HEADER_SIZE


def objection_to(order: Order, firmware: Firmware) -> str | None:
    """Why the input of an order is no firmware by its content; None if it may be.

    Data that is never booted may be anything, and ``sign`` itself refuses what no bootloader takes. Raises ImageError.
    """
    spec = order.spec
    flat = firmware.flat()
    code = flat if spec.pad_header else flat[spec.header_size :]
    no_room = not spec.pad_header and any(flat[: spec.header_size])
    if spec.non_bootable or no_room or not code or code.startswith(IMAGE_MAGIC.to_bytes(4, spec.endian)):
        return None
    return objection(code)


def sign(order: Order, firmware: Firmware | None = None) -> Signed:
    """Make the image and all its files: all bytes are there before the first file is written, each one whole.

    ``firmware`` is what the input holds, if it was read already. Raises ImageError, SigningError, OSError.
    """
    if firmware is None:
        firmware = read_firmware(order.infile)
    spec = order.spec
    with naming(order.infile):
        flat = firmware.flat()
        image = build(spec, flat, order.signers, order.recipient, os.urandom)
    files = [(path, _contents(order, image, firmware, path)) for path in order.outfiles]
    if order.sig_out is not None:
        files.append((order.sig_out, b64encode(_signature(image))))
    _write(files, order)
    return Signed(order, firmware, image, flat if spec.pad_header else flat[spec.header_size :])


def write_vector(
    order: Order,
    what: Literal["payload", "digest"],
    public: PublicKey | None,
    firmware: Firmware | None = None,
) -> None:
    """The first pass of a signing elsewhere: write what ``public`` is to sign, and no image.

    ``firmware`` is what the input holds, if it was read already. Raises ImageError, SigningError, OSError.
    """
    from smpdfu.image.signing.two_pass import vector_to_sign  # here: few images are signed in two passes

    if firmware is None:
        firmware = read_firmware(order.infile)
    with naming(order.infile):
        vector = vector_to_sign(order.spec, firmware.flat(), public, order.recipient)
    data = vector.payload if what == "payload" else vector.digest
    files: list[tuple[Path, Contents]] = []
    for path in order.outfiles:
        if is_hex(path):
            base = output_base(order.spec, firmware.base, order.hex_addr)
            files.append((path, encode_firmware((Segment(base, data),), path)))
        else:
            files.append((path, data))
    _write(files, order)


def _write(files: list[tuple[Path, Contents]], order: Order) -> None:
    write_files_atomic(dict(files), replace_keys=order.replace_keys)


def _signature(image: Image) -> bytes:
    return next(tlv.data for tlv in image.unprotected if tlv.type in SIGNATURE_TYPES)


def _contents(order: Order, image: Image, firmware: Firmware, path: Path) -> Contents:
    if not is_hex(path):
        return lay_out(image, order.spec) if order.spec.padded else image.parts()
    base = output_base(order.spec, firmware.base, order.hex_addr)
    return hexfile.pieces(lay_out_segments(image, order.spec, base))
