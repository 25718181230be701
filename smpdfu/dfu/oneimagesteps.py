"""What ``upload`` does with one image, step by step on the device; ``oneimage`` decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from smpdfu.client import Client
from smpdfu.dfu.oneimage import Job, Wanted, Way, make_job
from smpdfu.dfu.package import Core, CoreImage
from smpdfu.dfu.plan import Action, Step
from smpdfu.dfu.refusals import not_run
from smpdfu.dfu.run import install, install_for_good
from smpdfu.dfu.state import DeviceState
from smpdfu.dfu.steps import Hands, hash_of, read_slots, read_state, restart
from smpdfu.errors import AbsentError, DeviceError, NotBootedError, SmpdfuError, StepError
from smpdfu.smp.groups.image import StateWrite
from smpdfu.smp.groups.os import BootloaderMode
from smpdfu.smp.message import MgmtRc

BUSY_POLL_S = 1.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ran:
    """How it ended: the ``state`` of the device; ``reverts``: whether its bootloader can go back, as the trial showed.

    None where there was no trial.
    """

    state: DeviceState
    reverts: bool | None = None


async def find_job(client: Client, image: CoreImage, state: DeviceState, wanted: Wanted) -> Job:
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


async def bring_to_run(hands: Hands, image: CoreImage, state: DeviceState, job: Job) -> Ran:
    """Have an uploaded image run for good. Raises RevertedError when another one runs in the end, and StepError."""
    state = await read_slots(hands.client, state)
    match job.way:
        case Way.TRIAL:
            return await _try(hands, image, state)
        case Way.PERMANENT:
            return Ran(await install_for_good(hands, image, state, job.image))
        case _:
            return Ran(await _start(hands, image, state))


async def _try(hands: Hands, image: CoreImage, state: DeviceState) -> Ran:
    reverts: bool | None = None

    def watch(step: Step, now: DeviceState) -> None:
        nonlocal reverts
        if step == Step(Action.CHECK, Core.APP) and now.running is not None:
            reverts = not now.running.confirmed

    return Ran(await install(hands, image, state, watch), reverts)


async def _start(hands: Hands, image: CoreImage, state: DeviceState) -> DeviceState:
    """Reset, and check that the image runs, on a device that takes no marks."""
    try:
        now = await restart(hands.client, state, hands.deadlines, lambda now: hash_of(now) == image.hash)
    except NotBootedError as error:
        raise not_run(image, await read_slots(hands.client, state)) from error
    except AbsentError as error:  # the same call again would only start the same image again
        raise StepError(str(error), error.step, resumable=False) from error
    try:
        await hands.health(hands.client)
    except SmpdfuError as error:
        text = f"{image.file} runs and is not well ({error}); the device cannot go back: upload a corrected image"
        raise StepError(text, "check app", resumable=False) from error
    return now


async def when_free(client: Client, act: Callable[[], Awaitable[T]], within_s: float, say: Callable[[], object]) -> T:
    """``await act()``, a reset: again and again while a bootloader in recovery copies to the network core.

    It refuses a reset until it is done (EBUSY). ``say`` is called once. DeviceError when it does not end
    ``within_s``, and at once when it is an application that refuses.
    """
    clock = asyncio.get_running_loop().time
    end, said = clock() + within_s, False
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
