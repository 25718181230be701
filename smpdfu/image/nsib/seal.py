"""The seal of NSIB, the immutable bootloader (b0, and b0n on the network core): hash and signature behind the firmware.

A network image is sealed twice: first for b0n, by a block behind the firmware, then by MCUboot's header and TLVs around
all of it. Source: ``bl_validation.c`` and ``validation_data.py`` of the nRF Connect SDK, as built for an nRF53.
Addresses are where the firmware is linked to run.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from smpdfu.errors import FormatError, SignatureError
from smpdfu.image.keys.keys import Signer, Verifier
from smpdfu.image.nsib.firmware_info import VALID, FirmwareInfo

# Third word of the magic: version of the structure (2), chip (53), cryptography (SHA-256 and P-256), a byte each.
VALIDATION_MAGIC = struct.pack("<III", 0x281EE6DE, 0x86518483, 2 | 53 << 8 | 1 << 16)
SEARCH_BYTES = 4  # how far behind the firmware the validation info may begin

# magic, address, SHA-256, public key (x, y), signature (r, s)
_VALIDATION = struct.Struct("<12sI32s64s64s")
assert _VALIDATION.size == 176


@dataclass(frozen=True, slots=True)
class ValidationInfo:
    """``struct fw_validation_info``: hash and signature of the firmware at ``address``. Keys and signatures are raw."""

    address: int
    hash: bytes
    public_key: bytes
    signature: bytes

    @classmethod
    def find(cls, firmware: bytes, size: int) -> ValidationInfo | None:
        """The info behind ``size`` bytes of firmware."""
        for offset in range(size, size + SEARCH_BYTES + 1):
            if firmware[offset : offset + 12] == VALIDATION_MAGIC and offset + _VALIDATION.size <= len(firmware):
                return cls(*_VALIDATION.unpack_from(firmware, offset)[1:])
        return None

    def to_bytes(self) -> bytes:
        """The 176 bytes."""
        return _VALIDATION.pack(VALIDATION_MAGIC, self.address, self.hash, self.public_key, self.signature)


def seal(firmware: bytes, address: int, signer: Signer) -> bytes:
    """The firmware with the validation info that b0n asks for; ``signer`` is a P-256 key.

    Raises ``FormatError`` when the firmware has no firmware info, or one that does not describe it.
    """
    info = FirmwareInfo.find(firmware)
    if info is None or (info.address, info.size) != (address, len(firmware)):
        raise FormatError("the firmware has no firmware info (CONFIG_FW_INFO) that describes it")
    digest = hashlib.sha256(firmware).digest()
    signature = _raw_signature(signer.sign_digest(hashlib.sha256(digest).digest()))
    padding = bytes(-len(firmware) % 4)
    return firmware + padding + ValidationInfo(address, digest, signer.public_bytes[-64:], signature).to_bytes()


def refusal(firmware: bytes, address: int, keys: Sequence[Verifier]) -> str | None:
    """Why b0n does not accept this firmware for ``address``, in its words; None when it does.

    The hash is always checked, the signature where there are ``keys``: b0n on the nRF5340 is built without, because
    MCUboot has checked its own signature around all of it.
    """
    info = FirmwareInfo.find(firmware)
    if info is None:
        return "Invalid firmware info format."
    if info.valid != VALID:
        return f"Firmware has been invalidated: 0x{info.valid:x}."
    if info.address != address:
        return "The firmware doesn't belong at destination addr."
    validation = ValidationInfo.find(firmware, info.size)
    if validation is None:
        return "Could not find valid firmware validation info."
    if validation.address != info.address:
        return "Validation info doesn't belong to this firmware."
    digest = hashlib.sha256(firmware[: info.size]).digest()
    if digest != validation.hash or (keys and not _is_signed(digest, validation, keys)):
        return "Firmware validation failed."
    return None


def _is_signed(digest: bytes, validation: ValidationInfo, keys: Sequence[Verifier]) -> bool:
    key = next((key for key in keys if key.public_bytes.endswith(validation.public_key)), None)
    if key is None:
        return False
    try:
        key.verify_digest(_der_signature(validation.signature), hashlib.sha256(digest).digest())
    except SignatureError:
        return False
    return True


def _der_signature(raw: bytes) -> bytes:
    numbers = (int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    body = b"".join(bytes((2, len(data))) + data for data in map(_der_integer, numbers))
    return bytes((0x30, len(body))) + body


def _der_integer(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def _raw_signature(der: bytes) -> bytes:
    r_end = 4 + der[3]
    r, s = der[4:r_end], der[r_end + 2 :]
    return b"".join(int.from_bytes(part, "big").to_bytes(32, "big") for part in (r, s))
