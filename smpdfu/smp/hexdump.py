"""Read SMP messages from hex dumps in text: mcumgr's ``-l DEBUG`` (Go's ``hex.Dump``), ``hexdump -C``, ``xxd``.

mcumgr dumps one message twice: the message ("Tx NMP request"), then the bytes of the serial line ("Tx serial"), frame
by frame and mark by mark. The reader returns it once. The words before the dump say whether it was sent or received.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from smpdfu.errors import RemoteProtocolError
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.smp.message import HEADER_SIZE, Header

_BARS = re.compile(r"(?<![0-9a-fA-F])(?P<offset>[0-9a-f]{8})  (?P<bytes>(?:[0-9a-f]{2} {1,2}){1,16}) *\|.{1,16}\|?\s*$")
_XXD = re.compile(r"^(?P<offset>[0-9a-f]{8}): (?P<bytes>(?:[0-9a-f]{4} )*[0-9a-f]{2,4})  +.{1,16}$")
_MARKS = (b"\x06\x09", b"\x04\x14")
_BLOCK_MAX = 1 << 17


@dataclass(slots=True)
class Dumped:
    """The result of a dump: a ``message`` and its ``way``, or an empty message and the ``lines`` without one."""

    way: str
    message: bytes = b""
    lines: tuple[str, ...] = ()


@dataclass(slots=True)
class HexDumps:
    """Takes lines of text and returns the messages in their hex dumps."""

    _heading: str = ""
    _data: bytearray = field(default_factory=bytearray)
    _lines: list[str] = field(default_factory=list)
    _line_open: bool = False
    _console: ConsoleFraming = field(default_factory=ConsoleFraming)
    _last: bytes = b""
    _times: Counter[str] = field(default_factory=Counter)

    def feed(self, line: str) -> Iterator[Dumped]:
        """Yield what this line completes. A line that is not part of a dump is returned unchanged."""
        found = _BARS.search(line) or _XXD.search(line)
        if found is None:
            yield from self.end()
            self._heading = line
            yield Dumped("", lines=(line,))
            return
        offset = int(found["offset"], 16)
        if offset != len(self._data) or offset > _BLOCK_MAX:
            yield from self.end()
        if before := line[: found.start()].strip():
            self._heading = before
        self._data += bytes.fromhex(found["bytes"])
        self._lines.append(line)

    def end(self) -> Iterator[Dumped]:
        """End the dump, and yield what it contains."""
        data, lines = bytes(self._data), tuple(self._lines)
        self._data.clear()
        self._lines.clear()
        if not data:
            return
        if _is_whole(data):
            yield from self._once("message", data)
        elif self._line_open or data.startswith(_MARKS):
            self._line_open = not data.endswith(b"\n")
            for message in self._console.feed(data):
                yield from self._once("line", message)
            self._console.take_text()
        else:
            yield Dumped("", lines=lines)

    def _once(self, kind: str, message: bytes) -> Iterator[Dumped]:
        """Yield a message once, even if both kinds of dump have it."""
        if message != self._last:
            self._last = message
            self._times.clear()
        told = max(self._times.values(), default=0)
        self._times[kind] += 1
        if self._times[kind] > told:
            yield Dumped(_way(self._heading), message)


def is_dump(line: str) -> bool:
    """Return whether this is a line of a hex dump."""
    return bool(_BARS.search(line) or _XXD.search(line))


def _way(heading: str) -> str:
    words = heading.lower()
    if re.search(r"\btx\b|\bsend|\bsent\b", words):
        return "sent"
    return "received" if re.search(r"\brx\b|\breceive", words) else ""


def _is_whole(data: bytes) -> bool:
    try:
        header = Header.from_bytes(data)
    except RemoteProtocolError:
        return False
    return len(data) == HEADER_SIZE + header.length
