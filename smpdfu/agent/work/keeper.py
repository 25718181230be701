"""The record of one device, in memory and on the disk, and the messages that the server must get."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from smpdfu.agent.actions.events import ActionEnded, ActionOver, ActionWaits, FeedbackGivenUp, FeedbackSent
from smpdfu.agent.actions.record import MAX_ASKED, MAX_REFUSED, ActionRecord, Answers, DeviceRecord, Message
from smpdfu.agent.ddi.answers import Reaction, reaction
from smpdfu.agent.ddi.feedback import Execution, Feedback
from smpdfu.agent.work.ports import Ports
from smpdfu.dfu.do.journal.journal import off_loop
from smpdfu.errors import JournalError, ServerError, ServerRefusedError
from smpdfu.local.state.json_lines import as_time

MAX_SAID = 60
"""Messages about the progress of one action. hawkBit takes 1,000 of an action (``maxStatusEntriesPerAction``)."""
_WAITING = 32  # messages about progress that wait for the server; the oldest are dropped
_FLUSH_S = 10.0
_TAKES_NO_WORD = frozenset({Reaction.QUOTA, Reaction.REFUSED, Reaction.CONFLICT})
_GONE = frozenset({Reaction.OVER, Reaction.UNKNOWN})
_NOT_NOW = frozenset({Reaction.CREDENTIALS, Reaction.WAIT, Reaction.LATER})


class Keeper:
    """The record of a device whose id at the server is ``record.controller``.

    ``over`` is called when the server says that the action is over.
    """

    def __init__(self, record: DeviceRecord, ports: Ports, over: Callable[[], None]) -> None:
        self.record = record
        self._ports = ports
        self._over = over
        self._writing = asyncio.Lock()
        self._delivering = asyncio.Lock()
        self._unsaved = False
        self._waiting: deque[tuple[Feedback, str, str]] | None = None  # each with the id and the link of its action
        self._sending: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The id of the device at the server."""
        return self.record.controller

    @property
    def action(self) -> ActionRecord | None:
        """The action of the device: the one under way, or the last one."""
        return self.record.action

    async def keep(self, record: DeviceRecord) -> None:
        """Replace the record. Raises JournalError if the disk does not take it; it counts in memory all the same."""
        self.record = record
        async with self._writing:  # whoever comes second writes what counts then
            self._unsaved = False
            await off_loop(self._ports.files.write, self.record)

    async def keep_action(self, action: ActionRecord) -> None:
        """Replace the action in the record. Raises JournalError."""
        await self.keep(self.record.with_action(action))

    async def keep_if_possible(self, action: ActionRecord) -> None:
        """Replace the action. What the journal of the device has, too, may be missing on a full disk."""
        try:
            await self.keep_action(action)
        except JournalError as error:
            self._ports.watch(ActionWaits(self.name, action.id, "a file of the gateway", str(error), 0.0))

    def now_ms(self) -> int:
        """The time for the server's list of messages; nothing else depends on it."""
        return int(as_time(self._ports.now()) * 1000)

    # --- messages about progress ----------------------------------------------------------------------------------

    def post(self, feedback: Feedback, key: str) -> None:
        """Send a message about progress when the server takes one; each ``key`` once for an action, so many in all."""
        action = self.action
        if action is None or not action.open or key in action.told or action.said >= MAX_SAID:
            return
        told = replace(action, said=action.said + 1, told=action.told | {key})
        self.record, self._unsaved = self.record.with_action(told), True
        if self._waiting is None:
            self._waiting = deque(maxlen=_WAITING)
        self._waiting.append((feedback, action.id, action.link))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_waiting())

    def waits(self, cause: str, message: str, next_s: float, *, tell: bool) -> None:
        """Report why the action waits. ``tell``: the server, too; each cause once, for its list has an end."""
        if self.action is None:
            return
        self._ports.watch(ActionWaits(self.name, self.action.id, cause, message, next_s))
        if tell:
            texts = (f"The action is not finished: {message}", f"Cause: {cause}.")
            self.post(Feedback(Execution.PROCEEDING, details=texts, time_ms=self.now_ms()), f"waits {cause}")

    async def keep_told(self) -> None:
        """Note on the disk what was said, so that a later run does not say it again."""
        if self._unsaved and self.action is not None:
            await self.keep_if_possible(self.action)

    async def _send_waiting(self) -> None:
        try:
            while self._waiting:
                with suppress(ServerError):
                    await self.send_now(*self._waiting.popleft())
        finally:
            self._sending = self._waiting = None

    async def send_now(self, feedback: Feedback, action: str, link: str) -> None:
        """Send a message about progress now. Raises ServerError; the server may say that the action is over."""
        try:
            await self._ports.server.send_feedback(self.name, action, feedback, link or None)
        except ServerRefusedError as error:
            if reaction(error.status, error.server_code) in _GONE and self.action is not None:
                if self.action.id == action:
                    self._over()
                return
            raise
        self._ports.watch(FeedbackSent(self.name, action, feedback.execution, feedback.finished))

    async def ask_whether_over(self, text: str) -> None:
        """Tell the server that the action is open here; if it is over there, the answer says so. Raises ServerError.

        hawkBit takes so many statuses of an action, so this asks no more than ``MAX_ASKED`` times.
        """
        action = self.action
        if action is None or action.asked >= MAX_ASKED:
            return
        await self.keep_if_possible(replace(action, asked=action.asked + 1))
        try:
            await self.send_now(proceeding(text, self.now_ms()), action.id, action.link)
        except ServerRefusedError as error:
            if reaction(error.status, error.server_code) not in _TAKES_NO_WORD:
                raise

    async def flush(self) -> None:
        """Wait until the messages about progress are sent, for a while: those that follow must come behind them."""
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=_FLUSH_S)
        await self.stop()

    async def stop(self) -> None:
        """Send nothing more."""
        if self._sending is not None:
            sending = self._sending
            sending.cancel()
            await asyncio.wait([sending])

    # --- messages that must arrive --------------------------------------------------------------------------------

    async def deliver(self) -> None:
        """Send what is in the outbox, the oldest first. Raises ServerError while the server does not take it."""
        async with self._delivering:  # a poll and the end of an attempt may both come here
            while self.action is not None and self.action.outbox:
                action, message = self.action, self.action.outbox[0]
                try:
                    await self._send(action, message)
                except ServerRefusedError as error:
                    await self._refused(action, message, error)
                    continue
                said = message.feedback
                self._ports.watch(FeedbackSent(self.name, action.id, said.execution, said.finished))
                await self._replace(action, partial(ActionRecord.delivered, message=message))

    async def _send(self, action: ActionRecord, message: Message) -> None:
        server, link = self._ports.server, message.link or None
        if message.to is Answers.CANCEL:
            await server.send_cancel_feedback(self.name, action.id, message.feedback, link)
        else:
            await server.send_feedback(self.name, action.id, message.feedback, link)

    async def _refused(self, action: ActionRecord, message: Message, error: ServerRefusedError) -> None:
        """The server does not take a message: forget it, shorten it, or keep it (the error comes out)."""
        what = reaction(error.status, error.server_code)
        if message.to is Answers.CANCEL and what not in _NOT_NOW:
            await self._replace(
                action, partial(ActionRecord.delivered, message=message)
            )  # nothing is to be cancelled any more
        elif what in _GONE:
            await self._replace(action, ActionRecord.over)
            self._over()
            self._ports.watch(ActionOver(self.name, action.id, cancelled=False, message=str(error)))
        elif what in _NOT_NOW:
            raise error
        elif message.feedback.details and what is not Reaction.CONFLICT:  # perhaps it is the text that it does not take
            short = replace(message, feedback=replace(message.feedback, details=()))
            await self._replace(action, partial(ActionRecord.reworded, message=message, other=short))
        else:
            await self._count_refusal(action, message, error)

    async def _count_refusal(self, action: ActionRecord, message: Message, error: ServerRefusedError) -> None:
        """Keep a message that the server refuses, up to ``MAX_REFUSED`` times: the next action must not wait for it."""
        counted = replace(message, refused=message.refused + 1)
        if counted.refused < MAX_REFUSED:
            await self._replace(action, partial(ActionRecord.reworded, message=message, other=counted))
            raise error
        await self._replace(action, partial(ActionRecord.given_up, message=message, refused=counted))
        text = f"{error}. The server does not have the result of this action; it may show it as running"
        self._ports.watch(FeedbackGivenUp(self.name, action.id, text))

    async def _replace(self, action: ActionRecord, change: Callable[[ActionRecord], ActionRecord]) -> None:
        """Change the record of this action as it is now: meanwhile, more may have come into its outbox."""
        if self.action is not None and self.action.id == action.id:
            await self.keep_if_possible(change(self.action))

    async def end(self, final: Feedback, event: ActionEnded) -> None:
        """Note and report the result of the action; ``deliver`` sends it."""
        await self.flush()
        assert self.action is not None
        self._ports.watch(event)
        await self.keep_if_possible(self.action.ended(Message(Answers.DEPLOYMENT, self.action.link, final)))


def proceeding(text: str, now_ms: int) -> Feedback:
    """A message about progress."""
    return Feedback(Execution.PROCEEDING, details=(text,), time_ms=now_ms)
