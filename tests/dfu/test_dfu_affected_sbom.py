"""SBOMs as a search reads them: which image has which component, in which versions; hostile ones; real ones of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.dfu.evidence.sbom_document import IMAGE_HASH
from smpdfu.dfu.fleet.affected.components import ComponentQuery
from smpdfu.dfu.fleet.affected.question import by_component
from smpdfu.dfu.fleet.affected.sbom import ImageVerdict, SbomIndex, similar
from smpdfu.dfu.fleet.affected.versions import VersionRange, compare
from smpdfu.errors import EvidenceError, FormatError

APP, NET = "aa" * 32, "bb" * 32


def image(name: str, digits: str, *components: dict[str, Any], **more: Any) -> dict[str, Any]:
    properties = [{"name": IMAGE_HASH, "value": digits}, {"name": "smpdfu:role", "value": name}]
    return {"type": "firmware", "name": name, "properties": properties, "components": list(components), **more}


def library(name: str, version: str = "", **more: Any) -> dict[str, Any]:
    return {"type": "library", "name": name, **({"version": version} if version else {}), **more}


def sbom(*components: dict[str, Any], **more: Any) -> SbomIndex:
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": list(components), **more}
    return SbomIndex.from_bytes(json.dumps(document).encode(), "release.cdx.json")


def verdicts(found: SbomIndex, text: str) -> dict[str, str]:
    return {one.hash: str(one.verdict) for one in found.search(ComponentQuery.from_text(text))}


@pytest.mark.parametrize(
    ("text", "app"),
    [
        *(("mbedtls", "affected"), ("MbedTLS@3.6.1", "affected"), ("mbedtls@3.6.0", "clear")),
        *(("mbedtls@<3.6.2", "affected"), ("mbedtls@<3.6.1", "clear"), ("mbedtls@<=3.6.1", "affected")),
        *(("mbedtls@>=3.0,<3.6.2", "affected"), ("mbedtls@>=3.6.2,<4", "clear")),
        ("pkg:github/Mbed-TLS/mbedtls@<3.6.2", "affected"),
        ("cpe:2.3:a:arm:mbed_tls:*:*:*:*:*:*:*:*", "affected"),
        ("cpe:2.3:a:arm:mbed_tls:3.6.0:*:*:*:*:*:*:*", "clear"),
        ("mbed_tls@3.6.1", "affected"),
    ],
)
def test_a_component_is_found_by_name_purl_and_cpe(text: str, app: str) -> None:
    purl, cpe = "pkg:github/mbed-tls/mbedtls@3.6.1?x=y", "cpe:2.3:a:arm:mbed_tls:3.6.1:*:*:*:*:*:*:*"
    found = sbom(
        image("app", APP, library("mbedtls", "3.6.1", purl=purl, cpe=cpe)),
        image("net", NET, library("zephyr", "4.0.0")),
    )
    assert verdicts(found, text) == {APP: app, NET: "clear"}


@pytest.mark.parametrize("version", ["main", "", "1f3c2ab", "3.6.2-rc1", "3.6.2k"])
def test_a_version_that_cannot_be_compared_is_not_clear(version: str) -> None:
    assert verdicts(sbom(image("app", APP, library("mbedtls", version))), "mbedtls@<3.6.2") == {APP: "undecided"}


@pytest.mark.parametrize("name", ["Mbed TLS", "mbed-tls", "MBEDTLS", "mbed_tls"])
def test_releases_that_spell_a_name_in_other_ways(name: str) -> None:
    found = sbom(image("app", APP, library("mbedtls", "3.6.1")), image("net", NET, library(name, "3.6.1")))
    assert verdicts(found, "mbedtls@<3.6.2") == {APP: "affected", NET: "affected"}
    assert verdicts(found, f"{name}@<3.6.2") == {APP: "affected", NET: "affected"}
    assert similar([sbom(image("app", APP, library("mbedtls-oberon")))], ComponentQuery.from_text(name)) == (
        "mbedtls-oberon",
    )


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("cpe:2.3:a:arm:mbed_tls:*", "cpe", "cpe:2.3:a:arm:mbed_tls:3.6.1:*:*:*:*:*:*:*"),
        ("pkg:github/mbed-tls/mbedtls@<3.6.2", "purl", "pkg:github/mbed-tls/mbedtls@3.6.1"),
    ],
)
def test_a_component_without_the_identifier_that_is_asked_for_is_not_clear(text: str, key: str, value: str) -> None:
    with_it = image("app", APP, library("mbedtls", "3.6.1", **{key: value}))
    assert verdicts(sbom(with_it, image("net", NET, library("mbedtls", "3.6.1"))), text)[NET] == "undecided"
    without = sbom(image("net", NET, library("mbedtls", "3.6.1")))
    assert {str(one.verdict) for one in by_component([without], ComponentQuery.from_text(text)).images} == {"undecided"}
    fixed = image("net", NET, library("mbedtls", "3.6.2"))
    asked = text if key == "purl" else "cpe:2.3:a:arm:mbed_tls:3.6.1"
    assert verdicts(sbom(with_it, fixed), asked)[NET] == "clear"


@pytest.mark.parametrize("version", ["3.6.1-ncs1", "3.6.1-rc1"])
def test_a_vendors_text_behind_the_same_numbers_is_not_clear(version: str) -> None:
    assert verdicts(sbom(image("app", APP, library("mbedtls", version))), "mbedtls@3.6.1") == {APP: "undecided"}


def test_an_image_without_components_is_not_clear() -> None:
    found = sbom(image("app", APP, library("mbedtls", "3.6.1")), image("net", NET))
    assert verdicts(found, "mbedtls") == {APP: "affected", NET: "unlisted"}


def test_dependencies_say_what_is_in_an_image() -> None:
    parts = [library("mbedtls", "3.6.1", **{"bom-ref": "m"}), library("psa", "1", **{"bom-ref": "p"})]
    images = [image("app", APP, **{"bom-ref": "a"}), image("net", NET, **{"bom-ref": "n"})]
    tree = [{"ref": "a", "dependsOn": ["p", "n"]}, {"ref": "p", "dependsOn": ["m"]}, {"ref": "n", "dependsOn": ["p"]}]
    assert verdicts(sbom(*images, *parts, dependencies=tree), "mbedtls") == {APP: "affected", NET: "affected"}
    # What needs another image does not have what is in that one.
    tree = [{"ref": "a", "dependsOn": ["n", "p"]}, {"ref": "n", "dependsOn": ["m"]}]
    assert verdicts(sbom(*images, *parts, dependencies=tree), "mbedtls") == {APP: "clear", NET: "affected"}


def test_a_component_that_is_in_no_image_may_be_in_each() -> None:
    found = sbom(image("app", APP, library("a")), image("net", NET, library("b")), library("mbedtls", "3.6.1"))
    assert verdicts(found, "mbedtls") == {APP: "undecided", NET: "undecided"}
    assert verdicts(sbom(image("app", APP, library("a")), library("mbedtls")), "mbedtls") == {APP: "affected"}


def test_another_tools_sbom_has_the_sha_256_of_the_file() -> None:
    root = {"type": "firmware", "name": "app_update.bin", "hashes": [{"alg": "SHA-256", "content": APP.upper()}]}
    found = sbom(library("mbedtls", "3.6.1"), metadata={"component": root})
    (one,) = found.search(ComponentQuery.from_text("mbedtls@3.6.1"))
    assert (one.hash, one.file, one.verdict) == ("", APP, ImageVerdict.AFFECTED)


def test_candidates_are_listed_if_nothing_has_the_name() -> None:
    found = sbom(image("app", APP, library("mbedtls", "3.6.1"), library("lvgl", "9")))
    with pytest.raises(EvidenceError, match=r"named 'mbed'\. It has: mbedtls@3\.6\.1$"):
        by_component([found], ComponentQuery.from_text("mbed"))
    with pytest.raises(EvidenceError, match=r"lvgl@9, mbedtls@3\.6\.1"):
        by_component([found], ComponentQuery.from_text("wolfssl"))


@pytest.mark.parametrize("text", ["", "@", "mbedtls@", "mbedtls@<", "mbedtls@<main", "mbedtls@<1,", "mbedtls@=>1"])
def test_a_query_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        ComponentQuery.from_text(text)


def test_a_version_that_is_none_is_the_mistake_of_the_person() -> None:
    """It may be the name of a branch that an SBOM has; else it is no version of anything."""
    found = sbom(image("app", APP, library("mbedtls", "3.6.1")))
    with pytest.raises(ValueError, match="'mbedtls@abc' has no version that smpdfu can compare, and no SBOM"):
        by_component([found], ComponentQuery.from_text("mbedtls@abc"))
    branch = sbom(image("net", NET, library("mbedtls", "main")))
    asked = by_component([found, branch], ComponentQuery.from_text("mbedtls@main")).images
    assert [str(one.verdict) for one in asked] == ["undecided", "affected"]
    assert asked[0].why == "smpdfu cannot compare mbedtls@3.6.1 in release.cdx.json with mbedtls@main"


numbers = st.lists(st.integers(0, 40), min_size=1, max_size=4)


@given(numbers, numbers)
def test_versions_compare_as_lists_of_numbers(one: list[int], other: list[int]) -> None:
    width = max(len(one), len(other))
    left, right = ([*part, *[0] * (width - len(part))] for part in (one, other))
    texts = [".".join(map(str, part)) for part in (one, other)]
    expected = (left > right) - (left < right)
    found = compare(f"v{texts[0]}+build.7", texts[1])
    assert found is not None
    assert (found > 0) - (found < 0) == expected
    assert VersionRange.from_text(f"<{texts[1]}").holds(texts[0]) is (expected < 0)


HOSTILE = [
    b"",
    b"[]",
    b"{}",
    b"\xff\xfe",
    b'{"bomFormat": "CycloneDX"}',
    b'{"bomFormat": "CycloneDX", "components": {"a": 1}, "dependencies": 3, "metadata": []}',
    b'{"bomFormat": "CycloneDX", "components": ' + b'[{"components": ' * 5000 + b"]" * 5000 + b"}",
    json.dumps({"bomFormat": "CycloneDX", "components": [library("x")] * 50_001}).encode(),
    json.dumps({"bomFormat": "CycloneDX", "components": [image("app", "zz")]}).encode(),
]


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_sbom_is_one_sentence(data: bytes) -> None:
    with pytest.raises(FormatError):
        SbomIndex.from_bytes(data)


def test_a_circle_of_dependencies_ends() -> None:
    parts = [library(f"l{at}", **{"bom-ref": f"l{at}"}) for at in range(300)]
    circle = [{"ref": f"l{at}", "dependsOn": [f"l{(at + 1) % 300}", f"l{at}", 3, "none"]} for at in range(300)]
    app = image("app", APP, **{"bom-ref": "a"})
    found = sbom(app, *parts, dependencies=[*circle, {"ref": "a", "dependsOn": ["l7"]}])
    assert verdicts(found, "l6") == {APP: "affected"}


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=6)
    | st.sampled_from([APP, "smpdfu:image-hash", "app"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                *[
                    [
                        "components",
                        "properties",
                        "name",
                        "value",
                        "hashes",
                        "alg",
                        "content",
                        "bom-ref",
                        "ref",
                        "dependsOn",
                    ]
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(values, values, values)
def test_any_json_is_read_or_refused(components: object, dependencies: object, metadata: object) -> None:
    document = {"bomFormat": "CycloneDX", "components": components, "dependencies": dependencies, "metadata": metadata}
    try:
        found = SbomIndex.from_bytes(json.dumps(document).encode())
    except FormatError:
        return
    assert {one.verdict for one in found.search(ComponentQuery.from_text("app"))} <= set(ImageVerdict)
