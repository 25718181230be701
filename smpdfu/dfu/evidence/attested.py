"""What a provenance attests, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KIND, PACKAGE = "smpdfu:kind", "smpdfu:package"
"""Notes of a subject: ``package``, ``image``, ``multi-image`` or ``sbom``; of an image, the package that has it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a statement attests. ``kind`` and ``package`` are the notes that smpdfu writes; empty for other writers."""

    name: str
    sha256: str
    kind: str = ""
    package: str = ""


@dataclass(frozen=True, slots=True)
class Attested:
    """What a statement says: its subjects, and who made them. ``predicate`` is SLSA's provenance as JSON."""

    subjects: tuple[Subject, ...]
    builder: str
    build_type: str
    invocation: str
    predicate: Mapping[str, Any] = field(repr=False)
