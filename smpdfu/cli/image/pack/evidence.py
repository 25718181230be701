"""The documents that ``package`` writes beside a package: they are made before the first file is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING

from smpdfu.cli.keys.passphrase import read_signer
from smpdfu.dfu.build_folder.find import find_build
from smpdfu.dfu.evidence.builder import find_builder
from smpdfu.dfu.evidence.release import PackageFile, Release, make_provenance, make_sbom
from smpdfu.image.files import StrPath
from smpdfu.image.signing.release import provenance_warnings

if TYPE_CHECKING:
    from smpdfu.cli.image.pack.evidence_options import EvidenceFiles
    from smpdfu.cli.keys.passphrase import Passphrase
    from smpdfu.dfu.package.made import MadePackage


@dataclass(frozen=True, slots=True)
class Making:
    """How the package was made: of a build folder, or of ``inputs``, with these choices.

    ``release``: it is for customers; ``warn`` gets a sentence otherwise.
    """

    build_dir: Path | None
    inputs: tuple[Path | None, ...]
    parameters: Mapping[str, str | bool]
    passphrase: Passphrase
    release: bool
    warn: Callable[[str], None]


def evidence_files(
    wanted: EvidenceFiles, made: Sequence[MadePackage], files: Mapping[str, bytes], making: Making
) -> dict[StrPath, bytes]:
    """The SBOM and the provenance that are asked for, by the files they go to."""
    found: dict[StrPath, bytes] = {}
    of_build = making.build_dir is not None
    release = Release(
        tuple(PackageFile(one.package, files[one.file], one.file) for one in made),
        build=None if making.build_dir is None else find_build(making.build_dir),
        inputs=() if of_build else tuple(one for one in making.inputs if one is not None),
        parameters=making.parameters,
    )
    sbom = None
    if wanted.sbom is not None:
        sbom = (wanted.sbom.name, make_sbom(release))
        found[wanted.sbom] = sbom[1]
    if wanted.provenance is not None and wanted.provenance_key is not None:
        signer = read_signer(wanted.provenance_key, making.passphrase)
        for sentence in provenance_warnings(signer, release=making.release):
            making.warn(sentence)
        builder = find_builder(environ, wanted.builder_id)
        found[wanted.provenance] = make_provenance(release, signer, sbom=sbom, builder=builder)
    return found
