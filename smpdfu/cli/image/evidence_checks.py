"""The options of ``verify`` about the documents that go with a package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from smpdfu.cli.image.options import word
from smpdfu.cli.terminal import lazy_typer as typer

_EVIDENCE = "Release evidence of a package (a provenance needs the extra smpdfu[evidence])"


@dataclass(frozen=True, slots=True)
class EvidenceChecks:
    """What must belong to a package."""

    provenance: Annotated[
        Path | None,
        word(
            "--provenance",
            metavar="FILE",
            text="Check that this provenance is of the package IMG and of each image in it.",
            panel=_EVIDENCE,
        ),
    ] = None
    provenance_key: Annotated[
        list[str] | None,
        word(
            "--provenance-key",
            metavar="KEY",
            text="Key that must have signed the provenance: a PEM file (the public half will do) or a key URI. May be "
            "repeated: one of them must have signed.",
            panel=_EVIDENCE,
        ),
    ] = None
    sbom: Annotated[
        Path | None,
        word("--sbom", metavar="FILE", text="Check that this SBOM is of the package IMG.", panel=_EVIDENCE),
    ] = None

    @property
    def wanted(self) -> bool:
        """True if a document is to be checked. Raises typer.BadParameter for options that do not go together."""
        if (self.provenance is None) != (not self.provenance_key):
            raise typer.BadParameter("--provenance and --provenance-key go together: give both")
        return self.provenance is not None or self.sbom is not None
