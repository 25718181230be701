"""dfu_mcuboot.zip: MCUboot sealed for b0, signed for MCUboot, with the manifest that the SDK writes."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from smpdfu.dfu.build_folder.packing.making import BuildRequest, make_build_mcuboot_package
from smpdfu.dfu.build_folder.packing.overrides import BuildOverrides
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.making import MadePackage
from smpdfu.dfu.package.mcuboot import FILES, McubootRequest, make_mcuboot_package
from smpdfu.dfu.package.package import Package
from smpdfu.errors import FormatError, ImageError, PackageError, SigningError
from smpdfu.image.format import Flag, Version
from smpdfu.image.keys.keys import PrivateKey, generate, load_private
from smpdfu.image.verification.verify import verify
from tests.build_folders import built

ROOT = Path(__file__).parents[2]
BUILD = "ncs3.0-pm-mcuboot-update"
S0, S1 = 0x8000, 0x1_4000
SIGN, NSIB = generate("ecdsa-p256"), generate("ecdsa-p256")
PLAIN = McubootRequest(
    Version(1, 2, 3),
    built(BUILD) / "mcuboot/zephyr/zephyr.hex",
    built(BUILD) / "s1_image/zephyr/zephyr.bin",
)
SEALED = McubootRequest(
    Version(1, 2, 3), built(BUILD) / "signed_by_b0_mcuboot.bin", built(BUILD) / "signed_by_b0_s1_image.hex"
)


def both(made: MadePackage) -> tuple[PackageImage, ...]:
    return Package.from_bytes(made.package.to_bytes()).of_role(Role.MCUBOOT)


def is_sealed_by(key: PrivateKey, image: PackageImage, code: int) -> bool:
    """Judge the seal by the format that is written down, with no reader of ours."""
    payload = image.image.payload
    at = payload.rindex(struct.pack("<III", 0x281EE6DE, 0x86518483, 2 | 53 << 8 | 1 << 16))
    address, digest, public, signature = struct.unpack_from("<I32s64s64s", payload, at + 12)
    assert (address, at % 4, len(payload)) == (code, 0, at + 176)
    numbers = key.public.raw.public_numbers()
    assert digest == hashlib.sha256(payload[:at]).digest()
    if public != numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"):
        return False
    r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:]))
    key.public.raw.verify(encode_dss_signature(r, s), digest, ec.ECDSA(hashes.SHA256()))
    return True


@pytest.mark.parametrize("request_", [PLAIN, SEALED], ids=["plain", "sealed by the build"])
def test_two_rounds_with_two_keys(request_: McubootRequest) -> None:
    made = make_mcuboot_package(request_, SIGN, NSIB)
    for number, (start, image) in enumerate(zip((S0, S1), both(made), strict=True)):
        assert is_sealed_by(NSIB, image, start + 0x200)
        assert verify(image.image, [SIGN.public]).accepted
        assert (image.slot, image.load_address, image.image_index, image.file) == (number, start, 0, FILES[number])
        header = image.image.header
        assert (header.version, header.load_addr, header.hdr_size) == (Version(1, 2, 3), start, 0x200)
        assert header.flags == Flag.ROM_FIXED


def test_the_manifest_has_the_sdks_keys() -> None:
    entries = [dict(image.entry) for image in both(make_mcuboot_package(PLAIN, SIGN, NSIB))]
    assert [(one["type"], one["slot"], one["load_address"]) for one in entries] == [
        ("mcuboot", "0", S0),
        ("mcuboot", "1", S1),
    ]
    assert {(one["version_MCUBOOT"], one["version_B0"]) for one in entries} == {("1.2.3+0", "1")}
    own = Package.from_bytes((built(BUILD) / "dfu_mcuboot.zip").read_bytes()).images
    for entry, sdk in zip(entries, own, strict=True):
        assert set(sdk.entry) == set(entry)


def test_the_file_is_called_as_the_sdk_calls_it() -> None:
    assert set(make_mcuboot_package(PLAIN, SIGN, NSIB).files()) == {*FILES, "dfu_mcuboot.zip"}


def test_a_seal_of_another_key_is_replaced_and_that_is_said() -> None:
    assert [one.code for one in make_mcuboot_package(SEALED, SIGN, NSIB).warnings] == ["resealed"]
    assert [one.code for one in make_mcuboot_package(PLAIN, SIGN, NSIB).warnings] == []


def test_without_a_key_for_it_the_seal_of_the_build_stays() -> None:
    made = make_mcuboot_package(SEALED, SIGN)
    payloads = [image.image.payload for image in both(made)]
    assert payloads == [(built(BUILD) / f"signed_by_b0_{name}.bin").read_bytes() for name in ("mcuboot", "s1_image")]
    assert not is_sealed_by(NSIB, both(made)[0], S0 + 0x200)


def test_mcuboot_without_a_seal_is_refused() -> None:
    with pytest.raises(FormatError, match="Could not find valid firmware validation info") as caught:
        make_mcuboot_package(PLAIN, SIGN)
    assert caught.value.code == "mcuboot-unsealed"


def test_images_that_were_signed_elsewhere_are_packed_byte_for_byte() -> None:
    paths = [built(BUILD) / f"signed_by_mcuboot_and_b0_{name}.bin" for name in ("mcuboot", "s1_image")]
    made = make_mcuboot_package(McubootRequest(s0=paths[0], s1=paths[1]))
    assert [image.data for image in both(made)] == [path.read_bytes() for path in paths]
    assert [image.load_address for image in both(made)] == [S0, S1]
    assert {one.code for one in made.warnings} == {"known-key"}
    with pytest.raises(SigningError):
        make_mcuboot_package(McubootRequest(s0=paths[0], s1=paths[1], release=True))


def test_one_variant_is_said() -> None:
    made = make_mcuboot_package(replace(PLAIN, s1=None), SIGN, NSIB)
    assert [one.code for one in made.warnings] == ["one-variant"]
    assert "runs from S1" in made.warnings[0].message


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"s0": PLAIN.s1, "s1": PLAIN.s0}, "mcuboot-exchanged"),
        ({"s1": PLAIN.s0}, "mcuboot-one-slot"),
    ],
)
def test_files_that_are_not_one_mcuboot_for_two_slots(changes: Any, code: str) -> None:
    with pytest.raises(PackageError) as caught:
        make_mcuboot_package(replace(PLAIN, **changes), SIGN, NSIB)
    assert caught.value.code == code


def test_variants_of_two_versions(tmp_path: Path) -> None:
    data = bytearray((built(BUILD) / "s1_image/zephyr/zephyr.bin").read_bytes())
    struct.pack_into("<I", data, 0x200 + 20, 2)
    (tmp_path / "s1.bin").write_bytes(data)
    with pytest.raises(PackageError) as caught:
        make_mcuboot_package(replace(PLAIN, s1=tmp_path / "s1.bin"), SIGN, NSIB)
    assert caught.value.code == "mcuboot-versions"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data[:-8], "cut off"),
        (lambda data: data + b"more", "does not describe"),
        (lambda data: data.replace(struct.pack("<I", 0x8FCEBB4C), bytes(4)), "no firmware info"),
        (
            lambda data: data.replace(struct.pack("<I", 0x8301), struct.pack("<I", 0x4_8301)),
            "Reset handler",
        ),
    ],
)
def test_what_is_no_firmware_for_its_slot(tmp_path: Path, change: object, why: str) -> None:
    path = tmp_path / "mcuboot.bin"
    assert callable(change)
    path.write_bytes(change((built(BUILD) / "mcuboot/zephyr/zephyr.bin").read_bytes()))
    with pytest.raises(ImageError, match=why):
        make_mcuboot_package(replace(PLAIN, s0=path, s1=None), SIGN, NSIB)


def test_sealed_firmware_that_was_changed_is_not_sealed_again(tmp_path: Path) -> None:
    data = bytearray((built(BUILD) / "signed_by_b0_mcuboot.bin").read_bytes())
    data[0x900] ^= 1
    (tmp_path / "changed.bin").write_bytes(data)
    with pytest.raises(FormatError, match="changed after it was sealed"):
        make_mcuboot_package(replace(PLAIN, s0=tmp_path / "changed.bin", s1=None), SIGN, NSIB)


def test_keys_that_nsib_does_not_know() -> None:
    with pytest.raises(SigningError, match="ECDSA P-256"):
        make_mcuboot_package(PLAIN, SIGN, generate("ed25519"))


def test_a_seal_without_a_signature_is_no_request() -> None:
    with pytest.raises(ValueError, match="signed now"):
        make_mcuboot_package(PLAIN, None, NSIB)


def test_firmware_info_that_b0_does_not_find_behind_the_header(tmp_path: Path) -> None:
    """The firmware's own places count from its start, and b0's from the start of the slot, 0x200 before."""
    data = bytearray(both(make_mcuboot_package(PLAIN, SIGN, NSIB))[0].image.payload[:-176])
    at = data.index(struct.pack("<III", 0x281EE6DE, 0x8FCEBB4C, 2 | 53 << 8))
    info, data[at : at + 60] = data[at : at + 60], bytes(60)
    (size,) = struct.unpack_from("<I", info, 16)
    data[0x400 : 0x400 + 60] = info
    path = tmp_path / "moved.bin"
    path.write_bytes(data[:size])
    with pytest.raises(ImageError, match="b0 does not look there"):
        make_mcuboot_package(McubootRequest(Version(1), s0=path), SIGN, NSIB)


def test_a_build_makes_it_by_itself() -> None:
    made = make_build_mcuboot_package(built(BUILD), None, SIGN, NSIB)
    assert isinstance(made, MadePackage)
    assert all(is_sealed_by(NSIB, image, start + 0x200) for image, start in zip(both(made), (S0, S1), strict=True))
    assert make_build_mcuboot_package(built("ncs3.0-sysbuild-pm-staged"), None, SIGN, NSIB) is None


def test_a_build_says_what_is_to_be_said_of_the_keys() -> None:
    public = load_private((ROOT / "keys" / "dev-sign-p256.pem").read_bytes())
    made = make_build_mcuboot_package(built(BUILD), None, public, NSIB)
    assert isinstance(made, MadePackage)
    assert [one.code for one in made.warnings] == ["known-key", "nsib-other-key", "resealed"]
    with pytest.raises(SigningError):
        make_build_mcuboot_package(built(BUILD), BuildRequest(release=True), public, NSIB)


def test_a_security_counter_that_is_given_is_that_of_mcuboot_too() -> None:
    request = BuildRequest(BuildOverrides(security_counter=7))
    made = make_build_mcuboot_package(built(BUILD), request, SIGN, NSIB)
    assert isinstance(made, MadePackage)
    assert [image.image.security_counter for image in both(made)] == [7, 7]
