"""A fleet, opened by its file, for programs; ``smpdfu fleet`` does the same with words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from smpdfu.connect import client_for, place_of, places_by_lookup
from smpdfu.dfu.fleet.reach import Reach
from smpdfu.dfu.fleet.session import FleetSession, no_passphrase


def open_fleet(path: Path | str, *, passphrase: Callable[[Path], bytes | None] | None = None) -> FleetSession:
    """Open the fleet that a file describes, to plan, run, pause, resume, look at or repair it.

    ``passphrase`` is asked for that of a protected key which the file names in ``trust``.
    Raises FleetFileError or OSError.
    """
    return FleetSession.open(Path(path), Reach(client_for, place_of, places_by_lookup), passphrase or no_passphrase)
