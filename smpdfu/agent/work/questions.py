"""What the server asks of a device: to stop an action, and to consent to one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from smpdfu.agent.actions.decide import CancelAnswer, answer_cancel
from smpdfu.agent.actions.events import ActionOver, CancelRefused, ConfirmationWaits
from smpdfu.agent.actions.journal import Told
from smpdfu.agent.actions.record import ActionRecord, Answers, Message, Stage
from smpdfu.agent.ddi.feedback import Confirmation, ConfirmationFeedback, Execution, Feedback, Finished
from smpdfu.agent.ddi.resources import Cancel
from smpdfu.agent.description.file import AgentFile, Consent
from smpdfu.agent.work.keeper import Keeper
from smpdfu.agent.work.ports import Ports


@dataclass(slots=True)
class Questions:
    """Answers the server's questions about one device. Methods raise ServerError, or JournalError.

    ``told_of`` is what the journal of the device says of an action, ``activated`` whether the device may boot the new
    image. ``stop`` stops what is done with the device, and says whether anything was.
    """

    file: AgentFile
    ports: Ports
    keeper: Keeper
    told_of: Callable[[str], Awaitable[Told]]
    activated: Callable[[], bool]
    stop: Callable[[], Awaitable[bool]]
    _answered: str = ""

    async def cancel(self, link: str) -> bool:
        """Answer a cancellation. Return whether it was accepted."""
        name = self.keeper.name
        cancel = await self.ports.server.get_cancel(name, link)
        answer, ours = await self._judge(cancel)
        word = Feedback(Execution.REJECTED, details=(answer.sentence,), time_ms=self.keeper.now_ms())
        if answer.accepted:
            word = replace(word, execution=Execution.CLOSED, finished=Finished.SUCCESS)
        message, action = Message(Answers.CANCEL, link, word), self.keeper.action
        if not ours or action is None:
            await self.ports.server.send_cancel_feedback(name, cancel.id, word, link)
        elif answer.accepted:
            final = Message(Answers.DEPLOYMENT, action.link, Feedback(Execution.CANCELED, details=(answer.sentence,)))
            await self.keeper.keep_if_possible(action.over(message, final=final))
        else:
            await self.keeper.keep_if_possible(replace(action, outbox=(message, *action.outbox)))
        if answer.accepted:
            self.ports.watch(ActionOver(name, cancel.stop_id, cancelled=True, message=answer.sentence))
        else:
            self.ports.watch(CancelRefused(name, cancel.stop_id, answer.sentence))
        await self.keeper.deliver()
        return answer.accepted

    async def _judge(self, cancel: Cancel) -> tuple[CancelAnswer, bool]:
        """The answer, and whether the record of the device is about this action. What runs for it is stopped."""
        record, number = self.keeper.record, cancel.stop_id
        if record.action is None or record.action.id != number:
            told = await self.told_of(number)  # the record may be lost, the journal has it
            stand_in = ActionRecord(number, "", Stage.INSTALLING if told.result is None else Stage.ENDED)
            known = replace(record, action=stand_in) if told.begun else record
            return answer_cancel(known, number, activated=told.activated), False
        answer = answer_cancel(record, number, activated=self.activated())
        if answer.accepted and await self.stop():
            answer = answer_cancel(self.keeper.record, number, activated=self.activated())
        return answer, True

    async def consent(self, link: str) -> None:
        """Answer a question for consent as the agent's file says; a person may have to."""
        name, policy = self.keeper.name, self.file.confirmation
        asked = await self.ports.server.get_confirmation(name, link)
        if asked is not None and policy is Consent.WAIT:
            self.ports.watch(ConfirmationWaits(name, asked.id))  # at each poll: it waits still
        elif asked is not None and asked.id != self._answered:
            word = Confirmation.CONFIRMED if policy is Consent.CONFIRM else Confirmation.DENIED
            text = f"The file of the gateway {self.file.gateway} says: {policy} every action."
            await self.ports.server.confirm(name, asked.id, ConfirmationFeedback(word, (text,)), link)
            self._answered = asked.id
