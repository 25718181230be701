"""From an order to a package: init packets, boot validation, signatures, the zip."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from smpdfu.errors import PlanError, SigningError
from smpdfu.image.secure_dfu.init_packet import (
    ANY_VERSION,
    BootValidation,
    Command,
    FwType,
    Hash,
    InitCommand,
    OpCode,
    Packet,
    SignatureType,
    SignedCommand,
    ValidationType,
)
from smpdfu.image.secure_dfu.package import Entry, SecureDfuPackage
from smpdfu.securedfu.findings import Finding, errors_of
from smpdfu.securedfu.judging import judge_package
from smpdfu.securedfu.making.checks import order_findings
from smpdfu.securedfu.making.order import SecureDfuOrder, version_or_any
from smpdfu.securedfu.signature import check_key, sign

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import Signer

_GENERATED = ValidationType.VALIDATE_GENERATED_CRC


@dataclass(frozen=True, slots=True)
class MadeSecureDfuPackage:
    """A package, and what is said about it."""

    package: SecureDfuPackage
    findings: tuple[Finding, ...]


def make_package(order: SecureDfuOrder, key: Signer | None = None, *, force: bool = False) -> MadeSecureDfuPackage:
    """Make a package, signed by ``key`` if there is one. The same order and key give the same bytes.

    Raises ``PlanError`` with what speaks against it (its ``findings``), unless ``force``; ``SigningError`` for a key of
    another type than ECDSA P-256.
    """
    if key is not None:
        check_key(key)
    found = order_findings(order, key)
    if not force:
        refuse(found)
    package = SecureDfuPackage.of(tuple(_entries(order, key)))
    judged = [one for judgement in judge_package(package) for one in judgement.findings]
    if not force:
        refuse(judged)
    return MadeSecureDfuPackage(package, (*found, *judged))


def refuse(found: tuple[Finding, ...] | list[Finding]) -> None:
    """Raise ``PlanError`` if there is an error among the findings."""
    errors = errors_of(found)
    if errors:
        sentences = tuple(f"{one.image}: {one.words}" if one.image else one.words for one in errors)
        reasons = "1 reason speaks" if len(errors) == 1 else f"{len(errors)} reasons speak"
        error = PlanError(f"smpdfu made no package: {reasons} against it", sentences, tuple(one.code for one in errors))
        raise error.because("secure-dfu-refused")


def _entries(order: SecureDfuOrder, key: Signer | None) -> Iterator[Entry]:
    """The images, in the order in which they are sent."""
    names = _file_names(order)
    if order.softdevice is not None or order.bootloader is not None:
        yield _system(order, key, names)
    if order.application is not None:
        kind = FwType.EXTERNAL_APPLICATION if order.is_external else FwType.APPLICATION
        data = order.application.data
        init = InitCommand(
            version_or_any(order.application_version),
            version_or_any(order.hw_version),
            order.application_needs,
            kind,
            sd_size=0,
            bl_size=0,
            app_size=len(data),
            hash=Hash.of_digest(sha256(data).digest()),
            is_debug=order.is_debug,
            boot_validation=(_validation(order.app_boot_validation, data, key),),
        )
        yield Entry.of("application", names["application"], data, _packet(init, key))


def _system(order: SecureDfuOrder, key: Signer | None, names: dict[str, str]) -> Entry:
    """The SoftDevice, the bootloader, or both in one image: the SoftDevice first."""
    softdevice = b"" if order.softdevice is None else order.softdevice.data
    bootloader = b"" if order.bootloader is None else order.bootloader.data
    validations = [_validation(order.sd_boot_validation, softdevice, key)] if softdevice else []
    validations += [_validation(_GENERATED, bootloader, key)] if bootloader else []
    name, kind = _SYSTEM[bool(softdevice), bool(bootloader)]
    data = softdevice + bootloader
    init = InitCommand(
        version_or_any(order.bootloader_version) if bootloader else ANY_VERSION,
        version_or_any(order.hw_version),
        order.others_need,
        kind,
        sd_size=len(softdevice),
        bl_size=len(bootloader),
        app_size=0,
        hash=Hash.of_digest(sha256(data).digest()),
        is_debug=order.is_debug,
        boot_validation=tuple(validations),
    )
    more: dict[str, object] = {}
    if softdevice and bootloader:
        more["info_read_only_metadata"] = {"bl_size": len(bootloader), "sd_size": len(softdevice)}
    return Entry.of(name, names[name], data, _packet(init, key), **more)


_SYSTEM = {
    (True, True): ("softdevice_bootloader", FwType.SOFTDEVICE_BOOTLOADER),
    (True, False): ("softdevice", FwType.SOFTDEVICE),
    (False, True): ("bootloader", FwType.BOOTLOADER),
}


def _validation(kind: ValidationType, firmware: bytes, key: Signer | None) -> BootValidation:
    if kind is not ValidationType.VALIDATE_ECDSA_P256_SHA256:
        return BootValidation(kind, b"")
    if key is None:
        raise SigningError("the validation at each boot by ECDSA needs a key that signs the firmware").because(
            "boot-validation-without-key"
        )
    return BootValidation(kind, sign(key, firmware))


def _packet(init: InitCommand, key: Signer | None) -> Packet:
    command = Command(OpCode.INIT, init)
    if key is None:
        return Packet(command=command)
    signature = sign(key, command.signed_bytes)
    return Packet(signed_command=SignedCommand(command, SignatureType.ECDSA_P256_SHA256, signature))


def _file_names(order: SecureDfuOrder) -> dict[str, str]:
    """The stems of the files, by the names in the manifest: as nrfutil chooses them, and different.

    Who unpacks the package may do so on a disk that takes App.bin and app.bin for one file.
    """
    stems = {
        "softdevice_bootloader": "sd_bl",
        "softdevice": "" if order.softdevice is None else order.softdevice.stem,
        "bootloader": "" if order.bootloader is None else order.bootloader.stem,
        "application": "" if order.application is None else order.application.stem,
    }
    plain = {name: re.sub(r"[^A-Za-z0-9._-]", "_", stem) for name, stem in stems.items()}
    taken = (plain["softdevice_bootloader"], plain["softdevice"], "manifest")
    if plain["application"].lower() in (one.lower() for one in taken):
        plain["application"] += "_application"
    return plain
