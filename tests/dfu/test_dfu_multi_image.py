"""dfu_multi_image.bin: what is written, what is read, and what a device would not take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.dfu.package import multi_image
from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.multi_image import MAX_IMAGES, Part, dump, parse, read_images, write_images
from smpdfu.dfu.package.package import Package
from smpdfu.errors import PackageError
from smpdfu.image.files import FileKind, identify
from tests.dfu.conftest import Maker
from tests.vectors import make_multi_images

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(make_multi_images.FILE.read_text())
PARTS = st.lists(
    st.builds(Part, st.integers(-(1 << 31), (1 << 31) - 1), st.binary(min_size=1, max_size=300)),
    min_size=1,
    max_size=MAX_IMAGES,
    unique_by=lambda part: part.id,
)


@pytest.mark.parametrize("vector", VECTORS["good"], ids=lambda one: one["name"])
def test_a_file_of_the_sdk_is_read_and_written_the_same(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["file"])
    parts = tuple(Part(number, bytes.fromhex(image)) for number, image in vector["images"])
    assert parse(data) == parts
    assert dump(parts) == data
    assert identify(data) is FileKind.DFU_MULTI_IMAGE


@pytest.mark.parametrize("vector", VECTORS["other_forms"], ids=lambda one: one["name"])
def test_other_forms_of_the_header_that_a_device_takes_are_read(vector: dict[str, Any]) -> None:
    assert parse(bytes.fromhex(vector["file"])) == parse(bytes.fromhex(VECTORS["good"][0]["file"]))


@pytest.mark.parametrize("vector", VECTORS["bad"], ids=lambda one: one["name"])
def test_what_a_device_does_not_take_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(PackageError, match=vector["why"]):
        parse(bytes.fromhex(vector["file"]))


@given(PARTS)
def test_what_is_written_is_read(parts: list[Part]) -> None:
    data = dump(parts)
    assert parse(data) == tuple(parts)
    for damaged in (data[:-1], data + b"\0"):
        with pytest.raises(PackageError):
            parse(damaged)


@given(PARTS, st.data())
def test_a_changed_header_gives_one_error_or_other_parts(parts: list[Part], draw: st.DataObject) -> None:
    data = bytearray(dump(parts))
    at = draw.draw(st.integers(0, int.from_bytes(data[:2], "little") + 1))
    data[at] ^= draw.draw(st.integers(1, 255))
    try:
        found = parse(bytes(data))
    except PackageError:
        return
    assert sum(len(part.data) for part in found) < len(data)


def test_a_file_too_large_for_any_flash_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multi_image, "MAX_PACKAGE_BYTES", 1 << 20)
    with pytest.raises(PackageError, match="larger than the 1 MiB"):
        parse(bytes((1 << 20) + 1))


def test_no_file_is_written_that_would_not_be_read() -> None:
    for parts, why in (
        ((), "has 0 images"),
        ((Part(0, b"x"), Part(0, b"y")), "two images"),
        ((Part(0, b""),), "0 bytes"),
    ):
        with pytest.raises(PackageError, match=why):
            dump(parts)


# --- as a package ---------------------------------------------------------------------------------------------------


def test_the_images_of_a_package_and_back(make: Maker) -> None:
    package = make.package()
    data = write_images(package.images)
    again = Package.from_bytes(data)
    assert [(one.role, one.file, one.data) for one in again.images] == [
        (one.role, one.file, one.data) for one in package.images
    ]
    assert [one.code_address for one in again.images] == [one.code_address for one in package.images]
    assert again.digest == package.digest
    assert write_images(again.images) == data
    as_zip = Package.from_bytes(again.to_bytes())
    assert [(one.role, one.data) for one in as_zip.images] == [(one.role, one.data) for one in package.images]


def test_roles_come_from_number_and_code(make: Maker) -> None:
    app, net = make.data(), make.data(make.image(Role.NET).core)
    other = make.data(address=0x1200_0200)  # linked for no core: patches of a Wi-Fi chip, data
    encrypted = make.data(make.image(Role.NET).core, encrypted=True)
    parts = (Part(0, app), Part(1, net), Part(2, other), Part(-2, make.data(mark=1)), Part(-1, make.data(mark=2)))
    found = read_images(dump(parts))
    assert [(one.role, one.image_index, one.slot) for one in found] == [
        (Role.APP, 0, None),
        (Role.NET, 1, None),
        (Role.OTHER, 2, None),
        (Role.MCUBOOT, 0, 0),
        (Role.MCUBOOT, 0, 1),
    ]
    assert [one.role for one in read_images(dump([Part(1, other)]))] == [Role.OTHER]
    assert [one.role for one in read_images(dump([Part(1, encrypted)]))] == [Role.NET]
    patches = Package.from_bytes(Package.from_bytes(dump([Part(0, app), Part(1, other)])).to_bytes())
    assert [one.role for one in patches.images] == [Role.APP, Role.OTHER]


def test_what_is_no_image_inside_is_named_by_its_number(make: Maker) -> None:
    with pytest.raises(PackageError, match="image 1 of the file is not a whole MCUboot image"):
        read_images(dump([Part(0, make.data()), Part(1, b"firmware")]))
    with pytest.raises(PackageError, match="no image of the SDK has the number -3"):
        read_images(dump([Part(-3, make.data())]))


def test_two_variants_of_an_application_do_not_fit_into_one_file(make: Maker) -> None:
    from dataclasses import replace

    one = make.image()
    variants = [replace(one, file=f"{slot}.bin", entry={"slot": str(slot)}) for slot in (0, 1)]
    with pytest.raises(PackageError, match="two images with the number 0"):
        write_images(variants)


def test_a_damaged_file_is_refused_with_its_name(make: Maker, tmp_path: Path) -> None:
    path = tmp_path / "update.bin"
    path.write_bytes(write_images(make.package().images)[:-1])
    with pytest.raises(PackageError, match=r"update\.bin: this is not a valid .*: its header describes"):
        Package.load(path)
