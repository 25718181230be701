"""What nrfutil 6.1.7 makes is read field by field, and the same options make the same package here."""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from smpdfu.image.keys.keys import load_private
from smpdfu.image.secure_dfu.init_packet import FwType, HashType, OpCode, Packet, SignatureType, ValidationType
from smpdfu.image.secure_dfu.package import SecureDfuPackage
from smpdfu.securedfu.signature import bootloader_key, verify
from tests.cli.conftest import Call, smpdfu
from tests.securedfu.nrf52_firmware import write_all
from tests.vectors.make_secure_dfu import COMMANDS

__all__ = ["smpdfu"]

VECTORS = json.loads((Path(__file__).parent / "secure_dfu.json").read_text())
PACKAGES: dict[str, Any] = VECTORS["packages"]
KEY = load_private(VECTORS["key"].encode())
SD_BYTES, BL_BYTES, APP_BYTES = 154_812, 20_480, 20_000
CRC = (ValidationType.VALIDATE_GENERATED_CRC, b"")

APP: dict[str, Any] = {
    "fw_version": 7,
    "hw_version": 52,
    "sd_req": {0x100},
    "type": FwType.APPLICATION,
    "sd_size": 0,
    "bl_size": 0,
    "app_size": APP_BYTES,
    "is_debug": False,
    "validations": [CRC],
}
SD = APP | {"fw_version": 0xFFFFFFFF, "sd_req": {0xCA}, "type": FwType.SOFTDEVICE, "sd_size": SD_BYTES, "app_size": 0}
BL = APP | {"fw_version": 3, "type": FwType.BOOTLOADER, "bl_size": BL_BYTES, "app_size": 0}
BOTH = BL | {"type": FwType.SOFTDEVICE_BOOTLOADER, "sd_size": SD_BYTES, "validations": [CRC, CRC]}
SIGNED = ValidationType.VALIDATE_ECDSA_P256_SHA256
# What each init packet says: written down from the command, not from the bytes.
SAID: dict[tuple[str, str], dict[str, Any]] = {
    ("application", "application"): APP,
    ("application, not signed", "application"): APP,
    ("application, bin", "application"): APP | {"app_size": 20_004},
    ("application without a SoftDevice", "application"): APP | {"fw_version": 1, "sd_req": {0}, "app_size": 12_348},
    ("application, version string", "application"): APP | {"fw_version": 20_731},
    ("application, largest numbers", "application"): APP | {"fw_version": 0xFFFFFFFE, "hw_version": 0xFFFFFFFF},
    ("application, version 0", "application"): APP | {"fw_version": 0, "hw_version": 0},
    ("application, several SoftDevices", "application"): APP | {"sd_req": {0x100, 0xCA, 0xC1}},
    ("application, SoftDevice or none", "application"): APP | {"sd_req": {0, 0x100}, "app_size": 12_348},
    ("application, debug mode", "application"): APP
    | {"fw_version": 0xFFFFFFFF, "hw_version": 0xFFFFFFFF, "sd_req": {0xFFFE}, "is_debug": True},
    ("application, no validation", "application"): APP | {"validations": [(ValidationType.NO_VALIDATION, b"")]},
    ("application, SHA-256 at boot", "application"): APP | {"validations": [(ValidationType.VALIDATE_SHA256, b"")]},
    ("application, ECDSA at boot", "application"): APP | {"validations": [SIGNED]},
    ("external application", "application"): APP | {"type": FwType.EXTERNAL_APPLICATION},
    ("bootloader", "bootloader"): BL,
    ("SoftDevice", "softdevice"): SD,
    ("SoftDevice, ECDSA at boot", "softdevice"): SD | {"validations": [SIGNED]},
    ("SoftDevice and bootloader", "softdevice_bootloader"): BOTH,
    ("SoftDevice and bootloader, ECDSA at boot", "softdevice_bootloader"): BOTH | {"validations": [SIGNED, CRC]},
    ("SoftDevice and application", "softdevice"): SD | {"sd_req": {0xCA, 0x100}},
    ("SoftDevice and application", "application"): APP,
    ("SoftDevice, bootloader and application", "softdevice_bootloader"): BOTH | {"sd_req": {0xCA, 0x100}},
    ("SoftDevice, bootloader and application", "application"): APP,
}


@pytest.fixture(scope="session")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the vectors were made of, and the key."""
    folder = tmp_path_factory.mktemp("nrf52")
    write_all(folder)
    (folder / "key.pem").write_text(VECTORS["key"])
    return folder


def test_every_command_has_its_vector() -> None:
    assert set(PACKAGES) == set(COMMANDS)
    assert {(title, name) for title, one in PACKAGES.items() for name in one["images"]} == set(SAID)
    assert len(PACKAGES) >= 20


@pytest.mark.parametrize(("title", "name"), SAID, ids=": ".join)
def test_an_init_packet_of_nrfutil_is_read_field_by_field(title: str, name: str) -> None:
    image = PACKAGES[title]["images"][name]
    packet = Packet.from_bytes(bytes.fromhex(image["dat"]))
    init, said = packet.init, SAID[title, name]
    assert packet.chosen is not None
    assert packet.chosen.op_code == OpCode.INIT
    assert {field: getattr(init, field) for field in said if field not in ("validations", "sd_req")} == {
        field: value for field, value in said.items() if field not in ("validations", "sd_req")
    }
    assert set(init.sd_req) == said["sd_req"]
    assert init.hash is not None
    assert (init.hash.hash_type, init.hash.digest.hex()) == (HashType.SHA256, image["firmware_sha256"])
    found = [(one.type, one.data) for one in init.boot_validation]
    assert [kind if kind == SIGNED else (kind, data) for kind, data in found] == said["validations"]
    assert (init.unknown, packet.unknown) == ((), ())


@pytest.mark.parametrize(("title", "name"), SAID, ids=": ".join)
def test_the_signature_of_nrfutil_verifies_over_the_init_command(title: str, name: str) -> None:
    packet = Packet.from_bytes(bytes.fromhex(PACKAGES[title]["images"][name]["dat"]))
    if "--key-file" not in PACKAGES[title]["command"]:
        assert packet.signed_command is None
        return
    signed = packet.signed_command
    assert signed is not None
    assert signed.signature_type == SignatureType.ECDSA_P256_SHA256
    verify(KEY, signed.signature or b"", packet.init.to_bytes())


@pytest.mark.parametrize("title", PACKAGES)
def test_the_same_options_make_the_same_package(
    title: str, firmware: Path, smpdfu: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signature aside, which is random in nrfutil, and the order of ``sd_req``, which is Python's of a set."""
    monkeypatch.chdir(firmware)
    vector = PACKAGES[title]
    words = shlex.split(vector["command"])[3:]
    made = smpdfu("secure-dfu", "package", *words)
    assert made.code == 0, made.err
    package = SecureDfuPackage.from_bytes(Path("out.zip").read_bytes())
    assert package.document == vector["manifest"]
    for one in package.entries:
        theirs = Packet.from_bytes(bytes.fromhex(vector["images"][one.name]["dat"]))
        assert hashlib.sha256(one.firmware).hexdigest() == vector["images"][one.name]["firmware_sha256"]
        ours = one.init_packet
        if len(ours.init.sd_req) == 1 and SIGNED not in [kind.type for kind in ours.init.boot_validation]:
            assert ours.init.to_bytes() == theirs.init.to_bytes()
        assert set(ours.init.sd_req) == set(theirs.init.sd_req)
        assert len(ours.to_bytes()) == len(theirs.to_bytes())


def test_the_public_key_is_in_the_order_of_nrfutil() -> None:
    """``nrfutil keys display --key pk --format hex key.pem`` printed this."""
    assert bootloader_key(KEY).hex() == (
        "e093ce2f339bd0b9a8020b9deacb3b09153dd986ddbd41355b6706885c7b0f1d"
        "b466556619d92a1e87db4285c0ef488093e3c6e3a6558eed005cce4a63063d52"
    )
