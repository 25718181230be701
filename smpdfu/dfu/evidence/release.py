"""A released package, and the documents that go with it: what is attested, and of what it was made."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from smpdfu.dfu.build_folder.build import Build
from smpdfu.dfu.build_folder.table import facts_of
from smpdfu.dfu.evidence.attested import KIND, PACKAGE
from smpdfu.dfu.evidence.build_software import software_of, spdx_files
from smpdfu.dfu.evidence.builder import Builder, find_builder
from smpdfu.dfu.evidence.extra import needs_extra
from smpdfu.dfu.evidence.image_facts import image_facts
from smpdfu.dfu.package import manifest as manifests
from smpdfu.dfu.package.made import PACKAGE_NAME
from smpdfu.dfu.package.package import Package, source_date
from smpdfu.untrusted.files import open_input

if TYPE_CHECKING:
    from smpdfu.dfu.evidence.statement import Artifact
    from smpdfu.dfu.package.images import PackageImage
    from smpdfu.image.keys.keys import Signer

StrPath = str | os.PathLike[str]
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A package and its ``file``, by its name and its bytes ``data``."""

    package: Package = field(repr=False)
    data: bytes = field(repr=False)
    file: str = PACKAGE_NAME


@dataclass(frozen=True, slots=True)
class Release:
    """What is released together: the package of the cores, and MCUboot's own if there is one.

    ``build`` is the build folder they were made of, ``inputs`` are other files they were made of. ``parameters`` are
    the choices that were made; nothing secret belongs there.

    Raises ValueError without a package.
    """

    packages: tuple[PackageFile, ...]
    build: Build | None = None
    inputs: tuple[StrPath, ...] = ()
    parameters: Mapping[str, str | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.packages:
            raise ValueError("a release has at least one package")

    @property
    def images(self) -> tuple[PackageImage, ...]:
        """The images of all packages."""
        return tuple(image for one in self.packages for image in one.package.images)


def make_sbom(release: Release) -> bytes:
    """The SBOM of a release: CycloneDX 1.6, JSON. The same input gives the same bytes.

    Its time is ``SOURCE_DATE_EPOCH``, else that of the manifest. The SPDX documents of the build, if somebody wrote
    them, say what is in each image. Raises EvidenceError, also without the extra ``evidence``; PackageError for a
    ``SOURCE_DATE_EPOCH`` that is no number; OSError.
    """
    with needs_extra("an SBOM"):
        from smpdfu.dfu.evidence.sbom import SbomSource, sbom_bytes  # here: an optional extra
    software = {} if release.build is None else software_of(release.build)
    return sbom_bytes(
        SbomSource(
            tuple((one.file, one.data, one.package) for one in release.packages),
            _time_s(release.packages[0].package),
            release.build,
            software,
        )
    )


def _time_s(package: Package) -> int:
    if os.environ.get("SOURCE_DATE_EPOCH"):
        return source_date()
    return manifests.number(package.manifest, "time", default=source_date()) or 0


def make_provenance(
    release: Release,
    signer: Signer,
    *,
    sbom: tuple[str, bytes] | None = None,
    builder: Builder | None = None,
) -> bytes:
    """The signed provenance of a release: an in-toto statement with SLSA's provenance, in a DSSE envelope.

    ``signer`` may be any key that can sign images. ``sbom``, name and bytes, is attested, too. ``builder``: without
    one, what the variables of the CI say. Raises EvidenceError, SigningError, OSError.
    """
    with needs_extra("a provenance"):
        from smpdfu.dfu.evidence.envelope import seal_payload  # here: an optional extra
        from smpdfu.dfu.evidence.statement import ProvenanceSource, statement_bytes
    known = find_builder(os.environ) if builder is None else builder
    source = ProvenanceSource(
        tuple(_subjects(release, sbom)), tuple(_materials(release, known)), release.parameters, known, _facts(release)
    )
    return seal_payload(statement_bytes(source), signer)


def _subjects(release: Release, sbom: tuple[str, bytes] | None) -> Iterator[Artifact]:
    from smpdfu.dfu.evidence.statement import Artifact

    for one in release.packages:
        yield Artifact(one.file, _sha256(one.data), notes={KIND: "package"})
        for image in one.package.images:
            yield Artifact(image.file, _sha256(image.data), notes={KIND: "image", PACKAGE: one.file})
    if sbom is not None:
        yield Artifact(sbom[0], _sha256(sbom[1]), notes={KIND: "sbom"})


def _sha256(data: bytes) -> dict[str, str]:
    return {"sha256": hashlib.sha256(data).hexdigest()}


def _materials(release: Release, builder: Builder) -> Iterator[Artifact]:
    from smpdfu.dfu.evidence.statement import Artifact

    if builder.source is not None:
        address, commit = builder.source
        yield Artifact("source", {"gitCommit": commit}, uri=address)
    for name, value in _keys(release.images):
        yield Artifact(name, {_HASH_NAMES[len(value)]: value})
    for path in release.inputs:
        yield Artifact(Path(path).name, _sha256_of_file(path))
    if release.build is not None:
        for name in _build_files(release.build, release.images):
            yield Artifact(name, _sha256_of_file(release.build.root / name))


_HASH_NAMES = {64: "sha256", 96: "sha384", 128: "sha512"}
_KEYS = {"smpdfu:key-hash": "key of MCUboot", "smpdfu:nsib-key-hash": "key of NSIB"}


def _keys(images: Sequence[PackageImage]) -> Iterable[tuple[str, str]]:
    """The keys that signed the images, each by its hash in hex."""
    facts = (fact for image in images for fact in image_facts(image))
    return sorted({(_KEYS[name], value) for name, value in facts if name in _KEYS and len(value) in _HASH_NAMES})


def _build_files(build: Build, images: Sequence[PackageImage]) -> Iterable[str]:
    """What a package of a build was made of: firmware or signed images, configuration, the SPDX documents beside it."""
    packed = {image.file: hashlib.sha256(image.data).hexdigest() for image in images}
    found: list[str] = []
    for update in build.updates:
        taken = update.signed is not None and (
            _sha256_of_file(build.root / update.signed)["sha256"] == packed.get(update.name)
        )
        found += [name for name in (update.signed if taken else update.unsigned, update.image.config.file) if name]
        found += spdx_files(build, update)
    return [name for name in dict.fromkeys(found) if (build.root / name).is_file()]


def _sha256_of_file(path: StrPath) -> dict[str, str]:
    state = hashlib.sha256()
    with open_input(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            state.update(chunk)
    return {"sha256": state.hexdigest()}


_PLACES = ("key that the build signs with", "key that the build encrypts with")
"""Rows that name a path on the computer of whoever made the build."""


def _facts(release: Release) -> Mapping[str, str]:
    """What the build says of itself, by name."""
    if release.build is None:
        return {}
    return {one.name: one.value for one in facts_of(release.build) if one.of == "build" and one.name not in _PLACES}
