"""``upload``: one image file into one slot, and on request all the way to running."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smpdfu.cli.options import Connection
from smpdfu.cli.show import Output, facts, upload_phase
from smpdfu.errors import FormatError, ImageError, PackageError, PlanError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.client import Client
    from smpdfu.dfu.package import CoreImage
    from smpdfu.dfu.state import DeviceState

MAX_FILE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """Where the image goes and what happens to it."""

    image: Annotated[
        int, typer.Option("-n", "--image", metavar="N", min=0, max=255, help="Image number; 0 if not given.")
    ] = 0
    slot: Annotated[
        int | None,
        typer.Option("--slot", metavar="N", min=0, max=1, help="Slot of the image; the one that does not run."),
    ] = None
    test: Annotated[bool, typer.Option("--test", help="Mark the image for a test at the next boot.")] = False
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Reset, wait, check that it runs, and keep it for good.")
    ] = False
    force: Annotated[bool, typer.Option("--force", help="Go on in spite of what the checks found.")] = False
    recovery: Annotated[
        bool,
        typer.Option(
            "--recovery",
            help="The device is in MCUboot's serial recovery: overwrite what runs. -n counts as recovery does: 1 "
            "application, 3 network core; if not given, what fits the image.",
        ),
    ] = False
    boot_timeout: Annotated[
        float, typer.Option("--boot-timeout", metavar="SECONDS", min=1, help="How long a boot may take.")
    ] = 120.0


async def upload(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A signed image, .bin or .hex.")],
    target: Target,
    conn: Connection,
    out: Output,
) -> None:
    """Upload an image; it goes on where an earlier call was cut off."""
    if target.test and target.confirm:
        raise typer.BadParameter("--test and --confirm exclude each other")
    if target.recovery and (target.test or target.confirm or target.slot is not None):
        raise typer.BadParameter("serial recovery has no --test, --confirm or --slot: it overwrites what runs")
    image = load_image(file)
    async with conn.client() as client:
        from smpdfu.dfu import recovery
        from smpdfu.dfu.steps import read_state

        state = await read_state(client)
        if recovery.is_recovery(state, await client.params()) is not target.recovery:
            raise recovery.not_met() if target.recovery else recovery.met_unasked()
        if target.recovery:
            from smpdfu.cli.recovery import upload_in_recovery

            await upload_in_recovery(client, image, target.image, out, force=target.force)
            return
        _check(image, state, target, out)
        if target.confirm and _runs_for_good(image, state):
            data = _answer(image, target, NOTHING_SENT, Outcome(runs=True, proven=True))
            out.emit(data, lambda: f"{file} runs already, confirmed")
            return
        if target.test and _waits_for_its_test(image, state):
            data = _answer(image, target, NOTHING_SENT, Outcome())
            out.emit(data, lambda: _told(data))
            return
        sent = NOTHING_SENT if target.confirm and _is_under_way(image, state, target) else None
        sent = sent or await _send(client, image, state, target, out)
        outcome = await _after(client, image, state, target, out)
    answer = _answer(image, target, sent, outcome)
    out.emit(answer, lambda: _told(answer))


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
    """``runs``: it was seen to run. ``proven``: that, or it was seen to be handed over; None: nothing was tried."""

    runs: bool = False
    proven: bool | None = None


def _told(answer: dict[str, Any]) -> RenderableType:
    """What happened, and what to type next."""
    sent = _sent(answer) if answer["bytes"] else "nothing: the device has it"
    now = {
        None: "uploaded; `smpdfu test` marks it for a test at the next boot",
        "test": "marked for a test; `smpdfu reset` starts it, `smpdfu confirm` keeps it",
        "permanent": "runs, for good"
        if answer["running"]
        else "handed over to the network core; SMP cannot see it run",
    }
    if answer["proven"] is False:
        now["permanent"] = "the device was reset; SMP cannot tell whether the network core took it: check the radio"
    return facts(
        [
            ("image", f"{answer['file']}, version {answer['version']}"),
            ("hash", answer["hash"]),
            ("sent", sent),
            ("to", f"image {answer['image']} slot {answer['slot']}"),
            ("now", now[answer["marked"]]),
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
    from smpdfu.dfu.package import CoreImage
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
        from smpdfu.cli.contents import ADVICE, WHOLE_FLASH
        from smpdfu.image.notfirmware import image_inside

        kind = identify(data)
        if image_inside(data) is not None:
            raise FormatError(f"{path} is no image but a whole flash. {WHOLE_FLASH}", error.offset) from None
        if kind is not FileKind.RAW_FIRMWARE:
            raise FormatError(f"{path} is no image but: {kind}. {ADVICE[kind.name]}", error.offset) from None
        raise FormatError(
            f"{path} is not signed for MCUboot ({error}): `smpdfu sign` does that", error.offset
        ) from None


# A slot with its trailer in it is not only uploaded: it marks itself, for good with --confirm, whatever was asked for.
_MARKS_ITSELF = {"padded"}


def _check(image: CoreImage, state: DeviceState, target: Target, out: Output) -> None:
    """Say what was found; refuse where the image is to be booted and would not, or boots without being asked to."""
    from smpdfu.dfu.findings import Severity, refusal
    from smpdfu.dfu.preflight import image_findings

    found = image_findings(image, state)
    errors = [finding for finding in found if finding.severity is Severity.ERROR]
    if not (target.test or target.confirm):
        errors = [finding for finding in errors if finding.code in _MARKS_ITSELF]
    if errors and not target.force:
        raise refusal(errors)
    for finding in found:
        if finding.severity is not Severity.NOTE:
            out.warn(finding.message)


def _runs_for_good(image: CoreImage, state: DeviceState) -> bool:
    return state.running is not None and state.running.hash == image.hash and state.running.confirmed


def _waits_for_its_test(image: CoreImage, state: DeviceState) -> bool:
    """An earlier call marked it; it cannot be sent again before it booted."""
    other = state.other
    return other is not None and other.hash == image.hash is not None and other.pending and not other.permanent


def _is_under_way(image: CoreImage, state: DeviceState, target: Target) -> bool:
    """An earlier call was cut off: the image waits for the next boot, or runs on trial."""
    trial = _has_trial(state, target)
    here = [slot for slot in state.slots if slot.image == target.image and slot.hash == image.hash is not None]
    return any(slot.permanent or (trial and (slot.pending or slot.active)) for slot in here)


async def _send(client: Client, image: CoreImage, state: DeviceState, target: Target, out: Output) -> dict[str, Any]:
    number = _upload_number(state, target)
    with out.progress(image.file) as advance:
        result = await client.upload(
            image.data,
            number,
            progress=lambda now: advance(now.off, now.len, upload_phase(now.off, now.window)),
        )
    if not (result.match or result.listed):
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


def _upload_number(state: DeviceState, target: Target) -> int:
    """The image number that the device wants for this slot. Raises PlanError where it has no such slot."""
    slots = {(info.image, slot.slot): slot for info in state.sizes for slot in info.slots}
    chosen = slots.get((target.image, 1 if target.slot is None else target.slot))
    if slots and chosen is None:
        raise PlanError(f"{_missing(slots, target)}; nothing was written")
    if chosen is not None and target.slot is not None and chosen.upload_image_id is not None:
        return chosen.upload_image_id
    if target.slot == 0:
        raise PlanError("the device does not take uploads into slot 0, which it runs from; nothing was written")
    return target.image


def _missing(slots: Mapping[tuple[int, int], object], target: Target) -> str:
    """Why there is no such slot: the image is not there, or it is and has others."""
    images = sorted({image for image, _ in slots})
    if target.image not in images:
        there = f"image {images[0]} only" if len(images) == 1 else f"images {', '.join(map(str, images))}"
        return f"the device has no image {target.image}; it has {there}"
    there = ", ".join(str(slot) for image, slot in sorted(slots) if image == target.image)
    return f"image {target.image} of the device has no slot {1 if target.slot is None else target.slot}, only {there}"


async def _after(client: Client, image: CoreImage, state: DeviceState, target: Target, out: Output) -> Outcome:
    """Mark it, and with --confirm bring it to run for good."""
    from smpdfu.dfu.package import Core
    from smpdfu.dfu.plan import net_taken
    from smpdfu.dfu.run import install, install_for_good
    from smpdfu.dfu.steps import Deadlines, Hands, mark, read_slots

    if not (target.test or target.confirm):
        return Outcome()
    if image.hash is None:
        raise PlanError(f"{image.file} has no hash, by which it could be marked")
    if target.test:
        await mark(client, state, image.hash)
        return Outcome()
    hands = Hands(client, Deadlines(target.boot_timeout))
    if _has_trial(state, target):
        if image.core is Core.NET:
            out.say("the device restarts and hands the image to the network core")
        else:
            out.say("on trial: the device restarts, the image must run and answer, then it is confirmed")
        now = await install(hands, image, await read_slots(client, state))
    else:
        out.warn(
            "there is no trial on this device (its bootloader cannot revert, does not tell, or has an image for each "
            "core): the image is marked for good, with no way back"
        )
        now = await install_for_good(hands, image, state, target.image)
    if image.core is Core.NET and target.image == 0:
        return Outcome(proven=net_taken(image, now) is not None)
    return Outcome(runs=target.image == 0, proven=target.image == 0)


def _has_trial(state: DeviceState, target: Target) -> bool:
    """The bootloader brings the previous image back when this one does not prove itself."""
    from smpdfu.dfu.state import Scheme

    return state.can_revert is True and state.scheme is Scheme.STAGED and target.image == 0 and target.slot != 0


def _answer(image: CoreImage, target: Target, sent: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    marked = "test" if target.test else "permanent" if target.confirm else None
    return {
        "file": image.file,
        "image": target.image,
        "slot": 1 if target.slot is None else target.slot,
        "version": str(image.image.header.version),
        "hash": image.hash,
        **sent,
        "marked": marked,
        "running": outcome.runs,
        "proven": outcome.proven,
    }
