"""Build folders that are damaged, absurd or made to harm: one of our errors, or a package, and nothing else."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.dfu.build_folder.find import find_build
from smpdfu.dfu.build_folder.formats import kconfig
from smpdfu.dfu.build_folder.formats.folder import MAX_FOLDERS
from smpdfu.dfu.build_folder.packing.making import make_build_package
from smpdfu.errors import PackageError, SmpdfuError
from tests.build_folders import STAGED, built, copy_of, key_of, set_key

PM_STAGED = "ncs3.0-sysbuild-pm-staged"
READ = (
    "domains.yaml",
    "zephyr/.config",
    "smp_app/zephyr/.config",
    "smp_app/zephyr/zephyr.dts",
    "smp_app/zephyr/zephyr.hex",
    "smp_app/zephyr/zephyr.signed.bin",
    "mcuboot/zephyr/.config",
    "ipc_radio/zephyr/.config",
    "ipc_radio/zephyr/zephyr.dts",
    "signed_by_b0_ipc_radio.hex",
    "dfu_application.zip_manifest.json",
    "pm.config",
    "pm_CPUNET.config",
)
NUMBERS = (
    "CONFIG_ROM_START_OFFSET",
    "CONFIG_UPDATEABLE_IMAGE_NUMBER",
    "CONFIG_BOOT_MAX_IMG_SECTORS",
    "CONFIG_MCUBOOT_HW_DOWNGRADE_PREVENTION_COUNTER_VALUE",
    "CONFIG_MCUBOOT_APPLICATION_IMAGE_NUMBER",
    "CONFIG_MCUBOOT_NETWORK_CORE_IMAGE_NUMBER",
    "CONFIG_BOOT_SIGNATURE_TYPE_RSA_LEN",
    "CONFIG_MCUBOOT_IMGTOOL_SIGN_VERSION",
    "CONFIG_KERNEL_BIN_NAME",
    "CONFIG_BOARD",
    "CONFIG_SOC",
    "CONFIG_FW_INFO_FIRMWARE_VERSION",
    "SB_CONFIG_SECURE_BOOT_MCUBOOT_VERSION",
    "SB_CONFIG_MCUBOOT_APPLICATION_IMAGE_NUMBER",
    "SB_CONFIG_MCUBOOT_NETWORK_CORE_IMAGE_NUMBER",
)
ABSURD = st.one_of(
    st.integers(-(1 << 70), 1 << 70).map(str),
    st.integers(0, 1 << 70).map(hex),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40).map(lambda text: f'"{text}"'),
    st.sampled_from(("y", "n", '"../../etc/passwd"', '"1.2.3"', '"99999.0.0"', "0", "0x0")),
)


MANAGED = ("pm.config", "pm_CPUNET.config")
FILES = [(kind, name) for kind in (PM_STAGED, STAGED) for name in READ if kind == PM_STAGED or name not in MANAGED]


@pytest.mark.parametrize(("kind", "name"), FILES)
@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"\x7fELF" + bytes(range(256)), b"PM_A_ADDRESS=0x1\n", b"{" * 9000])
def test_a_file_with_other_bytes(kind: str, name: str, data: bytes, tmp_path: Path) -> None:
    folder = copy_of(kind, tmp_path / "build")
    assert (folder / name).is_file()
    (folder / name).write_bytes(data)
    for key in (key_of(kind), None):
        with suppress(SmpdfuError):
            make_build_package(folder, None, key)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(READ), st.binary(max_size=200), st.integers(0, 1 << 16))
def test_a_file_with_a_few_other_bytes(name: str, data: bytes, place: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = copy_of(STAGED, Path(temporary) / "build")
        if (folder / name).is_file():
            old = (folder / name).read_bytes()
            at = place % (len(old) + 1)
            (folder / name).write_bytes(old[:at] + data + old[at + len(data) :])
        for key in (key_of(STAGED), None):
            with suppress(SmpdfuError):
                make_build_package(folder, None, key)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from((PM_STAGED, STAGED)), st.sampled_from(NUMBERS), ABSURD)
def test_an_absurd_value(kind: str, key: str, value: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = copy_of(kind, Path(temporary) / "build")
        for config in folder.rglob(".config"):
            set_key(config, key, value)
        for signer in (key_of(kind), None):
            with suppress(SmpdfuError):
                made = make_build_package(folder, None, signer)
                assert all("/" not in name for name in made.files())


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(("MCUBOOT_PRIMARY", "MCUBOOT_PAD", "APP", "MCUBOOT_SECONDARY")), ABSURD, ABSURD)
def test_absurd_partitions(name: str, address: str, size: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = copy_of(PM_STAGED, Path(temporary) / "build")
        for file in MANAGED:
            set_key(folder / file, f"PM_{name}_ADDRESS", address)
            set_key(folder / file, f"PM_{name}_SIZE", size)
        for signer in (key_of(PM_STAGED), None):
            with suppress(SmpdfuError):
                make_build_package(folder, None, signer)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    folder = copy_of(STAGED, tmp_path / "build")
    with (folder / "smp_app" / "zephyr" / ".config").open("r+b") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(PackageError, match=f"more than {kconfig.MAX_BYTES >> 10} KiB") as caught:
        find_build(folder)
    assert caught.value.code == "build-file"


def test_links_that_lead_round_in_circles(tmp_path: Path) -> None:
    folder = copy_of(STAGED, tmp_path / "build")
    (folder / "loop").symlink_to(folder)
    (folder / "smp_app" / "loop").symlink_to(folder / "smp_app", target_is_directory=True)
    (folder / "self").symlink_to("self")
    config = folder / "ipc_radio" / "zephyr" / "zephyr.dts"
    config.unlink()
    config.symlink_to(config)
    with pytest.raises(PackageError, match="network core"):  # the rest was read
        find_build(folder)
    images = {one.name for one in find_build(built(STAGED)).images}
    config.unlink()
    config.write_bytes((built(STAGED) / "ipc_radio" / "zephyr" / "zephyr.dts").read_bytes())
    assert {one.name for one in find_build(folder).images} == images


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_no_file(tmp_path: Path) -> None:
    folder = copy_of(STAGED, tmp_path / "build")
    for name in ("smp_app/zephyr/.config", "domains.yaml"):
        (folder / name).unlink()
        os.mkfifo(folder / name)
    with pytest.raises(PackageError):
        find_build(folder)


def test_folders_where_files_should_be(tmp_path: Path) -> None:
    folder = copy_of(STAGED, tmp_path / "build")
    for name in ("domains.yaml", "smp_app/zephyr/zephyr.hex"):
        (folder / name).unlink()
        (folder / name).mkdir()
    assert find_build(folder).updates[0].unsigned == "smp_app/zephyr/zephyr.bin"


def test_too_many_images_are_no_build(tmp_path: Path) -> None:
    for number in range(MAX_FOLDERS + 1):
        image = tmp_path / f"image{number}" / "zephyr"
        image.mkdir(parents=True)
        (image / ".config").write_text("CONFIG_BOOTLOADER_MCUBOOT=y\n")
    with pytest.raises(PackageError, match="more than") as caught:
        find_build(tmp_path)
    assert caught.value.code == "build-none"


@pytest.mark.parametrize("where", ["nothing", "a file", "an empty folder"])
def test_what_is_no_build_folder(where: str, tmp_path: Path) -> None:
    path = {"nothing": tmp_path / "none", "a file": tmp_path / "file", "an empty folder": tmp_path}[where]
    if where == "a file":
        path.write_bytes(b"x")
    with pytest.raises(PackageError) as caught:
        find_build(path)
    assert (caught.value.code, caught.value.facts["folder"]) == ("build-none", str(path))


@pytest.mark.parametrize(
    "name",
    ["../../evil.bin", "/etc/evil.bin", ".hidden.bin", "a\\b.bin", "manifest.json", "dfu_application.zip", "x" * 99],
)
def test_a_name_in_the_builds_manifest_leads_nowhere(name: str, tmp_path: Path) -> None:
    folder = copy_of(STAGED, tmp_path / "build")
    manifest = json.loads((folder / "dfu_application.zip_manifest.json").read_text())
    manifest["files"][0]["file"] = name
    (folder / "dfu_application.zip_manifest.json").write_text(json.dumps(manifest))
    assert [one.name for one in find_build(folder).updates] == ["smp_app.signed.bin", "ipc_radio.bin"]


def test_two_files_of_one_name_in_the_builds_manifest(tmp_path: Path) -> None:
    folder = copy_of(STAGED, tmp_path / "build")
    manifest = json.loads((folder / "dfu_application.zip_manifest.json").read_text())
    for entry in manifest["files"]:
        entry["file"] = "same.bin"
    (folder / "dfu_application.zip_manifest.json").write_text(json.dumps(manifest))
    assert [one.name for one in find_build(folder).updates] == ["smp_app.signed.bin", "ipc_radio.bin"]


def test_images_are_looked_for_in_folders_of_images_only(tmp_path: Path) -> None:
    """Else a home folder by mistake, or a folder made to harm, would be searched for minutes."""
    folder = copy_of(STAGED, tmp_path / "build")
    for place in ("elsewhere/inner", "mcuboot/inner"):
        (folder / place / "zephyr").mkdir(parents=True)
        (folder / place / "zephyr" / ".config").write_text("CONFIG_SOC=y\n")
    added = {one.folder for one in find_build(folder).images} - {one.folder for one in find_build(built(STAGED)).images}
    assert added == {"mcuboot/inner"}
