"""Open the fleet that a file describes."""

from __future__ import annotations

from pathlib import Path

from smpdfu.cli.keys.passphrase import Passphrase
from smpdfu.dfu.fleet.session import FleetSession
from smpdfu.fleets import open_fleet


def open_session(file: Path) -> FleetSession:
    """Open a fleet; a terminal is asked for the passphrases of its keys. Raises FleetFileError or OSError."""
    return open_fleet(file, passphrase=Passphrase().ask)
