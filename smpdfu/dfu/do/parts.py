"""The steps of what goes with the application in image pairs of its own, such as its half in external flash.

Both halves of an application must end alike: MCUboot knows no bond between image pairs, and half an update does not
start. So what goes with the application is confirmed before it, right before it, and after the health check. Zephyr's
answer to a confirmation of an image that is not the running one (``img_mgmt_set_next_boot_slot``):

- it is confirmed already (the bootloader overwrote it, or the firmware confirmed it): nothing is sent;
- the build allows it (CONFIG_MCUMGR_GRP_IMG_ALLOW_CONFIRM_NON_ACTIVE_IMAGE_ANY): confirmed;
- the build denies it, as by default: the application is not confirmed either, and a reset brings both back. If the
  firmware has confirmed its application alone, a reset would bring back the other half alone: there is none.

Between the two confirmations, as between two marks, a reset of the device itself leaves half an update, but where what
is marked and confirmed first has a dependency on the application's new version: then the bootloader leaves it alone, or
brings it back with its application (``boot_verify_slot_dependency``; preflight tells: "not-tied"). A call that was
stopped there continues with what the device shows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from smpdfu.client import Client
from smpdfu.dfu.decide.checks.refusals import CONFIRM_ALL, part_not_taken
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.steps.rules import Step, image_number, is_used
from smpdfu.dfu.do.state_reading import read_slots
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.errors import DeviceError, NoEffectError, RevertedError, StepError
from smpdfu.smp.groups.image import StateWrite

Restart = Callable[[DeviceState, Callable[[DeviceState], bool]], Awaitable[DeviceState]]
"""Reset the device and wait until its state is as wanted."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Does these steps on one device."""

    client: Client
    restart: Restart

    async def check(self, image: PackageImage, state: DeviceState) -> DeviceState:
        """The state of a device that uses the image.

        Raises RevertedError where it does not: an application on trial was brought back before.
        """
        now = await read_slots(self.client, state)
        if is_used(image, now):
            return now
        why = part_not_taken(image, now)
        if not now.on_trial:
            runs = "" if now.running is None else f"; the application runs version {now.running.version}"
            raise RevertedError(f"{why}{runs}, and image {image.image_index} is as before", ran=False, partly=True)
        await self._end_trial(now)
        raise RevertedError(f"{why}; the application was not confirmed, and {_BACK}", ran=False)

    async def confirm(self, step: Step, image: PackageImage, state: DeviceState) -> DeviceState:
        """Confirm an image that is used, by its hash; see above.

        Raises RevertedError where the device denies it and was brought back, StepError where that would do harm.
        """
        now = await read_slots(self.client, state)
        there = now.in_use(image_number(image, now.scheme))
        if there is None or not is_used(image, now):
            raise RevertedError(part_not_taken(image, now), ran=False)
        if there.confirmed or not now.takes_marks:
            return now
        try:
            await self.client.request(StateWrite(image.hash, confirm=True))
        except DeviceError as error:
            await self._denied(step, image, now, error)
        now = await read_slots(self.client, now)
        there = now.in_use(image_number(image, now.scheme))
        if there is None or not there.confirmed:
            raise NoEffectError("the device accepted the confirmation but does not show it", step.name)
        return now

    async def _denied(self, step: Step, image: PackageImage, now: DeviceState, error: DeviceError) -> NoReturn:
        part = f"image {image.image_index}, {image.words},"
        if not now.on_trial:
            breaks = ", and the application does not start with it" if image.role is Role.EXTERNAL else ""
            raise StepError(
                f"{part} is on trial and the device does not let smpdfu confirm it ({error}), but the firmware has "
                f"confirmed its application: the next reset brings back the previous image {image.image_index} alone"
                f"{breaks}. Do not restart the device before its firmware has confirmed that image, too",
                step.name,
                resumable=False,
            ) from error
        await self._end_trial(now)
        raise RevertedError(
            f"the device does not let smpdfu confirm {part} which is on trial ({error}); the application was not "
            f"confirmed either, and {_BACK}. {CONFIRM_ALL}"
        ).because("confirm-denied") from error

    async def _end_trial(self, now: DeviceState) -> None:
        tried = None if now.running is None else now.running.hash
        await self.restart(now, lambda later: later.running is None or later.running.hash != tried)

    async def end_trials(self, state: DeviceState) -> DeviceState:
        """The state of a device on which nothing is on trial that goes with the application: a reset ends that."""
        if not _tried(state):
            return state
        return await self.restart(state, lambda later: not _tried(later))


def _tried(state: DeviceState) -> bool:
    used = (state.in_use(number) for number in state.companions)
    return state.takes_marks and any(slot is not None and not slot.confirmed for slot in used)


_BACK = "the device runs its previous firmware again"
