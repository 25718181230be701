"""Options of ``smpdfu virtual new`` for NSIB on the application core: b0, and MCUboot behind it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from smpdfu.cli.terminal import lazy_typer as typer

_PANEL = "b0 (NSIB below MCUboot)"
COUNTER_SLOTS = 240


@dataclass(frozen=True, slots=True)
class B0Parts:
    """What b0 is provisioned with, and MCUboot."""

    b0_key: Annotated[
        list[Path] | None,
        typer.Option(
            "--b0-key",
            metavar="PEM",
            rich_help_panel=_PANEL,
            help="Key that b0 trusts, in the order of revocation. Repeat it for several keys. The first one seals the "
            "sample MCUboot, so it is private unless you give --mcuboot. [default: b0 checks the hash only]",
            show_default=False,
        ),
    ] = None
    mcuboot: Annotated[
        Path | None,
        typer.Option(
            "--mcuboot",
            metavar="FILE",
            rich_help_panel=_PANEL,
            help="MCUboot that b0 starts, sealed for b0 and linked for S0 or S1. [default: a sample without a program]",
            show_default=False,
        ),
    ] = None
    b0_counter_slots: Annotated[
        int,
        typer.Option(
            "--b0-counter-slots",
            metavar="N",
            min=0,
            rich_help_panel=_PANEL,
            help="How many higher versions of MCUboot b0 can count. 0: it counts none and starts older versions.",
        ),
    ] = COUNTER_SLOTS
