"""What contradicts itself in a build folder, or contradicts the keys, is refused with the fact and its file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from smpdfu.dfu.build_folder.find import find_build
from smpdfu.dfu.build_folder.packing.making import BuildRequest, make_build_package
from smpdfu.dfu.build_folder.table import describe_build
from smpdfu.dfu.package.images import Role
from smpdfu.errors import PackageError, SigningError, SmpdfuError, TooLargeError
from smpdfu.image.files import read_firmware
from smpdfu.image.format import Image, Version
from smpdfu.image.hexfile import Segment, encode
from smpdfu.image.keys.export import public_key_bytes
from smpdfu.image.keys.keys import PrivateKey, generate, load_private
from smpdfu.image.nsib.seal import seal
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.image.trailer import SwapMode
from tests.build_folders import STAGED, built, change, copy_of, key_of, set_key

ENCRYPTED = "ncs3.0-sysbuild-pm-staged-encrypted"
PM_STAGED = "ncs3.0-sysbuild-pm-staged"
KEY_FILE = "SB_CONFIG_BOOT_ENCRYPTION_KEY_FILE"
APP, NET, MCUBOOT = "smp_app/zephyr", "ipc_radio/zephyr", "mcuboot/zephyr"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def encryption_key() -> PrivateKey:
    return load_private((ROOT / "keys" / "dev-encrypt-p256.pem").read_bytes())


@dataclass(frozen=True)
class Case:
    """A change to the folder of a kind, the code of the error, and words that it has."""

    code: str
    words: str
    alter: Callable[[Path], object]
    sign: bool = True
    kind: str = PM_STAGED


def _without(*names: str) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return alter


def _with(*keys: tuple[str, str, str | None]) -> Callable[[Path], None]:
    """Set keys: each with the folder of its ``.config``, and its value."""

    def alter(folder: Path) -> None:
        for place, key, value in keys:
            set_key(folder / place / ".config", key, value)

    return alter


def _no_key_file(folder: Path) -> None:
    places = (("zephyr", KEY_FILE), (APP, "CONFIG_MCUBOOT_ENCRYPTION_KEY_FILE"))
    _with(*((place, key, None) for place, key in (*places, (MCUBOOT, "CONFIG_BOOT_ENCRYPTION_KEY_FILE"))))(folder)


def _without_mcuboot(folder: Path) -> None:
    _without(f"{MCUBOOT}/.config")(folder)
    _with((APP, "CONFIG_BOOTLOADER_MCUBOOT", None))(folder)


def _larger(folder: Path) -> None:
    """An application of 0x7a000 bytes: as large as its slot, without the header and the trailer."""
    code = (folder / APP / "zephyr.hex").with_suffix(".bin").read_bytes()
    (folder / APP / "zephyr.hex").write_bytes(encode((Segment(0xC200, code.ljust(0x7A000, b"\1")),)))


def _elsewhere(folder: Path) -> None:
    (folder / APP / "zephyr.hex").write_bytes(encode((Segment(0x2_0200, bytes(4000)), Segment(0xF_F000, b"\1"))))


def _code_in_the_place_of_the_header(folder: Path) -> None:
    """A build without Partition Manager keeps zeros in front of its code; here is something else."""
    code = _code_of(folder)[0x200:]
    (folder / APP / "zephyr.hex").write_bytes(encode((Segment(0x1_0000, b"\xff" * 0x200 + code),)))


def _code_of(folder: Path) -> bytes:
    """The bytes of the application's zephyr.hex."""
    return read_firmware(folder / APP / "zephyr.hex").flat()


def _replaced(folder: Path, name: str, **changes: object) -> None:
    """A signed image with other words in its request."""
    key = key_of(PM_STAGED)
    old = Image.from_bytes((folder / name).read_bytes())
    wanted = {"version": old.header.version, "header_size": 0x200, "slot_size": 0, "pad_header": True} | changes
    image = build(ImageSpec(**wanted), old.payload, key)  # type: ignore[arg-type]
    (folder / name).write_bytes(image.to_bytes())


def _flipped(folder: Path) -> None:
    file = folder / APP / "zephyr.signed.bin"
    data = bytearray(file.read_bytes())
    data[0x300] ^= 1
    file.write_bytes(data)


def _other_board(folder: Path) -> None:
    change(folder / NET / ".config", "^CONFIG_BOARD_TARGET=.*", 'CONFIG_BOARD_TARGET="thingy53/nrf5340/cpunet"')
    for info in folder.glob("ipc_radio/build_info.yml"):
        info.unlink()


def _other_release(header: str, define: str) -> Callable[[Path], None]:
    """The headers that CMake makes for each image: here they name two releases."""

    def alter(folder: Path) -> None:
        for place, version in ((APP, "3.0.2"), (NET, "2.9.0")):
            file = folder / place / "include" / "generated" / "zephyr" / header
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f'#define {define.replace("STRING", "MAJOR")} 3\n#define {define}           "{version}"\n')

    return alter


def _encrypted_network(folder: Path) -> None:
    name = "signed_by_mcuboot_and_b0_ipc_radio.bin"
    old = Image.from_bytes((folder / name).read_bytes())
    recipient = load_private((ROOT / "keys" / "dev-encrypt-p256.pem").read_bytes()).public
    image = build(ImageSpec(Version(0), 0x200, 0, pad_header=True), old.payload, key_of(ENCRYPTED), recipient)
    (folder / name).write_bytes(image.to_bytes())


def _without_encryption_key(folder: Path) -> None:
    """A folder that names a key file which is on another computer."""
    for config in folder.rglob(".config"):
        config.write_text(re.sub(r'(ENCRYPTION_KEY_FILE=)".+"', r'\1"/nowhere/key.pem"', config.read_text()))


CASES = {
    "image larger than its slot": Case("build-too-large", "499200", _larger),
    "code outside its slot": Case("build-place", "0xff000", _elsewhere),
    "no room for the header": Case("build-place", "512 before 0x10200", _code_in_the_place_of_the_header, kind=STAGED),
    "unsigned firmware missing": Case(
        "build-no-firmware",
        f"{APP}/zephyr.hex",
        _without(f"{APP}/zephyr.hex", f"{APP}/zephyr.bin"),
    ),
    "signed image missing": Case(
        "build-not-signed",
        f"{APP}/zephyr.signed.bin",
        _without(f"{APP}/zephyr.signed.bin"),
        False,
    ),
    "boards differ": Case("build-boards", "thingy53/nrf5340/cpunet", _other_board),
    "releases of the SDK differ": Case("build-sdk", "2.9.0", _other_release("ncs_version.h", "NCS_VERSION_STRING")),
    "releases of Zephyr differ": Case("build-sdk", "2.9.0", _other_release("version.h", "KERNEL_VERSION_STRING")),
    "key of another type": Case(
        "build-key-type",
        f"{MCUBOOT}/.config, CONFIG_BOOT_SIGNATURE_TYPE_ED25519",
        _with(
            (MCUBOOT, "CONFIG_BOOT_SIGNATURE_TYPE_ECDSA_P256", None),
            (MCUBOOT, "CONFIG_BOOT_SIGNATURE_TYPE_ED25519", "y"),
        ),
    ),
    "no name of a key to encrypt with": Case("build-needs-encryption", "names none", _no_key_file, kind=ENCRYPTED),
    "no key to encrypt with": Case(
        "build-needs-encryption",
        "/elsewhere/key.pem",
        _with(("zephyr", KEY_FILE, '"/elsewhere/key.pem"')),
        kind=ENCRYPTED,
    ),
    "signed with another version": Case(
        "build-image",
        "CONFIG_MCUBOOT_IMGTOOL_SIGN_VERSION",
        lambda folder: _replaced(folder, f"{APP}/zephyr.signed.bin", version=Version(9)),
        False,
    ),
    "signed with another header": Case(
        "build-image",
        "PM_MCUBOOT_PAD_SIZE",
        lambda folder: _replaced(folder, f"{APP}/zephyr.signed.bin", header_size=0x400),
        False,
    ),
    "signed for another slot": Case(
        "build-image",
        "0x20000",
        lambda folder: _replaced(folder, f"{APP}/zephyr.signed.bin", rom_fixed=0x2_0000),
        False,
    ),
    "signed image damaged": Case("build-image", "SHA", _flipped, False),
    "signed image is none": Case(
        "build-image",
        "MCUboot image",
        lambda folder: (folder / APP / "zephyr.signed.bin").write_bytes(b"x" * 99),
        False,
    ),
    "signed without the load address that is demanded": Case(
        "build-image",
        "CONFIG_MCUBOOT_CHECK_HEADER_LOAD_ADDRESS",
        lambda folder: set_key(folder / MCUBOOT / ".config", "CONFIG_MCUBOOT_CHECK_HEADER_LOAD_ADDRESS", "y"),
        False,
    ),
    "signed with a counter missing": Case(
        "build-image",
        "security counter",
        _with(
            (APP, "CONFIG_MCUBOOT_HARDWARE_DOWNGRADE_PREVENTION", "y"),
            (APP, "CONFIG_MCUBOOT_HW_DOWNGRADE_PREVENTION_COUNTER_VALUE", "7"),
        ),
        False,
    ),
    "encrypted network image in a staged build": Case(
        "build-image", "encrypted network image", _encrypted_network, False, ENCRYPTED
    ),
    "signed image not encrypted": Case(
        "build-image",
        "not encrypted",
        lambda folder: (folder / APP / "zephyr.signed.encrypted.bin").write_bytes(
            (folder / APP / "zephyr.signed.bin").read_bytes()
        ),
        False,
        ENCRYPTED,
    ),
    "no slot": Case("build-incomplete", "pm.config", lambda folder: (folder / "pm.config").write_text("PM_NUM=0\n")),
    "no place of the network core": Case(
        "build-incomplete",
        "pm_CPUNET.config",
        _without("pm_CPUNET.config", "partitions_CPUNET.yml"),
    ),
    "no version": Case(
        "build-value",
        "CONFIG_MCUBOOT_IMGTOOL_SIGN_VERSION",
        lambda folder: set_key(folder / APP / ".config", "CONFIG_MCUBOOT_IMGTOOL_SIGN_VERSION", '"one"'),
    ),
    "a file that cannot be read": Case(
        "build-file", "zephyr.dts", lambda folder: (folder / APP / "zephyr.dts").write_bytes(b"\x7fELF")
    ),
    "no MCUboot": Case(
        "build-no-mcuboot",
        "CONFIG_BOOTLOADER_MCUBOOT",
        _without_mcuboot,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_contradiction_is_refused_with_its_fact_and_its_file(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    folder = copy_of(case.kind, tmp_path / "build")
    key = key_of(case.kind) if case.sign else None
    assert make_build_package(folder, None, key).package.images  # without the change there is nothing to refuse
    case.alter(folder)
    with pytest.raises(SmpdfuError, match=case.words) as caught:
        make_build_package(folder, None, key)
    assert caught.value.code == case.code
    assert caught.value.facts["file"]


def test_the_size_of_an_image_and_of_its_slot_are_told(tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    _larger(folder)
    with pytest.raises(TooLargeError) as caught:
        make_build_package(folder, None, key_of(PM_STAGED))
    assert (caught.value.size_bytes, caught.value.limit_bytes) == (0x7A000, 0x79E00)


def test_a_key_that_encrypts_fits_the_build(encryption_key: PrivateKey) -> None:
    key = key_of(PM_STAGED)
    with pytest.raises(PackageError, match="decrypts nothing") as caught:
        make_build_package(built(PM_STAGED), None, key, encryption_key.public)
    assert caught.value.code == "build-no-encryption"
    with pytest.raises(PackageError, match="x25519") as caught:
        make_build_package(built(ENCRYPTED), None, key, generate("x25519").public)
    assert caught.value.code == "build-encryption-type"
    with pytest.raises(ValueError, match="signs"):
        make_build_package(built(ENCRYPTED), None, None, encryption_key.public)


def test_another_key_of_the_right_type_is_a_warning_if_the_bootloaders_key_is_known(tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    (folder / MCUBOOT / "autogen-pubkey.c").write_bytes(public_key_bytes(key_of(PM_STAGED).public, "lang-c"))
    assert [one.code for one in make_build_package(folder, None, key_of(PM_STAGED)).warnings] == ["known-key"]
    assert [one.code for one in make_build_package(folder, None, generate("ecdsa-p256")).warnings] == [
        "build-other-key"
    ]
    (folder / MCUBOOT / "autogen-pubkey.c").write_bytes(public_key_bytes(generate("ecdsa-p256").public, "lang-c"))
    with pytest.raises(PackageError, match="key") as caught:
        make_build_package(folder)
    assert caught.value.code == "build-image"


def test_an_unsealed_network_image_is_a_warning_where_b0n_is(tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    for file in folder.glob("signed_by_b0_*"):
        file.unlink()
    made = make_build_package(folder, None, key_of(PM_STAGED))
    assert "net-unsealed" in [one.code for one in made.warnings]
    network = made.package.image(Role.NET)
    assert network is not None
    assert network.image.payload == (folder / NET / "zephyr.bin").read_bytes()
    seal(network.image.payload, 0x100_8800, key_of(PM_STAGED))  # it is the firmware that b0's round takes


def test_a_network_core_that_no_bootloader_updates_is_left_out(tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    for place, key in ((MCUBOOT, "CONFIG_PCD_APP"), (APP, "CONFIG_NRF53_UPGRADE_NETWORK_CORE")):
        set_key(folder / place / ".config", key, None)
    set_key(folder / "zephyr" / ".config", "SB_CONFIG_NETCORE_APP_UPDATE", None)
    made = make_build_package(folder, None, key_of(PM_STAGED))
    assert [one.role for one in made.package.images] == [Role.APP]
    assert "net-left-out" in [one.code for one in made.warnings]


def test_further_arguments_of_imgtool_are_named(tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    set_key(folder / APP / ".config", "CONFIG_MCUBOOT_EXTRA_IMGTOOL_ARGS", '"--dependencies (1,2.0.0)"')
    warnings = {one.code: one.message for one in make_build_package(folder, None, key_of(PM_STAGED)).warnings}
    assert "--dependencies (1,2.0.0)" in warnings["extra-arguments"]


def test_patches_of_a_wifi_chip_are_named(tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    set_key(folder / "zephyr" / ".config", "SB_CONFIG_DFU_ZIP_WIFI_FW_PATCH", "y")
    assert "patches-left-out" in [one.code for one in find_build(folder).warnings]


def test_a_bootloader_that_checks_no_signature_is_named(tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    _with((MCUBOOT, "CONFIG_BOOT_SIGNATURE_TYPE_ECDSA_P256", None), (MCUBOOT, "CONFIG_BOOT_SIGNATURE_TYPE_NONE", "y"))(
        folder
    )
    made = make_build_package(folder, None, generate("ed25519"))
    assert "build-unchecked" in [one.code for one in made.warnings]


def test_a_missing_variant_is_named(tmp_path: Path) -> None:
    folder = copy_of("ncs3.4-dts-direct-xip", tmp_path / "build")
    for file in (folder / "smp_app_slot1_variant" / "zephyr").glob(".config"):
        file.unlink()
    made = make_build_package(folder, None, key_of(PM_STAGED))
    assert "one-variant" in [one.code for one in made.warnings]
    assert [one.slot for one in made.package.images] == [0]


def test_one_image_of_a_build_is_not_the_build() -> None:
    for name in ("mcuboot", "smp_app"):
        with pytest.raises(PackageError, match="one image of the build folder") as caught:
            find_build(built(STAGED) / name)
        assert (caught.value.code, caught.value.facts["folder"]) == ("build-one-image", str(built(STAGED)))
    with pytest.raises(PackageError) as caught:
        find_build(built(STAGED) / "smp_app" / "zephyr")
    assert caught.value.code == "build-none"


def test_a_counter_of_the_build_is_signed(tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    CASES["signed with a counter missing"].alter(folder)
    made = make_build_package(folder, None, key_of(PM_STAGED))
    assert [one.image.security_counter for one in made.package.images] == [7, 7]


def test_release_refuses_keys_that_everybody_has() -> None:
    with pytest.raises(SigningError, match="cannot be released"):
        make_build_package(built(PM_STAGED), BuildRequest(release=True), key_of(PM_STAGED))
    with pytest.raises(SigningError, match="cannot be released"):
        make_build_package(built(PM_STAGED), BuildRequest(release=True))


def test_a_tie_depends_on_the_application_of_two_pairs_only() -> None:
    both = "ncs3.0-sysbuild-pm-simultaneous"
    for kind, count in ((both, 1), (PM_STAGED, 0)):
        made = make_build_package(built(kind), BuildRequest(tie=True), key_of(kind))
        network = made.package.image(Role.NET)
        assert network is not None
        assert len(network.image.dependencies) == count


def test_facts_are_told_with_their_files() -> None:
    facts = {(one.of, one.name): one for one in describe_build(built(PM_STAGED))}
    slot = facts["smp_app.signed.bin", "slot"]
    assert (slot.value, slot.origin) == ("0xc000, 0x7a000 bytes", "pm.config, PM_MCUBOOT_PRIMARY")
    assert facts["build", "update of both cores"].value == "staged"
    assert facts["build", "bootloader mode"].value == SwapMode.MOVE  # as --swap-mode takes it
    assert facts["ipc_radio.bin", "signed for b0n"].value == "yes"
    json.dumps([one.of + one.name + one.value + one.origin for one in facts.values()])
