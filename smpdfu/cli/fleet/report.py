"""``fleet report``: the page or the CSV table about a fleet, as a file."""

from __future__ import annotations

from pathlib import Path

from smpdfu.cli.fleet.csv_report import csv_table
from smpdfu.cli.fleet.html_report import page
from smpdfu.cli.fleet.live_view import Notes
from smpdfu.cli.fleet.session import open_session
from smpdfu.cli.terminal.outputs import check_outputs
from smpdfu.cli.terminal.show import Output
from smpdfu.image.files import write_file_atomic


def write_report(file: Path, out: Output, output: Path, *, csv: bool) -> None:
    """Write the report on the fleet to ``output``. Raises ImageError or KeyFileError before it overwrites a file."""
    check_outputs([output], [file])
    session = open_session(file)
    found = session.status(Notes(session.fleet, out))
    write_file_atomic(output, (csv_table(found) if csv else page(found)).encode())
    out.emit({"file": output, "counts": found.history.counts()}, lambda: f"{output} written")
