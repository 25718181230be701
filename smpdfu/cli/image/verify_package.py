"""``verify`` of a package with its provenance and SBOM."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.cli.app.advice_by_code import verdict_words
from smpdfu.cli.image.key_files import read_verifier
from smpdfu.cli.terminal.show import Output, facts, stacked, table
from smpdfu.dfu.evidence.checks import CheckedEvidence, check_evidence
from smpdfu.errors import ImageError
from smpdfu.image.image_file import naming
from smpdfu.image.keys.export import public_key_hash
from smpdfu.image.signing.release import image_warnings
from smpdfu.image.verification.verify import verify

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.cli.image.evidence_checks import EvidenceChecks
    from smpdfu.cli.image.options import Release, VerifyKeys


def verify_package(file: Path, who: VerifyKeys, evidence: EvidenceChecks, guard: Release, out: Output) -> None:
    """Check the documents of a package; with keys of the bootloader, also the signature of each image."""
    passphrase = who.source()
    keys = [read_verifier(name, passphrase) for name in evidence.provenance_key or ()]
    trusted = [read_verifier(name, passphrase) for name in who.key or ()]
    found = check_evidence(file, provenance=evidence.provenance, keys=keys, sbom=evidence.sbom)
    for image in found.package.images:
        for sentence in image_warnings(image.image, release=guard.release):
            out.warn(f"{image.file}: {sentence}")
        with naming(Path(image.file)):
            refusals = verify(image.image, trusted).refusals
        if refusals:
            raise ImageError(f"{image.file} in {file} would be refused: {verdict_words(refusals[0])}")
    if found.sbom is not None and found.sbom_attested is not True:
        reason = "give its --provenance" if found.attested is None else "the provenance does not attest it"
        out.warn(f"the SBOM fits the package, but no signature covers it: {reason}")
    out.emit(_summary(file, evidence, found, signed=bool(trusted)), lambda: _told(evidence, found))


def _summary(file: Path, evidence: EvidenceChecks, found: CheckedEvidence, *, signed: bool) -> dict[str, Any]:
    images = [
        {
            "file": image.file,
            "version": image.image.header.version,
            "hash": image.hash,
            "sha256": hashlib.sha256(image.data).digest(),
        }
        for image in found.package.images
    ]
    said: dict[str, Any] = {"file": file, "verdict": "accepted", "accepted": True, "signature_checked": signed}
    if found.attested is not None and found.key is not None:
        said["provenance"] = {
            "file": evidence.provenance,
            "key": public_key_hash(found.key),
            "builder": found.attested.builder,
            "build_type": found.attested.build_type,
            "invocation": found.attested.invocation,
        }
    if found.sbom is not None:
        parts = sum(len(image.components) for image in found.sbom.images)
        said["sbom"] = {"file": evidence.sbom, "components": parts, "attested": found.sbom_attested}
    return said | {"images": images}


def _told(evidence: EvidenceChecks, found: CheckedEvidence) -> RenderableType:
    pairs: list[tuple[str, object]] = []
    if found.attested is not None and found.key is not None:
        pairs = [
            ("provenance", f"{evidence.provenance} is of this package"),
            ("signed by", f"{found.key.kind.name} {public_key_hash(found.key).hex()}"),
            ("builder", found.attested.builder),
            ("job", found.attested.invocation or "not recorded"),
        ]
    if found.sbom is not None:
        parts = sum(len(image.components) for image in found.sbom.images)
        pairs.append(("SBOM", f"{evidence.sbom} is of this package, and has {parts} components in its images"))
    rows = [(image.file, image.image.header.version, image.hash) for image in found.package.images]
    return stacked(facts(pairs), table("", ("image", "version", "hash"), rows))
