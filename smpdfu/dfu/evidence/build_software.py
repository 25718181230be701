"""The software in each image of a build: what ``west spdx`` wrote into ``spdx/`` beside the image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import PurePosixPath

from smpdfu.dfu.build_folder.build import Build, BuildRole, UpdateImage
from smpdfu.dfu.build_folder.formats.folder import BuildFolder
from smpdfu.dfu.evidence import spdx, spdx3
from smpdfu.dfu.evidence.software import Software, merge
from smpdfu.errors import EvidenceError, PackageError

FOLDER = "spdx"
MAX_DOCUMENTS = 32


def spdx_files(build: Build, update: UpdateImage) -> tuple[str, ...]:
    """The names of an image's SPDX documents, from the build folder on; none where nobody wrote them.

    Where somebody wrote both forms, those in tag-value form.

    Raises EvidenceError for too many.
    """
    folder = BuildFolder(build.root)
    for place in _places(build, update):
        found = folder.files(place, ".spdx") or folder.files(place, ".jsonld")
        if len(found) > MAX_DOCUMENTS:
            raise EvidenceError(f"{build.root / place} has {len(found)} SPDX documents, more than {MAX_DOCUMENTS}")
        if found:
            return found
    return ()


def _places(build: Build, update: UpdateImage) -> Iterator[str]:
    yield update.image.file(FOLDER)
    if update.image.name:
        yield f"{FOLDER}/{update.image.name}"
    if update.image.role is BuildRole.APPLICATION:
        yield FOLDER


def software_of(build: Build) -> Mapping[str, tuple[Software, ...]]:
    """The software of each image by its file in the package. Raises EvidenceError with the document, OSError."""
    return {update.name: merge(_of(build, update)) for update in build.updates}


def _of(build: Build, update: UpdateImage) -> Iterator[Software]:
    folder = BuildFolder(build.root)
    for name in spdx_files(build, update):
        file = PurePosixPath(name)
        parse = spdx.parse if file.suffix == ".spdx" else spdx3.parse
        try:
            yield from folder.read(name, spdx.MAX_BYTES, partial(parse, document=file.stem)) or ()
        except PackageError as error:
            raise EvidenceError(str(error)).because("spdx", file=name) from None
