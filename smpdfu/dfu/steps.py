"""The single steps of an update, each one checked by reading the device. Only ``run`` and this talk to a device."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NoReturn, TypeVar

from smpdfu.client import ERASE_TIMEOUT_S, Client, UploadProgress
from smpdfu.dfu.health import Health, echoes
from smpdfu.dfu.package import Core, CoreImage
from smpdfu.dfu.plan import Action, Step, image_number, net_taken
from smpdfu.dfu.recovery import is_recovery
from smpdfu.dfu.state import SECONDARY, DeviceState, Scheme, mode_of
from smpdfu.errors import (
    AbsentError,
    DeviceError,
    LinkError,
    NotBootedError,
    RemoteProtocolError,
    RevertedError,
    SmpdfuError,
    StepError,
)
from smpdfu.smp.groups.image import Erase, ImageRc, SlotInfo, StateRead, StateWrite
from smpdfu.smp.groups.os import BootloaderInfo, Info
from smpdfu.smp.message import MgmtRc, Request, Response

SILENCE = (LinkError, RemoteProtocolError)
IN_THE_WAY = (
    (ImageRc.NO_FREE_SLOT, StateRead.group),
    (ImageRc.IMAGE_ALREADY_PENDING, StateRead.group),
    (MgmtRc.EBADSTATE, None),  # as SMP version 1 has it
)
"""How a device says that a slot is not free."""
MAX_RESETS = 3
"""How often a reset is asked for that nobody acknowledges."""
R = TypeVar("R", bound=Response)

Settled = Callable[[DeviceState], bool]
Report = Callable[[UploadProgress], None]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a device may take for a boot with everything the bootloader does in it, and how often to look.

    ``again_s``: from a reset that was not acknowledged until it is asked for again. ``settle_s``: from one that was,
    until a device that answers as before it counts as one that did not boot the image.
    """

    boot_s: float = 120.0
    poll_s: float = 0.25
    again_s: float = 2.0
    settle_s: float = 15.0


DEADLINES = Deadlines()

# --- look -----------------------------------------------------------------------------------------------------------


async def read_state(client: Client) -> DeviceState:
    """Ask the device for everything that a decision needs; what it does not know stays empty. Raises LinkError."""
    slots = (await client.request(StateRead())).images
    sizes = await ask(client, SlotInfo())
    mode = await ask(client, BootloaderInfo("mode"))
    platform = await ask(client, Info("i"))
    state = DeviceState(
        slots,
        () if sizes is None else sizes.images,
        None if mode is None else mode_of(mode.mode),
        bool(mode and mode.no_downgrade),
        platform.output.strip() if platform else None,
    )
    return replace(state, recovery=is_recovery(state, await client.params()))


async def read_slots(client: Client, state: DeviceState) -> DeviceState:
    """The state with its list of images read anew. Raises LinkError or DeviceError."""
    return replace(state, slots=(await client.request(StateRead())).images)


async def ask(client: Client, request: Request[R]) -> R | None:
    """The answer, or None where the device refuses: its build has no such command. Raises LinkError."""
    try:
        return await client.request(request)
    except DeviceError:
        return None


# --- marks ----------------------------------------------------------------------------------------------------------


async def mark(client: Client, state: DeviceState, wanted: bytes, *, permanent: bool = False) -> DeviceState:
    """Mark the image with this hash for the next boot: on trial, or for good. Checked by reading the list.

    Raises DeviceError, LinkError, or StepError when the device says yes and the list says no.
    """
    await client.request(StateWrite(wanted, confirm=permanent))
    now = await read_slots(client, state)
    if not any(slot.hash == wanted and (slot.permanent if permanent else slot.pending) for slot in now.slots):
        raise StepError("the device took the mark for the next boot and does not show it", "mark", resumable=True)
    return now


async def confirm(client: Client, state: DeviceState, wanted: bytes) -> DeviceState:
    """Confirm the image that runs, if it is the wanted one; never one that does not run (it may have failed).

    Raises RevertedError when another image runs; DeviceError, LinkError, or StepError when the list does not show it.
    """
    now = await read_slots(client, state)
    if hash_of(now) != wanted:
        raise RevertedError(not_taken(None, now))
    await client.request(StateWrite(confirm=True))
    now = await read_slots(client, now)
    if now.running is None or now.running.hash != wanted or not now.running.confirmed:
        raise StepError("the device took the confirmation and does not show it", "confirm", resumable=True)
    return now


# --- reset ----------------------------------------------------------------------------------------------------------


async def restart(
    client: Client, state: DeviceState, deadlines: Deadlines, settled: Settled | None = None, *, force: bool = False
) -> DeviceState:
    """Reset the device and wait until it is back and ``settled``: by default, nothing of ``state`` is still pending.

    ``force`` asks the firmware not to refuse. A reset that is not acknowledged is asked for again only when no boot
    can have taken place meanwhile, or when one more does no harm: a second one would revert an image on trial.
    Raises AbsentError when the device stays away, NotBootedError when it answers and was not reset, LinkError when
    the link is lost before the reset and stays so.
    """
    pending = {slot.hash for slot in state.slots if slot.pending}
    done = settled or (lambda now: not any(slot.pending and slot.hash in pending for slot in now.slots))
    shows_boot = settled is not None or bool(pending)
    clock = asyncio.get_running_loop().time
    acknowledged, resets = await client.reset(force=force), 1
    begin, end = clock(), clock() + deadlines.boot_s
    while True:
        # An answer may still come from before the reset, so the first one does not count; ``done`` decides.
        await asyncio.sleep(deadlines.poll_s)
        try:
            await client.wait_for_device(max(end - clock(), deadlines.poll_s))
            now = await read_slots(client, state)
            if done(now) and (shows_boot or acknowledged):
                return now
            again = not acknowledged and resets < MAX_RESETS and _may_reset_again(state, now)
            if again and clock() >= begin + deadlines.again_s:
                acknowledged, resets = await client.reset(force=force), resets + 1
                begin, end = clock(), clock() + deadlines.boot_s
                continue
        except SILENCE as error:
            if clock() >= end:
                raise AbsentError(_stayed_away(state, deadlines, error), "reset", resumable=True) from error
            continue
        given_up = resets == MAX_RESETS and not shows_boot
        if clock() >= end or (clock() >= begin + deadlines.settle_s if acknowledged else given_up):
            raise NotBootedError(_not_reset(acknowledged, now), "reset", acknowledged=acknowledged)


def _may_reset_again(before: DeviceState, now: DeviceState) -> bool:
    """The list proves that there was no boot since ``before``, or that a second one has nothing to revert."""
    waiting = {slot.hash for slot in before.slots if slot.pending}
    if waiting or any(slot.pending for slot in now.slots):
        return any(slot.pending and slot.hash in waiting for slot in now.slots)
    if now.running is None:
        return False
    # A trial that still runs: a bootloader that can revert ends it at the first boot.
    return now.running.confirmed or (now.can_revert is True and hash_of(now) == hash_of(before))


def _not_reset(acknowledged: bool, now: DeviceState) -> str:
    if not acknowledged:
        return "the device answers and was not reset: it acknowledged none of the requests"
    if any(slot.pending for slot in now.slots):
        return "the device took the reset and was not reset, or refused the image: it still waits for the next boot"
    return "the device took the reset and answers as if it was not reset"


def _stayed_away(state: DeviceState, deadlines: Deadlines, error: SmpdfuError) -> str:
    text = f"the device did not come back within {deadlines.boot_s:g} s after the reset ({error}); switch it off and on"
    if state.overwrites or not any(slot.pending and not slot.permanent for slot in state.slots):
        return f"{text} and look at its console"
    if state.can_revert is None:
        return f"{text}: a bootloader that can revert swaps an image back that was not confirmed"
    return f"{text}: an image that was not confirmed is swapped back"


def not_taken(image: CoreImage | None, state: DeviceState) -> str:
    """Why another image runs than the one that was tried, as far as the list of images tells."""
    name = "the new image" if image is None else image.file
    runs = "" if state.running is None else f"; the device runs {state.running.version}"
    if state.scheme is Scheme.SIMULTANEOUS:
        runs += ". The network core may have its new image all the same: update both cores again with one that is taken"
    if image is not None and image.core is Core.NET:
        runs = f"; the network core keeps its firmware{runs}"
    elif image is not None and any(slot.hash == image.hash for slot in state.slots):
        return f"{name} was tried and did not last, or the bootloader did not take it{runs}"
    return f"the bootloader did not take {name} (wrong key, damaged, or linked for another place) and erased it{runs}"


def hash_of(state: DeviceState) -> bytes | None:
    """The hash of what runs."""
    return None if state.running is None else state.running.hash


# --- all of them ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hands:
    """What does one step after the other on one device."""

    client: Client
    deadlines: Deadlines = DEADLINES
    health: Health = echoes

    async def do(self, step: Step, image: CoreImage, state: DeviceState, report: Report | None = None) -> DeviceState:
        """Do a step with the image of its core; the state that the device is in then.

        Raises StepError, RevertedError when the device runs its previous firmware, DeviceError, LinkError.
        """
        try:
            return await self._do(step, image, state, report)
        except DeviceError as error:
            number = image_number(image.core, state.scheme)
            if not any(error.is_code(*code) for code in IN_THE_WAY) or (
                (await read_slots(self.client, state)).waiting(number) is not None
            ):
                raise
        # Nothing waits there, and yet it does: a bootloader that overwrites lost its power between the erase of an
        # image and that of its mark, and leaves it so for good. A slot without an image can always be erased.
        await self.client.request(Erase(2 * number + SECONDARY), timeout_s=ERASE_TIMEOUT_S)
        return await self._do(step, image, state, report)

    async def _do(self, step: Step, image: CoreImage, state: DeviceState, report: Report | None) -> DeviceState:
        assert image.hash is not None, "preflight refuses an image without a hash"
        match step.action:
            case Action.UPLOAD:
                return await self._upload(step, image, state, report)
            case Action.TEST | Action.KEEP:
                return await mark(self.client, state, image.hash, permanent=step.action is Action.KEEP)
            case Action.RESET:
                return await self._restart(step, image, state)
            case Action.CHECK if step.core is Core.APP:
                return await self._check_app(step, image, state)
            case Action.CHECK:
                return await self._check_net(image, state)
            case Action.CONFIRM:
                return await confirm(self.client, state, image.hash)

    async def _upload(self, step: Step, image: CoreImage, state: DeviceState, report: Report | None) -> DeviceState:
        await self.client.upload(image.data, image_number(image.core, state.scheme), progress=report)
        now = await read_slots(self.client, state)
        if not any(slot.hash == image.hash for slot in now.slots):
            text = f"{image.file} was sent whole and the device does not list it"
            raise StepError(text, step.name, resumable=True)
        return now

    async def _restart(self, step: Step, image: CoreImage, state: DeviceState) -> DeviceState:
        try:
            now = await restart(self.client, state, self.deadlines)
        except NotBootedError as error:
            if step.core is Core.NET and error.acknowledged:
                raise StepError(_net_refused(image), step.name, resumable=False) from error
            raise
        if step.core is Core.NET and hash_of(now) != hash_of(state):
            raise StepError(_went_elsewhere(now), step.name, resumable=False)
        return now

    async def _check_app(self, step: Step, image: CoreImage, state: DeviceState) -> DeviceState:
        now = await read_slots(self.client, state)
        if hash_of(now) != image.hash:
            raise RevertedError(not_taken(image, now))
        try:
            await self.health(self.client)
        except SmpdfuError as error:
            await self._go_back(step, image, now, error)
        return now

    async def _check_net(self, image: CoreImage, state: DeviceState) -> DeviceState:
        now = await read_slots(self.client, state)
        if net_taken(image, now) is False:
            raise RevertedError(not_taken(image, now))
        return now

    async def _go_back(self, step: Step, image: CoreImage, state: DeviceState, reason: SmpdfuError) -> NoReturn:
        """Not confirmed, the image is swapped back by a reset, where the bootloader can do that."""
        if state.overwrites or (state.running is not None and state.running.confirmed):
            why = "the bootloader overwrites" if state.overwrites else "it was marked for good"
            text = (
                f"{image.file} runs and is not well ({reason}); {why}, so the device cannot go back: update it with a "
                "corrected image, or call again to check it again"
            )
            raise StepError(text, step.name, resumable=True) from reason
        await restart(self.client, state, self.deadlines, lambda now: hash_of(now) != image.hash)
        raise RevertedError(
            f"{image.file} runs and is not well ({reason}); it was not confirmed, and the device runs its previous "
            "firmware again"
        ) from reason


def _went_elsewhere(now: DeviceState) -> str:
    text = "after the network core's update the application core runs another image than before"
    if now.running is not None and not now.running.confirmed:
        return f"{text}; it is on trial, and `smpdfu reset` brings back what ran"
    return f"{text}; `smpdfu list` shows it: upload the application's image again"


def _net_refused(image: CoreImage) -> str:
    return (
        f"the device was reset and {image.file} still waits for the next boot: the network core did not take it (not "
        "signed for its bootloader, or damaged) and runs nothing newer than before; each reset tries it again. "
        "`smpdfu erase` frees the slot where the firmware lets it; else erase the secondary slot with a debugger or "
        "in MCUboot's serial recovery, then update with a corrected image"
    )
