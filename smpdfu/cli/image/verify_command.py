"""How ``verify`` is declared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.image.evidence_checks import EvidenceChecks
from smpdfu.cli.image.options import Release, SlotOptions, VerifyKeys
from smpdfu.cli.image.trust_options import NsibOptions
from smpdfu.cli.image.verify_options import Checks, LoaderOptions, Memory
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output


def register(app: Group) -> None:
    """Add the command to ``app``."""
    command(app, "verify")(verify)


def verify(
    file: Annotated[
        Path,
        typer.Argument(metavar="IMG", help="Signed image (a .bin or .hex file), or a package (dfu_application.zip)."),
    ],
    who: VerifyKeys,
    slot: SlotOptions,
    memory: Memory,
    checks: Checks,
    build: LoaderOptions,
    nsib: NsibOptions,
    evidence: EvidenceChecks,
    guard: Release,
    out: Output,
) -> None:
    """Check whether a bootloader would accept an image. It explains why not.

    Without --enc-key, it checks everything but the payload of an encrypted image. If it finds no fault, the exit code
    is 0, or 3 with --require-all-checks.

    If IMG is a package, smpdfu checks each image in it. With --provenance or --sbom, it also checks that these
    documents belong to the package.
    """
    from smpdfu.cli.image.verify import verify_file

    verify_file(file, who, slot, memory, checks, build, nsib, evidence, guard, out)
