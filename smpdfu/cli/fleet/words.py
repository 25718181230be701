"""What the ``fleet`` commands say about facts of the library, and the next command to type."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from smpdfu.cli.terminal.show import facts

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from smpdfu.dfu.fleet.outcome import FleetOutcome
    from smpdfu.dfu.fleet.session import FleetStatus, Repaired
    from smpdfu.dfu.fleet.stops import Stop


def stop_advice(stop: Stop) -> str:
    """What to do about a stop, in the file or on the command line; empty if nothing of them helps."""
    return f"{stop.advice} To skip them in this run, add --skip-unreachable." if stop.silent else stop.advice


def next_command(status: FleetStatus) -> str:
    """The command that brings the fleet further; empty if nothing is left to do, or a process is at it."""
    file = quote(str(status.history.fleet.path))
    if status.paused:
        return f"smpdfu fleet resume {file}"
    if status.running_pid is not None:
        return ""
    return {"unfinished": f"smpdfu fleet run {file}", "failed": f"smpdfu fleet run {file} --go-on"}.get(
        status.ending, ""
    )


def summary(outcome: FleetOutcome) -> dict[str, object]:
    """The document of ``fleet run --json``."""
    stop = outcome.stopped
    return {
        "fleet": outcome.fleet.name,
        "phase": outcome.phase,
        "ending": outcome.ending,
        "stopped": None if stop is None else str(stop),
        "advice": "" if stop is None else stop_advice(stop),
        "counts": outcome.counts | {"left": len(outcome.left)},
        "devices": [
            {"name": name, "address": one.address, "outcome": outcome.outcomes.get(name)}
            for name, one in outcome.fleet.devices.items()
        ],
    }


def summary_text(outcome: FleetOutcome) -> RenderableType:
    """The same for people."""
    pairs: list[tuple[str, object]] = list(outcome.counts.items())
    pairs += [("left", len(outcome.left))] if outcome.left else []
    pairs += [("stopped", outcome.stopped)] if outcome.stopped is not None else []
    return facts(pairs)


def status_document(status: FleetStatus, log: Path) -> dict[str, object]:
    """The document of ``fleet status --json``."""
    history = status.history
    return {
        "fleet": history.fleet.name,
        "id": log.parent.name,
        "log": log,
        "pid": status.running_pid,
        "paused": status.paused,
        "operators": history.operators,
        "tools": history.tools,
        "ending": status.ending,
        "counts": history.counts(),
        "stopped": history.stopped,
        "causes": [{"cause": text, "devices": names} for text, names in history.causes().items()],
        "unproven": [{"reason": text, "devices": names} for text, names in history.doubts().items()],
        "running": [{"device": one.device.name, "step": one.step} for one in history.running()],
        "next": next_command(status),
    }


def status_text(status: FleetStatus) -> RenderableType:
    """The same for people."""
    history = status.history
    pairs: list[tuple[str, object]] = list(history.counts().items())
    pairs += [(cause, _some(names)) for cause, names in history.causes().items()]
    pairs += [(f"unproven: {reason}", _some(names)) for reason, names in history.doubts().items()]
    pairs += [(one.device.name, one.step) for one in history.running()]
    pairs += [("stopped", history.stopped)] if history.stopped else []
    pairs += [("next", command)] if (command := next_command(status)) else []
    running = "not running" if status.running_pid is None else f"process {status.running_pid} runs it"
    return facts([(history.fleet.name, "paused" if status.paused else running), *pairs])


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def pause_text(file: Path, pid: int | None) -> str:
    """What a pause does."""
    if pid is None:
        return "No process runs this fleet."
    return f"Process {pid} begins no further device. `smpdfu fleet resume {quote(str(file))}` continues."


def repair_text(done: Repaired) -> RenderableType:
    """What a repair moved."""
    pairs = [("lines", f"{', '.join(map(str, done.lines))} moved to {done.moved_to}")] if done.lines else []
    pairs += [("journal", f"moved to {path}") for path in done.journals]
    return facts(pairs) if pairs else "Nothing is damaged."
