"""Signing in two passes beside imgtool, the options of Nordic's fork, and the same options in ``smpdfu sign``."""

from __future__ import annotations

import base64
import lzma
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.format import Flag, Image, TlvType
from smpdfu.image.keys.keys import PrivateKey, load_private

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Outcome

Kinds = dict[str, tuple[Path, Path]]

SIGN = ("sign", "-S", "0x20000", "-v", "1.2.3", "--pad-header")
HEADER = ("-H", "0x200")
SIGNING = ("ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048", "rsa-3072")


def sign(program: Call, *words: object) -> Outcome:
    outcome = program(*SIGN, *words)
    assert outcome.code == 0, outcome.err
    return outcome


def image(path: Path) -> Image:
    return Image.from_bytes(path.read_bytes())


# --- two passes -----------------------------------------------------------------------------------------------------


def private(kinds: Kinds, kind: str) -> PrivateKey:
    return load_private(kinds[kind][0].read_bytes())


@pytest.mark.parametrize("half", [0, 1], ids=["private", "public"])
@pytest.mark.parametrize("kind", SIGNING)
def test_a_signature_made_elsewhere(
    kind: str, half: int, kinds: Kinds, raw: Path, tmp_path: Path, imgtool: Call, our_imgtool: Call, smpdfu: Call
) -> None:
    """The same vectors, the same image, the same words; imgtool's verify takes it."""
    key, more = private(kinds, kind), (*HEADER, "-s", "7", "--pad-sig")
    sha = () if kind != "ecdsa-p384" else ("--sha", "384")  # imgtool does not know the key in the first pass
    vectors = {}
    for what in ("payload", "digest"):
        for program, name in ((imgtool, "theirs"), (our_imgtool, "ours"), (smpdfu, "plain")):
            out = tmp_path / f"{name}.{what}"
            sign(program, *more, *sha, "--vector-to-sign", what, raw, out)
            vectors[name, what] = out.read_bytes()
    assert vectors["ours", "payload"] == vectors["plain", "payload"] == vectors["theirs", "payload"]
    assert vectors["ours", "digest"] == vectors["plain", "digest"] == vectors["theirs", "digest"]
    fixed = tmp_path / "signature"
    fixed.write_bytes(base64.b64encode(key.sign_digest(vectors["ours", "digest"])))
    given = ("--fix-sig", fixed, "--fix-sig-pubkey", kinds[kind][half])
    said = {
        name: sign(program, *more, *given, "--sig-out", tmp_path / f"{name}.sig", raw, tmp_path / name).out
        for program, name in ((imgtool, "theirs"), (our_imgtool, "ours"), (smpdfu, "plain"))
    }
    assert said["ours"] == said["theirs"]
    for name in ("ours", "plain"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "theirs").read_bytes()
        assert (tmp_path / f"{name}.sig").read_bytes() == fixed.read_bytes()
    assert imgtool("verify", "-k", kinds[kind][1], tmp_path / "ours").code == 0


def test_a_pure_signature_made_elsewhere(
    kinds: Kinds, raw: Path, tmp_path: Path, imgtool: Call, our_imgtool: Call
) -> None:
    key, vector, fixed, out = private(kinds, "ed25519"), *(tmp_path / name for name in ("vector", "signature", "out"))
    sign(
        our_imgtool,
        *HEADER,
        "--pure",
        "--vector-to-sign",
        "payload",
        "--fix-sig-pubkey",
        kinds["ed25519"][1],
        raw,
        vector,
    )
    fixed.write_bytes(base64.b64encode(key.sign_message(vector.read_bytes())))
    sign(our_imgtool, *HEADER, "--pure", "--fix-sig", fixed, "--fix-sig-pubkey", kinds["ed25519"][1], raw, out)
    assert (
        imgtool("verify", "-k", kinds["ed25519"][1], out).out
        == our_imgtool("verify", "-k", kinds["ed25519"][1], out).out
    )


def test_sig_out_is_the_signature(kinds: Kinds, raw: Path, tmp_path: Path, smpdfu: Call) -> None:
    out, signature = tmp_path / "out.bin", tmp_path / "signature"
    sign(smpdfu, *HEADER, "-k", kinds["ecdsa-p256"][0], "--sig-out", signature, raw, out)
    assert base64.b64decode(signature.read_bytes()) == image(out).tlv(TlvType.ECDSA_SIG)


@pytest.mark.parametrize(
    "words",
    [
        ("--fix-sig", "{file}"),
        ("--fix-sig", "{file}", "--fix-sig-pubkey", "{public}", "-k", "{key}"),
        ("--sig-out", "{out}.sig"),
        ("--vector-to-sign", "digest", "-k", "{key}", "-k", "{key}"),
        ("--vector-to-sign", "digest", "--sig-out", "{out}.sig"),
        ("--vector-to-sign", "digest", "--fix-sig", "{file}"),
        ("--pure", "--sha", "512", "-k", "{key}"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_contradictions_are_usage_errors(
    words: tuple[str, ...], kinds: Kinds, raw: Path, tmp_path: Path, smpdfu: Call
) -> None:
    names = {"file": raw, "out": tmp_path / "out", "key": kinds["ed25519"][0], "public": kinds["ed25519"][1]}
    more = [word.format_map(names) for word in words]
    assert smpdfu(*SIGN, *HEADER, *more, raw, tmp_path / "out").refused(2)
    assert not (tmp_path / "out").exists()


# --- Nordic's fork --------------------------------------------------------------------------------------------------


def test_the_header_size_is_the_least_if_nothing_else_is_said(raw: Path, tmp_path: Path, our_imgtool: Call) -> None:
    for name, words in {
        "none": (),
        "auto": ("-H", "auto"),
        "AUTO": ("--header-size=AUTO",),
        "32": ("-H", "32"),
    }.items():
        sign(our_imgtool, *words, raw, tmp_path / name)
        assert (tmp_path / name).read_bytes() == (tmp_path / "none").read_bytes()
    assert image(tmp_path / "none").header.hdr_size == 32


def test_pad_value_fills_header_and_slot_and_not_the_trailer(raw: Path, tmp_path: Path, our_imgtool: Call) -> None:
    out = tmp_path / "out"
    sign(our_imgtool, *HEADER, "--pad-value", "0", "--confirm", "-M", "16", raw, out)
    made, data = image(out), out.read_bytes()
    assert made.header_pad == bytes(0x200 - 32)
    trailer = 16 * 3 + 4 * 8 + 16
    assert data[made.size_bytes : -trailer].strip(b"\0") == b""
    assert set(data[-trailer:-24]) == {0xFF}


def test_pad_value_fills_the_room_that_the_firmware_left(raw: Path, tmp_path: Path, our_imgtool: Call) -> None:
    roomy, out = tmp_path / "roomy", tmp_path / "out"
    roomy.write_bytes(bytes(0x200) + raw.read_bytes())
    done = our_imgtool("sign", "-S", "0x20000", "-v", "1", *HEADER, "--pad-value", "0xff", roomy, out)
    assert done.code == 0
    assert image(out).header_pad == b"\xff" * (0x200 - 32)


def test_the_parameters_of_lzma_are_used(tmp_path: Path, our_imgtool: Call, imgtool: Call) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.write_bytes(b"".join(bytes([value % 7, value % 11, value % 13, value // 29]) for value in range(1500)))
    lzma_options = {"dictsize": "65536", "pb": "1", "lc": "1", "lp": "2", "preset": "3"}
    words = [word for name, value in lzma_options.items() for word in (f"--compression-lzma-{name}", value)]
    sign(our_imgtool, *HEADER, "--compression", "lzma2", *words, raw, out)
    made = image(out)
    assert made.header.flags == Flag.COMPRESSED_LZMA2
    assert made.payload[1] == (1 * 5 + 2) * 9 + 1
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 65536}]
    assert lzma.decompress(made.payload[2:], lzma.FORMAT_RAW, filters=filters) == raw.read_bytes()
    assert imgtool("verify", out).code == 0


MANIFEST = """
format: 1
manifest_index: 0
images:
  - path: {image}
    index: 2
  - hash: "{other}"
    index: 1
  - hash: "{skipped}"
    index: 0
"""


@pytest.mark.parametrize("endian", ["little", "big"])
def test_the_manifest_has_the_hashes_by_index(
    endian: str, raw: Path, tmp_path: Path, our_imgtool: Call, smpdfu: Call, imgtool: Call
) -> None:
    net, manifest = tmp_path / "net.bin", tmp_path / "manifest.yaml"
    sign(imgtool, *HEADER, raw, net)
    manifest.write_text(MANIFEST.format(image=net, other="ab" * 32, skipped="cd" * 32))
    for program, name in ((our_imgtool, "ours"), (smpdfu, "plain")):
        sign(program, *HEADER, "-e", endian, "--manifest", manifest, raw, tmp_path / name)
    made = Image.from_bytes((tmp_path / "ours").read_bytes(), "big" if endian == "big" else "little")
    tlv = next(tlv for tlv in made.protected if tlv.type == TlvType.MANIFEST)
    numbers = b"".join(number.to_bytes(4, "big" if endian == "big" else "little") for number in (1, 2))
    assert tlv.data == numbers + bytes.fromhex("ab" * 32) + (image(net).hash or b"")
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "plain").read_bytes()
    assert '"type_name": "MANIFEST"' in our_imgtool("dumpinfo", "-f", "json", tmp_path / "ours").out


BAD_MANIFESTS = (
    "",
    "format: 2\nimages: [{hash: 'ab'}]",
    "format: 1",
    "format: 1\nimages: []",
    "format: 1\nimages: [3]",
    "format: 1\nimages: [{index: 1}]",
    "format: 1\nimages: [{hash: '" + "ab" * 32 + "', path: x}]",
    "format: 1\nimages: [{hash: '" + "ab" * 32 + "', more: x}]",
    "format: 1\nimages: [{hash: '" + "ab" * 32 + "', index: -1}]",
    "format: 1\nimages: [{hash: '" + "ab" * 32 + "', index: one}]",
    "format: 1\nimages: [{hash: '" + "ab" * 32 + "'}, {hash: '" + "ab" * 48 + "'}]",
    "format: 1\nimages: [{hash: '" + "ab" * 32 + "', index: 1}, {hash: '" + "ab" * 32 + "', index: 1}]",
    "format: 1\nimages: [{hash: '" + "ab" * 31 + "'}]",
    "format: 1\nimages: [{hash: " + "12" * 32 + "}]",
    "format: 1\nimages: [{hash: 'no'}]",
    'format: 1\nimages: [{path: "a\\0b"}]',
    "format: 1\nimages: {",
    "!!python/object/apply:os.system [ls]",
    "a: &a [*a]",
    "[" * 5000,
    "\x00",
    "# " + "x" * (1 << 20),
)


@pytest.mark.parametrize("text", BAD_MANIFESTS, ids=lambda text: repr(text[:60]))
def test_a_bad_manifest_is_a_sentence(text: str, raw: Path, tmp_path: Path, our_imgtool: Call, smpdfu: Call) -> None:
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(text)
    words = (*SIGN, *HEADER, "--manifest", manifest, raw, tmp_path / "out")
    assert str(manifest) in our_imgtool(*words).refused(2)
    assert str(manifest) in smpdfu(*words).refused(3)
    assert not (tmp_path / "out").exists()


def test_a_manifest_names_whole_images_only(raw: Path, tmp_path: Path, our_imgtool: Call) -> None:
    manifest = tmp_path / "manifest.yaml"
    for path in (raw, tmp_path / "missing"):
        manifest.write_text(f"format: 1\nimages: [{{path: {path}}}]")
        done = our_imgtool(*SIGN, *HEADER, "--manifest", manifest, raw, tmp_path / "out")
        assert done.code in (1, 2)
        assert str(path) in done.sentence


# --- the other door -------------------------------------------------------------------------------------------------


def test_smpdfu_sign_has_every_option_of_imgtools() -> None:
    from typer.core import TyperGroup
    from typer.main import get_command

    from smpdfu.cli.app.typer_app import build_app
    from smpdfu.cli.imgtool.parser import parser_of

    commands = get_command(build_app())
    assert isinstance(commands, TyperGroup)
    ours = {name for option in commands.commands["sign"].params for name in option.opts}
    theirs = {name for action in parser_of("sign")._actions for name in action.option_strings}
    assert theirs - ours == {"-h", "--help", "--edt-config"}


def test_several_keys_sign_one_image(kinds: Kinds, raw: Path, tmp_path: Path, smpdfu: Call, imgtool: Call) -> None:
    out = tmp_path / "out.bin"
    signing = [word for kind in ("ecdsa-p256", "rsa-2048", "ed25519") for word in ("-k", kinds[kind][0])]
    done = smpdfu(*SIGN, *HEADER, *signing, "--json", raw, out)
    assert [one["type"] for one in done.document["signatures"]] == ["ecdsa-p256", "rsa-2048", "ed25519"]
    for kind in ("ecdsa-p256", "rsa-2048", "ed25519"):
        assert imgtool("verify", "-k", kinds[kind][1], out).code == 0
        assert smpdfu("verify", "-k", kinds[kind][1], out).code == 0
    assert "twice" in smpdfu(*SIGN, *HEADER, *signing[:2], *signing[:2], raw, tmp_path / "more").refused(3)


def test_one_signing_gives_files_that_agree(kinds: Kinds, raw: Path, tmp_path: Path, smpdfu: Call) -> None:
    """Encrypted: the content key is random, and the same in all files."""
    from smpdfu.image.files import read_firmware

    words = (*HEADER, "-k", kinds["ecdsa-p256"][0], "-E", kinds["x25519"][1], "--hmac-sha", "512", "-x", "0xc000")
    sign(smpdfu, *words, raw, "-o", tmp_path / "a.bin", "-o", tmp_path / "b.hex")
    assert read_firmware(tmp_path / "b.hex").flat() == (tmp_path / "a.bin").read_bytes()


def test_image_and_signature_are_two_files(
    kinds: Kinds, raw: Path, tmp_path: Path, smpdfu: Call, our_imgtool: Call
) -> None:
    words = (*SIGN, *HEADER, "-k", kinds["ecdsa-p256"][0], "--sig-out", tmp_path / "out", raw, tmp_path / "out")
    assert "the same output file" in our_imgtool(*words).refused(2)
    assert "the same output file" in smpdfu(*words).refused(3)
    assert not (tmp_path / "out").exists()
