"""``test``, ``confirm`` and ``erase``: the slots of one device. What may be done is decided in ``dfu/do``."""

from __future__ import annotations

from smpdfu.cli.app.command import Connection
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import HashOutput
from smpdfu.cli.update.slot_table import emit_slots
from smpdfu.client import ERASE_TIMEOUT_S
from smpdfu.dfu.do import slot_marks
from smpdfu.library import journal_of


async def mark_for_test(conn: Connection, out: HashOutput, hash_: str | None, image: int | None) -> None:
    """Mark an image for a test at the next boot. Without HASH, it marks the one in the slot that does not run."""
    digits = None if hash_ is None else _digits(hash_)
    async with conn.client() as client:
        journal = journal_of(conn.address())
        state = await slot_marks.mark_for_test(client, digits, image=image, journal=journal, warn=out.warn)
        emit_slots(out, state.slots)


async def confirm_image(conn: Connection, out: HashOutput, hash_: str | None, image: int | None) -> None:
    """Confirm the running image, or make another one permanent. With the HASH of another image, there is no test.

    An empty HASH is the running image, as for mcumgr.
    """
    digits = _digits(hash_) if hash_ else None
    async with conn.client() as client:
        journal = journal_of(conn.address())
        state = await slot_marks.confirm_image(
            client, digits, image=image, untested=out.warn, journal=journal, warn=out.warn
        )
        emit_slots(out, state.slots)


async def erase_slot(conn: Connection, out: HashOutput, image: int | None, slot: int | None) -> None:
    """Erase a slot; without options, the one that does not run."""
    async with conn.client() as client:
        timeout_s = conn.timeout_or(ERASE_TIMEOUT_S)
        emit_slots(out, (await slot_marks.erase_slot(client, image=image, slot=slot, timeout_s=timeout_s)).slots)


def _digits(text: str) -> str:
    """The hex digits of a HASH. Raises typer.BadParameter if it is none."""
    try:
        return slot_marks.hash_digits(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}, as `smpdfu list` shows them") from error
