"""Follows a rollout until it ends, and starts it if that is wanted. A server that is away for a while ends nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from smpdfu.agent.ddi.answers import Reaction, reaction
from smpdfu.agent.ddi.fields import Fields
from smpdfu.agent.management import requests
from smpdfu.agent.management.answers import Group, Page, Report, Rollout, TargetAction
from smpdfu.agent.management.publication import FailedTarget, PublishWatch, RolloutOutcome
from smpdfu.agent.management.publisher import Server, read_list
from smpdfu.agent.management.states import RolloutEnd, RolloutState, changes
from smpdfu.errors import (
    RolloutUnfinishedError,
    ServerError,
    ServerLinkError,
    ServerProtocolError,
    ServerRefusedError,
)

Sleep = Callable[[float], Awaitable[None]]
EVERY_S = 5.0
"""How often the rollout is read: hawkBit itself moves rollouts on every few seconds."""
AWAY_S = 600.0
"""How long a server may be away before following ends."""
_LONGEST_S = 60.0
_MOST_FAILED = 10
_MOST_REPORTS = 5
_MAKING = ("creating",)
_STARTED = ("starting", "running", "finished", "stopping")


class Follower:
    """Follows the rollout ``number``. ``sleep`` waits; ``every_s`` is the time between two looks."""

    def __init__(self, server: Server, number: int, watch: PublishWatch, sleep: Sleep, every_s: float) -> None:
        self._server = server
        self._number = number
        self._watch = watch
        self._sleep = sleep
        self._every_s = every_s
        self._known: RolloutState | None = None

    async def start(self, tries: int = 60) -> RolloutState:
        """Start the rollout once it is ready; nothing is left to do if it runs already, or has finished.

        Raises RolloutFailedError if it ended in another way, RolloutUnfinishedError if it waits for a person, or if
        the server does not finish making it; ServerError.
        """
        for _ in range(tries):
            state = await self._look()
            if state.rollout.status == "ready":
                return await self._begin(state)
            if state.rollout.status not in _MAKING:
                break
            await self._sleep(self._every_s)
        if state.end is not None and (error := (await self._outcome(state, state.end)).error()) is not None:
            raise error
        if state.rollout.status in _STARTED:
            return state
        raise RolloutUnfinishedError(f"{state.words}. It is not started").because("rollout-not-started")

    async def follow(self, *, start: bool = False) -> RolloutOutcome:
        """Follow the rollout to its end; start it when it is ready, if ``start``. Raises ServerError."""
        while True:
            state = await self._look()
            if start and state.rollout.status == "ready":
                state = await self._begin(state)
            if state.end is not None:
                return await self._outcome(state, state.end)
            await self._sleep(self._every_s)

    async def _outcome(self, state: RolloutState, end: RolloutEnd) -> RolloutOutcome:
        bad = end in (RolloutEnd.ERROR_THRESHOLD, RolloutEnd.STOPPED) or state.rollout.counts.error
        return RolloutOutcome(state, end, await self._failed() if bad else ())

    async def _begin(self, state: RolloutState) -> RolloutState:
        try:
            await self._server.ask(requests.start_rollout(self._number))
        except ServerRefusedError:  # somebody else started it
            now = await self._look()
            if now.rollout.status == state.rollout.status:
                raise
            return now
        return await self._look()

    async def _look(self) -> RolloutState:
        """Read the rollout and tell what changed. Waits for a server that is away, up to ``AWAY_S``."""
        waited, pause = 0.0, self._every_s
        while True:
            try:
                state = await self._read()
            except (ServerLinkError, ServerProtocolError, ServerRefusedError) as error:
                if self._known is not None and _is_gone(error):
                    return self._tell(replace(self._known, rollout=replace(self._known.rollout, deleted=True)))
                if not _passes(error) or waited >= AWAY_S:
                    raise
                wait = max(pause, _asked(error))
                self._watch.trouble(error, wait)
                await self._sleep(wait)
                waited += wait
                pause = min(2 * pause, _LONGEST_S)
                continue
            return self._tell(state)

    def _tell(self, state: RolloutState) -> RolloutState:
        for event in changes(self._known, state):
            self._watch.event(event)
        self._known = state
        self._watch.looked(state)
        return state

    async def _read(self) -> RolloutState:
        answer = await self._server.ask(requests.rollout(self._number))
        groups = await read_list(self._server, requests.groups_of(self._number), Group.from_fields)
        return RolloutState(Rollout.from_fields(Fields.from_bytes(answer)), tuple(groups))

    async def _failed(self) -> tuple[FailedTarget, ...]:
        """The first targets that failed, with their last messages. That they cannot be read changes no outcome."""
        try:
            page = await self._page(requests.failed_actions(self._number, _MOST_FAILED))
            actions = [TargetAction.from_fields(one) for one in page.entries[:_MOST_FAILED]]
        except ServerError as error:
            self._watch.trouble(error, 0.0)
            return ()
        return tuple([FailedTarget(one.target, one.id, await self._messages(one)) for one in actions])

    async def _messages(self, action: TargetAction) -> tuple[str, ...]:
        if not action.target:
            return ()
        try:
            page = await self._page(requests.action_messages(action.target, action.id, _MOST_REPORTS))
            reports = [Report.from_fields(one) for one in page.entries[:_MOST_REPORTS]]
        except ServerError:
            return ()
        failures = [one for one in reports if one.type == "error"] or reports
        return tuple(text for one in failures for text in one.messages)[:_MOST_REPORTS]

    async def _page(self, request: requests.Request) -> Page:
        return Page.from_fields(Fields.from_bytes(await self._server.ask(request)))


def _is_gone(error: ServerError) -> bool:
    """Whether the server itself, not a proxy before it, says that it does not have the rollout any more."""
    return isinstance(error, ServerRefusedError) and error.status == 404 and bool(error.server_code)


def _passes(error: ServerError) -> bool:
    """Whether the same question may have an answer later."""
    if not isinstance(error, ServerRefusedError):
        return True
    return reaction(error.status, error.server_code) in (Reaction.WAIT, Reaction.LATER)


def _asked(error: ServerError) -> float:
    """How long the server asks us to wait, within reason."""
    said = error.retry_after_s if isinstance(error, ServerRefusedError) else None
    return min(said or 0.0, _LONGEST_S)
