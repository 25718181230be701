"""``reset``: restart a device, wait until it is back, and say what became of an image that waited for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smpdfu.cli.app.advice_by_code import outcome_words
from smpdfu.cli.app.command import Connection
from smpdfu.cli.app.ending import conclude
from smpdfu.cli.slots.restart_options import Restart
from smpdfu.cli.terminal.interruption import MAY_HAVE_RESTARTED, leaves
from smpdfu.cli.terminal.show import Good, HashOutput, stacked, words
from smpdfu.cli.update.slot_table import slot_data, slots_table, version_text
from smpdfu.cli.update.steps import WAITING
from smpdfu.client import Client
from smpdfu.dfu.decide.after_reset import Became, Outcome, outcomes_of, refusal_of, trial_ended
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.serial_recovery import KEEP_POWER
from smpdfu.dfu.decide.steps.rules import Action, Step
from smpdfu.dfu.do.one_image_steps import restart_alone, when_free
from smpdfu.dfu.do.same_device import SameDevice
from smpdfu.dfu.do.slot_marks import state_before_restart
from smpdfu.dfu.do.state_reading import read_b0_slot
from smpdfu.dfu.do.steps import Deadlines
from smpdfu.dfu.package.images import Role
from smpdfu.errors import ResponseTimeoutError

if TYPE_CHECKING:
    from rich.console import RenderableType


async def restart_device(conn: Connection, out: HashOutput, how: Restart) -> None:
    """Restart it, and with ``how.wait`` see it through."""

    def say() -> None:
        out.warn(f"the bootloader copies an image to the network core: {KEEP_POWER}. smpdfu waits")

    async with conn.client() as client:
        before = None if how.boot_mode is not None or not how.wait else await state_before_restart(client)
        if before is None:
            with leaves(MAY_HAVE_RESTARTED), out.waiting(WAITING):
                acknowledged = await when_free(client, lambda: _reset_only(client, how), how.boot_timeout, say)
            _conclude_alone(out, how, acknowledged=acknowledged)
            return
        waits = any(slot.waits for slot in before.slots)
        if waits:
            before = await read_b0_slot(client, before)
        same = SameDevice(client)
        before = known = await same.learn(before)
        out.say("the device restarts; smpdfu waits until it is back")
        deadlines = Deadlines(how.boot_timeout)
        await same.check(Step(Action.RESET, Role.APP), before)
        with leaves(MAY_HAVE_RESTARTED), out.waiting(WAITING):
            now = await when_free(
                client, lambda: restart_alone(client, known, deadlines, force=how.force), how.boot_timeout, say
            )
        await same.check(Step(Action.CHECK, Role.APP), now)
        if waits:
            now = await read_b0_slot(client, now)
    _conclude(out, before, now)


async def _reset_only(client: Client, how: Restart) -> bool:
    """Restart without a look at what runs before and after it. True: the device acknowledged the reset."""
    acknowledged = await client.reset(force=how.force, boot_mode=how.boot_mode)
    if not acknowledged and not how.wait:
        raise ResponseTimeoutError("os reset", client.timeout_s)
    if how.wait:
        await client.wait_for_device(how.boot_timeout)
    return acknowledged


def _conclude_alone(out: HashOutput, how: Restart, *, acknowledged: bool) -> None:
    said = "the device is back and answers" if how.wait else "the device is restarting"
    mode = {} if how.boot_mode is None else {"boot_mode": how.boot_mode, "acknowledged": acknowledged}
    out.emit({"reset": True, **mode}, lambda: said)


def _conclude(out: HashOutput, before: DeviceState, now: DeviceState) -> None:
    """The list, and what became of each image that waited; exit code 7 if one of them was not installed."""
    outcomes = outcomes_of(before, now)
    ended = trial_ended(before, now)
    error = refusal_of(outcomes)
    apart = [one for one in outcomes if error is None or one.words not in str(error)]
    said = [*map(_words, apart), *filter(None, [ended])]
    data = {"images": [slot_data(slot) for slot in now.slots], "outcomes": [_data(one) for one in outcomes]}

    def render() -> RenderableType:
        return stacked(slots_table(now.slots, long=out.long), *(words(line) for line in said))

    conclude(out, data, render, error)


def _words(one: Outcome) -> str:
    """A sentence on an image; an image that runs permanently is a good end."""
    text = outcome_words(one)
    return Good(text) if one.became in (Became.RUNS, Became.TAKEN) and not one.waits else text


def _data(one: Outcome) -> dict[str, Any]:
    version = version_text(one.slot.version)
    image = {"image": one.slot.image, "slot": one.slot.slot, "version": version, "hash": one.slot.hash}
    return image | {"became": one.became, "words": outcome_words(one)}
