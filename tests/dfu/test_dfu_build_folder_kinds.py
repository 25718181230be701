"""Each kind of build folder: what is found in it, and that its package is the one that the build makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from smpdfu.dfu.build_folder.build import BuildKind, BuildRole
from smpdfu.dfu.build_folder.find import find_build
from smpdfu.dfu.build_folder.packing.making import BuildRequest, make_build_package
from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.making import MadePackage
from smpdfu.dfu.package.package import Package
from smpdfu.image.format import Flag, Image, Version
from smpdfu.image.keys.keys import load_private
from smpdfu.image.signing.build import ImageSpec
from smpdfu.image.signing.build import build as sign
from smpdfu.image.verification.verify import verify
from smpdfu.smp.groups.os import BootloaderMode as Mode
from tests.build_folders import STAGED, built, copy_of, key_of
from tests.vectors.make_build_folders import KINDS

CHILD, PM, DTS = BuildKind.CHILD, BuildKind.SYSBUILD_PM, BuildKind.SYSBUILD_DTS
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Expected:
    """What a kind's folder says: facts from the SDK's own words for that kind."""

    kind: BuildKind
    mode: Mode
    roles: tuple[Role, ...] = (Role.APP,)
    simultaneous: bool | None = None
    encryption: str | None = None
    signature: str = "ecdsa-p256"
    app: int = 0xC000
    net: int | None = None


BOTH = (Role.APP, Role.NET)
EXPECTED = {
    "ncs2.5-child-staged": Expected(CHILD, Mode.SWAP_USING_MOVE, BOTH, False, net=0x100_8800),
    "ncs2.5-child-nrf52840-swap": Expected(CHILD, Mode.SWAP_USING_MOVE),
    "ncs2.7-sysbuild-pm-staged": Expected(PM, Mode.SWAP_USING_MOVE, BOTH, False, net=0x100_8800),
    "ncs2.7-sysbuild-pm-simultaneous": Expected(PM, Mode.OVERWRITE_ONLY, BOTH, True, app=0x1_0000, net=0x100_8800),
    "ncs3.0-sysbuild-pm-staged": Expected(PM, Mode.SWAP_USING_MOVE, BOTH, False, net=0x100_8800),
    "ncs3.0-sysbuild-pm-staged-encrypted": Expected(
        PM, Mode.SWAP_USING_MOVE, BOTH, False, "ecdsa-p256", net=0x100_8800
    ),
    "ncs3.0-sysbuild-pm-simultaneous": Expected(PM, Mode.OVERWRITE_ONLY, BOTH, True, app=0x1_0000, net=0x100_8800),
    "ncs3.0-sysbuild-pm-simultaneous-encrypted": Expected(
        PM, Mode.OVERWRITE_ONLY, BOTH, True, "ecdsa-p256", app=0x1_0000, net=0x100_8800
    ),
    "ncs3.0-pm-qspi-xip": Expected(PM, Mode.SWAP_USING_MOVE, (Role.APP, Role.EXTERNAL), app=0x1_0000),
    "ncs3.0-pm-qspi-xip-net": Expected(
        PM, Mode.OVERWRITE_ONLY, (Role.APP, Role.EXTERNAL, Role.NET), True, app=0x1_0000, net=0x100_8800
    ),
    "ncs3.0-pm-direct-xip": Expected(PM, Mode.DIRECT_XIP, (Role.APP, Role.APP)),
    "ncs3.0-pm-single-slot": Expected(PM, Mode.SINGLE_APP),
    "ncs3.0-pm-mcuboot-update": Expected(PM, Mode.SWAP_USING_MOVE, app=0x2_0000),
    "ncs3.4-dts-staged": Expected(DTS, Mode.SWAP_USING_MOVE, BOTH, False, app=0x1_0000, net=0x100_8800),
    "ncs3.4-dts-simultaneous": Expected(DTS, Mode.OVERWRITE_ONLY, BOTH, True, app=0x1_0000, net=0x100_2800),
    "ncs3.4-dts-direct-xip": Expected(DTS, Mode.DIRECT_XIP, (Role.APP, Role.APP), app=0x1_0000),
    "ncs3.4-dts-direct-xip-revert": Expected(DTS, Mode.DIRECT_XIP_WITH_REVERT, (Role.APP, Role.APP), app=0x1_0000),
    "ncs3.4-dts-firmware-loader": Expected(DTS, Mode.FIRMWARE_LOADER, app=0x1_0000),
    "ncs3.4-dts-ram-load": Expected(DTS, Mode.RAM_LOAD, app=0x1_0000),
    "ncs3.0-nrf52840-swap": Expected(PM, Mode.SWAP_USING_MOVE),
    "ncs3.0-nrf9151-swap-tfm": Expected(PM, Mode.SWAP_USING_MOVE),
    "ncs3.4-nrf54l15-swap-offset": Expected(DTS, Mode.SWAP_USING_OFFSET, signature="ed25519", app=0x1_0000),
}
ENCRYPTED = [kind for kind in KINDS if EXPECTED[kind].encryption]


def test_every_kind_is_expected() -> None:
    assert set(EXPECTED) == set(KINDS)


def own_package(folder: Path) -> Package:
    """The package that the build itself wrote."""
    return Package.load(next(folder.rglob("dfu_application.zip")))


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_build_says_of_itself(kind: str) -> None:
    build, wanted = find_build(built(kind)), EXPECTED[kind]
    loader = build.bootloader
    assert build.kind is wanted.kind
    assert loader.mode is not None
    assert loader.mode.value is wanted.mode
    assert (None if loader.simultaneous is None else loader.simultaneous.value) == wanted.simultaneous
    assert (None if loader.encryption is None else loader.encryption.value) == wanted.encryption
    assert loader.signature is not None
    assert loader.signature.value == wanted.signature
    assert tuple(one.role for one in build.updates) == wanted.roles
    app = build.updates[0]
    assert app.slot.value.address == wanted.app
    assert str(app.version.value) == "1.2.3+4"
    starts = [one.slot.value.address for one in build.updates if one.role is Role.NET]
    assert starts == ([] if wanted.net is None else [wanted.net])


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_names_a_file_that_is_there(kind: str) -> None:
    build = find_build(built(kind))
    facts = [one for one in (build.bootloader.mode, build.bootloader.signature, build.bootloader.pairs) if one]
    for update in build.updates:
        facts += [update.slot, update.limit, update.version, update.load_address]  # type: ignore[list-item]
        assert update.unsigned is not None
        assert update.signed is not None
    for fact in facts:
        assert (built(kind) / fact.file).is_file(), fact
        assert fact.key


def entries(package: Package) -> dict[str, dict[str, object]]:
    """The entries of a manifest by file, without what tells the time."""
    return {one["file"]: {key: one[key] for key in one if key != "modtime"} for one in package.manifest["files"]}


@pytest.mark.parametrize("kind", KINDS)
def test_the_signed_images_of_a_build_become_its_package(kind: str) -> None:
    made, own = make_build_package(built(kind)), own_package(built(kind))
    assert {image.file: image.data for image in made.package.images} == {image.file: image.data for image in own.images}
    ours, theirs = entries(made.package), entries(own)
    assert ours == theirs


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_signed_now_is_what_the_build_signed(kind: str) -> None:
    """All but the signature and the address in the header, which builds with Partition Manager leave out."""
    made, own = sign_again(kind, built(kind)), own_package(built(kind))
    by_file = {image.file: image.image for image in own.images}
    assert [image.file for image in made.package.images] == [one.name for one in find_build(built(kind)).updates]
    for image in made.package.images:
        theirs, ours = by_file[image.file], image.image
        assert ours.header.version == theirs.header.version
        assert (ours.header.hdr_size, ours.header_pad) == (theirs.header.hdr_size, theirs.header_pad)
        assert ours.encrypted == theirs.encrypted
        assert len(ours.payload) == len(theirs.payload)
        if not ours.encrypted:
            assert ours.payload == theirs.payload
        if theirs.header.flags & (Flag.ROM_FIXED | Flag.RAM_LOAD):
            assert (ours.header, ours.hash) == (theirs.header, theirs.hash)
        assert verify(ours, [key_of(kind).public]).accepted is not False


def sign_again(kind: str, folder: Path, request: BuildRequest | None = None) -> MadePackage:
    """The package of a folder whose images are signed now, and encrypted as far as the build encrypts."""
    encrypts = find_build(folder).bootloader.encryption is not None
    recipient = load_private((ROOT / "keys" / "dev-encrypt-p256.pem").read_bytes()).public if encrypts else None
    return make_build_package(folder, request, key_of(kind), recipient)


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_read_back_with_the_same_roles(kind: str) -> None:
    made = sign_again(kind, built(kind))
    again = Package.from_bytes(made.package.to_bytes())
    assert [(one.role, one.slot, one.data) for one in again.images] == [
        (one.role, one.slot, one.data) for one in made.package.images
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_images_for_the_cores_have_the_address_that_newer_loaders_demand(kind: str) -> None:
    build = find_build(built(kind))
    for update, image in zip(build.updates, sign_again(kind, built(kind)).package.images, strict=True):
        header = image.image.header
        if EXPECTED[kind].mode is Mode.RAM_LOAD:
            assert (header.flags & Flag.RAM_LOAD, header.load_addr) == (Flag.RAM_LOAD, 0x2002_0000)
        elif update.role is not Role.EXTERNAL:
            assert (header.flags & Flag.ROM_FIXED, header.load_addr) == (Flag.ROM_FIXED, update.slot.value.address)


@pytest.mark.parametrize("kind", ENCRYPTED)
def test_only_the_application_is_encrypted(kind: str) -> None:
    made = sign_again(kind, built(kind))
    assert {one.role: one.image.encrypted for one in made.package.images} == {Role.APP: True, Role.NET: False}


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_that_was_moved_is_read_as_well(kind: str, tmp_path: Path) -> None:
    """A build server's folder has paths in it that are not there; one without the optional files has fewer."""
    moved = copy_of(kind, tmp_path / "elsewhere")
    for name in ("domains.yaml", "build_info.yml", "CMakeCache.txt", "dfu_application.zip_manifest.json"):
        for found in moved.rglob(name):
            found.unlink()
    before, after = find_build(built(kind)), find_build(moved)
    assert {one.name: one.role for one in after.images} == {one.name: one.role for one in before.images}
    assert [(one.role, one.slot.value.address) for one in after.updates] == [
        (one.role, one.slot.value.address) for one in before.updates
    ]


def test_partitions_yml_takes_the_place_of_pm_config(tmp_path: Path) -> None:
    folder = copy_of("ncs3.0-sysbuild-pm-staged", tmp_path / "build")
    before = [(one.slot.value.address, one.slot.value.size) for one in find_build(folder).updates]
    (folder / "pm.config").unlink()
    (folder / "pm_CPUNET.config").unlink()
    after = find_build(folder).updates
    assert [(one.slot.value.address, one.slot.value.size) for one in after] == before
    assert after[0].slot.file == "partitions.yml"


@pytest.mark.parametrize("place", ["zephyr/include/generated", "zephyr/include/generated/zephyr"])
def test_the_release_of_the_sdk_is_read_from_the_header_that_the_build_makes(place: str, tmp_path: Path) -> None:
    folder = copy_of("ncs3.0-sysbuild-pm-staged", tmp_path / "build")
    for there in (folder / "smp_app").rglob("ncs_version.h"):
        there.unlink()
    header = folder / "smp_app" / place / "ncs_version.h"
    header.parent.mkdir(parents=True, exist_ok=True)
    header.write_text('#define NCS_PATCHLEVEL               2\n#define NCS_VERSION_STRING           "3.0.2"\n')
    ncs = find_build(folder).application.ncs
    assert ncs is not None
    assert (ncs.value, ncs.file) == ("3.0.2", f"smp_app/{place}/ncs_version.h")


def test_releases_until_2_7_have_short_names(tmp_path: Path) -> None:
    """Where the build's own manifest does not tell the names."""
    folder = copy_of("ncs2.7-sysbuild-pm-staged", tmp_path / "build")
    (folder / "dfu_application.zip_manifest.json").unlink()
    for version, name in (("2.7.0", "smp_app.bin"), ("2.8.0", "smp_app.signed.bin")):
        for image in ("smp_app", "ipc_radio"):
            header = folder / image / "zephyr" / "include" / "generated" / "ncs_version.h"
            header.parent.mkdir(parents=True, exist_ok=True)
            header.write_text(f'#define NCS_VERSION_STRING           "{version}"\n')
        assert [one.name for one in find_build(folder).updates] == [name, "ipc_radio.bin"]


def test_the_firmware_loader_is_named_and_left_out() -> None:
    build = find_build(built("ncs3.4-dts-firmware-loader"))
    assert build.image(BuildRole.FIRMWARE_LOADER) is not None
    assert [one.code for one in build.warnings] == ["loader-left-out"]
    assert build.updates[0].limit.value == build.updates[0].slot.value  # its own slot, not the loader's


def test_the_header_of_a_network_image_may_be_smaller_where_the_build_does_not_tell(tmp_path: Path) -> None:
    """nRF Connect SDK 3.5 makes it as small as can be, and no file says so."""
    folder = copy_of(STAGED, tmp_path / "build")
    name = "signed_by_mcuboot_and_b0_ipc_radio.bin"
    old = Image.from_bytes((folder / name).read_bytes())
    spec = ImageSpec(Version(0), 32, 0, pad_header=True, rom_fixed=0x100_8800)
    (folder / name).write_bytes(sign(spec, old.payload, key_of(STAGED)).to_bytes())
    network = make_build_package(folder).package.image(Role.NET)
    assert network is not None
    assert network.image.header.hdr_size == 32
    assert network.image.header.flags & Flag.ROM_FIXED
