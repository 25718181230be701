"""``test``, ``confirm`` and ``erase``: the slots of one device."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import typer

from smpdfu.cli.app.command import Connection
from smpdfu.cli.terminal.show import HashOutput
from smpdfu.cli.update.slot_table import emit_slots, slots_of, version_text
from smpdfu.client import ERASE_TIMEOUT_S, Client
from smpdfu.dfu.decide.active_slot import wrong_active_slot
from smpdfu.dfu.decide.checks.findings import refusal
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.one_image import fallback_during_trial
from smpdfu.dfu.decide.plan import Action, Step
from smpdfu.dfu.do import steps
from smpdfu.dfu.do.same_device import SameDevice
from smpdfu.dfu.do.state_reading import read_state
from smpdfu.dfu.package.package import Core
from smpdfu.errors import PlanError
from smpdfu.smp.groups.image import Erase, ImageSlot, StateWrite

HASH_SIZES = (32, 48, 64)
"""Bytes of the hashes that an image can have: SHA-256, SHA-384, SHA-512."""


async def mark_for_test(conn: Connection, out: HashOutput, hash_: str | None, image: int | None) -> None:
    """Mark an image for a test at the next boot. Without HASH, it marks the one in the slot that does not run."""
    async with conn.client() as client:
        same, state = await _met(client)
        chosen = _find(state.slots, hash_, image)
        assert chosen.hash is not None, "only such are found"
        await same.check(_step(Action.TEST), state)
        emit_slots(out, (await steps.mark(client, state, chosen.hash)).slots)


async def confirm_image(conn: Connection, out: HashOutput, hash_: str | None, image: int | None) -> None:
    """Confirm the running image, or make another one permanent. With the HASH of another image, there is no test.

    An empty HASH is the running image, as for mcumgr.
    """
    async with conn.client() as client:
        same, state = await _met(client)
        running = state.running
        keep = _step(Action.KEEP)
        chosen = running if not hash_ and not image else _find(state.slots, hash_ or None, image)
        if chosen is None or chosen.hash is None:  # a device that does not tell what runs
            await same.check(keep, state)
            await client.request(StateWrite(confirm=True))
            emit_slots(out, await slots_of(client))
        elif chosen == running:
            await same.check(keep, state)
            emit_slots(out, (await steps.confirm(client, state, chosen.hash)).slots)
        elif fallback_during_trial(chosen, state.slots):
            raise PlanError(
                f"another image is on trial and version {version_text(chosen.version)} does not run; it is the "
                "fallback: `smpdfu reset` brings it back. Nothing was changed"
            )
        else:
            out.warn("nobody has tested this image: after the next reset it runs permanently, with no way back")
            await same.check(keep, state)
            emit_slots(out, (await steps.mark(client, state, chosen.hash, permanent=True)).slots)


async def _met(client: Client) -> tuple[SameDevice, DeviceState]:
    """Which device this is, and the images that it lists."""
    same = SameDevice(client)
    return same, await same.learn(DeviceState(await slots_of(client)))


def _step(action: Action) -> Step:
    """A step that stands alone: nothing has booted since the device was met."""
    return Step(action, Core.APP)


async def erase_slot(conn: Connection, out: HashOutput, image: int | None, slot: int | None) -> None:
    """Erase a slot; without options, the one that does not run."""
    flat = None if image is None and slot is None else 2 * (image or 0) + (1 if slot is None else slot)
    async with conn.client() as client:
        # A device that does not answer ends the command soon, and not only after the timeout of an erase.
        same, state = await _met(client)
        from_slot_1 = any(one.active and one.slot for one in state.slots)
        if from_slot_1 and (errors := tuple(wrong_active_slot(await read_state(client)))):
            raise refusal(errors)
        await same.check(_step(Action.UPLOAD), state)
        await client.request(Erase(flat), timeout_s=conn.timeout_or(ERASE_TIMEOUT_S))
        emit_slots(out, await slots_of(client))


def _find(slots: Sequence[ImageSlot], text: str | None, image: int | None) -> ImageSlot:
    """The slot whose hash begins with ``text``; without a text, the only one that does not run."""
    listed = [slot for slot in slots if slot.hash is not None and (image is None or slot.image == image)]
    if text is None:
        found = [slot for slot in listed if not slot.active]
        what = "in a slot that does not run" if image is None else f"of number {image} in a slot that does not run"
    else:
        found = [slot for slot in listed if slot.hash is not None and slot.hash.hex().startswith(_hex(text))]
        what = f"whose hash begins with {text}"
    if not found:
        raise PlanError(f"the device lists no image {what}: `smpdfu list` shows what it has")
    if len({slot.hash for slot in found}) > 1:
        raise PlanError(f"the device lists {len(found)} images {what}: give more of the hash")
    return found[0]


def _hex(text: str) -> str:
    """The hex digits of a hash, or of its beginning; a whole hash may be in base64, as some tools write it."""
    plain = text.lower().removeprefix("0x")
    if len(plain) >= 4 and not set(plain) - set("0123456789abcdef"):
        return plain
    try:
        data = base64.b64decode(
            text + "=" * (-len(text) % 4), altchars=b"-_" if {"-", "_"} & set(text) else None, validate=True
        )
    except ValueError:
        data = b""
    if len(data) not in HASH_SIZES:
        raise typer.BadParameter(f"{text!r} is not a hash: give at least 4 hex digits, as `smpdfu list` shows them")
    return data.hex()
