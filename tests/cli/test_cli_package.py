"""``package``: both cores signed and packed, from files apart or merged, on real firmware too."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.cli.image.pack.package_options import Slots
from smpdfu.dfu.package.images import Core, Role
from smpdfu.dfu.package.making import PackageRequest
from smpdfu.dfu.package.multi_image import parse
from smpdfu.dfu.package.package import Package
from smpdfu.dfu.package.parts import slots_of
from smpdfu.image.files import Segment, encode_firmware, read_key_file
from smpdfu.image.format import Dependency, Flag, Image, Tlv, Version
from smpdfu.image.keys.keys import PrivateKey
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.image.signing.encrypt import ctr, unwrap_key
from smpdfu.image.verification.verify import verify
from smpdfu.virtual.chip.layout import NRF5340DK_STAGED

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

NAMES = ["app_update.bin", "dfu_application.zip", "net_core_update.bin"]


def code(address: int, size: int = 400) -> bytes:
    table = struct.pack("<16I", 0x2002_0000, *(address + 0x101 + 4 * number for number in range(15)))
    return table + bytes(at % 251 for at in range(size - len(table)))


APP, NET = (0xC200, code(0xC200)), (0x0100_8800, code(0x0100_8800))


def hex_file(path: Path, *parts: tuple[int, bytes]) -> Path:
    path.write_bytes(encode_firmware(tuple(Segment(*part) for part in parts), path))
    return path


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    return hex_file(tmp_path / "merged.hex", (0x0, code(0x0)), APP, NET)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_slots_of_the_development_kit_are_the_defaults() -> None:
    layout, slots = NRF5340DK_STAGED, Slots()
    assert (slots.app_address, slots.app_slot_size) == (layout.primary.start, layout.primary.size_bytes)
    request = PackageRequest(Version(1), app="app.hex")
    (app,), net = slots_of(request, Core.APP), slots_of(request, Core.NET)[0]
    assert (app.start, app.end) == (layout.primary.start, layout.primary.end)
    assert (net.start, net.end) == (layout.net.app.start, layout.net.app.end)
    assert slots.swap_mode is layout.mode.swap_mode
    assert [getattr(request, one.name) for one in fields(slots) if one.name != "no_link_check"] == [
        getattr(slots, one.name) for one in fields(slots) if one.name != "no_link_check"
    ]
    assert request.check_link is not slots.no_link_check


def test_a_merged_hex(smpdfu: Call, keys: Keys, merged: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    done = smpdfu("package", "--merged", merged, "-v", "1.2.3+4", "-k", keys.signing, "-o", folder, "--json")
    assert done.code == 0, done.err
    assert names(folder) == NAMES
    said = json.loads(done.out)
    assert said["warnings"] == []
    assert [image["core"] for image in said["images"]] == ["app", "net"]
    package = Package.load(folder / "dfu_application.zip")
    key = read_key_file(keys.signing_public)
    for image, (address, payload), name in zip(
        package.images, (APP, NET), ("app_update", "net_core_update"), strict=True
    ):
        assert image.data == (folder / f"{name}.bin").read_bytes()
        assert image.image.payload == payload
        assert image.load_address == address
        assert str(image.image.header.version) == "1.2.3+4"
        assert image.image.header.hdr_size == 0x200
        assert image.image.header.flags == Flag.ROM_FIXED
        assert image.image.header.load_addr == (0xC000 if image.core is Core.APP else 0x0100_8800)
        assert verify(image.image, [key]).accepted
    assert said["size_bytes"] == (folder / "dfu_application.zip").stat().st_size


def test_multi_image_writes_the_images_in_a_row_too(smpdfu: Call, keys: Keys, merged: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    options = ("package", "--merged", merged, "-v", "1.0.0", "-k", keys.signing, "-o", folder)
    told = json.loads(smpdfu(*options, "--multi-image", "--json").out)
    assert names(folder) == sorted([*NAMES, "dfu_multi_image.bin"])
    assert told["multi_image"] == str(folder / "dfu_multi_image.bin")
    parts = parse((folder / "dfu_multi_image.bin").read_bytes())
    assert [(part.id, part.data) for part in parts] == [
        (number, (folder / name).read_bytes()) for number, name in enumerate(("app_update.bin", "net_core_update.bin"))
    ]
    assert "dfu_multi_image.bin" in smpdfu(*options, "--multi-image").out
    assert "multi_image" not in json.loads(smpdfu(*options, "--json").out)


def test_only_the_application_is_encrypted(smpdfu: Call, keys: Keys, merged: Path, tmp_path: Path) -> None:
    options = ("-v", "1.0.0", "-k", keys.signing, "-E", keys.encryption_public, "--encrypt-keylen", "256")
    done = smpdfu("package", "--merged", merged, *options, "-o", tmp_path / "out", "--json")
    assert [image["encrypted"] for image in json.loads(done.out)["images"]] == [True, False]
    image = Image.from_bytes((tmp_path / "out" / "app_update.bin").read_bytes())
    key = read_key_file(keys.encryption)
    assert isinstance(key, PrivateKey)
    assert image.encryption_key_tlv is not None
    plain = ctr(image.payload, unwrap_key(image.encryption_key_tlv, key, 32))
    assert plain[: len(APP[1])] == APP[1]


def test_files_apart_and_a_version_for_each(smpdfu: Call, tmp_path: Path) -> None:
    app, net = tmp_path / "app.bin", hex_file(tmp_path / "net.hex", NET)
    app.write_bytes(APP[1])
    done = smpdfu(
        *("package", "--app", app, "--net", net, "-v", "1.0.0", "--net-version", "2.0.0", "-s", "7"),
        *("--name", "release", "--board", "my_board/nrf5340", "-o", tmp_path, "--json"),
    )
    assert done.code == 0, done.err
    package = Package.load(tmp_path / "dfu_application.zip")
    assert [str(image.image.header.version) for image in package.images] == ["1.0.0", "2.0.0"]
    assert [image.image.security_counter for image in package.images] == [7, None]
    assert package.manifest["name"] == "release"
    assert package.manifest["files"][1]["board"] == "my_board/nrf5340/cpunet"


def test_the_network_image_waits_for_its_application(smpdfu: Call, merged: Path, tmp_path: Path) -> None:
    labels = ("-v", "1.2.3+4", "--net-version", "9.0.0")
    for tie, needed in (((), ()), (("--tie",), (Dependency(0, Version(1, 2, 3, 4)),))):
        assert smpdfu("package", "--merged", merged, *labels, *tie, "-o", tmp_path / "out").code == 0
        package = Package.load(tmp_path / "out" / "dfu_application.zip")
        assert [image.image.dependencies for image in package.images] == [(), needed]


def test_a_tie_says_where_it_has_no_effect(smpdfu: Call, keys: Keys, merged: Path, tmp_path: Path) -> None:
    options = ("package", "-k", keys.signing, "--tie", "-o", tmp_path / "out", "--json")
    done = smpdfu(*options, "--merged", merged, "-v", "1.0.0", "--swap-mode", "overwrite-only")
    assert (done.code, done.document["warnings"]) == (0, [])
    (one_pair,) = smpdfu(*options, "--merged", merged, "-v", "1.0.0").document["warnings"]
    assert "With one pair, bootloaders check no dependency" in one_pair
    done = smpdfu(*options, "--merged", merged, "-v", "0.0.0+7", "--swap-mode", "overwrite-only")
    (always,) = done.document["warnings"]
    assert "has no effect" in always
    alone = hex_file(tmp_path / "app.hex", APP)
    assert smpdfu(*options, "--app", alone, "-v", "1.0.0").code == 2


def needing(start: int, payload: bytes, *needs: Dependency) -> tuple[int, bytes]:
    """A signed image at its slot, with dependencies."""
    spec = ImageSpec(Version(1), 0x200, 0, pad_header=True, dependencies=needs)
    return start, build(spec, payload).to_bytes()


@pytest.mark.parametrize(
    ("app", "net", "words"),
    [
        ((Dependency(1, Version(2)),), (), "needs version 2.0.0 of the network core's image (image 1)"),
        ((Dependency(2, Version(1)), Dependency(1, Version(0, 0, 1))), (), "stops the device at every boot"),
        ((Dependency(0, Version(2)),), (), "needs version 2.0.0 of image 0, and this package has version 1.5.0"),
        ((), (Dependency(0, Version(1, 5, 1)),), "needs version 1.5.1 of image 0, and this package has version 1.5.0"),
        ((), (Dependency(1, Version(3)),), "needs version 3.0.0 of image 1"),
        ((Dependency(1, Version(0)), Dependency(5, Version(9))), (), None),  # always met; not there
        ((Dependency(0, Version(1, 5, 0, 9)),), (Dependency(0, Version(1, 5)), Dependency(1, Version(1, 5))), None),
    ],
)
def test_a_dependency_that_stops_a_device_or_is_never_met_is_refused(
    smpdfu: Call, tmp_path: Path, app: tuple[Dependency, ...], net: tuple[Dependency, ...], words: str | None
) -> None:
    file = hex_file(tmp_path / "both.hex", needing(0xC000, APP[1], *app), needing(NET[0], NET[1], *net))
    done = smpdfu("package", "--merged", file, "-v", "1.5.0", "-o", tmp_path / "out")
    if words is None:
        assert done.code == 0, done.err
        made = Package.load(tmp_path / "out" / "dfu_application.zip")
        assert [image.image.dependencies for image in made.images] == [app, net]
    else:
        assert done.code == 3
        assert words in done.sentence
        assert not (tmp_path / "out").exists()


# --- other layouts --------------------------------------------------------------------------------------------------

SMALL_B0N, SMALL_NET = (0x0100_0000, code(0x0100_0000, 0x2800)), (0x0100_2800, code(0x0100_2800, 0x9000))


@pytest.mark.parametrize("merged_hex", [True, False])
@pytest.mark.parametrize("address", [(), ("--net-address", "0x1002800")])
def test_the_network_application_behind_a_small_b0n(
    smpdfu: Call, keys: Keys, tmp_path: Path, merged_hex: bool, address: tuple[str, ...]
) -> None:
    parts = [(0x0, code(0x0)), APP, SMALL_B0N, SMALL_NET] if merged_hex else [SMALL_NET]
    file = hex_file(tmp_path / "firmware.hex", *parts)
    options = ("--merged" if merged_hex else "--net", file, "-v", "1.0.0", "-k", keys.signing, "-o", tmp_path / "out")
    done = smpdfu("package", *options, *address)
    assert (done.code, done.err) == (0, "")
    image = Package.load(tmp_path / "out" / "dfu_application.zip").image(Role.NET)
    assert image is not None
    assert image.image.payload == SMALL_NET[1]
    assert (image.load_address, image.image.header.load_addr) == (0x0100_2800, 0x0100_2800)
    assert image.code_address == 0x0100_2800


def test_firmware_for_b0n_says_itself_where_it_runs(smpdfu: Call, keys: Keys, tmp_path: Path) -> None:
    """A .bin has no addresses, and this reset vector fits both places."""
    payload = bytearray(code(0x0100_2800, 0x9000))
    payload[4:8] = (0x0100_9001).to_bytes(4, "little")
    info = FirmwareInfo(len(payload), 1, 0x0100_2800).to_bytes()
    payload[0x200 : 0x200 + len(info)] = info
    (tmp_path / "net.bin").write_bytes(payload)
    options = ("--net", tmp_path / "net.bin", "-v", "1.0.0", "-k", keys.signing, "-o", tmp_path / "out")
    done = smpdfu("package", *options)
    assert done.code == 0
    assert "is not sealed: b0n refuses it" in done.err
    assert Package.load(tmp_path / "out" / "dfu_application.zip").images[0].load_address == 0x0100_2800


def test_all_of_the_flash_behind_a_small_b0n_is_room(smpdfu: Call, tmp_path: Path) -> None:
    file = hex_file(tmp_path / "net.hex", (0x0100_2800, code(0x0100_2800, 0x3D800)))
    assert smpdfu("package", "--net", file, "-v", "1.0.0", "-S", "0x80000", "-o", tmp_path / "out").code == 0
    assert Package.load(tmp_path / "out" / "dfu_application.zip").images[0].image.header.img_size == 0x3D800


@pytest.mark.parametrize("core", Core)
def test_one_core(smpdfu: Call, tmp_path: Path, core: Core) -> None:
    file = hex_file(tmp_path / "one.hex", APP if core is Core.APP else NET)
    assert smpdfu("package", f"--{core}", file, "-v", "1.0.0", "-o", tmp_path / "out").code == 0
    assert len(names(tmp_path / "out")) == 2
    assert [image.core for image in Package.load(tmp_path / "out" / "dfu_application.zip").images] == [core]


def test_the_same_input_makes_the_same_package(smpdfu: Call, keys: Keys, merged: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        options = ("--merged", merged, "-v", "1.0.0", "-k", keys.signing, "-o", tmp_path / str(number))
        assert smpdfu("package", *options).code == 0
    for name in NAMES:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_a_table_for_people(smpdfu: Call, merged: Path, tmp_path: Path) -> None:
    out = smpdfu("package", "--merged", merged, "-v", "1.0.0", "-o", tmp_path / "out").out
    assert "net_core_update.bin" in out
    assert "0x1008800" in out


# --- firmware that would not run ------------------------------------------------------------------------------------


def test_firmware_that_is_linked_elsewhere_is_packed_with_a_warning(smpdfu: Call, keys: Keys, tmp_path: Path) -> None:
    file = hex_file(tmp_path / "zero.hex", (0x0, code(0x0)), (0x0100_0000, code(0x0100_0000)))
    options = ("package", "--merged", file, "-v", "1.0.0", "-k", keys.signing, "-o", tmp_path / "out")
    done = smpdfu(*options)
    assert done.code == 0
    lines = [line for line in done.err.splitlines() if line.startswith("warning: ")]
    assert [line.split(":")[1].strip() for line in lines] == ["application core", "network core"]
    assert "its reset vector 0x100 is not within 0xc200" in lines[0]
    assert len(json.loads(smpdfu(*options, "--json").out)["warnings"]) == 2
    silent = smpdfu(*options, "--no-link-check", "--json")
    assert (silent.err, json.loads(silent.out)["warnings"]) == ("", [])


def test_of_an_application_that_is_signed_already_nothing_is_lost_in_silence(
    smpdfu: Call, keys: Keys, tmp_path: Path
) -> None:
    spec = ImageSpec(
        Version(1), 0x200, 0, pad_header=True, security_counter=7, dependencies=(Dependency(2, Version(2)),)
    )
    image = build(spec, APP[1])
    odd = replace(image, unprotected=(*image.unprotected, Tlv(0xA7, b"mine")))
    file = hex_file(tmp_path / "app_signed.hex", (0xC000, odd.to_bytes()))
    options = ("--app", file, "-v", "1.0.1", "-k", keys.signing, "--no-link-check", "-o", tmp_path / "out")
    done = smpdfu("package", *options)
    assert done.code == 0
    assert "warning: application core: the image was signed before" in done.err
    assert "loses of it: 0x00a7" in done.err
    made = Package.load(tmp_path / "out" / "dfu_application.zip").images[0].image
    assert (made.security_counter, made.dependencies) == (7, spec.dependencies)
    assert smpdfu("package", *options, "-s", "8").code == 0
    assert Package.load(tmp_path / "out" / "dfu_application.zip").images[0].image.security_counter == 8


def test_the_real_firmware_is_linked_for_the_start_of_the_flash(
    smpdfu: Call, keys: Keys, sample_hex: Path, tmp_path: Path
) -> None:
    done = smpdfu("package", "--merged", sample_hex, "-v", "4.4.0", "-k", keys.signing, "-o", tmp_path, "--json")
    said = json.loads(done.out)
    assert [image["core"] for image in said["images"]] == ["app", "net"]
    assert len(said["warnings"]) == 2
    assert min(image["size_bytes"] for image in said["images"]) > 50_000


def test_other_slots(smpdfu: Call, keys: Keys, tmp_path: Path) -> None:
    file = hex_file(tmp_path / "app.hex", (0x10200, code(0x10200)))
    options = ("--app", file, "-v", "1.0.0", "-k", keys.signing, "-o", tmp_path / "out")
    done = smpdfu("package", *options, "--app-address", "0x10000", "-S", "0xe7000")
    assert (done.code, done.err) == (0, "")
    assert Package.load(tmp_path / "out" / "dfu_application.zip").images[0].load_address == 0x10200


def test_what_is_not_signed_or_no_firmware_is_told(smpdfu: Call, keys: Keys, tmp_path: Path) -> None:
    (tmp_path / "text.bin").write_bytes(b"this is a letter, and no firmware at all " * 20)
    options = ("package", "--app", tmp_path / "text.bin", "-v", "1.0.0", "-o", tmp_path / "out", "--json")
    (no_vectors, unsigned) = json.loads(smpdfu(*options).out)["warnings"]
    assert "does not begin with a vector table" in no_vectors
    assert "is not signed (-k)" in unsigned
    assert json.loads(smpdfu(*options, "--no-link-check", "-k", keys.signing).out)["warnings"] == []


# --- refusals -------------------------------------------------------------------------------------------------------


def refusals(keys: Keys, folder: Path) -> list[tuple[tuple[Any, ...], int, str]]:
    app = hex_file(folder / "app.hex", APP)
    nothing = hex_file(folder / "uicr.hex", (0x00FF_8000, b"1234"))
    large = hex_file(folder / "large.hex", (0xC200, code(0xC200, 0x79000)))
    net = hex_file(folder / "net.hex", NET)
    too_large_net = folder / "net.bin"
    too_large_net.write_bytes(code(0x0100_8800, 0x37801))
    raw = folder / "raw.bin"
    raw.write_bytes(APP[1])
    return [
        ((), 2, ""),
        (("--merged", app, "--app", app), 2, ""),
        (("--app", app, "-E", keys.encryption_public, "--clear"), 2, ""),
        (("--merged", raw), 3, "no addresses"),
        (("--merged", nothing), 3, "nothing in the flash of either core"),
        (("--net", app), 3, "nothing in the flash of the network core"),
        (("--app", large), 3, "too large"),
        (("--net", too_large_net), 3, "has room for 227328"),
        (("--app", folder / "none.hex"), 3, "No such file"),
        (("--app", keys.signing), 3, "is a key or certificate"),
        (("--app", app, "-k", keys.signing_public), 3, "public key"),
        (("--app", app, "-k", keys.protected), 3, "passphrase"),
        (("--app", app, "-k", folder / "none.pem"), 3, "cannot read the key file"),
        (("--app", app, "-k", raw), 3, "not a PEM key file"),
        (("--app", net, "-k", keys.signing), 3, "nothing in the flash of the application core"),
    ]


def test_what_cannot_be_packed_leaves_nothing(smpdfu: Call, keys: Keys, tmp_path: Path) -> None:
    for arguments, exit_code, words in refusals(keys, tmp_path):
        done = smpdfu("package", *arguments, "-v", "1.0.0", "-o", tmp_path / "out")
        assert done.code == exit_code, (arguments, done.err)
        if exit_code != 2:
            assert words in done.sentence, arguments
        assert not (tmp_path / "out").exists(), arguments


@pytest.mark.parametrize("version", ["", "1.x", "256.0.0"])
def test_a_bad_version_is_a_usage_error(smpdfu: Call, merged: Path, tmp_path: Path, version: str) -> None:
    assert smpdfu("package", "--merged", merged, "-v", version, "-o", tmp_path / "out").code == 2
    assert smpdfu("package", "--merged", merged, "-o", tmp_path / "out").code == 2


def test_a_protected_key_with_its_passphrase(
    smpdfu: Call, keys: Keys, merged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_WORD", keys.passphrase)
    options = ("-k", keys.protected, "--passphrase-env", "KEY_WORD", "-v", "1.0.0", "-o", tmp_path / "out")
    assert smpdfu("package", "--merged", merged, *options).code == 0


def test_a_full_disk_leaves_no_half_file(merged: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the images fit, the package does not; all or none."""
    program = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500)); from smpdfu.__main__ import main; main()"
    )
    paths = os.pathsep.join((str(Path(__file__).parents[2]), *filter(None, sys.path)))
    arguments = ["package", "--merged", str(merged), "-v", "1.0.0", "-o", str(tmp_path / "out")]
    command = [sys.executable, "-c", program, *arguments]
    # Else it would leave bytecode behind that is cut short, too.
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 3, done.stderr
    assert done.stderr.splitlines()[-1] == f"error: {tmp_path}/out/dfu_application.zip: File too large"
    assert names(tmp_path / "out") == []
