"""Zip archives that are always the same bytes for the same members."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

# The earliest time that a zip can hold; used where SOURCE_DATE_EPOCH says nothing, so that packages are reproducible.
ZIP_EPOCH_S = 315_532_800
ZIP_END_S = 4_354_819_198


def write_zip(members: Mapping[str, bytes], time_s: int) -> bytes:
    """Return the zip: members stored and sorted, all of one time in seconds since 1970, so always the same bytes."""
    import time

    # Zip times have no zone; UTC makes them the same everywhere.
    date = time.gmtime(min(max(time_s, ZIP_EPOCH_S), ZIP_END_S))[:6]
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, date)
            info.create_system = 3  # Unix, on every system
            info.external_attr = 0o100644 << 16
            archive.writestr(info, members[name])
    return target.getvalue()
