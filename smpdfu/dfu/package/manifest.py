"""``manifest.json`` of a dfu_application.zip: text to a dictionary and back, nothing lost.

Source: nRF Connect SDK's ``scripts/bootloader/generate_zip.py`` (what is written) and Nordic's Device Manager libraries
for Android and iOS (what is read). The SDK writes numbers that came from the build's command line as strings, except
those that begin with 0x; its old releases wrote ``load_address`` as a bare hexadecimal number, which is not JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from smpdfu.errors import PackageError
from smpdfu.untrusted.nesting import load_json

MANIFEST_NAME = "manifest.json"
MAX_MANIFEST_BYTES = 256 * 1024
MAX_FILES = 64
FORMAT_VERSIONS = (0, 1)

_BARE_HEX = re.compile(r'("load_address"\s*:\s*)(0[xX][0-9a-fA-F]{1,16})(?=\s*[,}])')


def parse(data: bytes) -> dict[str, Any]:
    """The manifest as a dictionary with every key that it has; raises PackageError with one sentence.

    What is promised: ``files`` is a list of at most 64 dictionaries, each with a text ``file``.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise PackageError(f"{MANIFEST_NAME} has {len(data)} bytes, more than the {MAX_MANIFEST_BYTES} that are read")
    manifest = _read_json(data)
    _refuse_other_kinds(manifest)
    files = manifest.get("files")
    if not isinstance(files, list) or not all(isinstance(entry, dict) for entry in files):
        raise PackageError(f'{MANIFEST_NAME} has no list "files" with an object per file')
    if not 0 < len(files) <= MAX_FILES:
        raise PackageError(f"{MANIFEST_NAME} lists {len(files)} files; 1 to {MAX_FILES} are possible")
    for entry in files:
        if not isinstance(entry.get("file"), str) or not entry["file"]:
            raise PackageError(f'{MANIFEST_NAME} has an entry without "file", the name of its file')
    version = number(manifest, "format-version", default=0)
    if version not in FORMAT_VERSIONS:
        raise PackageError(f"{MANIFEST_NAME} has format-version {version}; 0 and 1 are known")
    return manifest


def _read_json(data: bytes) -> dict[str, Any]:
    try:
        text = data.decode("utf-8-sig")
        try:
            manifest = load_json(text, parse_constant=_no_constant)
        except json.JSONDecodeError:
            repaired = _BARE_HEX.sub(lambda match: match[1] + str(int(match[2], 16)), text)
            manifest = load_json(repaired, parse_constant=_no_constant)
    except ValueError as error:
        raise PackageError(f"{MANIFEST_NAME} is not JSON: {_reason(error)}") from error
    if not isinstance(manifest, dict):
        raise PackageError(f"{MANIFEST_NAME} is not a JSON object")
    return manifest


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} in line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8"
    return str(error)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _refuse_other_kinds(manifest: Mapping[str, Any]) -> None:
    """Name the manifests of Nordic's other package formats for what they are."""
    if isinstance(manifest.get("manifest"), dict):
        raise PackageError(
            "this is a package of the nRF5 SDK's Secure DFU (nrfutil pkg), for Nordic's own bootloader and not for "
            "MCUboot"
        ).because("secure-dfu-package", file="PACKAGE")
    files = manifest.get("files")
    kinds = {str(entry.get("type")) for entry in files if isinstance(entry, dict)} if isinstance(files, list) else set()
    if "suit-envelope" in kinds:
        raise PackageError("this is a package with a SUIT envelope, for the nRF54H and not for MCUboot")


def number(entry: Mapping[str, Any], key: str, *, default: int | None = None) -> int | None:
    """A whole number >= 0 that may be written as one, or as decimal or 0x text; ``default`` where the key is absent.

    Raises PackageError when it is something else, or larger than 64 bits.
    """
    value = entry.get(key, default)
    if value is None:
        return default
    try:
        found = int(value, 16 if value.lower().startswith("0x") else 10) if isinstance(value, str) else value
    except ValueError:
        found = None
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 1 << 64:
        raise PackageError(f"{MANIFEST_NAME} has {key} {str(value)[:40]!r}, which is not a number")
    return found


def configured(entry: Mapping[str, Any], key: str, *, default: int | None = None) -> int | None:
    """``number`` from the build's configuration: that has -1 for an image, a slot or an address which is not there."""
    return default if entry.get(key) in (-1, "-1") else number(entry, key, default=default)


def dump(manifest: Mapping[str, Any]) -> bytes:
    """The manifest as it is written into a package: four spaces, keys in the given order, a final newline."""
    return (json.dumps(manifest, indent=4, ensure_ascii=False) + "\n").encode()
