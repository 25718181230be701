"""The erase count of each page of a stored device, in a file beside its flash. A killed process adds nothing to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from smpdfu.image.files import write_file_atomic
from smpdfu.untrusted.nesting import load_json
from smpdfu.virtual.chip.flash import Flash

_FILE = "wear.json"


def read_wear(folder: Path, flashes: Mapping[str, Flash]) -> None:
    """Continue with the counts that are stored in ``folder``. A missing or damaged file means 0."""
    try:
        found = load_json((folder / _FILE).read_text())
        counts = {name: {int(page): int(count) for page, count in found[name].items()} for name in found}
    except (OSError, ValueError, TypeError, AttributeError):
        return
    for name, flash in flashes.items():
        flash.erase_counts.update(counts.get(name, {}))


def keep_wear(folder: Path, flashes: Mapping[str, Flash]) -> None:
    """Store the counts of all pages that were erased at least once."""
    kept = {name: dict(flash.erase_counts) for name, flash in flashes.items() if flash.erase_counts}
    if kept:
        write_file_atomic(folder / _FILE, json.dumps(kept).encode(), mode=0o600, follow_links=False)
