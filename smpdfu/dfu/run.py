"""Do what a plan says, one step after the other, with a journal.

A step is written into the journal before it begins and after the device was seen to have done it (``steps``), so
whoever stops this at any point can start it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace

from smpdfu.client import Client, UploadProgress
from smpdfu.dfu.findings import Finding, Severity, refusal, stopping
from smpdfu.dfu.health import Health, echoes
from smpdfu.dfu.journal import DONE, FAILED, REVERTED, Journal, Record
from smpdfu.dfu.package import Core, CoreImage, Package
from smpdfu.dfu.plan import UPLOADED, Action, Plan, Policy, Step, make_plan, net_taken, went_back
from smpdfu.dfu.preflight import preflight
from smpdfu.dfu.state import DeviceState, Past, Scheme
from smpdfu.dfu.steps import (
    DEADLINES,
    SILENCE,
    Deadlines,
    Hands,
    hash_of,
    mark,
    not_taken,
    read_slots,
    read_state,
)
from smpdfu.errors import AbsentError, RevertedError, StepError


@dataclass(frozen=True, slots=True)
class StepBegun:
    """Step ``number`` of ``total`` begins."""

    step: Step
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Of an upload: ``done`` of ``total`` bytes are in the device, ``resumed_at`` of them from an earlier call.

    ``window``: the requests that may be in flight now.
    """

    step: Step
    done: int
    total: int
    resumed_at: int
    window: int = 1


@dataclass(frozen=True, slots=True)
class StepDone:
    """The device was seen to have done the step; ``state`` is what it says now.

    ``proven`` is False for the check of a network core where the device cannot tell whether it took its image.
    ``seconds``: how long the step took, from ``StepBegun``.
    """

    step: Step
    state: DeviceState
    proven: bool = True
    seconds: float = 0.0


Event = StepBegun | Progress | StepDone


@dataclass(frozen=True, slots=True)
class Decision:
    """What was found and what would be done; ``refused`` are the findings that speak against it.

    ``net_done_at``: the network core's image is taken for installed because the journal says so, and the device cannot
    tell; when that was, in seconds since 1970. None where nothing hangs on the journal alone. ``tried_again``: an
    earlier call was stopped during the trial, which ended unwatched, and begins anew.
    """

    state: DeviceState
    findings: tuple[Finding, ...]
    plan: Plan
    net_done_at: float | None = None
    tried_again: bool = False

    @property
    def refused(self) -> tuple[Finding, ...]:
        """The findings that are errors."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants of an update beyond the package.

    ``scheme``: what the device is, where it does not tell. ``again``: an update that ended counts for nothing, so that
    the network core is updated once more. ``force``: go on in spite of findings that are errors.
    """

    policy: Policy = Policy.TEST_AND_CONFIRM
    scheme: Scheme | None = None
    again: bool = False
    force: bool = False


AS_USUAL = Wish()


def decide(package: Package, state: DeviceState, record: Record, wish: Wish = AS_USUAL) -> Decision:
    """Findings and plan for a device in this state; raises PlanError where there is no plan for it."""
    state = replace(state, given=wish.scheme, past=Past.from_entry(record.past))
    ours = record.of(package.digest)
    unwatched = went_back(package, state, ours)
    if unwatched or (wish.again and not ours.unfinished):
        ours = Record()
    plan = make_plan(package, state, ours, wish.policy)
    by_journal = package.image(Core.NET) is not None and not any(step.core is Core.NET for step in plan.steps)
    by_journal = by_journal and wish.policy is not Policy.UPLOAD_ONLY
    done_at = (ours.ended_at or 0.0) if by_journal else None
    return Decision(state, preflight(package, state), plan, done_at, unwatched)


class Update:
    """One package on one device: ``look`` at what is to be done, then ``async for event in update.run(decision)``."""

    def __init__(
        self,
        client: Client,
        package: Package,
        journal: Journal,
        *,
        wish: Wish = AS_USUAL,
        deadlines: Deadlines = DEADLINES,
        health: Health = echoes,
    ) -> None:
        self._client, self._package, self._journal, self._wish = client, package, journal, wish
        self._hands = Hands(client, deadlines, health)

    async def look(self) -> Decision:
        """Read the device and decide.

        Raises RevertedError, once, when an earlier call waited for the device in vain and it is back with its previous
        firmware. Where that call was only stopped, the trial proved nothing and begins anew.
        """
        state = replace(await read_state(self._client), given=self._wish.scheme)
        record = self._journal.record.of(self._package.digest)
        if record.absent and went_back(self._package, state, record):
            self._journal.end(REVERTED)
            why = not_taken(self._package.image(Core.APP), state)
            raise RevertedError(f"{why}; the call before waited for the device in vain")
        return decide(self._package, state, self._journal.record, self._wish)

    async def run(self, decision: Decision) -> AsyncGenerator[Event, None]:
        """Do the steps, yielding what happens; leave it with ``aclosing`` and nothing goes on behind your back.

        Raises PlanError where findings speak against it (unless ``Wish.force``), before anything is written; StepError
        (``resumable``: call again), RevertedError when the device runs its previous firmware, DeviceError when it
        refuses, JournalError. Whatever it is, the device boots.
        """
        if errors := stopping(decision.findings, force=self._wish.force):
            raise refusal(errors)
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
        state, steps, clock = decision.state, decision.plan.steps, asyncio.get_running_loop().time
        if decision.tried_again or not self._journal.record.of(self._package.digest).unfinished:
            if not steps:
                return
            # What is only sent tells nothing about what the bootloader takes.
            past = Past() if self._wish.policy is Policy.UPLOAD_ONLY else Past.of(self._package)
            self._journal.begin(self._package.digest, device=self._client.name, about=past.to_entry())
        for number, step in enumerate(steps, 1):
            tell(StepBegun(step, number, len(steps)))
            began = clock()
            await _noted(self._journal.begun, step.name)
            try:
                if step.core is Core.NET:
                    self._runs_what_it_should(step, steps[number:], decision, await read_slots(self._client, state))
                state = await self._do(step, state, tell)
                if step.core is Core.NET:
                    self._runs_what_it_should(step, steps[number:], decision, state)
            except SILENCE as error:
                raise StepError(f"could not {step.words}: {error}", step.name, resumable=True) from error
            except RevertedError:
                self._journal.end(REVERTED)
                raise
            except AbsentError:
                self._journal.absent(step.name)
                raise
            except StepError as error:
                if not error.resumable:
                    self._journal.end(FAILED)
                raise
            await _noted(self._journal.done, step.name)
            tell(StepDone(step, state, self._proven(step, state), clock() - began))
        await _noted(self._journal.end, DONE)

    def _runs_what_it_should(
        self, step: Step, behind: tuple[Step, ...], decision: Decision, state: DeviceState
    ) -> None:
        """The network core goes with its application; with another one there, this is another device by now."""
        app = self._package.image(Core.APP)
        check = Step(Action.CHECK, Core.APP)
        is_new = check in decision.plan.steps and check not in behind
        wanted = app.hash if app is not None and is_new else hash_of(decision.state)
        if hash_of(state) != wanted:
            runs = "nothing" if state.running is None else f"version {state.running.version}"
            raise StepError(
                f"the device at {self._client.name} runs {runs} and not the application that goes with the network "
                "core's image: it went back, or it is another device; the network core was not touched further",
                step.name,
                resumable=True,
            )

    async def _do(self, step: Step, state: DeviceState, tell: Callable[[Event], None]) -> DeviceState:
        def progress(now: UploadProgress) -> None:
            tell(Progress(step, now.off, now.len, now.resumed_at, now.window))

        return await self._hands.do(step, self._image(step), state, progress)

    def _proven(self, step: Step, state: DeviceState) -> bool:
        checks_net = step.action is Action.CHECK and step.core is Core.NET
        return not checks_net or net_taken(self._image(step), state) is not None

    def _image(self, step: Step) -> CoreImage:
        image = self._package.image(step.core)
        assert image is not None, "the plan has steps for the cores of the package only"
        return image


async def _noted(write: Callable[[str], None], what: str) -> None:
    """Write into the journal, while the other devices of a fleet go on: a disk takes milliseconds to be sure.

    It is written before anything else happens here, also when cancelled.
    """
    writing = asyncio.ensure_future(asyncio.to_thread(write, what))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait([writing])
        if not writing.cancelled():
            writing.exception()  # who cancels does not ask
        raise


# --- one image ------------------------------------------------------------------------------------------------------


async def install(hands: Hands, image: CoreImage, state: DeviceState) -> DeviceState:
    """Bring an image that is in the slot already to run for good, on trial first: the steps of its core's plan.

    For bootloaders that can revert. Raises RevertedError when the device runs its previous firmware, and StepError.
    """
    for step in make_plan(Package((image,)), state, Record(steps=UPLOADED)).steps:
        try:
            state = await hands.do(step, image, state)
        except AbsentError as error:  # the same call again would only try the same image again
            raise StepError(str(error), error.step, resumable=False) from error
    return state


async def install_for_good(hands: Hands, image: CoreImage, state: DeviceState, number: int) -> DeviceState:
    """Mark an uploaded image for good, reset, and check that it runs (a network core's: that it was taken over).

    There is no trial and no way back. ``number`` is the image number that it was uploaded to. Raises RevertedError when
    it was not taken, and StepError.
    """
    assert image.hash is not None
    marked = await mark(hands.client, state, image.hash, permanent=True)
    try:
        now = await hands.do(Step(Action.RESET, image.core), image, marked)
    except AbsentError as error:
        raise StepError(str(error), error.step, resumable=False) from error
    taken = net_taken(image, now) if image.core is Core.NET else hash_of(now) == image.hash
    if number == 0 and taken is False:
        raise RevertedError(not_taken(image, now))
    return now
