"""The one judge: would the bootloader take this image, and if not, why not, byte by byte.

Does what ``bootutil_img_validate`` of MCUboot's ``image_validate.c`` does in Zephyr's default configuration: the hash
over the decrypted image, the TLVs in flash order, a signature by a known key after that key's hash; of a compressed
image then the same for what comes out of it, as Nordic's fork does. Where the bootloader stops at the first fault, all
of them are found. What cannot be checked without the decryption key is named as such, never waved through; what some
builds take and others refuse is a warning, unless the build is known (``LoaderBuild``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from smpdfu.errors import FormatError, SignatureError, SigningError
from smpdfu.image.format import (
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
from smpdfu.image.loader_build import KEY_TYPES, UNKNOWN_BUILD, LoaderBuild
from smpdfu.image.nsib.trusted_keys import NO_NSIB_KEYS, NsibKeys
from smpdfu.image.signing.build import encrypted_key_size, too_large
from smpdfu.image.tlv import wrapped_key_size
from smpdfu.image.trailer import SlotGeometry, max_image_size_bytes
from smpdfu.image.vector_table import code_start, link_warning
from smpdfu.image.verification.seal_check import with_seal
from smpdfu.image.verification.tlv_checks import PACKED_FLAGS, tlv_refusals, tlv_warnings
from smpdfu.image.verification.trust import Trust, readings
from smpdfu.image.verification.verdict import Code, Finding, Verdict

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import Verifier
    from smpdfu.image.signing.encrypt import DecryptionKey

__all__ = ["Code", "Finding", "Role", "Verdict", "verify"]

Role = Literal["primary", "secondary"]


def verify(
    image: Image,
    keys: Sequence[Verifier] = (),
    *,
    enc_key: DecryptionKey | None = None,
    slot: SlotGeometry | None = None,
    slot_address: int | None = None,
    role: Role | None = None,
    build: LoaderBuild = UNKNOWN_BUILD,
    nsib: NsibKeys = NO_NSIB_KEYS,
) -> Verdict:
    """Judge an image by the keys that the bootloader trusts; never raises for a bad image.

    Without keys, it checks only the hash. ``enc_key`` decrypts; without it, the payload of an encrypted image is not
    checked. With ``slot``, the image must fit. With ``slot_address``, the firmware must be linked for that slot. In a
    primary slot nothing is decrypted, in a secondary slot everything with the flag; without a ``role``, both are
    accepted. ``build`` is how the bootloader was built. With ``nsib``, b0n must accept the seal of a network core's
    image, and b0 that of MCUboot itself.
    """
    verdict = _verdict(image, _Options(tuple(keys), enc_key, slot, slot_address, role, build))
    return with_seal(verdict, image, nsib)[0] if nsib.net or nsib.b0 else verdict


def _verdict(image: Image, options: _Options) -> Verdict:
    first, *others = (_judged(image, options, pure=pure) for pure in readings(image))
    verdict = first if first.accepted is not False else next((one for one in others if not one.refusals), first)
    if others and verdict is first:
        warning = Finding(Code.SIGNATURE_FORM, None, "bootloaders that are built for pure signatures refuse the image")
        return replace(verdict, warnings=(*verdict.warnings, warning)) if verdict.accepted else verdict
    return verdict


@dataclass(frozen=True, slots=True)
class _Options:
    """What ``verify`` was asked for."""

    keys: tuple[Verifier, ...]
    enc_key: DecryptionKey | None
    slot: SlotGeometry | None
    slot_address: int | None
    role: Role | None
    build: LoaderBuild


def _judged(image: Image, options: _Options, *, pure: bool) -> Verdict:
    """The verdict of a bootloader that checks pure signatures, or that checks hashes."""
    keys, slot, slot_address = options.keys, options.slot, options.slot_address
    case = _Case(image, Trust(image, keys, options.build, pure), options.build, options.role)
    case.check_header()
    case.check_tlvs()
    if slot is not None:
        case.check_size(slot)
    case.plain = case.decrypt(options.enc_key)
    case.check_hash()
    key_index = case.check_signatures() if keys else None
    if not keys:
        case.note_hash_only()
    if image.header.flags & PACKED_FLAGS:
        case.check_compressed(slot)
    elif slot_address is not None and case.plain is not None:
        case.check_vectors(slot_address)
    refusals, warnings, unchecked = tuple(case.refusals), tuple(case.warnings), tuple(case.unchecked)
    return Verdict(refusals, warnings, case.plain, key_index, bool(keys), unchecked)


@dataclass(slots=True)
class _Case:
    """An image before the judge, and what has been found."""

    image: Image
    trust: Trust
    build: LoaderBuild
    role: Role | None
    refusals: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    unchecked: list[Finding] = field(default_factory=list)
    plain: Image | None = None

    def refuse(self, code: Code, offset: int | None, message: str, **facts: str) -> None:
        self.refusals.append(Finding(code, offset, message, facts))

    def warn(self, code: Code, offset: int | None, message: str, **facts: str) -> None:
        self.warnings.append(Finding(code, offset, message, facts))

    def leave(self, code: Code, offset: int | None, message: str) -> None:
        """Something that nobody can check without the decryption key."""
        self.unchecked.append(Finding(code, offset, message))

    def tlvs(self, *kinds: int) -> Iterator[tuple[int, Tlv]]:
        """TLVs of these types with their offsets, in flash order."""
        return ((offset, tlv) for offset, _, tlv in self.image.tlv_offsets() if tlv.type in kinds)

    # --- what needs no key ---

    def check_header(self) -> None:
        header, flags = self.image.header, self.image.header.flags
        if self.image.endian == "big":
            text = "the image is big-endian: little-endian bootloaders, such as those on Arm, do not recognize it"
            self.warn(Code.BYTE_ORDER, 0, text)
        if flags & ENCRYPTED_FLAGS == ENCRYPTED_FLAGS:
            self.refuse(Code.FLAGS, 16, "the header says that the image is encrypted with AES-128 and with AES-256")
        if self.image.encrypted and self.build.encryption is False:
            text = "the header says that the image is encrypted: a bootloader without encryption does not accept it"
            self.refuse(Code.ENCRYPTED, 16, text)
        if flags & Flag.NON_BOOTABLE:
            self.refuse(Code.NON_BOOTABLE, 16, "the header marks the image as non-bootable")
        if self.image.encrypted and header.hdr_size % 16:
            self.refuse(
                Code.ENCRYPTED_HEADER,
                8,
                f"the image is encrypted and its header has {header.hdr_size} bytes, not a multiple of 16: the "
                "bootloader would decrypt it wrongly and install the result",
            )
        if flags & PACKED_FLAGS:
            text = "the image is compressed: only a bootloader that is built to decompress (overwrite-only) accepts it"
            self.warn(Code.COMPRESSED, 16, text)

    def check_tlvs(self) -> None:
        self.refusals += tlv_refusals(self.image, self.build, pure=self.trust.pure)
        self.warnings += tlv_warnings(self.image, self.build)

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

    def decrypt(self, enc_key: DecryptionKey | None) -> Image | None:
        """The image as its hash covers it; None when that cannot be known."""
        if not self.image.encrypted or self.role == "primary":
            return self.image
        if self.role is None and self._hash_fits(self.image):
            text = (
                "the payload of this encrypted image is not encrypted: a bootloader accepts it only in the primary slot"
            )
            self.warn(Code.CLEAR, self.image.header.hdr_size, text)
            return self.image
        found = [one for one in self.tlvs(*ENCRYPTION_KEY_TYPES) if self.build.allows_unprotected(one[1].type)]
        if not found:
            text = "the image is encrypted, but has no TLV with the content key"
            self.refuse(Code.ENCRYPTION_KEY, self.image.unprotected_offset, text)
            return None
        if len({tlv.type for _, tlv in found}) > 1:
            text = (
                f"the image has several content keys ({', '.join(tlv.name for _, tlv in found)}): a bootloader takes "
            )
            self.warn(Code.SEVERAL_KEYS, found[1][0], f"{text}the first of the one type that it was built for")
        if enc_key is None:
            self._leave_encrypted(found)
            return None
        from smpdfu.image.signing.encrypt import ctr, opens, unwrap_key  # here: it loads cryptography

        offset, tlv = next((one for one in found if opens(enc_key, one[1])), found[0])
        try:
            content_key = unwrap_key(tlv, enc_key, encrypted_key_size(self.image))
        except (SigningError, FormatError) as error:
            self.refuse(Code.ENCRYPTION_KEY, offset, str(error))
            return None
        return replace(self.image, payload=ctr(self.image.payload, content_key))

    def _leave_encrypted(self, found: list[tuple[int, Tlv]]) -> None:
        """Without the decryption key: the length of a content key's TLV can be checked, and the payload cannot."""
        size = encrypted_key_size(self.image)
        both = self.image.header.flags & ENCRYPTED_FLAGS == ENCRYPTED_FLAGS  # refused as such: no length would be right
        if not both and all(len(tlv.data) != wrapped_key_size(tlv.type, size) for _, tlv in found):
            offset, tlv = found[0]
            text = f"no {tlv.name} TLV with a key for AES-{size * 8} has {len(tlv.data)} bytes"
            self.refuse(Code.ENCRYPTION_KEY, offset, text)
            return
        text = "the payload is encrypted and no decryption key was given, so its hash was not checked"
        self.leave(Code.ENCRYPTED, found[0][0], text)

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
        found = list(self.tlvs(kind))
        for offset, tlv in found:
            if tlv.data == value:
                continue
            if self.trust.pure and self.trust.keys:
                text = f"the {kind.name} TLV does not match the image. Bootloaders for pure signatures do not check it"
                self.warn(Code.HASH, offset, f"{text}, but SMP lists the image by it")
            else:
                self.refuse(Code.HASH, offset, f"the image was changed or damaged: its {kind.name} does not match")
        if not found:
            text = f"the image has no {kind.name} TLV: a pure signature does not need it, but SMP cannot name the image"
            self.warn(Code.NO_HASH, self.image.unprotected_offset, text)

    def _refuse_without_hash(self) -> None:
        firsts = (self.trust.hash_types(key)[:1] for key in self.trust.keys)
        wanted = sorted({kind.name for first in firsts for kind in first})
        found = [tlv.name for _, tlv in self.tlvs(*HASH_TYPES)]
        text = f"the image has no {' or '.join(wanted or ['SHA'])} TLV, so nothing shows whether it is undamaged"
        text += f" (it has {', '.join(found)}, which belongs to other kinds of keys)" if found else ""
        if self.trust.keys and not wanted:
            text = "the image has a pure signature, and none of the given keys makes pure signatures"
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
        self._check_keyhashes(kind)
        outcomes = list(self.trust.outcomes(self.plain))
        if not outcomes:
            self._refuse_unsigned()
            return None
        last = next((one for one in outcomes if one.stops), outcomes[-1])
        for other in outcomes[: outcomes.index(last)]:
            if other.error:
                self.warn(Code.OTHER_SIGNATURE, other.offset, f"{other.error}, but a later one decides")
        if last.error:
            self.refuse(Code.SIGNATURE, last.offset, last.error)
            return None
        if last.some:
            self.warn(Code.SIGNATURE_FORM, last.offset, last.some, form="padded" if last.padded else "other")
        if self.trust.pure and self.image.encrypted:
            text = "bootloaders check a pure signature over the flash as it is, and the flash holds the encrypted image"
            add = self.refuse if self.role == "secondary" else self.warn
            add(Code.PURE_ENCRYPTED, last.offset, text)
        if last.unknown:
            text = "the pure signature of an encrypted image cannot be checked without decryption"
            self.leave(Code.SIGNATURE, last.offset, text)
            return None
        return last.key_index

    def _check_keyhashes(self, kind: TlvType) -> None:
        size = HASHES[kind]().digest_size
        longest = self.trust.longest_key if self.build.hw_key else size
        for offset, tlv in self.tlvs(self.build.key_type):
            text = f"the {tlv.name} TLV has {len(tlv.data)} bytes"
            if len(tlv.data) > longest:
                self.refuse(Code.TLV_SIZE, offset, f"{text}: bootloaders with {kind.name} read {longest} at most")
            elif not self.build.hw_key and len(tlv.data) < size:
                text += f" of {size}: many bootloaders use the first key that fits these bytes, some refuse the image"
                self.warn(Code.TLV_SIZE, offset, text)

    def _refuse_unsigned(self) -> None:
        offset, signature = next(self.tlvs(*SIGNATURE_TYPES), (self.image.unprotected_offset, None))
        if signature is None:
            self.refuse(Code.NOT_SIGNED, offset, "the image is not signed")
            return
        hashes = [tlv for _, tlv in self.tlvs(*KEY_TYPES)]
        if hashes and all(tlv.type != self.build.key_type for tlv in hashes):
            wanted = self.build.key_type
            self.refuse(Code.KEY_FORMAT, offset, _OTHER_FORMAT[wanted], wanted=wanted.name)
            return
        if any(self.trust.key_index(tlv) is not None for tlv in hashes):
            text = "the signature does not follow the hash of its key, where the bootloader looks for it"
        else:
            text = "the image is signed with a key that was not given"
            text += f" (it names {', '.join(tlv.data.hex()[:16] for tlv in hashes)}...)" if hashes else ""
        self.refuse(Code.UNKNOWN_KEY, offset, text)

    # --- what comes out of a compressed image ---

    def check_compressed(self, slot: SlotGeometry | None) -> None:
        """Decompress as the bootloader does, when nothing else speaks against the image; hash and signature inside."""
        kind = self.trust.hash_type
        if self.refusals or self.plain is None or kind is None:
            return
        from smpdfu.image.signing.compress import LARGEST_FIRMWARE, original_hash  # here: few images are compressed

        try:
            value = original_hash(self.plain, kind, LARGEST_FIRMWARE if slot is None else slot.size_bytes - 1)
        except FormatError as error:
            self.refuse(Code.DECOMPRESSION, self.image.header.hdr_size, str(error))
            return
        sha = self.protected(TlvType.DECOMP_SHA)
        for offset, tlv in sha:
            if tlv.data != value:
                self._refuse_other_inside(offset)
        if not sha:
            text = "the image is compressed and does not give the hash of the decompressed image (DECOMP_SHA)"
            self.refuse(Code.DECOMPRESSION, self.image.protected_offset, text)
        if self.trust.keys and not self.refusals:
            self._check_inner_signature(value)

    def protected(self, kind: TlvType) -> list[tuple[int, Tlv]]:
        """The protected TLVs of a type, with their offsets."""
        found = self.image.tlv_offsets()
        return [(offset, tlv) for offset, is_protected, tlv in found if is_protected and tlv.type == kind]

    def _refuse_other_inside(self, offset: int) -> None:
        text = "the decompressed image does not have the hash that the image gives for it"
        if any(byte != 0xFF for byte in self.image.header_pad):
            text += ": its header is not filled with 0xff as erased flash is, and the bootloader fills it so"
            self.refuse(Code.DECOMPRESSION, offset, text, header="not erased")
        else:
            self.refuse(Code.DECOMPRESSION, offset, text)

    def _check_inner_signature(self, value: bytes) -> None:
        index = self.trust.last_key()
        found = self.protected(TlvType.DECOMP_SIGNATURE)
        if not found:
            text = "the image is compressed and has no signature of the decompressed image (DECOMP_SIGNATURE)"
            self.refuse(Code.DECOMPRESSION, self.image.protected_offset, text)
        for offset, tlv in found:
            if index is None:
                text = (
                    "the last key that the image names is unknown, and the decompressed image is checked with that key"
                )
                self.refuse(Code.DECOMPRESSION, offset, text)
                continue
            try:
                self.trust.keys[index].verify_digest(tlv.data, value)
            except SignatureError as error:
                self.refuse(Code.DECOMPRESSION, offset, f"decompressed image: {error}")


_OTHER_FORMAT = {
    TlvType.KEYHASH: "the image names its key in full (PUBKEY): only a bootloader built with MCUBOOT_HW_KEY finds it",
    TlvType.PUBKEY: "the image names its key by a hash (KEYHASH): a bootloader built with MCUBOOT_HW_KEY wants the "
    "whole key",
}
