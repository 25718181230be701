"""``update``: a whole package onto a device, both cores in the right order, checked at every step."""

from __future__ import annotations

import shlex
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smpdfu.cli.options import Connection, command
from smpdfu.cli.show import Advance, Output, table, upload_phase
from smpdfu.cli.timing import Timing
from smpdfu.errors import PlanError, StepError

if TYPE_CHECKING:
    from smpdfu.dfu.findings import Finding
    from smpdfu.dfu.health import Health
    from smpdfu.dfu.journal import Record
    from smpdfu.dfu.package import Package
    from smpdfu.dfu.run import Decision, Event, Update, Wish
    from smpdfu.dfu.state import DeviceState


class SchemeChoice(StrEnum):
    """How the cores are updated; ``auto``: as the device's answers tell."""

    AUTO = "auto"
    STAGED = "staged"
    SIMULTANEOUS = "simultaneous"


class OnlyChoice(StrEnum):
    """A core."""

    APP = "app"
    NET = "net"


@dataclass(frozen=True, slots=True)
class How:
    """What ``update`` shall do with the package."""

    plan: Annotated[bool, typer.Option("--plan", help="Only say what was found and what would be done.")] = False
    scheme: Annotated[SchemeChoice, typer.Option("--scheme", help="How the two cores are updated.")] = SchemeChoice.AUTO
    resume: Annotated[bool, typer.Option("--resume", help="Only go on with an update that was interrupted.")] = False
    force: Annotated[bool, typer.Option("--force", help="Go on in spite of what the checks found.")] = False
    again: Annotated[
        bool, typer.Option("--again", help="Update the network core even if the journal says that it has its image.")
    ] = False
    only: Annotated[OnlyChoice | None, typer.Option("--only", help="Only this core's image of the package.")] = None
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Mark for good at once, without a trial: for devices that know no test.")
    ] = False
    upload_only: Annotated[bool, typer.Option("--upload-only", help="Send the image and change nothing else.")] = False
    soak: Annotated[
        float, typer.Option("--soak", metavar="SECONDS", min=0, help="How long a trial must answer before it counts.")
    ] = 0.0
    health: Annotated[
        str | None,
        typer.Option(
            "--health", metavar="COMMAND", help="Run this on trial, SMPDFU_TO set; exit code 0 means that all is well."
        ),
    ] = None
    health_timeout: Annotated[
        float, typer.Option("--health-timeout", metavar="SECONDS", min=1, help="How long the command may take.")
    ] = 60.0
    boot_timeout: Annotated[
        float, typer.Option("--boot-timeout", metavar="SECONDS", min=1, help="How long a boot may take.")
    ] = 120.0


def register(app: typer.Typer) -> None:
    """Add ``update`` to ``app``."""
    command(app, "update", rich_help_panel="Device")(update)


async def update(
    package: Annotated[Path, typer.Argument(metavar="PACKAGE", help="A dfu_application.zip.")],
    how: How,
    conn: Connection,
    out: Output,
) -> None:
    """Update both cores from a package: the application core on trial, then for good, then the network core.

    A call that was interrupted is simply made again: it goes on where the device stands.
    """
    from smpdfu.connect import parse_address
    from smpdfu.dfu.journal import Journal, journal_path, read_record
    from smpdfu.dfu.package import Core, Package
    from smpdfu.dfu.run import Update, decide
    from smpdfu.dfu.steps import Deadlines, read_state

    loaded, wish = Package.load(package), _wish(how)
    loaded = loaded if how.only is None else loaded.only(Core(how.only.value))
    address = str(parse_address(conn.address()))
    path = journal_path(address)
    _may_resume(loaded, read_record(path), how, address)
    timing = Timing()
    async with conn.client() as client:
        timing.connected()
        if how.plan:
            decision = decide(loaded, await read_state(client), read_record(path), wish)
            timing.looked()
            _show_plan(decision, how, out, timing)
            return
        with Journal(path) as journal:
            job = Update(
                client, loaded, journal, wish=wish, deadlines=Deadlines(how.boot_timeout), health=_health(how, address)
            )
            try:
                await _carry_out(job, how, out, timing)
            except StepError as error:
                if not error.resumable:
                    raise
                again = shlex.join(["smpdfu", "update", str(package), "--to", address, *_kept(how), "--resume"])
                raise StepError(f"{error}; go on with: {again}", error.step, resumable=True) from error


def _wish(how: How) -> Wish:
    from smpdfu.dfu.plan import Policy
    from smpdfu.dfu.run import Wish
    from smpdfu.dfu.state import Scheme

    if how.confirm and how.upload_only:
        raise typer.BadParameter("--confirm and --upload-only exclude each other")
    policy = Policy.UPLOAD_ONLY if how.upload_only else Policy.TEST_AND_CONFIRM
    policy = Policy.CONFIRM_ONLY if how.confirm else policy
    scheme = None if how.scheme is SchemeChoice.AUTO else Scheme(how.scheme.value)
    return Wish(policy, scheme, how.again, how.force)


def _kept(how: How) -> list[str]:
    """The options that the next call needs, too: without them it would do something else, or check less."""
    usual = How()
    words = [f"--{name.replace('_', '-')}" for name in ("force", "confirm", "upload_only") if getattr(how, name)]
    for name in ("scheme", "only", "soak", "health", "health_timeout", "boot_timeout"):
        value = getattr(how, name)
        if value != getattr(usual, name):
            text = f"{value:g}" if isinstance(value, float) else str(value)
            words += [f"--{name.replace('_', '-')}", text]
    return words


def _health(how: How, address: str) -> Health:
    from smpdfu.dfu import health

    checks = [health.soak(how.soak)]
    if how.health is not None:
        if not health.can_run(how.health):
            raise typer.BadParameter(f"the health check {how.health!r} cannot be run: there is no such program")
        checks.append(health.command(how.health, address, timeout_s=how.health_timeout))
    return health.all_of(checks)


def _may_resume(package: Package, record: Record, how: How, address: str) -> None:
    if how.resume and not record.of(package.digest).unfinished:
        raise PlanError(f"there is no unfinished update with this package for {address}; nothing was written")


def _check(decision: Decision, how: How) -> None:
    """Raise PlanError for what speaks against it, unless it was said to go on all the same."""
    from smpdfu.dfu.findings import refusal, stopping

    if errors := stopping(decision.findings, force=how.force):
        raise refusal(errors)


def _tell(finding: Finding, out: Output) -> None:
    from smpdfu.dfu.findings import Severity

    if finding.severity is Severity.NOTE:
        out.say(f"note: {_text(finding)}")
    else:
        out.warn(_text(finding))


def _text(finding: Finding) -> str:
    return f"{finding.message}. {finding.advice}" if finding.advice else finding.message


async def _carry_out(job: Update, how: How, out: Output, timing: Timing) -> None:
    from smpdfu.dfu.run import StepDone

    decision = await job.look()
    timing.looked()
    state, proven = decision.state, decision.net_done_at is None
    _check(decision, how)
    for finding in decision.findings:
        _tell(finding, out)
    if decision.tried_again:
        out.warn(
            "an earlier call was stopped while the application was on trial, and the device went back meanwhile; the "
            "trial begins anew"
        )
    with _Reporter(out) as report:
        async with aclosing(job.run(decision)) as events:
            async for event in events:
                report(event)
                timing(event)
                if isinstance(event, StepDone):
                    state, proven = event.state, proven and event.proven
    if not decision.plan.steps:
        out.say("the device has this package already; nothing to do")
    if decision.net_done_at is not None:
        out.warn(_by_journal(decision.net_done_at))
    elif not proven:
        out.warn(
            "the bootloader empties the slot whether the network core took its image or not, and SMP cannot tell: "
            "check the radio"
        )
    _show_end(decision, state, out, timing, proven=proven)


def _by_journal(time_s: float) -> str:
    import time

    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(time_s)) if time_s else "an earlier update"
    return (
        f"by the journal of {when} the network core has its image; SMP cannot tell which one it runs: if this may be "
        "another board, or it was flashed since, install it once more with --again"
    )


class _Reporter:
    """Turns events into lines, and the bytes of an upload into a progress display."""

    def __init__(self, out: Output) -> None:
        self._out, self._stack = out, ExitStack()
        self._advance: Advance | None = None

    def __enter__(self) -> _Reporter:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def __call__(self, event: Event) -> None:
        from smpdfu.dfu.plan import Action
        from smpdfu.dfu.run import Progress, StepBegun

        if isinstance(event, StepBegun):
            self._out.say(f"[{event.number}/{event.total}] {event.step.words}")
            if event.step.action is Action.UPLOAD:
                self._advance = self._stack.enter_context(self._out.progress(f"{event.step.core} core"))
        elif isinstance(event, Progress):
            if self._advance is not None:
                self._advance(event.done, event.total, upload_phase(event.done, event.window))
        else:
            self._stack.close()
            self._advance = None


# --- what is said ---------------------------------------------------------------------------------------------------


def _show_plan(decision: Decision, how: How, out: Output, timing: Timing) -> None:
    """Findings and steps; exit code 6 when the update would be refused."""
    try:
        _check(decision, how)
        refused = ""
    except PlanError as error:
        refused = str(error)
    data = _data(decision, decision.state, "refused" if refused else "planned", timing)

    def render() -> Any:
        from rich.console import Group

        findings = [(one.severity, one.code, _text(one)) for one in decision.findings]
        steps = [(number, step.words) for number, step in enumerate(decision.plan.steps, 1)]
        return Group(
            table("Findings", ("severity", "code", "what"), findings or [("", "", "nothing speaks against it")]),
            table("Steps", ("", "what"), steps or [("", "none: the device has this package")]),
        )

    out.emit(data, render)
    if refused:
        out.say(f"error: {refused}")
        raise typer.Exit(6)


def _show_end(decision: Decision, state: DeviceState, out: Output, timing: Timing, *, proven: bool) -> None:
    from smpdfu.cli.device import slots_table

    result = "nothing to do"
    if decision.plan.steps:
        result = "done" if proven else "unproven"
    data = _data(decision, state, result, timing) | {"proven": proven}

    def render() -> Any:
        from rich.console import Group

        now = slots_table(state.slots, "The device now")
        return Group(timing.table(decision.plan.steps), now) if decision.plan.steps else now

    out.emit(data, render)


def _data(decision: Decision, state: DeviceState, result: str, timing: Timing) -> dict[str, Any]:
    from smpdfu.cli.device import slot_data

    return {
        "result": result,
        "scheme": decision.plan.scheme,
        "findings": [
            {
                "code": one.code,
                "severity": one.severity,
                "core": one.core,
                "message": one.message,
                "advice": one.advice,
                "source": one.source,
            }
            for one in decision.findings
        ],
        "steps": [
            {"name": step.name, "core": step.core, "what": step.words, **timing.of_step(step)}
            for step in decision.plan.steps
        ],
        **timing.to_dict(),
        "images": [slot_data(slot) for slot in state.slots],
    }
