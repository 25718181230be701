"""What each image of a package is for, by what the SDK writes into the manifest."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.errors import PackageError
from tests.dfu.conftest import Maker

# What the SDK writes (nrf, cmake/sysbuild/zip.cmake), and what each file is.
CPUNET = {"board": "nrf5340dk/nrf5340/cpunet", "soc": "nRF5340_CPUNET_QKAA"}
ROLES: list[tuple[str, dict[str, Any], Role, int, int | None]] = [
    ("app.signed.bin", {"image_index": "0", "load_address": 0xC200}, Role.APP, 0, None),
    ("app.signed.bin", {"image_index": "0", "slot": "0", "load_address": 0xC000}, Role.APP, 0, 0),
    ("mcuboot_secondary_app.signed.bin", {"image_index": "0", "slot": "1", "load_address": 0x86000}, Role.APP, 0, 1),
    ("ipc_radio.bin", {"image_index": "1", "load_address": 0x0100_8800}, Role.NET, 1, None),
    ("ipc_radio.bin", {"image_index": "1", "load_address": 0x2000_0000, **CPUNET}, Role.NET, 1, None),
    ("ipc_radio.bin", {"image_index": "1"}, Role.NET, 1, None),
    ("app.external.bin", {"image_index": "1", "load_address": 0x1200_0200}, Role.EXTERNAL, 1, None),
    ("app.external.bin", {"image_index": "2", "load_address": 0x1200_0200}, Role.EXTERNAL, 2, None),
    ("app.external.bin", {"image_index": "1", "load_address": 0x12_0200}, Role.EXTERNAL, 1, None),  # PM's address
    ("app.external.bin", {"image_index": "2", "load_address": 0x12_0200}, Role.EXTERNAL, 2, None),
    ("nrf70.bin", {"image_index": "1"}, Role.OTHER, 1, None),
    ("nrf70.bin", {"image_index": "2"}, Role.OTHER, 2, None),
    ("sensor.bin", {"image_index": "4"}, Role.OTHER, 4, None),
    ("s0.bin", {"type": "mcuboot", "slot": "0", "load_address": 0x8000}, Role.MCUBOOT, 0, 0),
    ("s1.bin", {"type": "mcuboot", "slot": 1, "load_address": 0x16000}, Role.MCUBOOT, 0, 1),
    ("app.signed.bin", {"image_index": "-1", "slot": "-1", "load_address": "-1"}, Role.APP, 0, None),
]


@pytest.mark.parametrize(("file", "entry", "role", "number", "slot"), ROLES)
def test_what_an_image_is_for(
    make: Maker, file: str, entry: dict[str, Any], role: Role, number: int, slot: int | None
) -> None:
    data = make.data(address=0x1200_0200)  # linked for no core
    image = PackageImage.from_bytes(data, file, entry)
    assert (image.role, image.image_index, image.slot) == (role, number, slot)


def test_variants_of_one_image(make: Maker) -> None:
    """Direct XIP: one file for each slot. Whoever wants one has to choose first."""
    one = make.image()
    variants = [replace(one, file=f"{slot}.bin", entry={"slot": str(slot), "file": f"{slot}.bin"}) for slot in (0, 1)]
    package = Package(tuple(variants))
    assert package.of_role(Role.APP) == tuple(variants)
    with pytest.raises(PackageError, match=r"each of these files .* one is wanted: 0\.bin, 1\.bin"):
        package.image(Role.APP)
    with pytest.raises(PackageError, match="are both"):
        Package((*variants, replace(variants[1], file="2.bin")))


@pytest.mark.parametrize("core", Core)
def test_a_program_may_ask_for_the_image_of_a_core(make: Maker, core: Core) -> None:
    """Programs did so before there were roles."""
    both = make.package()
    found = both.image(core)
    assert found is not None
    assert (found, found.core) == (both.image(Role(core)), core)


def test_where_images_go_is_part_of_what_is_installed(make: Maker) -> None:
    """Else a journal would take one package for the other; that of an image for each core is as it always was."""
    image = make.image()
    half = replace(image, role=Role.EXTERNAL, entry={"image_index": "1"})
    packages = [
        Package((image,)),
        Package((replace(image, entry={"slot": "0"}),)),
        Package((replace(image, entry={"slot": "1"}),)),
        Package((half,)),
        Package((replace(half, entry={"image_index": "2"}),)),
    ]
    assert len({package.digest for package in packages}) == len(packages)
    alone = hashlib.sha256(f"app:{len(image.data)}:".encode() + image.data).hexdigest()
    assert packages[0].digest == alone
