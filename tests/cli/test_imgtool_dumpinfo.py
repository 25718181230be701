"""``smpdfu-imgtool dumpinfo`` beside imgtool's: the same text, YAML and JSON, to stdout and to files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

SIGN = ("sign", "-H", "0x200", "--pad-header", "-S", "0x4000", "-v", "1.2.3+4")
ENC = "-k {key} -E {enc}"

IMAGES = {
    "plain": "",
    "signed": "-k {key}",
    "protected TLVs": "-k {key} -s 7 -d (0,1.2.3),(1,4) --custom-tlv 0xa0 0x --boot-record SPE",
    "vendor's TLVs": "-k {key} --custom-tlv 0xfffe twelve_bytes --custom-tlv 0x2a0 0x00ff",
    "encrypted": ENC,
    "encrypted, padded": f"{ENC} --pad --encrypt-keylen 256",
    "confirmed": "-k {key} --confirm",
    "for a test, align 16": "-k {key} --test --align 16 -M 16",
    "confirmed, align 32": "--confirm --align 32 -M 16",
    "erased to 0": "--confirm -R 0",
    "flags": "-F 0xc000 --non-bootable -c",
    "loaded to RAM": "-L 0x20000000",
}  # fmt: skip
FORMS = ((), ("-f", "human"), ("-f", "yaml"), ("-f", "json"), ("-s",), ("--silent", "--format", "json"))


@pytest.mark.parametrize("out", ["out.bin", "out.hex"])
@pytest.mark.parametrize("name", IMAGES)
def test_dumpinfo_agrees(
    keys: Keys, raw: Path, tmp_path: Path, imgtool: Call, our_imgtool: Call, name: str, out: str
) -> None:
    image, words = tmp_path / out, IMAGES[name].format(key=keys.signing, enc=keys.encryption_public).split()
    assert imgtool(*SIGN, *words, "-x", "0xc000", raw, image).code == 0
    for form in FORMS:
        theirs, ours = imgtool("dumpinfo", *form, image), our_imgtool("dumpinfo", *form, image)
        assert (ours.code, ours.out) == (theirs.code, theirs.out) == (0, ours.out)
        for program, file in ((imgtool, "theirs.txt"), (our_imgtool, "ours.txt")):
            assert program("dumpinfo", *form, image, "-o", tmp_path / file).raw == b""
        assert (tmp_path / "ours.txt").read_bytes() == (tmp_path / "theirs.txt").read_bytes()


def test_names_that_yaml_must_quote(raw: Path, tmp_path: Path, imgtool: Call, our_imgtool: Call) -> None:
    for name in ("1.5", "no", "- a: b #c", "grün.bin", "null"):
        assert imgtool(*SIGN, raw, tmp_path / name).code == 0
        for form in ("yaml", "json"):
            theirs, ours = (program("dumpinfo", "-f", form, tmp_path / name) for program in (imgtool, our_imgtool))
            assert ours.out == theirs.out


@pytest.mark.parametrize("form", ["human", "yaml", "json"])
def test_what_follows_an_image_and_is_no_trailer(
    raw: Path, tmp_path: Path, imgtool: Call, our_imgtool: Call, form: str
) -> None:
    image = tmp_path / "image.bin"
    assert imgtool(*SIGN, raw, image).code == 0
    for tail in (b"\0", b"\xff" * 16, b"\xff" * 500):
        image.with_name("longer.bin").write_bytes(image.read_bytes() + tail)
        theirs, ours = (
            program("dumpinfo", image.with_name("longer.bin"), "-f", form) for program in (imgtool, our_imgtool)
        )
        assert (ours.code, ours.out) == (theirs.code, theirs.out)
        assert "Warning: the trailer magic" in ours.out


def test_a_padded_hex_of_a_large_slot(raw: Path, tmp_path: Path, imgtool: Call, our_imgtool: Call) -> None:
    image = tmp_path / "image.hex"
    words = [*SIGN, "--confirm", "-x", "0x10000000", raw, image]
    words[words.index("-S") + 1] = "0x400000"
    assert imgtool(*words).code == 0
    for command in ("dumpinfo", "verify"):
        theirs, ours = imgtool(command, image), our_imgtool(command, image)
        assert (ours.code, ours.out) == (theirs.code, theirs.out) == (0, ours.out)


def test_big_endian_images_are_read(raw: Path, tmp_path: Path, our_imgtool: Call) -> None:
    found = {}
    for endian in ("little", "big"):
        image = tmp_path / f"{endian}.bin"
        assert our_imgtool(*SIGN, "-e", endian, "--confirm", "--align", "16", "-s", "1", raw, image).code == 0
        found[endian] = json.loads(our_imgtool("dumpinfo", "-f", "json", image).out)
    big, little = found["big"], found["little"]
    assert big["header"] == little["header"]
    assert big["trailer"] == {**little["trailer"], "magic": big["trailer"]["magic"]}
    assert [tlv["type_name"] for tlv in big["tlv_area"]["tlvs"]] == ["SHA256"]


def test_what_is_no_image_is_a_sentence(raw: Path, tmp_path: Path, our_imgtool: Call) -> None:
    image = tmp_path / "image.bin"
    assert our_imgtool(*SIGN, "--confirm", raw, image).code == 0
    whole = image.read_bytes()[:5600]
    for size in (0, 1, 27, 31, 32, 0x200, 5000, 5512, 5520):
        image.write_bytes(whole[:size])
        assert our_imgtool("dumpinfo", image).refused(2)
    assert our_imgtool("dumpinfo", raw).refused(2)
    assert our_imgtool("dumpinfo", tmp_path / "missing").refused(2)
