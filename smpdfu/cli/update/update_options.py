"""The options of ``update``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from smpdfu.cli.terminal import lazy_typer as typer


class SchemeChoice(StrEnum):
    """How the cores are updated; ``auto``: as the device's answers tell."""

    AUTO = "auto"
    STAGED = "staged"
    SIMULTANEOUS = "simultaneous"


class OnlyChoice(StrEnum):
    """A core, without MCUboot itself, or that alone."""

    APP = "app"
    NET = "net"
    MCUBOOT = "mcuboot"


@dataclass(frozen=True, slots=True)
class How:
    """What ``update`` shall do with the package."""

    plan: Annotated[bool, typer.Option("--plan", help="Show the findings and the steps; write nothing.")] = False
    scheme: Annotated[SchemeChoice, typer.Option("--scheme", help="How the two cores are updated.")] = SchemeChoice.AUTO
    resume: Annotated[bool, typer.Option("--resume", help="Only continue an update that was interrupted.")] = False
    force: Annotated[bool, typer.Option("--force", help="Continue in spite of errors that the checks found.")] = False
    again: Annotated[
        bool, typer.Option("--again", help="Update the network core even if the journal says that it has its image.")
    ] = False
    only: Annotated[OnlyChoice | None, typer.Option("--only", help="Only this image of the package.")] = None
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Make the application permanent at once, without a trial.")
    ] = False
    upload_only: Annotated[bool, typer.Option("--upload-only", help="Send the image and change nothing else.")] = False
    soak: Annotated[
        float, typer.Option("--soak", metavar="SECONDS", min=0, help="How long a trial must answer before it counts.")
    ] = 0.0
    health: Annotated[
        str | None,
        typer.Option(
            "--health",
            metavar="COMMAND",
            help="Run this command during the trial, with SMPDFU_TO set. Exit code 0: the image works.",
        ),
    ] = None
    health_timeout: Annotated[
        float, typer.Option("--health-timeout", metavar="SECONDS", min=1, help="How long the command may take.")
    ] = 60.0
    boot_timeout: Annotated[
        float, typer.Option("--boot-timeout", metavar="SECONDS", min=1, help="How long a boot may take.")
    ] = 120.0
    net_version_from: Annotated[
        str | None,
        typer.Option(
            "--net-version-from",
            metavar="RULE",
            help="How to ask for the network core's version: settings:NAME, shell:COMMAND, fs:PATH or command:LINE.",
        ),
    ] = None
    no_downgrade: Annotated[
        bool,
        typer.Option(
            "--no-downgrade/--allow-downgrade",
            help="Refuse an application that is older than the one that runs. [default: warn]",
            show_default=False,
        ),
    ] = False
    recovery: Annotated[
        bool,
        typer.Option("--recovery", help="Use MCUboot's serial recovery. It overwrites what runs, with no way back."),
    ] = False
    loader_to: Annotated[
        str | None,
        typer.Option(
            "--loader-to",
            metavar="ADDRESS",
            help="The address of the device in its firmware loader or in serial recovery. [default: the same]",
        ),
    ] = None
    new_journal: Annotated[
        bool,
        typer.Option("--new-journal", help="Move a damaged journal away and begin a new one."),
    ] = False
    require_proof: Annotated[
        bool,
        typer.Option(
            "--require-proof", help="Exit with code 9 if nothing proves the update of the network core or of MCUboot."
        ),
    ] = False
    active_b0_slot: Annotated[
        int | None,
        typer.Option(
            "--active-b0-slot",
            metavar="0|1",
            min=0,
            max=1,
            help="The slot from which MCUboot runs now, for an update of MCUboot itself. [default: as the device says]",
        ),
    ] = None
