"""The packages of an SPDX 3.0 or 3.1 document (JSON-LD), as ``west spdx`` of Zephyr 4.5 writes it if somebody asks.

The elements stand in one list, ``@graph``; licenses and contents are relationships between them. Source: SPDX 3.0.1,
classes ``software_Package``, ``Relationship`` and ``simplelicensing_LicenseExpression``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from smpdfu.dfu.evidence import spdx
from smpdfu.dfu.evidence.software import Software
from smpdfu.errors import FormatError
from smpdfu.untrusted import jsontext

_LICENSES = ("hasConcludedLicense", "hasDeclaredLicense")
_LONGEST = 2048
Element = Mapping[str, Any]


def parse(data: bytes, document: str) -> tuple[Software, ...]:
    """The software that a document names. ``document`` is its file's name without the ending. Raises FormatError."""
    found = jsontext.load(data, spdx.MAX_BYTES)
    elements = found.get("@graph")
    context = found.get("@context")
    if not isinstance(context, str) or not context.startswith("https://spdx.org/rdf/3."):
        raise FormatError("it is no SPDX 3 document: its @context is another one")
    if not isinstance(elements, list) or not all(isinstance(one, dict) for one in elements):
        raise FormatError("it has no list @graph of objects")
    packages = [one for one in elements if one.get("type") == "software_Package"]
    if len(packages) > spdx.MAX_PACKAGES:
        raise FormatError(f"it has more than {spdx.MAX_PACKAGES} packages")
    names = {_text(one, "spdxId"): one for one in elements if "spdxId" in one}
    related = _related(elements)
    return tuple(
        _software(one, document, names, related)
        for one in packages
        if document != spdx.BUILD_DOCUMENT or related.get((_text(one, "spdxId"), "contains"))
    )


def _related(elements: Iterable[Element]) -> dict[tuple[str, str], list[str]]:
    """What an element leads to, by its name and the kind of the relationship."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in elements:
        if one.get("type") in ("Relationship", "LifecycleScopedRelationship"):
            ends = one.get("to", [])
            ends = [end for end in (ends if isinstance(ends, list) else [ends]) if isinstance(end, str)]
            found.setdefault((_text(one, "from"), _text(one, "relationshipType")), []).extend(ends)
    return found


def _software(
    one: Element, document: str, names: Mapping[str, Element], related: Mapping[tuple[str, str], list[str]]
) -> Software:
    name, place = _text(one, "name"), _text(one, "spdxId")
    if not name:
        raise FormatError("a package has no name")
    ends = [end for kind in _LICENSES for end in related.get((place, kind), ())]
    licenses = [_text(names[end], "simplelicensing_licenseExpression") for end in ends if end in names]
    cpes, purls = _identifiers(one, "cpe23"), _identifiers(one, "packageUrl")
    supplier = one.get("suppliedBy")
    agent = supplier if isinstance(supplier, dict) else names.get(supplier if isinstance(supplier, str) else "", {})
    origin = _text(one, "software_downloadLocation")
    return Software(
        name=spdx.plain_name(name, document),
        version=_text(one, "software_packageVersion") or spdx.version_of(cpes, purls),
        license=next((text for text in licenses if text not in ("", *spdx.NOTHING)), ""),
        purls=purls,
        cpes=cpes,
        supplier=_text(agent, "name"),
        origin="" if origin in spdx.NOTHING else origin,
        spdx_names=(name,),
        documents=(document,),
    )


def _identifiers(one: Element, kind: str) -> tuple[str, ...]:
    listed = one.get("externalIdentifier", [])
    found = [entry for entry in (listed if isinstance(listed, list) else [listed]) if isinstance(entry, dict)]
    texts = [_text(entry, "identifier") for entry in found if entry.get("externalIdentifierType") == kind]
    more = [_text(one, "software_packageUrl")] if kind == "packageUrl" else []
    return tuple(dict.fromkeys(text for text in (*texts, *more) if text))


def _text(of: Element, key: str) -> str:
    found = of.get(key, "")
    if not isinstance(found, str) or len(found) > _LONGEST or not found.isprintable():
        raise FormatError(f'"{key}" is no printable text of at most {_LONGEST} characters')
    return found
