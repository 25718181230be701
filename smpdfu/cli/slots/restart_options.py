"""The options of ``reset``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from smpdfu.cli.terminal import lazy_typer as typer


@dataclass(frozen=True, slots=True)
class Restart:
    """How to restart, and whether to see it through."""

    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the device is back.")] = True
    boot_timeout: Annotated[
        float, typer.Option("--boot-timeout", metavar="SECONDS", min=1, help="How long to wait for it.")
    ] = 120.0
    force: Annotated[bool, typer.Option("--force", help="Restart even if the firmware would refuse.")] = False
    boot_mode: Annotated[
        int | None,
        typer.Option(
            "--boot-mode",
            metavar="N",
            min=0,
            max=255,
            help="What to boot, if the firmware knows boot modes. 1: serial recovery.",
        ),
    ] = None
