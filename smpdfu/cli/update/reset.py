"""``reset``: restart a device, wait until it is back, and say what became of an image that waited for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smpdfu.cli.app.command import Connection
from smpdfu.cli.terminal.interruption import MAY_HAVE_RESTARTED, leaves
from smpdfu.cli.terminal.show import HashOutput
from smpdfu.errors import ResponseTimeoutError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.client import Client
    from smpdfu.dfu.decide.after_reset import Outcome
    from smpdfu.dfu.decide.device_state import DeviceState


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
            "--boot-mode", metavar="N", min=0, max=255, help="What to boot, where it can: 1 is the recovery mode."
        ),
    ] = None


async def reset(conn: Connection, out: HashOutput, how: Restart) -> None:
    """Restart the device, wait for it, and show what runs. The bootloader installs a pending image.

    If an image was pending, the last line says what became of it. Exit code 7: the bootloader did not install it.
    """
    from smpdfu.dfu.decide.plan import Action, Step
    from smpdfu.dfu.decide.serial_recovery import KEEP_POWER
    from smpdfu.dfu.do.one_image_steps import restart_alone, when_free
    from smpdfu.dfu.do.same_device import SameDevice
    from smpdfu.dfu.do.steps import Deadlines
    from smpdfu.dfu.package.package import Core

    def say() -> None:
        out.warn(f"the bootloader copies an image to the network core: {KEEP_POWER}. smpdfu waits")

    async with conn.client() as client:
        before = None if how.boot_mode is not None or not how.wait else await state_before(client)
        if before is None:
            with leaves(MAY_HAVE_RESTARTED):
                await when_free(client, lambda: _reset_only(client, out, how), how.boot_timeout, say)
            return
        same = SameDevice(client)
        before = known = await same.learn(before)
        out.say("the device restarts; smpdfu waits until it is back")
        deadlines = Deadlines(how.boot_timeout)
        await same.check(Step(Action.RESET, Core.APP), before)
        with leaves(MAY_HAVE_RESTARTED):
            now = await when_free(
                client, lambda: restart_alone(client, known, deadlines, force=how.force), how.boot_timeout, say
            )
        await same.check(Step(Action.CHECK, Core.APP), now)
    _conclude(out, before, now)


async def state_before(client: Client) -> DeviceState | None:
    """What a restart may change; None where the device lists no images, for its build has no such command."""
    from smpdfu.dfu.decide.device_state import DeviceState
    from smpdfu.dfu.do.steps import ask, read_state
    from smpdfu.smp.groups.image import StateRead

    listed = await ask(client, StateRead())
    if listed is None:
        return None
    if any(slot.waits for slot in listed.images):  # what becomes of it depends on the bootloader
        return await read_state(client)
    return DeviceState(listed.images)


async def _reset_only(client: Client, out: HashOutput, how: Restart) -> None:
    """Without a look at what runs before and after: there may be nothing to show."""
    acknowledged = await client.reset(force=how.force, boot_mode=how.boot_mode)
    if not acknowledged and not how.wait:
        raise ResponseTimeoutError("os reset", client.timeout_s)
    if how.wait:
        await client.wait_for_device(how.boot_timeout)
    said = "the device is back and answers" if how.wait else "the device is restarting"
    mode = {} if how.boot_mode is None else {"boot_mode": how.boot_mode, "acknowledged": acknowledged}
    out.emit({"reset": True, **mode}, lambda: said)


def _conclude(out: HashOutput, before: DeviceState, now: DeviceState) -> None:
    """The list, and what became of each image that waited; exit code 7 if one of them was not installed."""
    from smpdfu.cli.app.ending import conclude
    from smpdfu.cli.update.slot_table import slot_data, slots_table
    from smpdfu.dfu.decide.after_reset import outcomes_of, refusal_of, trial_ended

    outcomes, ended = outcomes_of(before, now), trial_ended(before, now)
    error = refusal_of(outcomes)
    said = [*(one.words for one in outcomes if error is None or one.words not in str(error)), *filter(None, [ended])]
    data = {"images": [slot_data(slot) for slot in now.slots], "outcomes": [_data(one) for one in outcomes]}

    def render() -> RenderableType:
        from rich.console import Group

        from smpdfu.cli.terminal.show import words

        return Group(slots_table(now.slots, long=out.long), *(words(line) for line in said))

    conclude(out, data, render, error)


def _data(one: Outcome) -> dict[str, Any]:
    from smpdfu.cli.update.slot_table import version_text

    version = version_text(one.slot.version)
    image = {"image": one.slot.image, "slot": one.slot.slot, "version": version, "hash": one.slot.hash}
    return image | {"became": one.became, "words": one.words}
