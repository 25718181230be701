"""Values that somebody gives instead of those of a build folder, and code that must stay where it is linked."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpdfu.dfu.build_folder.find import find_build
from smpdfu.dfu.build_folder.packing.making import BuildRequest, make_build_package
from smpdfu.dfu.build_folder.packing.overrides import BuildOverrides
from smpdfu.dfu.build_folder.table import describe_build
from smpdfu.errors import PackageError, TooLargeError
from smpdfu.image.files import read_firmware
from smpdfu.image.format import Version
from smpdfu.image.hexfile import Segment, encode
from smpdfu.image.trailer import SwapMode
from tests.build_folders import built, change, copy_of, key_of

PM_STAGED = "ncs3.0-sysbuild-pm-staged"
APP, MCUBOOT = "smp_app/zephyr", "mcuboot/zephyr"


def _code_of(folder: Path) -> bytes:
    """The bytes of the application's zephyr.hex."""
    return read_firmware(folder / APP / "zephyr.hex").flat()


def test_given_values_take_the_place_of_the_builds_and_are_told() -> None:
    given = BuildOverrides(
        version=Version(2),
        net_version=Version(3),
        security_counter=5,
        swap_mode=SwapMode.OVERWRITE_ONLY,
    )
    made = make_build_package(built(PM_STAGED), BuildRequest(overrides=given), key_of(PM_STAGED))
    app, net = made.package.images
    assert (app.image.header.version, net.image.header.version) == (Version(2), Version(3))
    assert (app.image.security_counter, net.image.security_counter) == (5, None)
    assert app.entry["version_MCUBOOT"] == "2.0.0+0"
    told = [one.message for one in made.warnings if one.code == "overridden"]
    assert len(told) == 4
    assert any("2.0.0 as given" in one and "1.2.3+4 in the build" in one and ".config" in one for one in told)


def test_a_given_header_moves_no_code_away_from_its_address(tmp_path: Path) -> None:
    """Code in a .hex lies where it is linked to run; a .bin has no addresses."""
    larger = BuildRequest(overrides=BuildOverrides(header_size=0x400))
    with pytest.raises(PackageError, match="512 before 0xc400"):
        make_build_package(built(PM_STAGED), larger, key_of(PM_STAGED))
    folder = copy_of(PM_STAGED, tmp_path / "build")
    (folder / APP / "zephyr.bin").write_bytes(_code_of(folder))
    (folder / APP / "zephyr.hex").unlink()
    made = make_build_package(folder, larger, key_of(PM_STAGED))
    assert [one.image.header.hdr_size for one in made.package.images] == [0x400, 0x200]
    assert [one.message for one in made.warnings if one.code == "overridden"]


def test_given_slots() -> None:
    given = BuildOverrides(app_slot_size=0x60000, net_address=0x100_8800, net_slot_size=0x8000)
    build = make_build_package(built(PM_STAGED), BuildRequest(overrides=given), key_of(PM_STAGED))
    assert len([one for one in build.warnings if one.code == "overridden"]) == 2
    small = BuildOverrides(app_slot_size=0x2000)
    with pytest.raises(TooLargeError):
        make_build_package(built(PM_STAGED), BuildRequest(overrides=small), key_of(PM_STAGED))


def test_an_image_of_an_unknown_bootloader_fits_the_mode_that_keeps_the_most(tmp_path: Path) -> None:
    """As large as an overwriting bootloader takes it, and too large for one that swaps using move."""
    folder = copy_of(PM_STAGED, tmp_path / "build")
    large = encode((Segment(0xC200, (_code_of(folder) + bytes(0x7A000))[: 0x7A000 - 0x200 - 2000]),))
    (folder / APP / "zephyr.hex").write_bytes(large)
    overwriting = BuildRequest(overrides=BuildOverrides(swap_mode=SwapMode.OVERWRITE_ONLY))
    for config in (folder / APP / ".config", folder / MCUBOOT / ".config"):
        change(config, "^CONFIG_(MCUBOOT_BOOTLOADER_MODE|BOOT)_SWAP_USING_MOVE=y$", "")
    assert find_build(folder).bootloader.mode is None
    with pytest.raises(TooLargeError):
        make_build_package(folder, None, key_of(PM_STAGED))
    assert make_build_package(folder, overwriting, key_of(PM_STAGED)).package.images


def test_the_builds_own_value_is_no_override() -> None:
    given = BuildOverrides(version=Version.from_text("1.2.3+4"), app_slot_size=0x7A000, swap_mode=SwapMode.MOVE)
    made = make_build_package(built(PM_STAGED), BuildRequest(overrides=given), key_of(PM_STAGED))
    assert [one.code for one in made.warnings if one.code != "known-key"] == []


def test_a_signed_image_is_not_taken_for_another_version() -> None:
    with pytest.raises(PackageError, match=r"2\.0\.0"):
        make_build_package(built(PM_STAGED), BuildRequest(overrides=BuildOverrides(version=Version(2))))


def test_given_values_are_facts_that_were_given() -> None:
    facts = {(one.of, one.name): one for one in describe_build(built(PM_STAGED), BuildOverrides(version=Version(2)))}
    version, slot = (facts["smp_app.signed.bin", name] for name in ("version", "slot"))
    assert (version.value, version.origin, slot.origin) == ("2.0.0", "given", "pm.config, PM_MCUBOOT_PRIMARY")
