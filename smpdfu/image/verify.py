"""The one judge: would the bootloader take this image, and if not, why not, byte by byte.

Does what ``bootutil_img_validate`` of MCUboot's ``image_validate.c`` does in Zephyr's default configuration: the hash
over the decrypted image, the TLVs in flash order, a signature by a known key after that key's hash. Where the
bootloader stops at the first fault, all of them are found. What cannot be checked is refused, never waved through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from smpdfu.errors import FormatError, SignatureError, SigningError
from smpdfu.image.build import encrypted_key_size, too_large
from smpdfu.image.encrypt import ctr, unwrap_key
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
from smpdfu.image.hashes import digest
from smpdfu.image.keys import PrivateKey, Verifier
from smpdfu.image.linked import link_warning
from smpdfu.image.trailer import SlotGeometry, max_image_size_bytes

Role = Literal["primary", "secondary"]

# What MCUboot lets stand unprotected (MCUBOOT_USE_TLV_ALLOW_LIST); 0x21 was ECDSA-P224.
_ALLOWED_UNPROTECTED = frozenset(
    (TlvType.KEYHASH, TlvType.PUBKEY, TlvType.SIG_PURE, 0x21, *HASH_TYPES, *SIGNATURE_TYPES, *ENCRYPTION_KEY_TYPES)
)
_SIZES: dict[int, int] = {TlvType.DEPENDENCY: 12, TlvType.SEC_CNT: 4}


class Code(StrEnum):
    """What a finding is about; stable, so that a caller can tell one from another."""

    # refusals
    HASH = "hash"
    NO_HASH = "no-hash"
    NOT_SIGNED = "not-signed"
    UNKNOWN_KEY = "unknown-key"
    SIGNATURE = "signature"
    ENCRYPTED = "encrypted"
    ENCRYPTION_KEY = "encryption-key"
    ENCRYPTED_HEADER = "encrypted-header"
    FLAGS = "flags"
    NON_BOOTABLE = "non-bootable"
    TLV_NOT_ALLOWED = "tlv-not-allowed"
    TLV_SIZE = "tlv-size"
    TOO_LARGE = "too-large"
    # warnings
    HASH_ONLY = "hash-only"
    CLEAR = "clear"
    COMPRESSED = "compressed"
    OTHER_SIGNATURE = "other-signature"
    RESET_VECTOR = "reset-vector"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact: ``code`` is a ``Code``, ``offset`` counts bytes from the image's start (None: the image as a whole)."""

    code: str
    offset: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge says. Accepted is an image without refusals.

    ``signature_checked`` is False where no keys were given: then an accepted image has the right hash, no more.
    ``plain`` is the image with its payload decrypted; None when it could not be. ``key_index`` is the place in
    ``keys`` of the key whose signature was right.
    """

    refusals: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    plain: Image | None = field(repr=False)
    key_index: int | None
    signature_checked: bool

    @property
    def accepted(self) -> bool:
        """True if nothing speaks against the image."""
        return not self.refusals


def verify(
    image: Image,
    keys: Sequence[Verifier] = (),
    *,
    enc_key: PrivateKey | None = None,
    slot: SlotGeometry | None = None,
    slot_address: int | None = None,
    role: Role | None = None,
) -> Verdict:
    """Judge an image by the keys that the bootloader trusts; never raises for a bad image.

    Without keys only the hash is checked. ``enc_key`` decrypts; without it an encrypted image is refused. With ``slot``
    the image must fit, with ``slot_address`` the firmware is compared with where it will lie. In a primary slot nothing
    is decrypted, in a secondary slot everything that is flagged so; without a ``role`` either will do.
    """
    case = _Case(image, tuple(keys))
    case.check_header()
    case.check_tlvs()
    if slot is not None:
        case.check_size(slot)
    case.plain = case.decrypt(enc_key, role)
    case.check_hash()
    key_index = case.check_signatures() if keys else None
    if not keys:
        case.note_hash_only()
    if slot_address is not None and case.plain is not None:
        case.check_vectors(slot_address)
    return Verdict(tuple(case.refusals), tuple(case.warnings), case.plain, key_index, bool(keys))


@dataclass(slots=True)
class _Case:
    """An image before the judge, and what has been found."""

    image: Image
    keys: tuple[Verifier, ...]
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
        if flags & COMPRESSED_FLAGS:
            self.warn(Code.COMPRESSED, 16, "the image is compressed; what comes out of it was not checked")

    def check_tlvs(self) -> None:
        for offset, protected, tlv in self.image.tlv_offsets():
            if not protected and tlv.type not in _ALLOWED_UNPROTECTED:
                self.refuse(Code.TLV_NOT_ALLOWED, offset, f"a TLV of type {tlv.name} must not stand unprotected")
            size = _SIZES.get(tlv.type, len(tlv.data))
            if len(tlv.data) != size:
                self.refuse(Code.TLV_SIZE, offset, f"a {tlv.name} TLV has {size} bytes, this one {len(tlv.data)}")

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
        warning = link_warning(self.plain.payload, slot_address + self.image.header.hdr_size)
        if warning is not None:
            self.warn(Code.RESET_VECTOR, self.image.header.hdr_size + 4, warning)

    # --- decryption ---

    def decrypt(self, enc_key: PrivateKey | None, role: Role | None) -> Image | None:
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
        kind, claimed = self.hash_type(), self.claimed_hash()
        return kind is not None and digest(kind, image.hashed_parts()) == claimed

    # --- hash and signature ---

    def hash_type(self) -> TlvType | None:
        """The type of the SHA TLV that counts: the first of those that the keys go with."""
        wanted = {kind for key in self.keys for kind in key.algorithm.hash_types} or set(HASH_TYPES)
        return next((TlvType(tlv.type) for _, tlv in self.tlvs(*wanted)), None)

    def claimed_hash(self) -> bytes | None:
        """What the image says that its hash is."""
        kind = self.hash_type()
        return None if kind is None else next(tlv.data for _, tlv in self.tlvs(kind))

    def check_hash(self) -> None:
        kind = self.hash_type()
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
        wanted = sorted({key.algorithm.hash_types[0].name for key in self.keys}) or ["SHA"]
        found = [tlv.name for _, tlv in self.tlvs(*HASH_TYPES)]
        text = f"the image has no {' or '.join(wanted)} TLV, so nothing tells whether it is whole"
        text += f" (it has {', '.join(found)}, which goes with other kinds of keys)" if found else ""
        self.refuse(Code.NO_HASH, self.image.unprotected_offset, text)

    def note_hash_only(self) -> None:
        offset, tlv = next(self.tlvs(*SIGNATURE_TYPES), (None, None))
        text = "the image is not signed" if tlv is None else "the signature was not checked: no key was given"
        self.warn(Code.HASH_ONLY, offset, text)

    def check_signatures(self) -> int | None:
        """Look for a signature after a known key's hash. Of several, MCUboot goes by the last one."""
        value = self.claimed_hash()
        if value is None:
            return None  # refused already
        outcomes = list(self._signatures(value))
        if not outcomes:
            self._refuse_unsigned()
            return None
        *others, (key_index, offset, error) = outcomes
        for _, other_offset, other_error in others:
            if other_error:
                self.warn(Code.OTHER_SIGNATURE, other_offset, f"{other_error}, but a later one decides")
        if error:
            self.refuse(Code.SIGNATURE, offset, error)
            return None
        return key_index

    def _signatures(self, value: bytes) -> Iterator[tuple[int, int, str]]:
        """(place of the key in ``keys``, offset, what is wrong) of each signature of this hash by a known key."""
        key_index = None
        for offset, _, tlv in self.image.tlv_offsets():
            if tlv.type in (TlvType.KEYHASH, TlvType.PUBKEY):
                key_index = self._known_key(tlv)
            elif key_index is not None and tlv.type == self.keys[key_index].algorithm.signature_type:
                try:
                    self.keys[key_index].verify_digest(tlv.data, value)
                    yield key_index, offset, ""
                except SignatureError as error:
                    yield key_index, offset, str(error)
                key_index = None

    def _known_key(self, tlv: Tlv) -> int | None:
        kind = self.hash_type()
        for index, key in enumerate(self.keys):
            if kind not in key.algorithm.hash_types:
                continue
            known = key.public_bytes if tlv.type == TlvType.PUBKEY else digest(kind, (key.public_bytes,))
            if tlv.data == known:
                return index
        return None

    def _refuse_unsigned(self) -> None:
        offset, signature = next(self.tlvs(*SIGNATURE_TYPES), (self.image.unprotected_offset, None))
        if signature is None:
            self.refuse(Code.NOT_SIGNED, offset, "the image is not signed")
            return
        hashes = [tlv for _, tlv in self.tlvs(TlvType.KEYHASH, TlvType.PUBKEY)]
        if any(self._known_key(tlv) is not None for tlv in hashes):
            text = "the signature does not stand behind the hash of its key, where the bootloader looks for it"
        else:
            text = "the image is signed by another key than those given"
            text += f" (it names {', '.join(tlv.data.hex()[:16] for tlv in hashes)}...)" if hashes else ""
        self.refuse(Code.UNKNOWN_KEY, offset, text)
