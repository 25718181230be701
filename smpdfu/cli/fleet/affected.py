"""``affected``: search, and show the answer as a table, as JSON and as CSV."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smpdfu.cli.app.ending import conclude
from smpdfu.cli.fleet.cells import csv_lines, utc
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.outputs import check_outputs
from smpdfu.cli.terminal.show import Output, facts, stacked, table
from smpdfu.device_search import affected
from smpdfu.dfu.fleet.affected.answer import Affected, AffectedStatus, DeviceAnswer, PartAnswer
from smpdfu.dfu.fleet.affected.sbom import ImageVerdict
from smpdfu.dfu.package.image_record import ImageRecord
from smpdfu.image.files import write_file_atomic

if TYPE_CHECKING:
    from rich.console import RenderableType

_OBJECTS = 10_000_000
"""New objects before Python looks for circles: a search makes a hundred thousand, and hardly a circle."""
_WORDS = {
    AffectedStatus.AFFECTED: "affected",
    AffectedStatus.UNKNOWN: "unknown",
    AffectedStatus.WAS_AFFECTED: "was affected",
    AffectedStatus.NOT_AFFECTED: "not affected",
}


def show_affected(
    out: Output,
    fleets: Sequence[Path],
    hashes: Sequence[str],
    sboms: Sequence[Path],
    component: str | None,
    table_file: Path | None,
    *,
    long: bool,
) -> None:
    """Search, print the answer, and end with its exit code."""
    if bool(hashes) == bool(sboms):
        raise typer.BadParameter("give --hash HASH, or --sbom SBOM and, if you want, --component NAME")
    if component is not None and not sboms:
        raise typer.BadParameter("--component needs --sbom: the SBOM of each release, or a folder of SBOMs")
    if table_file is not None:
        check_outputs([table_file], [*fleets, *sboms])
    gc.set_threshold(_OBJECTS)
    try:
        found = affected(hashes=hashes, sboms=sboms, component=component, fleets=fleets)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    gc.freeze()  # as Python ends, it would look for circles in all that was found
    for problem in found.problems:
        out.warn(problem)
    if table_file is not None:
        write_file_atomic(table_file, csv_table(found).encode())
    conclude(out, document(found), lambda: text(found, long=long), found.error())


def document(found: Affected) -> dict[str, object]:
    """Return the document of ``affected --json``. Times are UTC (ISO 8601), null: never."""
    return {
        "counts": found.counts,
        "images": [
            {
                "hash": one.hash,
                "file": one.file,
                "part": one.part,
                "name": one.name,
                "version": one.version,
                "sbom": one.sbom,
                "verdict": one.verdict,
                "components": one.found,
                "reason": one.why,
            }
            for one in found.question.images
        ],
        "devices": [_device(one) for one in found.devices],
        "problems": found.problems,
    }


def _device(one: DeviceAnswer) -> dict[str, object]:
    return {
        "device": one.device.name,
        "address": one.device.address,
        "fleets": one.device.fleets,
        "serial": one.device.serial,
        "chip": one.chip,
        "status": one.status,
        "evidence": one.evidence,
        "reason": one.reason,
        "since": _time(_since(one)),
        "until": _time(_until(one)),
        "seen": _time(one.seen),
        "replaced": _time(one.replaced),
        "now": [_part(part) for part in one.now],
        "past": [
            _image(ran.part, ran.image)
            | {"since": _time(ran.since), "until": _time(ran.until), "components": ran.found}
            for ran in one.past
        ],
    }


def _part(one: PartAnswer) -> dict[str, object]:
    return _image(one.part, one.image) | {
        "since": _time(one.since),
        "evidence": one.evidence,
        "verdict": one.verdict,
        "components": one.found,
        "sbom": one.sbom,
        "others": [_image(one.part, other) for other in one.others],
    }


def _image(part: str, image: ImageRecord) -> dict[str, object]:
    return {"part": part, "hash": image.hash or None, "version": image.version or None}


def _time(at: float | None) -> str | None:
    return None if at is None else utc(at)


def _since(one: DeviceAnswer) -> float | None:
    """Since when a device is affected; None if it runs no image that is."""
    return min((part.since for part in one.now if part.verdict is ImageVerdict.AFFECTED), default=None)


def _until(one: DeviceAnswer) -> float | None:
    """Until when a device was affected; None if it never was, or still is: what it ran before is in ``past``."""
    return max((ran.until for ran in one.past), default=None) if _since(one) is None else None


def csv_table(found: Affected) -> str:
    """Return one line per device. ``hash`` and ``version`` are those of the part that decides."""
    return csv_lines(_csv_row(one) for one in found.devices)


def _csv_row(one: DeviceAnswer) -> dict[str, object]:
    part = _deciding(one)
    return {
        "device": one.device.name,
        "address": one.device.address,
        "fleets": " ".join(one.device.fleets),
        "serial": one.device.serial,
        "chip": one.chip,
        "status": str(one.status),
        "evidence": str(one.evidence),
        "part": None if part is None else part.part,
        "version": None if part is None else part.image.version,
        "hash": None if part is None else part.image.hash,
        "since": _time(_since(one)),
        "until": _time(_until(one)),
        "seen": _time(one.seen),
        "reason": one.reason,
    }


def _deciding(one: DeviceAnswer) -> PartAnswer | None:
    """The part that decides the status; None if nothing is recorded."""
    order = tuple(ImageVerdict)
    return min(one.now, key=lambda part: (order.index(part.verdict), part.part != "app"), default=None)


def text(found: Affected, *, long: bool) -> RenderableType:
    """Return the answer for people: counts, then the devices that are affected or may be; ``long``: all devices."""
    counts = facts([(_WORDS[status], found.counts[status]) for status in AffectedStatus])
    shown = [one for one in found.devices if long or one.status in (AffectedStatus.AFFECTED, AffectedStatus.UNKNOWN)]
    if not shown:
        return counts
    columns = ("device", "status", "hash", "since", "until", "seen last", "why")
    return stacked(counts, table("", columns, [_row(one) for one in shown], long=long))


def _row(one: DeviceAnswer) -> tuple[object, ...]:
    part = _deciding(one)
    hash_ = bytes.fromhex(part.image.hash) if part is not None and part.image.hash else None
    days = map(_day, (_since(one), _until(one), one.seen))
    return (one.device.name, _WORDS[one.status], hash_, *days, one.reason)


def _day(at: float | None) -> str:
    return "" if at is None else utc(at)[:10]
