"""The rounds of one device: ask the server, obey, and begin the work on its action beside.

A poll takes no longer than the server's answers. What takes longer (a download, an update, reading the device) is a
task: one at a time for a device, and while it runs the polls go on, so that a cancellation is heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace

from smpdfu.agent.actions.claims import Claim, other_in_attributes
from smpdfu.agent.actions.decide import Next, next_for, replaces
from smpdfu.agent.actions.events import (
    ActionOver,
    ActionTaken,
    FeedbackKept,
    Polled,
    PollFailed,
)
from smpdfu.agent.actions.journal import NOTHING, Told, told_of
from smpdfu.agent.actions.outcome import Result, Verdict, result_of_error
from smpdfu.agent.actions.record import ActionRecord, DeviceRecord, Stage
from smpdfu.agent.ddi.answers import Reaction, reaction
from smpdfu.agent.ddi.polling import Poll, interval_of
from smpdfu.agent.ddi.resources import Base, Deployment
from smpdfu.agent.description.file import AgentFile
from smpdfu.agent.work.carry_out import action_key, end_with
from smpdfu.agent.work.device_task import DeviceTask
from smpdfu.agent.work.keeper import Keeper
from smpdfu.agent.work.ports import Ports
from smpdfu.agent.work.questions import Questions
from smpdfu.agent.work.retry import Retry
from smpdfu.dfu.fleet.description.device_list import FleetDevice
from smpdfu.dfu.fleet.device_outcome import Outcome
from smpdfu.errors import ServerError, ServerRefusedError, SmpdfuError
from smpdfu.library import journal_of

_GONE = frozenset({Reaction.OVER, Reaction.UNKNOWN})
_AGAINS_IN_A_ROW = 8  # polls without a pause


class DeviceWork:
    """One device of a gateway. ``poll`` is called when the device is due, one call at a time."""

    def __init__(
        self,
        device: FleetDevice,
        record: DeviceRecord,
        file: AgentFile,
        ports: Ports,
        woken: Callable[[DeviceWork], None],
    ) -> None:
        """``woken`` is called when ``due_s`` may have become earlier."""
        self.device = device
        self._file = file
        self._ports = ports
        self.keeper = Keeper(record, ports, self._over)
        self.unanswered = False  # the server did not answer the last poll as it should
        self.polls = Poll(0.0, first_pause_s=ports.pace.first_pause_s)
        self._task = DeviceTask(
            *(device, file, ports, self.keeper, self.polls), missed=self._missed, woken=lambda: woken(self)
        )
        self._base: Base | None = None
        self._news = False  # what the server said was not obeyed to its end: it counts as new once more
        self._told: Told | None = None if record.action is not None and record.action.open else NOTHING
        self._questions = Questions(file, ports, self.keeper, self._told_of, lambda: self.activated, self.stop)
        self._ask_again = Retry(ports.pace.first_retry_s, ports.pace.most_retry_s)
        self._again = False
        self._agains = 0

    @property
    def name(self) -> str:
        """The id of the device at the server."""
        return self.keeper.name

    @property
    def due_s(self) -> float:
        """When the device is to be polled next, by the clock of the event loop."""
        return self.polls.due_s

    @property
    def busy(self) -> bool:
        """True while something is done with the device, or for its action."""
        return self._task.busy

    @property
    def waits(self) -> bool:
        """True if the last attempt at its action did not end it."""
        return self._task.waits

    @property
    def activated(self) -> bool:
        """True if the device may boot the new image of its action."""
        return self._task.activated

    @property
    def open(self) -> bool:
        """True if its action is not finished, or the server does not have the result yet."""
        return self.keeper.action is not None and not self.keeper.action.settled

    async def stop(self) -> bool:
        """Stop what is done with the device, in a state that can be continued; False if nothing was."""
        return await self._task.stop()

    async def settle(self) -> None:
        """Wait for what is done with the device now."""
        await self._task.settle()

    async def poll(self) -> None:
        """Ask the server, and do what it says. Plans the next poll. No error comes out."""
        try:
            busy = self.busy
            base = await self._ports.server.get_base(self.name)
            changed, self._base = base is not self._base, base
            new, self._news = changed or self._news, busy  # a busy device does not obey everything
            await self._obey(base, new=new, busy=busy)
        except ServerError as error:
            self._missed(error)
        except (SmpdfuError, OSError) as error:
            self._task.try_again(result_of_error(error))
            self._put_off()
        except Exception as error:
            self._task.unexpected(error)
            self._put_off()
        else:
            self.unanswered = False
            self._plan_next(base)
            self._agains = self._agains + 1 if self._again else 0
            if 0 < self._agains <= _AGAINS_IN_A_ROW:
                self._news = True
                self.polls.wake(self._now())
            self._again = False
            self._ports.watch(Polled(self.name, changed, self.polls.due_s - self._now()))

    def _put_off(self) -> None:
        self._news = True
        self.polls.failed(self._now(), self._ports.random)

    def _plan_next(self, base: Base) -> None:
        pace, retry_s = self._ports.pace, self._task.retry.due_s
        interval_s = interval_of(base.sleep, least_s=pace.least_interval_s)
        self.polls.succeeded(self._now(), interval_s, self._ports.random)
        if self.keeper.record.lost_to is not None:
            self.polls.due_s = max(self.polls.due_s, self._now() + pace.lost_s)
        elif self.open and not self.busy and retry_s is not None:
            self.polls.due_s = min(self.polls.due_s, max(retry_s, self._now()))

    def _missed(self, error: ServerError | None) -> None:
        """Something did not reach the server: what that said counts as new. ``error`` means a pause."""
        self._news = True
        if error is None:
            return
        self.unanswered = True
        status, wait_s, denied = 0, None, False
        if isinstance(error, ServerRefusedError):
            status, wait_s = error.status, error.retry_after_s
            denied = reaction(status, error.server_code) is Reaction.CREDENTIALS
        self.polls.failed(self._now(), self._ports.random, wait_s)
        text = str(error)
        if denied:
            pause_s = self._ports.pace.denied_s
            self.polls.due_s = max(self.polls.due_s, self._now() + pause_s)
            text += f". The agent asks again after {pause_s:g} s; to ask at once, restart it"
        next_s, action = self.polls.due_s - self._now(), self.keeper.action
        self._ports.watch(PollFailed(self.name, status, denied, text, next_s))
        if action is not None and action.outbox:
            self._ports.watch(FeedbackKept(self.name, action.id, str(error), next_s))

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    # --- what the server says -------------------------------------------------------------------------------------

    async def _obey(self, base: Base, *, new: bool, busy: bool) -> None:
        """Do what the answer to a poll says; ``new``: for the first time, ``busy``: the device was at work before it.

        An answer that is older than the end of an action names that action still. It is not read again then: hawkBit
        notes an action that ended as ``retrieved`` if its deployment is read, and its rollout never ends.
        """
        await self._recover()
        old = busy or (self.keeper.action is not None and bool(self.keeper.action.outbox))
        await self.keeper.deliver()
        if await self._belongs_elsewhere():
            return
        if old and not self.busy:
            self._again = True
            return
        action = self.keeper.action
        if base.cancel is not None:
            # The server keeps the next action back until it has the answer.
            self._again = await self._questions.cancel(base.cancel)
        elif base.confirmation is not None:
            await self._questions.consent(base.confirmation)
        elif base.deployment is not None and (new or self.open or action is None or self._back_again(action)):
            await self._deploy(base.deployment, new=new)
        elif base.deployment is None and new and action is not None and action.open and not self.busy:
            await self.keeper.ask_whether_over("The gateway has this action still, and the server does not offer it.")
        if base.config_data is not None or self._task.facts.due(self._now()):
            await self._tell_facts(base)

    def _back_again(self, action: ActionRecord) -> bool:
        """Whether the server said that the action is over, and offers it still: it did not know it for a while."""
        return action.forgotten and self._task.retry.is_due(self._now())

    async def _belongs_elsewhere(self) -> bool:
        """Whether another gateway has the device; a person may have given it back."""
        record = self.keeper.record
        if record.lost_to is None:
            return False
        if self._ports.attributes_of is not None:
            attributes = await self._ports.attributes_of(self.name)
            if other_in_attributes(attributes, Claim(self._file.gateway, record.claim)) is not None:
                return True
        await self.keeper.keep(replace(record, lost_to=None))
        return False

    async def _recover(self) -> None:
        """After a start, or when the record was lost: what the journal of the device says of the open action."""
        action = self.keeper.action
        if self._told is not None or action is None:
            return
        self._told = await self._told_of(action.id, (action.sha256,) if action.sha256 else ())
        self._task.activated = self._told.activated
        self._ports.watch(ActionTaken(self.name, action.id, resumed=True))
        if self._told.result is not None:
            await self._end_by_journal(self._told.result)

    async def _told_of(self, number: str, files: Collection[str] = ()) -> Told:
        key = action_key(self._file, number)
        return await asyncio.to_thread(told_of, journal_of(self.device.address), key, files)

    async def _end_by_journal(self, result: Result) -> None:
        verdict = result.verdict(self._file.unproven)
        assert verdict is not Verdict.OPEN  # an update that ended is not open
        await end_with(self.keeper, result, verdict, self._file.gateway, 0.0)

    async def _deploy(self, link: str, *, new: bool) -> None:
        if self._task.reading:
            await self.stop()  # the update comes first, and reads the device anyway
        if self.busy:
            return
        offered = await self._get_deployment(link)
        if offered is None:
            self._news = True
            return
        what = self._next(offered)
        if what is Next.ASK:
            link, offered = await self._first(link, offered, new=new)
            what = self._next(offered)
        if what in (Next.TAKE, Next.PASSED):
            await self._take(offered, link, passed=what is Next.PASSED)
            await self.keeper.deliver()
            what = self._next(offered)
        if what is Next.REPEAT:
            await self._repeat()
        elif what not in (Next.SEND, Next.NOTHING, Next.ASK) and self._task.retry.is_due(self._now()):
            self._keep_link(link)
            self._task.begin(offered, resumed=self._told is not None and self._told.begun)

    async def _first(self, link: str, offered: Deployment, *, new: bool) -> tuple[str, Deployment]:
        """The action to work on, and its link: the one that is open here, unless the server ended or forgot it."""
        action = self.keeper.action
        assert action is not None
        if new or self._ask_again.is_due(self._now()):
            self._ask_again.failed(self._now(), self._ports.random)
            text = f"The server offers action {offered.id}; this one is not finished."
            await self.keeper.ask_whether_over(text)
        if not self.open or not action.link:
            return link, offered
        before = await self._get_deployment(action.link)
        if before is not None and (self.activated or not replaces(offered, before)):
            return action.link, before
        self._over()
        return link, offered

    def _next(self, offered: Deployment) -> Next:
        return next_for(self.keeper.record, offered, activated=self.activated)

    async def _get_deployment(self, link: str) -> Deployment | None:
        """The action behind a link; None if the server does not know it any more: it says more in the next poll."""
        try:
            return await self._ports.server.get_deployment(self.name, link)
        except ServerRefusedError as error:
            if reaction(error.status, error.server_code) in _GONE:
                return None
            raise

    async def _take(self, offered: Deployment, link: str, *, passed: bool) -> None:
        """Begin a record of the action, with what the journal knows of it."""
        self._told = told = await self._told_of(offered.id, offered.sha256s)
        self._task.activated = told.activated
        if self.keeper.action is None or self.keeper.action.id != offered.id:
            self._task.retry.reset()
        self._ask_again.reset()
        stage = Stage.INSTALLING if told.begun else Stage.TAKEN
        await self.keeper.keep_action(ActionRecord(offered.id, link, stage))
        self._ports.watch(ActionTaken(self.name, offered.id, resumed=told.begun))
        if told.result is not None:
            await self._end_by_journal(told.result)
        elif passed:
            text = "This gateway ended this action before and has begun another one since. Assign the version again."
            refused = Result(Outcome.REFUSED, "an action that ended before", (text,))
            await end_with(self.keeper, refused, Verdict.FAILURE, self._file.gateway, 0.0)

    def _keep_link(self, link: str) -> None:
        action = self.keeper.action
        if action is not None and action.link != link:
            self.keeper.record = self.keeper.record.with_action(replace(action, link=link))

    async def _repeat(self) -> None:
        action = self.keeper.action
        if action is not None and action.final is not None:
            await self.keeper.keep_action(replace(action, outbox=(action.final,)))
            await self.keeper.deliver()

    def _over(self) -> None:
        """The server said that the action is over. A device that may boot the new image is finished all the same."""
        action = self.keeper.action
        if action is None or (action.open and self.activated and self.busy):
            return
        self._task.put_off()  # the server may offer it again
        if not action.open:
            return
        self._task.cancel()
        self.keeper.record = self.keeper.record.with_action(action.over())
        text = "the server does not have this action any more"
        self._ports.watch(ActionOver(self.name, action.id, cancelled=False, message=text))

    async def _tell_facts(self, base: Base) -> None:
        if self.busy or self.keeper.record.lost_to is not None:
            return
        if base.deployment is not None or self.open:  # the update comes first, and reads the device anyway
            if base.config_data is not None:
                await self._task.facts.tell_known(base.config_data)
            return
        self._task.read(base.config_data)
