"""``decode``: show the messages in a log or a capture, for people or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from smpdfu.cli.app.ending import error_document, fail
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output, print_json_list, print_line
from smpdfu.errors import FormatError
from smpdfu.smp.captures import CaptureFormat, Seen, read_capture
from smpdfu.untrusted.files import open_stream

_CHUNK = 65536
_MOST_WITHOUT = 16 << 20
"""How many bytes are searched for the first message."""
_SIGNS = {"sent": ">", "received": "<", "stray": "?", "console": "|", "link": "*", "note": "--"}


def show_frames(out: Output, file: Path, form: str, formats: Sequence[str]) -> None:
    """Show the frames in ``file``, in one of ``formats``. Raises typer.BadParameter, FormatError or OSError."""
    if form not in formats:
        raise typer.BadParameter(f"--format {form} is wrong. Use one of {', '.join(formats)}")
    frames = 0
    missing = FormatError(f"{'stdin' if str(file) == '-' else file} contains no SMP message")

    def chunks() -> Iterator[bytes]:
        read = 0
        for chunk in _chunks(stream):
            read += len(chunk)
            if not frames and read > _MOST_WITHOUT:
                return  # an endless file such as /dev/zero is not a capture
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
    """Yield bytes as soon as they arrive, so that a pipe can follow a log while another program writes it."""
    read = getattr(stream, "read1", stream.read)
    while chunk := read(_CHUNK):
        yield chunk


def line_of_seen(one: Seen) -> str:
    """Return one line for people."""
    stamp = "" if one.t is None else f"{one.t:12.6f}  "
    again = f"  (again, {one.frame['retry']})" if one.frame.get("retry") else ""
    took = f"  ({one.frame['ms']:.1f} ms)" if "ms" in one.frame else ""
    return f"{stamp}{_SIGNS.get(one.way, ' ')} {one.text}{again}{took}"
