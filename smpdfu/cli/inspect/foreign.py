"""How ``inspect`` shows files that are not images: keys, and files of other tools. Packages: see ``package.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from smpdfu.cli.inspect.contents import Contents, Pairs
from smpdfu.cli.inspect.package import multi_image, package
from smpdfu.image.inspect.foreign import elf_facts, srec_facts, suit_facts, uf2_facts
from smpdfu.image.keys.pem_text import is_encrypted
from smpdfu.image.nsib.trusted_keys import NsibKeys
from smpdfu.image.secure_dfu.facts import packet_facts
from smpdfu.image.secure_dfu.package import SecureDfuPackage
from smpdfu.untrusted.nesting import load_json


def secure_dfu(data: bytes, advice: str) -> Contents:
    """A Secure DFU zip of the nRF5 SDK: what its init packets say. Raises FormatError."""
    rows: list[tuple[str, object]] = []
    images: list[dict[str, object]] = []
    for one in SecureDfuPackage.from_faulty(data).entries:
        said = None if one.packet is None else packet_facts(one.packet)
        rows += [("image", f"{one.name}: {one.bin_file or 'no file'}, {one.size_bytes} bytes")]
        files = {"name": one.name, "bin_file": one.bin_file, "dat_file": one.dat_file, "size_bytes": one.size_bytes}
        images += [files | {"packet": said, "fault": one.fault}]
        if said is None:
            rows += [("init packet", one.fault)]
            continue
        rows += [
            ("type", said.fw_type),
            ("version", "none" if said.fw_version is None else said.fw_version),
            ("hardware version", "none" if said.hw_version is None else said.hw_version),
            ("SoftDevices", ", ".join(f"0x{number:x}" for number in said.softdevices) or "none"),
            ("hash", f"{said.hash_type} {said.hash.hex()}".rstrip()),
            ("signature", said.signature_type or "none"),
        ]
    return Contents(tuple(rows), data=(("images", images),), advice=advice)


def key(data: bytes, advice: str) -> Contents:
    """A PEM file: which kind, behind a passphrase or not."""
    held, more = next((found for mark, *found in _PEM_WORDS if mark in data), ("something unknown", _NO_USE))
    protected = is_encrypted(data)
    pairs = (("holds", held), ("protected by a passphrase", protected))
    return Contents(pairs, data=(("holds", held), ("protected", protected)), advice=more or advice)


_NO_USE = "MCUboot has no use for it."
_PEM_WORDS = (
    (
        b"OPENSSH PRIVATE KEY-----",
        "an OpenSSH private key",
        "Copy it, then convert the copy to PEM with `ssh-keygen -p -m PEM -f FILE`.",
    ),
    (b"PRIVATE KEY-----", "a private key", ""),
    (b"PUBLIC KEY-----", "a public key", ""),
    (b"CERTIFICATE REQUEST-----", "a certificate request", _NO_USE),
    (
        b"CERTIFICATE-----",
        "a certificate",
        "MCUboot uses bare keys only. Print the public key in it with `openssl x509 -in FILE -pubkey -noout`.",
    ),
    (b"PGP ", "a PGP key or message", "MCUboot has no use for it. Make a key for signing with `smpdfu key gen`."),
    (b"EC PARAMETERS-----", "parameters of a curve, without a key", "Make a key with `smpdfu key gen`."),
)


def _evidence(document: dict[str, Any]) -> Contents | None:
    """What an SBOM or a signed provenance is for; None for other documents."""
    if document.get("bomFormat") == "CycloneDX":
        what = "a software bill of materials (CycloneDX)"
        said = "Find the devices that run its images with `smpdfu affected --sbom FILE`. Check that it belongs to a "
        said += "package with `smpdfu verify PACKAGE --sbom FILE`."
    elif "payloadType" in document and "signatures" in document:
        what = "a signed statement (DSSE), such as a provenance"
        said = "Check the package with `smpdfu verify PACKAGE --provenance FILE --provenance-key KEY`."
    else:
        return None
    return Contents((("holds", what),), data=(("holds", what),), advice=said)


def json_text(data: bytes, advice: str) -> Contents:
    """A JSON file: a manifest that was taken out of its package is told from others."""
    try:
        document: Any = load_json(data)
    except ValueError:
        return Contents((("text", "not proper JSON"),), advice=advice)
    if isinstance(document, dict) and (found := _evidence(document)) is not None:
        return found
    files = document.get("files") if isinstance(document, dict) else None
    if not isinstance(files, list):
        return Contents(advice=advice)
    names = [str(one.get("file")) for one in files if isinstance(one, dict)]
    words = "It is the manifest of a dfu_application.zip. Use the whole package."
    return Contents((("describes", ", ".join(names) or "nothing"),), data=(("files", names),), advice=words)


def elf(data: bytes, advice: str) -> Contents:
    """An ELF file: for which processor."""
    found = elf_facts(data)
    pairs = _pairs(found, {"machine": "for", "type": "type"})
    if isinstance(entry := found.get("entry"), int):
        pairs += (("entry", f"0x{entry:x}"),)
    if found and not found["for_this_chip"]:
        advice = f"It is for {found['machine']} and not for an nRF5340: the build was for native_sim or another board."
    return Contents(pairs, data=tuple(found.items()), advice=advice)


def uf2(data: bytes, advice: str) -> Contents:
    """A UF2 file: for which chip, where to."""
    found = uf2_facts(data)
    pairs = _pairs(found, {"family": "for", "blocks": "blocks", "payload_bytes": "firmware bytes"})
    if isinstance(address := found.get("address"), int):
        pairs += (("address", f"0x{address:x}"),)
    return Contents(pairs, data=tuple(found.items()), advice=advice)


def srec(data: bytes, advice: str) -> Contents:
    """An S-record file: its name, where to."""
    found = srec_facts(data)
    pairs = _pairs(found, {"name": "name", "records": "records"})
    if isinstance(address := found.get("address"), int):
        pairs += (("address", f"0x{address:x}"),)
    return Contents(pairs, data=tuple(found.items()), advice=advice)


def suit(data: bytes, advice: str) -> Contents:
    """A SUIT envelope: its sequence number, what is in it."""
    found = suit_facts(data)
    pairs = _pairs(found, {"sequence_number": "sequence number", "manifest_version": "manifest version"})
    payloads = found.get("payloads")
    if isinstance(payloads, list):
        pairs += (("payloads", ", ".join(payloads)),)
    return Contents(pairs, data=tuple(found.items()), advice=advice)


def text(data: bytes, advice: str) -> Contents:
    """Text: Intel HEX whose first line is damaged is told from others."""
    if data.lstrip().startswith(b":"):
        advice = "It begins like Intel HEX, but its first line is damaged. Download or build the file again."
    return Contents(advice=advice)


def _pairs(found: Mapping[str, object], names: Mapping[str, str]) -> Pairs:
    return tuple((words, found[name]) for name, words in names.items() if found.get(name) is not None)


# By the names of FileKind. Packages have images with seals, which are judged by keys.
PACKAGES: dict[str, Callable[[bytes, str, NsibKeys], Contents]] = {
    "DFU_APPLICATION_ZIP": package,
    "DFU_MULTI_IMAGE": multi_image,
}
READERS: dict[str, Callable[[bytes, str], Contents]] = {
    "SECURE_DFU_ZIP": secure_dfu,
    "PEM": key,
    "JSON": json_text,
    "ELF": elf,
    "UF2": uf2,
    "S_RECORD": srec,
    "SUIT_ENVELOPE": suit,
    "TEXT": text,
}
