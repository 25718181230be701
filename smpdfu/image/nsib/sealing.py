"""Seal the firmware of a build: also firmware that has a seal already, which then gets a new one in its place.

The SDK seals firmware with the key that a build names, or with one that it made for the purpose. A release is sealed
again, with the key that the devices were provisioned for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from smpdfu.errors import FormatError, SigningError
from smpdfu.image.keys.keys import SIGNATURES, PublicHalf, PublicKey, Signer
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.nsib.seal import ValidationInfo, refusal, seal
from smpdfu.image.signers.remote import public_from_der

# SubjectPublicKeyInfo of a P-256 key up to x and y, which follow the 4 of an uncompressed point (RFC 5480).
_P256_DER = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
_SEAL_BYTES = len(ValidationInfo(0, b"", b"", b"").to_bytes())


@dataclass(frozen=True, slots=True)
class SealedFirmware:
    """Firmware with its seal: ``info`` describes the firmware, ``validation`` is the seal.

    ``earlier`` is the seal that was there before, if it was another key's.
    """

    data: bytes
    info: FirmwareInfo
    validation: ValidationInfo
    earlier: ValidationInfo | None = None

    @staticmethod
    def info_of(data: bytes) -> FirmwareInfo:
        """The firmware info. Raises FormatError without one."""
        return _info(data)

    @classmethod
    def of(cls, data: bytes, address: int | None = None) -> SealedFirmware:
        """Read sealed firmware; ``address`` is where it will lie, without one it is where it is linked for.

        Raises FormatError with the reason for which NSIB refuses it whatever its keys are.
        """
        info = _info(data)
        reason = refusal(data, info.address if address is None else address, ())
        validation = ValidationInfo.find(data, info.size)
        if reason is not None or validation is None:
            raise FormatError(f"NSIB refuses the firmware: {str(reason).rstrip('.')}")
        return cls(data, info, validation)


def has_seal(firmware: bytes) -> bool:
    """True if a seal lies behind the firmware, whether or not it is right."""
    info = FirmwareInfo.find(firmware)
    return info is not None and ValidationInfo.find(firmware, info.size) is not None


def seal_again(firmware: bytes, address: int, signer: Signer) -> SealedFirmware:
    """Seal ``firmware`` for ``address`` with ``signer``, without the seal that it may have.

    Raises FormatError if it has no firmware info that describes it, is damaged, or has something else behind it;
    SigningError for a key that NSIB cannot check.
    """
    check_seal_key(signer)
    plain, before = without_seal(firmware)
    if (info := _info(plain)).address != address:
        raise FormatError(
            f"the firmware info is for 0x{info.address:x}, and the firmware will lie at 0x{address:x}: NSIB refuses it"
        )
    made = SealedFirmware.of(seal(plain, address, signer), address)
    if before is None or before.public_key == made.validation.public_key:
        return made
    return SealedFirmware(made.data, made.info, made.validation, before)


def without_seal(firmware: bytes) -> tuple[bytes, ValidationInfo | None]:
    """Return the firmware without what lies behind it, and the seal that was there.

    Raises FormatError for firmware that is cut off, does not have the hash of its seal, or has behind it something that
    is neither a seal nor a filling.
    """
    info = _info(firmware)
    if len(firmware) < info.size:
        raise FormatError(
            f"the firmware has {len(firmware)} bytes, and its firmware info says {info.size}: it is cut off"
        )
    plain, rest = firmware[: info.size], firmware[info.size :]
    found = ValidationInfo.find(firmware, info.size)
    if found is not None:
        if hashlib.sha256(plain).digest() != found.hash:
            raise FormatError("the firmware does not have the hash of its seal: it was changed after it was sealed")
        rest = firmware[firmware.index(found.to_bytes(), info.size) + _SEAL_BYTES :]
    if rest.strip(b"\xff") and rest.strip(b"\0"):
        raise FormatError(
            f"behind the firmware are {len(rest)} bytes that its firmware info does not describe: no seal covers them",
            len(firmware) - len(rest),
        )
    return plain, found


def check_seal_key(key: PublicHalf) -> None:
    """Raises SigningError for a key that NSIB on the nRF5340 cannot check: it takes ECDSA P-256 only."""
    if key.algorithm is not SIGNATURES["ecdsa-p256"]:
        kind = next((name for name, algorithm in SIGNATURES.items() if algorithm is key.algorithm), "unknown")
        raise SigningError(f"NSIB checks seals of ecdsa-p256 keys, and the key that was given is of type {kind}")


def key_hash(public_key: bytes) -> bytes:
    """The 16 bytes by which provisioning data names a key; ``public_key`` is x and y, 64 bytes, raw."""
    return hashlib.sha256(public_key).digest()[:16]


def raw_public_key(key: PublicHalf) -> bytes:
    """Return x and y of a P-256 key, 64 bytes. Raises SigningError for another kind of key."""
    check_seal_key(key)
    return key.public_bytes[-64:]


def public_key_of(raw: bytes) -> PublicKey:
    """The key whose x and y are ``raw``, 64 bytes. Raises KeyFileError for what is no point of the curve."""
    return public_from_der(_P256_DER + raw, "the key of the seal")


def _info(firmware: bytes) -> FirmwareInfo:
    info = FirmwareInfo.find(firmware)
    if info is None:
        raise FormatError("the firmware has no firmware info (CONFIG_FW_INFO), so NSIB cannot check it")
    return info
