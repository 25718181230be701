"""The lowest versions that pyproject.toml lets in, against the advisories that were public when this was written."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"

# Package -> the first release without each fault that is known in an older one. Wheels of cryptography carry OpenSSL.
FIXED_IN = {
    "cryptography": {
        "GHSA-h4gh-qq45-vh27 (OpenSSL in wheels up to 43.0.0)": "43.0.1",
        "CVE-2024-12797 (OpenSSL in wheels up to 44.0.0)": "44.0.1",
        "CVE-2026-26007 (public keys on binary curves, up to 46.0.4)": "46.0.5",
        "CVE-2026-34073 (name constraints, up to 46.0.5)": "46.0.6",
        "CVE-2026-39892 (buffers that are not contiguous, up to 46.0.6)": "46.0.7",
    },
    "pyyaml": {"CVE-2020-14343 (full_load)": "5.4"},
    "cbor2": {"CVE-2024-26134": "5.6.2", "CVE-2025-68131": "5.8.0"},
}


def floors(text: str | None = None) -> dict[str, str]:
    """Package -> the lowest version that the dependencies let in; "" where there is no bound."""
    project = tomllib.loads(PYPROJECT.read_text("utf-8") if text is None else text)["project"]
    found = {}
    for wanted in project["dependencies"]:
        name = re.match(r"[A-Za-z0-9._-]+", wanted)
        bound = re.search(r"[>=]=\s*([0-9.]+)", wanted)
        assert name is not None, wanted
        found[name[0].lower()] = bound[1] if bound else ""
    return found


def faults(text: str | None = None) -> Iterator[str]:
    """A sentence for every floor that lets in a release with a known fault."""
    found = floors(text)
    for package, advisories in FIXED_IN.items():
        for advisory, fixed in advisories.items():
            if numbers(found.get(package, "")) < numbers(fixed):
                yield f"pyproject.toml lets in {package} {found.get(package) or 'of any age'}, which has {advisory}"


def numbers(version: str) -> tuple[int, ...]:
    """A version to compare by; () for none."""
    return tuple(map(int, version.split("."))) if version else ()
