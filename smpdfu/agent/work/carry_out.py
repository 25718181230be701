"""Carry out the open action of one device: fetch, check, wait or install, and say what became of it.

One call is one attempt. It ends when the action ended, or when it has to wait; the next poll begins the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from smpdfu import __version__
from smpdfu.agent.actions.choose import choose_artifact
from smpdfu.agent.actions.claims import CLAIMED, HISTORY, Claim, other_in_attributes, other_in_messages
from smpdfu.agent.actions.decide import Next, next_for
from smpdfu.agent.actions.events import (
    ActionEnded,
    AgentEvent,
    ClaimedElsewhere,
    PackageReady,
    SentBytes,
    StepBegins,
)
from smpdfu.agent.actions.journal import FILE
from smpdfu.agent.actions.outcome import Result, Verdict, result_of_error, result_of_installed
from smpdfu.agent.actions.record import ActionRecord, Stage
from smpdfu.agent.ddi.feedback import Execution, Feedback, Finished
from smpdfu.agent.ddi.resources import Artifact, Deployment
from smpdfu.agent.description.file import AgentFile
from smpdfu.agent.server.client import Sink
from smpdfu.agent.work.install import Attempt
from smpdfu.agent.work.keeper import Keeper, proceeding
from smpdfu.agent.work.ports import Ports
from smpdfu.dfu.do.events import Event, Progress, StepBegun
from smpdfu.dfu.do.result import Installed
from smpdfu.dfu.fleet.description.device_list import FleetDevice
from smpdfu.dfu.fleet.device_outcome import Outcome
from smpdfu.dfu.package.package import Package
from smpdfu.errors import ArtifactError, SmpdfuError


@dataclass(frozen=True, slots=True)
class Waits:
    """The action is not finished. ``retry``: try again after a pause; else when the server says something new.

    ``tell``: the server does not know this yet. ``lost_to`` is the gateway that has the device.
    """

    cause: str
    message: str
    retry: bool = False
    tell: bool = True
    lost_to: str | None = None


@dataclass(slots=True)
class CarryOut:
    """One attempt at the action of ``keeper``. ``deployment`` is what the server says of it now.

    ``activate`` is called before the device may boot the new image. ``resumed``: an earlier attempt wrote to the
    device. ``installed`` is what the device told at the end, if the update ended well.
    """

    device: FleetDevice
    file: AgentFile
    ports: Ports
    keeper: Keeper
    deployment: Deployment
    claim: Claim
    activate: Callable[[], None]
    activated: bool = False
    resumed: bool = False
    installed: Installed | None = field(default=None, init=False)
    fetched_bytes: int = field(default=0, init=False)
    package: Package | None = field(default=None, init=False)

    @property
    def _action(self) -> ActionRecord:
        assert self.keeper.action is not None
        return self.keeper.action

    async def run(self) -> Waits | None:
        """Go as far as possible now; None if the action ended. Cancelled, it leaves a device that can be continued."""
        began = asyncio.get_running_loop().time()
        try:
            found = None
            while found is None:
                what = self._next()
                if what is Next.FETCH:
                    await self._fetch()
                elif what is Next.INSTALL:
                    found = await self._install()
                elif what is Next.END_FETCHED:
                    await self._end_fetched()
                    return None
                else:
                    return self._wait_for_server(what)
            if isinstance(found, Waits):
                return found
        except (SmpdfuError, OSError) as error:
            found = result_of_error(error)
        return await self._end(found, asyncio.get_running_loop().time() - began)

    def _next(self) -> Next:
        return next_for(self.keeper.record, self.deployment, activated=self.activated)

    # --- fetch ------------------------------------------------------------------------------------------------------

    async def _fetch(self) -> None:
        artifact = choose_artifact(self.deployment, self.device.hardware)
        self._say(Execution.DOWNLOAD, f"The gateway fetches {artifact.filename}.", "download")
        async with self._held(artifact) as path:
            package, sha256 = await self.ports.packages.load(path), path.name
        digest = package.digest
        await self.keeper.keep_action(replace(self._action, stage=Stage.CHECKED, digest=digest, sha256=sha256))
        said = "sha1" if artifact.sha256 is None else "sha256"
        self._watch(PackageReady(self.keeper.name, self._action.id, digest, self.fetched_bytes, sha256, said))
        if self._next() is not Next.END_FETCHED:
            self._say(Execution.DOWNLOADED, f"The gateway has {artifact.filename} and checked it.", "downloaded")

    @asynccontextmanager
    async def _held(self, artifact: Artifact) -> AsyncIterator[Path]:
        """The file, whole and checked; a second download if the first one is not what the server says."""
        async with AsyncExitStack() as stack:
            try:
                path = await stack.enter_async_context(self.ports.cache.hold(artifact, self._download))
            except ArtifactError as error:
                if error.temporary:
                    raise
                path = await stack.enter_async_context(self.ports.cache.hold(artifact, self._download))
            yield path

    async def _download(self, artifact: Artifact, sink: Sink) -> None:
        """Bring the file from the server; this is called for one of the devices that wait for it."""
        before = sink.size_bytes
        try:
            await self.ports.server.download(self.keeper.name, artifact, sink)
        finally:
            self.fetched_bytes += max(sink.size_bytes - before, 0)

    async def _end_fetched(self) -> None:
        text = "The gateway has the package and checked it. The action is to fetch it only; nothing was installed."
        ended = ActionEnded(self.keeper.name, self._action.id, Outcome.CURRENT, True, "only fetched", text, 0.0)
        await self.keeper.end(Feedback(Execution.DOWNLOADED, details=(text,), time_ms=self.keeper.now_ms()), ended)

    # --- wait -------------------------------------------------------------------------------------------------------

    def _wait_for_server(self, what: Next) -> Waits | None:
        if what is Next.WAIT_WINDOW:
            text = "The package is ready. The gateway waits for the maintenance window."
            self._say(Execution.SCHEDULED, text, "scheduled")
            return Waits("maintenance window", text, tell=False)
        if what is Next.WAIT_DOWNLOAD:
            return Waits("no download yet", "The server does not want the package to be fetched yet.", tell=False)
        return None

    # --- install ----------------------------------------------------------------------------------------------------

    async def _install(self) -> Result | Waits | None:
        """Update the device; None if that must not begin now. ``_next`` says what to do then."""
        artifact = choose_artifact(self.deployment, self.device.hardware)
        async with self.ports.limits.slot(self.device.address), self._held(artifact) as path:
            if not self.activated:  # what this gateway began, it finishes
                if (lost := await self._claimed_elsewhere()) is not None:
                    return lost
                if self._next() is not Next.INSTALL:
                    return None
            self.package = package = await self.ports.packages.load(path)
            known = replace(self._action, stage=Stage.INSTALLING, digest=package.digest, sha256=path.name)
            await self.keeper.keep_action(known)
            attempt = Attempt(
                self.device,
                self.file.treatment,
                package,
                action_key(self.file, self._action.id) | {FILE: path.name},
                self.ports,
                self._note,
                self.activate,
            )
            self.installed = await attempt.run()
        return result_of_installed(self.installed, changed=self.installed.changed or self.resumed)

    def _note(self, event: Event) -> None:
        name, number = self.keeper.name, self._action.id
        if isinstance(event, StepBegun):
            self._watch(StepBegins(name, number, event.step.name, event.number, event.total))
            text = f"Step {event.number} of {event.total}: {event.step.words}."
            self._say(Execution.PROCEEDING, text, f"step {event.step.name}", (event.number, event.total))
        elif isinstance(event, Progress):
            self._watch(SentBytes(name, number, event.step.name, event.done, event.total))

    async def _claimed_elsewhere(self) -> Waits | None:
        """Whether the server shows the claim of another gateway; ours is there before we look. Raises ServerError.

        A gateway that saw no other claim in the action once has it: whoever comes later sees this one's. The server's
        last word on the action is read, too: the device may have waited for its turn longer than a maintenance window.
        """
        action, name = self._action, self.keeper.name
        if self.ports.attributes_of is not None:
            attributes = await self.ports.attributes_of(name)
            found = other_in_attributes(attributes, self.claim)
            if found is not None:
                self._watch(ClaimedElsewhere(name, found.gateway, attributes.get(CLAIMED, "")))
                return _lost(found, self.file.gateway, of_device=True)
        own = action.stage is Stage.INSTALLING
        if not own and "claim" not in action.told:
            await self.keeper.send_now(proceeding(self.claim.message, self.keeper.now_ms()), action.id, action.link)
            await self.keeper.keep_action(
                replace(self._action, told=self._action.told | {"claim"}, said=self._action.said + 1)
            )
        self.deployment = seen = await self.ports.server.get_deployment(name, action.link, history=HISTORY)
        found = other_in_messages(seen.history.messages if seen.history else (), self.claim)
        if own or found is None:
            return None
        self._watch(ClaimedElsewhere(name, found.gateway, ""))
        return _lost(found, self.file.gateway, of_device=False)

    # --- the end of the attempt -------------------------------------------------------------------------------------

    async def _end(self, result: Result, seconds: float) -> Waits | None:
        verdict = result.verdict(self.file.unproven)
        if verdict is Verdict.OPEN:
            return Waits(result.cause, result.message, retry=True)
        await end_with(self.keeper, result, verdict, self.file.gateway, seconds)
        return None

    def _say(self, word: Execution, text: str, key: str, progress: tuple[int, int] | None = None) -> None:
        self.keeper.post(Feedback(word, details=(text,), progress=progress, time_ms=self.keeper.now_ms()), key)

    def _watch(self, event: AgentEvent) -> None:
        self.ports.watch(event)


def action_key(file: AgentFile, number: str) -> dict[str, str]:
    """By what the journal of a device knows an action."""
    address = file.server.address
    return {"server": address.url, "tenant": address.tenant, "id": number}


async def end_with(keeper: Keeper, result: Result, verdict: Verdict, gateway: str, seconds: float) -> None:
    """Note the result of the action of ``keeper``, with its last feedback; ``seconds`` is how long it took."""
    assert keeper.action is not None
    success = verdict is Verdict.SUCCESS
    ended = ActionEnded(
        *(keeper.name, keeper.action.id, result.outcome, success, result.cause, result.message), seconds=seconds
    )
    await keeper.end(_final_of(result, verdict, gateway, keeper.now_ms()), ended)


def _final_of(result: Result, verdict: Verdict, gateway: str, now_ms: int) -> Feedback:
    cause = f"Cause: {result.cause}." if result.cause else ""
    details = (*result.sentences, cause, f"smpdfu {__version__} on gateway {gateway}.")
    finished = Finished.SUCCESS if verdict is Verdict.SUCCESS else Finished.FAILURE
    return Feedback(Execution.CLOSED, finished, tuple(filter(None, details)), time_ms=now_ms)


def _lost(other: Claim, own: str, *, of_device: bool) -> Waits:
    name = other.gateway
    if name == own:
        name = f"{own} (another agent of that name, or this one before it lost its state)"
    what = "this device" if of_device else "this action"
    text = (
        f"The gateway {name} claimed {what}. The gateway {own} does not touch the device. Remove the device from the "
        "file of one gateway"
    )
    text += "." if of_device else ", cancel the action, and assign the version again."
    return Waits("another gateway", text, retry=True, lost_to=other.gateway if of_device else None)
