"""An SBOM of any tool (CycloneDX, JSON), read for a search: its images, its components, and which image has which.

An image is a component with the property ``smpdfu:image-hash``. In an SBOM without that, it is a component that is no
library and has a SHA-256: that of the image's file. A component is in the images that it is nested in, and in those
that depend on it. Keys that are not known, or of the wrong kind, are passed over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from smpdfu.dfu.evidence.sbom_document import MAX_COMPONENTS, MAX_SBOM_BYTES, MAX_TEXT, NAMESPACE, load_document
from smpdfu.dfu.fleet.affected.boards import OTHER
from smpdfu.dfu.fleet.affected.components import Component, ComponentQuery
from smpdfu.dfu.package.image_record import hash_text
from smpdfu.errors import EvidenceError, FormatError
from smpdfu.untrusted.files import read_start

MAX_EDGES = 300_000
_MOST_WORDS = 20
"""Components that are named for an image."""
_IMAGE_KINDS = frozenset({"firmware", "application", "file", "device"})


class ImageVerdict(StrEnum):
    """Whether an image has what is asked for; the first that some SBOM says counts.

    UNDECIDED: a version cannot be compared, or the SBOM does not say in which image the component is. UNLISTED: the
    SBOM lists no components of the image, or none describes the image.
    """

    AFFECTED = "affected"
    UNDECIDED = "undecided"
    CLEAR = "clear"
    UNLISTED = "unlisted"


@dataclass(frozen=True, slots=True)
class SoughtImage:
    """An image by its ``hash`` (as devices list it) and the SHA-256 of its ``file``, each "" if the SBOM has none.

    ``part`` is ``PackageImage.part``, "" if the SBOM does not say; ``sbom`` the SBOM's file. ``found`` are the
    components that were asked for, ``why`` says why a verdict is not known.
    """

    hash: str
    file: str = ""
    part: str = ""
    name: str = ""
    version: str = ""
    sbom: str = ""
    verdict: ImageVerdict = ImageVerdict.AFFECTED
    found: tuple[str, ...] = ()
    why: str = ""


@dataclass(slots=True)
class SbomIndex:
    """An SBOM: its components by number, for each the numbers of those that have it, and the images by number.

    ``lists`` are the numbers of components that have others; ``marked``: images have the property.
    """

    file: str
    components: list[Component] = field(default_factory=list)
    holders: list[list[int]] = field(default_factory=list)
    images: dict[int, SoughtImage] = field(default_factory=dict)
    lists: set[int] = field(default_factory=set)
    marked: bool = False
    _in_images: set[int] = field(default_factory=set)

    @classmethod
    def load(cls, path: Path) -> SbomIndex:
        """Read a file. Raises EvidenceError with one sentence, or OSError."""
        data = read_start(path, MAX_SBOM_BYTES + 1)
        try:
            return cls.from_bytes(data, path.name)
        except FormatError as error:
            raise EvidenceError(f"{path.name} is no SBOM that smpdfu can search: {error}").because("sbom") from None

    @classmethod
    def from_bytes(cls, data: bytes, file: str = "") -> SbomIndex:
        """Read a document. Raises FormatError and nothing else."""
        document = load_document(data)
        sbom = cls(file)
        entries, numbers = sbom._read_components(document)
        sbom._read_dependencies(document, numbers)
        sbom._find_images(entries)
        return sbom

    def _read_components(self, document: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], dict[str, int]]:
        entries: list[Mapping[str, Any]] = []
        numbers: dict[str, int] = {}
        root = _table(document.get("metadata")).get("component")
        waiting: deque[tuple[Mapping[str, Any], int | None]] = deque([(root, None)] if isinstance(root, dict) else [])
        holder_of_all = 0 if waiting else None
        waiting.extend((one, holder_of_all) for one in _tables(document.get("components")))
        while waiting:
            entry, holder = waiting.popleft()
            number = len(entries)
            if number >= MAX_COMPONENTS:
                raise FormatError(f"it has more than {MAX_COMPONENTS} components")
            entries.append(entry)
            self.components.append(_component(entry))
            self.holders.append([] if holder is None else [holder])
            if (reference := _text(entry.get("bom-ref"))) != "":
                numbers.setdefault(reference, number)
            waiting.extend((one, number) for one in _tables(entry.get("components")))
        return entries, numbers

    def _read_dependencies(self, document: Mapping[str, Any], numbers: Mapping[str, int]) -> None:
        edges = 0
        for entry in _tables(document.get("dependencies")):
            holder = numbers.get(_text(entry.get("ref")))
            listed = entry.get("dependsOn")
            for reference in listed if isinstance(listed, list) and holder is not None else ():
                number = numbers.get(_text(reference))
                if number is not None and number != holder and holder is not None:
                    self.holders[number].append(holder)
                    edges += 1
            if edges > MAX_EDGES:
                raise FormatError(f"it has more than {MAX_EDGES} dependencies")

    def _find_images(self, entries: Sequence[Mapping[str, Any]]) -> None:
        marked = {number: one for number, one in enumerate(entries) if _property(one, "image-hash")}
        self.marked = bool(marked)
        for number, one in (marked or dict(enumerate(entries))).items():
            found = hash_text(_property(one, "image-hash").lower())
            file = _sha256(one)
            if found or (file and one.get("type") in _IMAGE_KINDS):
                known = self.components[number]
                self.images[number] = SoughtImage(found, file, _part(one), known.name, known.version, self.file)
        if not self.images:
            raise FormatError(
                f"it names no image: no component has the property {NAMESPACE}image-hash, and no firmware in it has a "
                "SHA-256"
            )
        for number, holders in enumerate(self.holders):
            if number not in self.images:
                self.lists.update(holders)

    def whole(self) -> tuple[SoughtImage, ...]:
        """Return all images, as affected."""
        return tuple(self.images.values())

    def search(self, query: ComponentQuery) -> tuple[SoughtImage, ...]:
        """Return all images with the verdict on each."""
        told = [(number, query.matches(one)) for number, one in enumerate(self.components)]
        affected, lost = self._images_with({number for number, found in told if found})
        open_ones, open_lost = self._images_with({number for number, found in told if found is None})
        if lost and len(self.images) == 1:
            affected, lost = {next(iter(self.images)): lost}, set()
        lost |= open_lost
        return tuple(
            self._judged(number, affected.get(number), open_ones.get(number), lost, query.text)
            for number in self.images
        )

    def _judged(
        self, number: int, affected: set[int] | None, undecided: set[int] | None, lost: set[int], asked: str
    ) -> SoughtImage:
        image = self.images[number]
        if affected is not None:
            return replace(image, found=self._words(affected))
        if undecided is not None:
            words = self._words(undecided)
            why = f"smpdfu cannot compare {', '.join(words) or 'a component'} in {self.file} with {asked}"
            return replace(image, verdict=ImageVerdict.UNDECIDED, found=words, why=why)
        if lost:
            words = self._words(lost)
            why = f"{self.file} does not say which of its images has {', '.join(words)}"
            return replace(image, verdict=ImageVerdict.UNDECIDED, found=words, why=why)
        if number not in self.lists:
            return replace(image, verdict=ImageVerdict.UNLISTED, why=f"{self.file} lists no components of this image")
        return replace(image, verdict=ImageVerdict.CLEAR)

    def _words(self, numbers: Iterable[int]) -> tuple[str, ...]:
        return tuple(sorted({self.components[number].words for number in numbers})[:_MOST_WORDS])

    def _images_with(self, numbers: set[int]) -> tuple[dict[int, set[int]], set[int]]:
        """The images that have one of these components, each with some of those, and components that are in no image.

        Each walk takes as long as the SBOM is large: one finds all images, and a few find which component is in which.
        """
        found: dict[int, set[int]] = {image: set() for image in self._images_of(numbers)}
        for number in sorted(numbers)[:_MOST_WORDS]:
            for image in self._images_of({number}):
                found[image].add(number)
        return found, {number for number in numbers if number not in self._placed()}

    def _images_of(self, numbers: Iterable[int]) -> set[int]:
        """The images that have one of these components. What needs an image does not have what is in that."""
        seen, images = set(numbers), set()
        waiting = list(seen)
        while waiting:
            one = waiting.pop()
            if one in self.images:
                images.add(one)
                if self.marked:
                    continue
            fresh = {holder for holder in self.holders[one] if holder not in seen}
            seen |= fresh
            waiting += fresh
        return images

    def _placed(self) -> set[int]:
        """The components that are in an image, and the images."""
        if not self._in_images:
            held: dict[int, list[int]] = {}
            for number, holders in enumerate(self.holders):
                for holder in holders if number not in self.images or not self.marked else ():
                    held.setdefault(holder, []).append(number)
            waiting = list(self.images)
            self._in_images.update(waiting)
            while waiting:
                fresh = [one for one in held.get(waiting.pop(), ()) if one not in self._in_images]
                self._in_images.update(fresh)
                waiting += fresh
        return self._in_images


def candidates(sboms: Sequence[SbomIndex], query: ComponentQuery, most: int = 20) -> tuple[str, ...]:
    """Return components that a person may have meant; without any, the first ones."""
    every = {one.words for sbom in sboms for one in sbom.components}
    return similar(sboms, query)[:most] or tuple(sorted(every)[:most])


def similar(sboms: Iterable[SbomIndex], query: ComponentQuery) -> tuple[str, ...]:
    """Return components with other names that a person may have meant, too."""
    near = (one for sbom in sboms for one in sbom.components if query.is_near(one))
    return tuple(sorted({one.words for one in near if not query.names(one) and not query.may_name(one)}))


def _component(entry: Mapping[str, Any]) -> Component:
    purls = (_text(entry.get("purl")), *_properties(entry, "purl"))
    cpes = (_text(entry.get("cpe")), *_properties(entry, "cpe"))
    name, version, group = (_text(entry.get(key)) for key in ("name", "version", "group"))
    return Component(name, version, group, tuple(filter(None, purls)), tuple(filter(None, cpes)))


def _part(entry: Mapping[str, Any]) -> str:
    role = _property(entry, "role")
    return f"{role} {_property(entry, 'image-index')}" if role == OTHER else role


def _sha256(entry: Mapping[str, Any]) -> str:
    contents = (one.get("content") for one in _tables(entry.get("hashes")) if one.get("alg") == "SHA-256")
    return next((found for one in contents if (found := hash_text(_text(one).lower()))), "")


def _property(entry: Mapping[str, Any], name: str) -> str:
    return next(_properties(entry, name), "")


def _properties(entry: Mapping[str, Any], name: str) -> Iterator[str]:
    for one in _tables(entry.get("properties")):
        if one.get("name") == NAMESPACE + name and (value := _text(one.get("value"))):
            yield value


def _text(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= MAX_TEXT else ""


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _tables(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
