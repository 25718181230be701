"""Options of ``fleet run`` and ``fleet resume``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from smpdfu.cli.terminal import lazy_typer as typer


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of ``fleet run`` and ``fleet resume``."""

    at_once: Annotated[
        int | None,
        typer.Option(
            "--at-once", metavar="N", min=1, help="Devices to update at a time. [default: at_once in the file]"
        ),
    ] = None
    go_on: Annotated[
        bool, typer.Option("--go-on", help="Retry the failed devices, and ignore the failures of earlier runs.")
    ] = False
    events: Annotated[
        bool, typer.Option("--events", help="Print each event on stdout as a line of JSON when it happens.")
    ] = False
    skip_unreachable: Annotated[
        bool,
        typer.Option("--skip-unreachable", help="Skip devices that do not answer; they do not count as failures."),
    ] = False
    no_downgrade: Annotated[
        bool | None,
        typer.Option(
            "--no-downgrade/--allow-downgrade",
            help="Refuse an application that is older than the one that runs. [default: refuse]",
            show_default=False,
        ),
    ] = None
    plan: Annotated[bool, typer.Option("--plan", help="Show what would be done, without asking a device.")] = False
    require_proof: Annotated[
        bool, typer.Option("--require-proof", help="Exit with code 9 if nothing proves an update.")
    ] = False
