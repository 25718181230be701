"""The seal of NSIB, the immutable bootloader (b0, and b0n on the network core): hash and signature behind the firmware.

A network image is sealed twice: first for b0n, by a block behind the firmware, then by MCUboot's header and TLVs around
all of it. Where b0 is there, MCUboot itself has such a seal. Source: ``bl_validation.c`` and ``validation_data.py`` of
the nRF Connect SDK, as built for an nRF53. Addresses are where the firmware is linked to run.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smpdfu.errors import FormatError, SignatureError, SigningError
from smpdfu.image.format import IMAGE_MAGIC, Header
from smpdfu.image.nsib.firmware_info import VALID, FirmwareInfo, foreign_chip
from smpdfu.image.signing.ecdsa_form import numbers, to_der

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PublicHalf, Signer, Verifier
    from smpdfu.image.signing.two_pass import Vector

# Third word of the magic: version of the structure (2), chip (53), cryptography (SHA-256 and P-256), a byte each.
VALIDATION_MAGIC = struct.pack("<III", 0x281EE6DE, 0x86518483, 2 | 53 << 8 | 1 << 16)
SEARCH_BYTES = 4  # how far behind the firmware the validation info may begin
KEY_BYTES = 64  # x and y
_ALGORITHM = "ecdsa-p256"

# magic, address, SHA-256, public key (x, y), signature (r, s)
_VALIDATION = struct.Struct("<12sI32s64s64s")
SEAL_BYTES = _VALIDATION.size
assert SEAL_BYTES == 176


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
            if firmware[offset : offset + 12] == VALIDATION_MAGIC and offset + SEAL_BYTES <= len(firmware):
                return cls(*_VALIDATION.unpack_from(firmware, offset)[1:])
        return None

    def to_bytes(self) -> bytes:
        """The 176 bytes."""
        return _VALIDATION.pack(VALIDATION_MAGIC, self.address, self.hash, self.public_key, self.signature)

    def verify(self, key: Verifier) -> None:
        """Raises ``SignatureError`` unless the signature over the hash is this key's."""
        numbers_of_it = int.from_bytes(self.signature[:32], "big"), int.from_bytes(self.signature[32:], "big")
        key.verify_digest(to_der(numbers_of_it), hashlib.sha256(self.hash).digest())


def raw_public_key(key: PublicHalf) -> bytes:
    """x and y of a P-256 key, 64 bytes; raises ``SigningError`` for a key that b0 and b0n of an nRF53 do not know."""
    from smpdfu.image.keys.keys import SIGNATURES  # here: who has a key has loaded it already

    if key.algorithm is not SIGNATURES[_ALGORITHM]:
        name = next(name for name, algorithm in SIGNATURES.items() if algorithm is key.algorithm)
        raise SigningError(
            f"the key is of type {name}: b0 and b0n of the nRF5340 check seals by ECDSA P-256 keys only"
        ).because("seal-key-type", kind=name)
    return key.public_bytes[-KEY_BYTES:]


# --- making ---------------------------------------------------------------------------------------------------------


def check_firmware(firmware: bytes, address: int) -> FirmwareInfo:
    """The firmware info of ``firmware``, which b0 or b0n would start at ``address`` once it is sealed.

    Raises ``FormatError`` that says exactly what is wrong; its code begins with ``seal-``.
    """
    _refuse_signed(firmware)
    info = FirmwareInfo.find(firmware)
    if info is None:
        chip = foreign_chip(firmware)
        if chip is not None:
            raise FormatError(f"the firmware info is that of a chip of the nRF{chip} series, not of an nRF53").because(
                "seal-other-chip"
            )
        raise FormatError("the firmware has no firmware info: the build needs CONFIG_FW_INFO=y").because("seal-no-info")
    if info.valid != VALID:
        raise FormatError(f"the firmware info says that the firmware is invalid (0x{info.valid:08x})").because(
            "seal-invalidated"
        )
    if info.size < len(firmware) and ValidationInfo.find(firmware, info.size) is not None:
        raise FormatError("the firmware is sealed already: seal the file that the linker made").because("seal-twice")
    if info.address != address:
        raise FormatError(
            f"the firmware info names the address 0x{info.address:08x}, and the firmware is for 0x{address:08x}"
        ).because("seal-address", address=f"0x{info.address:x}")
    if info.size != len(firmware):
        raise FormatError(
            f"the firmware info names {info.size} bytes of firmware, and the file has {len(firmware)}: "
            "something was cut off or added after the build"
        ).because("seal-size")
    if (missing := info.outside(firmware)) is not None:
        raise FormatError(f'b0 and b0n refuse such firmware ("{missing.rstrip(".")}")').because("seal-outside")
    return info


def _refuse_signed(firmware: bytes) -> None:
    if not firmware.startswith(IMAGE_MAGIC.to_bytes(4, "little")):
        return
    try:
        encrypted = Header.from_bytes(firmware).encrypted
    except FormatError:
        encrypted = False
    what = "signed and encrypted" if encrypted else "signed"
    raise FormatError(
        f"the file is {what} for MCUboot already: NSIB's seal is the first of the two, inside of MCUboot's"
    ).because("seal-mcuboot-image")


def vector_to_sign(firmware: bytes, address: int) -> Vector:
    """The first pass of a signing elsewhere: ``payload`` is the firmware's hash, ``digest`` the hash of that.

    An ECDSA signature over the payload by SHA-256 is one over the digest. ``seal`` with a ``GivenSigner`` is the second
    pass. Raises ``FormatError`` for firmware that cannot be sealed.
    """
    from smpdfu.image.signing.two_pass import Vector  # here: it loads cryptography, which checks do not need

    check_firmware(firmware, address)
    payload = hashlib.sha256(firmware).digest()
    return Vector(payload, hashlib.sha256(payload).digest())


def seal_offset(size: int, offset: int | None = None) -> int:
    """Where the seal of ``size`` bytes of firmware begins: at ``offset``, or at the next multiple of 4.

    b0 and b0n look for it up to ``SEARCH_BYTES`` behind the firmware, unless they are built otherwise. Raises
    ``FormatError`` for an offset inside the firmware.
    """
    if offset is None:
        return size + -size % 4
    if offset < size or offset % 4:
        raise FormatError(
            f"the seal cannot begin at 0x{offset:x}: the firmware has 0x{size:x} bytes, and the seal begins at a "
            "multiple of 4 behind them"
        ).because("seal-offset")
    return offset


def seal_block(firmware: bytes, address: int, signer: Signer) -> ValidationInfo:
    """The validation info that b0 and b0n ask for; ``signer`` is a P-256 key.

    Raises ``FormatError`` as ``check_firmware``, ``SigningError`` for a key of another type or one that cannot sign.
    """
    public = raw_public_key(signer)
    vector = vector_to_sign(firmware, address)
    signature = _raw_signature(signer.sign_digest(vector.digest))
    return ValidationInfo(address, vector.payload, public, signature)


def seal(firmware: bytes, address: int, signer: Signer, offset: int | None = None) -> bytes:
    """The firmware with its seal behind it, a gap filled with 0xff; otherwise as ``seal_block`` and ``seal_offset``."""
    start = seal_offset(len(firmware), offset)
    block = seal_block(firmware, address, signer)
    return firmware.ljust(start, b"\xff") + block.to_bytes()


def _raw_signature(der: bytes) -> bytes:
    pair = numbers(der, 32, "tinycrypt")  # which passes over what a signature is padded with
    if pair is None:
        raise SignatureError("the signature is not an ECDSA signature in DER")
    return b"".join(number.to_bytes(32, "big") for number in pair)


# --- checking -------------------------------------------------------------------------------------------------------


def refusal(firmware: bytes, address: int, keys: Sequence[Verifier]) -> str | None:
    """Why NSIB does not accept this firmware for ``address``, in the words and the order of ``validate_firmware``.

    None when it does. b0 prints these words, b0n in recent releases only that it found no valid firmware.

    The hash is always checked, the signature where there are ``keys``: b0n is built without, unless a build changes
    that (``SB_VALIDATE_FW_SIGNATURE``), because MCUboot has checked its own signature around all of it.
    """
    info = FirmwareInfo.find(firmware)
    if info is None:
        return "Invalid firmware info format."
    if info.address != address:
        return "The firmware doesn't belong at destination addr."
    if info.valid != VALID:
        return f"Firmware has been invalidated: 0x{info.valid:x}."
    if (missing := info.outside(firmware)) is not None:
        return missing
    validation = ValidationInfo.find(firmware, info.size)
    if validation is None:
        return "Could not find valid firmware validation info."
    if validation.address != info.address:
        return "Validation info doesn't belong to this firmware."
    digest = hashlib.sha256(firmware[: info.size]).digest()
    if digest != validation.hash or (keys and not _is_signed(validation, keys)):
        return "Firmware validation failed."
    return None


def _is_signed(validation: ValidationInfo, keys: Sequence[Verifier]) -> bool:
    key = next((key for key in keys if key.public_bytes.endswith(validation.public_key)), None)
    if key is None:
        return False
    try:
        validation.verify(key)
    except SignatureError:
        return False
    return True
