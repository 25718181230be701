"""The keys that a bootloader trusts, before one image: which of its signatures count, and what they are over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from smpdfu.errors import SignatureError
from smpdfu.image.format import HASH_TYPES, Image, Tlv, TlvType
from smpdfu.image.hashes import HASHES, digest
from smpdfu.image.loader_build import UNKNOWN_BUILD, LoaderBuild
from smpdfu.image.signing import ecdsa_form

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import Verifier

# The most bytes that a bootloader reads of an ECDSA signature (SIG_BUF_SIZE); the others have one length.
_LONGEST_ECDSA = 128
_LENGTHS = {TlvType.RSA2048_PSS: 256, TlvType.RSA3072_PSS: 384, TlvType.ED25519: 64}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A signature that counts: where it is, by which of the keys, and what is wrong with it, if anything.

    ``stops``: a bootloader stops at it, whatever signatures follow. ``unknown``: whether it is right cannot be told.
    ``some``: some builds refuse it, and why. ``padded``: the signature ends with zeros.
    """

    key_index: int
    offset: int
    error: str = ""
    stops: bool = False
    unknown: bool = False
    some: str = ""
    padded: bool = False


def readings(image: Image) -> tuple[bool, ...]:
    """Is the image a pure one? Both where it says so in its protected area alone.

    There bootloaders that check hashes pass over SIG_PURE; where it is not protected, their allow list refuses it.
    """
    found = {protected for _, protected, tlv in image.tlv_offsets() if tlv.type == TlvType.SIG_PURE}
    return (True,) if False in found else (False, True) if found else (False,)


@dataclass(frozen=True)
class Trust:
    """``keys`` before ``image``. Where it is ``pure``, its signatures are over itself and not over its hash.

    ``build`` says how the bootloader finds a key and how it reads a signature.
    """

    image: Image
    keys: tuple[Verifier, ...]
    build: LoaderBuild = UNKNOWN_BUILD
    pure: bool = False

    @property
    def longest_key(self) -> int:
        """The most bytes of a key in full that a bootloader with keys of this kind reads (KEY_BUF_SIZE)."""
        sizes = (_LENGTHS.get(key.algorithm.signature_type, _LONGEST_ECDSA) for key in self.keys)
        return max(sizes, default=_LONGEST_ECDSA) + 24

    def hash_types(self, key: Verifier) -> tuple[TlvType, ...]:
        """Types of the SHA TLVs that go with a key here; none for a key that cannot sign such an image."""
        if not self.pure:
            return key.algorithm.hash_types
        return () if key.algorithm.pure_hash is None else (key.algorithm.pure_hash,)

    @cached_property
    def hash_type(self) -> TlvType | None:
        """The type of the SHA TLV that counts: the first of those that the keys go with. None without one.

        A bootloader for pure signatures needs no such TLV: there it is the type of the hashes of its keys.
        """
        wanted = {kind for key in self.keys for kind in self.hash_types(key)}
        if not self.keys:
            wanted = set(HASH_TYPES)
        found = (tlv.type for _, _, tlv in self.image.tlv_offsets())
        named = next((TlvType(kind) for kind in found if kind in wanted), None)
        return next(iter(wanted), None) if named is None and self.pure and self.keys else named

    @cached_property
    def claimed_hash(self) -> bytes | None:
        """What the image says that its hash is."""
        kind = self.hash_type
        return next((tlv.data for _, _, tlv in self.image.tlv_offsets() if kind is not None and tlv.type == kind), None)

    def key_index(self, tlv: Tlv) -> int | None:
        """The place in ``keys`` of the key that a KEYHASH or PUBKEY TLV names; None if it is not known.

        A bootloader compares as much of a key's hash as the TLV has, and takes the first key that fits.
        """
        kind = self.hash_type
        for index, key in enumerate(self.keys):
            if kind is None or kind not in self.hash_types(key):
                continue
            if tlv.type == TlvType.PUBKEY:
                found = tlv.data == key.public_bytes
            else:
                found = digest(kind, (key.public_bytes,)).startswith(tlv.data)
            if found:
                return index
        return None

    def outcomes(self, plain: Image | None) -> Iterator[Outcome]:
        """Each signature by a known key, in flash order. ``plain`` is the decrypted image, which pure ones are over."""
        index, message = None, None
        for offset, _, tlv in self.image.tlv_offsets():
            if tlv.type == self.build.key_type:
                index = self.key_index(tlv)
            elif index is not None and tlv.type == self.keys[index].algorithm.signature_type:
                if self.pure and message is None and plain is not None:
                    message = plain.hashed_bytes()
                yield self._outcome(index, offset, tlv, message)
                index = None

    def _outcome(self, index: int, offset: int, tlv: Tlv, message: bytes | None) -> Outcome:
        key = self.keys[index]
        length = len(tlv.data)
        wanted = _LENGTHS.get(TlvType(tlv.type))
        if wanted is not None and length != wanted:
            text = f"the {tlv.name} TLV has {length} bytes, but such a signature has {wanted}"
            return Outcome(index, offset, text, stops=True)
        if wanted is None and length > _LONGEST_ECDSA:
            text = f"the {tlv.name} TLV has {length} bytes; bootloaders read {_LONGEST_ECDSA} at most"
            return Outcome(index, offset, text, stops=True)
        if wanted is None:
            return self._ecdsa_outcome(index, offset, tlv.data)
        try:
            if not self.pure:
                key.verify_digest(tlv.data, self.claimed_hash or b"")
            elif message is not None:
                key.verify_message(tlv.data, message)
            else:
                return Outcome(index, offset, unknown=True)
        except SignatureError as error:
            return Outcome(index, offset, str(error))
        return Outcome(index, offset)

    def _ecdsa_outcome(self, index: int, offset: int, signature: bytes) -> Outcome:
        """As the backend of the build reads it; where that is not known, as any of them does."""
        key = self.keys[index]
        size = HASHES[key.algorithm.hash_types[0]]().digest_size
        there = ecdsa_form.backends(size)
        asked = (self.build.backend,) if self.build.backend in there else there
        read = {backend: ecdsa_form.numbers(signature, size, backend) for backend in asked}
        right = {pair for pair in set(read.values()) if pair is not None and self._is_right(key, pair)}
        refusing = [backend for backend, pair in read.items() if pair not in right]
        if not right:
            text = f"the {'ecdsa-p256' if size == 32 else 'ecdsa-p384'} signature does not verify"
            text += f" as {asked[0]} reads it" if self.build.backend in there else ""
            return Outcome(index, offset, text)
        if not refusing:
            return Outcome(index, offset)
        padded = _is_padded(signature)
        form = "is padded with zeros" if padded else "is not correct DER"
        text = f"the signature {form}: bootloaders whose backend is {' or '.join(refusing)} refuse it"
        return Outcome(index, offset, some=text, padded=padded)

    def _is_right(self, key: Verifier, pair: ecdsa_form.Numbers) -> bool:
        try:
            key.verify_digest(ecdsa_form.to_der(pair), self.claimed_hash or b"")
        except SignatureError:
            return False
        return True

    def last_key(self) -> int | None:
        """The key that the last KEYHASH (or PUBKEY) TLV names: whose signature a compressed image has inside."""
        named = [tlv for _, _, tlv in self.image.tlv_offsets() if tlv.type == self.build.key_type]
        return self.key_index(named[-1]) if named else None


def _is_padded(signature: bytes) -> bool:
    """True for a sequence with zeros behind it."""
    end = 2 + signature[1] if len(signature) >= 2 else len(signature)
    return end < len(signature) and not any(signature[end:])
