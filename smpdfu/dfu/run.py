"""Do what a plan says, one step after the other, each one checked by reading the device.

The only part of an update that talks to a device. A step is written into the journal before it begins and after the
device was seen to have done it, so whoever stops this at any point can start it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import NoReturn, TypeVar

from smpdfu.client import Client, UploadProgress
from smpdfu.dfu.journal import DONE, REVERTED, Journal, Record
from smpdfu.dfu.package import Core, CoreImage, Package
from smpdfu.dfu.plan import Action, Plan, Step, make_plan, went_back
from smpdfu.dfu.preflight import Finding, Severity, preflight
from smpdfu.dfu.state import DeviceState
from smpdfu.errors import DeviceError, LinkError, RemoteProtocolError, RevertedError, SmpdfuError, StepError
from smpdfu.smp.groups.image import SlotInfo, StateRead, StateWrite
from smpdfu.smp.groups.os import BootloaderInfo, BootloaderMode, Echo, Info
from smpdfu.smp.message import Request, Response

SILENCE = (LinkError, RemoteProtocolError)
R = TypeVar("R", bound=Response)

Settled = Callable[[DeviceState], bool]
Health = Callable[[Client], Awaitable[None]]
"""Raises SmpdfuError when the image that runs on trial is not well."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a device may take for a boot with everything the bootloader does in it, and how often to look."""

    boot_s: float = 120.0
    poll_s: float = 0.25


@dataclass(frozen=True, slots=True)
class StepBegun:
    """Step ``number`` of ``total`` begins."""

    step: Step
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Of an upload: ``done`` of ``total`` bytes are in the device, ``resumed_at`` of them from an earlier call."""

    step: Step
    done: int
    total: int
    resumed_at: int


@dataclass(frozen=True, slots=True)
class StepDone:
    """The device was seen to have done the step; ``state`` is what it says now."""

    step: Step
    state: DeviceState


Event = StepBegun | Progress | StepDone


@dataclass(frozen=True, slots=True)
class Decision:
    """What was found and what would be done; ``refused`` are the findings that speak against it."""

    state: DeviceState
    findings: tuple[Finding, ...]
    plan: Plan

    @property
    def refused(self) -> tuple[Finding, ...]:
        """The findings that are errors."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)


# --- look -----------------------------------------------------------------------------------------------------------


async def read_state(client: Client) -> DeviceState:
    """Ask the device for everything that a decision needs; what it does not know stays empty. Raises LinkError."""
    slots = (await client.request(StateRead())).images
    sizes = await ask(client, SlotInfo())
    mode = await ask(client, BootloaderInfo("mode"))
    platform = await ask(client, Info("i"))
    return DeviceState(
        slots,
        () if sizes is None else sizes.images,
        None if mode is None else _mode(mode.mode),
        bool(mode and mode.no_downgrade),
        platform.output.strip() if platform else None,
    )


async def ask(client: Client, request: Request[R]) -> R | None:
    """The answer, or None where the device refuses: its build has no such command. Raises LinkError."""
    try:
        return await client.request(request)
    except DeviceError:
        return None


def _mode(number: int | None) -> BootloaderMode | None:
    try:
        return None if number is None else BootloaderMode(number)
    except ValueError:
        return BootloaderMode.UNKNOWN


def decide(package: Package, state: DeviceState, record: Record) -> Decision:
    """Findings and plan for a device in this state; raises PlanError where there is no plan for it."""
    ours = record.of(package.digest)
    return Decision(
        state,
        preflight(package, state),
        make_plan(package, state, Record() if went_back(package, state, ours) else ours),
    )


# --- do -------------------------------------------------------------------------------------------------------------


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
    if now.running is None or now.running.hash != wanted:
        raise RevertedError(_not_taken(None, now))
    await client.request(StateWrite(confirm=True))
    now = await read_slots(client, now)
    if now.running is None or now.running.hash != wanted or not now.running.confirmed:
        raise StepError("the device took the confirmation and does not show it", "confirm", resumable=True)
    return now


async def restart(
    client: Client, state: DeviceState, deadlines: Deadlines, settled: Settled | None = None
) -> DeviceState:
    """Reset the device and wait until it is back and ``settled``: by default, nothing of ``state`` is still pending.

    Raises StepError when that does not happen in time.
    """
    pending = {slot.hash for slot in state.slots if slot.pending}
    done = settled or (lambda now: not any(slot.pending and slot.hash in pending for slot in now.slots))
    clock = asyncio.get_running_loop().time
    await client.reset()
    end = clock() + deadlines.boot_s
    while True:
        # An answer may still come from before the reset, so the first one does not count; ``settled`` decides.
        await asyncio.sleep(deadlines.poll_s)
        try:
            await client.wait_for_device(max(end - clock(), deadlines.poll_s))
            now = await read_slots(client, state)
        except SILENCE as error:
            if clock() >= end:
                raise StepError(_stayed_away(deadlines, error), "reset", resumable=True) from error
        else:
            if done(now):
                return now
            if clock() >= end:
                raise StepError("the device answers and was not reset", "reset", resumable=True)


async def read_slots(client: Client, state: DeviceState) -> DeviceState:
    """The state with its list of images read anew. Raises LinkError or DeviceError."""
    return replace(state, slots=(await client.request(StateRead())).images)


async def echoes(client: Client) -> None:
    """The built-in health check: SMP answers. Raises LinkError or DeviceError."""
    await client.request(Echo("smpdfu"))


async def install(
    client: Client, image: CoreImage, state: DeviceState, number: int, deadlines: Deadlines
) -> DeviceState:
    """Mark an uploaded image for good, reset, and check that it runs (a network core's: that it was taken over).

    ``number`` is the image number that it was uploaded to. Raises RevertedError when it was not taken.
    """
    assert image.hash is not None
    marked = await mark(client, state, image.hash, permanent=True)
    now = await restart(client, marked, deadlines)
    if number == 0 and image.core is Core.APP and _hash(now) != image.hash:
        raise RevertedError(_not_taken(image, now))
    return now


def _stayed_away(deadlines: Deadlines, error: SmpdfuError) -> str:
    return (
        f"the device did not come back within {deadlines.boot_s:g} s after the reset ({error}); switch it off and on: "
        "an image that was not confirmed is swapped back"
    )


def _not_taken(image: CoreImage | None, state: DeviceState) -> str:
    """Why another image runs than the one that was tried, as far as the list of images tells."""
    name = "the new image" if image is None else image.file
    runs = "" if state.running is None else f"; the device runs {state.running.version}"
    if image is not None and any(slot.hash == image.hash for slot in state.slots):
        return f"{name} was tried and did not last, or the bootloader did not take it{runs}"
    return f"the bootloader did not take {name} (wrong key, damaged, or linked for another place) and erased it{runs}"


class Update:
    """One package on one device: ``look`` at what is to be done, then ``async for event in update.run(decision)``."""

    def __init__(
        self,
        client: Client,
        package: Package,
        journal: Journal,
        *,
        deadlines: Deadlines = Deadlines(),
        health: Health = echoes,
    ) -> None:
        self._client, self._package, self._journal = client, package, journal
        self._deadlines, self._health = deadlines, health

    async def look(self) -> Decision:
        """Read the device and decide.

        Raises RevertedError, once, when an earlier call was stopped during the trial and the trial is over by now.
        """
        state = await read_state(self._client)
        record = self._journal.record.of(self._package.digest)
        if went_back(self._package, state, record):
            self._journal.end(REVERTED)
            raise RevertedError(_not_taken(self._package.image(Core.APP), state))
        return decide(self._package, state, record)

    async def run(self, decision: Decision) -> AsyncGenerator[Event, None]:
        """Do the steps, yielding what happens; leave it with ``aclosing`` and nothing goes on behind your back.

        Raises StepError (``resumable``: call again), RevertedError when the device runs its previous firmware,
        DeviceError when it refuses, JournalError. Whatever it is, the device boots.
        """
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        work = asyncio.create_task(self._work(decision, events.put_nowait))
        work.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            await work
        finally:
            work.cancel()
            await asyncio.wait([work])

    async def _work(self, decision: Decision, tell: Callable[[Event], None]) -> None:
        state, steps = decision.state, decision.plan.steps
        if not steps and not self._journal.record.of(self._package.digest).unfinished:
            return
        if not self._journal.record.of(self._package.digest).unfinished:
            self._journal.begin(self._package.digest, device=self._client.name)
        for number, step in enumerate(steps, 1):
            tell(StepBegun(step, number, len(steps)))
            self._journal.begun(step.name)
            try:
                state = await self._do(step, state, tell)
            except SILENCE as error:
                raise StepError(f"could not {step.words}: {error}", step.name, resumable=True) from error
            except RevertedError:
                self._journal.end(REVERTED)
                raise
            self._journal.done(step.name)
            tell(StepDone(step, state))
        self._journal.end(DONE)

    async def _do(self, step: Step, state: DeviceState, tell: Callable[[Event], None]) -> DeviceState:
        image = self._package.image(step.core)
        assert image is not None
        assert image.hash is not None, "preflight refuses an image without a hash"
        match step.action:
            case Action.UPLOAD:
                return await self._upload(step, image, state, tell)
            case Action.TEST:
                return await mark(self._client, state, image.hash)
            case Action.RESET:
                return await self._restart(step, state)
            case Action.CHECK if step.core is Core.APP:
                return await self._check_app(image, state)
            case Action.CHECK:
                return await read_slots(self._client, state)
            case Action.CONFIRM:
                return await confirm(self._client, state, image.hash)

    async def _upload(
        self, step: Step, image: CoreImage, state: DeviceState, tell: Callable[[Event], None]
    ) -> DeviceState:
        def progress(now: UploadProgress) -> None:
            tell(Progress(step, now.off, now.len, now.resumed_at))

        await self._client.upload(image.data, progress=progress)
        now = await read_slots(self._client, state)
        if not any(slot.hash == image.hash for slot in now.slots):
            text = f"{image.file} was sent whole and the device does not list it"
            raise StepError(text, step.name, resumable=True)
        return now

    async def _restart(self, step: Step, state: DeviceState) -> DeviceState:
        now = await restart(self._client, state, self._deadlines)
        if step.core is Core.NET and _hash(now) != _hash(state):
            # The network core's image went somewhere else than to the network core.
            text = "after the network core's update the application core runs another image than before"
            raise StepError(text, step.name, resumable=False)
        return now

    async def _check_app(self, image: CoreImage, state: DeviceState) -> DeviceState:
        now = await read_slots(self._client, state)
        if _hash(now) != image.hash:
            raise RevertedError(_not_taken(image, now))
        try:
            await self._health(self._client)
        except SmpdfuError as error:
            await self._go_back(image, now, error)
        return now

    async def _go_back(self, image: CoreImage, state: DeviceState, reason: SmpdfuError) -> NoReturn:
        """Not confirmed, the image is swapped back by a reset."""
        await restart(self._client, state, self._deadlines, lambda now: _hash(now) != image.hash)
        raise RevertedError(
            f"{image.file} runs and is not well ({reason}); it was not confirmed, and the device runs its previous "
            "firmware again"
        ) from reason


def _hash(state: DeviceState) -> bytes | None:
    return None if state.running is None else state.running.hash
