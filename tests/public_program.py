"""A program that uses every public name, and no private module: ``test_public_api.py`` checks both.

It is only checked by mypy; ``examples/`` has programs that run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import assert_type

import smpdfu
from smpdfu import (
    AbsentError,
    Action,
    Address,
    Affected,
    AffectedDevicesError,
    AffectedStatus,
    Attested,
    Board,
    Bootloader,
    Builder,
    BuildFact,
    BuildOverrides,
    BuildRequest,
    CheckedEvidence,
    Client,
    ConnectError,
    Core,
    Course,
    Deadlines,
    Decision,
    Dependency,
    DeviceAnswer,
    DeviceError,
    DeviceHistory,
    DeviceState,
    DeviceTimeoutError,
    Ending,
    Event,
    EvidenceError,
    Finding,
    Fleet,
    FleetDevice,
    FleetError,
    FleetFailedError,
    FleetFileError,
    FleetLog,
    FleetOutcome,
    FleetPausedError,
    FleetPlan,
    FleetRun,
    FleetSession,
    FleetStatus,
    FleetUnfinishedError,
    FleetUnprovenError,
    FleetWatch,
    FleetWish,
    FormatError,
    Health,
    History,
    Image,
    ImageError,
    ImageEvent,
    ImageNote,
    ImageRecord,
    ImageSpec,
    ImageStage,
    ImageVerdict,
    Installed,
    InstalledImage,
    Journal,
    JournalError,
    KeyEncryptionKey,
    KeyFileError,
    Limits,
    LinkError,
    LinkLostError,
    LoaderBuild,
    LocalProtocolError,
    LogEvent,
    MadePackage,
    McubootRequest,
    Method,
    NextStep,
    NoEffectError,
    NotBackError,
    NotBootedError,
    NotReadyError,
    NsibKeys,
    Op,
    Outcome,
    Package,
    PackageError,
    PackageFile,
    PackageImage,
    PackageRequest,
    PackageWarning,
    PartAnswer,
    Partitions,
    PassphraseError,
    PastAnswer,
    Patience,
    Phase,
    Plan,
    PlanError,
    PlannedWave,
    Policy,
    Ports,
    PrivateKey,
    Progress,
    Proof,
    ProofSource,
    ProtocolError,
    Provision,
    ProvisionedKey,
    PublicKey,
    Record,
    RecoveredImage,
    Release,
    RemoteProtocolError,
    Repaired,
    ResponseTimeoutError,
    RevertedError,
    Role,
    RunEvidence,
    Sbom,
    SbomComponent,
    SbomImage,
    Schedule,
    Scheme,
    SealedBy,
    SealState,
    SearchError,
    Severity,
    ShellCommandError,
    SignatureError,
    Signer,
    SigningError,
    SlotGeometry,
    SmpdfuError,
    SoughtImage,
    Span,
    Step,
    StepBegun,
    StepDone,
    StepError,
    Stop,
    StopCode,
    Subject,
    Surroundings,
    SwapMode,
    Tlv,
    TooLargeError,
    Trace,
    Tracer,
    TransferTimeoutError,
    Treatment,
    UnknownDevicesError,
    Unproven,
    UnprovenError,
    Update,
    UpdateError,
    UploadProgress,
    UploadResult,
    Verdict,
    Verifier,
    Version,
    Wanted,
    Wave,
    Wish,
    WrongPassphraseError,
    affected,
    build,
    check_evidence,
    client_for,
    confirm_image,
    describe_build,
    erase_slot,
    health_command,
    health_soak,
    install,
    install_image,
    load_kek,
    load_key,
    load_private,
    make_build_mcuboot_package,
    make_build_package,
    make_mcuboot_package,
    make_package,
    make_provenance,
    make_sbom,
    mark_for_test,
    new_package,
    open_fleet,
    open_signer,
    parse_address,
    place_of,
    plan_update,
    provision_for,
    read_log,
    read_nsib_keys,
    read_provision,
    read_sbom,
    recover_image,
    restart_unchanged,
    seal,
    sealed_by,
    verify,
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


def sign(firmware: bytes, pem: bytes, secret: bytes) -> Image:
    """Sign and encrypt, then check as the bootloader does."""
    key: PrivateKey | PublicKey = load_key(pem)
    elsewhere = open_signer("cmd:./sign.sh", Surroundings(public=key.public))
    signer: Signer = load_private(pem) if isinstance(key, PrivateKey) else elsewhere
    trusted: Verifier = key.public
    wrap: KeyEncryptionKey = load_kek(secret)
    spec = ImageSpec(
        Version.from_text("1.2.3"),
        header_size=0x200,
        slot_size=0x7A000,
        pad_header=True,
        swap_mode=SwapMode.MOVE,
        dependencies=(Dependency(1, Version(1)),),
        custom_tlvs=(Tlv(0xA0, b"batch"),),
    )
    image = build(spec, firmware, signer, wrap)
    verdict: Verdict = verify(
        image, [trusted], enc_key=wrap, slot=SlotGeometry(0x7A000), build=LoaderBuild(encryption=True)
    )
    assert_type(verdict.accepted, bool | None)
    return image


def nsib(firmware: bytes, key: PrivateKey) -> tuple[ProvisionedKey, ...]:
    """Both bootloaders of a core: a seal for the immutable one, and the keys that it trusts."""
    data: Provision = provision_for(0x8000, 0x14000, [key.public], counter_slots=20)
    sealed = seal(firmware, data.s0, key)
    found: SealedBy = sealed_by(sealed, read_provision(data.to_bytes()).keys)
    assert_type(found.state, SealState)
    return data.keys if found.accepted else ()


def pack(app: Path) -> Package:
    """A package with one image."""
    image = PackageImage.from_bytes(app.read_bytes(), app.name)
    package = new_package([(image, 0xC200)], name="meter", board=Board("nrf5340dk/nrf5340"))
    assert_type(package.image(Role.APP), PackageImage | None)
    assert_type(image.core, Core)
    return package


def release(merged: Path, key: Signer, recipient: PublicKey) -> MadePackage:
    """A package of the firmware of both cores."""
    made = make_package(PackageRequest(Version(1, 2, 3), merged=merged, tie=True, release=True), key, recipient)
    warnings: tuple[PackageWarning, ...] = made.warnings
    LINES.extend(f"{warning.core} {warning.code}: {warning.message}" for warning in warnings)
    for name, data in made.files().items():
        merged.with_name(name).write_bytes(data)
    return made


def release_build(folder: Path, key: Signer) -> MadePackage:
    """A package of what `west build` wrote, with a version of our own."""
    facts: tuple[BuildFact, ...] = describe_build(folder)
    LINES.extend(f"{fact.of} {fact.name}: {fact.value} ({fact.origin})" for fact in facts)
    return make_build_package(folder, BuildRequest(overrides=BuildOverrides(version=Version(1, 2, 3))), key)


def prove(made: MadePackage, folder: Path, key: PrivateKey) -> CheckedEvidence:
    """The documents of a release, written beside the package and checked."""
    packed = PackageFile(made.package, made.package.to_bytes(), made.file)
    release = Release((packed,), parameters={"release": True})
    sbom = make_sbom(release)
    (folder / "meter.cdx.json").write_bytes(sbom)
    signed = make_provenance(release, key, sbom=("meter.cdx.json", sbom), builder=Builder("https://ci.example/meter"))
    (folder / "meter.intoto.json").write_bytes(signed)
    found = check_evidence(folder / packed.file, provenance=folder / "meter.intoto.json", keys=[key.public])
    attested: Attested | None = found.attested
    subjects: tuple[Subject, ...] = () if attested is None else attested.subjects
    LINES.extend(f"{subject.kind} {subject.name}: {subject.sha256}" for subject in subjects)
    return found


def release_mcuboot(s0: Path, s1: Path, folder: Path, key: Signer, nsib: Signer) -> MadePackage:
    """MCUboot's own update: of a build folder with b0 below MCUboot, else of two files."""
    made = make_build_mcuboot_package(folder, None, key, nsib)
    if isinstance(made, MadePackage):
        return made
    if made is not None:
        LINES.append(made.message)
    return make_mcuboot_package(McubootRequest(Version(1, 2, 3), s0, s1), key, nsib)


def software_of(path: Path) -> list[str]:
    """What the images of a package contain, as its SBOM says."""
    try:
        sbom: Sbom = read_sbom(path)
    except EvidenceError as error:
        return [str(error)]
    images: tuple[SbomImage, ...] = sbom.images
    parts: list[SbomComponent] = [part for image in images for part in image.components]
    return [f"{part.name} {part.version}" for part in parts]


def nsib_keys(provision: Path) -> NsibKeys:
    """The keys that b0n of our devices was provisioned with."""
    keys = NsibKeys(net=read_nsib_keys(provision))
    hashes = [key.hash.hex() for key in keys.net if isinstance(key, ProvisionedKey) and not key.revoked]
    LINES.extend(hashes)
    return keys


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


def vulnerable(sboms: Path) -> list[str]:
    """Which devices run a component, may run it, or ran it."""
    found: Affected = affected(sboms=[sboms], component="mbedtls@<3.6.2", fleets=[Path("roofs.toml")])
    images: tuple[SoughtImage, ...] = found.question.affected
    assert all(one.verdict is ImageVerdict.AFFECTED for one in images)
    devices: tuple[DeviceAnswer, ...] = (*found.of(AffectedStatus.AFFECTED), *found.of(AffectedStatus.UNKNOWN))
    for one in devices:
        device: DeviceHistory = one.device
        parts: list[PartAnswer] = [part for part in one.now if part.evidence is RunEvidence.PROVEN]
        ran: tuple[PastAnswer, ...] = one.past
        hashes: list[ImageRecord] = [*(part.image for part in parts), *(past.image for past in ran)]
        LINES.append(f"{device.name}: {one.reason} {[record.hash for record in hashes]}")
    error: SearchError | None = found.error()
    assert error is None or isinstance(error, AffectedDevicesError | UnknownDevicesError)
    return [one.device.address for one in devices]


async def slots(client: Client, hash_: bytes) -> DeviceState:
    """What a program may do with the images that a device has."""
    marked = await mark_for_test(client, hash_, image=0)
    assert_type(await restart_unchanged(client, deadlines=Deadlines(boot_s=180)), DeviceState | None)
    await confirm_image(client, hash_.hex(), untested=LINES.append)
    return marked if len(marked.slots) == 1 else await erase_slot(client, slot=1, timeout_s=60)


async def fleet(path: Path, log_folder: Path) -> dict[str, Outcome]:
    """A fleet whose devices are all new."""
    loaded = Fleet.load(path, place_of)
    limits: Limits = loaded.limits
    treatment: Treatment = loaded.treatment
    waves: tuple[Wave, ...] = loaded.waves
    stops = limits.unproven is Unproven.STOP

    def connect(device: FleetDevice) -> Client:
        return client_for(device.address, timeout_s=treatment.timeout_s)

    def watch(event: LogEvent) -> None:
        LINES.append(f"{event.kind} {stops}")

    packages = {hardware: Package.load(file) for hardware, file in loaded.packages.items()}
    schedule = Schedule(waves, limits, {})
    with FleetLog(log_folder, watch=watch) as log:
        phase = await FleetRun(loaded, schedule, log, Ports(connect, packages)).run()
    assert phase is Phase.DONE
    assert all(event.entry["event"] == event.kind for event in read_log(log_folder))
    return schedule.outcomes


class Ends(FleetWatch):
    """Notes the end of each device."""

    def event(self, event: LogEvent) -> None:
        LINES.append(f"{event.device}: {event.outcome}")


async def session(path: Path) -> Ending:
    """The same in a few lines, with all that a session can do."""
    opened: FleetSession = open_fleet(path)
    plan: FleetPlan = await opened.plan()
    waves: tuple[PlannedWave, ...] = plan.waves
    repaired: Repaired = opened.repair()
    LINES.append(f"{len(waves)} {repaired.lines} {opened.pause()}")
    try:
        outcome: FleetOutcome = await opened.run(FleetWish(at_once=2), Ends())
    except FleetPausedError:
        return Ending.UNFINISHED
    stop: Stop | None = outcome.stopped
    if stop is not None and stop.code is StopCode.FAILURES:
        LINES.append(stop.advice)
    status: FleetStatus = opened.status()
    history: History = status.history
    courses: list[Course] = list(history.courses.values())
    steps: list[Span] = [span for course in courses for span in course.spans]
    LINES.append(f"{len(steps)} steps")
    error: FleetError | None = outcome.error(require_proof=True)
    assert error is None or isinstance(error, FleetUnfinishedError | FleetFailedError | FleetUnprovenError)
    return outcome.ending
