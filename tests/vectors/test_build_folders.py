"""The rebuilt build folders hold what the facts say of each kind of build, and the same bytes each time."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import cbor2
import pytest
import yaml
from intelhex import IntelHex

from smpdfu.image.format import Image
from smpdfu.image.keys.keys import load_private
from smpdfu.image.signing.encrypt import ctr, unwrap_key
from smpdfu.image.tlv import TlvType
from tests.vectors.build_folders.firmware import ENCRYPT_KEY
from tests.vectors.build_folders.kinds import TABLE
from tests.vectors.make_build_folders import KINDS, make_build_folder, signing_key

BUILT_AT = "/home/user/smp_app/build"
APP = {"type": "application", "board": "nrf5340dk", "soc": "nrf5340"}
FIRST = {"image_index": "0", "slot_index_primary": "1", "slot_index_secondary": "2", "version_MCUBOOT": "1.2.3+4"}
SECOND = {"image_index": "1", "slot_index_primary": "3", "slot_index_secondary": "4"}
NET = SECOND | {"version": "1", "board": "nrf5340dk/nrf5340/cpunet", "file": "ipc_radio.bin"}
XIP = {"image_index": "0", "version_MCUBOOT+XIP": "1.2.3+4"}
SHORT, SIGNED, CRYPTED = (
    {"file": "smp_app.bin"},
    {"file": "smp_app.signed.bin"},
    {"file": "smp_app.signed.encrypted.bin"},
)

# Entries of dfu_application.zip by kind: facts, generations.md, section 4. What is not named is in APP.
ROWS: dict[str, list[dict[str, object]]] = {
    "ncs2.5-child-staged": [
        FIRST
        | {"load_address": 0xC200, "file": "app_update.bin", "board": "nrf5340dk_nrf5340_cpuapp"}
        | {"soc": "nRF5340_CPUAPP_QKAA"},
        SECOND
        | {"load_address": 0x1008800, "version": "1", "file": "net_core_app_update.bin"}
        | {"board": "nrf5340dk_nrf5340_cpunet", "soc": "nRF5340_CPUNET_QKAA"},
    ],
    "ncs2.5-child-nrf52840-swap": [
        {"load_address": 0xC200, "version_MCUBOOT": "1.2.3+4", "file": "app_update.bin"}
        | {"board": "nrf52840dk_nrf52840", "soc": "nRF52840_QIAA"},
    ],
    "ncs2.7-sysbuild-pm-staged": [FIRST | SHORT | {"load_address": 0xC200}, NET | {"load_address": 0x1008800}],
    "ncs2.7-sysbuild-pm-simultaneous": [FIRST | SHORT | {"load_address": 0x10200}, NET | {"load_address": 0x1008800}],
    "ncs3.0-sysbuild-pm-staged": [FIRST | SIGNED | {"load_address": 0xC200}, NET | {"load_address": 0x1008800}],
    "ncs3.0-sysbuild-pm-staged-encrypted": [
        FIRST | CRYPTED | {"load_address": 0xC200},
        NET | {"load_address": 0x1008800},
    ],
    "ncs3.0-sysbuild-pm-simultaneous": [FIRST | SIGNED | {"load_address": 0x10200}, NET | {"load_address": 0x1008800}],
    "ncs3.0-sysbuild-pm-simultaneous-encrypted": [
        FIRST | CRYPTED | {"load_address": 0x10200},
        NET | {"load_address": 0x1008800},
    ],
    "ncs3.0-pm-qspi-xip": [
        FIRST | {"load_address": 0x10200, "file": "smp_app.internal.bin"},
        SECOND | {"load_address": 0x120200, "file": "smp_app.external.bin", "version_MCUBOOT": "1.2.3+4"},
    ],
    "ncs3.0-pm-qspi-xip-net": [
        FIRST | {"load_address": 0x10200, "file": "smp_app.internal.bin"},
        {"image_index": "2", "slot_index_primary": "5", "slot_index_secondary": "6", "version_MCUBOOT": "1.2.3+4"}
        | {"load_address": 0x120200, "file": "smp_app.external.bin"},
        NET | {"load_address": 0x1008800},
    ],
    "ncs3.0-pm-direct-xip": [
        XIP | SIGNED | {"slot": "0", "load_address": 0xC200},
        XIP | {"slot": "1", "load_address": 0x86200, "file": "mcuboot_secondary_app.signed.bin"},
    ],
    "ncs3.0-pm-single-slot": [FIRST | SIGNED | {"load_address": 0xC200}],
    "ncs3.0-pm-mcuboot-update": [FIRST | SIGNED | {"load_address": 0x20200}],
    "ncs3.4-dts-staged": [FIRST | SIGNED | {"load_address": 0x10000}, NET | {"load_address": 0}],
    "ncs3.4-dts-simultaneous": [FIRST | SIGNED | {"load_address": 0x10000}, NET | {"load_address": 0}],
    "ncs3.4-dts-direct-xip": [
        XIP | SIGNED | {"slot": "0", "load_address": 0x10000},
        XIP | {"slot": "1", "load_address": 0x80000, "file": "smp_app_slot1_variant.signed.bin"},
    ],
    "ncs3.4-dts-direct-xip-revert": [
        XIP | SIGNED | {"slot": "0", "load_address": 0x10000},
        XIP | {"slot": "1", "load_address": 0x80000, "file": "smp_app_slot1_variant.signed.bin"},
    ],
    "ncs3.4-dts-firmware-loader": [FIRST | SIGNED | {"load_address": 0x10000}],
    "ncs3.4-dts-ram-load": [FIRST | SIGNED | {"load_address": 0x10000}],
    "ncs3.0-nrf52840-swap": [FIRST | SIGNED | {"load_address": 0xC200, "board": "nrf52840dk", "soc": "nrf52840"}],
    "ncs3.0-nrf9151-swap-tfm": [FIRST | SIGNED | {"load_address": 0x14000, "board": "nrf9151dk", "soc": "nrf9151"}],
    "ncs3.4-nrf54l15-swap-offset": [
        FIRST | SIGNED | {"load_address": 0x10000, "board": "nrf54l15dk", "soc": "nrf54l15"},
    ],
}
_HEADER = {kind: 0x800 if "nrf54l15" in kind else 0x200 for kind in KINDS}


@pytest.fixture(scope="module", params=KINDS)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A kind and its folder."""
    kind: str = request.param
    folder = tmp_path_factory.mktemp("build") / "build"
    make_build_folder(kind, folder, BUILT_AT)
    return kind, folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(manifest: dict[str, list[dict[str, object]]]) -> list[dict[str, object]]:
    """The entries without what each build has of its own: sizes and times."""
    return [{key: value for key, value in one.items() if key not in {"size", "modtime"}} for one in manifest["files"]]


def signed_bins(folder: Path) -> list[Path]:
    """Every signed image of a build, as bytes from its header on."""
    names = ("zephyr.signed", "zephyr.internal.signed", "zephyr.external.signed", "zephyr.slot1.signed")
    zephyr = [path for name in names for path in folder.glob(f"*/zephyr/{name}*.bin")]
    updates = [*folder.glob("zephyr/*_update.bin"), *folder.glob("signed_by_mcuboot_and_b0_*.bin")]
    return sorted([*zephyr, *updates])


def test_the_table_of_manifests_has_every_kind() -> None:
    assert set(ROWS) == set(KINDS) == set(TABLE)


def test_imgtool_accepts_every_signed_image(built: tuple[str, Path]) -> None:
    from imgtool.image import Image as ImgtoolImage
    from imgtool.image import VerifyResult
    from imgtool.keys import load

    kind, folder = built
    key = load(str(signing_key(kind)))
    found = signed_bins(folder)
    assert found
    for path in found:
        result, version, _digest, _signature = ImgtoolImage.verify(str(path), key)
        if ".encrypted." in path.name:  # imgtool does not decrypt: the hash is over what was encrypted
            assert result is VerifyResult.INVALID_HASH
            continue
        assert result is VerifyResult.OK, path
        parts = ("0.0.0+0",) if path.name.startswith("signed_by_mcuboot_and_b0") else ("1.2.3+4",)
        assert f"{version[0]}.{version[1]}.{version[2]}+{version[3]}" in parts


def test_encrypted_images_decrypt_to_the_signed_firmware(built: tuple[str, Path]) -> None:
    kind, folder = built
    found = list(folder.glob("*/zephyr/zephyr.signed.encrypted.bin"))
    assert bool(found) == TABLE[kind].encrypted
    for path in found:
        image = Image.from_bytes(path.read_bytes())
        wrapped = next(tlv for tlv in image.unprotected if tlv.type == TlvType.ENC_EC256)
        content_key = unwrap_key(wrapped, load_private(ENCRYPT_KEY.read_bytes()), 16)
        assert ctr(image.payload, content_key) == path.with_name("zephyr.bin").read_bytes()


def test_the_manifest_has_the_rows_of_the_facts(built: tuple[str, Path]) -> None:
    kind, folder = built
    path = folder / ("zephyr" if "child" in kind else "") / "dfu_application.zip"
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        for entry in manifest["files"]:
            assert entry["size"] == len(archive.read(entry["file"]))
    assert path.with_name("dfu_application.zip_manifest.json").read_text() == json.dumps(manifest, indent=4)
    assert manifest["format-version"] == (0 if "child" in kind else 1)
    assert rows(manifest) == [APP | row for row in ROWS[kind]]


def test_mcuboots_own_package_has_both_variants(tmp_path: Path) -> None:
    make_build_folder("ncs3.0-pm-mcuboot-update", tmp_path)
    manifest = json.loads((tmp_path / "dfu_mcuboot.zip_manifest.json").read_text())
    shared = APP | {"type": "mcuboot", "version_MCUBOOT": "0.0.0+0", "version_B0": "1"}
    assert rows(manifest) == [
        shared | {"load_address": 0x8000, "slot": "0", "file": "signed_by_mcuboot_and_b0_mcuboot.bin"},
        shared | {"load_address": 0x14000, "slot": "1", "file": "signed_by_mcuboot_and_b0_s1_image.bin"},
    ]


def test_hex_and_bin_of_a_signed_image_lie_at_its_slot(built: tuple[str, Path]) -> None:
    kind, folder = built
    for path in folder.glob("*/zephyr/zephyr*.signed.hex"):
        twin = path.with_suffix(".bin")
        if not twin.exists() or TABLE[kind].encrypted:  # an encrypted build's hex is marked as such, but clear
            continue
        memory, data = IntelHex(str(path)), twin.read_bytes()
        start = memory.minaddr()
        assert start % TABLE[kind].chip.sector == 0
        # Header and firmware are compared: random numbers of the signature come from the file's name.
        end = _HEADER[kind] + int.from_bytes(data[12:16], "little")
        assert memory.tobinstr(start=start, size=end)[_HEADER[kind] :] == data[_HEADER[kind] : end]


def test_partition_manager_says_the_same_twice_and_images_fit(built: tuple[str, Path]) -> None:
    _kind, folder = built
    for path in folder.rglob("partitions*.yml"):
        parts = yaml.safe_load(path.read_text())
        config = path.with_name(path.name.replace("partitions", "pm").replace(".yml", ".config")).read_text()
        lines = dict(line.split("=", 1) for line in config.splitlines())
        for name, part in parts.items():
            assert (part["address"], part["size"]) == tuple(
                int(lines[f"PM_{name.upper()}_{word}"], 16) for word in ("ADDRESS", "SIZE")
            )
            assert part["end_address"] == part["address"] + part["size"]
            for inner in part.get("span", []):
                assert part["address"] <= parts[inner]["address"] < part["end_address"]
                assert part["span"] == lines[f"PM_{name.upper()}_SPAN"].strip('"').split()
    for text in ("domains.yaml", "build_info.yml"):
        if (folder / text).exists():
            assert yaml.safe_load((folder / text).read_text())


def test_multi_image_file_holds_the_images_behind_each_other(built: tuple[str, Path]) -> None:
    kind, folder = built
    path = folder / "dfu_multi_image.bin"
    assert path.exists() == TABLE[kind].multi_image
    if not path.exists():
        return
    data = path.read_bytes()
    size = int.from_bytes(data[:2], "little")
    images = cbor2.loads(data[2 : 2 + size])["img"]
    assert [one["id"] for one in images] == ([0, -2, -1] if TABLE[kind].own_update else [0, 1])
    assert len(data) == 2 + size + sum(one["size"] for one in images)
    assert data[2 + size :][:4] == bytes.fromhex("3db8f396")


def test_the_same_folder_has_the_same_bytes_each_time(
    built: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, folder = built
    monkeypatch.setattr("time.time", lambda: 4_000_000_000.0)
    make_build_folder(kind, tmp_path / "again", BUILT_AT)
    assert contents(tmp_path / "again") == contents(folder)


def test_paths_in_the_files_are_those_of_the_folder(tmp_path: Path) -> None:
    make_build_folder("ncs3.0-nrf52840-swap", tmp_path / "build")
    domains = yaml.safe_load((tmp_path / "build" / "domains.yaml").read_text())
    assert domains["build_dir"] == str(tmp_path / "build")
    assert Path(domains["domains"][0]["build_dir"]).is_dir()


@pytest.mark.parametrize("built", [kind for kind in KINDS if TABLE[kind].style == "dts"], indirect=True)
def test_devicetree_and_kconfig_agree_on_the_slot(built: tuple[str, Path]) -> None:
    _kind, folder = built
    for image in (folder / "smp_app", *folder.glob("*_slot1_variant"), *folder.glob("ble_mcumgr")):
        config = dict(
            re.findall(r'^(CONFIG_\w+)="?([^"\n]*)"?$', (image / "zephyr" / ".config").read_text(), re.MULTILINE)
        )
        tree = (image / "zephyr" / "zephyr.dts").read_text()
        slots = {
            (int(start, 16), int(size, 16))
            for start, size in re.findall(r"slot\d_partition:[^}]*?reg = < (0x\w+) (0x\w+) >", tree)
        }
        assert (int(config["CONFIG_FLASH_LOAD_OFFSET"], 16), int(config["CONFIG_FLASH_LOAD_SIZE"], 16)) in slots
