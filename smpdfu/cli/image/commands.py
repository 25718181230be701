"""Images: ``sign``, ``verify``, ``inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.image.evidence_checks import EvidenceChecks
from smpdfu.cli.image.options import Release, SlotOptions, VerifyKeys
from smpdfu.cli.image.sign_options import SignContent, SignFiles, SignKeys, SignSlot
from smpdfu.cli.image.trust_options import NsibOptions
from smpdfu.cli.image.verify_options import Checks, LoaderOptions, Memory
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.outputs import Replace
from smpdfu.cli.terminal.show import HashOutput, Output


def register(app: Group) -> None:
    """Add the image commands to ``app``."""
    command(app, "sign")(sign)
    command(app, "verify")(verify)
    command(app, "inspect")(inspect)


def sign(
    files: SignFiles,
    who: SignKeys,
    content: SignContent,
    slot: SignSlot,
    guard: Release,
    replace: Replace,
    out: Output,
) -> None:
    """Sign an image and, with -E, encrypt it. It takes the options of imgtool's sign."""
    from smpdfu.cli.image.sign import sign_files

    sign_files(files, who, content, slot, guard, replace, out)


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


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Any file.")],
    slot: SlotOptions,
    nsib: NsibOptions,
    out: HashOutput,
) -> None:
    """Show what a file is, what is in it, and what you can do with it.

    With --slot-size, it also shows how an image fills a slot.
    """
    from smpdfu.cli.inspect.inspect import show_file

    show_file(file, slot.geometry(), nsib.keys(), out)
