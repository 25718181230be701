"""What ``west spdx`` wrote, as components of the right image; ``spdx-tools`` is the independent reader."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spdx_tools.spdx.model.actor import Actor
from spdx_tools.spdx.model.package import ExternalPackageRefCategory
from spdx_tools.spdx.parser.tagvalue.tagvalue_parser import parse_from_file

from smpdfu.dfu.build_folder.find import find_build
from smpdfu.dfu.evidence import build_software, spdx
from smpdfu.dfu.evidence.build_software import software_of
from smpdfu.dfu.evidence.software import Software, merge
from smpdfu.errors import EvidenceError, FormatError
from tests.build_folders import STAGED, copy_of
from tests.vectors.make_spdx import COMMIT, documents, text, write

APP, NET = "smp_app.signed.bin", "ipc_radio.bin"


# The first time in an environment, it makes the tables of its parser, and leaves a file of them open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("version", ["2.2", "2.3"])
@pytest.mark.parametrize("document", ["app", "zephyr", "modules-deps"])
def test_spdx_tools_finds_the_same_packages(document: str, version: str, tmp_path: Path) -> None:
    """With few files: it takes 0.16 s for each."""
    written = text(document, documents(1, version)[document], version)
    (tmp_path / "x.spdx").write_text(written, "utf-8")
    theirs = parse_from_file(str(tmp_path / "x.spdx")).packages
    ours = {one.spdx_names[0]: one for one in spdx.parse(written.encode(), document)}
    assert {one.name for one in theirs} == set(ours)
    for one in theirs:
        found = ours[one.name]
        kinds = {
            kind: tuple(ref.locator for ref in one.external_references if ref.category is kind)
            for kind in (ExternalPackageRefCategory.SECURITY, ExternalPackageRefCategory.PACKAGE_MANAGER)
        }
        assert (found.cpes, found.purls) == tuple(kinds.values())
        licenses = [str(one.license_concluded), str(one.license_declared)]
        known = [value for value in licenses if value not in ("NOASSERTION", "NONE", "None")]
        assert found.license == (known[0] if known else "")
        assert one.version is None or found.version == one.version
        assert found.supplier == (one.supplier.name if isinstance(one.supplier, Actor) else "")


def test_packages_become_components_of_their_image(tmp_path: Path) -> None:
    folder = copy_of(STAGED, tmp_path / "build")
    write(folder / "smp_app" / "spdx")
    software = software_of(find_build(folder))
    assert software[NET] == ()
    assert [(one.name, one.version) for one in software[APP]] == [
        ("app", ""),
        ("hal_nordic", ""),
        ("hal_nordic", COMMIT),
        ("kernel", ""),
        ("mbedtls", "3.6.2"),  # of modules-deps: the version of its CPE
        ("mbedtls", COMMIT),
        ("zephyr", "4.1.0"),
        ("zephyr_final", ""),
    ]
    zephyr = next(one for one in software[APP] if one.name == "zephyr")
    assert zephyr.documents == ("modules-deps", "zephyr")
    assert zephyr.spdx_names == ("zephyr", "zephyr-sources")
    assert zephyr.purls == ("pkg:github/zephyrproject-rtos/zephyr@v4.1.0",)
    assert zephyr.license == "Apache-2.0 AND BSD-3-Clause"
    assert zephyr.origin == f"git+https://github.com/zephyrproject-rtos/zephyr@{COMMIT}"


@pytest.mark.parametrize("place", ["ipc_radio/spdx", "spdx/ipc_radio"])
def test_the_places_of_an_image(place: str, tmp_path: Path) -> None:
    folder = copy_of(STAGED, tmp_path / "build")
    write(folder / place)
    software = software_of(find_build(folder))
    assert software[APP] == ()
    assert len(software[NET]) == 8


def test_documents_in_the_build_folder_itself_are_the_application_s(tmp_path: Path) -> None:
    folder = copy_of(STAGED, tmp_path / "build")
    write(folder / "spdx")
    software = software_of(find_build(folder))
    assert (len(software[APP]), len(software[NET])) == (8, 0)


def test_a_document_with_thousands_of_files_is_read_line_by_line() -> None:
    data = text("zephyr", documents(5000)["zephyr"]).encode()
    assert len(data) > 2_000_000
    assert [one.name for one in spdx.parse(data, "zephyr")] == ["zephyr", "mbedtls", "hal_nordic"]


def test_versions_in_identifiers() -> None:
    head = "SPDXVersion: SPDX-2.3\nPackageName: x-deps\nExternalRef: "
    for reference, version in (
        ("SECURITY cpe23Type cpe:2.3:a:v:p:1.0\\+b\\:2:*:*:*:*:*:*:*", "1.0+b:2"),
        ("SECURITY cpe23Type cpe:2.3:a:v:p:*:*:*:*:*:*:*:*", ""),
        ("PACKAGE-MANAGER purl pkg:npm/%40scope/x@2.0?arch=a@b", "2.0"),
        ("PACKAGE-MANAGER purl pkg:npm/@scope/x", ""),
    ):
        (found,) = spdx.parse((head + reference).encode(), "modules-deps")
        assert found.version == version, reference


def test_merging_keeps_what_each_document_says() -> None:
    one, other = Software("a", "1", "MIT", ("p:1",)), Software("a", "1", "ISC", ("p:2", "p:1"), supplier="s")
    assert merge([one, other, Software("a", "2")]) == (
        Software("a", "1", "MIT", ("p:1", "p:2"), supplier="s"),
        Software("a", "2"),
    )


def test_spdx_3_says_the_same(tmp_path: Path) -> None:
    found = []
    for version in ("2.3", "3.0"):
        folder = copy_of(STAGED, tmp_path / version)
        write(folder / "smp_app" / "spdx", version=version)
        found.append(software_of(find_build(folder))[APP])
    assert found[0] == found[1]


GRAPHS = {
    "no context": ('{"@graph": []}', "its @context is another one"),
    "no graph": ('{"@context": "https://spdx.org/rdf/3.0.1/x"}', "no list @graph"),
    "numbers": ('{"@context": "https://spdx.org/rdf/3.0.1/x", "@graph": [1]}', "no list @graph"),
    "no JSON": ("SPDXVersion: SPDX-2.3", "it is not JSON"),
    "no name": (
        '{"@context": "https://spdx.org/rdf/3.0.1/x", "@graph": [{"type": "software_Package", "spdxId": "a"}]}',
        "a package has no name",
    ),
    "a name that is a list": (
        '{"@context": "https://spdx.org/rdf/3.1/x", "@graph": [{"type": "software_Package", "name": []}]}',
        '"name" is no printable text',
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_hostile_graph_is_one_sentence(name: str, tmp_path: Path) -> None:
    data, sentence = GRAPHS[name]
    folder = copy_of(STAGED, tmp_path / "build")
    (folder / "smp_app" / "spdx").mkdir()
    (folder / "smp_app" / "spdx" / "zephyr.jsonld").write_text(data, "utf-8")
    with pytest.raises(EvidenceError) as caught:
        software_of(find_build(folder))
    assert sentence in str(caught.value)


HEAD = "SPDXVersion: SPDX-2.3\nPackageName: a\n"
HOSTILE = {
    "empty": ("", "does not begin with SPDXVersion"),
    "other first line": ("PackageName: a\n", "does not begin with SPDXVersion"),
    "SPDX 3": ("SPDXVersion: SPDX-3.0\n", "smpdfu reads SPDX-2.2 and SPDX-2.3"),
    "json": ('{"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"}', "line 1 is not `Tag: value`"),
    "no tag": (HEAD + "hello\n", "line 3 is not `Tag: value`"),
    "text without an end": (HEAD + "PackageComment: <text>for ever\n", "begins in line 3 has no end"),
    "version twice": (HEAD + "PackageVersion: 1\nPackageVersion: 2\n", "line 4 has PackageVersion once more"),
    "long value": (HEAD + "PackageVersion: " + "1" * 3000, "line 3"),
    "escape sequence": (HEAD + "PackageVersion: \x1b[31m1\n", "line 3"),
    "reference": (HEAD + "ExternalRef: SECURITY cpe23Type\n", "not three words"),
    "no name": ("SPDXVersion: SPDX-2.3\nPackageName:\n", "line 2"),
    "many packages": ("SPDXVersion: SPDX-2.3\n" + "PackageName: a\n" * 5000, "more than 4096 packages"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_one_sentence_with_its_file(name: str, tmp_path: Path) -> None:
    data, sentence = HOSTILE[name]
    folder = copy_of(STAGED, tmp_path / "build")
    place = folder / "smp_app" / "spdx" / "zephyr.spdx"
    place.parent.mkdir()
    place.write_text(data, "utf-8")
    with pytest.raises(EvidenceError) as caught:
        software_of(find_build(folder))
    assert sentence in str(caught.value)
    assert str(place) in str(caught.value)


def test_too_large_and_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy_of(STAGED, tmp_path / "build")
    write(folder / "smp_app" / "spdx")
    build = find_build(folder)
    monkeypatch.setattr(spdx, "MAX_BYTES", 100)
    with pytest.raises(EvidenceError, match="more than"):
        software_of(build)
    monkeypatch.setattr(build_software, "MAX_DOCUMENTS", 3)
    with pytest.raises(EvidenceError, match="4 SPDX documents"):
        software_of(build)


@given(st.one_of(st.binary(max_size=200), st.text(alphabet="SPDXVersion: -2.3\n<text>/PackageNm", max_size=200)))
def test_garbage_is_refused_or_read(data: bytes | str) -> None:
    with suppress(FormatError):
        spdx.parse(data.encode() if isinstance(data, str) else b"SPDXVersion: SPDX-2.3\n" + data, "x")
