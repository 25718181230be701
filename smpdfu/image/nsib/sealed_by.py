"""Which of several keys sealed a firmware: what b0 and b0n go by when they boot it.

Source: ``bl_validation.c`` of the nRF Connect SDK. The bootloader goes through the keys in the order in which they are
provisioned, and the first one whose hash is that of the key in the seal decides. A firmware by key n revokes the keys
before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from smpdfu.errors import KeyFileError, SignatureError
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.nsib.provision import ProvisionedKey, key_hash
from smpdfu.image.nsib.seal import ValidationInfo, raw_public_key

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PublicKey

# SubjectPublicKeyInfo of a P-256 key up to x and y (RFC 5480).
_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")

KnownKey: TypeAlias = "PublicKey | ProvisionedKey | bytes"
"""A key that b0 or b0n may have: the key itself, its place in provisioning data, or the 16 bytes of its hash."""


class SealState(StrEnum):
    """What a seal is worth. REVOKED only where provisioning data tell that the key is revoked.

    KEYS_UNUSABLE: a key that is not revoked looks like erased memory, and the bootloader stops at it, whoever sealed.
    """

    NO_SEAL = "no seal"
    HASH_WRONG = "hash wrong"
    UNKNOWN_KEY = "unknown key"
    REVOKED = "revoked key"
    KEYS_UNUSABLE = "unusable keys"
    SIGNATURE_WRONG = "signature wrong"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class SealedBy:
    """Who sealed a firmware. ``position`` counts from 0, in the order of the keys that were given.

    ``key_hash`` is the hash of the key in the seal, as provisioning data have it; None without a seal.
    """

    state: SealState
    position: int | None = None
    key_hash: bytes | None = None

    @property
    def accepted(self) -> bool:
        """True if a bootloader with these keys takes the signature."""
        return self.state is SealState.KEY

    @property
    def revokes(self) -> range:
        """The positions of the keys that a boot of this firmware revokes."""
        return range(self.position or 0) if self.accepted else range(0)

    def __str__(self) -> str:
        """For people, who count keys from 1."""
        return str(self.state) if self.position is None or not self.accepted else f"key {self.position + 1}"


def sealed_by(firmware: bytes, keys: Sequence[KnownKey]) -> SealedBy:
    """Which of ``keys`` sealed ``firmware``, which may have more behind the seal.

    It says nothing about the address, see ``seal.refusal``. Raises ``SigningError`` for a key that cannot make a seal.
    """
    known = [_hash_of(key) for key in keys]
    info = FirmwareInfo.find(firmware)
    validation = None if info is None else ValidationInfo.find(firmware, info.size)
    if info is None or validation is None:
        return SealedBy(SealState.NO_SEAL)
    found = key_hash(validation.public_key)
    if validation.address != info.address or hashlib.sha256(firmware[: info.size]).digest() != validation.hash:
        return SealedBy(SealState.HASH_WRONG, None, found)
    stops_at = next((number for number, key in enumerate(keys) if not _usable(key, known[number])), None)
    if stops_at is not None:
        return SealedBy(SealState.KEYS_UNUSABLE, stops_at, found)
    positions = [position for position, one in enumerate(known) if one == found]
    usable = [position for position in positions if not _is_revoked(keys[position])]
    if not usable:
        return SealedBy(SealState.REVOKED if positions else SealState.UNKNOWN_KEY, next(iter(positions), None), found)
    state = SealState.KEY if _verifies(validation) else SealState.SIGNATURE_WRONG
    return SealedBy(state, usable[0], found)


def public_bytes_of(validation: ValidationInfo) -> bytes:
    """The public key in a seal as MCUboot has keys built in (DER), whether or not it is one of the curve."""
    return _SPKI + validation.public_key


def public_key_of(validation: ValidationInfo) -> PublicKey:
    """The public key in a seal; raises ``KeyFileError`` when these are no coordinates of a P-256 key."""
    from smpdfu.image.signers.remote import public_from_der  # here: it loads cryptography, and few seals are checked

    return public_from_der(public_bytes_of(validation), "the key in the seal")


def _verifies(validation: ValidationInfo) -> bool:
    try:
        validation.verify(public_key_of(validation))
    except (KeyFileError, SignatureError):
        return False
    return True


def _hash_of(key: KnownKey) -> bytes:
    match key:
        case ProvisionedKey():
            return key.hash
        case bytes():
            return key
        case _:
            return key_hash(raw_public_key(key))


def _usable(key: KnownKey, digest: bytes) -> bool:
    return _is_revoked(key) or ProvisionedKey(digest).usable


def _is_revoked(key: KnownKey) -> bool:
    return isinstance(key, ProvisionedKey) and key.revoked
