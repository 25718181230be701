"""An SBOM as smpdfu writes it, read again: the images of a package, and what is in each.

Keys that are not known are passed over, so a document that another tool has added to can be read, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smpdfu.dfu.evidence.sbom_document import (
    IMAGE_HASH,
    IMAGE_PACKAGE,
    MAX_COMPONENTS,
    MAX_SBOM_BYTES,
    MAX_TEXT,
    PACKAGE_FILE,
    load_document,
)
from smpdfu.errors import EvidenceError, FormatError
from smpdfu.untrusted.files import read_start


@dataclass(frozen=True, slots=True)
class SbomComponent:
    """A piece of software in an image. Empty texts: the SBOM does not say."""

    name: str
    version: str = ""
    purl: str = ""
    cpe: str = ""


@dataclass(frozen=True, slots=True)
class SbomImage:
    """An image: its file in the package, the hash that the device lists (SHA TLV), and the SHA-256 of the file.

    ``package`` is the name of the package that has it; empty where the SBOM does not say.
    """

    file: str
    version: str
    hash: bytes
    sha256: bytes | None
    components: tuple[SbomComponent, ...]
    package: str = ""


@dataclass(frozen=True, slots=True)
class Sbom:
    """An SBOM of a release. ``name``, ``version`` and ``sha256`` are those of its first package.

    ``images`` has at least one image. ``packages`` has the SHA-256 of each package by the name of its file.
    """

    name: str
    version: str
    sha256: bytes | None
    images: tuple[SbomImage, ...]
    packages: Mapping[str, bytes] = field(default_factory=dict)


def read_sbom(path: str | os.PathLike[str]) -> Sbom:
    """Read an SBOM that smpdfu wrote for a package. Raises EvidenceError with one sentence, OSError."""
    return sbom_of_file(read_start(path, MAX_SBOM_BYTES + 1), path)


def sbom_of_file(data: bytes, path: str | os.PathLike[str]) -> Sbom:
    """Read the bytes of the file ``path``. Raises EvidenceError with one sentence that names the file."""
    try:
        return parse_sbom(data)
    except FormatError as error:
        raise EvidenceError(f"{Path(path).name} is no SBOM of a package: {error}").because("sbom") from None


def parse_sbom(data: bytes) -> Sbom:
    """Read the bytes of an SBOM. Raises FormatError and nothing else."""
    document = load_document(data)
    listed = _components(document)
    if sum(1 + len(_components(one)) for one in listed) > MAX_COMPONENTS:
        raise FormatError(f"it has more than {MAX_COMPONENTS} components")
    images = tuple(_image(one) for one in listed if _property(one, IMAGE_HASH) is not None)
    if not images:
        raise FormatError(f"no component has the property {IMAGE_HASH}, which smpdfu writes")
    metadata = document.get("metadata")
    root = metadata.get("component") if isinstance(metadata, dict) else None
    known = root if isinstance(root, dict) else {}
    packages = dict(_packages([known, *listed]))
    return Sbom(_text(known, "name"), _text(known, "version"), _sha256(known), images, packages)


def _packages(listed: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, bytes]]:
    for one in listed:
        file, digest = _property(one, PACKAGE_FILE), _sha256(one)
        if file is not None and digest is not None:
            yield file, digest


def _image(one: Mapping[str, Any]) -> SbomImage:
    parts = tuple(_part(part) for part in _components(one))
    return SbomImage(
        _text(one, "name"), _text(one, "version"), _hash(one), _sha256(one), parts, _property(one, IMAGE_PACKAGE) or ""
    )


def _part(one: Mapping[str, Any]) -> SbomComponent:
    return SbomComponent(*(_text(one, key) for key in ("name", "version", "purl", "cpe")))


def _components(of: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = of.get("components", [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise FormatError('"components" is no list of objects')
    return found


def _text(of: Mapping[str, Any], key: str) -> str:
    found = of.get(key, "")
    if not isinstance(found, str) or len(found) > MAX_TEXT:
        raise FormatError(f'"{key}" is no text of at most {MAX_TEXT} characters')
    return found


def _properties(of: Mapping[str, Any], name: str) -> Iterator[str]:
    found = of.get("properties", [])
    for one in found if isinstance(found, list) else []:
        if isinstance(one, dict) and one.get("name") == name and isinstance(one.get("value"), str):
            yield one["value"]


def _property(of: Mapping[str, Any], name: str) -> str | None:
    return next(_properties(of, name), None)


def _hash(one: Mapping[str, Any]) -> bytes:
    values = set(_properties(one, IMAGE_HASH))
    if len(values) != 1:
        raise FormatError(f"a component has {len(values)} values of {IMAGE_HASH}")
    return _hex(values.pop())


def _sha256(one: Mapping[str, Any]) -> bytes | None:
    found = one.get("hashes", [])
    values = {
        entry["content"]
        for entry in (found if isinstance(found, list) else [])
        if isinstance(entry, dict) and entry.get("alg") == "SHA-256" and isinstance(entry.get("content"), str)
    }
    if len(values) > 1:
        raise FormatError("a component has two SHA-256 values")
    return _hex(values.pop()) if values else None


def _hex(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) not in (32, 48, 64) or len(text) != 2 * len(found):
        raise FormatError(f"{text[:80]!r} is no hash in hex")
    return found
