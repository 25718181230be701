"""A program makes the package that ``smpdfu package`` makes, and hears the same warnings without our options."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu import (
    Board,
    Core,
    ImageError,
    PackageError,
    PackageRequest,
    SigningError,
    SwapMode,
    TooLargeError,
    Version,
    load_private,
    make_package,
)
from smpdfu.cli.app.advice_by_code import PACKAGE_WARNINGS, package_warning_words
from tests.cli.test_cli_package import APP, NET, SMALL_NET, code, hex_file, needing

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

V1 = Version(1)
TIED = PackageRequest(Version(1, 2, 3, 4), merged="", tie=True, net_version=Version(9), security_counter=7)
CASES: list[tuple[PackageRequest, tuple[str, ...]]] = [
    (PackageRequest(V1, merged=""), ("-v", "1.0.0")),
    (
        replace(TIED, swap_mode=SwapMode.OVERWRITE_ONLY, security_counter="auto"),
        ("-v", "1.2.3+4", "--tie", "--net-version", "9.0.0", "-s", "auto", "--swap-mode", "overwrite-only"),
    ),
    (TIED, ("-v", "1.2.3+4", "--tie", "--net-version", "9.0.0", "-s", "7")),
    (
        PackageRequest(V1, merged="", name="night", board=Board("my_board/nrf5340"), app_slot_size=0x70000),
        ("-v", "1.0.0", "--name", "night", "--board", "my_board/nrf5340/", "-S", "0x70000"),
    ),
    (
        PackageRequest(V1, merged="", net_address=0x0100_8800, net_slot_size=0x30000, header_size=0x200),
        ("-v", "1.0.0", "--net-address", "0x1008800", "--net-slot-size", "0x30000", "-H", "0x200"),
    ),
]


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize(("request_", "options"), CASES, ids=["plain", "tied", "tied with one pair", "labels", "slots"])
def test_the_same_bytes_and_the_same_warnings(
    smpdfu: Call, keys: Keys, tmp_path: Path, request_: PackageRequest, options: tuple[str, ...], signed: bool
) -> None:
    merged = hex_file(tmp_path / "merged.hex", (0x0, code(0x0)), APP, NET)
    key = load_private(keys.signing.read_bytes()) if signed else None
    made = make_package(replace(request_, merged=merged), key)
    given = ("-k", keys.signing) if signed else ()
    done = smpdfu("package", "--merged", merged, *given, *options, "-o", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == made.files()
    said = json.loads(done.out)
    assert said["warnings"] == [package_warning_words(one) for one in made.warnings]
    assert [one["load_address"] for one in said["images"]] == [one.load_address for one in made.package.images]


def test_files_apart_are_packed_as_the_command_packs_them(smpdfu: Call, keys: Keys, tmp_path: Path) -> None:
    app, net = tmp_path / "app.bin", hex_file(tmp_path / "net.hex", SMALL_NET)
    app.write_bytes(APP[1])
    made = make_package(PackageRequest(V1, app=str(app), net=net), load_private(keys.signing.read_bytes()))
    files = ("--app", app, "--net", net)
    assert smpdfu("package", *files, "-k", keys.signing, "-v", "1.0.0", "-o", tmp_path / "out").code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == made.files()
    assert [image.load_address for image in made.package.images] == [0xC200, 0x0100_2800]
    assert made.warnings == ()


def test_only_the_application_is_encrypted(keys: Keys, tmp_path: Path) -> None:
    merged = hex_file(tmp_path / "merged.hex", APP, NET)
    request = PackageRequest(V1, merged=merged, encrypt_keylen=256)
    recipient = load_private(keys.encryption.read_bytes()).public
    images = make_package(request, None, recipient).package.images
    assert [(image.core, image.image.encrypted) for image in images] == [(Core.APP, True), (Core.NET, False)]


def codes(request: PackageRequest, key: Any = None) -> list[tuple[str, Core | None]]:
    return [(warning.code, warning.core) for warning in make_package(request, key).warnings]


def test_each_warning_has_its_code(keys: Keys, tmp_path: Path) -> None:
    key = load_private(keys.signing.read_bytes())
    both = PackageRequest(Version(0, 0, 0, 7), merged=hex_file(tmp_path / "both.hex", APP, NET), tie=True)
    unsigned = [("unsigned", Core.APP), ("unsigned", Core.NET)]
    assert codes(both) == [("tie-one-pair", None), ("tie-always-met", None), *unsigned]
    zero = PackageRequest(V1, merged=hex_file(tmp_path / "zero.hex", (0x0, code(0x0))))
    assert codes(zero, key) == [("linked-elsewhere", Core.APP), ("one-core", None)]
    assert codes(replace(zero, check_link=False), key) == [("one-core", None)]
    (tmp_path / "letter.bin").write_bytes(b"this is a letter, and no firmware at all " * 20)
    assert codes(PackageRequest(V1, app=tmp_path / "letter.bin"), key) == [("no-vector-table", Core.APP)]
    public = load_private((Path(__file__).parents[2] / "keys" / "dev-sign-p256.pem").read_bytes())
    assert codes(PackageRequest(V1, app=hex_file(tmp_path / "app.hex", APP)), public) == [("known-key", None)]
    assert {"tie-one-pair", "tie-always-met", "unsigned"} == set(PACKAGE_WARNINGS)


def test_a_refusal_is_an_error_of_ours(keys: Keys, tmp_path: Path) -> None:
    app = hex_file(tmp_path / "app.hex", APP)
    with pytest.raises(PackageError, match="cannot depend on the application") as caught:
        make_package(PackageRequest(V1, merged=app, tie=True))
    assert caught.value.code == "tie-without-net"
    with pytest.raises(SigningError, match="cannot be released"):
        make_package(PackageRequest(V1, app=app, release=True))
    with pytest.raises(ImageError, match="nothing in the flash of the network core"):
        make_package(PackageRequest(V1, net=app))
    with pytest.raises(TooLargeError, match="has room for 256"):
        make_package(PackageRequest(V1, net=hex_file(tmp_path / "net.hex", NET), net_slot_size=0x100))
    with pytest.raises(OSError, match="none"):
        make_package(PackageRequest(V1, app=tmp_path / "none.hex"))


def test_a_request_without_firmware_or_with_too_much_is_wrong_use() -> None:
    with pytest.raises(ValueError, match="nothing to pack"):
        PackageRequest(V1)
    with pytest.raises(ValueError, match="both cores"):
        PackageRequest(V1, merged="merged.hex", net="net.hex")


def test_what_was_signed_before_and_is_lost_is_said(keys: Keys, tmp_path: Path) -> None:
    start, signed = needing(0xC000, APP[1])
    odd = bytearray(signed)
    odd[16] |= 0x40  # an unknown flag of the header
    file = hex_file(tmp_path / "signed.hex", (start, bytes(odd)))
    assert ("lost", Core.APP) in codes(PackageRequest(V1, app=file), load_private(keys.signing.read_bytes()))
