"""Whether a provenance and an SBOM belong to a package: each image and the file itself, and nothing besides.

The order is that of trust: the signature, the statement, the digest of the package, and only then what is in it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from smpdfu.dfu.evidence.attested import Attested, Subject
from smpdfu.dfu.evidence.extra import needs_extra
from smpdfu.dfu.evidence.sbom_document import MAX_SBOM_BYTES
from smpdfu.dfu.evidence.sbom_reading import Sbom, sbom_of_file
from smpdfu.dfu.package.package import Package, named
from smpdfu.dfu.package.zipped import MAX_PACKAGE_BYTES
from smpdfu.errors import EvidenceError, PackageError
from smpdfu.untrusted.files import read_start

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PublicKey

StrPath = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class CheckedEvidence:
    """What was found to belong to the package. ``key`` signed the provenance.

    ``sbom_attested``: the provenance has the digest of this SBOM; None if one of the two was not given.
    """

    package: Package
    attested: Attested | None = None
    key: PublicKey | None = None
    sbom: Sbom | None = None
    sbom_attested: bool | None = None


def check_evidence(
    package: StrPath,
    *,
    provenance: StrPath | None = None,
    keys: Sequence[PublicKey] = (),
    sbom: StrPath | None = None,
) -> CheckedEvidence:
    """Check that a provenance and an SBOM belong to a package file. One of ``keys`` must have signed the provenance.

    Raises SignatureError without a good signature; EvidenceError for a document that cannot be read, or that says
    something else than the package; PackageError, OSError; ValueError for a provenance without keys.
    """
    data = _read(package, MAX_PACKAGE_BYTES, "the package")
    attested, key = (None, None) if provenance is None else _attested(provenance, keys)
    if attested is not None:
        _check_package(attested, data)
    try:
        found = Package.from_bytes(data)
    except PackageError as error:
        raise named(error, package) from error
    if attested is not None:
        _refuse(_image_faults(attested, found, data), "provenance")
    if sbom is None:
        return CheckedEvidence(found, attested, key)
    text = _read(sbom, MAX_SBOM_BYTES, "the SBOM")
    said = sbom_of_file(text, sbom)
    _refuse(_sbom_faults(said, found, data), "SBOM")
    if attested is None:
        return CheckedEvidence(found, sbom=said)
    return CheckedEvidence(found, attested, key, said, _is_attested(attested, text))


def _read(path: StrPath, limit: int, what: str) -> bytes:
    data = read_start(path, limit + 1)
    if len(data) > limit:
        raise EvidenceError(f"{what} {Path(path).name} is larger than {limit >> 20} MiB")
    return data


def _attested(path: StrPath, keys: Sequence[PublicKey]) -> tuple[Attested, PublicKey]:
    with needs_extra("a provenance"):
        from smpdfu.dfu.evidence.envelope import MAX_ENVELOPE_BYTES, open_envelope  # here: an optional extra
        from smpdfu.dfu.evidence.statement import read_statement
    payload, key = open_envelope(_read(path, MAX_ENVELOPE_BYTES, "the provenance"), keys)
    return read_statement(payload), key


def _refuse(faults: Iterator[tuple[str, str]], what: str) -> None:
    """Raise for the first fault: its code, and what is wrong."""
    for code, text in faults:
        raise EvidenceError(f"the {what} does not belong to this package: {text}").because(code)


def _check_package(attested: Attested, data: bytes) -> None:
    digest = hashlib.sha256(data).hexdigest()
    if all(one.sha256 != digest or one.kind not in ("", "package") for one in attested.subjects):
        raise EvidenceError(
            f"the provenance does not belong to this package: it attests no file with the SHA-256 {digest}"
        ).because("package-digest")


def _image_faults(attested: Attested, package: Package, data: bytes) -> Iterator[tuple[str, str]]:
    digest = hashlib.sha256(data).hexdigest()
    own = next(one for one in attested.subjects if one.sha256 == digest and one.kind in ("", "package"))
    named = {one.name: one for one in attested.subjects if _is_image_of(one, own)}
    for image in package.images:
        subject = named.pop(image.file, None)
        if subject is None:
            yield "image-missing", f"it does not attest {image.file}"
        elif subject.sha256 != hashlib.sha256(image.data).hexdigest():
            yield "image-digest", f"it attests another {image.file}"
    for name in named:
        yield "image-extra", f"it attests {name}, which the package does not have"


def _is_image_of(subject: Subject, package: Subject) -> bool:
    """An image of this package; without the notes that smpdfu writes, anything but the package itself."""
    if subject is package:
        return False
    return subject.kind == "" or (subject.kind == "image" and subject.package == package.name)


def _sbom_faults(sbom: Sbom, package: Package, data: bytes) -> Iterator[tuple[str, str]]:
    digest = hashlib.sha256(data).digest()
    files = [file for file, known in sbom.packages.items() if known == digest]
    if not files:
        yield "sbom-package", f"it has no file with the SHA-256 {digest.hex()}"
    images = [one for one in sbom.images if one.package in ("", *files)]
    if len({one.file for one in images}) != len(images):
        yield "sbom-image", "it has two images of one name"
    named = {one.file: one for one in images}
    for image in package.images:
        entry = named.pop(image.file, None)
        if entry is None:
            yield "sbom-image", f"it lacks {image.file}"
        elif entry.sha256 != hashlib.sha256(image.data).digest() or entry.hash != image.hash:
            yield "sbom-image", f"it has another {image.file}"
    for name in named:
        yield "sbom-image", f"it has {name}, which the package does not have"


def _is_attested(attested: Attested, text: bytes) -> bool:
    """Whether the provenance has this SBOM. Raises EvidenceError if it has another one."""
    digest = hashlib.sha256(text).hexdigest()
    listed = [one for one in attested.subjects if one.kind == "sbom"]
    if listed and all(one.sha256 != digest for one in listed):
        raise EvidenceError("the provenance attests another SBOM of this package").because("sbom-digest")
    return bool(listed)
