"""What comes next for one device: from its record and from what the server says, without a clock and without I/O.

The rules, in their order (source: hawkBit's DDI, "What follows for an agent" and ``DdiRootController``):

1. What the server must hear goes first (``outbox``).
2. A cancellation is accepted before the first step after which the image may run, and refused from there on.
3. One action at a time: another one begins when the server has ended the one before.
4. Outside of the maintenance window: fetch, check, wait. An update that the device may already boot is finished.
5. ``update: skip`` without a window is an action to fetch only: ``downloaded`` ends it.
6. An action that ended is never done again. If the server still offers it, it gets the result again.
7. An id of an action that ended, now with another file, is another action: a server that was set up anew counts from 1.
8. Where the server gives no SHA-256, an id may be that of a software, as goosebit's. If it comes again after another
   one, this is an order to install that software again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from smpdfu.agent.actions.record import ActionRecord, DeviceRecord, Stage
from smpdfu.agent.ddi.feedback import Execution
from smpdfu.agent.ddi.resources import Deployment, Handling, MaintenanceWindow


class Next(StrEnum):
    """What to do about an action that the server offers."""

    SEND = "send"
    """Send what is in the outbox first."""
    TAKE = "take"
    """Begin a record of it."""
    ASK = "ask"
    """Ask the server whether the action before is over: it is not finished here."""
    PASSED = "passed"
    """It ended here some time ago: say that."""
    REPEAT = "repeat"
    """It ended here: send its result again."""
    FETCH = "fetch"
    INSTALL = "install"
    WAIT_DOWNLOAD = "wait-download"
    WAIT_WINDOW = "wait-window"
    END_FETCHED = "end-fetched"
    """Only the download was wanted."""
    NOTHING = "nothing"


def next_for(record: DeviceRecord, offered: Deployment, *, activated: bool) -> Next:
    """What to do about the deployment that the server offers.

    ``activated``: the device may boot the new image, as far as this gateway began it.
    """
    action = record.action
    if action is not None and action.outbox:
        return Next.SEND
    if action is not None and action.id == offered.id:
        return _next_step(action, offered, activated=activated)
    if action is not None and action.open:
        return Next.ASK
    past = record.past_action(offered.id)
    return Next.PASSED if past is not None and past.sha256 in offered.sha256s else Next.TAKE


def replaces(offered: Deployment, before: Deployment) -> bool:
    """Whether the server has forgotten the action ``before`` for the one that it offers, although it still answers.

    goosebit gives the files that it offers now under the number of any action; it has no SHA-256. hawkBit, which has,
    keeps the files of each action.
    """
    return before.chunks == offered.chunks and not any(one.sha256 for one in offered.artifacts)


def _next_step(action: ActionRecord, offered: Deployment, *, activated: bool) -> Next:
    if action.forgotten:
        return Next.TAKE  # the server did not know it for a while
    if not action.open and action.sha256 and offered.sha256s and action.sha256 not in offered.sha256s:
        return Next.TAKE
    if not action.open:
        only_fetched = action.final is None or action.final.feedback.execution is Execution.DOWNLOADED
        return Next.NOTHING if only_fetched else Next.REPEAT
    if action.stage is Stage.TAKEN:
        return Next.WAIT_DOWNLOAD if offered.download is Handling.SKIP else Next.FETCH
    if activated:
        return Next.INSTALL
    if offered.maintenance_window is MaintenanceWindow.UNAVAILABLE:
        return Next.WAIT_WINDOW
    if offered.update is not Handling.SKIP:
        return Next.INSTALL
    return Next.END_FETCHED if offered.maintenance_window is None else Next.WAIT_WINDOW


class WhyNot(StrEnum):
    """Why a cancellation is refused."""

    ENDED = "ended"
    ACTIVATED = "activated"


_SENTENCES = {
    WhyNot.ENDED: "The work on this action ended before the cancellation came. Its result follows.",
    WhyNot.ACTIVATED: "The device may already boot the new image. smpdfu finishes the update: it confirms the new "
    "image, or the device goes back to its previous firmware.",
}
_ACCEPTED = "smpdfu stopped the action before the device could boot the new image."


@dataclass(frozen=True, slots=True)
class CancelAnswer:
    """The answer to a cancellation; ``why_not`` None: accepted."""

    why_not: WhyNot | None = None

    @property
    def accepted(self) -> bool:
        """True if the action is stopped."""
        return self.why_not is None

    @property
    def sentence(self) -> str:
        """For the operator."""
        return _ACCEPTED if self.why_not is None else _SENTENCES[self.why_not]


def answer_cancel(record: DeviceRecord, stop_id: str, *, activated: bool) -> CancelAnswer:
    """Whether the action ``stop_id`` can still be cancelled."""
    action = record.action
    if action is None or action.id != stop_id:
        return CancelAnswer(WhyNot.ENDED if record.past_action(stop_id) else None)
    if action.stage is Stage.ENDED:
        return CancelAnswer(WhyNot.ENDED)
    return CancelAnswer(WhyNot.ACTIVATED if action.open and activated else None)
