"""Read frames from files: our own logs, recordings in JSON lines, hex text, and the bytes of a wire.

Whatever the bytes are, the reader raises no error, keeps one line or one message at a time, and reports what it cannot
read. It recognises the format by the beginning of the file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NoReturn

from smpdfu.errors import RemoteProtocolError
from smpdfu.smp.describe import explain, line_of, printable
from smpdfu.smp.framing import ConsoleFraming, Framing, RawFraming
from smpdfu.smp.hexdump import Dumped, HexDumps, is_dump
from smpdfu.smp.message import HEADER_SIZE, Header
from smpdfu.untrusted.nesting import load_json

PEEK = 4096
LINE_MAX = 1 << 20
"""The longest line, in bytes. The longest message in hex and its fields need less."""
_NUMBER_MAX = 1e15
_HEX_TEXT = re.compile(rb"[\s0-9a-fA-F:,x<>|+\-]*")
_MARKS = (b"\x06\x09", b"\x04\x14")


class CaptureFormat(StrEnum):
    """The format of a file."""

    AUTO = "auto"
    JSON = "json"
    HEX = "hex"
    CONSOLE = "console"
    RAW = "raw"


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing in a capture. ``way`` is "sent", "received", "stray", "console", "link", "note", or "" for a frame.

    ``t`` is in seconds; None if the file has no times. ``text`` is for people, ``frame`` the result of
    ``describe.explain``.
    """

    way: str
    text: str
    t: float | None = None
    frame: dict[str, Any] = field(default_factory=dict)

    @property
    def readable(self) -> bool:
        """True for a readable SMP message."""
        return "name" in self.frame and "fault" not in self.frame

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        stamp: dict[str, Any] = {} if self.t is None else {"t": self.t}
        return stamp | {"dir": self.way or "frame", "text": self.text} | self.frame


def guess(beginning: bytes) -> CaptureFormat:
    """Return the format of a file that begins with these bytes."""
    if _is_header(beginning[:HEADER_SIZE]):
        return CaptureFormat.RAW
    if any(mark in beginning for mark in _MARKS):
        return CaptureFormat.CONSOLE
    if beginning.lstrip()[:1] == b"{":
        return CaptureFormat.JSON
    first = beginning.lstrip().split(b"\n")[0]
    if _HEX_TEXT.fullmatch(first) and not is_dump(first.decode("ascii").rstrip()):
        return CaptureFormat.HEX
    return CaptureFormat.CONSOLE


def _is_header(data: bytes) -> bool:
    """True for a header with flags 0 and a body, which text never looks like."""
    try:
        header = Header.from_bytes(data)
    except RemoteProtocolError:
        return False
    return header.flags == 0 and header.length > 0 and b"\0" in data


def read_capture(chunks: Iterable[bytes], form: CaptureFormat = CaptureFormat.AUTO) -> Iterator[Seen]:
    """Yield the contents of a file, whose bytes come in pieces of any size."""
    stream = iter(chunks)
    if form is CaptureFormat.AUTO:
        beginning = b""
        for chunk in stream:
            beginning += chunk
            if len(beginning) >= PEEK or b"\n" in beginning[HEADER_SIZE:]:  # from a pipe, one line is enough
                break
        form = guess(beginning[:PEEK])
        stream = _after(beginning, stream)
    if form is CaptureFormat.CONSOLE:
        return _with_dumps(_from_wire(stream, ConsoleFraming()))
    if form is CaptureFormat.RAW:
        return _from_wire(stream, RawFraming())
    return _from_json(stream) if form is CaptureFormat.JSON else _from_hex(stream)


def _after(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _from_wire(stream: Iterable[bytes], framing: Framing) -> Iterator[Seen]:
    for chunk in stream:
        for piece in chunk.splitlines(keepends=True):  # line by line, so that text and frames keep their order
            frames = framing.feed(piece)
            yield from _texts(framing)
            yield from map(_frame, frames)
    # The last line of a console may have no newline. Noise may hide bare messages behind it.
    frames = framing.feed(b"\n") if isinstance(framing, ConsoleFraming) else framing.settle()
    yield from _texts(framing)
    yield from map(_frame, frames)


def _texts(framing: Framing) -> Iterator[Seen]:
    return (Seen("console", printable(line)) for line in framing.take_text().splitlines())


def _with_dumps(seen: Iterable[Seen]) -> Iterator[Seen]:
    """Yield the same, with the lines of hex dumps replaced by their messages."""
    dumps = HexDumps()
    for one in seen:
        yield from _dumped(dumps.feed(one.text) if one.way == "console" else dumps.end())
        if one.way != "console":
            yield one
    yield from _dumped(dumps.end())


def _dumped(found: Iterable[Dumped]) -> Iterator[Seen]:
    for one in found:
        if one.message:
            yield _frame(one.message, one.way)
        yield from (Seen("console", line) for line in one.lines)


def _frame(message: bytes, way: str = "", t: float | None = None, **more: Any) -> Seen:
    found = explain(message)
    return Seen(way, line_of(found), t, more | found)


def _lines(stream: Iterable[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Yield the lines with their numbers, without blank lines; None for a line that is too long."""
    for number, line in _all_lines(stream):
        if line is None or line.strip():
            yield number, line


def _all_lines(stream: Iterable[bytes]) -> Iterator[tuple[int, bytes | None]]:
    number = 1
    rest = b""
    too_long = False
    for chunk in stream:
        *ends, last = chunk.split(b"\n")
        for end in ends:
            yield number, None if too_long else rest + end
            number = number + 1
            rest = b""
            too_long = False
        rest = rest + last
        if len(rest) > LINE_MAX:
            rest = b""
            too_long = True
    if rest or too_long:
        yield number, None if too_long else rest


def _too_long(number: int) -> Seen:
    return Seen("note", f"line {number} is longer than {LINE_MAX} bytes")


def _from_hex(stream: Iterable[bytes]) -> Iterator[Seen]:
    """Read one message per line; join lines that begin with a mark of the console framing."""
    console = ConsoleFraming()
    for number, line in _lines(stream):
        if line is None:
            yield _too_long(number)
            continue
        digits = re.sub(rb"0x|[^0-9a-fA-F]", b"", line)
        if not digits or len(digits) % 2 or not _HEX_TEXT.fullmatch(line):
            yield Seen("note", f"line {number} is not hex")
            continue
        data = bytes.fromhex(digits.decode())
        if data.startswith(_MARKS):
            yield from map(_frame, console.feed(data if data.endswith(b"\n") else data + b"\n"))
        else:
            yield _frame(data)


# --- JSON lines -----------------------------------------------------------------------------------------------------


def _from_json(stream: Iterable[bytes]) -> Iterator[Seen]:
    for number, line in _lines(stream):
        if line is None:
            yield _too_long(number)
            continue
        try:
            record = load_json(line, parse_constant=_refuse, parse_float=_finite)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            yield Seen("note", f"line {number} is not a JSON object")
        elif "dir" in record:
            yield _from_log(record)
        else:
            yield from _from_recording(record)


_WAYS = ("sent", "received", "stray", "console", "link")
_OWN = {"t", "dir", "text", "retry", "ms"}


def _from_log(record: dict[str, Any]) -> Seen:
    """Read a line of our own log: decode its bytes again if it has them, else keep it."""
    way = next((way for way in _WAYS if way == record["dir"]), "note")
    t = _number(record.get("t"))
    extra = {name: record[name] for name in ("retry", "ms") if _number(record.get(name)) is not None}
    message = _bytes(record.get("hex"))
    if message is not None:
        return _frame(message, way, t, **extra)
    kept = {name: value for name, value in record.items() if name not in _OWN}
    return Seen(way, printable(str(record.get("text", ""))), t, extra | kept)


def _from_recording(record: dict[str, Any]) -> Iterator[Seen]:
    """Read a step with a request and its responses, or the first line of a log."""
    title = record.get("step") or record.get("name")
    if "log" in record:
        title = f"{record.get('device')}, {record.get('started')}"
    if title is not None:
        yield Seen("note", printable(str(title)))
    for way, message, ms in _exchanged(record):
        yield _frame(message, way, **({} if ms is None else {"ms": ms}))
    lines = record.get("lines")
    for line in lines if isinstance(lines, list) else ():
        yield Seen("console", printable(str(line)))


def _exchanged(record: dict[str, Any]) -> Iterator[tuple[str, bytes, float | None]]:
    request, responses = record.get("request"), record.get("responses")
    found = [("sent", request.get("hex") if isinstance(request, dict) else None, None)]
    found += [("sent", record.get("request_hex"), None)]
    for one in responses if isinstance(responses, list) else ():
        if isinstance(one, dict):
            found.append(("received", one.get("hex"), one.get("ms")))
    found += [("received", record.get("response_hex"), None)]
    for way, text, ms in found:
        message = _bytes(text)
        if message is not None:
            yield way, message, _number(ms)


def _bytes(text: object) -> bytes | None:
    try:
        return bytes.fromhex(text) if isinstance(text, str) and text else None
    except ValueError:
        return None


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not part of JSON")


def _finite(word: str) -> float:
    return float(word) if math.isfinite(float(word)) else _refuse(word)


def _number(value: object) -> float | None:
    """Return a number of seconds, milliseconds or copies; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < _NUMBER_MAX else None
