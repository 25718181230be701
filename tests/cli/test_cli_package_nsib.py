"""``package`` with two keys and two rounds: the seal for NSIB, and MCUboot's signature around it."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.verification.verify import verify
from tests.build_folders import STAGED, built, copy_of, set_key
from tests.vectors.make_build_folders import signing_key

if TYPE_CHECKING:
    from tests.cli.conftest import Call

PM_STAGED, OWN = "ncs3.0-sysbuild-pm-staged", "ncs3.0-pm-mcuboot-update"
NET = "ipc_radio"
NSIB, SIGN = generate("ecdsa-p256"), generate("ecdsa-p256")
MAGIC = struct.pack("<III", 0x281EE6DE, 0x86518483, 2 | 53 << 8 | 1 << 16)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    for name, key in (("nsib", NSIB), ("sign", SIGN)):
        (tmp_path / f"{name}.pem").write_bytes(key.to_private_pem())
        (tmp_path / f"{name}-locked.pem").write_bytes(key.to_private_pem(f"of {name}".encode()))
    return tmp_path


def seals(payload: bytes) -> int:
    return payload.count(MAGIC)


def sealed_by(key: PrivateKey, payload: bytes, address: int) -> bool:
    """Judge a seal by the written format: one block behind the firmware, over its hash, with this key's signature."""
    at = payload.rindex(MAGIC)
    where, digest, public, signature = struct.unpack_from("<I32s64s64s", payload, at + 12)
    assert (where, seals(payload), len(payload)) == (address, 1, at + 176)
    assert digest == hashlib.sha256(payload[:at]).digest()
    numbers = key.public.raw.public_numbers()
    r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:]))
    try:
        key.public.raw.verify(encode_dss_signature(r, s), digest, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return bool(public == numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"))


def packed(smpdfu: Call, *words: object, name: str = "dfu_application.zip") -> tuple[dict[str, Any], Package]:
    done = smpdfu("package", *words, "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    return said, Package.load(Path(said["package"]).with_name(name))


def net_of(package: Package) -> PackageImage:
    found = package.image(Role.NET)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", [PM_STAGED, STAGED, "ncs2.5-child-staged"])
def test_a_build_is_sealed_again_by_the_key_of_the_release(kind: str, smpdfu: Call, keys: Path) -> None:
    words = (built(kind), "-k", signing_key(kind), "--nsib-key", keys / "nsib.pem", "-o", keys / "out")
    said, package = packed(smpdfu, *words)
    net = net_of(package)
    seal = next(one["seal"] for one in said["images"] if one["role"] == "net")
    assert sealed_by(NSIB, net.image.payload, seal["address"])
    assert seal["key_hash"] == hashlib.sha256(NSIB.public_bytes[-64:]).digest()[:16].hex()
    assert (seal["sealed"], seal["firmware_version"], seal["refused"]) == (True, 1, None)
    assert any("had the seal of another key" in one for one in said["warnings"])
    assert verify(net.image).accepted


def test_a_build_that_is_not_sealed_is_sealed(smpdfu: Call, keys: Path) -> None:
    folder = copy_of(PM_STAGED, keys / "build")
    for file in folder.glob("signed_by_b0_*"):
        file.unlink()
    words = (folder, "-k", keys / "sign.pem", "--nsib-key", keys / "nsib.pem")
    said, package = packed(smpdfu, *words)
    plain = (folder / NET / "zephyr/zephyr.bin").read_bytes()
    assert net_of(package).image.payload[: len(plain)] == plain
    assert sealed_by(NSIB, net_of(package).image.payload, 0x0100_8800)
    assert not any("b0n" in one for one in said["warnings"])
    done = smpdfu("package", folder, "-k", keys / "sign.pem", "--release")
    assert done.code == 3
    assert "--nsib-key seals it" in done.err


def test_without_the_key_the_seal_of_the_build_stays(smpdfu: Call, keys: Path) -> None:
    _, package = packed(smpdfu, built(PM_STAGED), "-k", keys / "sign.pem", "-o", keys / "out")
    assert net_of(package).image.payload == (built(PM_STAGED) / f"signed_by_b0_{NET}.bin").read_bytes()


@pytest.mark.parametrize("source", [f"{NET}/zephyr/zephyr.hex", f"signed_by_b0_{NET}.hex", f"signed_by_b0_{NET}.bin"])
def test_firmware_files_are_sealed(source: str, smpdfu: Call, keys: Path) -> None:
    words = ("--net", built(PM_STAGED) / source, "-v", "1.0.0", "-k", keys / "sign.pem", "-o", keys / "out")
    said, package = packed(smpdfu, *words, "--nsib-key", keys / "nsib.pem")
    assert sealed_by(NSIB, net_of(package).image.payload, 0x0100_8800)
    assert bool(said["warnings"]) is ("signed_by" in source)
    assert verify(net_of(package).image, [SIGN.public]).accepted


def test_a_merged_file_is_sealed(smpdfu: Call, keys: Path) -> None:
    words = ("--merged", built(PM_STAGED) / "merged_CPUNET.hex", "-v", "1.0.0", "-k", keys / "sign.pem")
    _, package = packed(smpdfu, *words, "--nsib-key", keys / "nsib.pem", "-o", keys / "out")
    assert sealed_by(NSIB, net_of(package).image.payload, 0x0100_8800)


def test_unsealed_firmware_for_b0n_is_said_and_no_release(smpdfu: Call, keys: Path) -> None:
    plain = built(PM_STAGED) / NET / "zephyr/zephyr.hex"
    words = ("package", "--net", plain, "-v", "1.0.0", "-k", keys / "sign.pem", "-o", keys / "out")
    done = smpdfu(*words)
    assert done.code == 0
    assert "is not sealed: b0n refuses it. --nsib-key seals it" in done.err
    assert smpdfu(*words, "--release").code == 3


def test_a_seal_with_a_key_that_everybody_has_is_no_release(smpdfu: Call, keys: Path) -> None:
    sealed = built(PM_STAGED) / f"signed_by_b0_{NET}.hex"
    words = ("package", "--net", sealed, "-v", "1.0.0", "-k", keys / "sign.pem", "-o", keys / "out")
    assert "anybody can seal with it" in smpdfu(*words).err
    done = smpdfu(*words, "--release")
    assert done.code == 3
    assert "cannot be released" in done.err
    assert smpdfu(*words, "--release", "--nsib-key", keys / "nsib.pem").code == 0


def test_each_key_has_its_passphrase(smpdfu: Call, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (keys / "pin").write_text("of sign\n")
    words = (built(PM_STAGED), "-k", keys / "sign-locked.pem", "--passphrase-file", keys / "pin", "-o", keys / "out")
    locked = (*words, "--nsib-key", keys / "nsib-locked.pem")
    assert smpdfu("package", *locked).code == 3
    monkeypatch.setenv("NSIB_PASSPHRASE", "of nsib")
    _, package = packed(smpdfu, *locked, "--nsib-passphrase-env", "NSIB_PASSPHRASE")
    assert sealed_by(NSIB, net_of(package).image.payload, 0x0100_8800)
    both = ("--nsib-passphrase-env", "NSIB_PASSPHRASE", "--nsib-passphrase-file", keys / "pin")
    assert smpdfu("package", *locked, *both).code == 2


def test_a_key_in_a_variable_seals(smpdfu: Call, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAL", NSIB.to_private_pem().decode())
    words = (built(PM_STAGED), "-k", keys / "sign.pem", "--nsib-key", "env:SEAL", "-o", keys / "out")
    _, package = packed(smpdfu, *words)
    assert sealed_by(NSIB, net_of(package).image.payload, 0x0100_8800)


def test_a_debug_key_of_the_build_is_said_and_no_release(smpdfu: Call, keys: Path) -> None:
    folder = copy_of(OWN, keys / "build")
    set_key(folder / "zephyr/.config", "SB_CONFIG_SECURE_BOOT_SIGNING_KEY_FILE", None)
    generated = folder / "GENERATED_NON_SECURE_SIGN_KEY_PRIVATE.pem"
    generated.write_bytes(signing_key(OWN).read_bytes())
    done = smpdfu("package", folder, "-k", keys / "sign.pem")
    assert "debug key" in done.err
    assert smpdfu("package", folder, "-k", keys / "sign.pem", "--release").code == 3
    assert smpdfu("package", folder, "-k", keys / "sign.pem", "--release", "--nsib-key", keys / "nsib.pem").code == 0
    set_key(folder / "zephyr/.config", "SB_CONFIG_SECURE_BOOT_SIGNING_KEY_FILE", f'"{generated}"')
    done = smpdfu("package", folder, "-k", keys / "sign.pem", "--nsib-key", keys / "nsib.pem")
    assert "names another key for NSIB" in done.err


# --- MCUboot itself -------------------------------------------------------------------------------------------------


def test_a_build_with_b0_makes_both_packages(smpdfu: Call, keys: Path) -> None:
    words = (built(OWN), "-k", keys / "sign.pem", "--nsib-key", keys / "nsib.pem", "-o", keys / "out")
    said, own = packed(smpdfu, *words, "--mcuboot-version", "2.0.0", name="dfu_mcuboot.zip")
    assert said["package"].endswith("dfu_application.zip")
    assert said["mcuboot"]["package"] == str(keys / "out/dfu_mcuboot.zip")
    for number, image in enumerate(own.of_role(Role.MCUBOOT)):
        start = (0x8000, 0x1_4000)[number]
        assert (image.slot, image.load_address, str(image.image.header.version)) == (number, start, "2.0.0")
        assert sealed_by(NSIB, image.image.payload, start + 0x200)
        assert verify(image.image, [SIGN.public]).accepted
    assert [one["slot"] for one in said["mcuboot"]["images"]] == [0, 1]


def test_without_a_key_the_images_of_the_build_are_packed(smpdfu: Call, keys: Path) -> None:
    _, own = packed(smpdfu, built(OWN), "-o", keys / "out", name="dfu_mcuboot.zip")
    sdk = Package.load(built(OWN) / "dfu_mcuboot.zip")
    assert [one.data for one in own.images] == [one.data for one in sdk.images]
    for one, other in zip(own.images, sdk.images, strict=True):
        drop = {"modtime"}
        assert {key: one.entry[key] for key in set(one.entry) - drop} == {
            key: other.entry[key] if key != "load_address" else other.load_address for key in set(other.entry) - drop
        }


def test_a_build_without_a_seal_has_no_package_for_mcuboot(smpdfu: Call, keys: Path) -> None:
    folder = copy_of(OWN, keys / "build")
    for file in folder.glob("signed_by_b0_*"):
        file.unlink()
    done = smpdfu("package", folder, "-k", keys / "sign.pem", "--json")
    assert done.code == 0
    assert "mcuboot" not in json.loads(done.out)
    assert "there is no dfu_mcuboot.zip" in done.err
    assert not (folder / "smpdfu/dfu_mcuboot.zip").exists()


def test_mcuboot_from_files(smpdfu: Call, keys: Path) -> None:
    s0, s1 = (built(OWN) / f"{name}/zephyr/zephyr.hex" for name in ("mcuboot", "s1_image"))
    words = ("--mcuboot", s0, "--mcuboot-s1", s1, "-v", "1.2.3", "-k", keys / "sign.pem", "-o", keys / "out")
    said, own = packed(smpdfu, *words, "--nsib-key", keys / "nsib.pem", name="dfu_mcuboot.zip")
    assert said["package"] == said["mcuboot"]["package"] == str(keys / "out/dfu_mcuboot.zip")
    assert [one.slot for one in own.images] == [0, 1]
    done = smpdfu("package", *words)
    assert done.code == 3
    assert "--nsib-key seals it" in done.err


@pytest.mark.parametrize("words", [("--nsib-passphrase-env", "PW"), ("--nsib-passphrase-file", "pw")])
@pytest.mark.parametrize("of_build", [True, False])
def test_a_passphrase_without_the_key_of_the_seal(
    words: tuple[str, ...], of_build: bool, smpdfu: Call, keys: Path
) -> None:
    app = built(PM_STAGED) / "smp_app/zephyr/zephyr.signed.bin"
    what: tuple[object, ...] = (built(PM_STAGED),) if of_build else ("--app", app)
    done = smpdfu("package", *what, *words, "-o", keys / "out")
    assert "need --nsib-key" in done.refused(2)
    assert not (keys / "out").exists()


# --- images that were signed elsewhere ------------------------------------------------------------------------------


def test_images_that_are_signed_are_packed_unchanged(smpdfu: Call, keys: Path) -> None:
    app, net = built(PM_STAGED) / "smp_app/zephyr/zephyr.signed.bin", built(PM_STAGED)
    net = net / f"signed_by_mcuboot_and_b0_{NET}.bin"
    _, package = packed(smpdfu, "--app", app, "--net", net, "-o", keys / "out")
    assert [one.data for one in package.images] == [app.read_bytes(), net.read_bytes()]
    own = Package.load(built(PM_STAGED) / "dfu_application.zip")
    assert [one.load_address for one in package.images] == [one.load_address for one in own.images]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--net", "APP"), "linked for the application core"),
        (("--app", "APP", "-v", "9.9.9"), "as version"),
        (("--app", "APP", "-s", "7"), "security counter"),
        (("--app", "APP", "-S", "0x1000"), "too large"),
        (("--app", "APP", "--release"), "cannot be released"),
    ],
)
def test_a_signed_image_that_is_not_what_was_asked_for(
    words: tuple[str, ...], why: str, smpdfu: Call, keys: Path
) -> None:
    app = built(PM_STAGED) / "smp_app/zephyr/zephyr.signed.bin"
    done = smpdfu("package", *(app if one == "APP" else one for one in words), "-o", keys / "out")
    assert done.code == 3
    assert why in done.err


def test_a_signed_image_that_is_damaged(smpdfu: Call, keys: Path) -> None:
    data = bytearray((built(PM_STAGED) / "smp_app/zephyr/zephyr.signed.bin").read_bytes())
    data[0x400] ^= 1
    (keys / "app.bin").write_bytes(data)
    done = smpdfu("package", "--app", keys / "app.bin", "-o", keys / "out")
    assert done.code == 3
    assert "damaged" in done.err
