"""The single steps of an update, each one checked by reading the device; ``state_reading`` reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NoReturn

from smpdfu.client import ERASE_TIMEOUT_S, Client, UploadProgress
from smpdfu.dfu.decide.checks.refusals import (
    WENT_ELSEWHERE,
    net_refused,
    not_installed,
    not_run,
    not_taken,
    went_elsewhere,
)
from smpdfu.dfu.decide.device_state import DeviceState, Scheme
from smpdfu.dfu.decide.proof import after_hand_over, net_taken, picture
from smpdfu.dfu.decide.proof_value import Proof
from smpdfu.dfu.decide.steps.rules import COMPANIONS, MARKS, Action, Step, image_number, is_used
from smpdfu.dfu.do.health import Health, echoes
from smpdfu.dfu.do.mcuboot import check_mcuboot
from smpdfu.dfu.do.net_version import AskVersion, ask_or_none, judge
from smpdfu.dfu.do.parts import Parts
from smpdfu.dfu.do.state_reading import read_slots, with_console
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.errors import (
    AbsentError,
    DeviceError,
    LinkError,
    NoEffectError,
    NotBootedError,
    RemoteProtocolError,
    RevertedError,
    SmpdfuError,
    StepError,
)
from smpdfu.loaders.console import read_boot
from smpdfu.loaders.proof import Picture
from smpdfu.smp.groups.image import Erase, ImageRc, StateRead, StateWrite
from smpdfu.smp.message import MgmtRc

SILENCE = (LinkError, RemoteProtocolError)
IN_THE_WAY = (
    (ImageRc.NO_FREE_SLOT, StateRead.group),
    (ImageRc.IMAGE_ALREADY_PENDING, StateRead.group),
    (MgmtRc.EBADSTATE, None),  # as SMP version 1 has it
)
"""How a device says that a slot is not free."""
MAX_RESETS = 3
"""How often a reset is asked for that nobody acknowledges."""

Settled = Callable[[DeviceState], bool]
Check = Callable[[Step, DeviceState], Awaitable[None]]
"""Raises StepError where it is not the device any more of which the state was read."""
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

# --- marks ----------------------------------------------------------------------------------------------------------


async def mark(client: Client, state: DeviceState, wanted: bytes, *, permanent: bool = False) -> DeviceState:
    """Mark the image with this hash for the next boot: on trial, or permanent. Checked by reading the list.

    Raises DeviceError, LinkError, or NoEffectError when the device says yes and the list says no.
    """
    await client.request(StateWrite(wanted, confirm=permanent))
    now = await read_slots(client, state)
    if not any(slot.hash == wanted and (slot.permanent if permanent else slot.pending) for slot in now.slots):
        raise NoEffectError("the device accepted the mark for the next boot but does not show it", "mark")
    return now


async def confirm(client: Client, state: DeviceState, wanted: bytes) -> DeviceState:
    """Confirm the image that runs, if it is the wanted one; never one that does not run (it may have failed).

    Raises RevertedError when another image runs; DeviceError, LinkError, or NoEffectError when the list does not show
    it.
    """
    now = await read_slots(client, state)
    if hash_of(now) != wanted:
        raise RevertedError(not_taken(None, now))
    await client.request(StateWrite(confirm=True))
    now = await read_slots(client, now)
    if now.running is None or now.running.hash != wanted or not now.running.confirmed:
        raise NoEffectError("the device accepted the confirmation but does not show it", "confirm")
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
                return with_console(client, now)
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
        return "the device answers but did not restart: it acknowledged none of the requests"
    if any(slot.pending for slot in now.slots):
        return (
            "the device acknowledged the reset, but it did not restart or it refused the image: the image still waits "
            "for the next boot"
        )
    return "the device acknowledged the reset, but its answers show no restart"


def _stayed_away(state: DeviceState, deadlines: Deadlines, error: SmpdfuError) -> str:
    text = f"the device did not come back within {deadlines.boot_s:g} s after the reset ({error}); switch it off and on"
    if state.overwrites or not any(slot.pending and not slot.permanent for slot in state.slots):
        return f"{text} and look at its console"
    if state.can_revert is None:
        return f"{text}: a bootloader that can revert swaps an image back that was not confirmed"
    return f"{text}: an image that was not confirmed is swapped back"


def hash_of(state: DeviceState) -> bytes | None:
    """The hash of what runs."""
    return None if state.running is None else state.running.hash


# --- all of them ----------------------------------------------------------------------------------------------------


async def unchecked(step: Step, state: DeviceState) -> None:
    """Nobody asks whether it is the same device."""


@dataclass(frozen=True, slots=True)
class StepRunner:
    """Does one step after the other on one device.

    ``version`` asks the application for the network core's version, where somebody knows how. ``same`` is asked in the
    middle of an upload where another device may have come; before a step, the caller asks it.
    """

    client: Client
    deadlines: Deadlines = DEADLINES
    health: Health = echoes
    version: AskVersion | None = None
    same: Check = unchecked

    async def do(
        self,
        step: Step,
        image: PackageImage,
        state: DeviceState,
        report: Report | None = None,
        *,
        net_version: str | None = None,
    ) -> DeviceState:
        """Do a step with the image of its core; the state that the device is in then.

        ``net_version`` is what the application told of the network core before the reset for its image.

        Raises StepError, RevertedError when the device runs its previous firmware, DeviceError, LinkError.
        """
        try:
            return await self._do(step, image, state, report, net_version)
        except DeviceError as error:
            if step.action in MARKS and error.is_code(ImageRc.INVALID_IMAGE_HEADER_MAGIC, StateRead.group):
                # A power cut left half a mark, and the device has erased the slot: it is free again (boot_set_next).
                return await self._do(step, image, await self._upload(step, image, state, report), report, net_version)
            number = image_number(image, state.scheme)
            if not any(error.is_code(*code) for code in IN_THE_WAY) or (
                (await read_slots(self.client, state)).waiting(number) is not None
            ):
                raise
        # Nothing waits there, and yet it does: a bootloader that overwrites lost its power between the erase of an
        # image and that of its mark, and leaves it so. A slot without an image can always be erased.
        await self.client.request(Erase(2 * number + 1 - state.place(number)), timeout_s=ERASE_TIMEOUT_S)
        return await self._do(step, image, state, report, net_version)

    async def _do(
        self, step: Step, image: PackageImage, state: DeviceState, report: Report | None, net_version: str | None
    ) -> DeviceState:
        assert image.hash is not None, "preflight refuses an image without a hash"
        match step.action:
            case Action.UPLOAD:
                return await self._upload(step, image, state, report)
            case Action.TEST | Action.KEEP:
                # Overwritten, it is permanent anyway, and many builds deny that mark to all images but the application.
                permanent = step.action is Action.KEEP and not (step.role in COMPANIONS and state.overwrites)
                return await mark(self.client, state, image.hash, permanent=permanent)
            case Action.RESET:
                return await self._restart(step, image, state)
            case Action.CHECK if step.role is Role.APP:
                return await self._check_app(step, image, state)
            case Action.CHECK if step.role is Role.MCUBOOT:
                again = partial(restart, self.client, deadlines=self.deadlines)
                return await check_mcuboot(self.client, image, state, again)
            case Action.CHECK if step.role in COMPANIONS:
                return await self._parts.check(image, state)
            case Action.CHECK:
                return await self._check_net(image, state, net_version)
            case Action.CONFIRM if step.role in COMPANIONS:
                return await self._parts.confirm(step, image, state)
            case Action.CONFIRM:
                return await confirm(self.client, state, image.hash)
            case Action.ENTER_LOADER | Action.ENTER_RECOVERY:
                raise ValueError(f"Replacer does the step {step.name}")

    @property
    def _parts(self) -> Parts:
        return Parts(self.client, lambda state, settled: restart(self.client, state, self.deadlines, settled))

    async def _upload(self, step: Step, image: PackageImage, state: DeviceState, report: Report | None) -> DeviceState:
        await self.client.upload(
            image.data,
            image_number(image, state.scheme),
            progress=report,
            recheck=lambda: self.same(step, state),
        )
        now = await read_slots(self.client, state)
        if not any(slot.hash == image.hash for slot in now.slots):
            text = f"{image.file} was sent completely, but the device does not list it"
            raise StepError(text, step.name, resumable=True)
        return now

    async def _restart(self, step: Step, image: PackageImage, state: DeviceState) -> DeviceState:
        hands_over = step.role is Role.NET or (state.scheme is Scheme.SIMULTANEOUS and step.role is not Role.MCUBOOT)
        before = replace(state, proof=None) if hands_over else state
        settled = self._settled(step, image, before)
        try:
            now = await restart(self.client, before, self.deadlines, settled)
        except NotBootedError as error:
            # Read before the list: who answers behind the bootloader's lines answers after that boot.
            booted = bool(read_boot(self.client.boot_text).lines)
            now = with_console(self.client, await read_slots(self.client, before))
            if not error.acknowledged and not booted:
                raise
            if not _is_over(step, image, now):
                if not booted:
                    raise
                raise not_installed(image, now) from error
        if not hands_over:
            return now
        if step.role is Role.NET and hash_of(now) != hash_of(state):
            raise NoEffectError(went_elsewhere(now), step.name).because(WENT_ELSEWHERE)
        return after_hand_over(image, now)

    def _settled(self, step: Step, image: PackageImage, before: DeviceState) -> Settled | None:
        """What shows the boot; None: that nothing is pending any more."""
        if step.role is Role.NET:
            return self._booted_or_taken(image, before)
        if step.role in COMPANIONS and is_used(image, before):  # on trial without its application
            return lambda now: not is_used(image, now)
        if before.takes_marks or any(slot.pending for slot in before.slots):
            return None
        return lambda now: is_used(image, now) or picture(image, now) is Picture.GONE

    def _booted_or_taken(self, image: PackageImage, before: DeviceState) -> Settled | None:
        """Some bootloaders keep a network image pending for ever, so the console's word counts, too."""
        if picture(image, before) is not Picture.PENDING:
            return None

        def settled(now: DeviceState) -> bool:
            told = read_boot(self.client.boot_text).network_taken is not None
            return told or picture(image, now) is not Picture.PENDING

        return settled

    async def _check_app(self, step: Step, image: PackageImage, state: DeviceState) -> DeviceState:
        now = await read_slots(self.client, state)
        if hash_of(now) != image.hash:
            raise not_run(image, await self._parts.end_trials(now))
        try:
            await self.health(self.client)
        except SmpdfuError as error:
            await self._go_back(step, image, now, error)
        return now

    async def _check_net(self, image: PackageImage, state: DeviceState, net_version: str | None) -> DeviceState:
        told = await self.told(image, net_version)
        now = await read_slots(self.client, state)
        proof = net_taken(image, now, told)
        if proof.value is False:
            raise net_refused(image, now, proof)
        return replace(now, proof=proof)

    async def told(self, image: PackageImage, before: str | None) -> Proof | None:
        """What the application's word proves; it may need a moment until it knows which version it is.

        ``before`` is what it told before the reset. Raises LinkError.
        """
        clock = asyncio.get_running_loop().time
        end = clock() + self.deadlines.settle_s
        while True:
            proof = judge(image, before, await ask_or_none(self.version, self.client))
            if self.version is None or (proof is not None and proof.value is not False) or clock() >= end:
                return proof
            await asyncio.sleep(self.deadlines.poll_s)

    async def _go_back(self, step: Step, image: PackageImage, state: DeviceState, reason: SmpdfuError) -> NoReturn:
        """Not confirmed, the image is swapped back by a reset, where the bootloader can do that."""
        if state.overwrites or not state.on_trial:
            why = "the bootloader overwrites" if state.overwrites else "it was marked permanent"
            better = "a corrected image"
            if not state.takes_marks:
                why, better = "the bootloader starts the highest version", f"{better} of a higher version"
            text = (
                f"{image.file} runs but fails its check ({reason}); {why}, so the device cannot go back: update it "
                f"with {better}, or run the same call again to check it again"
            )
            raise StepError(text, step.name, resumable=True) from reason
        await restart(self.client, state, self.deadlines, lambda now: hash_of(now) != image.hash)
        raise RevertedError(
            f"{image.file} runs but fails its check ({reason}); it was not confirmed, and the device runs its previous "
            "firmware again"
        ) from reason


def _is_over(step: Step, image: PackageImage, now: DeviceState) -> bool:
    """An image still waits after a reset that was acknowledged: is the step done, and is the rest for the check?"""
    if step.role is Role.NET:
        return True
    # A mark that is gone shows a boot. What still waits is the network core's image, in a pair of its own.
    return is_used(image, now) or picture(image, now) in (Picture.LISTED, Picture.GONE)
