"""Which images are asked for: by a hash, by an SBOM, or by a component in SBOMs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from smpdfu.dfu.fleet.affected.boards import APP, NET, NOT_KNOWN
from smpdfu.dfu.fleet.affected.components import ComponentQuery
from smpdfu.dfu.fleet.affected.sbom import ImageVerdict, SbomIndex, SoughtImage, candidates
from smpdfu.dfu.package.image_record import ImageRecord
from smpdfu.errors import EvidenceError

MIN_DIGITS = 8
_HASH = re.compile(rf"[0-9a-f]{{{MIN_DIGITS},128}}")
_ORDER = tuple(ImageVerdict)
_SHOWN = 5
_ALWAYS = frozenset({APP, NET})
"""What may run an image of which nobody knows the part."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """All images that logs and journals know: by ``ImageRecord.key``, and by the digest of their package."""

    images: Mapping[str, ImageRecord] = field(default_factory=dict)
    packages: Mapping[str, tuple[ImageRecord, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Question:
    """The images that are asked for: ``images`` are those of the SBOMs, or of the hashes, each with its verdict.

    ``others`` is the verdict on every other image that is known by its hash.
    """

    images: tuple[SoughtImage, ...]
    others: ImageVerdict
    _by_hash: dict[str, SoughtImage] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.images:
            for key in filter(None, (one.hash, one.file)):
                known = self._by_hash.get(key)
                if known is None or _ORDER.index(one.verdict) < _ORDER.index(known.verdict):
                    self._by_hash[key] = one

    @property
    def affected(self) -> tuple[SoughtImage, ...]:
        """The images that have what is asked for."""
        return tuple(one for one in self.images if one.verdict is ImageVerdict.AFFECTED)

    def image(self, key: str, catalog: Catalog) -> SoughtImage | None:
        """Return what is said of the image with this key; None if nothing is."""
        record = catalog.images.get(key)
        keys = (key,) if record is None else (record.hash, record.file)
        found = [self._by_hash[one] for one in keys if one in self._by_hash]
        return min(found, key=lambda one: _ORDER.index(one.verdict), default=None)

    def verdict(self, key: str, catalog: Catalog) -> ImageVerdict:
        """Return the verdict on the image with this key."""
        if key == NOT_KNOWN:
            return ImageVerdict.UNLISTED
        found = self.image(key, catalog)
        return self.others if found is None else found.verdict

    def parts(self, catalog: Catalog) -> frozenset[str]:
        """Return the parts that run the images that have what is asked for: both cores for one that nothing notes."""
        wanted = [self._parts_of(one, catalog) or _ALWAYS for one in self.affected]
        return frozenset[str]().union(*wanted)

    def companions(self, catalog: Catalog) -> Mapping[str, frozenset[str]]:
        """Return for the key of an image the parts of a device that runs it: those of its packages and its SBOMs."""
        releases: dict[str, list[SoughtImage | ImageRecord]] = {
            f"package {digest}": list(images) for digest, images in catalog.packages.items()
        }
        for one in self.images:
            releases.setdefault(f"SBOM {one.sbom}", []).append(one)
        found: dict[str, frozenset[str]] = {}
        for release in releases.values():
            parts = frozenset(one.part for one in release if one.part)
            for key in {key for one in release for key in (one.hash, one.file) if key}:
                found[key] = found.get(key, frozenset()) | parts
        return found

    def _parts_of(self, image: SoughtImage, catalog: Catalog) -> frozenset[str]:
        """The parts that run an image, by the SBOM or by an update of it; empty if neither says so."""
        if image.part:
            return frozenset({image.part})
        keys = {image.hash, image.file} - {""}
        return frozenset(one.part for one in catalog.images.values() if one.hash in keys or one.file in keys)

    def not_noted(self, catalog: Catalog) -> tuple[str, ...]:
        """Return the hashes that were asked for and that no update has noted."""
        return tuple(one.hash for one in self.images if not one.sbom and not self._parts_of(one, catalog))


def by_hashes(hashes: Sequence[str], catalog: Catalog) -> Question:
    """Ask for the images with these hashes, or with hashes that begin so.

    A hash is that of an image as devices list it, the SHA-256 of an image's file, or the digest of a package. Raises
    ValueError for a text that is none, or for one with which several images begin.
    """
    found: list[SoughtImage] = []
    for text in hashes:
        digits = text.strip().lower().removeprefix("0x")
        if _HASH.fullmatch(digits) is None:
            raise ValueError(f"{text!r} is no hash: give at least {MIN_DIGITS} of its hex digits")
        found += _by_hash(digits, catalog)
    return Question(tuple(found), ImageVerdict.CLEAR)


def _by_hash(digits: str, catalog: Catalog) -> list[SoughtImage]:
    packages = [digest for digest in catalog.packages if digest.startswith(digits)]
    images = {
        key: one for key, one in catalog.images.items() if one.hash.startswith(digits) or one.file.startswith(digits)
    }
    if len(packages) + len(images) > 1:
        raise _ambiguous(digits, [*packages, *images])
    if packages:
        images = {one.key: one for one in catalog.packages[packages[0]] if one.key}
    # A hash that nothing has noted may be that of an image, or of a file.
    return [SoughtImage(one.hash, one.file, one.part, version=one.version) for one in images.values()] or [
        SoughtImage(digits, digits)
    ]


def _ambiguous(digits: str, found: Sequence[str]) -> ValueError:
    shown = ", ".join(sorted(set(found))[:_SHOWN])
    return ValueError(f"{digits} is the beginning of several hashes: {shown}. Give more digits")


def by_sboms(sboms: Sequence[SbomIndex]) -> Question:
    """Ask for every image of SBOMs."""
    return Question(tuple(one for sbom in sboms for one in sbom.whole()), ImageVerdict.CLEAR)


def by_component(sboms: Sequence[SbomIndex], query: ComponentQuery) -> Question:
    """Ask for the images that have a component. Nothing is known of an image that no SBOM describes.

    Raises EvidenceError if no SBOM has a component of this name, ValueError for a version that is the name of nothing.
    """
    if not any(query.names(one) or query.may_name(one) for sbom in sboms for one in sbom.components):
        near = candidates(sboms, query)
        files = _files(sboms)
        text = f"no component of {files} is named {query.name!r}"
        raise EvidenceError(f"{text}. It has: {', '.join(near)}" if near else text).because("no-component")
    if query.versions.has_name and not any(query.has_version_of(one) for sbom in sboms for one in sbom.components):
        raise ValueError(
            f"{query.text!r} has no version that smpdfu can compare, and no SBOM has a component with just that one. "
            "Give a version such as 3.6.1 or <3.6.2"
        )
    return Question(tuple(one for sbom in sboms for one in sbom.search(query)), ImageVerdict.UNLISTED)


def _files(sboms: Sequence[SbomIndex]) -> str:
    names = [sbom.file for sbom in sboms]
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
