"""A power cut that was armed for a stored device, kept beside its flash until it comes."""

from __future__ import annotations

import json
from pathlib import Path

from smpdfu.image.files import write_file_atomic
from smpdfu.untrusted.nesting import load_json
from smpdfu.virtual.chip.flash import Power, Tear

_FILE = "cut.json"


def read_cut(folder: Path, power: Power) -> None:
    """Arm the cut that is kept in ``folder``; none where nothing, or nothing whole, is kept."""
    try:
        found = load_json((folder / _FILE).read_text())
        after, tear = int(found["after"]), Tear(found["tear"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if after >= 0:
        power.cut_after, power.tear = after, tear


def keep_cut(folder: Path, power: Power) -> None:
    """Keep the cut that ``power`` is armed for, with what is left until it comes; forget one that came."""
    if power.cut_after is None:
        (folder / _FILE).unlink(missing_ok=True)
        return
    kept = {"after": power.cut_after, "tear": str(power.tear)}
    write_file_atomic(folder / _FILE, json.dumps(kept).encode(), mode=0o600, follow_links=False)
