"""``secure-dfu show``: reads a package, lets the library judge it, and prints all of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.cli.app.ending import conclude
from smpdfu.cli.keys.passphrase import Passphrase, read_key
from smpdfu.cli.securedfu.findings import finding_entry, finding_line
from smpdfu.cli.terminal.show import Output, facts
from smpdfu.errors import ImageError
from smpdfu.image.secure_dfu.bounds import MAX_SD_REQ
from smpdfu.image.secure_dfu.facts import packet_facts
from smpdfu.image.secure_dfu.init_packet import OpCode, Packet, ValidationType, name_of
from smpdfu.image.secure_dfu.softdevices import softdevice_words
from smpdfu.image.signers import shown_key
from smpdfu.securedfu.findings import Severity, errors_of
from smpdfu.securedfu.judging import SecureDfuJudgement, judge_package
from smpdfu.securedfu.reading import read_package
from smpdfu.securedfu.signature import check_key

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PublicKey


def show_package(path: Path, names: Sequence[str], secret: Passphrase, out: Output) -> None:
    """Show a package; raises ImageError if the bootloader would refuse it."""
    package = read_package(path)
    keys = [_public(name, secret) for name in names]
    judged = judge_package(package, keys)
    found = [one for judgement in judged for one in judgement.findings]
    for one in found:
        if one.severity is Severity.WARNING:
            out.warn(finding_line(one))
    refused = errors_of(found)
    error = None
    if refused or not judged:
        reason = finding_line(refused[0]) if refused else "its manifest names no image"
        error = ImageError(f"the bootloader would refuse {path}: {reason}")
    answer = {
        "images": [_entry(one, names) for one in judged],
        "signature_checked": bool(keys),
        "findings": [finding_entry(one) for one in found],
        "accepted": error is None,
    }
    conclude(out, answer, lambda: facts([row for one in judged for row in _rows(one, names)]), error)


def _public(name: str, secret: Passphrase) -> PublicKey:
    key = read_key(name, secret).public
    check_key(key)
    return key


def _entry(judged: SecureDfuJudgement, names: Sequence[str]) -> dict[str, Any]:
    entry, packet = judged.entry, judged.entry.packet
    signed_by = None if judged.signed_by is None else shown_key(names[judged.signed_by])
    return {
        "name": entry.name,
        "bin_file": entry.bin_file,
        "dat_file": entry.dat_file,
        "size_bytes": entry.size_bytes,
        "fault": entry.fault,
        "more": entry.more,
        "packet": None if packet is None else asdict(packet_facts(packet)) | _more(packet),
        "signed_by": signed_by,
    }


def _more(packet: Packet) -> dict[str, Any]:
    """The fields that ``inspect`` leaves out."""
    init, signed = packet.init, packet.signed_command
    return {
        "op_code": name_of(OpCode, None if packet.chosen is None else packet.chosen.op_code),
        "sd_size": init.sd_size,
        "bl_size": init.bl_size,
        "app_size": init.app_size,
        "boot_validation": [
            {"type": name_of(ValidationType, one.type), "bytes": one.data or b""} for one in init.boot_validation
        ],
        "signature": None if signed is None else signed.signature,
        "unknown_fields": [field.number for field in init.unknown],
        "init_packet_bytes": len(packet.to_bytes()),
    }


def _rows(judged: SecureDfuJudgement, names: Sequence[str]) -> list[tuple[str, object]]:
    entry, packet = judged.entry, judged.entry.packet
    rows: list[tuple[str, object]] = [
        ("image", f"{entry.name}: {entry.bin_file or 'no file'}, {entry.size_bytes} bytes")
    ]
    if packet is None:
        return [*rows, ("init packet", entry.fault)]
    said, init = packet_facts(packet), packet.init
    validations = [name_of(ValidationType, one.type) for one in init.boot_validation]
    rows += [
        ("init packet", f"{entry.dat_file}, {len(packet.to_bytes())} bytes, {_more(packet)['op_code']}"),
        ("type", said.fw_type),
        ("version", _number(init.fw_version)),
        ("hardware version", _number(init.hw_version)),
        ("SoftDevice", _listed(map(softdevice_words, init.sd_req))),
        ("sizes", ", ".join(f"{name} {size} bytes" for name, size in said.sizes) or "none"),
        ("hash", f"{said.hash_type} {said.hash.hex()}".rstrip()),
        ("checked at boot", _listed(validations)),
        ("debug mode", said.is_debug),
        ("signature", _signature(judged, names)),
    ]
    if init.unknown:
        rows.append(("unknown fields", _listed(str(field.number) for field in init.unknown)))
    errors = errors_of(judged.findings)
    return [*rows, *(("refused", one.words) for one in errors)]


def _listed(words: Iterable[str]) -> str:
    """The words in one line. A package may hold thousands of them where a bootloader takes MAX_SD_REQ at most."""
    found = list(words)
    more = len(found) - MAX_SD_REQ
    return (", ".join(found[:MAX_SD_REQ]) or "none") + (f" and {more} more" if more > 0 else "")


def _signature(judged: SecureDfuJudgement, names: Sequence[str]) -> str:
    said = None if judged.entry.packet is None else packet_facts(judged.entry.packet).signature_type
    if said is None:
        return "none"
    if not names:
        return f"{said}, not verified: give the bootloader's key with -k"
    return (
        f"{said}, not by this key" if judged.signed_by is None else f"{said}, by {shown_key(names[judged.signed_by])}"
    )


def _number(value: int | None) -> str:
    if value is None:
        return "none"
    return f"{value} (0x{value:08x})" if value > 0xFFFF else str(value)
