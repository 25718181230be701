"""A program that updates devices, with the public names for it: updates, single images, errors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import assert_type

import smpdfu
from smpdfu import (
    AbsentError,
    Action,
    Address,
    Bootloader,
    Client,
    ConnectError,
    Deadlines,
    Decision,
    DeviceError,
    DeviceState,
    DeviceTimeoutError,
    Event,
    Finding,
    FleetFileError,
    FormatError,
    Health,
    ImageError,
    ImageEvent,
    ImageNote,
    ImageStage,
    Installed,
    InstalledImage,
    Journal,
    JournalError,
    KeyFileError,
    LinkError,
    LinkLostError,
    LocalProtocolError,
    Method,
    NextStep,
    NoEffectError,
    NotBackError,
    NotBootedError,
    NotReadyError,
    Op,
    Package,
    PackageError,
    Partitions,
    PassphraseError,
    Patience,
    Plan,
    PlanError,
    Policy,
    Progress,
    Proof,
    ProofSource,
    ProtocolError,
    Record,
    RecoveredImage,
    RemoteProtocolError,
    ResponseTimeoutError,
    RevertedError,
    Scheme,
    Severity,
    ShellCommandError,
    SignatureError,
    SigningError,
    SmpdfuError,
    Step,
    StepBegun,
    StepDone,
    StepError,
    TooLargeError,
    Trace,
    Tracer,
    TransferTimeoutError,
    UnprovenError,
    Update,
    UpdateError,
    UploadProgress,
    UploadResult,
    Wanted,
    Wish,
    WrongPassphraseError,
    client_for,
    confirm_image,
    erase_slot,
    health_command,
    health_soak,
    install,
    install_image,
    journal_of,
    mark_for_test,
    parse_address,
    plan_update,
    recover_image,
    restart_unchanged,
)
from smpdfu.smp.groups.raw import RawRequest

LINES: list[str] = []


# The error tree, from the base to the leaves: one `except` for each kind of trouble.
KINDS: Mapping[str, tuple[type[SmpdfuError], ...]] = {
    "file": (ImageError, FormatError, TooLargeError, PackageError, FleetFileError),
    "key": (SigningError, KeyFileError, PassphraseError, WrongPassphraseError, SignatureError),
    "link": (LinkError, ConnectError, NotReadyError, LinkLostError, ResponseTimeoutError, TransferTimeoutError),
    "protocol": (ProtocolError, LocalProtocolError, RemoteProtocolError),
    "step": (StepError, AbsentError, NotBackError, NotBootedError, NoEffectError),
    "shell": (ShellCommandError,),
    "update": (UpdateError, JournalError, UnprovenError, DeviceTimeoutError),
}


def advice(error: SmpdfuError) -> str:
    """What a program may read from an error."""
    if isinstance(error, DeviceError):
        return f"{error.command}: {error.name} ({error.group}, {error.rc})"
    if isinstance(error, PlanError):
        return ", ".join(error.codes)
    if isinstance(error, RevertedError):
        return f"ran: {error.ran}"
    if isinstance(error, StepError):
        return f"{error.step}, again: {error.resumable}"
    return next((kind for kind, classes in KINDS.items() if isinstance(error, classes)), smpdfu.__version__)


def note(event: Event) -> str:
    """One line for each event of an update."""
    match event:
        case StepBegun(step=Step(action=Action.UPLOAD)):
            return "the upload begins"
        case StepBegun():
            return f"{event.step.words}: {event.number} of {event.total}"
        case Progress():
            return f"{event.done} of {event.total} bytes"
        case StepDone():
            state: DeviceState = event.state
            return f"{event.seconds:.1f} s; runs {state.running}"


def proof_of(done: Installed) -> str:
    """Where the proof of the network core's update comes from."""
    proof: Proof | None = done.proof
    source: ProofSource | None = None if proof is None else proof.source
    return str(source)


async def update(address: str, package: Package) -> Installed:
    """One device, with every choice written out."""
    checks: tuple[Health, ...] = (health_soak(30), health_command("./check.sh", address, timeout_s=60))
    known = Bootloader("3.3", partitions=Partitions.PM)
    wish = Wish(Policy.TEST_AND_CONFIRM, Scheme.STAGED, bootloader=known, no_downgrade=True)
    return await install(
        address,
        package,
        wish=wish,
        health=checks[0],
        deadlines=Deadlines(boot_s=180),
        watch=lambda event: LINES.append(note(event)),
    )


def image_note(event: ImageEvent) -> str:
    """One line for each event of one image."""
    match event:
        case ImageNote():
            return event.text
        case ImageStage():
            return event.value
        case UploadProgress():
            return f"{event.off} of {event.len}"


async def one_image(address: str, path: Path) -> bool | None:
    """One image, on trial at the next boot."""
    done: InstalledImage = await install_image(
        address, path, wanted=Wanted(test=True), watch=lambda event: LINES.append(image_note(event))
    )
    if done.next_step is NextStep.RESET_TRIES:
        LINES.append("a reset starts the trial")
    return done.proven


async def recover(address: str, path: Path) -> bool:
    """One image in MCUboot's serial recovery."""
    done: RecoveredImage = await recover_image(address, path, watch=lambda event: LINES.append(image_note(event)))
    return done.verified


async def refusals(address: str, path: Path) -> list[str]:
    """What speaks against an update, without an update."""
    decision: Decision = await plan_update(address, path)
    return [finding.code for finding in decision.refused]


async def plan(client: Client, package: Package, journal: Journal) -> list[str]:
    """What an update would do, without doing it."""
    record: Record = journal.record
    decision: Decision = await Update(client, package, journal).look()
    steps: Plan = decision.plan
    assert_type(steps.method, Method)
    findings: tuple[Finding, ...] = decision.findings
    stops = [one.words for one in findings if one.severity is Severity.ERROR]
    if steps.method is Method.SERIAL_RECOVERY:
        stops.append("it overwrites what runs")
    return [*stops, *(step.words for step in steps.steps), str(record.end)]


async def upload(text: str, data: bytes) -> UploadResult:
    """Upload one image and look at every message."""

    def look(trace: Trace) -> None:
        LINES.append(f"{trace.at_s} {trace.kind}")

    def progress(now: UploadProgress) -> None:
        LINES.append(f"{now.off} of {now.len}")

    tracer: Tracer = look
    address: Address = parse_address(text)
    async with client_for(address, window_max=4) as client:
        client.trace, client.patience = tracer, Patience(reconnect_s=30)
        await client.request(RawRequest(64, 1, Op.WRITE, {"on": True}))
        return await client.upload(data, progress=progress)


async def slots(client: Client, hash_: bytes) -> DeviceState:
    """What a program may do with the images that a device has."""
    journal: Path = journal_of("udp:192.0.2.1")
    marked = await mark_for_test(client, hash_, image=0, journal=journal, warn=LINES.append)
    assert_type(await restart_unchanged(client, deadlines=Deadlines(boot_s=180)), DeviceState | None)
    await confirm_image(client, hash_.hex(), untested=LINES.append)
    return marked if len(marked.slots) == 1 else await erase_slot(client, slot=1, timeout_s=60)
