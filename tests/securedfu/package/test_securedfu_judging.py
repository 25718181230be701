"""What a bootloader would refuse is found in a package, field by field, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from smpdfu.image.keys.keys import generate, load_private
from smpdfu.image.secure_dfu.init_packet import (
    BootValidation,
    Command,
    FwType,
    Hash,
    HashType,
    InitCommand,
    OpCode,
    Packet,
    SignatureType,
    SignedCommand,
    ValidationType,
)
from smpdfu.image.secure_dfu.package import Entry, SecureDfuPackage
from smpdfu.image.secure_dfu.protobuf import bytes_field, number_field
from smpdfu.securedfu.findings import Severity
from smpdfu.securedfu.judging import SecureDfuJudgement, judge_entry, judge_package
from smpdfu.securedfu.signature import sign
from tests.conftest import ROOT

KEY = load_private((ROOT / "tests" / "securedfu" / "other-key.pem").read_bytes())
OTHER = generate("ecdsa-p256")
FIRMWARE = bytes(range(256)) * 40
INIT = InitCommand(
    7,
    52,
    (0x100,),
    FwType.APPLICATION,
    0,
    0,
    len(FIRMWARE),
    Hash.of_digest(sha256(FIRMWARE).digest()),
    False,
    (BootValidation(ValidationType.VALIDATE_GENERATED_CRC, b""),),
)


def entry(
    init: InitCommand = INIT, name: str = "application", op_code: int = OpCode.INIT, reset: bytes | None = None
) -> Entry:
    """A signed image."""
    made = Command(op_code, init, reset)
    signed = SignedCommand(made, SignatureType.ECDSA_P256_SHA256, sign(KEY, made.signed_bytes))
    return Entry.of(name, "app", FIRMWARE, Packet(signed_command=signed))


def with_signature(**change: Any) -> Entry:
    packet = entry().init_packet
    assert packet.signed_command is not None
    return Entry.of("application", "app", FIRMWARE, Packet(signed_command=replace(packet.signed_command, **change)))


def codes(judged: SecureDfuJudgement, severity: Severity) -> list[str]:
    return [one.code for one in judged.findings if one.severity is severity]


def test_a_good_image_has_no_finding_and_names_its_key() -> None:
    assert judge_entry(entry(), [OTHER, KEY]) == SecureDfuJudgement(entry(), (), 1)
    assert judge_entry(entry()) == SecureDfuJudgement(entry(), (), None)


TWO = (Command(OpCode.INIT, INIT), SignedCommand(Command(OpCode.INIT, INIT), 0, bytes(64)))
LONG = replace(INIT, unknown=(bytes_field(40, bytes(600)),))
ECDSA = ValidationType.VALIDATE_ECDSA_P256_SHA256
BAD: dict[str, tuple[Severity, Entry]] = {
    "damaged": (Severity.ERROR, Entry("application", "a.bin", "a.dat", 0, None, "a.bin is not in the package")),
    "init-packet-size": (Severity.ERROR, entry(LONG)),
    "two-commands": (
        Severity.WARNING,
        Entry.of("application", "app", FIRMWARE, Packet(command=TWO[0], signed_command=TWO[1])),
    ),
    "op-code": (Severity.ERROR, entry(op_code=OpCode.RESET)),
    "field-order": (Severity.WARNING, entry(reset=b"\x08\x01")),
    "type": (Severity.ERROR, entry(name="bootloader")),
    "external-application": (Severity.NOTE, entry(replace(INIT, type=FwType.EXTERNAL_APPLICATION))),
    "debug-mode": (Severity.WARNING, entry(replace(INIT, is_debug=True, hw_version=None))),
    "no-hw-version": (Severity.ERROR, entry(replace(INIT, hw_version=None))),
    "no-fw-version": (Severity.WARNING, entry(replace(INIT, fw_version=None))),
    "too-many": (Severity.ERROR, entry(replace(INIT, sd_req=tuple(range(17))))),
    "no-size": (Severity.ERROR, entry(replace(INIT, app_size=None))),
    "size": (Severity.ERROR, entry(replace(INIT, app_size=len(FIRMWARE) + 4))),
    "hash-type": (Severity.ERROR, entry(replace(INIT, hash=Hash(HashType.SHA512, bytes(32))))),
    "hash": (Severity.ERROR, entry(replace(INIT, hash=Hash(HashType.SHA256, sha256(FIRMWARE).digest())))),
    "not-signed": (Severity.ERROR, Entry.of("application", "app", FIRMWARE, Packet(command=TWO[0]))),
    "signature-type": (Severity.ERROR, with_signature(signature_type=SignatureType.ED25519)),
    "signature-size": (Severity.ERROR, with_signature(signature=bytes(63))),
    "signature": (Severity.ERROR, with_signature(signature=bytes([1]) * 64)),
    "no-sd-req": (Severity.WARNING, entry(replace(INIT, sd_req=()))),
    "undecodable": (Severity.ERROR, entry(replace(INIT, boot_validation=(BootValidation(None, b""),)))),
    "boot-validation-type": (Severity.ERROR, entry(replace(INIT, boot_validation=(BootValidation(9, b""),)))),
    "boot-validation": (Severity.ERROR, entry(replace(INIT, boot_validation=(BootValidation(ECDSA, bytes(64)),)))),
}


@pytest.mark.parametrize("code", BAD)
def test_what_a_bootloader_refuses_is_named(code: str) -> None:
    severity, bad = BAD[code]
    assert code in codes(judge_entry(bad, [KEY]), severity)


def test_only_that_is_named() -> None:
    """Each row has one fault, so that no other code of a refusal stands beside it, except where one follows."""
    follows = {"damaged": set(), "two-commands": {"signature"}, "not-signed": set(), "no-size": set()}
    for code, (_, bad) in BAD.items():
        found = set(codes(judge_entry(bad, [KEY]), Severity.ERROR)) - {code}
        assert found <= follows.get(code, set()), code


def test_without_a_key_an_unsigned_package_is_a_warning() -> None:
    (judged,) = judge_package(SecureDfuPackage.of([BAD["not-signed"][1]]))
    assert codes(judged, Severity.WARNING) == ["not-signed"]


def test_the_signature_of_a_changed_init_packet_does_not_verify() -> None:
    packet = entry().init_packet
    assert packet.signed_command is not None
    data = packet.to_bytes()
    changed = Packet.from_bytes(data.replace(b"\x08\x07\x10\x34", b"\x08\x08\x10\x34"))
    assert changed.init.fw_version == 8
    bad = Entry.of("application", "app", FIRMWARE, changed)
    assert codes(judge_entry(bad, [KEY]), Severity.ERROR) == ["signature"]


def test_the_bytes_that_were_signed_are_verified_and_not_what_we_would_write() -> None:
    """Another tool may write the fields in another order, or a number in more bytes."""
    init = b"".join(one.to_bytes() for one in (number_field(2, 52), number_field(1, 7))) + b"\x20\x80\x00"
    init += InitCommand(
        app_size=len(FIRMWARE), hash=Hash.of_digest(sha256(FIRMWARE).digest()), sd_req=(0x100,)
    ).to_bytes()
    command = Command.from_bytes(number_field(1, 1).to_bytes() + bytes_field(2, init).to_bytes())
    assert command.signed_bytes == init
    assert command.init is not None
    assert replace(command.init).to_bytes() != init
    packet = Packet(signed_command=SignedCommand(command, 0, sign(KEY, init)))
    again = Packet.from_bytes(packet.to_bytes())
    assert judge_entry(Entry.of("application", "app", FIRMWARE, again), [KEY]).signed_by == 0


def test_softdevice_and_bootloader_are_validated_each_by_its_own_bytes() -> None:
    size = 4096
    parts = FIRMWARE[:size], FIRMWARE[size:]
    validations = tuple(BootValidation(ECDSA, sign(KEY, part)) for part in parts)
    init = replace(
        INIT,
        type=FwType.SOFTDEVICE_BOOTLOADER,
        sd_size=size,
        bl_size=len(parts[1]),
        app_size=0,
        boot_validation=validations,
    )
    found = judge_entry(entry(init, "softdevice_bootloader"), [KEY]).findings
    assert [(one.code, one.severity) for one in found] == [("sd-boot-validation", Severity.WARNING)]
    swapped = replace(init, boot_validation=validations[::-1])
    assert codes(judge_entry(entry(swapped, "softdevice_bootloader"), [KEY]), Severity.ERROR) == ["boot-validation"] * 2


SIGNED_BY_NONE = (BootValidation(ECDSA, bytes(10)),)
ODD = {
    "a signature of no type": (with_signature(signature_type=None), "signature-type"),
    "a hash of no type": (entry(replace(INIT, hash=Hash(None, bytes(32)))), "undecodable"),
    "a hash of 33 bytes": (entry(replace(INIT, hash=Hash(HashType.SHA256, bytes(33)))), "undecodable"),
    "a boot validation of 65 bytes": (
        entry(replace(INIT, boot_validation=(BootValidation(2, bytes(65)),))),
        "undecodable",
    ),
    "a short signature for each boot": (entry(replace(INIT, boot_validation=SIGNED_BY_NONE)), "boot-validation"),
}


@pytest.mark.parametrize("title", ODD)
def test_what_the_bootloader_cannot_read_is_named_without_a_key_as_well(title: str) -> None:
    odd, code = ODD[title]
    assert code in codes(judge_entry(odd), Severity.ERROR)


@pytest.mark.parametrize(("kind", "warned"), [(ECDSA, True), (ValidationType.VALIDATE_SHA256, False)])
def test_a_softdevice_that_is_checked_by_a_signature_wants_a_new_bootloader(kind: ValidationType, warned: bool) -> None:
    """Up to nRF5 SDK 16, the first boot validation counts for SoftDevice and bootloader."""
    cut = 4096
    first = BootValidation(kind, sign(KEY, FIRMWARE[:cut]) if kind is ECDSA else b"")
    validations = (first, BootValidation(ValidationType.VALIDATE_GENERATED_CRC, b""))
    both = replace(INIT, type=FwType.SOFTDEVICE_BOOTLOADER, sd_size=cut, bl_size=len(FIRMWARE) - cut, app_size=0)
    made = entry(replace(both, boot_validation=validations), name="softdevice_bootloader")
    judged = judge_entry(made, [KEY])
    assert codes(judged, Severity.ERROR) == []
    assert ("sd-boot-validation" in codes(judged, Severity.WARNING)) is warned
