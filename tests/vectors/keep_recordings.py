"""Makes ``recordings/``: a selection of the recorded exchanges with real SMP servers, small enough for every clone.

    python tests/vectors/keep_recordings.py ../shared/transcripts

An exchange is kept as it was recorded, whole and in its place, or it is left out: for each file below, those whose line
has more bytes than the limit. What the hex says is not said again in words, and the console's text is left out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "recordings"
# File -> the longest line that is kept. Long ones fill buffers of 384 bytes; the server with 96 shows the same.
LIMITS = {
    "qemu_cortex_m0.serial": 1000,
    "native_sim.serial_buf96": 1000,
    "native_sim.serial_raw": 250,
    "mps2_an385.serial_recovery": 1000,
    "cycle-mps2_an385.serial_recovery": 1000,
    "upload-edges-mps2_an385": 1000,
}


def kept(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The bytes of an exchange; None for a line without any."""
    if "request_hex" in row:
        return {key: row[key] for key in ("name", "request_hex", "response_hex")}
    if "hex" not in (row.get("request") or {}):
        return None
    responses = [{"hex": one["hex"]} for one in row["responses"]]
    return {"step": row["step"], "request": {"hex": row["request"]["hex"]}, "wire": row["wire"], "responses": responses}


def main(source: Path) -> None:
    for name, limit in LIMITS.items():
        rows = (source / f"{name}.jsonl").read_text("utf-8").splitlines()
        lines = [json.dumps(found, separators=(",", ":")) for row in rows if (found := kept(json.loads(row)))]
        (FOLDER / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines if len(line) <= limit), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
