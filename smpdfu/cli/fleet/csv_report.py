"""The devices of a fleet as a CSV table, for spreadsheets and scripts."""

from __future__ import annotations

import csv
import io
import time
from typing import TYPE_CHECKING

from smpdfu.untrusted.text import line

if TYPE_CHECKING:
    from smpdfu.dfu.fleet.log.history import Course
    from smpdfu.dfu.fleet.session import FleetStatus

_FORMULA = ("=", "+", "-", "@")
"""A spreadsheet treats a cell that begins with one of these as a formula."""


def csv_table(status: FleetStatus) -> str:
    """Return a line of column names and one line per device, in the order of the fleet (RFC 4180).

    ``ended`` is UTC (ISO 8601), ``proven`` is ``yes``, ``no`` or empty, ``package`` the hash of the package's images.
    """
    digests = {hardware: package.digest for hardware, package in status.packages.items()}
    with io.StringIO(newline="") as file:
        rows: csv.DictWriter[str] | None = None
        for course in status.history.courses.values():
            row = _row(course, digests[course.device.hardware])
            if rows is None:
                rows = csv.DictWriter(file, list(row))
                rows.writeheader()
            rows.writerow({name: _cell(value) for name, value in row.items()})
        return file.getvalue()


def _row(course: Course, digest: str) -> dict[str, object]:
    device = course.device
    last = course.last
    return {
        "device": device.name,
        "address": device.address,
        "hardware": device.hardware,
        "serial": device.serial,
        "chip": last and last.chip,
        "wave": course.wave,
        "outcome": course.state,
        "cause": course.cause,
        "message": last and (last.message or course.doubt),
        "application_before": course.was,
        "application": course.runs,
        "network_core": course.network_core,
        "proven": {None: "", True: "yes", False: "no"}[course.proven],
        "attempts": course.attempts,
        "seconds": last and last.seconds,
        "bytes": last and last.size_bytes,
        "bytes_per_s": None if course.rate is None else round(course.rate),
        "ended": last and _utc(last.time),
        "package": digest,
    }


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = line(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _utc(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
