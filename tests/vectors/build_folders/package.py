"""The packages of a build: N scripts/bootloader/generate_zip.py and dfu_multi_image_tool.py, in their own words.

Values of ``key=value`` parameters are texts, but for those that begin with 0x, which become numbers. The entry begins
with what all files share (type, board, soc), then come its own values; size, file and modtime come last.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cbor2

BUILD_TIME = 1735689600  # 2025-01-01: what the clock said when these folders were "built"
_ZIP_DATE = (2025, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Entry:
    """A file of a package: its name there, where its bytes are, its own parameters."""

    name: str
    source: Path
    values: Mapping[str, str] = field(default_factory=dict)


def write_zip(path: Path, shared: Mapping[str, str], entries: Sequence[Entry], name: str, format_version: int) -> None:
    """Write PATH and PATH_manifest.json beside it."""
    files = []
    for entry in entries:
        own: dict[str, object] = {key: _value(value) for key, value in (dict(shared) | dict(entry.values)).items()}
        files.append(own | {"size": entry.source.stat().st_size, "file": entry.name, "modtime": BUILD_TIME})
    manifest = {"format-version": format_version, "time": BUILD_TIME, "files": files, "name": name}
    text = json.dumps(manifest, indent=4)
    path.with_name(path.name + "_manifest.json").write_text(text)
    with zipfile.ZipFile(path, "w") as archive:
        for entry in entries:
            archive.writestr(zipfile.ZipInfo(entry.name, _ZIP_DATE), entry.source.read_bytes())
        archive.writestr(zipfile.ZipInfo("manifest.json", _ZIP_DATE), text)


def _value(text: str) -> object:
    return int(text, 16) if text.startswith("0x") else text


def write_multi_image(path: Path, images: Sequence[tuple[int, Path]], align: int = 1) -> None:
    """Write a DFU multi-image file: u16 length, CBOR header, then the images, each padded to ``align`` bytes.

    Ids (N subsys/bootloader/cmake/packaging.cmake): 0 application, 1 network core, -2 and -1 MCUboot for S0 and S1.
    """
    data = [(number, source.read_bytes()) for number, source in images]
    padded = [(number, one + b"\xff" * (-len(one) % align)) for number, one in data]
    header = cbor2.dumps({"img": [{"id": number, "size": len(one)} for number, one in padded]})
    path.write_bytes(struct.pack("<H", len(header)) + header + b"".join(one for _, one in padded))
