"""``list``: what is in the slots of a device."""

from __future__ import annotations

from smpdfu.cli.app.command import Connection
from smpdfu.cli.terminal.show import HashOutput
from smpdfu.cli.update.slot_table import emit_slots, slots_of


async def show_images(conn: Connection, out: HashOutput) -> None:
    """Show the list of images."""
    async with conn.client() as client:
        emit_slots(out, await slots_of(client))
