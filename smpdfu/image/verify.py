"""The one judge: would the bootloader take this image, and if not, why not, byte by byte.

Does what ``bootutil_img_validate`` of MCUboot's ``image_validate.c`` does in Zephyr's default configuration: the hash
over the decrypted image, the TLVs in flash order, a signature by a known key after that key's hash; of a compressed
image then the same for what comes out of it, as Nordic's fork does. Where the bootloader stops at the first fault, all
of them are found. What cannot be checked is refused, never waved through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from smpdfu.errors import FormatError, SignatureError, SigningError
from smpdfu.image.build import encrypted_key_size, too_large
from smpdfu.image.compress import LARGEST_FIRMWARE, original_header, original_parts
from smpdfu.image.encrypt import DecryptionKey, ctr, unwrap_key
from smpdfu.image.format import (
    COMPRESSED_FLAGS,
    ENCRYPTED_FLAGS,
    ENCRYPTION_KEY_TYPES,
    HASH_TYPES,
    SIGNATURE_TYPES,
    Flag,
    Image,
    Tlv,
    TlvType,
)
from smpdfu.image.hashes import HASHES, digest
from smpdfu.image.keys import Verifier
from smpdfu.image.linked import code_start, link_warning
from smpdfu.image.trailer import SlotGeometry, max_image_size_bytes
from smpdfu.image.trust import KEY_TYPES, Trust
from smpdfu.image.verdict import Code, Finding, Verdict

__all__ = ["Code", "Finding", "Role", "Verdict", "verify"]

Role = Literal["primary", "secondary"]

# What MCUboot lets stand unprotected (MCUBOOT_USE_TLV_ALLOW_LIST); 0x21 was ECDSA-P224.
_ALLOWED_UNPROTECTED = frozenset(
    (*KEY_TYPES, TlvType.SIG_PURE, 0x21, *HASH_TYPES, *SIGNATURE_TYPES, *ENCRYPTION_KEY_TYPES)
)
_PACKED_FLAGS = COMPRESSED_FLAGS | Flag.COMPRESSED_ARM_THUMB
_SIZES: dict[int, int] = {
    TlvType.SIG_PURE: 1,
    TlvType.DEPENDENCY: 12,
    TlvType.SEC_CNT: 4,
    TlvType.DECOMP_SIZE: 4,
    TlvType.COMP_DEC_SIZE: 4,
    TlvType.UUID_VID: 16,
    TlvType.UUID_CID: 16,
}


def verify(
    image: Image,
    keys: Sequence[Verifier] = (),
    *,
    enc_key: DecryptionKey | None = None,
    slot: SlotGeometry | None = None,
    slot_address: int | None = None,
    role: Role | None = None,
) -> Verdict:
    """Judge an image by the keys that the bootloader trusts; never raises for a bad image.

    Without keys only the hash is checked. ``enc_key`` decrypts; without it an encrypted image is refused. With ``slot``
    the image must fit, with ``slot_address`` the firmware is compared with where it will lie. In a primary slot nothing
    is decrypted, in a secondary slot everything that is flagged so; without a ``role`` either will do.
    """
    case = _Case(image, Trust(image, tuple(keys)))
    case.check_header()
    case.check_tlvs()
    if slot is not None:
        case.check_size(slot)
    case.plain = case.decrypt(enc_key, role)
    case.check_hash()
    key_index = case.check_signatures() if keys else None
    if not keys:
        case.note_hash_only()
    if image.header.flags & _PACKED_FLAGS:
        case.check_compressed(slot)
    elif slot_address is not None and case.plain is not None:
        case.check_vectors(slot_address)
    return Verdict(tuple(case.refusals), tuple(case.warnings), case.plain, key_index, bool(keys))


@dataclass(slots=True)
class _Case:
    """An image before the judge, and what has been found."""

    image: Image
    trust: Trust
    refusals: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    plain: Image | None = None

    def refuse(self, code: Code, offset: int | None, message: str) -> None:
        self.refusals.append(Finding(code, offset, message))

    def warn(self, code: Code, offset: int | None, message: str) -> None:
        self.warnings.append(Finding(code, offset, message))

    def tlvs(self, *kinds: int) -> Iterator[tuple[int, Tlv]]:
        """TLVs of these types with their offsets, in flash order."""
        return ((offset, tlv) for offset, _, tlv in self.image.tlv_offsets() if tlv.type in kinds)

    # --- what needs no key ---

    def check_header(self) -> None:
        header, flags = self.image.header, self.image.header.flags
        if flags & ENCRYPTED_FLAGS == ENCRYPTED_FLAGS:
            self.refuse(Code.FLAGS, 16, "the header says that the image is encrypted with AES-128 and with AES-256")
        if flags & Flag.NON_BOOTABLE:
            self.refuse(Code.NON_BOOTABLE, 16, "the header says that the image is not to be booted")
        if self.image.encrypted and header.hdr_size % 16:
            self.refuse(
                Code.ENCRYPTED_HEADER,
                8,
                f"the image is encrypted and its header has {header.hdr_size} bytes, which is no multiple of 16: the "
                "bootloader would install it wrongly decrypted",
            )
        if flags & _PACKED_FLAGS:
            text = "the image is compressed: only a bootloader that is built to decompress (overwrite-only) takes it"
            self.warn(Code.COMPRESSED, 16, text)

    def check_tlvs(self) -> None:
        for offset, protected, tlv in self.image.tlv_offsets():
            if not protected and tlv.type not in _ALLOWED_UNPROTECTED:
                self.refuse(Code.TLV_NOT_ALLOWED, offset, f"a TLV of type {tlv.name} must not stand unprotected")
            size = _SIZES.get(tlv.type, len(tlv.data))
            if len(tlv.data) != size:
                self.refuse(Code.TLV_SIZE, offset, f"a {tlv.name} TLV has {size} bytes, this one {len(tlv.data)}")
            elif tlv.type == TlvType.SIG_PURE and tlv.data != b"\x01":
                self.refuse(Code.SIGNATURE, offset, f"the SIG_PURE TLV says {tlv.data.hex()}; bootloaders want 01")
        self._check_mixture()

    def _check_mixture(self) -> None:
        """Bootloaders of 2026 allow one type of hash, of key and of signature: those that they were built for."""
        for kinds, what in ((HASH_TYPES, "hashes"), (KEY_TYPES, "keys"), (SIGNATURE_TYPES, "signatures")):
            found = {tlv.type: (offset, tlv.name) for offset, tlv in self.tlvs(*kinds)}
            if len(found) > 1:
                names = " and ".join(name for _, name in found.values())
                text = f"the image has {what} of several types ({names}), of which newer bootloaders take one"
                self.warn(Code.MIXED_SIGNATURES, next(reversed(found.values()))[0], text)

    def check_size(self, slot: SlotGeometry) -> None:
        needed = max(slot.encrypted_key_size, encrypted_key_size(self.image))
        try:
            limit = max_image_size_bytes(replace(slot, encrypted_key_size=needed))
        except ValueError:  # the slot is smaller than its trailer
            limit = 0
        if self.image.size_bytes > limit:
            self.refuse(Code.TOO_LARGE, limit, str(too_large(self.image.size_bytes, limit, slot.size_bytes)))

    def check_vectors(self, slot_address: int) -> None:
        assert self.plain is not None
        warning = link_warning(self.plain.payload, code_start(slot_address, self.image.header.hdr_size))
        if warning is not None:
            self.warn(Code.RESET_VECTOR, self.image.header.hdr_size + 4, warning)

    # --- decryption ---

    def decrypt(self, enc_key: DecryptionKey | None, role: Role | None) -> Image | None:
        """The image as its hash covers it; None when that cannot be known."""
        if not self.image.encrypted or role == "primary":
            return self.image
        if role is None and self._hash_fits(self.image):
            text = "the payload of this encrypted image is plain: it is good for the primary slot only"
            self.warn(Code.CLEAR, self.image.header.hdr_size, text)
            return self.image
        offset, tlv = next(self.tlvs(*ENCRYPTION_KEY_TYPES), (self.image.unprotected_offset, None))
        if tlv is None:
            self.refuse(Code.ENCRYPTION_KEY, offset, "the image is encrypted and has no TLV with the content key")
            return None
        if enc_key is None:
            self.refuse(Code.ENCRYPTED, offset, "the image is encrypted, and no decryption key was given to check it")
            return None
        try:
            content_key = unwrap_key(tlv, enc_key, encrypted_key_size(self.image))
        except (SigningError, FormatError) as error:
            self.refuse(Code.ENCRYPTION_KEY, offset, str(error))
            return None
        return replace(self.image, payload=ctr(self.image.payload, content_key))

    def _hash_fits(self, image: Image) -> bool:
        kind, claimed = self.trust.hash_type, self.trust.claimed_hash
        return kind is not None and digest(kind, image.hashed_parts()) == claimed

    # --- hash and signature ---

    def check_hash(self) -> None:
        kind = self.trust.hash_type
        if kind is None:
            self._refuse_without_hash()
            return
        if self.plain is None:
            return  # refused already
        value = digest(kind, self.plain.hashed_parts())
        for offset, tlv in self.tlvs(kind):
            if tlv.data != value:
                self.refuse(Code.HASH, offset, f"the image was changed or damaged: its {kind.name} is another")

    def _refuse_without_hash(self) -> None:
        firsts = (self.trust.hash_types(key)[:1] for key in self.trust.keys)
        wanted = sorted({kind.name for first in firsts for kind in first})
        found = [tlv.name for _, tlv in self.tlvs(*HASH_TYPES)]
        text = f"the image has no {' or '.join(wanted or ['SHA'])} TLV, so nothing tells whether it is whole"
        text += f" (it has {', '.join(found)}, which goes with other kinds of keys)" if found else ""
        if self.trust.keys and not wanted:
            text = "the image has a pure signature, and none of the keys given makes such"
        self.refuse(Code.NO_HASH, self.image.unprotected_offset, text)

    def note_hash_only(self) -> None:
        offset, tlv = next(self.tlvs(*SIGNATURE_TYPES), (None, None))
        text = "the image is not signed" if tlv is None else "the signature was not checked: no key was given"
        self.warn(Code.HASH_ONLY, offset, text)

    def check_signatures(self) -> int | None:
        """Look for a signature after a known key's hash. Of several, MCUboot goes by the last one."""
        kind = self.trust.hash_type
        if kind is None:
            return None  # refused already
        longest = HASHES[kind]().digest_size
        for offset, tlv in self.tlvs(TlvType.KEYHASH):
            if len(tlv.data) > longest:
                text = f"the KEYHASH TLV has {len(tlv.data)} bytes: bootloaders with {kind.name} stop at it"
                self.refuse(Code.TLV_SIZE, offset, text)
        outcomes = list(self.trust.outcomes(self.plain))
        if not outcomes:
            self._refuse_unsigned()
            return None
        *others, last = outcomes
        for other in others:
            if other.error:
                self.warn(Code.OTHER_SIGNATURE, other.offset, f"{other.error}, but a later one decides")
        if last.error:
            self.refuse(Code.SIGNATURE, last.offset, last.error)
            return None
        if self.trust.pure and self.image.encrypted:
            text = "the signature is a pure one, which bootloaders check over the flash as it is, and that is encrypted"
            self.warn(Code.PURE_ENCRYPTED, last.offset, text)
        return last.key_index

    def _refuse_unsigned(self) -> None:
        offset, signature = next(self.tlvs(*SIGNATURE_TYPES), (self.image.unprotected_offset, None))
        if signature is None:
            self.refuse(Code.NOT_SIGNED, offset, "the image is not signed")
            return
        hashes = [tlv for _, tlv in self.tlvs(*KEY_TYPES)]
        if any(self.trust.key_index(tlv) is not None for tlv in hashes):
            text = "the signature does not stand behind the hash of its key, where the bootloader looks for it"
        else:
            text = "the image is signed by another key than those given"
            text += f" (it names {', '.join(tlv.data.hex()[:16] for tlv in hashes)}...)" if hashes else ""
        self.refuse(Code.UNKNOWN_KEY, offset, text)

    # --- what comes out of a compressed image ---

    def check_compressed(self, slot: SlotGeometry | None) -> None:
        """Decompress as the bootloader does, when nothing else speaks against the image; hash and signature inside."""
        kind = self.trust.hash_type
        if self.refusals or self.plain is None or kind is None:
            return
        try:
            value = self._decompressed_hash(kind, slot)
        except FormatError as error:
            self.refuse(Code.DECOMPRESSION, self.image.header.hdr_size, str(error))
            return
        sha = self.protected(TlvType.DECOMP_SHA)
        for offset, tlv in sha:
            if tlv.data != value:
                self.refuse(Code.DECOMPRESSION, offset, self._other_inside())
        if not sha:
            text = "the image is compressed and does not say which hash comes out of it (DECOMP_SHA)"
            self.refuse(Code.DECOMPRESSION, self.image.protected_offset, text)
        if self.trust.keys and not self.refusals:
            self._check_inner_signature(value)

    def protected(self, kind: TlvType) -> list[tuple[int, Tlv]]:
        """The protected TLVs of a type, with their offsets."""
        found = self.image.tlv_offsets()
        return [(offset, tlv) for offset, is_protected, tlv in found if is_protected and tlv.type == kind]

    def _decompressed_hash(self, kind: TlvType, slot: SlotGeometry | None) -> bytes:
        """The hash of the image as it was before compression; FormatError when nothing good comes out."""
        assert self.plain is not None
        sizes = self.protected(TlvType.DECOMP_SIZE)
        if not sizes:
            raise FormatError("the image is compressed and does not say what size it had before (DECOMP_SIZE)")
        size = int.from_bytes(sizes[0][1].data, self.image.endian)
        header, _ = original_header(self.image, size)
        needed = header.hdr_size + size + header.protect_tlv_size
        limit = slot.size_bytes - 1 if slot is not None else LARGEST_FIRMWARE
        if needed > limit:
            raise FormatError(f"decompressed, the image needs {needed} bytes, and at most {limit} are there")
        return digest(kind, original_parts(self.plain, size))

    def _other_inside(self) -> str:
        text = "what comes out of the compressed image has another hash than the image says"
        if any(byte != 0xFF for byte in self.image.header_pad):
            text += ": its header is not filled as erased flash is, and so the bootloader fills it (--pad-header)"
        return text

    def _check_inner_signature(self, value: bytes) -> None:
        index, found = self.trust.last_key(), self.protected(TlvType.DECOMP_SIGNATURE)
        if not found:
            text = "the image is compressed and has no signature of what comes out of it (DECOMP_SIGNATURE)"
            self.refuse(Code.DECOMPRESSION, self.image.protected_offset, text)
        for offset, tlv in found:
            if index is None:
                text = "the last key named is not known, and by that one the bootloader checks what comes out"
                self.refuse(Code.DECOMPRESSION, offset, text)
                continue
            try:
                self.trust.keys[index].verify_digest(tlv.data, value)
            except SignatureError as error:
                self.refuse(Code.DECOMPRESSION, offset, f"of what comes out of the compressed image, {error}")
