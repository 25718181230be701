"""One signing: read the firmware, make the image, write every file of it; and reading an image back. For both doors."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from smpdfu.cli.keys.passphrase import Passphrase, key_bytes, read_key
from smpdfu.errors import FormatError, ImageError, KeyFileError, TooLargeError
from smpdfu.untrusted.files import read_start

if TYPE_CHECKING:
    from smpdfu.cli.keys.passphrase import SigningKey
    from smpdfu.image.files import Firmware
    from smpdfu.image.format import Image
    from smpdfu.image.keys.kek import EncryptionKey
    from smpdfu.image.keys.keys import PublicKey
    from smpdfu.image.signing.encrypt import DecryptionKey, Recipient
    from smpdfu.image.signing.spec import ImageSpec
    from smpdfu.image.signing.two_pass import GivenSigner

_LONGEST_SIGNATURE_FILE = 1 << 16
_LONGEST_KEK_FILE = 256


@dataclass(frozen=True, slots=True)
class Order:
    """What to sign, for whom, and where to. A .hex among ``outfiles`` starts at ``hex_addr``, or by the firmware.

    Of several ``signers`` each makes a signature. ``sig_out`` gets the (first) signature, in base64. A file that holds
    a private key is replaced only with ``replace_keys``.
    """

    spec: ImageSpec
    infile: Path
    outfiles: tuple[Path, ...]
    signers: tuple[SigningKey | GivenSigner, ...] = ()
    recipient: Recipient | None = None
    hex_addr: int | None = None
    sig_out: Path | None = None
    replace_keys: bool = False

    def __post_init__(self) -> None:
        if self.sig_out in self.outfiles:
            raise ImageError(f"the image and its signature are both to be written to {self.sig_out}")


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
        from smpdfu.image.format import COMPRESSED_FLAGS

        return bool(self.image.header.flags & COMPRESSED_FLAGS)

    @property
    def compressed_size(self) -> int:
        """How many bytes compression makes of the payload, whether or not the image has them."""
        from smpdfu.image.signing.compress import COMPRESSIONS, STREAM_HEADER_SIZE, compress
        from smpdfu.image.tlv import TlvType

        if not self.compressed:
            spec = self.order.spec
            return len(compress(self.payload, COMPRESSIONS[spec.compression], spec.lzma())) - STREAM_HEADER_SIZE
        size = self.image.tlv(TlvType.COMP_DEC_SIZE)  # there if encryption filled the payload up
        whole = self.image.header.img_size if size is None else int.from_bytes(size, self.image.endian)
        return whole - STREAM_HEADER_SIZE


def sign(order: Order) -> Signed:
    """Make the image and all its files: all bytes are there before the first file is written, each one whole.

    Raises ImageError, SigningError, OSError.
    """
    from smpdfu.image.files import read_firmware
    from smpdfu.image.signing.build import build

    firmware, spec = read_firmware(order.infile), order.spec
    with naming(order.infile):
        flat = firmware.flat()
        image = build(spec, flat, order.signers, order.recipient, os.urandom)
    files = [(path, _file_bytes(order, image, firmware, path)) for path in order.outfiles]
    if order.sig_out is not None:
        files.append((order.sig_out, b64encode(_signature(image))))
    _write(files, order)
    return Signed(order, firmware, image, flat if spec.pad_header else flat[spec.header_size :])


def write_vector(order: Order, what: Literal["payload", "digest"], public: PublicKey | None) -> None:
    """The first pass of a signing elsewhere: write what ``public`` is to sign, and no image.

    Raises ImageError, SigningError, OSError.
    """
    from smpdfu.image.files import Segment, encode_firmware, read_firmware
    from smpdfu.image.signing.build import output_base
    from smpdfu.image.signing.two_pass import vector_to_sign

    firmware = read_firmware(order.infile)
    with naming(order.infile):
        vector = vector_to_sign(order.spec, firmware.flat(), public, order.recipient)
    data = vector.payload if what == "payload" else vector.digest
    files = []
    for path in order.outfiles:
        if is_hex(path):
            base = output_base(order.spec, firmware.base, order.hex_addr)
            files.append((path, encode_firmware((Segment(base, data),), path)))
        else:
            files.append((path, data))
    _write(files, order)


def _write(files: list[tuple[Path, bytes]], order: Order) -> None:
    from smpdfu.image.files import write_files_atomic

    write_files_atomic(dict(files), replace_keys=order.replace_keys)


def _signature(image: Image) -> bytes:
    from smpdfu.image.format import SIGNATURE_TYPES

    return next(tlv.data for tlv in image.unprotected if tlv.type in SIGNATURE_TYPES)


def given_signer(signature: Path, public: PublicKey) -> GivenSigner:
    """Who signs with a signature that was made elsewhere and is in a file: it is checked before it is used.

    Raises OSError, ImageError for a file that is too large to hold one.
    """
    from smpdfu.image.signing.two_pass import GivenSigner

    data = read_start(signature, _LONGEST_SIGNATURE_FILE + 1)
    if len(data) > _LONGEST_SIGNATURE_FILE:
        raise ImageError(f"{signature} is no signature: it is too large")
    return GivenSigner(public, data)


def read_recipient(path: Path, passphrase: Passphrase) -> Recipient:
    """Whom to encrypt for: the key in a PEM file, of which the public half is enough, or an AES-KW key.

    Raises KeyFileError that names the file.
    """
    return _read_encryption_key(path, passphrase).public


def read_decryption_key(path: Path, passphrase: Passphrase) -> DecryptionKey:
    """What the device decrypts with: the private key in a PEM file, or an AES-KW key. KeyFileError names the file."""
    from smpdfu.image.signing.encrypt import DecryptionKey

    key = _read_encryption_key(path, passphrase)
    if not isinstance(key, DecryptionKey):
        raise KeyFileError(f"{path} holds a public key; decryption needs the private one", str(path))
    return key


def _read_encryption_key(path: Path, passphrase: Passphrase) -> EncryptionKey:
    from smpdfu.image.keys.kek import KEK_SIZES, load_kek

    head = key_bytes(path)[:_LONGEST_KEK_FILE]
    if b"-----BEGIN" in head or len(head) == _LONGEST_KEK_FILE or (head[:1] == b"\x30" and len(head) not in KEK_SIZES):
        return read_key(path, passphrase)
    try:
        return load_kek(head)
    except KeyFileError as error:
        raise KeyFileError(f"{path}: {error}", str(path)) from None


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
        data = firmware.leading()  # in a padded .hex the trailer may lie far behind
        return Image.from_bytes(data, "big" if data.startswith(IMAGE_MAGIC.to_bytes(4, "big")) else "little")


def is_hex(path: Path) -> bool:
    """True if a file with this name is written as Intel HEX."""
    return path.suffix.lower() in (".hex", ".ihex")


def _file_bytes(order: Order, image: Image, firmware: Firmware, path: Path) -> bytes:
    from smpdfu.image.files import encode_firmware
    from smpdfu.image.signing.build import lay_out, lay_out_segments, output_base

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
    elif check_link and (sentence := _no_address_warning(signed)):
        found.append(Caution("no-load-address", f"{signed.order.infile}: {sentence}"))
    if sentence := _dependency_warning(signed):
        found.append(Caution("network-dependency", f"{signed.order.infile}: {sentence}"))
    if sentence := _size_warning(signed):
        found.append(Caution("large-for-swap-move", sentence))
    if sentence := signed.order.spec.counter_warning():
        found.append(Caution("large-counter", sentence))
    found += _form_cautions(signed)
    return tuple(found)


def _link_warning(signed: Signed, slot_address: int | None) -> str | None:
    from smpdfu.image.vector_table import code_start, link_warning

    spec, base = signed.order.spec, signed.firmware.base
    slot = slot_address if slot_address is not None else spec.rom_fixed or spec.load_addr or None
    if slot is not None:
        return link_warning(signed.payload, code_start(slot, spec.header_size))
    return link_warning(signed.payload, base if base is None or spec.pad_header else base + spec.header_size)


def _no_address_warning(signed: Signed) -> str | None:
    """For the nRF5340 only, as far as the vector table can tell: for other chips no bootloader checks it."""
    from smpdfu.image.load_address import LOAD_ADDRESS_FLAGS
    from smpdfu.image.vector_table import linked_core

    core = linked_core(signed.payload)
    if core is None or signed.image.header.flags & LOAD_ADDRESS_FLAGS:
        return None
    return (
        f"if this is for an nRF5340 ({core.words}), say where its slot starts with --slot-address {_slot_of(signed)}: "
        "bootloaders of nRF Connect SDK 3.4 and later may erase an image whose header has no load address"
    )


def _slot_of(signed: Signed) -> str:
    """The slot's start by the addresses of a .hex; the word for it where there are none."""
    from smpdfu.image.nrf5340 import NET

    spec, base = signed.order.spec, signed.firmware.base
    if base is None:
        return "ADDRESS"
    code = base if spec.pad_header else base + spec.header_size
    slot = code if code in NET else code - spec.header_size
    return f"0x{slot:x}" if slot > 0 else "ADDRESS"


def _dependency_warning(signed: Signed) -> str | None:
    """An application of the nRF5340 that needs a version of the network core's image: see ``dfu/decide/ties.py``."""
    from smpdfu.image.nrf5340 import APP
    from smpdfu.image.vector_table import linked_core

    needs = [need for need in signed.order.spec.dependencies if need.image == 1]
    if not needs or linked_core(signed.payload) is not APP:
        return None
    return (
        f"if image 1 is the network core of an nRF5340, leave the dependency on its version {needs[0].version} out: "
        "while this application runs, a network image with a lower version in its header stops the device at every "
        "boot, and builds of the nRF Connect SDK sign network images as 0.0.0"
    )


def _form_cautions(signed: Signed) -> Iterator[Caution]:
    """How the image names its key, and how its signatures are written: not every bootloader reads that."""
    from smpdfu.image.format import TlvType

    if signed.order.spec.public_key_format == "full" and signed.order.signers:
        text = "the image names its key in full: only bootloaders built with MCUBOOT_HW_KEY take it"
        yield Caution("full-key", f"{text} (`smpdfu verify --hw-key`)")
    signatures = [tlv.data for tlv in signed.image.unprotected if tlv.type == TlvType.ECDSA_SIG]
    if signed.order.spec.pad_sig and any(len(data) > 2 + data[1] for data in signatures):
        text = "the signature is padded with zeros: bootloaders with mbedTLS refuse it"
        yield Caution("padded-signature", f"{text} (only MCUboot before 1.5 needs --pad-sig)")


def _size_warning(signed: Signed) -> str | None:
    """imgtool's options do not say how the bootloader swaps: the strictest way is what Zephyr builds by default."""
    from smpdfu.image.signing.build import check_size
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
        "signature": order.signers[0].kind.name if order.signers else None,
        "keyhash": order.signers[0].keyhash if order.signers else None,
        "signatures": [{"type": one.kind.name, "keyhash": one.keyhash} for one in order.signers],
        "encryption": f"aes-{order.spec.encrypt_keylen}" if order.recipient else None,
        "clear": bool(order.recipient) and order.spec.clear,
        "files": [{"path": path, "format": "hex" if is_hex(path) else "bin"} for path in order.outfiles],
    }
