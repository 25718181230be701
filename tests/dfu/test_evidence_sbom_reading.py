"""SBOMs from others: read within bounds, and one sentence for what is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.dfu.evidence import sbom_reading
from smpdfu.dfu.evidence.checks import check_evidence
from smpdfu.dfu.evidence.release import PackageFile, Release, make_sbom
from smpdfu.dfu.evidence.sbom_reading import parse_sbom, read_sbom
from smpdfu.errors import EvidenceError, FormatError
from tests.dfu.test_evidence_provenance import package
from tests.dfu.test_evidence_sbom import MBEDTLS, document, packed

Change = Callable[[dict[str, Any]], object]


def first(**values: object) -> Change:
    return lambda found: found["components"][0].update(values)


def value(name: str, *texts: object) -> Change:
    return first(properties=[{"name": f"smpdfu:{name}", "value": text} for text in texts])


WRONG: dict[str, tuple[Change, str]] = {
    "another format": (lambda found: found.update(bomFormat="SPDX"), "no CycloneDX document"),
    "no components": (lambda found: found.pop("components"), "no component has the property smpdfu:image-hash"),
    "components that are no list": (lambda found: found.update(components={}), "no list of objects"),
    "a component that is no object": (lambda found: found["components"].append(1), "no list of objects"),
    "two hashes of an image": (value("image-hash", "00" * 32, "11" * 32), "2 values of smpdfu:image-hash"),
    "a short hash": (value("image-hash", "00" * 8), "is no hash in hex"),
    "a hash with blanks": (value("image-hash", "00 " * 32), "is no hash in hex"),
    "a name that is no text": (first(name=7), '"name" is no text'),
    "a long name": (first(name="x" * 2000), '"name" is no text'),
    "two digests": (first(hashes=[{"alg": "SHA-256", "content": text * 32} for text in ("00", "11")]), "two SHA-256"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_sbom_of_a_package(name: str, tmp_path: Path) -> None:
    change, sentence = WRONG[name]
    found = document(MBEDTLS)
    change(found)
    file = tmp_path / "s.cdx.json"
    file.write_text(json.dumps(found), "utf-8")
    with pytest.raises(EvidenceError) as caught:
        read_sbom(file)
    assert str(caught.value).startswith("s.cdx.json is no SBOM of a package: ")
    assert sentence in str(caught.value)


def test_components_beyond_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sbom_reading, "MAX_COMPONENTS", 3)
    with pytest.raises(FormatError, match="more than 3 components"):
        parse_sbom(json.dumps(document(MBEDTLS)).encode())


def test_a_key_twice() -> None:
    data = json.dumps(document()).replace('"bomFormat"', '"bomFormat":"SPDX","bomFormat"', 1)
    with pytest.raises(FormatError, match="'bomFormat' is there twice"):
        parse_sbom(data.encode())


@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    with suppress(FormatError):
        parse_sbom(data)


# --- of the right package -------------------------------------------------------------------------------------------

_, STAGED_PACKAGE = packed()
FILES = PackageFile(STAGED_PACKAGE, STAGED_PACKAGE.to_bytes()), PackageFile(package(), package().to_bytes(), "own.zip")


def rename(found: dict[str, Any]) -> None:
    found["components"][0]["name"] = "other.bin"


def other_hash(found: dict[str, Any]) -> None:
    for one in found["components"][0]["properties"]:
        if one["name"] == "smpdfu:image-hash":
            one["value"] = "00" * 32


FAULTS: dict[str, tuple[Change, str]] = {
    "another package": (lambda found: found["metadata"]["component"]["hashes"].clear(), "it has no file with"),
    "an image less": (lambda found: found["components"].pop(), "it lacks"),
    "an image more": (
        lambda found: found["components"].append(found["components"][0] | {"name": "x.bin"}),
        "it has x.bin, which the package does not have",
    ),
    "an image twice": (lambda found: found["components"].append(found["components"][0]), "two images of one name"),
    "another name": (rename, "it lacks"),
    "another digest": (first(hashes=[{"alg": "SHA-256", "content": "00" * 32}]), "it has another"),
    "no digest": (first(hashes=[]), "it has another"),
    "another hash": (other_hash, "it has another"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_an_sbom_that_does_not_fit(name: str, tmp_path: Path) -> None:
    change, sentence = FAULTS[name]
    zipped, file = tmp_path / "dfu_application.zip", tmp_path / "s.cdx.json"
    zipped.write_bytes(FILES[0].data)
    found = json.loads(make_sbom(Release(FILES[:1])))
    file.write_text(json.dumps(found), "utf-8")
    check_evidence(zipped, sbom=file)
    change(found)
    file.write_text(json.dumps(found), "utf-8")
    with pytest.raises(EvidenceError) as caught:
        check_evidence(zipped, sbom=file)
    assert sentence in str(caught.value)


def test_one_sbom_of_two_packages(tmp_path: Path) -> None:
    """As for the packages of the cores and of MCUboot, which one call makes."""
    file = tmp_path / "s.cdx.json"
    file.write_bytes(make_sbom(Release(FILES)))
    found = read_sbom(file)
    assert list(found.packages) == ["dfu_application.zip", "own.zip"]
    assert {(one.package, one.file) for one in found.images} == {
        (one.file, image.file) for one in FILES for image in one.package.images
    }
    for one in FILES:
        (tmp_path / one.file).write_bytes(one.data)
        check_evidence(tmp_path / one.file, sbom=file)
