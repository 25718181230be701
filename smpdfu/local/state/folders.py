"""The folder for smpdfu's state between two commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def state_home() -> Path:
    """Return the state folder: ``SMPDFU_STATE_HOME``, else the usual place of the operating system."""
    given = os.environ.get("SMPDFU_STATE_HOME")
    if given:
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "smpdfu"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "smpdfu"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "smpdfu"
