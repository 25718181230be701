"""Do what a plan says, one step after the other, with a journal.

A step is written into the journal before it begins and after the device was seen to have done it (``steps``), so
whoever stops this at any point can start it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from smpdfu.client import Client, UploadProgress
from smpdfu.dfu.decide.checks.demands import untrusted, without_downgrade
from smpdfu.dfu.decide.checks.findings import Finding, Severity, refusal, stopping, worst_first
from smpdfu.dfu.decide.checks.preflight import preflight
from smpdfu.dfu.decide.checks.refusals import not_installed, not_taken
from smpdfu.dfu.decide.device_state import DeviceState, Past, Scheme
from smpdfu.dfu.decide.evidence import UNKNOWN_BOOTLOADER, Bootloader, journal_clues
from smpdfu.dfu.decide.journal_proof import mcuboot_by_journal, proof_by_journal
from smpdfu.dfu.decide.proof import picture
from smpdfu.dfu.decide.proof_value import Proof, ProofSource, weaker
from smpdfu.dfu.decide.record import ACTION, DONE, FAILED, REVERTED, Record
from smpdfu.dfu.decide.steps.mcuboot_update import b0_known
from smpdfu.dfu.decide.steps.plan import Plan, in_place, make_plan, went_back
from smpdfu.dfu.decide.steps.replacing import answers_inside, way_of
from smpdfu.dfu.decide.steps.rules import ENTERS, REPLACES, Action, Method, Policy, Step, step_of
from smpdfu.dfu.decide.steps.variants import for_device
from smpdfu.dfu.do.events import Event as Event
from smpdfu.dfu.do.events import Progress as Progress
from smpdfu.dfu.do.events import StepBegun as StepBegun
from smpdfu.dfu.do.events import StepDone as StepDone
from smpdfu.dfu.do.events import ignore, watched
from smpdfu.dfu.do.health import Health, echoes
from smpdfu.dfu.do.image_entries import facts_of
from smpdfu.dfu.do.journal.journal import Journal, off_loop
from smpdfu.dfu.do.journal.notes import about_of, note_clue, note_step
from smpdfu.dfu.do.journal.repair import damaged_line
from smpdfu.dfu.do.mcuboot import B0_REFUSED
from smpdfu.dfu.do.net_version import AskVersion, ask_or_none
from smpdfu.dfu.do.replacing.reach import Reach, read_device
from smpdfu.dfu.do.replacing.replacing_steps import Replacer
from smpdfu.dfu.do.result import Installed, is_proven
from smpdfu.dfu.do.same_device import SameDevice
from smpdfu.dfu.do.state_reading import read_slots, read_unconfirmable
from smpdfu.dfu.do.steps import DEADLINES, SILENCE, Deadlines, StepRunner, hash_of
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.errors import AbsentError, NotBootedError, RevertedError, StepError
from smpdfu.image.keys.keys import Verifier
from smpdfu.image.nsib.trusted_keys import NO_NSIB_KEYS, NsibKeys
from smpdfu.loaders.proof import Picture

_CHECK_NET, _CHECK_MCUBOOT = (Step(Action.CHECK, role) for role in (Role.NET, Role.MCUBOOT))


@dataclass(frozen=True, slots=True)
class Decision:
    """What was found and what would be done; ``refused`` are the findings that speak against it.

    ``package`` has the images for this device: where there are variants, one of them.

    ``net_done_at``: the network core's image is taken for installed because the journal says so, and the device cannot
    tell; when that was, in seconds since 1970. None where nothing hangs on the journal alone. ``proof`` is what the
    journal says of that. ``tried_again``: an earlier call was stopped during the trial, which ended unwatched, and
    begins anew. ``other_way``: so does one that was begun through a slot and goes by recovery now, or the reverse.
    ``mcuboot_done_at``: as ``net_done_at``, of MCUboot's update of itself.
    """

    package: Package
    state: DeviceState
    findings: tuple[Finding, ...]
    plan: Plan
    net_done_at: float | None = None
    tried_again: bool = False
    proof: Proof | None = None
    other_way: bool = False
    mcuboot_done_at: float | None = None

    @property
    def refused(self) -> tuple[Finding, ...]:
        """The findings that are errors."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants of an update beyond the package.

    ``scheme``: what the device is, where it does not tell. ``again``: an update that ended counts for nothing, so that
    the network core is updated once more. ``force``: go on in spite of findings that are errors. ``bootloader``: what
    the person knows of it. ``no_downgrade``: refuse an application that is older than the one that runs. ``trust``: the
    keys of which one must have signed each image; without any, all are taken. ``recovery``: by MCUboot's serial
    recovery, which overwrites what runs. ``nsib``: the keys that b0 and b0n of the device trust, as far as known.
    """

    policy: Policy = Policy.TEST_AND_CONFIRM
    scheme: Scheme | None = None
    again: bool = False
    force: bool = False
    bootloader: Bootloader = UNKNOWN_BOOTLOADER
    no_downgrade: bool = False
    trust: tuple[Verifier, ...] = ()
    recovery: bool = False
    nsib: NsibKeys = NO_NSIB_KEYS


AS_USUAL = Wish()


def decide(package: Package, state: DeviceState, record: Record, wish: Wish = AS_USUAL) -> Decision:
    """Findings and plan for a device in this state; raises PlanError where there is no plan for it."""
    ours = record.of(package.digest).on(state.hardware)
    package, state = for_device(package, known_of(state, ours, wish))
    unwatched = went_back(package, state, ours)
    other_way = ours.unfinished and ours.way != way_of(state)
    if unwatched or other_way or (wish.again and not ours.unfinished):
        ours = Record()
    plan = make_plan(package, state, ours, wish.policy)
    there = {image.role for image in in_place(package, plan, wish.policy)}
    done_at, mcuboot_at = ((ours.ended_at or 0.0) if role in there else None for role in (Role.NET, Role.MCUBOOT))
    proof = None if done_at is None else proof_by_journal(ours, state)
    proof = proof if mcuboot_at is None else weaker(proof, mcuboot_by_journal(ours, state))
    findings = _findings(package, state, wish)
    return Decision(package, state, findings, plan, done_at, unwatched, proof, other_way, mcuboot_at)


def _findings(package: Package, state: DeviceState, wish: Wish) -> tuple[Finding, ...]:
    found: Iterable[Finding] = preflight(package, state)
    found = without_downgrade(found) if wish.no_downgrade else found
    return worst_first([*untrusted(package.images, wish.trust), *found])


def known_of(state: DeviceState, record: Record, wish: Wish = AS_USUAL) -> DeviceState:
    """A state that was read, with what a person says of the device and what its journal has noted.

    What an update that is under way has noted counts as seen only where the chip's number shows that this is the same
    device.
    """
    record = record.on(state.hardware)
    now, earlier = (record.clues, record.past_clues) if record.unfinished else ((), record.clues or record.past_clues)
    clues = (*wish.bootloader.clues, *journal_clues(now, earlier))
    proof = Proof.from_entry(record.proof) if record.unfinished and record.proof is not None else None
    return replace(
        state,
        given=wish.scheme,
        past=Past.from_entry(record.past),
        evidence=state.evidence.with_clues(clues),
        net=wish.bootloader.net(record.past),
        net_is_given=wish.bootloader.net_address is not None,
        proof=proof,
        b0=b0_known(state, record, wish.bootloader, again=wish.again),
        nsib=wish.nsib,
        by_recovery=wish.recovery or (state.recovery and record.unfinished and record.way == Method.SERIAL_RECOVERY),
    )


async def with_unconfirmable(
    client: Client, package: Package, found: DeviceState, record: Record, wish: Wish
) -> DeviceState:
    """A state that was read, with what the firmware does not let SMP confirm of this package after a trial.

    Raises what ``decide`` does, LinkError.
    """
    _, state = for_device(package, known_of(found, record.of(package.digest), wish))
    if not state.can_revert or wish.policy is not Policy.TEST_AND_CONFIRM:
        return found
    return replace(found, unconfirmable=await read_unconfirmable(client, state))


class Update:
    """One package on one device: ``look`` at what is to be done, then ``await update.run(decision)``."""

    def __init__(
        self,
        client: Client | Reach,
        package: Package,
        journal: Journal,
        *,
        wish: Wish = AS_USUAL,
        deadlines: Deadlines = DEADLINES,
        health: Health = echoes,
        net_version: AskVersion | None = None,
        action: Mapping[str, Any] | None = None,
    ) -> None:
        """``action`` names what ordered the update: the journal has it before anything is sent, see ``Journal``."""
        self._reach = client if isinstance(client, Reach) else Reach(client)
        self._client = client = self._reach.app
        self._package = package
        self._journal = journal
        self._wish = wish
        self._action = None if action is None else dict(action)
        self._same = SameDevice(client)
        self._runner = StepRunner(client, deadlines, health, net_version, self._same.check)
        self._replacer = Replacer(self._reach, self._runner)

    @property
    def damaged(self) -> tuple[str, ...]:
        """A sentence for each line of the journal that is damaged and counts for nothing."""
        return tuple(damaged_line(number, self._journal.path) for number in self._journal.damaged)

    async def look(self) -> Decision:
        """Read the device and decide.

        Raises RevertedError, once, when an earlier call waited for the device in vain and it is back with its previous
        firmware. Where that call was only stopped, the trial proved nothing and begins anew.
        """
        record = self._journal.record.of(self._package.digest)
        found = await read_device(self._reach, self._package, record)
        record = record.on(found.hardware)
        package, state = for_device(self._package, known_of(found, record, self._wish))
        if record.absent and went_back(package, state, record):
            await off_loop(self._journal.end, REVERTED)
            why = not_taken(package.image(Role.APP), state)
            raise RevertedError(
                f"{why}; an earlier run waited for the device, and it did not come back with the new image"
            )
        found = await with_unconfirmable(self._reach.current, self._package, found, record, self._wish)
        return decide(self._package, found, self._journal.record, self._wish)

    async def run(self, decision: Decision, watch: Callable[[Event], None] = ignore) -> Installed:
        """Do the steps; ``watch`` is called with what happens. Cancelled or not, nothing goes on after the call.

        An error that ``watch`` raises ends the run and comes out unchanged. The journal then has what was done, so the
        same call continues.

        Raises PlanError where findings speak against it (unless ``Wish.force``), before anything is written; StepError
        (``resumable``: call again), RevertedError when the device runs its previous firmware, ImageError for an image
        that replaced the application and is not started, DeviceError when it refuses, JournalError. Whatever it is, the
        device boots its firmware. Where the upload replaces that (``REPLACES``), it waits for the next call in its
        firmware loader or in serial recovery, if it was built to stay there without an application.
        """
        if errors := stopping(decision.findings, force=self._wish.force):
            raise refusal(errors)
        return await watched(partial(self._work, decision), watch)

    async def _work(self, decision: Decision, tell: Callable[[Event], None]) -> Installed:
        steps, state, proof = decision.plan.steps, decision.state, decision.proof
        replaces = decision.plan.method in REPLACES
        self._replacer.method = decision.plan.method
        clock = asyncio.get_running_loop().time
        if await self._begin(decision):
            for number, step in enumerate(steps, 1):
                tell(StepBegun(step, number, len(steps)))
                began = clock()
                state = await self._noted_step(step, steps[number:], decision, state, tell)
                checked = state.proof if step == _CHECK_NET or (replaces and step.action is Action.CHECK) else None
                proof = checked or proof
                if step == _CHECK_MCUBOOT:
                    checked, proof = state.b0.proof, weaker(proof, state.b0.proof)
                tell(StepDone(step, state, checked, clock() - began))
            await off_loop(self._journal.end, DONE)
        proven = is_proven(decision.package, self._wish.policy, proof)
        return Installed(bool(steps), proven, state, decision.findings, proof)

    async def _noted_step(
        self,
        step: Step,
        behind: tuple[Step, ...],
        decision: Decision,
        state: DeviceState,
        tell: Callable[[Event], None],
    ) -> DeviceState:
        """Do the step, with its begin and its end in the journal."""
        await off_loop(self._journal.begun, step.name)
        try:
            now = await self._step(step, behind, decision, state, tell)
        except SILENCE as error:
            raise StepError(f"could not {step.words}: {error}", step.name, resumable=True) from error
        except RevertedError as error:
            if error.code == B0_REFUSED:  # from now on, the device's answer is about the refused one
                refused = Proof(False, str(error), ProofSource.CONSOLE)
                await off_loop(self._journal.note, {"mcuboot_proof": refused.to_entry()})
            await off_loop(self._journal.end, REVERTED)
            raise
        except AbsentError:
            await off_loop(self._journal.absent, step.name)
            raise
        except StepError as error:
            if not error.resumable:
                await off_loop(self._journal.end, FAILED)
            raise
        await off_loop(self._journal.done, step.name)
        return now

    async def _step(
        self,
        step: Step,
        behind: tuple[Step, ...],
        decision: Decision,
        state: DeviceState,
        tell: Callable[[Event], None],
    ) -> DeviceState:
        """Check that it is the same device, do the step, and note what it showed."""
        if decision.plan.method in REPLACES:
            return await self._replacing_step(step, behind, decision, state, tell)
        await self._same.check(step, state)
        if self._same.hardware != self._journal.record.hardware:
            await off_loop(self._journal.note, {"hardware": self._same.hardware})
        if step.role is Role.NET:
            self._runs_what_it_should(step, behind, decision, await read_slots(self._client, state))
        if step.action is Action.RESET:
            await self._ask_version_before(behind)
        now = await note_step(self._journal, state, await self._do(step, decision.package, state, tell))
        if step.role is Role.NET:
            self._runs_what_it_should(step, behind, decision, now)
        return now

    async def _replacing_step(
        self,
        step: Step,
        behind: tuple[Step, ...],
        decision: Decision,
        state: DeviceState,
        tell: Callable[[Event], None],
    ) -> DeviceState:
        """The same where the upload replaces the application; what does that does not tell the number of the chip."""
        inside = answers_inside(state, decision.plan.method)
        if not state.silent:
            self._same.client = self._reach.current
            if inside:
                self._same.expect(self._journal.record.hardware)
            await self._same.check(step, state)
        if not inside and self._same.hardware != self._journal.record.hardware:
            await off_loop(self._journal.note, {"hardware": self._same.hardware})
        if step.action in ENTERS:
            await self._ask_version_before(behind)
        return await note_step(self._journal, state, await self._do(step, decision.package, state, tell))

    async def _begin(self, decision: Decision) -> bool:
        """Begin an update in the journal, or go on with the one there; False where there is nothing to do."""
        known = self._journal.record.of(self._package.digest)
        record = known.on(decision.state.hardware)
        if record.unfinished and not decision.tried_again and not decision.other_way:
            if record != known:  # of what may be another device
                await off_loop(self._journal.note, {"hardware": decision.state.hardware})
            if known.action != self._action:
                await off_loop(self._journal.note, {ACTION: self._action})
            return True
        if not decision.plan.steps:
            return False
        package, method, policy = decision.package, decision.plan.method, self._wish.policy
        about = about_of(package, decision.state, policy)
        facts = facts_of(package.images, decision.state, method, policy)
        facts |= {} if self._action is None else {ACTION: self._action}
        begin = partial(self._journal.begin, device=self._client.name, about=about, **facts)
        await off_loop(begin, self._package.digest)
        for clue in decision.state.evidence.clues:
            await note_clue(self._journal, clue)
        return True

    async def _ask_version_before(self, behind: tuple[Step, ...]) -> None:
        """Before the reset for the network core: a version that was there already would prove nothing after it."""
        if _CHECK_NET not in behind or self._journal.record.net_version is not None:
            return
        if (found := await ask_or_none(self._runner.version, self._client)) is not None:
            await off_loop(self._journal.note, {"net_version": found})

    def _runs_what_it_should(
        self, step: Step, behind: tuple[Step, ...], decision: Decision, state: DeviceState
    ) -> None:
        """The network core goes with its application; with another one there, this is another device by now."""
        app = decision.package.image(Role.APP)
        check = Step(Action.CHECK, Role.APP)
        is_new = check in decision.plan.steps and check not in behind
        wanted = app.hash if app is not None and is_new else hash_of(decision.state)
        if hash_of(state) != wanted:
            runs = "nothing" if state.running is None else f"version {state.running.version}"
            raise StepError(
                f"the device at {self._client.name} runs {runs} and not the application that goes with the network "
                "core's image: it went back, or it is another device. smpdfu did not change the network core any "
                "further",
                step.name,
                resumable=True,
            )

    async def _do(self, step: Step, package: Package, state: DeviceState, tell: Callable[[Event], None]) -> DeviceState:
        def progress(now: UploadProgress) -> None:
            tell(Progress(step, now.off, now.len, now.resumed_at, now.window))

        image = _image(step, package)
        known = self._journal.record.net_version
        if self._replacer.method in REPLACES:
            return await self._replacer.do(step, image, state, progress, net_version=known)
        try:
            return await self._runner.do(step, image, state, progress, net_version=known)
        except NotBootedError as error:
            now = await read_slots(self._client, state)
            if not error.acknowledged or picture(image, now) is not Picture.PENDING:
                raise
            if self._journal.record.left_waiting:  # not known whether it was reset, but it was asked for it twice
                raise not_installed(image, now) from error
            await off_loop(self._journal.waiting, step.name)
            raise


def _image(step: Step, package: Package) -> PackageImage:
    return next(image for image in package.images if step_of(step.action, image) == step)
