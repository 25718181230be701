"""What a secure bootloader checks of an init packet before it takes any firmware, in the SDK's order.

    check                                                             the answer if it fails
    ----------------------------------------------------------------  ------------------------------------------------
    a whole packet: required fields, lengths, one command             INVALID_OBJECT
    a signature is there, if one is required for this type            extended SIGNATURE_MISSING
    it is of the type ECDSA_P256_SHA256                               extended WRONG_SIGNATURE_TYPE
    it has 64 bytes                                                   OPERATION_FAILED
    it is the trusted key's, over the bytes of the init command       INVALID_OBJECT
    the type of the firmware is known                                 extended INIT_COMMAND_INVALID
    the hash is SHA-256                                               extended WRONG_HASH_TYPE
    (a debug packet, for a bootloader that allows it, ends here)
    the hardware version is there, and is the bootloader's            extended INIT_COMMAND_INVALID, HW_VERSION_FAILURE
    the SoftDevice is one of ``sd_req``                               extended SD_VERSION_FAILURE
    the firmware version is there where required, and not too low     extended INIT_COMMAND_INVALID, FW_VERSION_FAILURE
    the size of the firmware is there; a bootloader fits its place    extended INIT_COMMAND_INVALID, then
                                                                      INSUFFICIENT_RESOURCES

Source: nRF5 SDK 17, ``nrf_dfu_validation.c`` (``prevalidate``) and ``nrf_dfu_ver_validation.c``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from smpdfu.errors import FormatError, SignatureError
from smpdfu.image.keys.keys import Verifier
from smpdfu.image.secure_dfu.bounds import SIGNATURE_BYTES, too_many, undecodable
from smpdfu.image.secure_dfu.init_packet import (
    ANY_SOFTDEVICE,
    NO_SOFTDEVICE,
    FwType,
    HashType,
    InitCommand,
    Packet,
    SignatureType,
    SignedCommand,
    signature_from_rs,
)
from smpdfu.image.signing.ecdsa_form import to_der
from smpdfu.securedfu.protocol.messages import ExtendedError, Result
from smpdfu.virtual.nrf52.build import Nrf52Build, Trust
from smpdfu.virtual.nrf52.chip import Nrf52Chip

_UINT32_MAX = 0xFFFF_FFFF


class Refused(Exception):  # noqa: N818 - an answer of the bootloader and nobody's error
    """The bootloader refuses. ``extended`` says why where ``result`` is EXTENDED_ERROR."""

    def __init__(self, result: Result, extended: ExtendedError | None = None) -> None:
        super().__init__(result.name if extended is None else extended.name)
        self.result = result
        self.extended = extended


def extended(error: ExtendedError) -> Refused:
    """The refusal with an extended error."""
    return Refused(Result.EXTENDED_ERROR, error)


@dataclass(frozen=True, slots=True)
class Decoded:
    """An init packet that could be decoded: ``signed`` is None for an unsigned one."""

    init: InitCommand
    signed: SignedCommand | None


# --- decoding -----------------------------------------------------------------------------------------------------


def decode(data: bytes) -> Decoded:
    """Decode an init packet as nanopb does with the bounds of ``dfu-cc.options``; raises ``Refused``."""
    try:
        packet = Packet.from_bytes(data)
        signed = packet.signed_command
        init = packet.init if signed is None else InitCommand.from_bytes(signed.command.signed_bytes)
    except FormatError:
        raise Refused(Result.INVALID_OBJECT) from None
    if (signed is not None and packet.command is not None) or not _is_whole(init, signed):
        raise Refused(Result.INVALID_OBJECT)
    return Decoded(init, signed)


def _is_whole(init: InitCommand, signed: SignedCommand | None) -> bool:
    """Whether all required fields are there, and no value exceeds its buffer."""
    if too_many(init) or any(undecodable(init)):
        return False
    if signed is None:
        return True
    signature = signed.signature
    return signed.signature_type is not None and signature is not None and len(signature) <= SIGNATURE_BYTES


# --- the checks ---------------------------------------------------------------------------------------------------


def check_init(found: Decoded, chip: Nrf52Chip, trust: Trust) -> int:
    """Check an init packet and return the size of its firmware in bytes. Raises ``Refused``."""
    if _needs_signature(found.init, trust.build):
        _check_signature_of(found, trust.key)
    _check_versions(found.init, chip, trust.build)
    return firmware_size(found.init, chip)


def _needs_signature(init: InitCommand, build: Nrf52Build) -> bool:
    is_free = init.type is None or init.type == FwType.APPLICATION
    is_free = is_free or (init.type == FwType.SOFTDEVICE and not build.requires_softdevice)
    return build.requires_signed_app or not is_free


def _check_signature_of(found: Decoded, key: Verifier | None) -> None:
    signed = found.signed
    if signed is None:
        raise extended(ExtendedError.SIGNATURE_MISSING)
    if signed.signature_type != SignatureType.ECDSA_P256_SHA256:
        raise extended(ExtendedError.WRONG_SIGNATURE_TYPE)
    signature = signed.signature or b""
    if len(signature) != SIGNATURE_BYTES:
        raise Refused(Result.OPERATION_FAILED)
    if not is_signed(signature, signed.command.signed_bytes, key):
        raise Refused(Result.INVALID_OBJECT)


def _check_versions(init: InitCommand, chip: Nrf52Chip, build: Nrf52Build) -> None:
    known = set(FwType) - (set() if build.external_app else {FwType.EXTERNAL_APPLICATION})
    if init.type not in known:
        raise extended(ExtendedError.INIT_COMMAND_INVALID)
    if init.hash is None or init.hash.hash_type != HashType.SHA256:
        raise extended(ExtendedError.WRONG_HASH_TYPE)
    if build.allows_debug and init.is_debug:
        return
    if init.hw_version is None:
        raise extended(ExtendedError.INIT_COMMAND_INVALID)
    if init.hw_version != build.hw_version:
        raise extended(ExtendedError.HW_VERSION_FAILURE)
    if not _softdevice_suits(init, chip, build):
        raise extended(ExtendedError.SD_VERSION_FAILURE)
    if init.fw_version is None:
        if _needs_version(init, build):
            raise extended(ExtendedError.INIT_COMMAND_INVALID)
    elif not _is_new_enough(init.fw_version, init.type, chip, build):
        raise extended(ExtendedError.FW_VERSION_FAILURE)


def firmware_size(init: InitCommand, chip: Nrf52Chip) -> int:
    """How many bytes of firmware follow. Raises ``Refused`` if the packet does not say, or a bootloader is too big."""
    kind = init.type or 0
    if kind in (FwType.APPLICATION, FwType.EXTERNAL_APPLICATION):
        size = init.app_size or 0
    else:
        size = init.sd_size or 0 if kind & FwType.SOFTDEVICE else 0
        if kind & FwType.BOOTLOADER:
            if (init.bl_size or 0) > chip.layout.bootloader.size_bytes:
                raise Refused(Result.INSUFFICIENT_RESOURCES)
            size += init.bl_size or 0
    size &= _UINT32_MAX
    if not size:
        raise extended(ExtendedError.INIT_COMMAND_INVALID)
    return size


# --- SoftDevice and version ---------------------------------------------------------------------------------------


def overwrites_softdevice(init: InitCommand) -> bool:
    """Whether the update needs no SoftDevice: ``sd_req`` is empty, or begins with 0."""
    return not init.sd_req or init.sd_req[0] == NO_SOFTDEVICE


def _softdevice_suits(init: InitCommand, chip: Nrf52Chip, build: Nrf52Build) -> bool:
    found = chip.softdevice
    prevents = build.prevents_downgrade or (build.requires_softdevice and init.type == FwType.SOFTDEVICE)
    takes_any = init.type == FwType.EXTERNAL_APPLICATION
    if found is None:
        if not overwrites_softdevice(init):
            return build.external_app and takes_any and ANY_SOFTDEVICE in init.sd_req
        return not prevents or init.fw_version is not None
    if not init.sd_req:
        return False
    is_listed = found.fwid in init.sd_req
    if not overwrites_softdevice(init):
        return is_listed or (takes_any and ANY_SOFTDEVICE in init.sd_req)
    if init.type == FwType.APPLICATION:
        if prevents and len(init.sd_req) > 1:
            return is_listed and not build.requires_softdevice
        return True
    if takes_any:
        return False
    return not prevents or init.type != FwType.SOFTDEVICE


def _needs_version(init: InitCommand, build: Nrf52Build) -> bool:
    return init.type != FwType.SOFTDEVICE and (init.type != FwType.APPLICATION or build.prevents_downgrade)


def _is_new_enough(version: int, kind: int | None, chip: Nrf52Chip, build: Nrf52Build) -> bool:
    settings = chip.settings
    if kind == FwType.EXTERNAL_APPLICATION:
        return version >= settings.app_version
    if kind in (FwType.APPLICATION, FwType.SOFTDEVICE):
        if not build.prevents_downgrade:
            return True
        installed = settings.app_version
        return version > installed or (version == installed and build.accepts_same_version)
    return version > settings.bootloader_version


# --- signatures ---------------------------------------------------------------------------------------------------


def is_signed(signature: bytes, data: bytes, key: Verifier | None) -> bool:
    """Whether this is the trusted key's signature of ``data``: r and s, 32 bytes each, each in reverse order."""
    if key is None:
        return False
    pair = signature_from_rs(signature)
    numbers = int.from_bytes(pair[:32], "big"), int.from_bytes(pair[32:], "big")
    try:
        key.verify_digest(to_der(numbers), hashlib.sha256(data).digest())
    except SignatureError:
        return False
    return True
