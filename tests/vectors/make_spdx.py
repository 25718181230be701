"""Writes SPDX documents as ``west spdx`` of each age does, into the folders of a build: the forms that tests read.

    python -m tests.vectors.make_spdx BUILD_DIR IMAGE [--files N]

Nothing is taken from a real build. The forms follow ``scripts/west_commands/zspdx`` (until Zephyr 4.4) and
``scripts/pylib/zspdx`` (since 4.5): four documents for each image, packages with thousands of files, relationships
between them, copyright texts of several lines, names with ``-sources`` and ``-deps``, CPEs and purls.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

COMMIT = hashlib.sha1(b"smpdfu test vector").hexdigest()


@dataclass(frozen=True)
class Package:
    """A package of a document, in the order in which it is written."""

    name: str
    version: str = ""
    concluded: str = "NOASSERTION"
    declared: str = "NOASSERTION"
    location: str = "NOASSERTION"
    supplier: str = ""
    references: tuple[str, ...] = ()
    files: int = 0
    purpose: str = ""

    @property
    def id(self) -> str:
        return "SPDXRef-" + self.name.replace("_", "-")


ZEPHYR_CPE = "SECURITY cpe23Type cpe:2.3:o:zephyrproject:zephyr:4.1.0:-:*:*:*:*:*:*"
ZEPHYR_PURL = "pkg:github/zephyrproject-rtos/zephyr@v4.1.0"
MBEDTLS = (
    "SECURITY cpe23Type cpe:2.3:a:arm:mbed_tls:3.6.2:*:*:*:*:*:*:*",
    "PACKAGE-MANAGER purl pkg:github/Mbed-TLS/mbedtls@v3.6.2",
)


def documents(files: int = 12, version: str = "2.3") -> dict[str, Sequence[Package]]:
    """The documents of an image by their name; ``files`` is how many files the kernel's package has."""
    purl = "PACKAGE_MANAGER purl " if version == "2.2" else "PACKAGE-MANAGER purl "  # the older form of the category
    git = f"git+https://github.com/zephyrproject-rtos/{{}}@{COMMIT}"
    return {
        "app": [Package("app-sources", concluded="Apache-2.0", files=2, purpose="SOURCE")],
        "zephyr": [
            Package(
                "zephyr-sources",
                "4.1.0",
                "Apache-2.0 AND BSD-3-Clause",
                location=git.format("zephyr"),
                references=(purl + ZEPHYR_PURL, ZEPHYR_CPE),
                files=files,
            ),
            Package("mbedtls-sources", COMMIT, declared="Apache-2.0", location=git.format("mbedtls"), files=3),
            Package("hal_nordic-sources", COMMIT, "LicenseRef-Nordic", location=git.format("hal_nordic")),
        ],
        "build": [
            Package("zephyr_final", concluded="Apache-2.0", files=1, purpose="APPLICATION"),
            Package("kernel", concluded="Apache-2.0", files=1, purpose="LIBRARY"),
            Package("offsets_h"),  # a step of the build, without files
        ],
        "modules-deps": [
            Package("mbedtls-deps", references=MBEDTLS, supplier="Organization: arm"),
            Package("zephyr", "4.1.0", references=(purl + ZEPHYR_PURL,), supplier="Organization: zephyrproject"),
            Package("hal_nordic-deps"),
        ],
    }


def text(document: str, packages: Sequence[Package], version: str = "2.3") -> str:
    """A document in tag-value form."""
    head = [
        f"SPDXVersion: SPDX-{version}",
        "DataLicense: CC0-1.0",
        "SPDXID: SPDXRef-DOCUMENT",
        f"DocumentName: {document}",
        f"DocumentNamespace: http://spdx.org/spdxdocs/zephyr-0000/{document}",
        "Creator: Tool: Zephyr SPDX builder",
        "Created: 2026-07-10T10:00:00Z",
        "",
        *(f"Relationship: SPDXRef-DOCUMENT DESCRIBES {one.id}" for one in packages),
        "",
    ]
    return (
        "\n".join([*head, *(line for one in packages for line in _package(one, version)), *_license(packages)]) + "\n"
    )


def _package(one: Package, version: str) -> list[str]:
    lines = [
        f"##### Package: {one.name}",
        "",
        f"PackageName: {one.name}",
        f"SPDXID: {one.id}",
        f"PackageLicenseConcluded: {one.concluded}",
        f"PackageLicenseDeclared: {one.declared}",
        "PackageCopyrightText: NOASSERTION",
        f"PackageDownloadLocation: {one.location}",
    ]
    lines += [f"PrimaryPackagePurpose: {one.purpose}"] if one.purpose and version == "2.3" else []
    lines += [f"PackageVersion: {one.version}"] if one.version else []
    lines += [f"PackageSupplier: {one.supplier}"] if one.supplier else []
    lines += [f"ExternalRef: {reference}" for reference in one.references]
    if not one.files:
        return [*lines, "FilesAnalyzed: false", "PackageComment: Utility target; no files", ""]
    code = hashlib.sha1(one.name.encode()).hexdigest()
    lines += ["PackageLicenseInfoFromFiles: Apache-2.0", "FilesAnalyzed: true", f"PackageVerificationCode: {code}", ""]
    return [*lines, *(line for number in range(one.files) for line in _file(one, number))]


def _file(one: Package, number: int) -> list[str]:
    name = f"{one.name}-{number}.c"
    return [
        f"FileName: ./subsys/{one.name}/{name}",
        f"SPDXID: SPDXRef-File-{name.replace('_', '-')}",
        f"FileChecksum: SHA1: {hashlib.sha1(name.encode()).hexdigest()}",
        f"FileChecksum: SHA256: {hashlib.sha256(name.encode()).hexdigest()}",
        "LicenseConcluded: Apache-2.0",
        "LicenseInfoInFile: Apache-2.0",
        "FileCopyrightText: <text>",
        " Copyright (c) 2016 Somebody",
        " PackageName: this line is text, and no tag",
        "</text>",
        "",
        f"Relationship: SPDXRef-File-{name.replace('_', '-')} GENERATED_FROM {one.id}",
        "",
    ]


def _license(packages: Sequence[Package]) -> list[str]:
    if all("LicenseRef-Nordic" not in (one.concluded, one.declared) for one in packages):
        return []
    name = "LicenseRef-Nordic"
    return [
        f"LicenseID: {name}",
        f"ExtractedText: {name}",
        f"LicenseName: {name}",
        "LicenseComment: of a tag in a file",
    ]


def graph(packages: Sequence[Package]) -> str:
    """A document of SPDX 3.0 as JSON-LD, with the same packages."""
    elements: list[dict[str, object]] = [{"type": "CreationInfo", "@id": "_:info", "specVersion": "3.0.1"}]
    for one in packages:
        words = [(reference.split()[0], reference.split()[2]) for reference in one.references]
        identifiers = [
            {"type": "ExternalIdentifier", "externalIdentifierType": kind, "identifier": text}
            for category, text in words
            for kind in ("cpe23" if category == "SECURITY" else "packageUrl",)
        ]
        package: dict[str, object] = {"type": "software_Package", "spdxId": f"zephyr:packages/{one.name}"}
        package |= {"creationInfo": "_:info", "name": one.name, "software_downloadLocation": one.location}
        package |= {"software_packageVersion": one.version} if one.version else {}
        package |= {"externalIdentifier": identifiers} if identifiers else {}
        if one.supplier:
            agent, called = f"zephyr:agents/{one.name}", one.supplier.removeprefix("Organization: ")
            elements.append({"type": "Organization", "spdxId": agent, "name": called})
            package["suppliedBy"] = agent
        elements += [package, *_relations(one)]
    context = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
    return json.dumps({"@context": context, "@graph": elements}, indent=2)


def _relations(one: Package) -> list[dict[str, object]]:
    place = f"zephyr:packages/{one.name}"
    found: list[dict[str, object]] = []
    for kind, expression in (("hasConcludedLicense", one.concluded), ("hasDeclaredLicense", one.declared)):
        name = f"zephyr:licenses/{one.name}-{kind}"
        license_ = {"type": "simplelicensing_LicenseExpression", "spdxId": name}
        found.append({**license_, "simplelicensing_licenseExpression": expression})
        found.append({"type": "Relationship", "from": place, "relationshipType": kind, "to": [name]})
    for number in range(one.files):
        name = f"zephyr:files/{one.name}-{number}"
        found.append({"type": "software_File", "spdxId": name, "name": name})
        found.append({"type": "Relationship", "from": place, "relationshipType": "contains", "to": [name]})
    return found


def write(folder: Path, files: int = 12, version: str = "2.3") -> None:
    """Write the documents of an image into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, packages in documents(files, version).items():
        if version == "3.0":
            (folder / f"{name}.jsonld").write_text(graph(packages), "utf-8")
        else:
            (folder / f"{name}.spdx").write_text(text(name, packages, version), "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("image")
    parser.add_argument("--files", type=int, default=12)
    given = parser.parse_args()
    write(given.build / given.image / "spdx", given.files)
