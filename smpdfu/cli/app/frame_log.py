"""``--log FILE``: write everything that passes over the link, as it happens, one JSON object per line.

The first line of a run has ``log`` (the name of the format), ``version``, ``started`` (UTC) and ``device``. Every other
line has ``t`` (seconds since the first use of the link), ``dir`` and ``text`` (in words). ``dir`` is "sent",
"received", "stray" (no request waits for it), "console" or "link". ``boot`` is true on the console lines of a boot:
those between the answer to a reset and the next answer. A frame has the fields of ``smp/describe.py``, ``retry`` if it
was sent before, ``ms`` from the last sending to the answer, and ``hex``, the whole message. ``hex`` is missing if bytes
are left out: firmware, files, values of settings. With ``--log-data`` firmware and files stay.
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
# smpdfu never waits for a pipe: without a reader it cannot be opened, and a slow reader ends the log.
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_SETTINGS = 3  # the group whose values may be secrets


@dataclass(slots=True)
class _Asked:
    """A request that waits for its answer, when it was sent last and how often."""

    command: tuple[int, int]
    at_s: float
    sends: int


class FrameLog:
    """A ``Tracer`` that writes. It opens the file for each line, so you can move the file away at any time.

    Raises OSError at once if it cannot write the file, and KeyFileError if the file holds a private key. A later error
    ends the log, but not the work.
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
        """Write one event."""
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
