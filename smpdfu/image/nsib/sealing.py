"""Seal the firmware of a build: also firmware that has a seal already, which then gets a new one in its place.

The SDK seals firmware with the key that a build names, or with one that it made for the purpose. A release is sealed
again, with the key that the devices were provisioned for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from smpdfu.errors import FormatError
from smpdfu.image.keys.keys import Signer
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.nsib.seal import SEAL_BYTES, ValidationInfo, raw_public_key, refusal, seal


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


def seal_again(firmware: bytes, address: int, signer: Signer) -> SealedFirmware:
    """Seal ``firmware`` for ``address`` with ``signer``, without the seal that it may have.

    Raises FormatError if it has no firmware info that describes it, is damaged, or has something else behind it;
    SigningError for a key that NSIB cannot check.
    """
    raw_public_key(signer)
    plain, before = without_seal(firmware)
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
        rest = firmware[firmware.index(found.to_bytes(), info.size) + SEAL_BYTES :]
    if rest.strip(b"\xff") and rest.strip(b"\0"):
        raise FormatError(
            f"behind the firmware are {len(rest)} bytes that its firmware info does not describe: no seal covers them",
            len(firmware) - len(rest),
        )
    return plain, found


def _info(firmware: bytes) -> FirmwareInfo:
    info = FirmwareInfo.find(firmware)
    if info is None:
        raise FormatError("the firmware has no firmware info (CONFIG_FW_INFO), so NSIB cannot check it")
    return info
