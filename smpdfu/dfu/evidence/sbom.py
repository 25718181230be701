"""The software bill of materials of a package: CycloneDX 1.6, JSON, written by ``cyclonedx-python-lib``.

The package is the document's subject, each image is a component, and the software in an image stands in that image's
nested ``components``. Nothing of it depends on the clock or on chance: the same package, build and SPDX documents give
the same bytes. Source: CycloneDX 1.6 (ECMA-424).
"""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.lifecycle import LifecyclePhase, PredefinedLifecycle
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from smpdfu import __version__
from smpdfu.dfu.build_folder.build import Build
from smpdfu.dfu.evidence.image_facts import image_facts
from smpdfu.dfu.evidence.sbom_document import IMAGE_PACKAGE, PACKAGE_FILE
from smpdfu.dfu.evidence.software import Software
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.package import Package

ROOT_REF = "package"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:smpdfu:sbom:1")
_LATEST_S = 253_402_300_799
"""The end of the year 9999: the last time that can be written."""


@dataclass(frozen=True, slots=True)
class SbomSource:
    """What an SBOM is made of: each package with its file's name and bytes, and what is known of the build.

    ``software`` is what is in each image, by the image's file name. ``time_s``: seconds since 1970.
    """

    packages: tuple[tuple[str, bytes, Package], ...] = field(repr=False)
    time_s: int
    build: Build | None = None
    software: Mapping[str, tuple[Software, ...]] = field(default_factory=dict)


def sbom_bytes(source: SbomSource) -> bytes:
    """The document as it is written. Raises EvidenceError for a name that no document can hold."""
    made = [
        (_package(number, *one), [_image(image, one[0], source) for image in one[2].images])
        for number, one in enumerate(source.packages)
    ]
    # Its number is made of what it says, so that two documents with the same number say the same.
    text = _bom(made, source, uuid.UUID(int=0))
    return _bom(made, source, uuid.uuid5(_NAMESPACE, hashlib.sha256(text).hexdigest()))


def _bom(made: list[tuple[Component, list[Component]]], source: SbomSource, number: uuid.UUID) -> bytes:
    root, more = made[0][0], [package for package, _ in made[1:]]
    tool = Component(name="smpdfu", version=__version__, type=ComponentType.APPLICATION, bom_ref="tool:smpdfu")
    metadata = BomMetaData(
        component=root,
        tools=ToolRepository(components=[tool]),
        timestamp=datetime.fromtimestamp(min(max(source.time_s, 0), _LATEST_S), UTC),
        lifecycles=[PredefinedLifecycle(LifecyclePhase.POST_BUILD)],
    )
    images = [image for _, of_one in made for image in of_one]
    bom = Bom(components=[*more, *images], metadata=metadata, serial_number=number)
    for package, of_one in made:
        bom.register_dependency(package, [*of_one, *(more if package is root else ())])
    for image in images:
        bom.register_dependency(image, list(image.components))
    return JsonV1Dot6(bom).output_as_string(indent=2).encode() + b"\n"


def _package(number: int, file: str, data: bytes, package: Package) -> Component:
    """A package: its version is that of the application, or of its first image."""
    images = package.images
    main = next((one for one in images if one.role is Role.APP), images[0])
    name = package.manifest.get("name")
    version = main.image.header.version.with_build
    digest = hashlib.sha256(data).hexdigest()
    called = name if isinstance(name, str) and name.isprintable() and name.strip() else file
    return Component(
        name=called,
        version=version,
        type=ComponentType.FIRMWARE,
        bom_ref=f"{ROOT_REF}:{file}" if number else ROOT_REF,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        purl=_own_purl(called, version, digest),
        properties=[Property(name=PACKAGE_FILE, value=file)],
    )


def _image(image: PackageImage, package: str, source: SbomSource) -> Component:
    version = image.image.header.version.with_build
    digest = hashlib.sha256(image.data).hexdigest()
    reference = f"image:{image.file}"
    said = (*image_facts(image, source.build), (IMAGE_PACKAGE, package))
    return Component(
        name=image.file,
        version=version,
        type=ComponentType.FIRMWARE,
        bom_ref=reference,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        purl=_own_purl(image.file, version, digest),
        properties=[Property(name=name, value=value) for name, value in said],
        components=list(_software(source.software.get(image.file, ()), reference)),
    )


def _own_purl(name: str, version: str, digest: str) -> PackageURL:
    return PackageURL("generic", None, name, version, {"checksum": f"sha256:{digest}"})


# --- the software in an image ---------------------------------------------------------------------------------------


def _software(found: Iterable[Software], image: str) -> Iterator[Component]:
    seen = Counter[str]()
    for one in found:
        reference = f"{image}/{one.name}@{one.version}" if one.version else f"{image}/{one.name}"
        seen[reference] += 1
        yield _component(one, f"{reference}#{seen[reference]}" if seen[reference] > 1 else reference)


def _component(one: Software, reference: str) -> Component:
    purls = [purl for text in one.purls if (purl := _purl(text)) is not None]
    said = (
        ("smpdfu:spdx-name", one.spdx_names),
        ("smpdfu:spdx-document", one.documents),
        ("smpdfu:purl", [str(purl) for purl in purls[1:]]),
        ("smpdfu:cpe", one.cpes[1:]),
    )
    kind = ExternalReferenceType.VCS if one.origin.startswith("git+") else ExternalReferenceType.DISTRIBUTION
    return Component(
        name=one.name,
        version=one.version or None,
        type=ComponentType.LIBRARY,
        bom_ref=BomRef(reference),
        licenses=[LicenseFactory().make_from_string(one.license)] if one.license else (),
        purl=purls[0] if purls else None,
        cpe=one.cpes[0] if one.cpes else None,
        supplier=OrganizationalEntity(name=one.supplier) if one.supplier else None,
        external_references=[ExternalReference(type=kind, url=XsUri(one.origin))] if one.origin else (),
        properties=[Property(name=name, value=value) for name, values in said for value in values],
    )


def _purl(text: str) -> PackageURL | None:
    try:
        return PackageURL.from_string(text)
    except ValueError:
        return None
