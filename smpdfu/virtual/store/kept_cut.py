"""The power cut that a stored device is armed for, in a file beside its flash."""

from __future__ import annotations

import json
from pathlib import Path

from smpdfu.image.files import write_file_atomic
from smpdfu.untrusted.nesting import load_json
from smpdfu.virtual.chip.flash import Power, Tear

_FILE = "cut.json"


def read_cut(folder: Path, power: Power) -> None:
    """Arm the cut that is stored in ``folder``. A missing or damaged file arms none."""
    try:
        found = load_json((folder / _FILE).read_text())
        after, tear = int(found["after"]), Tear(found["tear"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if after >= 0:
        power.cut_after, power.tear = after, tear


def keep_cut(folder: Path, power: Power) -> None:
    """Store the cut that ``power`` is armed for, with the operations left until it; delete one that has come."""
    if power.cut_after is None:
        (folder / _FILE).unlink(missing_ok=True)
        return
    kept = {"after": power.cut_after, "tear": str(power.tear)}
    write_file_atomic(folder / _FILE, json.dumps(kept).encode(), mode=0o600, follow_links=False)
