"""The steps of an update where the upload replaces the application: in a firmware loader, or in serial recovery.

``decide/steps/rules`` has their order and why. Before anything is written, the device is asked who answers: an
application would put the image elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from smpdfu.client import UploadProgress
from smpdfu.dfu.decide.checks.refusals import net_refused
from smpdfu.dfu.decide.device_state import PRIMARY, DeviceState
from smpdfu.dfu.decide.proof_value import Proof
from smpdfu.dfu.decide.serial_recovery import no_number_in_package, package_number
from smpdfu.dfu.decide.steps.replacing import answers_inside
from smpdfu.dfu.decide.steps.rules import Action, Method, Step
from smpdfu.dfu.do.one_image_steps import when_free
from smpdfu.dfu.do.replacing.reach import Reach
from smpdfu.dfu.do.state_reading import read_slots, read_state
from smpdfu.dfu.do.steps import MAX_RESETS, SILENCE, Report, StepRunner
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.errors import AbsentError, DeviceError, ImageError, PlanError, SmpdfuError, StepError
from smpdfu.smp.groups.os import BOOT_MODE_BOOTLOADER
from smpdfu.smp.message import MgmtRc

_REFUSED = (MgmtRc.ENOTSUP, MgmtRc.EINVAL)
"""How firmware answers a request, or a bootloader an image number, that it does not know."""
_PLACES = {Method.FIRMWARE_LOADER: "its firmware loader", Method.SERIAL_RECOVERY: "MCUboot's serial recovery"}
_BY_HAND = {
    Method.FIRMWARE_LOADER: "hold the pin of the firmware loader while you restart the device",
    Method.SERIAL_RECOVERY: "hold the recovery button while you restart the device",
}
_ONLY_SENT = "Serial recovery does not report whether the network core took its image."


@dataclass(slots=True)
class Replacer:
    """Does one step after the other, by ``method``, on the device at both ends of ``reach``.

    ``runner`` has the deadlines, the health check and the question for the network core's version. ``answered``: the
    application was heard on its wire, so that its silence means something.
    """

    reach: Reach
    runner: StepRunner
    method: Method = Method.SERIAL_RECOVERY
    answered: bool = False

    async def do(
        self, step: Step, image: PackageImage, state: DeviceState, report: Report, *, net_version: str | None
    ) -> DeviceState:
        """Do a step with the image of its core; the state that the device is in then.

        Raises PlanError where nothing was written, ImageError for an image that is not started, StepError,
        RevertedError for a network core that keeps its firmware, DeviceError.
        """
        self.answered = self.answered or not (self._is_inside(state) or state.silent)
        try:
            return await self._do(step, image, state, report, net_version)
        except SILENCE as error:
            text = f"could not {step.words}: {error}. If the device stays silent, {_BY_HAND[self.method]}"
            raise StepError(text, step.name, resumable=True) from error

    async def _do(
        self, step: Step, image: PackageImage, state: DeviceState, report: Report, net_version: str | None
    ) -> DeviceState:
        match step.action:
            case Action.ENTER_LOADER | Action.ENTER_RECOVERY:
                return await self._enter(step, state)
            case Action.UPLOAD:
                return await self._upload(step, image, state, report)
            case Action.RESET:
                return await self._start(step, image, state)
            case _ if step.role is Role.NET:
                return await self._check_net(image, state, net_version)
            case _:
                return await self._check(step, image, state)

    # --- restarts -----------------------------------------------------------------------------------------------------

    async def _enter(self, step: Step, state: DeviceState) -> DeviceState:
        def ask() -> Awaitable[bool]:
            return self.reach.current.reset(boot_mode=BOOT_MODE_BOOTLOADER)

        try:
            now, is_inside = await self._restart(state, ask, into=True, within_s=self.runner.deadlines.boot_s)
        except DeviceError as error:
            if error.group is not None or error.rc not in _REFUSED:
                raise
            raise self._not_entered("its firmware refuses a reset with a boot mode") from error
        except SILENCE as error:
            raise AbsentError(self._is_away(f"in {_PLACES[self.method]}", error), step.name, resumable=True) from error
        if not is_inside:
            raise self._not_entered(
                "it restarted and its application answers: its firmware or its bootloader was built without boot modes"
            )
        return now

    def _not_entered(self, why: str) -> PlanError:
        return PlanError(
            f"smpdfu cannot start {_PLACES[self.method]} on this device: {why}. Nothing was written. To start it by "
            f"hand, {_BY_HAND[self.method]}, then run the same command again"
        ).because(f"not-entered-{self.method}")

    def _is_away(self, where: str, error: SmpdfuError) -> str:
        text = f"the device does not answer {where} within {self.runner.deadlines.boot_s:g} s ({error})"
        if self.reach.is_one:
            text += ". If it has another address or another serial port there, name it"
        return f"{text}. If it stays silent, {_BY_HAND[self.method]}"

    async def _start(self, step: Step, image: PackageImage, state: DeviceState) -> DeviceState:
        """Restart the device into its application."""
        deadlines, client = self.runner.deadlines, self.reach.current

        def ask() -> Awaitable[bool]:
            return when_free(client, client.reset, deadlines.boot_s, lambda: None)

        is_expected = self.answered or not self.reach.is_one
        within_s = deadlines.boot_s if is_expected else min(deadlines.boot_s, deadlines.settle_s)
        try:
            now, is_back = await self._restart(state, ask, into=False, within_s=within_s)
        except SILENCE as error:
            if not is_expected:
                return replace(state, slots=(), sizes=(), recovery=False, silent=True)
            raise AbsentError(self._is_away("with its application", error), step.name, resumable=True) from error
        if is_back:
            return now
        raise ImageError(
            f"the device stays in {_PLACES[self.method]}: it has {image.file} and does not start it (another key, or "
            "not for this device). Update it with an image that its bootloader accepts"
        )

    async def _restart(
        self, state: DeviceState, ask: Callable[[], Awaitable[bool]], *, into: bool, within_s: float
    ) -> tuple[DeviceState, bool]:
        """Restart the device and wait; its state, and whether it is where it should be: inside (``into``), or not.

        A restart into the other place does no harm, so smpdfu repeats a reset that the device does not acknowledge.
        Raises LinkError or RemoteProtocolError if nobody answers, DeviceError if the device refuses the reset.
        """
        target, other = (self.reach.loader, self.reach.app) if into else (self.reach.app, self.reach.loader)
        deadlines, clock = self.runner.deadlines, asyncio.get_running_loop().time
        acknowledged, resets = await ask(), 1
        begin, end, client = clock(), clock() + within_s, target
        while True:
            await asyncio.sleep(deadlines.poll_s)
            slice_s = end - clock() if self.reach.is_one else min(end - clock(), deadlines.settle_s)
            try:
                now = joined(state, await self.reach.wait(client, max(slice_s, deadlines.poll_s)))
            except SILENCE:
                if clock() >= end:
                    raise
            else:
                if self._is_inside(now) is into and (into or not now.recovery):
                    return now, True
                if not acknowledged and resets < MAX_RESETS and clock() >= begin + deadlines.again_s:
                    acknowledged, resets = await ask(), resets + 1
                    begin = clock()
                elif clock() >= min(begin + deadlines.settle_s, end):
                    return now, False
            if clock() >= begin + deadlines.settle_s:  # at both addresses in turn
                client = other if client is target else target

    def _is_inside(self, state: DeviceState) -> bool:
        return answers_inside(state, self.method)

    # --- uploads ------------------------------------------------------------------------------------------------------

    async def _upload(self, step: Step, image: PackageImage, state: DeviceState, report: Report) -> DeviceState:
        sent = 0

        async def recheck() -> None:
            await self.runner.same(step, state)
            await self._check_inside(step, state)

        def progress(now: UploadProgress) -> None:
            nonlocal sent
            sent = max(sent, now.off)
            report(now)

        await self._check_inside(step, state)
        by_recovery = self.method is Method.SERIAL_RECOVERY
        try:
            await self.reach.current.upload(
                image.data,
                package_number(image) if by_recovery else 0,
                progress=progress,
                compare=False,
                names_image=by_recovery,
                recheck=recheck,
            )
        except DeviceError as error:
            if sent:
                raise
            with suppress(SmpdfuError):  # the application is as it was: let it start
                await self.reach.current.reset()
            if by_recovery and image.role is not Role.APP and error.group is None and error.rc in _REFUSED:
                raise no_number_in_package(image) from error
            raise
        return await self._sent(step, image, state)

    async def _check_inside(self, step: Step, state: DeviceState) -> None:
        """Raise StepError, before anything is written, where the application answers."""
        if not self._is_inside(joined(state, await read_state(self.reach.current))):
            text = f"the device is not in {_PLACES[self.method]} any more. Nothing more was written"
            raise StepError(text, step.name, resumable=True)

    async def _sent(self, step: Step, image: PackageImage, state: DeviceState) -> DeviceState:
        """An application must be listed where it was sent to; of the other images a bootloader need not tell."""
        now = await read_slots(self.reach.current, state)
        if image.role is not Role.APP:
            return now
        there = now.slot(PRIMARY)
        if there is not None and there.hash in (None, image.hash):
            return now
        if self.method is Method.SERIAL_RECOVERY:
            raise ImageError(
                f"the bootloader has {image.file} and does not accept it (another key, or not for this device): it "
                "stays in recovery until it gets an image that it accepts"
            )
        text = f"{image.file} was sent completely, but the firmware loader does not list it"
        raise StepError(text, step.name, resumable=True)

    # --- checks -------------------------------------------------------------------------------------------------------

    async def _check(self, step: Step, image: PackageImage, state: DeviceState) -> DeviceState:
        if state.silent:
            return replace(state, proof=_no_answer(image))
        now = joined(state, await read_state(self.reach.current))
        if now.lists_images:
            there = now.running if image.role is Role.APP else now.slot(PRIMARY, image.image_index)
            if there is None or there.hash != image.hash:
                text = f"after the reset the device does not run {image.file}: it is another device, or its bootloader "
                text += "brought in an image that waited in another slot"
                raise StepError(text, step.name, resumable=True)
        if image.role is not Role.APP:
            return replace(now, proof=state.proof)
        try:
            await self.runner.health(self.reach.current)
        except SmpdfuError as error:
            text = (
                f"{image.file} runs but fails its check ({error}), and the device cannot go back: update it with a "
                "corrected image, or run the same command again to check it again"
            )
            raise StepError(text, step.name, resumable=True) from error
        return now if now.lists_images else replace(now, proof=_no_list(image))

    async def _check_net(self, image: PackageImage, state: DeviceState, net_version: str | None) -> DeviceState:
        if state.silent:
            return replace(state, proof=state.proof or _no_answer(image))
        told = await self.runner.told(image, net_version)
        if told is not None and told.value is False:
            raise net_refused(image, state, told)
        return replace(state, proof=state.proof or told or Proof(None, _ONLY_SENT))


def joined(state: DeviceState, now: DeviceState) -> DeviceState:
    """``state`` with what the device says ``now``; a bootloader tells less of itself than an application."""
    return replace(
        state,
        slots=now.slots,
        sizes=now.sizes,
        mode=state.mode if now.mode is None else now.mode,
        recovery=now.recovery,
        lists_images=now.lists_images,
        boot=now.boot,
        proof=None,
        silent=False,
    )


def _no_answer(image: PackageImage) -> Proof:
    return Proof(
        None,
        f"{image.file} was written and the device restarted, but nothing answers at the application's address.",
        doubt="The application may have no SMP server there. Check the device itself.",
    )


def _no_list(image: PackageImage) -> Proof:
    return Proof(
        None,
        f"{image.file} was written and the application answers, but it does not list its images.",
        doubt="Check its version on the device itself.",
    )
