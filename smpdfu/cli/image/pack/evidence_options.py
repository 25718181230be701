"""The options of ``package`` about release evidence: an SBOM, and a signed provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from smpdfu.cli.image.options import word
from smpdfu.cli.keys.options import PassphraseOptions, source_of_another
from smpdfu.cli.terminal import lazy_typer as typer

if TYPE_CHECKING:
    from smpdfu.cli.keys.passphrase import Passphrase

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
    provenance_passphrase_env: Annotated[
        str | None,
        word(
            "--provenance-passphrase-env",
            metavar="NAME",
            text="Environment variable that holds the passphrase of --provenance-key. [default: the source for -k]",
            panel=_EVIDENCE,
        ),
    ] = None
    provenance_passphrase_file: Annotated[
        Path | None,
        word(
            "--provenance-passphrase-file",
            metavar="FILE",
            text="File that holds the passphrase of --provenance-key in its first line. [default: the source for -k]",
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
        if self.provenance_key is None and (self.provenance_passphrase_env or self.provenance_passphrase_file):
            raise typer.BadParameter(
                "--provenance-passphrase-env and --provenance-passphrase-file need --provenance-key"
            )
        if self.builder_id is not None and self.provenance is None:
            raise typer.BadParameter("--builder-id is for --provenance: give both")
        if self.sbom is not None and self.sbom == self.provenance:
            raise typer.BadParameter("--sbom and --provenance name the same file")

    def source(self, usual: PassphraseOptions) -> Passphrase:
        """Where the passphrase of ``provenance_key`` comes from; ``usual`` is that of -k. Raises typer.BadParameter."""
        env, file = self.provenance_passphrase_env, self.provenance_passphrase_file
        return source_of_another("--provenance-key", env, file, usual)

    @property
    def secrets(self) -> tuple[str | Path | None, ...]:
        """The files that nothing may overwrite."""
        return self.provenance_key, self.provenance_passphrase_file

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
