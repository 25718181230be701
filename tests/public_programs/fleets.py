"""A program that updates fleets and searches them, with the public names for it."""

from __future__ import annotations

from pathlib import Path

from smpdfu import (
    Affected,
    AffectedDevicesError,
    AffectedStatus,
    Client,
    Course,
    DeviceAnswer,
    DeviceHistory,
    Ending,
    Fleet,
    FleetDevice,
    FleetError,
    FleetFailedError,
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
    History,
    ImageRecord,
    ImageVerdict,
    Limits,
    LogEvent,
    Outcome,
    Package,
    PartAnswer,
    PastAnswer,
    Phase,
    PlannedWave,
    Ports,
    Repaired,
    RunEvidence,
    Schedule,
    SearchError,
    SoughtImage,
    Span,
    Stop,
    StopCode,
    Treatment,
    UnknownDevicesError,
    Unproven,
    Wave,
    affected,
    client_for,
    open_fleet,
    place_of,
    read_log,
)

LINES: list[str] = []


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
