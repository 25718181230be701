"""How ``inspect`` is declared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.image.options import SlotOptions
from smpdfu.cli.image.trust_options import NsibOptions
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import HashOutput


def register(app: Group) -> None:
    """Add the command to ``app``."""
    command(app, "inspect")(inspect)


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
