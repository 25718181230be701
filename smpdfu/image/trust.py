"""The keys that a bootloader trusts, before one image: which of its signatures count, and what they are over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from smpdfu.errors import SignatureError
from smpdfu.image.format import HASH_TYPES, Image, Tlv, TlvType
from smpdfu.image.hashes import digest
from smpdfu.image.keys import Verifier

KEY_TYPES = (TlvType.KEYHASH, TlvType.PUBKEY)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A signature that counts: where it is, by which of the keys, and what is wrong with it, if anything."""

    key_index: int
    offset: int
    error: str


@dataclass(frozen=True)
class Trust:
    """``keys`` before ``image``. A pure image (it says so with SIG_PURE) has signatures over itself, not its hash."""

    image: Image
    keys: tuple[Verifier, ...]

    @cached_property
    def pure(self) -> bool:
        """True if the image says that its signature is a pure one."""
        return any(tlv.type == TlvType.SIG_PURE for _, _, tlv in self.image.tlv_offsets())

    def hash_types(self, key: Verifier) -> tuple[TlvType, ...]:
        """Types of the SHA TLVs that go with a key here; none for a key that cannot sign such an image."""
        if not self.pure:
            return key.algorithm.hash_types
        return () if key.algorithm.pure_hash is None else (key.algorithm.pure_hash,)

    @cached_property
    def hash_type(self) -> TlvType | None:
        """The type of the SHA TLV that counts: the first of those that the keys go with. None without one.

        A bootloader for pure signatures needs no hash; whoever lists the image over SMP does.
        """
        wanted = {kind for key in self.keys for kind in self.hash_types(key)}
        if not self.keys:
            wanted = set(HASH_TYPES)
        found = (tlv.type for _, _, tlv in self.image.tlv_offsets())
        return next((TlvType(kind) for kind in found if kind in wanted), None)

    @cached_property
    def claimed_hash(self) -> bytes | None:
        """What the image says that its hash is."""
        kind = self.hash_type
        return next((tlv.data for _, _, tlv in self.image.tlv_offsets() if kind is not None and tlv.type == kind), None)

    def key_index(self, tlv: Tlv) -> int | None:
        """The place in ``keys`` of the key that a KEYHASH or PUBKEY TLV names; None if it is not known."""
        kind = self.hash_type
        for index, key in enumerate(self.keys):
            if kind is None or kind not in self.hash_types(key):
                continue
            if tlv.data == (key.public_bytes if tlv.type == TlvType.PUBKEY else digest(kind, (key.public_bytes,))):
                return index
        return None

    def outcomes(self, plain: Image | None) -> Iterator[Outcome]:
        """Each signature by a known key, in flash order. ``plain`` is the decrypted image, which pure ones are over."""
        index, message = None, None
        for offset, _, tlv in self.image.tlv_offsets():
            if tlv.type in KEY_TYPES:
                index = self.key_index(tlv)
            elif index is not None and tlv.type == self.keys[index].algorithm.signature_type:
                if self.pure and message is None and plain is not None:
                    message = plain.hashed_bytes()
                yield Outcome(index, offset, self._error(index, tlv.data, message))
                index = None

    def _error(self, index: int, signature: bytes, message: bytes | None) -> str:
        key = self.keys[index]
        try:
            if not self.pure:
                key.verify_digest(signature, self.claimed_hash or b"")
            elif message is not None:
                key.verify_message(signature, message)
            else:
                return "the pure signature of an encrypted image cannot be checked without decryption"
        except SignatureError as error:
            return str(error)
        return ""

    def last_key(self) -> int | None:
        """The key that the last KEYHASH or PUBKEY TLV names: whose signature a compressed image has inside."""
        named = [tlv for _, _, tlv in self.image.tlv_offsets() if tlv.type in KEY_TYPES]
        return self.key_index(named[-1]) if named else None
