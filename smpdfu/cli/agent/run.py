"""``agent run`` and ``agent once``."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path

from smpdfu.agent.actions.events import AgentEnds, AgentEvent
from smpdfu.agent.ddi.counted import counted
from smpdfu.agent.gateway_agent import AgentReporting, agent_once, run_agent
from smpdfu.agent.work.gateway import AgentRound
from smpdfu.cli.app.ending import conclude
from smpdfu.cli.app.stop_signals import stopped_by_signals
from smpdfu.cli.terminal import interruption
from smpdfu.cli.terminal.show import Output, facts
from smpdfu.errors import ActionsFailedError, ActionsUnfinishedError, ServerLinkError, SmpdfuError
from smpdfu.local.state.limits import no_core_file

_LEFT = "Every device is in a safe state. Run the same command again to continue."
_LISTED = 5


async def run_until_stopped(file: Path, out: Output) -> None:
    """Run the agent until Ctrl-C or SIGTERM, which are its normal end."""
    no_core_file()
    last = _Last()
    stop = asyncio.Event()
    with interruption.leaves(_LEFT), stopped_by_signals(stop.set):
        await run_agent(file, reporting=AgentReporting(last, sys.stderr), stop=stop)
    out.emit({"open_actions": last.open_actions}, lambda: _stopped(last.open_actions))


async def run_once(file: Path, out: Output) -> None:
    """Do one round and show what became of it. Raises SmpdfuError for how it ended."""
    no_core_file()
    stop = asyncio.Event()
    with interruption.leaves(_LEFT), stopped_by_signals(stop.set):
        done = await agent_once(file, reporting=AgentReporting(log=sys.stderr), stop=stop)
    conclude(out, asdict(done), lambda: facts(_lines(done)), _fault(done))


class _Last:
    """Keeps what the agent said at its end."""

    open_actions = 0

    def __call__(self, event: AgentEvent) -> None:
        if isinstance(event, AgentEnds):
            self.open_actions = event.open_actions


def _stopped(open_actions: int) -> str:
    if not open_actions:
        return "Stopped. No action is open."
    return f"Stopped. Actions that are not finished: {open_actions}. The next run continues them."


def _lines(done: AgentRound) -> list[tuple[str, object]]:
    parts = (
        ("installed", done.ended),
        ("failed", done.failed),
        ("not finished", done.waiting),
        ("not polled", done.unpolled),
    )
    lines: list[tuple[str, object]] = [(name, _some(names)) for name, names in parts if names]
    return lines or [("done", "nothing is left to do")]


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{len(names)}: {', '.join(names[:_LISTED])}{more}"


def _fault(done: AgentRound) -> SmpdfuError | None:
    if done.failed:
        return ActionsFailedError(len(done.failed))
    if done.unpolled:
        return ServerLinkError(f"the server did not answer as it should for {counted(len(done.unpolled), 'device')}")
    return ActionsUnfinishedError(len(done.waiting)) if done.waiting else None
