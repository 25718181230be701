"""Add the fleets that files describe to the histories. A search of all histories reads no such file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from smpdfu.dfu.fleet.affected.histories import Histories
from smpdfu.dfu.fleet.description.device_list import Place
from smpdfu.dfu.fleet.description.file import Fleet
from smpdfu.dfu.fleet.log.folder import folder_of
from smpdfu.dfu.package.image_record import ImageRecord
from smpdfu.dfu.package.package import Package
from smpdfu.errors import PackageError


def add_described(histories: Histories, files: Sequence[Path], place: Place) -> None:
    """Read the logs of the fleets in ``files``; their packages, too, if a log of an older release has digests alone.

    Raises FleetFileError or OSError.
    """
    fleets = [Fleet.load(path, place) for path in files]
    for fleet in fleets:
        histories.add_fleet(folder_of(fleet), fleet)
    for fleet in fleets if histories.lacks_packages() else ():
        for file in fleet.packages.values():
            try:
                package = Package.load(file)
            except (PackageError, OSError):
                continue  # its devices stay unknown
            histories.packages.setdefault(package.digest, tuple(ImageRecord.of(image) for image in package.images))
