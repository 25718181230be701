"""``--log FILE``: everything that passes over the link, as it happens, one JSON object a line.

The first line of a run says ``log`` (the format's name), ``version``, ``started`` (UTC) and ``device``. Every other one
has ``t`` (seconds since the link was first used) and ``dir``: "sent", "received", "stray" (nobody waited for it),
"console" or "link"; ``text`` says it in words. ``boot`` is true on console lines that were kept as evidence of a boot:
those between the answer to a reset and the first answer after it. A frame has what ``smp/describe.py`` explains,
``retry`` when it was sent before, ``ms`` from the last sending to the answer, and ``hex``, the whole message, unless
bytes of it are left out: firmware, files, values of settings. ``--log-data`` leaves firmware and files in.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from smpdfu import __version__
from smpdfu.cli.terminal.outputs import check_outputs
from smpdfu.cli.terminal.show import warn
from smpdfu.smp.describe import explain, line_of, printable

if TYPE_CHECKING:
    from pathlib import Path

    from smpdfu.client.trace import Trace

FORMAT = "smpdfu frames 1"
# A pipe is never waited for: without a reader it cannot be opened, and one that reads too slowly ends the log.
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_SETTINGS = 3  # group whose values may be secrets


@dataclass(slots=True)
class _Asked:
    """A request that waits for its answer: what it was, when it was sent last and how often."""

    command: tuple[int, int]
    at_s: float
    sends: int


class FrameLog:
    """A ``Tracer`` that writes; the file is opened for each line, so nothing is left open and it may be moved away.

    OSError at once when the file cannot be written to, KeyFileError when it holds a private key. What fails later ends
    the log and not the work.
    """

    def __init__(self, path: Path, device: str, *, data: bool = False) -> None:
        self.path = path
        self.data = data
        self._began: float | None = None
        self._asked: dict[int, _Asked] = {}
        self._broken = False
        check_outputs([path], [])
        started = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._append([{"log": FORMAT, "version": __version__, "started": started, "device": device}])

    def __call__(self, trace: Trace) -> None:
        """Write one event down."""
        if self._broken:
            return
        began = self._began = trace.at_s if self._began is None else self._began
        stamp = {"t": round(trace.at_s - began, 6), "dir": trace.kind}
        try:
            if trace.kind in ("console", "link"):
                boot = {"boot": True} if trace.boot else {}
                self._append([stamp | {"text": printable(line)} | boot for line in trace.text.splitlines()])
            else:
                self._append([stamp | self._frame(trace)])
        except OSError as error:
            self._broken = True
            warn(f"{self.path}: {error.strerror}; the log ends here")

    def _frame(self, trace: Trace) -> dict[str, Any]:
        found = explain(trace.data)
        count = self._count(trace, found)
        if not found.get("elided") or (self.data and found.get("group") != _SETTINGS):
            found["hex"] = trace.data.hex()
        return count | {"text": line_of(found)} | found

    def _count(self, trace: Trace, found: dict[str, Any]) -> dict[str, Any]:
        if "sequence" not in found:
            return {}
        sequence = found["sequence"]
        command = (found["group"], found["command"])
        asked = self._asked.get(sequence)
        if trace.kind == "sent":
            sends = asked.sends + 1 if asked is not None and asked.command == command else 1
            self._asked[sequence] = _Asked(command, trace.at_s, sends)
            return {"retry": sends - 1} if sends > 1 else {}
        if asked is None or asked.command != command or trace.kind == "stray":
            return {}
        del self._asked[sequence]
        return {"ms": round((trace.at_s - asked.at_s) * 1000, 3)}

    def _append(self, records: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(record) + "\n" for record in records)
        descriptor = os.open(self.path, _APPEND, 0o600)
        try:
            rest = memoryview(text.encode())
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)
