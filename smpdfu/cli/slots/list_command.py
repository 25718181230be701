"""How ``list`` is declared: apart from the other commands of a device, whose options it does not need."""

from __future__ import annotations

from smpdfu.cli.app.command import Connection
from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.terminal.show import HashOutput


def register(app: Group) -> None:
    """Add the command to ``app``."""
    command(app, "list")(list_images)


async def list_images(conn: Connection, out: HashOutput) -> None:
    """Show what is in the slots: version, hash and flags."""
    from smpdfu.cli.slots.list_images import show_images

    await show_images(conn, out)
