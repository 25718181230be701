"""``upload``: upload one image file into one slot; with an option, mark or install it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.cli.app.advice_by_code import next_step_words, proof_lines
from smpdfu.cli.app.command import Connection
from smpdfu.cli.image.trust_options import NsibOptions, TrustOptions
from smpdfu.cli.inspect.contents import ADVICE, WHOLE_FLASH
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Good, Output, facts
from smpdfu.cli.update.bootloader_options import BootloaderOptions
from smpdfu.cli.update.known_bootloader import known_bootloader
from smpdfu.cli.update.steps import Reporter
from smpdfu.cli.update.upload_options import Target, TransferOptions
from smpdfu.cli.update.upload_recovery import show_recovered
from smpdfu.client import UploadResult
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.one_image import Wanted
from smpdfu.dfu.do.one_image import ImageRequest, InstalledImage, NotOneImageError, install_one
from smpdfu.dfu.do.one_image import load_image as load_one
from smpdfu.dfu.do.replacing.serial_recovery import upload_in_recovery
from smpdfu.dfu.do.steps import Deadlines
from smpdfu.dfu.package.images import Core, PackageImage
from smpdfu.errors import FormatError, PackageError
from smpdfu.image.files import FileKind
from smpdfu.library import journal_of, open_device

if TYPE_CHECKING:
    from rich.console import RenderableType


async def upload_image(
    file: Path,
    target: Target,
    bootloader: BootloaderOptions,
    trust: TrustOptions,
    nsib: NsibOptions,
    how: TransferOptions,
    conn: Connection,
    out: Output,
) -> None:
    """Upload ``file`` as ``target`` says, and print the result."""
    if target.test and target.confirm:
        raise typer.BadParameter("use --test or --confirm, not both")
    if target.recovery and (target.test or target.confirm or target.slot is not None):
        raise typer.BadParameter("serial recovery has no --test, --confirm or --slot: it overwrites what runs")
    wanted = Wanted(target.image, target.slot, target.test, target.confirm, target.force)
    known = known_bootloader(bootloader, conn)
    deadlines = Deadlines(target.boot_timeout)
    request = ImageRequest(load_image(file), wanted, known, trust.keys(), deadlines, nsib.keys())
    journal = journal_of(conn.address())
    device = conn.client(transfer_timeout_s=how.transfer_timeout)
    async with open_device(conn.address(), device, unlocked=out.warn) as client:
        with Reporter(out, request.image.file) as report:
            if target.recovery:
                show_recovered(await upload_in_recovery(client, request, report, journal=journal), out)
                return
            done = await install_one(client, request, report, journal=journal)
    answer = _answer(done)
    out.emit(answer, lambda: _told(answer, _now(done)))


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
    None: "runs permanently",
    True: "runs permanently: the trial succeeded and the image is confirmed",
    False: "runs permanently: the bootloader overwrites, so there was no trial",
}


def _told(answer: dict[str, Any], now: str) -> RenderableType:
    """The result for people, and what to type next."""
    return facts(
        [
            ("image", f"{answer['file']}, version {answer['version']}"),
            ("hash", answer["hash"]),
            ("sent", _sent(answer) if answer["bytes"] else "nothing: the device has the image"),
            ("to", f"image {answer['image']} slot {answer['slot']}"),
            ("now", now),
        ]
    )


def _sent(answer: Mapping[str, Any]) -> str:
    """The number of bytes, the time and the speed."""
    rate = (answer["bytes"] - answer["resumed_at"]) / 1000 / max(answer["seconds"], 0.001)
    words = f"{answer['bytes']} bytes in {answer['seconds']:.1f} s, {rate:.1f} kB/s"
    if answer["resumed_at"]:
        words += f"; an earlier run sent {answer['resumed_at']} of them"
    return f"{words}; {answer['retries']} requests repeated" if answer["retries"] else words


def load_image(path: Path) -> PackageImage:
    """Load the signed image in a file, .bin or .hex. Raises ImageError or PackageError with a sentence, or OSError."""
    try:
        return load_one(path)
    except NotOneImageError as error:
        if error.kind is FileKind.DFU_APPLICATION_ZIP:
            raise PackageError(f"{error}: `smpdfu update {path}` installs it") from None
        if error.whole_flash:
            raise FormatError(f"{error}. {WHOLE_FLASH}", error.offset) from None
        if error.kind is FileKind.RAW_FIRMWARE:
            raise FormatError(f"{error}: `smpdfu sign` does that", error.offset) from None
        raise FormatError(f"{error}. {ADVICE[error.kind.name]}", error.offset) from None


def _now(done: InstalledImage) -> str:
    """The result for the image, and what to type next. A permanent image is a good end."""
    if done.running and not done.changed:
        return _already(done.state)
    if todo := next_step_words(done):
        return todo if done.marked == "test" or not done.changed else f"uploaded; {todo}"
    if done.running:
        return Good(_RUNS[done.reverts])
    if done.image.core is not Core.NET or done.proof is None:
        return "the device was reset; SMP cannot show the result"
    if done.proven:
        return Good(f"handed over to the network core. {done.proof.reason}")
    doubt = " ".join(proof_lines(done.proof))
    return f"the device was reset; SMP cannot show whether the network core took it. {doubt}"


def _answer(done: InstalledImage) -> dict[str, Any]:
    image = done.image
    sent = NOTHING_SENT if done.sent is None else _sent_data(done.sent)
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
