"""How ``update`` runs: what it reads, decides, does and prints."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.cli.app.advice_by_code import finding_advice, finding_words, proof_entry, proof_lines
from smpdfu.cli.app.command import Connection
from smpdfu.cli.app.ending import conclude
from smpdfu.cli.image.trust_options import NsibOptions, TrustOptions
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Good, HashOutput, Output, stacked, table, words
from smpdfu.cli.update.bootloader_options import BootloaderOptions
from smpdfu.cli.update.known_bootloader import known_bootloader
from smpdfu.cli.update.loader import loader_data
from smpdfu.cli.update.slot_table import slot_data, slots_table
from smpdfu.cli.update.steps import Reporter
from smpdfu.cli.update.timing import Timing
from smpdfu.cli.update.update_options import How, SchemeChoice
from smpdfu.cli.update.upload_options import TransferOptions
from smpdfu.connect import parse_address
from smpdfu.dfu.decide.checks.demands import check_seals, check_trust
from smpdfu.dfu.decide.checks.findings import Finding, Severity, refusal, stopping
from smpdfu.dfu.decide.device_state import DeviceState, Scheme
from smpdfu.dfu.decide.evidence import Bootloader
from smpdfu.dfu.decide.record import Record
from smpdfu.dfu.decide.steps.plan import in_place
from smpdfu.dfu.decide.steps.rules import REPLACES, Policy
from smpdfu.dfu.do import health
from smpdfu.dfu.do.events import Event
from smpdfu.dfu.do.net_version import VersionRule, Way
from smpdfu.dfu.do.replacing.reach import Reach
from smpdfu.dfu.do.result import Installed
from smpdfu.dfu.do.steps import Deadlines
from smpdfu.dfu.do.update import Decision, Update, Wish
from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.package import Package
from smpdfu.errors import ConnectError, PlanError, StepError, UnprovenError
from smpdfu.image.keys.keys import PublicKey
from smpdfu.image.nsib.trusted_keys import NsibKeys
from smpdfu.library import Loader, open_update, plan_update, recorded_update, set_journal_aside

if TYPE_CHECKING:
    from rich.console import RenderableType


async def run_update(
    package: Path,
    how: How,
    bootloader: BootloaderOptions,
    trust: TrustOptions,
    nsib: NsibOptions,
    transfer: TransferOptions,
    conn: Connection,
    out: HashOutput,
) -> None:
    """Update the device from ``package``, or with ``how.plan`` show what an update would do."""
    loaded = Package.load(package)
    known = replace(known_bootloader(bootloader, conn), active_b0_slot=how.active_b0_slot)
    wish = _wish(how, known, trust.keys(), nsib.keys())
    loaded = loaded if how.only is None else loaded.only(Role(how.only.value))
    check_trust(loaded.images, wish.trust)
    if not (how.force or how.plan):  # a plan shows it among its findings
        check_seals(loaded.images, wish.nsib)
    if how.new_journal and (how.plan or how.resume):
        raise typer.BadParameter("--new-journal cannot be combined with --plan or --resume")
    address = str(parse_address(conn.address()))
    if how.new_journal and (old := set_journal_aside(address)) is not None:
        out.say(f"the old journal is now {old}")
    _may_resume(loaded, recorded_update(address), how, address)
    job = _Job(loaded, wish, how, transfer, out, Timing())
    checks = _checks(how, address)
    client = conn.client(transfer_timeout_s=transfer.transfer_timeout)
    loader = _loader(how, conn, transfer)
    if how.plan:
        async with Reach(client, None if loader is None else loader.client) as reach:
            job.timing.connected()
            decision = await plan_update(address, loaded, wish=wish, client=reach)
            job.timing.looked()
            _show_plan(decision, job)
            return
    try:
        async with open_update(address, loaded, client, wish=wish, loader=loader, **checks) as update:
            job.timing.connected()
            await _carry_out(update, job)
    except StepError as error:
        if not error.resumable:
            raise
        kept = [*_kept(how), *bootloader.words(), *trust.words(), *nsib.words(), *transfer.words()]
        again = shlex.join(["smpdfu", "update", str(package), "--to", address, *kept, "--resume"])
        raise StepError(f"{error}; continue with: {again}", error.step, resumable=True) from error


def _loader(how: How, conn: Connection, transfer: TransferOptions) -> Loader | None:
    """The client for --loader-to. Raises typer.BadParameter if that is no address."""
    if how.loader_to is None:
        return None
    try:
        address = str(parse_address(how.loader_to))
    except ConnectError as error:
        raise typer.BadParameter(str(error)) from None
    return Loader(address, conn.client(transfer_timeout_s=transfer.transfer_timeout, address=address))


@dataclass(frozen=True, slots=True)
class _Job:
    """What one call of ``update`` installs, and where it prints."""

    package: Package
    wish: Wish
    how: How
    transfer: TransferOptions
    out: HashOutput
    timing: Timing


def _wish(how: How, bootloader: Bootloader, trust: tuple[PublicKey, ...], nsib: NsibKeys) -> Wish:
    if how.confirm and how.upload_only:
        raise typer.BadParameter("use --confirm or --upload-only, not both")
    if how.require_proof and how.upload_only:
        raise typer.BadParameter("--require-proof needs a boot, and --upload-only boots nothing")
    policy = Policy.UPLOAD_ONLY if how.upload_only else Policy.TEST_AND_CONFIRM
    policy = Policy.CONFIRM_ONLY if how.confirm else policy
    scheme = None if how.scheme is SchemeChoice.AUTO else Scheme(how.scheme.value)
    return Wish(policy, scheme, how.again, how.force, bootloader, how.no_downgrade, trust, how.recovery, nsib)


def _kept(how: How) -> list[str]:
    """The options that the next call needs, too: without them it would do something else, or check less."""
    usual = How()
    switches = ("force", "confirm", "upload_only", "no_downgrade", "require_proof", "recovery")
    words = [f"--{name.replace('_', '-')}" for name in switches if getattr(how, name)]
    for name in (
        "scheme",
        "only",
        "soak",
        "health",
        "health_timeout",
        "boot_timeout",
        "net_version_from",
        "loader_to",
        "active_b0_slot",
    ):
        value = getattr(how, name)
        if value != getattr(usual, name):
            text = f"{value:g}" if isinstance(value, float) else str(value)
            words += [f"--{name.replace('_', '-')}", text]
    return words


def _checks(how: How, address: str) -> dict[str, Any]:
    """What ``Update`` is to wait for and to ask; usage errors before anything is sent."""
    checks = [health.soak(how.soak)]
    if how.health is not None:
        _can_run(how.health, "health check")
        checks.append(health.command(how.health, address, timeout_s=how.health_timeout))
    ask = None
    if how.net_version_from is not None:
        try:
            rule = VersionRule.from_text(how.net_version_from)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        if rule.way is Way.COMMAND:
            _can_run(rule.what, "command")
        ask = rule.ask(address, timeout_s=how.health_timeout)
    return {"deadlines": Deadlines(how.boot_timeout), "health": health.all_of(checks), "net_version": ask}


def _can_run(line: str, what: str) -> None:
    if not health.can_run(line):
        raise typer.BadParameter(f"the {what} {line!r} cannot be run: there is no such program")


def _may_resume(package: Package, record: Record, how: How, address: str) -> None:
    if how.resume and not record.of(package.digest).unfinished:
        raise PlanError(f"there is no unfinished update with this package for {address}; nothing was written")


def _check(decision: Decision, how: How) -> None:
    """Raise PlanError for what speaks against it, unless it was said to go on all the same."""
    if errors := stopping(decision.findings, force=how.force):
        raise refusal(errors)


def _tell(finding: Finding, out: Output) -> None:
    if finding.severity is Severity.NOTE:
        out.say(f"note: {finding_words(finding)}")
    else:
        out.warn(finding_words(finding))


async def _carry_out(update: Update, job: _Job) -> None:
    out = job.out
    for sentence in update.damaged:
        out.warn(f"{sentence}. With --new-journal, smpdfu begins a new journal.")
    decision = await update.look()
    job.timing.looked()
    _check(decision, job.how)
    for finding in decision.findings:
        _tell(finding, out)
    if decision.tried_again:
        out.warn(
            "an earlier run stopped during the trial of the application, and the device went back to its previous "
            "firmware: smpdfu repeats the trial"
        )
    with Reporter(out, replaces=decision.plan.method in REPLACES) as report:

        def watch(event: Event) -> None:
            report(event)
            job.timing(event)

        result = await update.run(decision, watch)
    if not decision.plan.steps:
        out.say(_nothing_to_do(decision))
    for what, done_at in (("the network core", decision.net_done_at), ("MCUboot", decision.mcuboot_done_at)):
        if done_at is not None:
            out.warn(_by_journal(what, done_at))
    if result.proven is False and result.proof is not None:
        for line in proof_lines(result.proof):
            out.warn(line)
    _show_end(decision, result, job)


def _nothing_to_do(decision: Decision) -> str:
    if not decision.plan.left_out:
        return "the device has this package already; nothing to do"
    files = " and ".join(image.file for image in decision.plan.left_out)
    return f"the device has the rest of this package already; {files} was not installed"


def _by_journal(what: str, time_s: float) -> str:
    when = f" on {time.strftime('%Y-%m-%d %H:%M', time.localtime(time_s))}" if time_s else ""
    return (
        f"{what} was updated{when}, says the journal. If this is another board, or it was reflashed, run "
        "again with --again"
    )


# --- what is said ---------------------------------------------------------------------------------------------------


def _show_plan(decision: Decision, job: _Job) -> None:
    """Findings and steps; exit code 6 when the update would be refused."""
    out = job.out
    refused: PlanError | None = None
    try:
        _check(decision, job.how)
    except PlanError as error:
        refused = error
    data = _data(decision, decision.state, "refused" if refused else "planned", job.timing)
    data |= {"proven": None, "proof": None, "transfer_timeout_s": job.transfer.transfer_timeout}
    there = _in_place(decision, job)
    data["up_to_date"] = [core for core, _ in there]

    def render() -> RenderableType:
        findings = [(one.severity, one.code, finding_words(one)) for one in decision.findings]
        steps: list[tuple[object, str]] = [("", text) for _, text in there]
        steps += [(number, step.words) for number, step in enumerate(decision.plan.steps, 1)]
        return stacked(
            table("Findings", ("severity", "code", "what"), findings or [("", "", "nothing speaks against it")]),
            table("Steps", ("", "what"), steps or [("", f"none: {_nothing_to_do(decision)}")]),
        )

    if (bound := job.transfer.transfer_timeout) is not None and decision.plan.steps:
        out.say(f"smpdfu stops an upload after {bound:g} s (--transfer-timeout).")
    conclude(out, data, render, refused)


def _in_place(decision: Decision, job: _Job) -> list[tuple[str, str]]:
    """Each image for the device that needs no step, with the sentence for it."""
    found = []
    for image in in_place(decision.package, decision.plan, job.wish.policy):
        known = " (by the journal of an earlier update)" if image.role in (Role.NET, Role.MCUBOOT) else ""
        place = f"the {image.core.words}" if image.role in (Role.APP, Role.NET) else image.words
        text = f"nothing to do for {place}: it has {image.image.header.version} already{known}"
        found.append((image.part, text))
    return found


_UNPROVEN = "All steps are done. Nothing proves that every image is installed: the warnings say what to check."


def _show_end(decision: Decision, result: Installed, job: _Job) -> None:
    word = "nothing to do"
    if decision.plan.steps:
        word = "unproven" if result.proven is False else "done"
    proof = None if result.proof is None else proof_entry(result.proof)
    data = _data(decision, result.state, word, job.timing) | {"proven": result.proven, "proof": proof}

    def render() -> RenderableType:
        now = slots_table(result.state.slots, "The device now", long=job.out.long)
        if not decision.plan.steps:
            return now
        if word == "unproven":
            return stacked(job.timing.table(decision.plan.steps), now, words(_UNPROVEN))
        end = "The images are uploaded." if job.how.upload_only else "The update is done."
        return stacked(job.timing.table(decision.plan.steps), now, words(Good(end)))

    fault = None
    if job.how.require_proof and result.proven is False:
        fault = UnprovenError("the update is installed as far as the device can tell, and nothing proves it")
    conclude(job.out, data, render, fault)


def _data(decision: Decision, state: DeviceState, result: str, timing: Timing) -> dict[str, Any]:
    return {
        "result": result,
        "scheme": decision.plan.scheme,
        "method": decision.plan.method,
        "loader": loader_data(state),
        "findings": [
            {
                "code": one.code,
                "severity": one.severity,
                "core": one.core,
                "message": one.message,
                "advice": finding_advice(one),
                "source": one.source,
            }
            for one in decision.findings
        ],
        "steps": [
            {"name": step.name, "core": step.core, "role": step.role, "what": step.words, **timing.of_step(step)}
            for step in decision.plan.steps
        ],
        **timing.to_dict(),
        "images": [slot_data(slot) for slot in state.slots],
    }
