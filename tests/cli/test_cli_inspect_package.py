"""``inspect`` of packages: what the SDK writes for each kind of build is shown whole, unknown keys too."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from smpdfu.dfu.package.package import Package
from tests.cli.conftest import Call
from tests.vectors.make_build_folders import make_build_folder

# Kind of build, package, and for each image: file, role, core, image index, slot, where its code is.
KINDS: list[tuple[str, str, list[tuple[str, str, str, int, int | None, int | None]]]] = [
    (
        "ncs3.0-sysbuild-pm-staged-encrypted",
        "dfu_application.zip",
        [
            ("smp_app.signed.encrypted.bin", "app", "app", 0, None, None),
            ("ipc_radio.bin", "net", "net", 1, None, 0x1008800),
        ],
    ),
    (
        "ncs3.0-pm-qspi-xip",
        "dfu_application.zip",
        [
            ("smp_app.internal.bin", "app", "app", 0, None, 0x10200),
            ("smp_app.external.bin", "external", "app", 1, None, None),
        ],
    ),
    (
        "ncs3.0-pm-qspi-xip-net",
        "dfu_application.zip",
        [
            ("smp_app.internal.bin", "app", "app", 0, None, 0x10200),
            ("smp_app.external.bin", "external", "app", 2, None, None),
            ("ipc_radio.bin", "net", "net", 1, None, 0x1008800),
        ],
    ),
    (
        "ncs3.4-dts-direct-xip",
        "dfu_application.zip",
        [
            ("smp_app.signed.bin", "app", "app", 0, 0, 0x10200),
            ("smp_app_slot1_variant.signed.bin", "app", "app", 0, 1, 0x80200),
        ],
    ),
    (
        "ncs3.0-pm-mcuboot-update",
        "dfu_mcuboot.zip",
        [
            ("signed_by_mcuboot_and_b0_mcuboot.bin", "mcuboot", "app", 0, 0, 0x8200),
            ("signed_by_mcuboot_and_b0_s1_image.bin", "mcuboot", "app", 0, 1, 0x14200),
        ],
    ),
]


@pytest.mark.parametrize(("kind", "name", "images"), KINDS, ids=[kind for kind, _, _ in KINDS])
def test_every_image_and_every_key_is_shown(
    kind: str, name: str, images: list[tuple[Any, ...]], tmp_path: Path, smpdfu: Call
) -> None:
    make_build_folder(kind, tmp_path)
    path = tmp_path / name
    told = smpdfu("inspect", "--json", path).document
    fields = ("file", "role", "core", "image_index", "slot", "code_address")
    assert [tuple(one[field] for field in fields) for one in told["images"]] == images
    manifest = json.loads((tmp_path / f"{name}_manifest.json").read_text())
    assert [one["entry"] for one in told["images"]] == manifest.pop("files")
    assert told["manifest"] == manifest
    assert told["others"] == []
    shown = smpdfu("inspect", path).out
    for one in told["images"]:
        assert one["hash"][:12] in shown
        for key, value in one["entry"].items():
            assert key == "file" or key in shown
            assert key in ("load_address", "modtime") or str(value) in shown


def test_a_package_of_the_bootloader_is_named_as_such(tmp_path: Path, smpdfu: Call) -> None:
    make_build_folder("ncs3.0-pm-mcuboot-update", tmp_path)
    assert "updates the bootloader itself" in smpdfu("inspect", tmp_path / "dfu_mcuboot.zip").out
    assert "smpdfu update" in smpdfu("inspect", tmp_path / "dfu_application.zip").out


def test_patches_unknown_keys_and_other_files_are_shown_and_survive(tmp_path: Path, smpdfu: Call) -> None:
    make_build_folder("ncs3.0-pm-qspi-xip", tmp_path)
    halves = [tmp_path / "smp_app" / "zephyr" / f"zephyr.{half}.signed.bin" for half in ("internal", "external")]
    image, data = (half.read_bytes() for half in halves)  # the second has no vector table, as patches have none
    members = {"app.bin": image, "nrf70.bin": data, "keys.bin": b"k", "README": b"read me"}
    entries = [
        {"file": "app.bin", "type": "application", "image_index": "0", "load_address": 0xC200, "colour": ["red", 7]},
        {"file": "nrf70.bin", "type": "application", "image_index": "1", "slot_index_primary": "3"},
        {"file": "keys.bin", "type": "provisioning", "slot": "-1"},
    ]
    manifest = {"format-version": 1, "time": 1, "files": entries, "vendor": {"batch": 9}}
    path = tmp_path / "package.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for name, member in members.items():
            archive.writestr(name, member)
    told = smpdfu("inspect", "--json", path).document
    assert [(one["file"], one["role"], one["load_address"]) for one in told["images"]] == [
        ("app.bin", "app", 0xC200),
        ("nrf70.bin", "other", None),
    ]
    assert told["manifest"] == {"format-version": 1, "time": 1, "vendor": {"batch": 9}}
    assert told["images"][0]["entry"] == entries[0]
    assert {one["file"]: one["entry"] for one in told["others"]} == {"keys.bin": entries[2], "README": None}
    shown = smpdfu("inspect", path).out
    for text in (
        '["red", 7]',
        "provisioning",
        '{"batch": 9}',
        "README",
        "keys.bin",
        "0xc200",
        "1970-01-01 00:00:01 UTC",
    ):
        assert text in shown
    again = Package.from_bytes(Package.load(path).to_bytes())
    assert again.manifest == manifest
    assert dict(again.others) == {"keys.bin": b"k", "README": b"read me"}


def test_a_multi_image_file_is_shown_by_its_numbers(tmp_path: Path, smpdfu: Call) -> None:
    make_build_folder("ncs3.0-pm-mcuboot-update", tmp_path)
    path = tmp_path / "dfu_multi_image.bin"
    told = smpdfu("inspect", "--json", path).document
    assert told["kind"] == "dfu_multi_image.bin"
    assert [(one["number"], one["role"], one["slot"]) for one in told["images"]] == [
        (0, "app", None),
        (-2, "mcuboot", 0),
        (-1, "mcuboot", 1),
    ]
    assert "file" not in told["images"][0]
    shown = smpdfu("inspect", path).out
    assert "-2" in shown
    assert "smpdfu update FILE" in shown


def test_a_damaged_multi_image_file_is_named_as_damaged(tmp_path: Path, smpdfu: Call) -> None:
    make_build_folder("ncs3.0-sysbuild-pm-simultaneous", tmp_path)
    path = tmp_path / "dfu_multi_image.bin"
    path.write_bytes(path.read_bytes()[:-9])
    done = smpdfu("inspect", path)
    assert done.code == 3
    assert "its header describes" in done.sentence
