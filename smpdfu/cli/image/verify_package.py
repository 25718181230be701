"""``verify`` of a package: each image as its loaders judge it, and the documents that go with the package."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.cli.app.advice_by_code import verdict_words
from smpdfu.cli.app.ending import conclude
from smpdfu.cli.image.key_files import read_verifier
from smpdfu.cli.image.verify_case import Case, Trust
from smpdfu.cli.terminal.show import Output, facts, stacked
from smpdfu.dfu.evidence.checks import CheckedEvidence, check_evidence
from smpdfu.image.image_file import naming
from smpdfu.image.keys.export import public_key_hash
from smpdfu.image.nsib.trusted_keys import Nsib
from smpdfu.image.signing.release import image_warnings, provenance_warnings
from smpdfu.image.verification.seal_check import seal_key_warnings, with_seal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.cli.image.evidence_checks import EvidenceChecks
    from smpdfu.cli.image.options import Release, VerifyKeys
    from smpdfu.cli.image.trust_options import NsibOptions
    from smpdfu.cli.image.verify_options import LoaderOptions
    from smpdfu.dfu.package.images import PackageImage


def verify_package(
    file: Path,
    who: VerifyKeys,
    build: LoaderOptions,
    nsib: NsibOptions,
    evidence: EvidenceChecks,
    guard: Release,
    out: Output,
) -> None:
    """Check the documents of a package, then judge its images, and show the verdict on each."""
    passphrase = who.source()
    keys = [read_verifier(name, passphrase) for name in evidence.provenance_key or ()]
    trust = Trust.read(who, build, nsib, passphrase)
    found = check_evidence(file, provenance=evidence.provenance, keys=keys, sbom=evidence.sbom)
    cases = [_judge(image, file, trust) for image in found.package.images]
    for text in _warnings(cases, found, nsib, guard):
        out.warn(text)
    refusals = [one.refusal(require_all=build.require_all_checks) for one in cases]
    conclude(
        out,
        _summary(file, evidence, found, cases),
        lambda: stacked(*_told(evidence, found, cases)),
        next(filter(None, refusals), None),
    )


def _judge(image: PackageImage, package: Path, trust: Trust) -> Case:
    with naming(Path(image.file)):
        verdict, seal = with_seal(trust.judge(image.image), image.image, trust.nsib)
    return Case(Path(image.file), image.image, trust, verdict, seal, package=package)


def _warnings(cases: Sequence[Case], found: CheckedEvidence, nsib: NsibOptions, guard: Release) -> Iterator[str]:
    for case in cases:
        with naming(case.file):
            known = image_warnings(case.image, release=guard.release)
            known += seal_key_warnings(case.seal, release=guard.release)
            sentences = [*known, *map(verdict_words, case.verdict.warnings)]
        yield from (f"{case.file}: {sentence}" for sentence in sentences)
    if found.key is not None:
        yield from provenance_warnings(found.key, release=guard.release)
    if not any(case.image.encrypted for case in cases):
        loaders = {case.seal.loader for case in cases if case.seal is not None}
        if nsib.net_key and Nsib.B0N not in loaders:
            yield "--net-key does not apply: the package has no image for the network core"
        if nsib.b0_key and Nsib.B0 not in loaders:
            yield "--b0-key does not apply: the package does not have MCUboot itself"
    if found.sbom is not None and found.sbom_attested is not True:
        why = "give its --provenance" if found.attested is None else "the provenance does not attest it"
        yield f"the SBOM fits the package, but no signature covers it: {why}"


def _summary(file: Path, evidence: EvidenceChecks, found: CheckedEvidence, cases: Sequence[Case]) -> dict[str, Any]:
    images = [
        case.summary() | {"sha256": hashlib.sha256(image.data).digest()}
        for case, image in zip(cases, found.package.images, strict=True)
    ]
    said: dict[str, Any] = {
        "file": file,
        "verdict": max((case.word for case in cases), key=("accepted", "not checked", "refused").index),
        "accepted": _all(case.verdict.accepted for case in cases),
        "signature_checked": all(case.verdict.signature_checked for case in cases),
    }
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


def _all(accepted: Iterator[bool | None]) -> bool | None:
    """False if one image is refused, else None if one was not wholly checked."""
    found = set(accepted)
    return False if False in found else None if None in found else True


def _told(evidence: EvidenceChecks, found: CheckedEvidence, cases: Sequence[Case]) -> list[RenderableType]:
    """The documents, then each image, with a line between them."""
    pairs: list[tuple[str, object]] = []
    if found.attested is not None and found.key is not None:
        pairs = [
            ("provenance", f"{evidence.provenance} is of this package"),
            ("signed by", f"{found.key.kind.name} {public_key_hash(found.key).hex()}"),
            ("builder", found.attested.builder),
            ("job", found.attested.invocation or "not recorded"),
        ]
    if found.sbom is not None:
        count = sum(len(image.components) for image in found.sbom.images)
        pairs.append(("SBOM", f"{evidence.sbom} is of this package, and has {count} components in its images"))
    parts: list[RenderableType] = [*([facts(pairs)] if pairs else []), *(case.told() for case in cases)]
    return [part for one in parts for part in (one, "")][:-1]
