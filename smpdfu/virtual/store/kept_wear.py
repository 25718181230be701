"""How often each page of a stored device was erased, kept beside its flash; a killed process has not counted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from smpdfu.image.files import write_file_atomic
from smpdfu.untrusted.nesting import load_json
from smpdfu.virtual.chip.flash import Flash

_FILE = "wear.json"


def read_wear(folder: Path, flashes: Mapping[str, Flash]) -> None:
    """Go on counting from what is kept in ``folder``; from 0 where nothing, or nothing whole, is kept."""
    try:
        found = load_json((folder / _FILE).read_text())
        counts = {name: {int(page): int(count) for page, count in found[name].items()} for name in found}
    except (OSError, ValueError, TypeError, AttributeError):
        return
    for name, flash in flashes.items():
        flash.erase_counts.update(counts.get(name, {}))


def keep_wear(folder: Path, flashes: Mapping[str, Flash]) -> None:
    """Keep the counts of all pages that were ever erased."""
    kept = {name: dict(flash.erase_counts) for name, flash in flashes.items() if flash.erase_counts}
    if kept:
        write_file_atomic(folder / _FILE, json.dumps(kept).encode(), mode=0o600, follow_links=False)
