"""``smpdfu os ...``: the rare commands of a device, under one name."""

from __future__ import annotations

import typer

from smpdfu.cli.app.command import command
from smpdfu.cli.device import datetime, raw, small_groups, system, transport
from smpdfu.cli.update.slots import echo


def register(app: typer.Typer) -> None:
    """Add the group to ``app``."""
    group = typer.Typer(help="Rare commands: echo, clock, threads, memory, raw requests.", no_args_is_help=True)
    command(group, "echo")(echo)
    for module in (datetime, system, small_groups, transport, raw):
        module.register(group)
    app.add_typer(group, name="os")
