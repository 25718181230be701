"""The devices of a fleet as a CSV table, for spreadsheets and scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smpdfu.cli.fleet.cells import csv_lines, utc

if TYPE_CHECKING:
    from smpdfu.dfu.fleet.log.history import Course
    from smpdfu.dfu.fleet.session import FleetStatus


def csv_table(status: FleetStatus) -> str:
    """Return a line of column names and one line per device, in the order of the fleet (RFC 4180).

    ``ended`` is UTC (ISO 8601), ``proven`` is ``yes``, ``no`` or empty, ``package`` the hash of the package's images.
    """
    digests = {hardware: package.digest for hardware, package in status.packages.items()}
    return csv_lines(_row(course, digests[course.device.hardware]) for course in status.history.courses.values())


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
        "ended": last and utc(last.time),
        "package": digest,
    }
