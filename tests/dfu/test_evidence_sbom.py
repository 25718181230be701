"""The SBOM of a package: valid CycloneDX, the same bytes each time, and read again as it was written."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from smpdfu.dfu.build_folder.build import Build
from smpdfu.dfu.build_folder.find import find_build
from smpdfu.dfu.build_folder.packing.making import BuildRequest, pack_build
from smpdfu.dfu.evidence.sbom import SbomSource, sbom_bytes
from smpdfu.dfu.evidence.sbom_reading import parse_sbom
from smpdfu.dfu.evidence.software import Software
from smpdfu.dfu.package.package import Package
from tests.build_folders import STAGED, built, key_of

MBEDTLS = Software(
    "mbedtls",
    "3.6.2",
    "Apache-2.0 OR GPL-2.0-or-later",
    ("pkg:github/Mbed-TLS/mbedtls@v3.6.2", "pkg:generic/mbedtls@3.6.2"),
    ("cpe:2.3:a:arm:mbed_tls:3.6.2:*:*:*:*:*:*:*", "cpe:2.3:a:trustedfirmware:mbed_tls:3.6.2:*:*:*:*:*:*:*"),
    "arm",
    "git+https://github.com/zephyrproject-rtos/mbedtls@a3e190fe",
    ("mbedtls-deps",),
    ("modules-deps",),
)
SPARE = Software("kernel")


@cache
def packed() -> tuple[Build, Package]:
    build = find_build(built(STAGED))
    return build, pack_build(build, BuildRequest(), key_of(STAGED)).package


def source(*software: Software, time_s: int = 1_700_000_000) -> SbomSource:
    build, package = packed()
    inside = {image.file: software for image in package.images}
    return SbomSource((("dfu_application.zip", package.to_bytes(), package),), time_s, build, inside)


def document(*software: Software) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sbom_bytes(source(*software)))
    return found


def test_the_strict_validator_of_the_library_takes_it() -> None:
    data = sbom_bytes(source(MBEDTLS, MBEDTLS, SPARE))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode()) is None


def test_the_same_input_gives_the_same_bytes_and_another_one_another_number() -> None:
    one = sbom_bytes(source(MBEDTLS, SPARE))
    assert one == sbom_bytes(source(MBEDTLS, SPARE))
    numbers = {
        json.loads(data)["serialNumber"] for data in (one, sbom_bytes(source(SPARE)), sbom_bytes(source(time_s=1)))
    }
    assert len(numbers) == 3
    assert json.loads(one)["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"


def test_each_image_has_what_the_device_lists_and_its_software() -> None:
    _, package = packed()
    found = parse_sbom(sbom_bytes(source(MBEDTLS, SPARE)))
    assert (found.name, found.version) == ("smp_app", "1.2.3+4")
    assert {one.file: one.hash for one in found.images} == {one.file: one.hash for one in package.images}
    for image in found.images:
        assert [(one.name, one.version) for one in image.components] == [("kernel", ""), ("mbedtls", "3.6.2")]
        assert image.components[1].purl == "pkg:github/mbed-tls/mbedtls@v3.6.2"  # as the purl specification writes it
        assert image.components[1].cpe == MBEDTLS.cpes[0]


def test_the_properties_of_an_image() -> None:
    images = {one["name"]: one for one in document()["components"]}
    app = {one["name"]: one["value"] for one in images["smp_app.signed.bin"]["properties"]}
    net = {one["name"]: one["value"] for one in images["ipc_radio.bin"]["properties"]}
    key = key_of(STAGED).keyhash.hex()
    assert app["smpdfu:key-hash"] == net["smpdfu:key-hash"] == key
    assert (app["smpdfu:role"], net["smpdfu:role"], net["smpdfu:core"]) == ("app", "net", "net")
    assert app["smpdfu:ncs"] == "3.4.1"
    assert len(bytes.fromhex(net["smpdfu:nsib-key-hash"])) == 32
    assert "smpdfu:nsib-key-hash" not in app
