"""``upload``: one image file into one slot, and on request all the way to running."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smpdfu.cli.app.advice_by_code import finding_words, next_step_words, proof_lines
from smpdfu.cli.app.command import Connection
from smpdfu.cli.image.trust_options import TrustOptions
from smpdfu.cli.terminal.interruption import AGAIN, BETWEEN_STEPS, PART_OF_APPLICATION, PART_OF_SLOT, now_leaves
from smpdfu.cli.terminal.show import Advance, Output, facts, upload_phase
from smpdfu.cli.update.bootloader_options import BootloaderOptions
from smpdfu.cli.update.transfer_options import TransferOptions
from smpdfu.errors import FormatError, PackageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.client import Client, UploadResult
    from smpdfu.dfu.decide.device_state import DeviceState
    from smpdfu.dfu.decide.one_image import Wanted
    from smpdfu.dfu.do.one_image import ImageEvent, ImageRequest, InstalledImage
    from smpdfu.dfu.package.package import CoreImage


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
    from smpdfu.dfu.do.one_image import ImageRequest, install_one
    from smpdfu.dfu.do.steps import Deadlines

    deadlines = Deadlines(target.boot_timeout)
    request = ImageRequest(load_image(file), target.wanted, bootloader.known(conn), trust.keys(), deadlines)
    async with conn.client(transfer_timeout_s=how.transfer_timeout) as client:
        if target.recovery:
            await _recover(client, request, target, out)
            return
        with _Reporter(out, request.image.file) as report:
            done = await install_one(client, request, report)
    answer = _answer(done)
    out.emit(answer, lambda: _told(answer, _now(done)))


async def _recover(client: Client, request: ImageRequest, target: Target, out: Output) -> None:
    from smpdfu.cli.update.upload_recovery import upload_in_recovery
    from smpdfu.dfu.decide import serial_recovery
    from smpdfu.dfu.do.one_image import read_known

    state = await read_known(client, request)
    if not state.recovery:
        raise serial_recovery.not_met()
    await upload_in_recovery(client, request.image, state, target.image, out, force=target.force)


class _Reporter:
    """Shows what happens: lines, a progress display, and what Ctrl-C leaves."""

    def __init__(self, out: Output, file: str) -> None:
        self._out, self._file, self._stack = out, file, ExitStack()
        self._advance: Advance | None = None

    def __enter__(self) -> _Reporter:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def __call__(self, event: ImageEvent) -> None:
        from smpdfu.dfu.do.one_image import ImageNote, ImageStage

        if isinstance(event, ImageNote):
            text = event.text if event.finding is None else finding_words(event.finding)
            (self._out.warn if event.warning else self._out.say)(text)
        elif isinstance(event, ImageStage):
            now_leaves(_LEAVES[event.value])
            if event in (ImageStage.SENDING, ImageStage.REPLACING):
                self._advance = self._stack.enter_context(self._out.progress(self._file))
            else:
                self._stack.close()
                self._advance = None
        elif self._advance is not None:
            self._advance(event.off, event.len, upload_phase(event.off))


_LEAVES = {"sending": PART_OF_SLOT, "replacing": PART_OF_APPLICATION, "sent": AGAIN, "steps": BETWEEN_STEPS}


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
    """Load the signed image in a file, .bin or .hex. Raises ImageError or PackageError with a sentence, or OSError."""
    from smpdfu.cli.inspect.contents import ADVICE, WHOLE_FLASH
    from smpdfu.dfu.do import one_image
    from smpdfu.image.files import FileKind

    try:
        return one_image.load_image(path)
    except one_image.NotOneImageError as error:
        if error.kind is FileKind.DFU_APPLICATION_ZIP:
            raise PackageError(f"{error}: `smpdfu update {path}` installs it") from None
        if error.whole_flash:
            raise FormatError(f"{error}. {WHOLE_FLASH}", error.offset) from None
        if error.kind is FileKind.RAW_FIRMWARE:
            raise FormatError(f"{error}: `smpdfu sign` does that", error.offset) from None
        raise FormatError(f"{error}. {ADVICE[error.kind.name]}", error.offset) from None


def _now(done: InstalledImage) -> str:
    """What became of the image, and what to type next."""
    from smpdfu.dfu.package.package import Core

    if done.running and not done.changed:
        return _already(done.state)
    if todo := next_step_words(done):
        return todo if done.marked == "test" or not done.changed else f"uploaded; {todo}"
    if done.running:
        return _RUNS[done.reverts]
    if done.image.core is not Core.NET or done.proof is None:
        return "the device was reset; SMP cannot tell what became of it"
    if done.proven:
        return f"handed over to the network core. {done.proof.reason}"
    doubt = " ".join(proof_lines(done.proof))
    return f"the device was reset; SMP cannot tell whether the network core took it. {doubt}"


def _answer(done: InstalledImage) -> dict[str, Any]:
    image, sent = done.image, NOTHING_SENT if done.sent is None else _sent_data(done.sent)
    return {
        "file": image.file,
        "image": done.number,
        "slot": done.slot,
        "version": str(image.image.header.version),
        "hash": image.hash,
        **sent,
        "marked": done.marked,
        "running": done.running,
        "proven": done.proven,
    } | ({} if done.reverts is None else {"reverts": done.reverts})


def _sent_data(result: UploadResult) -> dict[str, Any]:
    return {
        "bytes": result.len,
        "seconds": round(result.seconds, 3),
        "requests": result.requests,
        "window": result.window,
        "retries": result.retries,
        "resumed_at": result.resumed_at,
        "verified": result.verified,
    }
