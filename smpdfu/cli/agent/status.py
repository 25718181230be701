"""``agent status``: what the agent last wrote about itself and its devices."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.agent.gateway_status import GatewayStatus, agent_status
from smpdfu.agent.report.status import DeviceStatus
from smpdfu.cli.terminal.show import Good, Output, facts, stacked, table

if TYPE_CHECKING:
    from rich.console import RenderableType


def show_status(file: Path, out: Output) -> None:
    """Show the status. Raises AgentFileError, FormatError or OSError."""
    found = agent_status(file)
    out.emit(_document(found), lambda: _shown(found))


def _document(found: GatewayStatus) -> dict[str, Any]:
    last = found.last
    return {
        "gateway": found.gateway,
        "server": found.server,
        "tenant": found.tenant,
        "running": found.running,
        "pid": found.pid or None,
        "started": None if last is None else last.started,
        "time": None if last is None else last.time,
        "phases": dict(sorted(Counter(str(one.phase) for one in found.devices.values()).items())),
        "devices": [{"name": name} | _device(one) for name, one in found.devices.items()],
    }


def _device(one: DeviceStatus) -> dict[str, Any]:
    return {
        "phase": one.phase,
        "polled": one.polled,
        "problem": one.problem,
        "action": one.action,
        "step": one.step,
        "number": one.number,
        "total": one.total,
        "message": one.message,
        "outcome": one.outcome,
        "cause": one.cause,
        "ended_action": one.ended_action,
        "ended": one.ended,
        "gateway": one.gateway,
    }


def _shown(found: GatewayStatus) -> RenderableType:
    head = facts([(found.gateway, _state(found)), ("server", f"{found.server}, tenant {found.tenant}")])
    rows = [
        (name, one.phase, _when(one.polled), one.action, _doing(one), one.outcome, one.cause or one.problem)
        for name, one in found.devices.items()
    ]
    if not rows:
        return head
    columns = ("device", "phase", "last poll", "action", "now", "last outcome", "why")
    return stacked(head, table("", columns, rows))


def _state(found: GatewayStatus) -> str:
    last = found.last
    if found.running:
        process = f"process {found.pid}" if found.pid else "a process"
        return Good(f"the agent runs ({process})")
    if last is None:
        return "the agent does not run, and has not run with this file"
    how = "It was stopped" if last.ended else "It did not end normally"
    return f"the agent does not run. {how}; the table is of {_when(last.time)}"


def _doing(one: DeviceStatus) -> str:
    if one.gateway:
        return f"claimed by {one.gateway}"
    if one.step:
        return f"{one.step} ({one.number} of {one.total})"
    return one.message if one.action else ""


def _when(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
