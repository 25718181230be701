"""``fleet status`` and ``fleet repair``."""

from __future__ import annotations

from pathlib import Path

from smpdfu.cli.fleet.live_view import Notes
from smpdfu.cli.fleet.session import open_session
from smpdfu.cli.fleet.words import repair_text, status_document, status_text
from smpdfu.cli.terminal.show import Output


def show_status(file: Path, out: Output) -> None:
    """Show how far the fleet is."""
    session = open_session(file)
    found = session.status(Notes(session.fleet, out))
    out.emit(status_document(found, session.log), lambda: status_text(found))


def repair_log(file: Path, out: Output) -> None:
    """Move damaged lines of the log and damaged journals away, and show where they are."""
    done = open_session(file).repair()
    out.emit({"lines": done.lines, "moved_to": done.moved_to, "journals": done.journals}, lambda: repair_text(done))
