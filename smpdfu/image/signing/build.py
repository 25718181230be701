"""Make an image: what imgtool's ``sign`` does with a file's bytes, in small steps, and what it should have refused.

``ImageSpec`` has imgtool's options under their names; ``build`` makes the image, ``lay_out`` the file. Output is byte
for byte imgtool 2.5.0's, except for what is random there and is not here: ECDSA signatures follow RFC 6979. Requests
that imgtool lets through and a bootloader then chokes on end in ``ImageError`` with the reason.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smpdfu.errors import ImageError, TooLargeError
from smpdfu.image.format import ENCRYPTED_FLAGS, HEADER_SIZE, IMAGE_MAGIC, Flag, Header, Image, Tlv, TlvType
from smpdfu.image.hexfile import Segment
from smpdfu.image.signing.protected_tlvs import protected_tlvs
from smpdfu.image.signing.signatures import check_signers, image_hash_type, sign, signer_id
from smpdfu.image.signing.spec import KEY_SIZES, ImageSpec
from smpdfu.image.tlv import protected_size_bytes
from smpdfu.image.trailer import SlotGeometry, max_image_size_bytes, pad_to_slot, trailer_size_bytes

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PublicHalf, Signer
    from smpdfu.image.signing.encrypt import Random, Recipient

__all__ = [
    "ImageSpec",
    "build",
    "check_size",
    "encrypted_key_size",
    "lay_out",
    "lay_out_segments",
    "output_base",
    "too_large",
]


# --- building -------------------------------------------------------------------------------------------------------


def build(
    spec: ImageSpec,
    payload: bytes,
    signers: Signer | Sequence[Signer] | None = None,
    recipient: Recipient | None = None,
    random: Random = os.urandom,
) -> Image:
    """Make an image of a firmware file's bytes.

    ``payload`` begins with ``header_size`` zeros, unless ``pad_header`` inserts the space. Without signers, the image
    has only a hash; for a signature made elsewhere, use ``two_pass.GivenSigner``. Without a recipient, the image is
    not encrypted. ``random`` makes the content key, then the random bytes for wrapping it. Raises ``ImageError``,
    ``TooLargeError``, ``SigningError``.
    """
    keys = () if signers is None else tuple(signers) if isinstance(signers, Sequence) else (signers,)
    check_signers(keys)
    frame = _Frame.of(spec, payload, keys, encrypted=recipient is not None)
    image = _compressed(frame, keys) if spec.compressed else None
    if image is None:
        image = sign(frame.image(frame.body), spec, keys)
    if recipient is not None:
        image = _encrypt(image, spec, recipient, random)
    check_size(image, spec)
    return image


@dataclass(frozen=True, slots=True)
class _Frame:
    """What an image has in common with the same image compressed. ``header_pad`` fills the header up to its size."""

    spec: ImageSpec
    hash_type: TlvType
    signer_id: bytes
    encrypted: bool
    header_pad: bytes
    body: bytes

    @classmethod
    def of(cls, spec: ImageSpec, payload: bytes, keys: Sequence[PublicHalf], *, encrypted: bool) -> _Frame:
        if encrypted and spec.header_size % 16:
            raise ImageError(
                f"an encrypted image cannot have a header of {spec.header_size} bytes: the bootloader decrypts in "
                "blocks of 16 and would install an image that does not boot (take a multiple of 16)"
            )
        hash_type = image_hash_type(spec, keys)
        pad = bytes([spec.header_fill]) * (spec.header_size - HEADER_SIZE)
        return cls(spec, hash_type, signer_id(hash_type, keys), encrypted, pad, _firmware(spec, payload))

    def image(self, body: bytes, flags: int = 0, tlvs: Sequence[Tlv] = (), *, in_blocks: bool = True) -> Image:
        """The image of a body, without its unprotected TLVs; zeros fill a body that will be encrypted up to 16 bytes.

        ``flags`` and ``tlvs`` are those of compression.
        """
        if self.encrypted and in_blocks:
            body += bytes(-len(body) % 16)
        protected = protected_tlvs(self.spec, self.hash_type, self.signer_id, tlvs)
        header = Header(
            self.spec.version,
            img_size=len(body),
            hdr_size=self.spec.header_size,
            protect_tlv_size=protected_size_bytes(protected),
            load_addr=self.spec.rom_fixed or self.spec.load_addr,
            flags=_flags(self.spec, encrypted=self.encrypted) | flags,
        )
        return Image(header, self.header_pad, body, protected, (), self.spec.endian)


def _firmware(spec: ImageSpec, payload: bytes) -> bytes:
    """The firmware in a file, without the room for the header."""
    if not spec.pad_header and any(payload[: spec.header_size]):
        raise ImageError(
            f"the firmware leaves no room for the header: its first {spec.header_size} bytes are not all zero "
            "(--pad-header puts the header before them)"
        )
    body = payload if spec.pad_header else payload[spec.header_size :]
    if not body:
        raise ImageError("the firmware is empty: nothing would follow the header")
    if body.startswith(IMAGE_MAGIC.to_bytes(4, spec.endian)):
        raise ImageError("the firmware is an MCUboot image already: signing it again makes an image that cannot start")
    return body


_AES_FLAGS = {128: Flag.ENCRYPTED_AES128, 256: Flag.ENCRYPTED_AES256}


def _flags(spec: ImageSpec, *, encrypted: bool) -> Flag:
    flags = _AES_FLAGS[spec.encrypt_keylen] if encrypted else Flag(0)
    for wanted, flag in (
        (spec.load_addr, Flag.RAM_LOAD),
        (spec.rom_fixed, Flag.ROM_FIXED),
        (spec.non_bootable, Flag.NON_BOOTABLE),
    ):
        flags |= flag if wanted else Flag(0)
    return flags


def _compressed(frame: _Frame, signers: Sequence[Signer]) -> Image | None:
    """The compressed image, signed; None where it would not be smaller. It tells of the image as it was before."""
    from smpdfu.image.signing.compress import (  # here: few images are compressed
        COMPRESSIONS,
        STREAM_HEADER_SIZE,
        compress,
    )

    spec = frame.spec
    if len(signers) > 1:
        raise ImageError("a compressed image can have one signature only: it says which firmware one key signed")
    original = sign(frame.image(frame.body, in_blocks=False), spec, signers)
    check_size(original, spec)
    flags = COMPRESSIONS[spec.compression]
    body = compress(frame.body, flags, spec.lzma())
    tlvs = [
        Tlv(TlvType.DECOMP_SIZE, len(frame.body).to_bytes(4, spec.endian)),
        Tlv(TlvType.DECOMP_SHA, original.unprotected[0].data),
    ]
    if signers:
        tlvs.append(Tlv(TlvType.DECOMP_SIGNATURE, original.unprotected[-1].data))
    if len(body) - STREAM_HEADER_SIZE + sum(len(tlv.data) for tlv in tlvs) >= len(frame.body):
        return None
    if frame.encrypted:
        tlvs.append(Tlv(TlvType.COMP_DEC_SIZE, len(body).to_bytes(4, spec.endian)))
    return sign(frame.image(body, flags, tlvs), spec, signers)


def _encrypt(image: Image, spec: ImageSpec, recipient: Recipient, random: Random) -> Image:
    """The image with its payload encrypted (not with ``clear``) and the content key in a TLV, the last one."""
    from smpdfu.image.signing.encrypt import ctr, wrap_key  # here: it loads cryptography

    content_key = random(KEY_SIZES[spec.encrypt_keylen])
    key_tlv = wrap_key(recipient, content_key, random, spec.hmac_sha)
    payload = image.payload if spec.clear else ctr(image.payload, content_key)
    return replace(image, payload=payload, unprotected=(*image.unprotected, key_tlv))


# --- fitting --------------------------------------------------------------------------------------------------------


def encrypted_key_size(image: Image, *, save_enctlv: bool = False) -> int:
    """What a swap saves of this image's content key: nothing, the key, or with BOOT_SWAP_SAVE_ENCTLV the whole TLV."""
    if not image.header.flags & ENCRYPTED_FLAGS:
        return 0
    tlv = image.encryption_key_tlv
    if save_enctlv and tlv is not None:
        return len(tlv.data)
    return 32 if image.header.flags & Flag.ENCRYPTED_AES256 else 16


def check_size(image: Image, spec: ImageSpec) -> None:
    """Raises ``TooLargeError`` if no bootloader like the one described would take the image into the slot."""
    if not spec.slot_size:
        return
    try:
        limit = max_image_size_bytes(_geometry(image, spec))
    except ValueError:  # the slot is smaller than the trailer
        limit = 0
    if image.size_bytes > limit:
        raise too_large(image.size_bytes, limit, spec.slot_size)


def too_large(size: int, limit: int, slot_size: int) -> TooLargeError:
    """The error that says by how much an image is too large for a slot."""
    return TooLargeError(
        f"the image has {size} bytes, and a slot of {slot_size} (0x{slot_size:x}) takes {limit}: the rest is the "
        f"bootloader's; it is {size - limit} too large",
        size,
        limit,
    )


def lay_out(image: Image, spec: ImageSpec) -> bytes:
    """The bytes of a .bin: the image, and when padded the whole slot with the trailer that marks it as pending."""
    if not spec.padded:
        return image.to_bytes()
    slot = pad_to_slot(image.to_bytes(), spec.padding())
    if spec.pad_value in (None, spec.erased_val):
        return slot
    trailer = spec.slot_size - trailer_size_bytes(_geometry(image, spec))
    return slot[: image.size_bytes] + bytes([spec.pad_value]) * (trailer - image.size_bytes) + slot[trailer:]


def _geometry(image: Image, spec: ImageSpec) -> SlotGeometry:
    return spec.geometry(encrypted_key_size(image, save_enctlv=spec.save_enctlv))


def lay_out_segments(image: Image, spec: ImageSpec, base: int) -> tuple[Segment, ...]:
    """The segments of a .hex with the slot's start at ``base``: the image, and when padded what the trailer has.

    Raises ``ImageError`` if they do not fit 32-bit addresses.
    """
    pieces = ((0, image.to_bytes()), *(spec.padding().trailer_writes() if spec.padded else ()))
    try:
        return tuple(Segment(base + offset, data) for offset, data in pieces)
    except ValueError as error:
        raise ImageError(f"the image cannot lie at 0x{base:x}: {error}") from None


def output_base(spec: ImageSpec, firmware_base: int | None, hex_addr: int | None = None) -> int:
    """Where a .hex begins: ``hex_addr`` if given, else the firmware's address, less the header that was put before it.

    Raises ``ImageError`` when there is no address (a .bin came in), or none before the firmware's.
    """
    if hex_addr is not None:
        return hex_addr
    if firmware_base is None:
        raise ImageError("a .hex needs an address and a .bin has none: give one with --hex-addr")
    if not spec.pad_header or firmware_base == 0:  # at 0 imgtool moves the firmware up instead
        return firmware_base
    if firmware_base < spec.header_size:
        raise ImageError(f"no header of {spec.header_size} bytes fits before the firmware at 0x{firmware_base:x}")
    return firmware_base - spec.header_size
