"""Which devices run an image, for programs; ``smpdfu affected`` does the same with words."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from smpdfu.dfu.fleet.affected.answer import Affected
from smpdfu.dfu.fleet.affected.search import AffectedQuery, search


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
    return search(query, _place_of)


def _place_of(address: str) -> str:
    from smpdfu.connect import place_of  # here: 0.2 s that a search of all histories does not need

    return place_of(address)
