"""Hundreds of combinations of options, in imgtool 2.5.0 and in ``smpdfu-imgtool``: the same bytes, the same words.

For each pair of a signing key and an encryption key, rows of all other options are drawn so that any two values of any
two options meet somewhere (pairwise, fixed seed). What is random in imgtool is pinned: its random bytes and keys, RFC
6979 for ECDSA, one seed for RSA-OAEP; RSA-PSS signatures are remembered, so that both programs use the same. Then whole
files must be equal, the encryption TLV and the encrypted body too, and both programs must verify them alike.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from intelhex import IntelHex

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Outcome

SIGNING = ("none", "ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048", "rsa-3072")
ENCRYPTION = ("none", "ecdsa-p256", "x25519", "rsa-2048")
ROWS = 19  # for each pair of keys
SLOT = 0x8000

# Option -> what it may be. An empty text leaves the option out.
OPTIONS: dict[str, tuple[str, ...]] = {
    "sha": ("", "", "--sha auto", "--sha 256", "--sha 384", "--sha 512"),
    "pure": ("", "", "", "--pure"),
    "format": ("", "--public-key-format hash", "--public-key-format full"),
    "pad-sig": ("", "--pad-sig"),
    "keylen": ("", "--encrypt-keylen 128", "--encrypt-keylen 256"),
    "hmac": ("", "", "--hmac-sha auto", "--hmac-sha 256", "--hmac-sha 512"),
    "clear": ("", "", "-c"),
    "enctlv": ("", "--save-enctlv"),
    "compression": ("", "", "--compression disabled", "--compression lzma2", "--compression lzma2armthumb"),
    "header": ("-H 32", "-H 0x200", "-H 0x200", "-H 1024"),
    "pad-header": ("--pad-header", ""),
    "file": ("bin bin", "bin hex", "hex hex", "hex bin"),
    "pad": ("", "--pad", "--confirm", "--test"),
    "align": ("", "--align 4", "--align 8", "--align 16", "--align 32"),
    "max-align": ("", "", "--max-align 8", "--max-align 16", "--max-align 32"),
    "sectors": ("-M 16", "-M 32", "-M 64"),
    "overwrite": ("", "", "--overwrite-only"),
    "erased": ("", "-R 0", "-R 0xff"),
    "endian": ("", "-e little", "-e big"),
    "version": ("-v 1.2.3", "-v 255.255.65535+4294967295", "-v 0", "-v 7.1"),
    "dependencies": ("", "-d (1,1.2.3+4)", "--dependencies (0,1),(255,255.255.65535)"),
    "counter": ("", "-s auto", "-s 0", "-s 0xffffffff"),
    "record": ("", "--boot-record SPE"),
    "custom": ("", "--custom-tlv 0xa0 text", "--custom-tlv-file 0xa1 {data} --custom-tlv 0xfffe 0x0011"),
    "uuid": ("", "--vid example.com", "--vid example.com --cid nrf5340", "--cid 12345678-1234-5678-1234-567812345678"),
    "place": ("", "-L 0x20000000", "-F 0xc000", "-L 0"),
    "bootable": ("", "", "--non-bootable"),
    "result": ("", "", "", "--sig-out {sig}", "--vector-to-sign payload", "--vector-to-sign digest"),
}

Row = dict[str, str]


def pairs(row: Row) -> set[tuple[str, str, str, str]]:
    return {(one, row[one], other, row[other]) for one, other in itertools.combinations(row, 2)}


def rows() -> Iterator[Row]:
    """Pairwise rows: of some random ones, always the one with most pairs that have not met yet."""
    dice, met = random.Random(53), set[tuple[str, str, str, str]]()
    for signing, encryption in itertools.product(SIGNING, ENCRYPTION):
        for _ in range(ROWS):
            drawn = [
                {"signing": signing, "encryption": encryption}
                | {name: dice.choice(choices) for name, choices in OPTIONS.items()}
                for _ in range(8)
            ]
            best = max((legal(row) for row in drawn), key=lambda row: len(pairs(row) - met))
            met |= pairs(best)
            yield best


def legal(row: Row) -> Row:
    """The row without contradictions that say nothing: most rows must make an image."""
    if row["signing"] != "ed25519":
        row["pure"] = ""
    if row["pure"]:
        row["sha"] = ""
    hashes = {"none": "auto 256 384 512", "ecdsa-p384": "auto 384", "ed25519": "auto 256 512"}
    if row["sha"] and row["sha"].split()[1] not in hashes.get(row["signing"], "auto 256"):
        row["sha"] = ""
    if row["hmac"] == "--hmac-sha 512" and row["encryption"] == "ecdsa-p256":
        row["hmac"] = ""
    if row["result"].startswith("--sig-out") and row["signing"] == "none":
        row["result"] = ""
    if row["align"] in ("--align 16", "--align 32"):
        row["max-align"] = ""
    if "lzma2" in row["compression"]:  # imgtool forgets the first two; the rest cannot boot
        row["bootable"], row["pad"] = "", row["pad"].replace("--test", "--pad")
        row["pad-header"], row["pure"] = "--pad-header", ""
    if "--vector" in row["result"]:  # likewise: it pads the digest, too, and signs another compressed image later
        row["pad"] = row["compression"] = ""
    return row


ALL = tuple(rows())


def test_the_matrix_is_large_and_every_two_values_meet() -> None:
    assert len(ALL) >= 400
    assert len({tuple(row.items()) for row in ALL}) == len(ALL)
    met = set().union(*map(pairs, ALL))
    wanted = {
        (one, value, other, another)
        for one, other in itertools.combinations(OPTIONS, 2)
        for value in OPTIONS[one]
        for another in OPTIONS[other]
    }
    apart = {("sha", "pure"), ("align", "max-align"), ("pad", "result"), ("compression", "result")}  # by `legal`
    apart |= {("compression", "pad"), ("compression", "bootable"), ("compression", "pad-header")}
    apart |= {("pure", "compression")}
    assert {(one, other) for one, _, other, _ in wanted - met} <= apart


# --- running --------------------------------------------------------------------------------------------------------

Pin = Callable[..., Any]


def steady(size: int) -> bytes:
    """The same bytes whenever so many are asked for."""
    return hashlib.shake_128(size.to_bytes(4, "big")).digest(size)


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is random any more, in either program."""
    import os

    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256, SHA384
    from imgtool import image, main
    from imgtool.keys import ECDSA256P1, ECDSA384P1

    from smpdfu.image import files as key_files

    monkeypatch.setattr(os, "urandom", steady)
    monkeypatch.setattr(image, "X25519PrivateKey", PinnedX25519(X25519PrivateKey))
    monkeypatch.setattr(image.ec, "generate_private_key", lambda curve, _backend=None: p256_key(ec, curve))
    for kind, function in ((ECDSA256P1, SHA256()), (ECDSA384P1, SHA384())):
        scheme = ec.ECDSA(function, deterministic_signing=True)
        monkeypatch.setattr(kind, "raw_sign", lambda key, payload, scheme=scheme: key.key.sign(payload, scheme))
    pin_rsa(monkeypatch)
    monkeypatch.setattr(main, "keys", LiberalKeys(main.keys))
    monkeypatch.setattr(key_files, "read_key_file", once(key_files.read_key_file))


@dataclass(frozen=True)
class PinnedX25519:
    """The class that imgtool takes its ephemeral keys from."""

    kind: Any

    def generate(self) -> Any:
        return self.kind.from_private_bytes(steady(32))


def p256_key(ec: Any, curve: Any) -> Any:
    """The ephemeral key that smpdfu makes of the same random bytes (FIPS 186-4, B.4.1)."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    return ec.derive_private_key(int.from_bytes(steady(40), "big") % (order - 1) + 1, curve)


def pin_rsa(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both programs get one RSA-PSS signature for one digest, and imgtool's RSA-OAEP has the seed of ours."""
    from imgtool.keys import RSA, RSAPublic

    from smpdfu.image.keys import keys
    from smpdfu.image.signing import encrypt

    for name in ("rsa-2048", "rsa-3072"):
        row = keys.SIGNATURES[name]
        monkeypatch.setitem(keys.SIGNATURES, name, replace(row, sign=remembered(row.sign)))

    def sign(key: Any, payload: bytes) -> bytes:
        row = keys.SIGNATURES[f"rsa-{key.key.key_size}"]
        return row.sign(key.key, hashlib.sha256(payload).digest())

    wrapping = next(row for row in encrypt.WRAPPINGS if row.key_kind == "rsa-2048")
    monkeypatch.setattr(RSA, "sign", sign)
    for kind in (RSA, RSAPublic):
        public = kind._get_public
        monkeypatch.setattr(kind, "_get_public", lambda key, public=public: PinnedOaep(public(key), wrapping.wrap))


@dataclass(frozen=True)
class PinnedOaep:
    """An RSA public key that encrypts with a seed of ``steady``."""

    key: Any
    wrap: Callable[..., bytes]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.key, name)

    def encrypt(self, message: bytes, _padding: object) -> bytes:
        return self.wrap(self.key, message, steady)


SIGNATURES: dict[tuple[int, bytes], bytes] = {}


def remembered(sign: Callable[[Any, bytes], bytes]) -> Callable[[Any, bytes], bytes]:
    """One signature for each digest, however often it is asked for."""

    def again(key: Any, digest: bytes) -> bytes:
        name = key.key_size, digest
        if name not in SIGNATURES:
            SIGNATURES[name] = sign(key, digest)
        return SIGNATURES[name]

    return again


class OfNoKey:
    """A class that no key is of."""


@dataclass(frozen=True)
class LiberalKeys:
    """imgtool's keys without its rule that the keys that sign and encrypt be of one type; RSA keys are read once."""

    module: Any
    ECDSA256P1: type = OfNoKey
    ECDSA384P1: type = OfNoKey
    RSA: type = OfNoKey

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)

    def load(self, path: str, passphrase: bytes | None = None) -> Any:
        return once(self.module.load)(path, passphrase)


KEYS: dict[tuple[object, str], Any] = {}


def once(load: Callable[..., Any]) -> Callable[..., Any]:
    """What reads keys, RSA keys only once, because they take long."""

    def loaded(path: str | Path, *arguments: Any) -> Any:
        if "rsa" not in Path(path).name:
            return load(path, *arguments)
        if (load, str(path)) not in KEYS:
            KEYS[load, str(path)] = load(path, *arguments)
        return KEYS[load, str(path)]

    return loaded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Firmware with and without room for headers of each size, as .bin and .hex; what a TLV takes from a file."""
    made = tmp_path_factory.mktemp("matrix")
    dice = random.Random(7)
    code = bytes.fromhex("00000120a1c30000") + bytes(dice.choice(b"\x00\x48\xf0\xbd\x10\x20") for _ in range(1493))
    (made / "data").write_bytes(bytes(range(40)))
    for room in (0, 32, 0x200, 1024):
        (made / f"{room}.bin").write_bytes(bytes(room) + code)
        memory = IntelHex()
        memory.puts(0xC000, bytes(room) + code)
        memory.write_hex_file(str(made / f"{room}.hex"))
    return made


@dataclass(frozen=True)
class Files:
    """Where the files of a test are."""

    folder: Path
    kinds: dict[str, tuple[Path, Path]]

    def words(self, row: Row, who: str) -> list[str]:
        """The command line of a row for one of the programs."""
        source, kind = row["file"].split()
        room = 0 if row["pad-header"] else int(row["header"].split()[1], 0)
        keys = []
        if row["signing"] != "none":
            keys += ["-k", str(self.kinds[row["signing"]][0])]
        if row["encryption"] != "none":
            keys += ["-E", str(self.kinds[row["encryption"]][len(row["version"]) % 2])]
        if kind == "hex" and source == "bin":
            keys += ["-x", "0x10000"]
        text = " ".join(row[name] for name in OPTIONS if name != "file")
        options = text.format(data=self.folder / "data", sig=self.folder / f"{who}.sig")
        return [
            "sign",
            "-S",
            hex(SLOT),
            *keys,
            *shlex.split(options),
            str(self.folder / f"{room}.{source}"),
            str(self.out(row, who)),
        ]

    def out(self, row: Row, who: str) -> Path:
        return self.folder / f"{who}.{row['file'].split()[1]}"

    def run(self, program: Call, row: Row, who: str) -> tuple[Outcome, bytes, bytes]:
        """What a program did: how it ended, the image, the signature."""
        paths = self.out(row, who), self.folder / f"{who}.sig"
        for path in paths:
            path.unlink(missing_ok=True)
        outcome = program(*self.words(row, who))
        image, signature = (path.read_bytes() if path.exists() else b"" for path in paths)
        return outcome, image.replace(b"\r\n", b"\n") if row["file"].endswith("hex") else image, signature


@pytest.fixture(scope="module")
def files(folder: Path, kinds: dict[str, tuple[Path, Path]]) -> Files:
    return Files(folder, kinds)


@pytest.mark.usefixtures("pinned")
@pytest.mark.parametrize("row", ALL, ids=lambda row: f"{row['signing']} {row['encryption']} {ALL.index(row)}")
def test_both_programs_agree(row: Row, files: Files, imgtool: Call, our_imgtool: Call) -> None:
    theirs, image, signature = files.run(imgtool, row, "theirs")
    ours, our_image, our_signature = files.run(our_imgtool, row, "ours")
    assert theirs.code == 0, theirs.err  # `legal` leaves what makes an image; the rest: test_imgtool_differences.py
    assert (ours.code, ours.out) == (theirs.code, theirs.out), (ours.err, theirs.err)
    assert our_image == image
    assert our_signature == signature
    if "--vector" not in row["result"] and "big" not in row["endian"]:
        both_verify_alike(row, files, imgtool, our_imgtool)


def both_verify_alike(row: Row, files: Files, imgtool: Call, our_imgtool: Call) -> None:
    """Without a key, with both halves of the right one, and with one of another kind."""
    made = files.out(row, "ours")
    right = files.kinds.get(row["signing"], ())
    other = files.kinds[SIGNING[1:][ALL.index(row) % 5]]
    keys: tuple[Path | None, ...] = (None, *right, *other)
    for key in keys:
        if key == files.kinds["ecdsa-p256"][1] and "512" in row["sha"] + row["pure"].replace("--pure", "512"):
            continue  # docs/reference/imgtool-differences.md: imgtool takes SHA-512 with public P-256 keys only
        words = ["verify", *([] if key is None else ["-k", key]), made]
        theirs, ours = imgtool(*words), our_imgtool(*words)
        assert (ours.code, ours.out) == (theirs.code, theirs.out), (words, ours.err, theirs.err)
