"""``fs``: copies files to and from the device, has it compute hashes, and shows what was done."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, BinaryIO

from smpdfu.cli.app.command import Connection
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.interruption import AGAIN, PART_OF_DOWNLOAD, PART_OF_FILE, leaves
from smpdfu.cli.terminal.outputs import check_outputs
from smpdfu.cli.terminal.show import Output, facts, table, words
from smpdfu.cli.terminal.streams import failed_stdout
from smpdfu.client.files import download_file, upload_file
from smpdfu.client.transfers.file_hash import hash_bytes
from smpdfu.errors import DeviceError, RemoteProtocolError
from smpdfu.image.files import kept_mode
from smpdfu.local.state.lock import lock_file
from smpdfu.smp.groups.fs import FileClose, FileHash, FileStatus, HashFormat, HashTypes
from smpdfu.untrusted.files import open_input, open_output

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.client.files import FileResult

STDOUT = "-"
HASH_TIMEOUT_S = 60.0
PART = ".part"


# --- transfers ------------------------------------------------------------------------------------------------------


async def send_file(
    conn: Connection, out: Output, file: Path, name: str, *, resume: bool, transfer_timeout_s: float | None
) -> None:
    """Copy a file to the device. The answer shows the hash that both sides have."""
    if name.endswith("/"):
        name += file.name
    with _opened(file) as source:
        async with conn.client(transfer_timeout_s=transfer_timeout_s) as client:
            with leaves(PART_OF_FILE), out.progress(file.name) as advance:
                result = await upload_file(
                    client, source, name, resume=resume, progress=lambda now: advance(now.off, now.len, "")
                )
    _answer(out, result, file=str(file), name=name, arrow=f"{file} -> {name}")


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    with open_input(file) as source:
        if not S_ISREG(os.fstat(source.fileno()).st_mode):  # a device may be sought in, and never end
            raise typer.BadParameter(f"{file} is not a regular file, so its size is unknown: copy it into a file first")
        yield source


async def fetch_file(
    conn: Connection,
    out: Output,
    name: str,
    file: str | None,
    output: str | None,
    *,
    resume: bool,
    transfer_timeout_s: float | None,
) -> None:
    """Copy a file from the device to ``file`` or ``output``, or to the last part of its name."""
    to = _target(name, file, output)
    if to == STDOUT and out.json:
        raise typer.BadParameter("--json prints to stdout: write the file to another place than -")
    async with conn.client(transfer_timeout_s=transfer_timeout_s) as client:
        with (
            leaves(AGAIN if to == STDOUT else PART_OF_DOWNLOAD),
            _beside(to) as (target, resumable),
            out.progress(name) as advance,
        ):
            result = await download_file(
                client,
                name,
                target,
                resume=resume and resumable,
                progress=lambda now: advance(now.off, now.len, ""),
            )
    if to != STDOUT:
        _answer(out, result, file=to, name=name, arrow=f"{name} -> {to}")


def _target(name: str, file: str | None, output: str | None) -> str:
    if file is not None and output is not None:
        raise typer.BadParameter("give FILE or -o, not both")
    chosen = file or output or name.rstrip("/").rsplit("/", 1)[-1]
    if not chosen or chosen in (".", ".."):
        raise typer.BadParameter(f"{name!r} has no file name at its end: give FILE")
    folder = Path(chosen)
    if chosen != STDOUT and folder.is_dir():
        chosen = str(folder / name.rstrip("/").rsplit("/", 1)[-1])
    return chosen


@contextmanager
def _beside(path: str) -> Iterator[tuple[BinaryIO, bool]]:
    """Where the bytes go: a file beside ``path`` that gets its name in the end, and stays for the next call if that end
    does not come. What is no regular file (a pipe, stdout) is written to directly; then the second is False."""
    if path == STDOUT:
        try:
            yield sys.stdout.buffer, False
            sys.stdout.buffer.flush()
        except OSError as error:
            raise failed_stdout(error) from None
        return
    if os.path.exists(path) and not os.path.isfile(path):
        with open_output(path) as target:
            yield target, False
        return
    check_outputs([Path(path)], [])
    place = os.path.realpath(path)
    with _part(place + PART, path) as part:
        yield part, True
        part.flush()
        if os.name != "nt":
            os.chmod(part.fileno(), kept_mode(place, os.fstat(part.fileno()).st_mode & 0o777))
        os.fsync(part.fileno())
        os.replace(place + PART, place)


@contextmanager
def _part(part: str, path: str) -> Iterator[BinaryIO]:
    """The file beside, for us alone; gone if it is empty or wrong in the end."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(part, flags, kept_mode(path, 0o644))
    except OSError as error:
        raise type(error)(error.errno, error.strerror, path) from None
    with os.fdopen(descriptor, "r+b") as file:
        try:
            lock_file(descriptor)
        except BlockingIOError as error:
            raise OSError(error.errno, "another download is writing this file", path) from None
        try:
            yield file
        except (RemoteProtocolError, DeviceError):
            os.unlink(part)
            raise
        except OSError as error:
            raise type(error)(error.errno, error.strerror, error.filename or part) from None
        except BaseException:
            if not file.seek(0, 2):
                os.unlink(part)
            raise


def _answer(out: Output, result: FileResult, *, file: str, name: str, arrow: str) -> None:
    if not result.verified:
        out.warn(f"this device cannot compute a hash: smpdfu compared only the length of {name}")
    data = {
        "file": file,
        "name": name,
        "bytes": result.len,
        "seconds": round(result.seconds, 3),
        "retries": result.retries,
        "resumed_at": result.resumed_at,
        "verified": result.verified,
        "hash_type": result.hash_type,
    }
    out.emit(data, lambda: _told(arrow, result))


def _told(arrow: str, result: FileResult) -> RenderableType:
    sent = result.len - result.resumed_at
    rate = f" ({sent / 1000 / max(result.seconds, 0.001):.0f} kB/s)" if sent else ""
    resumed = f", {result.resumed_at} of them sent before" if result.resumed_at else ""
    proof = f", same {result.hash_type} on both sides" if result.hash_type else ""
    return words(f"{arrow}: {result.len} bytes in {result.seconds:.1f} s{rate}{resumed}{proof}")


# --- looks ----------------------------------------------------------------------------------------------------------


async def show_length(conn: Connection, out: Output, name: str) -> None:
    """Show how long a file is."""
    async with conn.client() as client:
        reply = await client.request(FileStatus(name))
    out.emit({"name": name, "len": reply.len}, lambda: facts([("file", name), ("bytes", reply.len)]))


async def show_hash(
    conn: Connection, out: Output, name: str, kind: str | None, off: int | None, length: int | None
) -> None:
    """Show the hash or checksum of ``length`` bytes of a file from ``off`` on, which the device computes."""
    async with conn.client() as client:
        await client.params()  # a device that is not there is found out soon, not after the time of a hash
        request = FileHash(name, kind, off or None, length)
        reply = await client.request(request, timeout_s=conn.timeout_or(HASH_TIMEOUT_S))
    digest = hash_bytes(reply)
    data = {"name": name, "type": reply.type, "off": reply.off or 0, "len": reply.len, "hash": digest}
    pairs: list[tuple[str, Any]] = [("file", name), (reply.type, digest), ("over bytes", reply.len)]
    out.emit(data, lambda: facts([*pairs, *([("from byte", reply.off)] if reply.off else [])]))


async def show_hash_types(conn: Connection, out: Output) -> None:
    """Show which kinds of hash the device can compute."""
    async with conn.client() as client:
        found = (await client.request(HashTypes())).types
    kinds = [
        {"name": name, "format": "bytes" if one.format == HashFormat.BYTES else "uint", "size_bytes": one.size}
        for name, one in found.items()
    ]
    rows = [(kind["name"], kind["size_bytes"]) for kind in kinds]
    out.emit({"types": kinds}, lambda: table("", ("type", "bytes"), rows))


async def close_file(conn: Connection, out: Output) -> None:
    """Make the device close the file that a transfer left open."""
    async with conn.client() as client:
        await client.request(FileClose())
    out.emit({"closed": True}, lambda: "closed")
