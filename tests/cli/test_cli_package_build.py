"""``package BUILD_DIR``: no other option than the key; one table, a plan, options that override the build."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.build_folder.find import find_build
from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.package import Package
from smpdfu.image.format import Dependency, Version
from smpdfu.image.verification.verify import verify
from tests.build_folders import STAGED, built, copy_of, key_of
from tests.vectors.build_folders.kinds import TABLE as KINDS_TABLE
from tests.vectors.make_build_folders import KINDS, signing_key

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

PM_STAGED = "ncs3.0-sysbuild-pm-staged"
ENCRYPT = Path(__file__).resolve().parents[2] / "keys" / "dev-encrypt-p256.pem"


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_needs_no_other_option_than_its_key(kind: str, smpdfu: Call, tmp_path: Path) -> None:
    folder = copy_of(kind, tmp_path / "build")
    done = smpdfu("package", folder, "-k", signing_key(kind), "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert said["package"] == str(folder / "smpdfu" / "dfu_application.zip")
    package = Package.load(folder / "smpdfu" / "dfu_application.zip")
    assert [image["hash"] for image in said["images"]] == [(image.hash or b"").hex() for image in package.images]
    written = files_of(folder / "smpdfu")
    own = Package.load(folder / "smpdfu" / "dfu_mcuboot.zip").images if "mcuboot" in said else ()
    assert bool(own) is KINDS_TABLE[kind].own_update
    names = {"dfu_application.zip", *(["dfu_mcuboot.zip"] if own else [])}
    assert set(written) == {image.file for image in (*package.images, *own)} | names
    for image in package.images:
        assert written[image.file] == image.data
        encrypts = find_build(folder).bootloader.encryption is not None and image.role is Role.APP
        assert image.image.encrypted is encrypts
        assert verify(image.image, [key_of(kind).public]).accepted is not False


def test_without_a_key_the_signed_images_of_the_build_are_packed(smpdfu: Call, tmp_path: Path) -> None:
    done = smpdfu("package", built(STAGED), "-o", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    own = Package.load(built(STAGED) / "dfu_application.zip")
    package = Package.load(tmp_path / "out" / "dfu_application.zip")
    assert {one.file: one.data for one in package.images} == {one.file: one.data for one in own.images}


def test_what_was_found_stands_in_one_table(smpdfu: Call, tmp_path: Path) -> None:
    done = smpdfu("package", built(STAGED), "-k", signing_key(STAGED), "-o", tmp_path / "out")
    assert done.code == 0, done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0] == [str(tmp_path / "out" / "dfu_application.zip")]
    assert lines[2] == ["of", "what", "value", "from"]
    assert [
        "smp_app.signed.bin",
        "slot",
        "0x10000,",
        "0x70000",
        "bytes",
        "smp_app/zephyr/zephyr.dts,",
        "slot0_partition",
    ] in lines
    assert any(line[:2] == ["ipc_radio.bin", "hash"] for line in lines)
    assert f"`smpdfu update {tmp_path}/out/dfu_application.zip`" in done.err


def test_the_build_s_own_package_is_not_overwritten(smpdfu: Call, tmp_path: Path) -> None:
    folder = copy_of(STAGED, tmp_path / "build")
    before = (folder / "dfu_application.zip").read_bytes()
    done = smpdfu("package", folder, "-k", signing_key(STAGED), "-o", folder)
    assert (done.code, "--force" in done.err) == (3, True)
    assert (folder / "dfu_application.zip").read_bytes() == before


def test_a_key_that_is_not_the_one_of_the_build_is_said(smpdfu: Call, keys: Keys, tmp_path: Path) -> None:
    """Of the same type, so it signs; the build names its own, and the bootloader has that."""
    done = smpdfu("package", built(PM_STAGED), "-k", keys.other, "-o", tmp_path / "out")
    assert done.code == 0
    assert "has another key built in" in done.err
    assert "dev-sign-p256.pem" in done.err


@pytest.mark.parametrize(("kind", "role"), [("ncs3.0-pm-qspi-xip", "external"), ("ncs3.4-dts-simultaneous", "net")])
def test_tie_makes_what_goes_with_the_application_depend_on_it(
    kind: str, role: str, smpdfu: Call, tmp_path: Path
) -> None:
    assert smpdfu("package", built(kind), "-k", signing_key(kind), "--tie", "-o", tmp_path).code == 0
    image = Package.load(tmp_path / "dfu_application.zip").image(Role(role))
    assert image is not None
    assert image.image.dependencies == (Dependency(0, Version(1, 2, 3, 4)),)


def test_tie_without_anything_to_tie_is_refused(smpdfu: Call, tmp_path: Path) -> None:
    kind = "ncs3.0-pm-single-slot"
    done = smpdfu("package", built(kind), "-k", signing_key(kind), "--tie", "-o", tmp_path / "out")
    assert done.code == 3
    assert not (tmp_path / "out").exists()


def test_a_plan_writes_nothing(smpdfu: Call, tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    before = sorted(folder.rglob("*"))
    done = smpdfu("package", folder, "-k", signing_key(PM_STAGED), "--plan", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert said["plan"] is True
    assert len(said["images"]) == 2
    row = next(one for one in said["found"] if (one["of"], one["name"]) == ("ipc_radio.bin", "slot"))
    assert row == {
        "of": "ipc_radio.bin",
        "name": "slot",
        "value": "0x1008800, 0x37800 bytes",
        "from": "pm_CPUNET.config, PM_APP",
    }
    assert sorted(folder.rglob("*")) == before
    again = smpdfu("package", folder, "-k", signing_key(PM_STAGED), "--json")
    assert json.loads(again.out)["images"] == said["images"]  # signatures are the same each time
    assert (folder / "smpdfu" / "dfu_application.zip").is_file()


def test_a_plan_of_firmware_files_writes_nothing_either(smpdfu: Call, keys: Keys, tmp_path: Path) -> None:
    firmware = built(PM_STAGED) / "smp_app" / "zephyr" / "zephyr.hex"
    out = tmp_path / "out"
    done = smpdfu("package", "--app", firmware, "-v", "1.0.0", "-k", keys.signing, "-o", out, "--plan", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["plan"] is True
    assert not out.exists()


def test_a_plan_needs_no_key(smpdfu: Call, tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    (folder / "smp_app" / "zephyr" / "zephyr.signed.bin").unlink()
    done = smpdfu("package", folder, "--plan", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert said["images"] == []
    assert any("-k" in one for one in said["warnings"])
    refused = smpdfu("package", folder, "-o", tmp_path / "out")
    assert refused.code == 3
    assert "smp_app/zephyr/zephyr.signed.bin" in refused.err
    assert "Give the key with -k" in refused.err
    assert not (tmp_path / "out").exists()


def test_options_override_the_build_and_say_so(smpdfu: Call, tmp_path: Path) -> None:
    done = smpdfu(
        "package",
        built(PM_STAGED),
        *("-k", signing_key(PM_STAGED), "-o", tmp_path / "out", "--json"),
        *("-v", "7.0.0", "--net-version", "8.0.0", "-S", "0x70000", "--swap-mode", "swap-scratch", "-s", "4"),
        *("--board", "myboard/nrf5340", "--name", "a name"),
    )
    assert done.code == 0, done.err
    package = Package.load(tmp_path / "out" / "dfu_application.zip")
    app, net = package.image(Role.APP), package.image(Role.NET)
    assert app is not None
    assert net is not None
    assert (app.image.header.version, net.image.header.version) == (Version(7), Version(8))
    assert app.image.security_counter == 4
    assert (app.entry["board"], net.entry["board"]) == ("myboard/nrf5340/cpuapp", "myboard/nrf5340/cpunet")
    assert package.manifest["name"] == "a name"
    said = json.loads(done.out)
    for words in ("7.0.0 as given", "8.0.0 as given", "0x70000", "swap-scratch", "the security counter", "myboard"):
        assert any(words in one for one in said["warnings"]), words
    row = next(one for one in said["found"] if (one["of"], one["name"]) == ("smp_app.signed.bin", "version"))
    assert (row["value"], row["from"]) == ("7.0.0", "given")


def test_the_defaults_of_other_inputs_are_no_overrides(smpdfu: Call, tmp_path: Path) -> None:
    done = smpdfu("package", built(STAGED), "-k", signing_key(STAGED), "-o", tmp_path / "out", "--json")
    assert not any("as given" in one for one in json.loads(done.out)["warnings"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["BUILD", "--app", "x.hex"], "--app"),
        (["BUILD", "--net", "x.hex"], "--net"),
        (["BUILD", "--merged", "x.hex"], "--merged"),
        (["BUILD", "-E", str(ENCRYPT)], "-E needs -k"),
        (["--app", str(built(STAGED) / "smp_app/zephyr/zephyr.bin"), "-o", "out"], "'-v' / '--version'"),
        (["--app", "x.hex", "-k", str(ENCRYPT), "-o", "out"], "'-v' / '--version'"),
        (["--merged", "x.hex", "-o", "out"], "'-v' / '--version'"),
        (["BUILD", "--mcuboot", "x.hex"], "--mcuboot"),
        (["BUILD", "--nsib-key", str(ENCRYPT)], "--nsib-key needs -k"),
        (["--app", "x.hex", "-v", "1"], "'-o' / '--output'"),
        ([], "build folder"),
    ],
)
def test_what_does_not_go_together(arguments: list[str], words: str, smpdfu: Call) -> None:
    done = smpdfu("package", *(built(STAGED) if one == "BUILD" else one for one in arguments))
    assert done.code == 2
    assert words in done.err


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["-k", "P256", "-E", str(ENCRYPT)], "Leave -E out."),
        (["-k", "ED25519"], "`smpdfu key info -k KEY`"),
    ],
)
def test_a_key_that_contradicts_the_build(arguments: list[str], advice: str, smpdfu: Call, tmp_path: Path) -> None:
    by_name = {"P256": signing_key(STAGED), "ED25519": signing_key("ncs3.4-nrf54l15-swap-offset")}
    done = smpdfu("package", built(STAGED), *(by_name.get(one, one) for one in arguments), "-o", tmp_path / "out")
    assert done.code == 3
    assert "mcuboot/zephyr/.config" in done.err
    assert advice in done.err
    assert not (tmp_path / "out").exists()


def test_an_encrypted_build_asks_for_the_key_that_it_names_and_that_is_elsewhere(smpdfu: Call, tmp_path: Path) -> None:
    kind = "ncs3.0-sysbuild-pm-staged-encrypted"
    folder = copy_of(kind, tmp_path / "build")
    for config in folder.rglob(".config"):
        config.write_text(config.read_text().replace(str(ENCRYPT), "/nowhere/key.pem"))
    done = smpdfu("package", folder, "-k", signing_key(kind), "-o", tmp_path / "out")
    assert done.code == 3
    assert "with -E" in done.err
    done = smpdfu("package", folder, "-k", signing_key(kind), "-E", ENCRYPT, "-o", tmp_path / "out")
    assert done.code == 0, done.err


def test_a_plan_names_the_key_that_encrypts(smpdfu: Call, tmp_path: Path) -> None:
    kind = "ncs3.0-sysbuild-pm-staged-encrypted"
    done = smpdfu("package", built(kind), "-k", signing_key(kind), "-o", tmp_path / "out", "--plan", "--json")
    rows = {one["name"]: one["value"] for one in json.loads(done.out)["found"]}
    assert rows["key that the build encrypts with"] == str(ENCRYPT)


def test_what_is_no_build_folder_has_advice(smpdfu: Call, tmp_path: Path) -> None:
    done = smpdfu("package", tmp_path, "-o", tmp_path / "out")
    assert done.code == 3
    assert "no build folder" in done.err
    done = smpdfu("package", built(STAGED) / "smp_app", "-o", tmp_path / "out")
    assert done.code == 3
    assert f"`smpdfu package {built(STAGED)}`" in done.err


def test_a_build_is_not_overwritten(smpdfu: Call, tmp_path: Path) -> None:
    """-o with the folder of the build's own signed images: they are inputs."""
    folder = copy_of(PM_STAGED, tmp_path / "build")
    image = folder / "smp_app" / "zephyr" / "zephyr.signed.bin"
    manifest = json.loads((folder / "dfu_application.zip_manifest.json").read_text())
    manifest["files"][0]["file"] = "zephyr.signed.bin"
    (folder / "dfu_application.zip_manifest.json").write_text(json.dumps(manifest))
    before = image.read_bytes()
    done = smpdfu("package", folder, "-o", image.parent)
    assert done.code == 3
    assert "is an input of this command" in done.err
    assert image.read_bytes() == before


def test_multi_image(smpdfu: Call, tmp_path: Path) -> None:
    done = smpdfu("package", built(STAGED), "-o", tmp_path / "out", "--multi-image", "--json")
    assert done.code == 0, done.err
    both = Package.load(tmp_path / "out" / "dfu_multi_image.bin")
    assert [one.role for one in both.images] == [Role.APP, Role.NET]


def test_the_last_lines_name_each_package_and_how_to_install_it(smpdfu: Call, tmp_path: Path) -> None:
    kind = "ncs3.0-pm-mcuboot-update"
    done = smpdfu("package", built(kind), "-k", signing_key(kind), "-o", tmp_path / "out")
    assert done.code == 0, done.err
    for name in ("dfu_application.zip", "dfu_mcuboot.zip"):
        assert f"`smpdfu update {tmp_path}/out/{name}`" in done.err
    assert "MCUboot itself; there is no way back" in done.err
    rows = [row.split() for row in done.out.splitlines()]
    assert sum(row[:3] == ["all", "images", "sector"] for row in rows) == 1
    assert sum("sector" in row for row in rows) == 1
    assert sum(row[:5] == ["both", "images", "of", "MCUboot", "version"] for row in rows) == 1
