"""What ``upload`` does with one image, step by step on the device; ``one_image`` decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from smpdfu.client import Client
from smpdfu.dfu.decide.checks.refusals import net_refused, not_installed, not_run
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.one_image import Job, Wanted, Way, make_job
from smpdfu.dfu.decide.proof import net_taken, picture
from smpdfu.dfu.decide.record import Record
from smpdfu.dfu.decide.steps.plan import UPLOADED, make_plan
from smpdfu.dfu.decide.steps.rules import Action, Step
from smpdfu.dfu.do.state_reading import read_slots, read_state, with_console
from smpdfu.dfu.do.steps import MAX_RESETS, Deadlines, Settled, StepRunner, hash_of, mark, restart
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.errors import (
    AbsentError,
    DeviceError,
    NotBackError,
    NotBootedError,
    ResponseTimeoutError,
    SmpdfuError,
    StepError,
)
from smpdfu.loaders.console import read_boot
from smpdfu.loaders.proof import Picture
from smpdfu.smp.groups.image import StateWrite
from smpdfu.smp.groups.os import BootloaderMode
from smpdfu.smp.message import MgmtRc

BUSY_POLL_S = 1.0
_AFTER_BOOT = Step(Action.CHECK, Role.APP)
"""Which device it is after a boot: what runs may have changed, the chip has not."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ran:
    """How it ended: the ``state`` of the device; ``reverts``: whether its bootloader can go back, as the trial showed.

    None where there was no trial.
    """

    state: DeviceState
    reverts: bool | None = None


async def find_job(client: Client, image: PackageImage, state: DeviceState, wanted: Wanted) -> Job:
    """What will be done; a device that does not tell its mode is asked whether it takes marks. Raises PlanError."""
    told = state.mode not in (None, BootloaderMode.UNKNOWN)
    marks = None if told or not wanted.boots else await takes_marks(client, state)
    return make_job(image, state, wanted, takes_marks=marks)


async def takes_marks(client: Client, state: DeviceState) -> bool | None:
    """Does the device take marks for the next boot? Asked by confirming what is confirmed, which changes nothing.

    None where that would change something, or the answer does not tell.
    """
    if state.running is None or not state.running.confirmed or any(slot.pending or slot.waits for slot in state.slots):
        return None
    try:
        await client.request(StateWrite(confirm=True))
    except DeviceError as error:
        return False if error.is_code(MgmtRc.ENOTSUP) else None
    return True


async def bring_to_run(runner: StepRunner, image: PackageImage, state: DeviceState, job: Job) -> Ran:
    """Have an uploaded image run permanently. Raises what ``install`` does."""
    state = await read_slots(runner.client, state)
    match job.way:
        case Way.TRIAL:
            return await _try(runner, image, state)
        case Way.PERMANENT:
            return Ran(await install_for_good(runner, image, state, job.image))
        case _:
            return Ran(await _start(runner, image, state))


async def install(
    runner: StepRunner,
    image: PackageImage,
    state: DeviceState,
    watch: Callable[[Step, DeviceState], None] | None = None,
) -> DeviceState:
    """Bring an image that is in the slot already to run permanently, on trial first: the steps of its core's plan.

    For bootloaders that can revert, or do not tell; ``watch`` is called after each step. Raises RevertedError when the
    device runs its previous firmware, NotBackError, and StepError.
    """
    for step in make_plan(Package((image,)), state, Record(steps=UPLOADED)).steps:
        state = await _do(runner, step, image, state)
        if watch is not None:
            watch(step, state)
    return state


async def install_for_good(runner: StepRunner, image: PackageImage, state: DeviceState, number: int) -> DeviceState:
    """Mark an uploaded image as permanent, reset, and check that it runs (a network core's: that it was taken over).

    There is no trial and no way back. ``number`` is the image number that it was uploaded to. Raises RevertedError when
    it was not taken, NotBackError, and StepError.
    """
    assert image.hash is not None
    await runner.same(Step(Action.TEST, image.role), state)
    # A pair of its own is for the network core, which has no way back in any case; many builds deny it that mark.
    marked = await mark(runner.client, state, image.hash, permanent=number == 0)
    now = await _do(runner, Step(Action.RESET, image.role), image, marked)
    await runner.same(_AFTER_BOOT, now)
    if image.core is Core.NET and (proof := net_taken(image, now)).value is False:
        raise net_refused(image, now, proof)
    if number == 0 and image.core is Core.APP and hash_of(now) != image.hash:
        raise not_run(image, now)
    return now


async def _do(runner: StepRunner, step: Step, image: PackageImage, state: DeviceState) -> DeviceState:
    """Do a step. No journal tells a later call what this one saw, so where the image still waits, it resets once more.

    Raises what ``StepRunner.do`` raises, and NotBackError for a device that stayed away: the same call again would only
    try the same image again.
    """
    again = False
    while True:
        await runner.same(step, state)
        try:
            return await runner.do(step, image, state)
        except AbsentError as error:
            raise NotBackError(str(error), error.step) from error
        except NotBootedError as error:
            await runner.same(_AFTER_BOOT, state)
            state = await read_slots(runner.client, state)
            if not error.acknowledged or picture(image, state) is not Picture.PENDING:
                raise
            if again:
                raise not_installed(image, state) from error
            again = True


async def _try(runner: StepRunner, image: PackageImage, state: DeviceState) -> Ran:
    reverts: bool | None = None

    def watch(step: Step, now: DeviceState) -> None:
        nonlocal reverts
        if step == Step(Action.CHECK, Role.APP) and now.running is not None:
            reverts = not now.running.confirmed

    return Ran(await install(runner, image, state, watch), reverts)


async def _start(runner: StepRunner, image: PackageImage, state: DeviceState) -> DeviceState:
    """Reset, and check that the image runs, on a device that takes no marks."""
    await runner.same(Step(Action.RESET, image.role), state)
    try:
        now = await restart(runner.client, state, runner.deadlines, lambda now: hash_of(now) == image.hash)
    except NotBootedError as error:
        await runner.same(_AFTER_BOOT, state)
        raise not_run(image, await read_slots(runner.client, state)) from error
    except AbsentError as error:  # the same call again would only start the same image again
        raise NotBackError(str(error), error.step) from error
    await runner.same(_AFTER_BOOT, now)
    try:
        await runner.health(runner.client)
    except SmpdfuError as error:
        text = (
            f"{image.file} runs but fails its check ({error}), and the device cannot go back. Upload a corrected "
            "image, or check it once more"
        )
        raise StepError(text, "check app", resumable=True) from error
    return now


async def restart_alone(
    client: Client, before: DeviceState, deadlines: Deadlines, *, force: bool = False
) -> DeviceState:
    """Restart the device for its own sake; its state behind that, in which an image may still wait.

    A reset that shows no boot, because what waited still waits, is asked for once more: it may not have taken place.
    Raises NotBackError when the device stays away, ResponseTimeoutError when it acknowledges no reset, LinkError.
    """
    for _ in range(2):
        try:
            return await restart(client, before, deadlines, _printed_or_booted(client, before), force=force)
        except AbsentError as error:
            raise NotBackError(str(error), error.step) from error
        except NotBootedError as error:
            if not error.acknowledged:
                raise ResponseTimeoutError("os reset", client.timeout_s, MAX_RESETS) from error
            if read_boot(client.boot_text).lines:
                break
    return with_console(client, await read_slots(client, before))


def _printed_or_booted(client: Client, before: DeviceState) -> Settled | None:
    """Some bootloaders keep a network image pending for ever, so what the console says of it counts, too."""
    pending = {slot.hash for slot in before.slots if slot.pending}
    if not pending:
        return None

    def settled(now: DeviceState) -> bool:
        told = read_boot(client.boot_text).network_taken is not None
        return told or not any(slot.pending and slot.hash in pending for slot in now.slots)

    return settled


async def when_free(client: Client, act: Callable[[], Awaitable[T]], within_s: float, say: Callable[[], object]) -> T:
    """``await act()``, a reset: again and again while a bootloader in recovery copies to the network core.

    It refuses a reset until it is done (EBUSY). ``say`` is called once. DeviceError when it does not end
    ``within_s``, and at once when it is an application that refuses.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + within_s
    said = False
    while True:
        try:
            return await act()
        except DeviceError as error:
            if not error.is_code(MgmtRc.EBUSY) or clock() >= end:
                raise
            if not said and not (await read_state(client)).recovery:
                raise
        if not said:
            say()
        said = True
        await asyncio.sleep(BUSY_POLL_S)
