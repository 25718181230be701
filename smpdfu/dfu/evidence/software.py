"""A piece of software in an image, as a build's own bill of materials names it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Software:
    """One package of an SPDX document.

    ``name`` is without the endings that ``west spdx`` adds (``-sources``, ``-deps``), ``spdx_names`` are with them.
    ``documents`` are the SPDX documents that name it. ``license`` is an SPDX expression. ``origin`` is where its source
    was taken from. Empty texts and tuples: no document says so.
    """

    name: str
    version: str = ""
    license: str = ""
    purls: tuple[str, ...] = ()
    cpes: tuple[str, ...] = ()
    supplier: str = ""
    origin: str = ""
    spdx_names: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()

    def merged(self, other: Software) -> Software:
        """The same with what ``other``, of the same name and version, says besides."""
        return Software(
            self.name,
            self.version,
            self.license or other.license,
            _all(self.purls, other.purls),
            _all(self.cpes, other.cpes),
            self.supplier or other.supplier,
            self.origin or other.origin,
            _all(self.spdx_names, other.spdx_names),
            _all(self.documents, other.documents),
        )


def _all(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))


def merge(found: Iterable[Software]) -> tuple[Software, ...]:
    """Each piece of software once, by name and version, sorted."""
    merged: dict[tuple[str, str], Software] = {}
    for one in found:
        known = merged.get((one.name, one.version))
        merged[one.name, one.version] = one if known is None else known.merged(one)
    return tuple(merged[place] for place in sorted(merged))
