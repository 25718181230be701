"""Make an image: what imgtool's ``sign`` does with a file's bytes, in small steps, and what it should have refused.

``ImageSpec`` has imgtool's options under their names; ``build`` makes the image, ``lay_out`` the file. Output is byte
for byte imgtool 2.5.0's, except for what is random there and is not here: ECDSA signatures follow RFC 6979. Requests
that imgtool lets through and a bootloader then chokes on end in ``ImageError`` with the reason.
"""

from __future__ import annotations

import os
from dataclasses import replace

from smpdfu.errors import ImageError, TooLargeError
from smpdfu.image.encrypt import AES_FLAGS, KEY_SIZES, Random, Recipient, ctr, wrap_key
from smpdfu.image.format import ENCRYPTED_FLAGS, HEADER_SIZE, IMAGE_MAGIC, Flag, Header, Image, Tlv, TlvType
from smpdfu.image.hashes import digest
from smpdfu.image.hexfile import Segment
from smpdfu.image.keys import Signer
from smpdfu.image.spec import ImageSpec
from smpdfu.image.tlv import protected_size_bytes
from smpdfu.image.trailer import max_image_size_bytes, pad_to_slot

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
    signer: Signer | None = None,
    recipient: Recipient | None = None,
    random: Random = os.urandom,
) -> Image:
    """Make an image of a firmware file's bytes.

    ``payload`` begins with ``header_size`` zeros unless ``pad_header`` adds the room. Without a signer the image has
    a hash only; without a recipient it is not encrypted. ``random`` is asked for the content key, then for the
    ephemeral key. Raises ``ImageError``, ``TooLargeError``, ``SigningError``.
    """
    pad, body = _split(spec, payload)
    if recipient is not None:
        _check_encryptable(spec)
        body += bytes(-len(body) % 16)
    image = _sign(_unsigned(spec, pad, body, signer, encrypted=recipient is not None), signer)
    if recipient is not None:
        image = _encrypt(image, spec, recipient, random)
    check_size(image, spec)
    return image


def _split(spec: ImageSpec, payload: bytes) -> tuple[bytes, bytes]:
    """What fills the header up to its size, and the firmware."""
    if spec.pad_header:
        pad, body = bytes([spec.erased_val]) * (spec.header_size - HEADER_SIZE), payload
    else:
        if any(payload[: spec.header_size]):
            raise ImageError(
                f"the firmware leaves no room for the header: its first {spec.header_size} bytes are not all zero "
                "(--pad-header puts the header before them)"
            )
        pad, body = bytes(spec.header_size - HEADER_SIZE), payload[spec.header_size :]
    if not body:
        raise ImageError("the firmware is empty: nothing would follow the header")
    if body.startswith(IMAGE_MAGIC.to_bytes(4, spec.endian)):
        raise ImageError("the firmware is an MCUboot image already: signing it again makes an image that cannot start")
    return pad, body


def _check_encryptable(spec: ImageSpec) -> None:
    if spec.header_size % 16:
        raise ImageError(
            f"an encrypted image cannot have a header of {spec.header_size} bytes: the bootloader decrypts in blocks "
            "of 16 and would install an image that does not boot (take a multiple of 16)"
        )


def _unsigned(spec: ImageSpec, pad: bytes, body: bytes, signer: Signer | None, *, encrypted: bool) -> Image:
    """The image without its unprotected TLVs, its payload plain."""
    hash_type = _hash_type(signer)
    protected = _protected_tlvs(spec, hash_type, signer.keyhash if signer else bytes(32))
    header = Header(
        spec.version,
        img_size=len(body),
        hdr_size=spec.header_size,
        protect_tlv_size=protected_size_bytes(protected),
        load_addr=spec.rom_fixed or spec.load_addr,
        flags=_flags(spec, encrypted=encrypted),
    )
    return Image(header, pad, body, protected, (), spec.endian)


def _hash_type(signer: Signer | None) -> TlvType:
    return signer.algorithm.hash_types[0] if signer else TlvType.SHA256


def _flags(spec: ImageSpec, *, encrypted: bool) -> Flag:
    flags = AES_FLAGS[KEY_SIZES[spec.encrypt_keylen]] if encrypted else Flag(0)
    for wanted, flag in (
        (spec.load_addr, Flag.RAM_LOAD),
        (spec.rom_fixed, Flag.ROM_FIXED),
        (spec.non_bootable, Flag.NON_BOOTABLE),
    ):
        flags |= flag if wanted else Flag(0)
    return flags


def _protected_tlvs(spec: ImageSpec, hash_type: TlvType, signer_id: bytes) -> tuple[Tlv, ...]:
    """The protected TLVs that a request asks for, in imgtool's order."""
    tlvs = []
    counter = spec.real_security_counter
    if counter is not None:
        tlvs.append(Tlv(TlvType.SEC_CNT, counter.to_bytes(4, spec.endian)))
    if spec.boot_record is not None:
        tlvs.append(Tlv(TlvType.BOOT_RECORD, _boot_record(spec, hash_type, signer_id)))
    tlvs += (Tlv(TlvType.DEPENDENCY, one.to_bytes(spec.endian)) for one in spec.dependencies)
    tlvs += spec.custom_tlvs
    if protected_size_bytes(tuple(tlvs)) > 0xFFFF:
        raise ImageError("the protected TLVs have more than 65535 bytes in all, which the header cannot say")
    return tuple(tlvs)


def _boot_record(spec: ImageSpec, hash_type: TlvType, signer_id: bytes) -> bytes:
    """A software component of PSA's attestation: type, version, signer, hash function, and last the hash's place."""
    import cbor2

    version = replace(spec.version, build=0)
    place = bytes(len(digest(hash_type, ())))  # the bootloader writes the hash here
    return cbor2.dumps({1: spec.boot_record, 4: str(version), 5: signer_id, 6: hash_type.name, 2: place})


def _sign(image: Image, signer: Signer | None) -> Image:
    """The image with its hash and signature. The key's hash stands before the signature: bootloaders need it so."""
    hash_type = _hash_type(signer)
    value = digest(hash_type, image.hashed_parts())
    tlvs = [Tlv(hash_type, value)]
    if signer is not None:
        tlvs.append(Tlv(TlvType.KEYHASH, signer.keyhash))
        tlvs.append(Tlv(signer.algorithm.signature_type, signer.sign_digest(value)))
    return replace(image, unprotected=tuple(tlvs))


def _encrypt(image: Image, spec: ImageSpec, recipient: Recipient, random: Random) -> Image:
    """The image with its payload encrypted (not with ``clear``) and the content key in a TLV, the last one."""
    content_key = random(KEY_SIZES[spec.encrypt_keylen])
    key_tlv = wrap_key(recipient, content_key, random)
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
        geometry = spec.geometry(encrypted_key_size(image, save_enctlv=spec.save_enctlv))
        limit = max_image_size_bytes(geometry)
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
    return pad_to_slot(image.to_bytes(), spec.padding())


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
