"""``seal`` and ``provision``: every place where a key can be, two passes, files, and what b0n makes of it."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.cli.nsib.options import TokenForm
from smpdfu.image import hexfile
from smpdfu.image.keys.keys import PrivateKey, generate, load_key
from smpdfu.image.nsib.provision import CounterUse, ProvisionedKey, Tokens, provision_for
from smpdfu.image.nsib.sealed_by import sealed_by
from tests.nsib_bench import ADDRESS, b0n_takes, network_firmware
from tests.soft_token import PIN

if TYPE_CHECKING:
    from tests.cli.conftest import Call
    from tests.soft_token import SoftToken
else:
    Call = Any

KEY, STRANGER = generate("ecdsa-p256"), generate("ecdsa-p256")
AT = ("--address", hex(ADDRESS))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with firmware and keys, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    Path("net.bin").write_bytes(network_firmware())
    Path("net.hex").write_bytes(hexfile.encode((hexfile.Segment(ADDRESS, network_firmware()),)))
    for name, key in (("key", KEY), ("stranger", STRANGER)):
        Path(f"{name}.pem").write_bytes(key.to_private_pem())
        Path(f"{name}.pub.pem").write_bytes(key.to_pem())
    return tmp_path


def accepted_from(key: PrivateKey) -> bool:
    """True if b0n takes out.bin with this key, and refuses it with another."""
    sealed = Path("out.bin").read_bytes()
    assert not b0n_takes(sealed, STRANGER.public)
    assert str(sealed_by(sealed, [STRANGER.public, key.public])) == "key 2"
    return b0n_takes(sealed, key.public)


# --- where the key is -----------------------------------------------------------------------------------------------


def in_a_file(_: pytest.MonkeyPatch) -> tuple[str, ...]:
    return ("-k", "key.pem")


def behind_a_passphrase(patch: pytest.MonkeyPatch) -> tuple[str, ...]:
    Path("protected.pem").write_bytes(KEY.to_private_pem(b"correct horse"))
    patch.setenv("WORDS", "correct horse")
    return ("-k", "protected.pem", "--passphrase-env", "WORDS")


def in_a_variable(patch: pytest.MonkeyPatch) -> tuple[str, ...]:
    patch.setenv("NSIB_KEY", KEY.to_private_pem().decode().replace("\n", "\\n"))
    return ("-k", "env:NSIB_KEY")


def on_standard_input(patch: pytest.MonkeyPatch) -> tuple[str, ...]:
    patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(KEY.to_private_pem())))
    return ("-k", "-")


def behind_a_program(_: pytest.MonkeyPatch) -> tuple[str, ...]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    return ("-k", "cmd:openssl pkeyutl -sign -inkey key.pem -pkeyopt digest:sha256?pub=key.pub.pem")


PLACES = (in_a_file, behind_a_passphrase, in_a_variable, on_standard_input, behind_a_program)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.usefixtures("here")
def test_b0n_takes_what_a_key_seals_wherever_it_is(
    place: Callable[[pytest.MonkeyPatch], tuple[str, ...]], smpdfu: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = smpdfu("seal", "net.bin", "out.bin", *place(monkeypatch), *AT)
    assert done.code == 0, done.err
    assert accepted_from(KEY)


@pytest.mark.usefixtures("here")
def test_b0n_takes_what_a_token_seals(smpdfu: Call, soft_token: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    assert smpdfu("seal", "net.hex", "out.bin", "-k", soft_token.uri("ecdsa-p256")).code == 0
    assert accepted_from(soft_token.keys["ecdsa-p256"])
    refused = smpdfu("seal", "net.hex", "no.bin", "-k", soft_token.uri("rsa-2048"))
    assert "the key is of type rsa-2048: b0 and b0n" in refused.refused()
    assert "smpdfu key gen -t ecdsa-p256" in refused.err
    monkeypatch.setenv("TOKEN_PIN", PIN)
    words = ("-k", soft_token.uri("ecdsa-p256", pin_source=""), "--passphrase-env", "TOKEN_PIN")
    assert smpdfu("seal", "net.hex", "out.bin", *words).code == 0
    assert accepted_from(soft_token.keys["ecdsa-p256"])


# --- what it makes --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_all_files_come_from_one_sealing(smpdfu: Call) -> None:
    words = ("-o", "out.hex", "--sig-out", "sig.txt", "-k", "key.pem", "--json")
    done = smpdfu("seal", "net.hex", "out.bin", *words)
    assert done.code == 0, done.err
    firmware, sealed = network_firmware(), Path("out.bin").read_bytes()
    parts = hexfile.decode(Path("out.hex").read_bytes())
    assert [(one.address, one.data) for one in parts] == [(ADDRESS, firmware), (ADDRESS + 3004, sealed[3004:])]
    told = done.document
    assert told["files"] == [{"path": "out.bin", "format": "bin"}, {"path": "out.hex", "format": "hex"}]
    assert (told["version"], told["address"], told["size_bytes"]) == (7, ADDRESS, 3001)
    assert (told["seal_address"], told["warnings"]) == (ADDRESS + 3004, [])
    assert told["key_hash"] == ProvisionedKey.of(KEY.public).hash.hex()
    KEY.verify(b64decode(Path("sig.txt").read_text()), bytes.fromhex(told["hash"]))


@pytest.mark.parametrize("what", ["payload", "digest"])
@pytest.mark.usefixtures("here")
def test_two_passes(what: str, smpdfu: Call) -> None:
    done = smpdfu("seal", "net.bin", "to-sign", "--vector-to-sign", what, *AT, "--json")
    assert done.document == {"vector_to_sign": what, "files": ["to-sign"]}
    data = Path("to-sign").read_bytes()
    signature = KEY.sign(data) if what == "payload" else KEY.sign_digest(data)
    Path("sig.txt").write_bytes(b64encode(signature))
    fixed = ("--fix-sig", "sig.txt", "--fix-sig-pubkey")
    refused = smpdfu("seal", "net.bin", "out.bin", *AT, *fixed, "stranger.pub.pem")
    assert "the given signature" in refused.refused()
    assert not Path("out.bin").exists()
    assert smpdfu("seal", "net.bin", "out.bin", *AT, *fixed, "key.pub.pem").code == 0
    assert accepted_from(KEY)
    one_pass = smpdfu("seal", "net.bin", "again.bin", "-k", "key.pem", *AT)
    assert one_pass.code == 0
    assert Path("again.bin").read_bytes() == Path("out.bin").read_bytes()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.usefixtures("here")
def test_openssl_signs_the_payload(smpdfu: Call) -> None:
    assert smpdfu("seal", "net.bin", "to-sign", "--vector-to-sign", "payload", *AT).code == 0
    subprocess.run(("openssl", "dgst", "-sha256", "-sign", "key.pem", "-out", "sig.der", "to-sign"), check=True)
    assert smpdfu("seal", "net.bin", "out.bin", *AT, "--fix-sig", "sig.der", "--fix-sig-pubkey", "key.pem").code == 0
    assert accepted_from(KEY)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("net.bin", "out.bin", "-k", "key.pem"), 3, "does not say at which address the firmware begins"),
        (("net.hex", "out.bin", "-k", "key.pem", "--address", "0x1002800"), 3, "the .hex file begins at 0x01008800"),
        (("net.hex", "out.bin", "-k", "key.pub.pem"), 3, "key.pub.pem holds a public key"),
        (("net.hex", "out.bin", "-k", "key.pem", "--offset", "4"), 3, "the seal cannot begin at 0x4"),
        (("key.pub.pem", "out.bin", "-k", "key.pem"), 3, "is a key or certificate, not firmware"),
        (("net.hex", "out.bin"), 2, "a seal needs a key"),
        (("net.hex", "out.bin", "-k", "key.pem", "-k", "stranger.pem"), 2, "give one key"),
        (("net.hex", "out.bin", "-k", "key.pem", "--fix-sig", "key.pem"), 2, "exclude each other"),
        (("net.hex", "-k", "key.pem"), 2, "no output file"),
        (("net.hex", "net.hex", "-k", "key.pem"), 3, "net.hex is an input of this command"),
        (("net.hex", "key.pem", "-k", "key.pem"), 3, "key.pem holds a private key"),
        (("net.hex", "o", "--sig-out", "stranger.pem", "-k", "key.pem"), 3, "stranger.pem holds a private key"),
    ],
)
@pytest.mark.usefixtures("here")
def test_what_is_refused(words: tuple[str, ...], code: int, sentence: str, smpdfu: Call) -> None:
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    assert sentence in smpdfu("seal", *words).refused(code)
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.usefixtures("here")
def test_a_seal_far_behind_is_a_warning(smpdfu: Call) -> None:
    done = smpdfu("seal", "net.hex", "out.bin", "-k", "key.pem", "--offset", "0xc00", "--json")
    assert [one["code"] for one in done.document["warnings"]] == ["seal-offset"]
    assert "71 bytes behind the firmware" in done.err


@pytest.mark.usefixtures("here")
def test_a_key_that_everybody_has(smpdfu: Call, keys_dir: Path) -> None:
    key = keys_dir / "dev-sign-p256.pem"
    done = smpdfu("seal", "net.hex", "out.bin", "-k", key, "--json")
    assert [one["code"] for one in done.document["warnings"]] == ["known-key"]
    assert "cannot be released" in smpdfu("seal", "net.hex", "no.bin", "-k", key, "--release").refused()
    words = ("-o", "p.hex", "--address", "0xff8100", "--s0", "0x8000", "-k", key)
    assert "known-key" in smpdfu("provision", "make", *words, "--json").out
    assert "cannot be released" in smpdfu("provision", "make", *words, "--release").refused()


# --- provisioning data ----------------------------------------------------------------------------------------------

MAKE = ("provision", "make", "-o", "provision.hex", "--address", "0xff8100", "--s0", "0x8000", "--s1", "0x14000")


@pytest.mark.usefixtures("here")
def test_what_is_made_is_shown(smpdfu: Call) -> None:
    words = ("-k", "key.pub.pem", "-k", "stranger.pem", "--counter-slots", "8", "--mcuboot-counter-slots", "2")
    done = smpdfu(*MAKE, *words, "--json")
    assert done.code == 0, done.err
    wanted = provision_for(0x8000, 0x14000, [KEY.public, STRANGER.public], counter_slots=8, mcuboot_counter_slots=2)
    (segment,) = hexfile.decode(Path("provision.hex").read_bytes())
    assert (segment.address, segment.data) == (0xFF8128, wanted.to_bytes())
    assert (done.document["begin"], done.document["size_bytes"]) == (0xFF8128, len(segment.data))
    shown = smpdfu("provision", "show", "provision.hex", "-k", "stranger.pub.pem", "--json").document
    hashes = [ProvisionedKey.of(one.public).hash.hex() for one in (KEY, STRANGER)]
    assert shown["keys"] == [
        {"key": 1, "hash": hashes[0], "state": "valid", "name": None},
        {"key": 2, "hash": hashes[1], "state": "valid", "name": "stranger.pub.pem"},
    ]
    assert shown["counters"] == [
        {"counts": "nsib", "value": 0, "version": 0, "slot": None, "slots": 8, "used": 0, "left": 8},
        {"counts": "mcuboot", "value": 0, "version": None, "slot": None, "slots": 2, "used": 0, "left": 2},
    ]
    assert (shown["s0_address"], shown["s1_address"], shown["tokens"]) == (0x8000, 0x14000, "numbered")
    assert (shown["place"], shown["life_cycle"], shown["warnings"]) == ("nsib", None, [])


@pytest.mark.usefixtures("here")
def test_slot_s1_may_be_below_s0(smpdfu: Call) -> None:
    """The bootloader compares versions, not addresses."""
    made = smpdfu(*MAKE[:6], "--s0", "0x14000", "--s1", "0x8000", "-k", "key.pem", "--json").document
    assert (made["s0_address"], made["s1_address"]) == (0x14000, 0x8000)


@pytest.mark.usefixtures("here")
def test_a_device_that_was_used_is_shown(smpdfu: Call) -> None:
    new = provision_for(0x8000, 0x14000, [KEY.public, STRANGER.public], counter_slots=2)
    used = new.revoke_before(1).count(CounterUse.NSIB, 3).count(CounterUse.NSIB, 40)  # version 1 in S0, 20 in S1
    dump = b"\0\0\0\0\xff\xff\xff\xff" + b"\xff" * 32 + used.to_bytes()
    parts = (hexfile.Segment(0, bytes(64)), hexfile.Segment(0xFF8100, dump.ljust(0x2FC, b"\xff")))
    Path("dump.hex").write_bytes(hexfile.encode(parts))
    unplaced = smpdfu("provision", "show", "dump.hex")
    assert "has more in it than provisioning data" in unplaced.refused()
    assert "--address" in unplaced.err
    done = smpdfu("provision", "show", "dump.hex", "--address", "0xff8100", "--json")
    told = done.document
    assert [one["state"] for one in told["keys"]] == ["revoked", "valid"]
    (counter,) = told["counters"]
    assert counter == {"counts": "nsib", "value": 40, "version": 20, "slot": 1, "slots": 2, "used": 2, "left": 0}
    assert told["life_cycle"] == "secured"
    assert [one["code"] for one in told["warnings"]] == ["provision-counter-full"]
    assert "has no slot left: it stays at version 20" in done.err
    table = smpdfu("provision", "show", "dump.hex", "--address", "0xff8100", "-k", "key.pem").out
    assert "revoked" in table
    assert "key.pem" in table
    assert "secured" in table
    assert "20 (from S1)" in table


@pytest.mark.usefixtures("here")
def test_a_key_that_is_not_there_is_told_of(smpdfu: Call) -> None:
    assert smpdfu(*MAKE, "-k", "key.pem").code == 0
    done = smpdfu("provision", "show", "provision.hex", "-k", "stranger.pem", "--json")
    assert done.code == 0
    assert [one["code"] for one in done.document["warnings"]] == ["provision-key-absent"]


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.usefixtures("here")
def test_mcuboot_alone(bare: bool, smpdfu: Call) -> None:
    words = ("-o", "m.hex", "--address", "0xff8100", "--mcuboot-only", "--mcuboot-counter-slots", "4")
    assert smpdfu("provision", "make", *words, *(["--bare"] if bare else [])).code == 0
    told = smpdfu("provision", "show", "m.hex", "--json").document
    assert (told["place"], told["keys"], told["s0_address"]) == ("bare" if bare else "mcuboot", [], None)
    assert told["counters"] == [
        {"counts": "mcuboot", "value": 0, "version": None, "slot": None, "slots": 4, "used": 0, "left": 4}
    ]
    assert "MCUboot without NSIB" in smpdfu("provision", "show", "m.hex").out


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (MAKE, 3, "NSIB needs a key"),
        ((*MAKE, "-k", "key.pem", "-k", "key.pub.pem"), 3, "keys 1 and 2 are the same: leave one out"),
        ((*MAKE, "-k", "key.pem", "--counter-slots", "5"), 3, "a counter cannot have 5 slots"),
        ((*MAKE, "-k", "key.pem", "--counter-slots", "344"), 3, "take fewer counter slots or keys"),
        ((*MAKE, "-k", "key.pem", "--max-size", "60"), 3, "there is room for 60"),
        ((*MAKE, "-k", "key.pem", "--mcuboot-only"), 2, "there is no NSIB"),
        ((*MAKE, "-k", "key.pem", "--bare"), 2, "--bare needs --mcuboot-only"),
        ((*MAKE[:6], "-k", "key.pem"), 2, "--s0"),
        ((*MAKE[:5], "0x12345", *MAKE[6:], "-k", "key.pem"), 2, "--address 0x12345 is not a multiple of 4"),
        ((*MAKE[:7], "0x8002", *MAKE[8:], "-k", "key.pem"), 3, "0x8002 is not the address of a firmware slot"),
        ((*MAKE[:2], "-o", "data.bin", *MAKE[4:], "-k", "key.pem"), 2, "only a .hex file can hold"),
        ((*MAKE[:2], "-o", "key.hex", *MAKE[4:], "-k", "key.hex"), 3, "key.hex holds a private key"),
        (("provision", "show", "net.hex"), 3, "these are no provisioning data"),
        (("provision", "show", "key.pem"), 3, "is a key or certificate"),
        (("provision", "show", "none.hex"), 3, "none.hex"),
    ],
)
@pytest.mark.usefixtures("here")
def test_what_is_no_provisioning(words: tuple[str, ...], code: int, sentence: str, smpdfu: Call) -> None:
    Path("key.hex").write_bytes(KEY.to_private_pem())
    assert sentence in smpdfu(*words).refused(code)
    assert not Path("provision.hex").exists()
    assert load_key(Path("key.hex").read_bytes()).public_bytes == KEY.public_bytes


@pytest.mark.usefixtures("here")
def test_plain_tokens_are_for_old_bootloaders(smpdfu: Call) -> None:
    assert smpdfu(*MAKE, "-k", "key.pem", "--tokens", "plain").code == 0
    (segment,) = hexfile.decode(Path("provision.hex").read_bytes())
    assert segment.data[12:16] == b"\xff\xff\xff\xff"
    assert json.loads(smpdfu("provision", "show", "provision.hex", "--json").out)["tokens"] == "plain"


def test_the_option_knows_the_tokens_of_the_library() -> None:
    """It has a list of its own, because the library's file loads cryptography, which --help does not need."""
    assert list(map(str, TokenForm)) == list(map(str, Tokens))
