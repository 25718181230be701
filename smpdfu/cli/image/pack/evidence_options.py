"""The options of ``package`` about release evidence: an SBOM, and a signed provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from smpdfu.cli.image.options import word

_EVIDENCE = "Release evidence (needs the extra smpdfu[evidence])"

# Choices that a provenance tells; none of them is a secret or a path.
_TOLD = (
    *("version", "net_version", "security_counter", "tie", "name", "board", "multi_image"),
    *("app_address", "app_slot_size", "net_address", "net_slot_size", "header_size", "swap_mode", "no_link_check"),
    *("encrypt_keylen", "hmac_sha", "save_enctlv", "release"),
)


@dataclass(frozen=True, slots=True)
class EvidenceFiles:
    """The documents that go with a package."""

    sbom: Annotated[
        Path | None,
        word(
            "--sbom",
            metavar="FILE",
            text="Write a software bill of materials (CycloneDX 1.6 JSON). It has what `west spdx` wrote in BUILD_DIR.",
            panel=_EVIDENCE,
        ),
    ] = None
    provenance: Annotated[
        Path | None,
        word(
            "--provenance",
            metavar="FILE",
            text="Write how the package was made (in-toto, SLSA v1), signed with --provenance-key.",
            panel=_EVIDENCE,
        ),
    ] = None
    provenance_key: Annotated[
        str | None,
        word(
            "--provenance-key",
            metavar="KEY",
            text="Private key that signs the provenance: a PEM file or a key URI.",
            panel=_EVIDENCE,
        ),
    ] = None
    builder_id: Annotated[
        str | None,
        word(
            "--builder-id",
            metavar="URI",
            text="Who made the package. [default: the job of GitHub or GitLab, else urn:smpdfu:builder:local]",
            panel=_EVIDENCE,
        ),
    ] = None

    def check(self) -> None:
        """Raise typer.BadParameter for options that do not go together, before anybody types a passphrase."""
        if (self.provenance is None) != (self.provenance_key is None):
            raise typer.BadParameter("--provenance and --provenance-key go together: give both")
        if self.builder_id is not None and self.provenance is None:
            raise typer.BadParameter("--builder-id is for --provenance: give both")
        if self.sbom is not None and self.sbom == self.provenance:
            raise typer.BadParameter("--sbom and --provenance name the same file")

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are wanted."""
        return tuple(one for one in (self.sbom, self.provenance) if one is not None)


def told_parameters(context: typer.Context) -> Mapping[str, str | bool]:
    """The choices on the command line that a provenance tells, by the names of the options' values."""
    given: dict[str, str | bool] = {}
    for name in _TOLD:
        source, value = context.get_parameter_source(name), context.params.get(name)
        if source is not None and source.name != "DEFAULT" and value is not None:
            given[name] = value if isinstance(value, bool) else str(value)
    return given
