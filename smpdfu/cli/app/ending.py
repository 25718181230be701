"""How a command ends that has an answer and an error: with ``--json``, both are in the one document."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from smpdfu.cli.app.show import Output
from smpdfu.errors import SmpdfuError

if TYPE_CHECKING:
    from rich.console import RenderableType


def conclude(
    out: Output, answer: dict[str, Any], render: Callable[[], RenderableType], error: SmpdfuError | None
) -> None:
    """Give the answer, then leave with the exit code of ``error``, if there is one."""
    from smpdfu.cli.app.main import error_document

    out.emit(answer if error is None else answer | {"error": error_document(error)}, render)
    if error is not None:
        fail(out, error)


def fail(out: Output, error: SmpdfuError) -> NoReturn:
    """Leave with the exit code of ``error``. With ``--json`` the document that was written has it already."""
    from smpdfu.cli.app.main import exit_code

    if not out.json:
        raise error
    raise typer.Exit(exit_code(error))
