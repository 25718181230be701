"""``upload``: one image file into one slot, and on request all the way to running."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smpdfu.cli.app.command import Connection
from smpdfu.cli.image.trust_options import TrustOptions
from smpdfu.cli.terminal.interruption import BETWEEN_STEPS, PART_OF_APPLICATION, PART_OF_SLOT, leaves
from smpdfu.cli.terminal.show import Output, facts, upload_phase
from smpdfu.cli.update.bootloader_options import BootloaderOptions
from smpdfu.cli.update.transfer_options import TransferOptions
from smpdfu.errors import FormatError, ImageError, PackageError, PlanError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.client import Client
    from smpdfu.dfu.decide.device_state import DeviceState
    from smpdfu.dfu.decide.one_image import Job, Wanted
    from smpdfu.dfu.do.same_device import SameDevice
    from smpdfu.dfu.package.package import CoreImage

MAX_FILE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """Where the image goes and what happens to it."""

    image: Annotated[
        int | None,
        typer.Option(
            "-n", "--image", metavar="N", min=0, max=255, help="Image number. [default: chosen from the image]"
        ),
    ] = None
    slot: Annotated[
        int | None,
        typer.Option("--slot", metavar="N", min=0, max=1, help="Slot of the image; the one that does not run."),
    ] = None
    test: Annotated[bool, typer.Option("--test", help="Mark the image for a test at the next boot.")] = False
    confirm: Annotated[
        bool,
        typer.Option(
            "--confirm",
            help="Install the image permanently: on trial first if the device can test it, else at once. The command "
            "says which before the upload.",
        ),
    ] = False
    force: Annotated[bool, typer.Option("--force", help="Continue in spite of errors that the checks found.")] = False
    recovery: Annotated[
        bool,
        typer.Option(
            "--recovery",
            help="The device is in MCUboot's serial recovery: overwrite what runs. -n 0 is the application, -n 3 the "
            "network core, where the bootloader has direct upload. [default: chosen from the image]",
        ),
    ] = False
    boot_timeout: Annotated[
        float, typer.Option("--boot-timeout", metavar="SECONDS", min=1, help="How long a boot may take.")
    ] = 120.0

    @property
    def wanted(self) -> Wanted:
        """The same, as the library asks it."""
        from smpdfu.dfu.decide.one_image import Wanted

        return Wanted(self.image, self.slot, self.test, self.confirm, self.force)


async def upload(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A signed image, .bin or .hex.")],
    target: Target,
    bootloader: BootloaderOptions,
    trust: TrustOptions,
    how: TransferOptions,
    conn: Connection,
    out: Output,
) -> None:
    """Upload an image, and with --confirm install it. If it is interrupted, run the same command again to continue."""
    if target.test and target.confirm:
        raise typer.BadParameter("--test and --confirm exclude each other")
    if target.recovery and (target.test or target.confirm or target.slot is not None):
        raise typer.BadParameter("serial recovery has no --test, --confirm or --slot: it overwrites what runs")
    from smpdfu.dfu.decide.checks.demands import check_trust

    image, known = load_image(file), bootloader.known(conn)
    check_trust((image,), trust.keys())
    async with conn.client(transfer_timeout_s=how.transfer_timeout) as client:
        from smpdfu.dfu.decide import serial_recovery
        from smpdfu.dfu.decide.record import Record
        from smpdfu.dfu.do.steps import read_state
        from smpdfu.dfu.do.update import Wish, known_of

        state = known_of(await read_state(client), Record(), Wish(bootloader=known))
        if state.recovery is not target.recovery:
            raise serial_recovery.not_met() if target.recovery else serial_recovery.met_unasked()
        if target.recovery:
            from smpdfu.cli.update.upload_recovery import upload_in_recovery

            await upload_in_recovery(client, image, state, target.image, out, force=target.force)
            return
        await _install(client, image, state, target, out)


async def _install(client: Client, image: CoreImage, state: DeviceState, target: Target, out: Output) -> None:
    """Do what is asked for, as far as it is not done, and tell."""
    from smpdfu.dfu.decide.one_image import Left, announcement, how_to_start, marked, of_pair, read_back
    from smpdfu.dfu.decide.plan import Action, Step
    from smpdfu.dfu.do.one_image_steps import find_job
    from smpdfu.dfu.do.same_device import SameDevice
    from smpdfu.dfu.do.steps import read_slots

    same = SameDevice(client)
    state = await same.learn(state)
    job = await find_job(client, image, state, target.wanted)
    image = of_pair(image, job, state)
    sending = Step(Action.CHECK if job.replaces else Action.UPLOAD, image.core)
    _check(image, state, target, out)
    if job.left is Left.NOTHING:
        runs = job.image == 0 and state.running is not None and state.running.hash == image.hash
        job = replace(job, slot=state.running.slot if runs and state.running else read_back(image, state, job))
        data = _answer(image, target, job, NOTHING_SENT, Outcome(runs, True if runs else None))
        out.emit(data, lambda: _told(data, _already(state) if runs else marked(image, state, job)))
        return
    _announce(announcement(job, image, state), job, out)
    unchanged = partial(same.check, sending, state)
    await unchanged()
    sent = NOTHING_SENT
    if job.left is not Left.STARTED:
        sent = await _send(client, image, job, out, unchanged)
        await unchanged()
    held = await read_slots(client, state)
    outcome = await _after(same, image, held, target, job)
    job = replace(job, slot=read_back(image, outcome.state or held, job))
    answer = _answer(image, target, job, sent, outcome)
    out.emit(answer, lambda: _told(answer, outcome.words or f"uploaded; {how_to_start(image, state, job)}"))


def _announce(text: str, job: Job, out: Output) -> None:
    """What will happen behind the upload: a warning where there may be no way back."""
    from smpdfu.dfu.decide.one_image import Way

    if text:
        (out.say if job.way is Way.TRIAL and job.reverts is not None else out.warn)(text)


def _already(state: DeviceState) -> str:
    kept = state.running is not None and state.running.confirmed
    return "runs already, confirmed" if kept else "runs already, on trial; `smpdfu confirm` keeps it"


NOTHING_SENT: Mapping[str, Any] = {
    "bytes": 0,
    "seconds": 0.0,
    "requests": 0,
    "window": 0,
    "retries": 0,
    "resumed_at": 0,
    "verified": True,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """``runs``: it was seen to run. ``proven``: that, or it was seen to be handed over; None: nothing was tried.

    ``reverts``: whether the bootloader can go back, as a trial showed it; None if there was none. ``words`` say it to
    people, "" where it was only uploaded.
    """

    runs: bool = False
    proven: bool | None = None
    reverts: bool | None = None
    words: str = ""
    state: DeviceState | None = None


_RUNS = {
    None: "runs, for good",
    True: "runs, for good",
    False: "runs, for good: the bootloader overwrites, so there was no trial",
}


def _told(answer: dict[str, Any], now: str) -> RenderableType:
    """What happened, and what to type next."""
    return facts(
        [
            ("image", f"{answer['file']}, version {answer['version']}"),
            ("hash", answer["hash"]),
            ("sent", _sent(answer) if answer["bytes"] else "nothing: the device has it"),
            ("to", f"image {answer['image']} slot {answer['slot']}"),
            ("now", now),
        ]
    )


def _sent(answer: Mapping[str, Any]) -> str:
    """How the bytes went: how many, how fast, at what cost."""
    rate = (answer["bytes"] - answer["resumed_at"]) / 1000 / max(answer["seconds"], 0.001)
    words = f"{answer['bytes']} bytes in {answer['seconds']:.1f} s ({rate:.0f} kB/s)"
    if answer["resumed_at"]:
        words += f", {answer['resumed_at']} of them by an earlier call"
    words += f"; {answer['requests']} requests"
    if answer["window"] > 1:
        words += f", up to {answer['window']} in flight"
    return f"{words}, {answer['retries']} sent again" if answer["retries"] else words


def load_image(path: Path) -> CoreImage:
    """The signed image in a file, .bin or .hex. Raises ImageError or PackageError with a sentence, or OSError."""
    from smpdfu.dfu.package.package import CoreImage
    from smpdfu.image.files import FileKind, identify, read_bounded, read_firmware

    if path.stat().st_size > MAX_FILE_BYTES:
        raise ImageError(f"{path} is larger than any flash: {path.stat().st_size} bytes")
    if identify(read_bounded(path)) is FileKind.DFU_APPLICATION_ZIP:
        raise PackageError(f"{path} is a package for whole devices: `smpdfu update {path}` installs it")
    data = read_firmware(path).flat()
    try:
        return CoreImage.from_bytes(data, path.name)
    except FormatError as error:
        if identify(data) is FileKind.MCUBOOT_IMAGE:
            raise FormatError(f"{path} is not a whole MCUboot image: {error}", error.offset) from None
        from smpdfu.cli.inspect.contents import ADVICE, WHOLE_FLASH
        from smpdfu.image.inspect.not_firmware import image_inside

        kind = identify(data)
        if image_inside(data) is not None:
            raise FormatError(f"{path} is no image but a whole flash. {WHOLE_FLASH}", error.offset) from None
        if kind is not FileKind.RAW_FIRMWARE:
            raise FormatError(f"{path} is no image but: {kind}. {ADVICE[kind.name]}", error.offset) from None
        raise FormatError(
            f"{path} is not signed for MCUboot ({error}): `smpdfu sign` does that", error.offset
        ) from None


# What speaks against sending alone. A slot with its trailer in it marks itself, for good with --confirm, whatever was
# asked for; a device that does not know its own slot writes over what runs.
_HARMS_AT_ONCE = {"padded", "active-slot"}
# What the image of the other core may still mend, where this call only marks one of them.
_MAY_BE_MET = {"dependency"}


def _check(image: CoreImage, state: DeviceState, target: Target, out: Output) -> None:
    """Say what was found; refuse what no bootloader takes, what would not boot, or boots without being asked to."""
    from smpdfu.dfu.decide.checks.findings import Severity, refusal
    from smpdfu.dfu.decide.checks.preflight import image_findings
    from smpdfu.dfu.decide.one_image import DAMAGED

    found = image_findings(image, state)
    errors = [finding for finding in found if finding.severity is Severity.ERROR]
    if not target.wanted.boots:
        errors = [finding for finding in errors if finding.code in _HARMS_AT_ONCE | DAMAGED]
    elif target.test:
        errors = [finding for finding in errors if finding.code not in _MAY_BE_MET]
    if errors and not target.force:
        raise refusal(errors)
    for finding in found:
        if finding.severity is not Severity.NOTE:
            out.warn(finding.words)


async def _send(
    client: Client, image: CoreImage, job: Job, out: Output, recheck: Callable[[], Awaitable[None]]
) -> dict[str, Any]:
    left = PART_OF_APPLICATION if job.replaces else PART_OF_SLOT
    with leaves(left), out.progress(image.file) as advance:
        result = await client.upload(
            image.data,
            job.number,
            progress=lambda now: advance(now.off, now.len, upload_phase(now.off)),
            compare=not job.replaces,
            recheck=recheck,
        )
    if not (result.match or result.listed or job.replaces):
        out.warn("the device took every byte and neither compares them nor lists the image: nothing proves what it has")
    return {
        "bytes": result.len,
        "seconds": round(result.seconds, 3),
        "requests": result.requests,
        "window": result.window,
        "retries": result.retries,
        "resumed_at": result.resumed_at,
        "verified": result.verified,
    }


async def _after(same: SameDevice, image: CoreImage, state: DeviceState, target: Target, job: Job) -> Outcome:
    """Mark it, and with --confirm bring it to run for good."""
    from smpdfu.dfu.decide.one_image import marked
    from smpdfu.dfu.decide.proof import net_taken
    from smpdfu.dfu.do.one_image_steps import bring_to_run
    from smpdfu.dfu.do.steps import Deadlines, Hands, mark
    from smpdfu.dfu.package.package import Core

    if not target.wanted.boots:
        return Outcome()
    if image.hash is None:
        raise PlanError(f"{image.file} has no hash, by which it could be marked")
    if target.test:
        return Outcome(words=marked(image, state, job), state=await mark(same.client, state, image.hash))
    with leaves(BETWEEN_STEPS):
        ran = await bring_to_run(Hands(same.client, Deadlines(target.boot_timeout), same=same.check), image, state, job)
    if image.core is not Core.NET and job.image == 0:
        return Outcome(True, True, ran.reverts, _RUNS[ran.reverts], ran.state)
    if image.core is not Core.NET:
        return Outcome(proven=False, words="the device was reset; SMP cannot tell what became of it", state=ran.state)
    proof = ran.state.proof or net_taken(image, ran.state)
    words = f"handed over to the network core. {proof.reason}"
    if proof.value is not True:
        doubt = " ".join(proof.lines)
        words = f"the device was reset; SMP cannot tell whether the network core took it. {doubt}"
    return Outcome(proven=proof.value is True, words=words, state=ran.state)


def _answer(image: CoreImage, target: Target, job: Job, sent: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    from smpdfu.dfu.decide.one_image import Left, Way

    takes_marks = job.way not in (Way.HIGHER_VERSION, Way.ONE_SLOT)
    marked = "test" if target.test else "permanent" if target.confirm and takes_marks else None
    marked = None if job.left is Left.NOTHING and outcome.runs else marked
    return {
        "file": image.file,
        "image": job.image,
        "slot": job.slot,
        "version": str(image.image.header.version),
        "hash": image.hash,
        **sent,
        "marked": marked,
        "running": outcome.runs,
        "proven": outcome.proven,
    } | ({} if outcome.reverts is None else {"reverts": outcome.reverts})
