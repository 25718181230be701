"""Images: ``sign``, ``verify``, ``inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from smpdfu.cli.app.command import command
from smpdfu.cli.image.loader_options import LoaderOptions
from smpdfu.cli.image.options import SlotOptions, VerifyKeys
from smpdfu.cli.image.release_guard import Release
from smpdfu.cli.image.sign import SignCommand, sign
from smpdfu.cli.image.verify_options import Checks, Memory
from smpdfu.cli.terminal.show import HashOutput, Output
from smpdfu.errors import SmpdfuError


def register(app: typer.Typer) -> None:
    """Add the image commands to ``app``."""
    command(app, "sign", cls=SignCommand)(sign)
    command(app, "verify")(verify)
    command(app, "inspect")(inspect)


def verify(
    file: Annotated[Path, typer.Argument(metavar="IMG", help="Signed image: .bin or .hex, known by its content.")],
    who: VerifyKeys,
    slot: SlotOptions,
    memory: Memory,
    checks: Checks,
    build: LoaderOptions,
    guard: Release,
    out: Output,
) -> None:
    """Check whether a bootloader would accept an image. It explains why not.

    Without --enc-key the payload of an encrypted image is not checked, and all the rest is: exit code 0 if nothing
    speaks against the image, or 3 with --require-all-checks.
    """
    from smpdfu.cli.image import verify as image_verify

    case = image_verify.judge(file, who, slot, memory, checks, build)
    for sentence in guard.of_image(case.image):
        out.warn(sentence)
    for warning in case.verdict.warnings:
        out.warn(warning.message)
    refusal = case.refusal(require_all=build.require_all_checks)
    out.emit(_with_error(case.summary(), refusal), case.told)
    _leave(refusal, out)


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Any file.")],
    slot: SlotOptions,
    out: HashOutput,
) -> None:
    """Show what a file is, what is in it, and what you can do with it.

    With --slot-size, it also shows how an image fills a slot.
    """
    from smpdfu.cli.image import verify as image_verify
    from smpdfu.cli.inspect import inspect as image_inspect

    found = image_inspect.inspect(file, image_verify.slot_geometry(slot))
    out.emit(_with_error(found.summary(), found.fault), lambda: found.told(long=out.long))
    _leave(found.fault, out)


def _leave(error: SmpdfuError | None, out: Output) -> None:
    """Leave with the exit code of ``error``, if there is one; with --json the one document has told it already."""
    if error is None:
        return
    if not out.json:
        raise error
    from smpdfu.cli.app.ending import exit_code

    raise typer.Exit(exit_code(error))


def _with_error(answer: dict[str, Any], error: SmpdfuError | None) -> dict[str, Any]:
    if error is None:
        return answer
    from smpdfu.cli.app.ending import error_document

    return answer | {"error": error_document(error)}
