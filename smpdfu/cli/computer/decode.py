"""``decode``: what was said, out of a log or a capture, for people or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from smpdfu.cli.app.command import command
from smpdfu.cli.app.ending import fail
from smpdfu.cli.terminal.show import Output, print_json_list, print_line
from smpdfu.errors import FormatError
from smpdfu.untrusted.files import open_stream

if TYPE_CHECKING:
    from smpdfu.smp.captures import Seen

FORMATS = ("auto", "json", "hex", "console", "raw")
_CHUNK = 65536
_MOST_WITHOUT = 16 << 20
"""Bytes that are looked through for the first message."""
_SIGNS = {"sent": ">", "received": "<", "stray": "?", "console": "|", "link": "*", "note": "--"}


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    command(app, "decode")(decode)


def decode(
    out: Output,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A log, a recording or a capture; - for stdin.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="json (a log of --log, or recordings), hex (text), console (from a serial line), raw (bare SMP).",
        ),
    ] = "auto",
) -> None:
    """Show the SMP frames in a log, a recording or a hex dump. It also reads mcumgr -l DEBUG and serial captures."""
    from smpdfu.cli.app.ending import error_document
    from smpdfu.smp.captures import CaptureFormat, read_capture

    if form not in FORMATS:
        raise typer.BadParameter(f"--format {form}: it must be one of {', '.join(FORMATS)}")
    frames = 0
    missing = FormatError(f"{'stdin' if str(file) == '-' else file} has no SMP message in it")

    def chunks() -> Iterator[bytes]:
        read = 0
        for chunk in _chunks(stream):
            read += len(chunk)
            if not frames and read > _MOST_WITHOUT:
                return  # what never ends (/dev/zero) is no capture
            yield chunk

    def counted() -> Iterator[Seen]:
        nonlocal frames
        for one in read_capture(chunks(), CaptureFormat(form)):
            frames += one.readable
            yield one

    with _opened(file) as stream:
        if out.json:
            print_json_list(
                "seen",
                (one.to_dict() for one in counted()),
                lambda: {} if frames else {"error": error_document(missing)},
            )
        else:
            for one in counted():
                print_line(line_of_seen(one))
    if not frames:
        fail(out, missing)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if str(path) == "-":
        yield sys.stdin.buffer
    else:
        with open_stream(path) as stream:
            yield stream


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    """What there is, as soon as it is there: a log that is still being written can be followed through a pipe."""
    read = getattr(stream, "read1", stream.read)
    while chunk := read(_CHUNK):
        yield chunk


def line_of_seen(one: Seen) -> str:
    """One line for people."""
    stamp = "" if one.t is None else f"{one.t:12.6f}  "
    again = f"  (again, {one.frame['retry']})" if one.frame.get("retry") else ""
    took = f"  ({one.frame['ms']:.1f} ms)" if "ms" in one.frame else ""
    return f"{stamp}{_SIGNS.get(one.way, ' ')} {one.text}{again}{took}"
