"""Fleets for programs: open one by its file, or search all for an image. The command line does the same with words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from smpdfu.connect import client_for, place_of, places_by_lookup
from smpdfu.dfu.fleet.affected.answer import Affected
from smpdfu.dfu.fleet.affected.search import AffectedQuery, search
from smpdfu.dfu.fleet.reach import Reach
from smpdfu.dfu.fleet.session import FleetSession, no_passphrase


def open_fleet(path: Path | str, *, passphrase: Callable[[Path], bytes | None] | None = None) -> FleetSession:
    """Open the fleet that a file describes, to plan, run, pause, resume, look at or repair it.

    ``passphrase`` is asked for that of a protected key which the file names in ``trust``.
    Raises FleetFileError or OSError.
    """
    return FleetSession.open(Path(path), Reach(client_for, place_of, places_by_lookup), passphrase or no_passphrase)


def affected(
    *,
    hashes: Iterable[str] = (),
    sboms: Iterable[Path | str] = (),
    component: str | None = None,
    fleets: Iterable[Path | str] = (),
) -> Affected:
    """Find the devices that run an image, by the logs of fleets and the journals of devices on this computer.

    The images are those with the ``hashes`` (or hashes that begin so: at least 8 digits), all of the ``sboms`` (files
    in CycloneDX JSON, or folders of them), or those of the ``sboms`` that have the ``component``: a name, a package URL
    or a CPE, with ``@VERSION`` or ``@<VERSION``. ``fleets`` are the files of the fleets to search; without any, every
    fleet and device that this computer has updated. No device is asked.

    Raises ValueError for a wrong question or a hash that is the beginning of several, EvidenceError for an SBOM that
    cannot be read or has no such component, FleetFileError or OSError.
    """
    query = AffectedQuery(tuple(hashes), tuple(map(Path, sboms)), component, tuple(map(Path, fleets)))
    return search(query, place_of)
