"""Would the bootloader of the nRF5 SDK take this package? Each reason why not is a finding.

What only the device knows (its versions, its SoftDevice, its room) is not judged here. Source: nRF5 SDK 17,
``nrf_dfu_validation.c``, ``nrf_dfu_ver_validation.c`` and ``dfu-cc.options``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from smpdfu.errors import SignatureError
from smpdfu.image.secure_dfu.bounds import (
    MAX_BOOT_VALIDATIONS,
    MAX_SD_REQ,
    SIGNATURE_BYTES,
    too_many,
    undecodable,
)
from smpdfu.image.secure_dfu.init_packet import (
    INIT_COMMAND_MAX_SIZE,
    BootValidation,
    Command,
    FwType,
    HashType,
    InitCommand,
    OpCode,
    Packet,
    SignatureType,
    SignedCommand,
    ValidationType,
    name_of,
)
from smpdfu.image.secure_dfu.package import Entry, SecureDfuPackage
from smpdfu.securedfu.findings import Finding, Severity
from smpdfu.securedfu.signature import verify

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import Verifier

_TYPES = {
    "application": (FwType.APPLICATION, FwType.EXTERNAL_APPLICATION),
    "external_application": (FwType.EXTERNAL_APPLICATION,),
    "softdevice": (FwType.SOFTDEVICE,),
    "bootloader": (FwType.BOOTLOADER,),
    "softdevice_bootloader": (FwType.SOFTDEVICE_BOOTLOADER,),
}
_BY_SIGNATURE = ValidationType.VALIDATE_ECDSA_P256_SHA256
_NEEDED_SIZES = {
    FwType.APPLICATION: ("app_size",),
    FwType.EXTERNAL_APPLICATION: ("app_size",),
    FwType.SOFTDEVICE: ("sd_size",),
    FwType.BOOTLOADER: ("bl_size",),
    FwType.SOFTDEVICE_BOOTLOADER: ("sd_size", "bl_size"),
}


@dataclass(frozen=True, slots=True)
class SecureDfuJudgement:
    """What is said about one image. ``signed_by``: the place in ``keys`` of the key whose signature it has, or None."""

    entry: Entry
    findings: tuple[Finding, ...]
    signed_by: int | None = None


def judge_package(package: SecureDfuPackage, keys: Sequence[Verifier] = ()) -> tuple[SecureDfuJudgement, ...]:
    """Judge every image. Without ``keys``, signatures are not verified."""
    return tuple(judge_entry(one, keys) for one in package.entries)


def judge_entry(entry: Entry, keys: Sequence[Verifier] = ()) -> SecureDfuJudgement:
    """Judge one image."""
    packet = entry.packet
    if packet is None:
        return SecureDfuJudgement(entry, (_error(entry, "damaged", f"the image cannot be used: {entry.fault}"),))
    signer = _signer(packet, keys)
    found = [*_form(entry, packet), *_fields(entry, packet.init), *_firmware(entry, packet.init)]
    found += [*_signature(entry, packet, keys, signer), *_boot_validation(entry, packet.init, keys)]
    return SecureDfuJudgement(entry, tuple(found), signer)


def _form(entry: Entry, packet: Packet) -> Iterator[Finding]:
    size = len(packet.to_bytes())
    if size > INIT_COMMAND_MAX_SIZE:
        text = f"the init packet has {size} bytes, and the bootloader takes {INIT_COMMAND_MAX_SIZE} at most"
        yield _error(entry, "init-packet-size", text)
    if packet.command is not None and packet.signed_command is not None:
        text = "the init packet has a signed and an unsigned command: the bootloader takes the signed one"
        yield Finding("two-commands", Severity.WARNING, text, image=entry.name)
    command = packet.chosen or Command()
    if command.op_code != OpCode.INIT:
        text = f"the command of the init packet is {name_of(OpCode, command.op_code)} and not INIT"
        yield _error(entry, "op-code", text)
    if command.init is not None and command.signed_bytes != command.init.to_bytes():
        text = "the init packet has fields behind its init command: bootloaders do not agree whether they are signed"
        yield Finding("field-order", Severity.WARNING, text, image=entry.name)


def _fields(entry: Entry, init: InitCommand) -> Iterator[Finding]:
    kinds = _TYPES.get(entry.name, tuple(FwType))
    if init.type not in kinds:
        text = f"the manifest says {entry.name!r}, and the init packet says {name_of(FwType, init.type)}"
        yield _error(entry, "type", text)
    if init.type == FwType.EXTERNAL_APPLICATION:
        text = "it is an external application: the bootloader itself refuses it, and the application must pass it on"
        yield Finding("external-application", Severity.NOTE, text, image=entry.name)
    if init.is_debug:
        text = (
            "it is in debug mode: only a bootloader that is built with NRF_DFU_DEBUG takes it, without version checks"
        )
        yield Finding("debug-mode", Severity.WARNING, text, image=entry.name)
    elif init.hw_version is None:
        yield _error(entry, "no-hw-version", "the init packet has no hw_version, which the bootloader needs")
    if init.fw_version is None and not init.is_debug and init.type != FwType.SOFTDEVICE:
        text = "the init packet has no fw_version: bootloaders refuse it unless they allow downgrades"
        yield Finding("no-fw-version", Severity.WARNING, text, image=entry.name)
    if not init.sd_req and not init.is_debug and init.type != FwType.EXTERNAL_APPLICATION:
        text = "the init packet has no sd_req: bootloaders of nRF5 SDK 17 refuse it on a device that has a SoftDevice"
        yield Finding("no-sd-req", Severity.WARNING, text, image=entry.name)
    for text in undecodable(init):
        yield _error(entry, "undecodable", f"{text}: the bootloader cannot read such a packet")
    if too_many(init):
        text = f"the bootloader has room for {MAX_SD_REQ} SoftDevices in sd_req and {MAX_BOOT_VALIDATIONS} validations"
        yield _error(entry, "too-many", text)


def _firmware(entry: Entry, init: InitCommand) -> Iterator[Finding]:
    """The sizes and the hash, against the firmware in the package."""
    needed = _NEEDED_SIZES[FwType(init.type)] if init.type in _NEEDED_SIZES else ()
    missing = [name for name in needed if not getattr(init, name)]
    if missing:
        yield _error(entry, "no-size", f"the init packet does not say {' and '.join(missing)}")
    elif init.firmware_size != len(entry.firmware):
        text = f"the init packet is for {init.firmware_size} bytes of firmware, and {entry.bin_file} has "
        yield _error(entry, "size", f"{text}{len(entry.firmware)}")
    kind = None if init.hash is None else init.hash.hash_type
    if init.hash is None or kind != HashType.SHA256:
        text = f"the hash in the init packet is {name_of(HashType, kind)}, and the bootloader takes SHA256 only"
        yield _error(entry, "hash-type", text)
    elif init.hash.digest != sha256(entry.firmware).digest():
        text = f"{entry.bin_file} is damaged, or belongs to another init packet: its SHA-256 is not the stated one"
        yield _error(entry, "hash", text)


def _signature(entry: Entry, packet: Packet, keys: Sequence[Verifier], signer: int | None) -> Iterator[Finding]:
    signed = packet.signed_command
    if signed is None:
        text = "it is not signed: only a bootloader that is built for unsigned applications takes it"
        yield Finding("not-signed", Severity.ERROR if keys else Severity.WARNING, text, image=entry.name)
    elif signed.signature_type is None:
        yield _error(entry, "signature-type", "the init packet does not say of which type its signature is")
    elif signed.signature_type != SignatureType.ECDSA_P256_SHA256:
        text = f"it is signed by {name_of(SignatureType, signed.signature_type)}, and the bootloader checks ECDSA P-256"
        yield _error(entry, "signature-type", f"{text} only")
    elif len(signed.signature or b"") != SIGNATURE_BYTES:
        text = f"the signature has {len(signed.signature or b'')} bytes and not {SIGNATURE_BYTES}"
        yield _error(entry, "signature-size", text)
    elif keys and signer is None:
        which = "this key" if len(keys) == 1 else "any of these keys"
        text = f"the signature is not by {which}, or the init packet was changed: a bootloader with this key refuses it"
        yield _error(entry, "signature", text)


def _boot_validation(entry: Entry, init: InitCommand, keys: Sequence[Verifier]) -> Iterator[Finding]:
    """What the bootloader looks at after the last byte, and would refuse.

    An ECDSA boot validation is a signature of the firmware: the device would not start what does not verify.
    """
    for one in init.boot_validation:
        if one.type is not None and one.type not in tuple(ValidationType):
            text = f"the validation at each boot is {name_of(ValidationType, one.type)}: no bootloader knows it"
            yield _error(entry, "boot-validation-type", text)
    parts = (entry.firmware[: init.sd_size], entry.firmware[init.sd_size or 0 :]) if init.sd_size else (entry.firmware,)
    signed = [(n, one) for n, one in enumerate(init.boot_validation) if one.type == _BY_SIGNATURE]
    for place, one in signed:
        if len(one.data or b"") != SIGNATURE_BYTES:
            text = f"the signature for the validation at each boot has {len(one.data or b'')} bytes and not 64"
            yield _error(entry, "boot-validation", text)
        elif keys and not any(_is_valid(key, one, parts[min(place, len(parts) - 1)]) for key in keys):
            text = "the signature for the validation at each boot is not by this key: the firmware would not start"
            yield _error(entry, "boot-validation", text)
    if init.type == FwType.SOFTDEVICE_BOOTLOADER and any(place == 0 for place, _ in signed):
        text = (
            "bootloaders of nRF5 SDK 16 and older check the new bootloader, too, by the signature of the SoftDevice, "
        )
        text += "and refuse the package after its last byte"
        advice = "Let the bootloader check the SoftDevice in another way"
        yield Finding("sd-boot-validation", Severity.WARNING, text, advice, entry.name)


def _is_valid(key: Verifier, validation: BootValidation, firmware: bytes) -> bool:
    try:
        verify(key, validation.data or b"", firmware)
    except SignatureError:
        return False
    return True


def _signer(packet: Packet, keys: Sequence[Verifier]) -> int | None:
    signed = packet.signed_command
    return next((place for place, key in enumerate(keys) if signed is not None and _has_signed(key, signed)), None)


def _has_signed(key: Verifier, signed: SignedCommand) -> bool:
    try:
        verify(key, signed.signature or b"", signed.command.signed_bytes)
    except SignatureError:
        return False
    return True


def _error(entry: Entry, code: str, text: str) -> Finding:
    return Finding(code, Severity.ERROR, text, image=entry.name)
