"""A piece of software in an image, as a build's own bill of materials names it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Software:
    """One package of an SPDX document.

    ``name`` is without the endings that ``west spdx`` adds (``-sources``, ``-deps``), ``spdx_name`` with them.
    ``document`` is the SPDX document's own name. Empty texts and tuples: the document does not say.
    """

    name: str
    version: str = ""
    license: str = ""
    purls: tuple[str, ...] = ()
    cpes: tuple[str, ...] = ()
    supplier: str = ""
    origin: str = ""
    spdx_name: str = ""
    document: str = ""
