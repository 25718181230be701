"""``secure-dfu package`` and ``show``, and files of the wrong world in the hands of every command."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.image.keys.keys import generate, load_private
from smpdfu.image.secure_dfu.package import SecureDfuPackage
from smpdfu.securedfu.signature import bootloader_key, verify
from tests.conftest import ROOT
from tests.securedfu.nrf52_firmware import bootloader_hex, hex_of, program, softdevice_hex

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Outcome
    from tests.soft_token import SoftToken

KEY = load_private((ROOT / "tests" / "securedfu" / "other-key.pem").read_bytes())
PEM = ROOT / "tests" / "securedfu" / "other-key.pem"


class Folder:
    """A folder with firmware and a call of ``smpdfu`` in it."""

    def __init__(self, path: Path, smpdfu: Call) -> None:
        self.path, self._smpdfu = path, smpdfu
        (path / "app.hex").write_bytes(hex_of((0x27000, program(0x27000))))
        (path / "bare.hex").write_bytes(hex_of((0x1000, program(0x1000))))
        (path / "sd.hex").write_bytes(softdevice_hex())
        (path / "bl.hex").write_bytes(bootloader_hex(key=bootloader_key(KEY)))

    def call(self, *words: object) -> Outcome:
        """``smpdfu secure-dfu WORDS``."""
        return self._smpdfu("secure-dfu", *words)

    def package(self, *words: object, sd_req: str = "0x100") -> Outcome:
        """A package of the application, in ``app.zip``."""
        words = ("--application", self.path / "app.hex", "--application-version", 7, "--hw-version", 52, *words)
        return self.call("package", *words, "--sd-req", sd_req, "-o", self.path / "app.zip")

    def read(self) -> SecureDfuPackage:
        return SecureDfuPackage.from_bytes((self.path / "app.zip").read_bytes())


@pytest.fixture
def folder(tmp_path: Path, smpdfu: Call) -> Folder:
    return Folder(tmp_path, smpdfu)


def signed_by(package: SecureDfuPackage, key: Any) -> bool:
    for one in package.entries:
        signed = one.init_packet.signed_command
        assert signed is not None
        verify(key, signed.signature or b"", signed.command.signed_bytes)
    return True


# --- package --------------------------------------------------------------------------------------------------------


def test_the_same_call_makes_the_same_bytes_at_any_time(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folder.package("-k", PEM).code == 0
    first = (folder.path / "app.zip").read_bytes()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert folder.package("-k", PEM).code == 0
    assert (folder.path / "app.zip").read_bytes() == first
    with zipfile.ZipFile(folder.path / "app.zip") as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.namelist() == ["app.bin", "app.dat", "manifest.json"]


def test_the_answer_in_json_says_what_is_in_the_package(folder: Folder) -> None:
    done = folder.package("-k", PEM, "--json").document
    (image,) = done["images"]
    assert (image["name"], image["bin_file"], image["size_bytes"]) == ("application", "app.bin", 20_000)
    assert (image["packet"]["fw_version"], image["packet"]["softdevices"]) == (7, [0x100])
    assert done["findings"] == []
    assert done["size_bytes"] == (folder.path / "app.zip").stat().st_size


def test_a_key_behind_a_passphrase_signs(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = folder.path / "secret.pem"
    secret.write_bytes(KEY.to_private_pem(b"correct horse"))
    assert "passphrase" in folder.package("-k", secret).refused()
    monkeypatch.setenv("SECRET", "correct horse")
    assert folder.package("-k", secret, "--passphrase-env", "SECRET").code == 0
    assert signed_by(folder.read(), KEY)


def test_a_key_in_a_token_signs(folder: Folder, soft_token: SoftToken) -> None:
    done = folder.package("--key-file", soft_token.uri("ecdsa-p256"))
    assert done.code == 0, done.err
    assert signed_by(folder.read(), soft_token.keys["ecdsa-p256"])
    for kind in ("ecdsa-p384", "ed25519", "rsa-2048"):
        assert f"the key is of type {kind}" in folder.package("-k", soft_token.uri(kind)).refused()


def test_a_program_signs(folder: Folder) -> None:
    script, public = folder.path / "sign.sh", folder.path / "pub.pem"
    public.write_bytes(KEY.to_pem())
    script.write_text(f"#!/bin/sh\nexec openssl pkeyutl -sign -inkey {PEM} -pkeyopt digest:sha256\n")
    script.chmod(0o755)
    done = folder.package("-k", f"cmd:{script}?pub={public}")
    assert done.code == 0, done.err
    assert signed_by(folder.read(), KEY)
    assert f"cmd:{script}" in done.out


def test_the_signature_of_the_firmware_is_by_the_same_key(folder: Folder) -> None:
    method = ("--app-boot-validation", "VALIDATE_ECDSA_P256_SHA256")
    assert "needs a key" in folder.package(*method).refused()
    assert folder.package(*method, "-k", PEM).code == 0
    (entry,) = folder.read().entries
    verify(KEY, entry.init_packet.init.boot_validation[0].data or b"", entry.firmware)


def test_a_package_without_a_key_is_warned_of_and_refused_for_a_release(folder: Folder) -> None:
    done = folder.package()
    assert done.code == 0
    assert "warning: application: it is not signed" in done.err
    assert "Sign it with -k" in done.err
    assert "no signature" in folder.package("--release").refused()


def test_a_refused_package_is_not_written_and_forced_it_is(folder: Folder) -> None:
    words = ("--application", folder.path / "bare.hex", "-k", PEM)
    refused = folder.package(*words)
    assert "1 reason speaks against it" in refused.refused(6)
    assert refused.out == ""
    assert "refused: application:" in refused.err
    assert "nothing would start" in refused.err
    assert not (folder.path / "app.zip").exists()
    document = folder.package(*words, "--json")
    assert document.code == 6
    assert [one["code"] for one in document.document["findings"]] == ["no-softdevice-linked"]
    assert document.document["error"]["exit_code"] == 6
    forced = folder.package(*words, "--force")
    assert forced.code == 0
    assert "nothing would start" in forced.err
    assert folder.read().entries


def test_a_refused_package_asks_for_no_passphrase(folder: Folder) -> None:
    secret = folder.path / "secret.pem"
    secret.write_bytes(KEY.to_private_pem(b"correct horse"))
    done = folder.package("--application", folder.path / "bare.hex", "-k", secret)
    assert done.code == 6
    assert "passphrase" not in done.err


def test_softdevice_bootloader_and_application_in_one_package(folder: Folder) -> None:
    words = ("--softdevice", folder.path / "sd.hex", "--bootloader", folder.path / "bl.hex", "--bootloader-version", 3)
    done = folder.package(*words, "--sd-id", "0x100", "-k", PEM, sd_req="0xCA")
    assert done.code == 0, done.err
    first, second = folder.read().in_sending_order
    assert (first.name, second.name) == ("softdevice_bootloader", "application")
    assert first.more == {"info_read_only_metadata": {"bl_size": 20_480, "sd_size": 154_812}}
    assert (first.init_packet.init.sd_req, second.init_packet.init.sd_req) == ((0xCA, 0x100), (0x100,))


def test_what_is_known_of_the_devices_is_checked(folder: Folder) -> None:
    other = folder.path / "other.hex"
    other.write_bytes(bootloader_hex(key=bytes(64)))
    assert folder.package("-k", PEM, "--for-bootloader", folder.path / "bl.hex", "--chip", "nrf52840").code == 0
    refused = folder.package("-k", PEM, "--for-bootloader", other)
    assert refused.code == 6
    assert "does not have the public half of this key" in refused.err
    assert "no buttonless DFU service" in folder.package("-k", PEM, "--only-over-ble").err


def test_an_application_is_no_bootloader_of_the_devices(folder: Folder) -> None:
    said = folder.package("--for-bootloader", folder.path / "app.hex").refused(2)
    assert "app.hex begins at 0x27000, where applications begin: it is no bootloader" in said


def test_a_text_is_no_bootloader_of_the_devices(folder: Folder) -> None:
    (folder.path / "notes.txt").write_text("the bootloader of the roof devices\n" * 9)
    said = folder.package("--for-bootloader", folder.path / "notes.txt").refused(2)
    assert "notes.txt does not begin with a vector table: it is no bootloader" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--application-version-string", "2.7.31"), "not both"),
        (("--sd-id", ","), "--sd-id has no ID in it"),
        (("--sd-id", "banana"), "--sd-id: 'banana' is not a whole number"),
        (("--bootloader-version", "1"), "no bootloader"),
        (("--chip", "nrf5340"), "nrf52840"),
        (("--app-boot-validation", "CRC"), "VALIDATE_GENERATED_CRC"),
        (("--zigbee", "True"), "no packages for Zigbee"),
        (("--zigbee-image-type", "1"), "no packages for Zigbee"),
        (("second.zip",), "two packages to write"),
    ],
)
def test_what_is_typed_wrong_is_said(folder: Folder, words: tuple[str, ...], sentence: str) -> None:
    assert sentence in folder.package(*words).refused(2)


@pytest.mark.parametrize(
    ("text", "number"),
    [("2.7.31", 20731), ("0.0.1", 1), ("10.0.0", 100_000), ("1.100.0", None), ("1.2", None), ("999999.1.1", None)],
)
def test_a_version_as_text_is_nrfutil_s_number(folder: Folder, text: str, number: int | None) -> None:
    words = ("--application", folder.path / "app.hex", "--hw-version", 52, "--sd-req", "0x100", "-k", PEM)
    done = folder.call("package", *words, "--application-version-string", text, folder.path / "app.zip")
    if number is None:
        said = done.refused(2)
        assert "--application-version-string" in said
        assert text in said
    else:
        assert folder.read().entries[0].init_packet.init.fw_version == number


def test_zigbee_false_is_what_smpdfu_makes(folder: Folder) -> None:
    assert folder.package("--zigbee", "False", "-k", PEM).code == 0


def test_an_input_is_not_overwritten(folder: Folder) -> None:
    words = (
        "--application",
        folder.path / "app.hex",
        "--application-version",
        1,
        "--hw-version",
        52,
        "--sd-req",
        "0x100",
    )
    assert "is an input" in folder.call("package", *words, "-o", folder.path / "app.hex").refused()
    assert "private key" in folder.call("package", *words, "-k", PEM, "-o", PEM).refused()


# --- show -----------------------------------------------------------------------------------------------------------


def test_show_prints_every_field(folder: Folder) -> None:
    folder.package("-k", PEM)
    done = folder.call("show", folder.path / "app.zip")
    assert (done.code, done.err) == (0, "")
    for words in (
        "application: app.bin, 20000 bytes",
        "version           7",
        "hardware version  52",
        "0x100 (S140 7.2.0)",
    ):
        assert words in done.out
    for words in ("VALIDATE_GENERATED_CRC", "not verified: give the bootloader's key with -k", "debug mode        no"):
        assert words in done.out


def test_show_verifies_the_signature(folder: Folder) -> None:
    folder.package("-k", PEM)
    shown = folder.call("show", folder.path / "app.zip", "-k", PEM)
    assert shown.code == 0
    assert f"by {PEM}" in shown.out
    other = folder.path / "other.pem"
    other.write_bytes(generate("ecdsa-p256").to_pem())
    refused = folder.call("show", folder.path / "app.zip", "-k", other, "--json")
    assert refused.code == 3
    assert [one["code"] for one in refused.document["findings"]] == ["signature"]
    assert (refused.document["accepted"], refused.document["images"][0]["signed_by"]) == (False, None)
    both = folder.call("show", folder.path / "app.zip", "-k", other, "-k", PEM, "--json").document
    assert (both["accepted"], both["images"][0]["signed_by"]) == (True, str(PEM))
    other.write_bytes(generate("ed25519").to_pem())
    assert "of type ed25519" in folder.call("show", folder.path / "app.zip", "-k", other).refused()


def test_show_has_every_field_in_json(folder: Folder) -> None:
    folder.package("-k", PEM)
    (image,) = folder.call("show", folder.path / "app.zip", "--json").document["images"]
    packet = image["packet"]
    assert packet["boot_validation"] == [{"type": "VALIDATE_GENERATED_CRC", "bytes": ""}]
    assert (packet["op_code"], packet["app_size"], packet["sd_size"], packet["bl_size"]) == ("INIT", 20_000, 0, 0)
    assert len(packet["signature"]) == 128
    assert packet["unknown_fields"] == []


def changed(folder: Folder, name: str, change: Any) -> Path:
    """The package with one member changed."""
    out = folder.path / "changed.zip"
    with zipfile.ZipFile(folder.path / "app.zip") as before, zipfile.ZipFile(out, "w") as after:
        for one in before.namelist():
            after.writestr(one, change(before.read(one)) if one == name else before.read(one))
    return out


@pytest.mark.parametrize(
    ("name", "change", "code", "words"),
    [
        ("app.bin", lambda data: data[:-4], "size", "is for 20000 bytes of firmware, and app.bin has 19996"),
        ("app.bin", lambda data: b"\1" + data[1:], "hash", "is damaged, or belongs to another init packet"),
        ("app.dat", lambda data: data[:-1], "damaged", "cut off"),
        ("manifest.json", lambda data: data.replace(b'"application"', b'"bootloader"'), "type", "says 'bootloader'"),
        (
            "manifest.json",
            lambda data: data.replace(b"app.dat", b"gone.dat"),
            "damaged",
            "gone.dat is not in the package",
        ),
    ],
)
def test_show_names_what_the_bootloader_would_refuse(
    folder: Folder, name: str, change: Any, code: str, words: str
) -> None:
    folder.package("-k", PEM)
    done = folder.call("show", changed(folder, name, change), "--json", "-k", PEM)
    assert done.code == 3
    assert code in [one["code"] for one in done.document["findings"]]
    assert words in " ".join(one["message"] for one in done.document["findings"])


def test_show_of_a_package_without_images(folder: Folder) -> None:
    folder.package("-k", PEM)
    path = changed(folder, "manifest.json", lambda _: b'{"manifest": {}}')
    assert "names no image" in folder.call("show", path).refused()


# --- the other world ------------------------------------------------------------------------------------------------


WRONG = ("update", "upload", "verify", "publish", "fleet", "sign", "package")


@pytest.mark.parametrize("command", WRONG)
def test_a_secure_dfu_package_is_named_by_every_command_of_the_other_world(
    folder: Folder, smpdfu: Call, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.package("-k", PEM)
    monkeypatch.setenv("PASSWORD", "x")
    package, fleet = folder.path / "app.zip", folder.path / "fleet.toml"
    fleet.write_text('[fleet]\nid="older-boards-1"\n[packages]\ndefault="app.zip"\n[[wave]]\nname="all"\n[[device]]\n'
                     'name="a"\naddress="udp:127.0.0.1:9"\n')  # fmt: skip
    words: dict[str, tuple[object, ...]] = {
        "update": ("update", package, "--to", "udp:127.0.0.1:9"),
        "upload": ("upload", package, "--confirm", "--to", "udp:127.0.0.1:9"),
        "verify": ("verify", package),
        "publish": ("publish", package, "--server", "http://127.0.0.1:9", "--user", "a", "--password-env", "PASSWORD"),
        "fleet": ("fleet", "run", fleet),
        "sign": ("sign", package, folder.path / "out.bin", "--version", "1.0.0", "-H", "0x200", "-S", "0x10000"),
        "package": ("package", "--app", package, "--version", "1.0.0", "-o", folder.path / "out"),
    }
    done = smpdfu(*words[command])
    sentence = done.refused()
    assert "Secure DFU" in sentence
    assert "MCUboot" in sentence
    assert f"`smpdfu secure-dfu send {package}`" in done.err


def ncs_package(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps({"format-version": 1, "files": [{"file": "app_update.bin"}]}))


OTHER_WORLD: dict[str, tuple[Any, str, str]] = {
    "dfu_application.zip": (ncs_package, "for MCUboot and not for the bootloader of the nRF5 SDK", "smpdfu update"),
    "app_update.bin": (
        lambda path: path.write_bytes(bytes.fromhex("3db8f396") + bytes(200)),
        "a signed image for MCUboot",
        "smpdfu upload",
    ),
    "app.hex": (lambda path: path.write_bytes(hex_of((0, program(0)))), "firmware", "smpdfu secure-dfu package"),
    "app.bin": (lambda path: path.write_bytes(program(0x1000)), "firmware", "smpdfu secure-dfu package"),
    "notes.txt": (lambda path: path.write_text("no package at all"), "no Secure DFU package", "smpdfu inspect"),
    "empty.zip": (lambda path: path.write_bytes(b""), "is empty", "smpdfu inspect"),
}


@pytest.mark.parametrize("name", OTHER_WORLD)
def test_a_file_of_the_other_world_is_named_by_show(folder: Folder, name: str) -> None:
    make, sentence, command = OTHER_WORLD[name]
    make(folder.path / name)
    done = folder.call("show", folder.path / name)
    assert sentence in done.refused()
    assert command in done.err


@pytest.mark.parametrize("name", ["dfu_application.zip", "notes.txt", "empty.zip"])
def test_a_file_that_is_no_firmware_is_named_by_package(folder: Folder, name: str) -> None:
    OTHER_WORLD[name][0](folder.path / name)
    done = folder.package("--application", folder.path / name, "-k", PEM)
    assert done.code in (3, 6)
    assert name in done.err
