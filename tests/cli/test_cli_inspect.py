"""``inspect``: what a file is, what is in it, what to do with it."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from intelhex import IntelHex

from smpdfu.image import hexfile
from smpdfu.image.format import Image
from smpdfu.image.keys.keys import generate
from smpdfu.image.nsib.provision import FRONT_BYTES, provision_for
from smpdfu.image.trailer import boot_magic

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys, WriteHex

SLOT = ("-S", "0x20000")
HEADER = ("-H", "0x200", "--pad-header", "-v", "1.2.3+4")
HEADER_SIZE = 0x200
LINKED_AT = 0xC200


def archive(**members: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        for name, text in members.items():
            made.writestr(name.replace("_", "."), text)
    return target.getvalue()


SECURE_DFU = {"manifest": {"application": {"bin_file": "app.bin", "dat_file": "app.dat"}}}
STRANGERS = {
    "raw firmware": (bytes.fromhex("00100020a1c30000") + b"\1\2\3\4" * 50, "smpdfu sign"),
    "intel hex": (b":020000040000FA\n:0400000000000000FC\n:00000001FF\n", "smpdfu sign"),
    "elf": (b"\x7fELF" + bytes(100), ".hex or .bin"),
    "uf2": (bytes.fromhex("5546320a57515d9e") + bytes(504), ".hex or .bin"),
    "nrf5 secure dfu zip": (archive(manifest_json=json.dumps(SECURE_DFU)), "smpdfu secure-dfu show FILE"),
    "zip": (archive(readme_txt="hello"), "dfu_application.zip"),
    "pem": (b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n", "smpdfu key info"),
    "empty": (b"", "The file is empty"),
    "text": (b"what is this?" * 40, "neither firmware nor a key"),
    "unknown": (bytes(range(256)), "knows"),
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_inspect_tells_any_file_and_what_to_do(tmp_path: Path, smpdfu: Call, kind: str) -> None:
    data, advice = STRANGERS[kind]
    path = tmp_path / "handed-over.bin"
    path.write_bytes(data)
    told = smpdfu("inspect", "--json", path).document
    assert (told["kind"], told["size_bytes"]) == (kind, len(data))
    assert advice in told["advice"]
    people = smpdfu("inspect", path)
    assert (people.code, people.err) == (0, "")
    assert kind in people.out
    assert told["advice"] in people.out


def test_inspect_shows_an_image_whole(raw: Path, keys: Keys, tmp_path: Path, smpdfu: Call) -> None:
    out = tmp_path / "out.bin"
    assert smpdfu("sign", "-k", keys.signing, *SLOT, *HEADER, "-s", "7", "--confirm", raw, out).code == 0
    image = Image.from_bytes(out.read_bytes())
    told = smpdfu("inspect", "--json", out).document
    assert told["header"]["version"] == "1.2.3+4"
    assert told["header"]["img_size"] == 5000
    assert told["hash"] == (image.hash or b"").hex()
    assert [tlv["name"] for tlv in told["tlvs"]] == ["SEC_CNT", "SHA256", "KEYHASH", "ECDSA_SIG"]
    assert [tlv["protected"] for tlv in told["tlvs"]] == [True, False, False, False]
    assert told["tlvs"][0]["data"] == "07000000"
    assert (told["trailer"]["magic"], told["trailer"]["image_ok"]) == ("good", "set")
    people = smpdfu("inspect", out).out
    for word in ("SEC_CNT", "ECDSA_SIG", "confirmed", "0x20000", "protected TLVs", "1.2.3+4"):
        assert word in people


@pytest.mark.parametrize("max_align", [8, 16, 32])
def test_inspect_reads_the_trailers_of_all_flash_kinds(raw: Path, out: Path, smpdfu: Call, max_align: int) -> None:
    for mark, image_ok in (("--confirm", "set"), ("--test", "unset")):
        assert smpdfu("sign", *SLOT, *HEADER, mark, "--max-align", max_align, raw, out).code == 0
        assert smpdfu("inspect", "--json", out).document["trailer"]["image_ok"] == image_ok


@pytest.mark.parametrize("tail", [boot_magic(8), boot_magic(32), b"\xff" * 100, bytes(24) + boot_magic(16)])
def test_what_follows_an_image_need_not_be_a_trailer(signed: Path, smpdfu: Call, tail: bytes) -> None:
    signed.write_bytes(signed.read_bytes() + tail)
    assert smpdfu("inspect", "--json", signed).document["trailer"] is None
    assert "no part of the image" in smpdfu("inspect", signed).out


@pytest.mark.parametrize("words", ["inspect {}", "sign {} out.bin -S 0x20000 -H 0x200 --pad-header -v 1.2.3"])
def test_intel_hex_is_read_once(
    words: str, raw: Path, tmp_path: Path, smpdfu: Call, write_hex: WriteHex, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_hex(tmp_path / "raw.hex", (0xC000, raw.read_bytes()))
    decode, times = hexfile.decode, []

    def noted(text: bytes) -> tuple[hexfile.Segment, ...]:
        times.append(len(text))
        return decode(text)

    monkeypatch.setattr(hexfile, "decode", noted)
    monkeypatch.chdir(tmp_path)
    assert smpdfu(*words.format(path).split()).code == 0
    assert times == [path.stat().st_size]


def test_inspect_finds_an_image_in_hex_where_it_lies(
    signed: Path, tmp_path: Path, smpdfu: Call, write_hex: WriteHex
) -> None:
    path = write_hex(tmp_path / "signed.hex", (0xC000, signed.read_bytes()))
    told = smpdfu("inspect", "--json", path).document
    assert told["kind"] == "intel hex"
    assert told["segments"] == [{"address": 0xC000, "size_bytes": signed.stat().st_size}]
    assert told["hash"] == smpdfu("inspect", "--json", signed).document["hash"]
    assert "0xc200" in smpdfu("inspect", path).out


def test_inspect_tells_both_cores_of_a_merged_hex(sample_hex: Path, smpdfu: Call) -> None:
    told = smpdfu("inspect", "--json", sample_hex).document
    assert told["cores"] == ["application core", "network core"]
    assert "--merged" in told["advice"]


def test_inspect_tells_what_a_damaged_image_still_says(signed: Path, smpdfu: Call) -> None:
    signed.write_bytes(signed.read_bytes()[:1000])
    done = smpdfu("inspect", "--json", signed)
    told = done.document
    assert done.code == 3
    assert told["header"]["version"] == "1.2.3+4"
    assert told["error"]["exit_code"] == 3
    people = smpdfu("inspect", signed)
    assert people.code == 3
    assert "1.2.3+4" in people.out
    assert "cut off" in people.sentence


def test_what_a_file_says_is_never_markup(raw: Path, tmp_path: Path, smpdfu: Call) -> None:
    odd = tmp_path / "[red]name.bin"
    odd.write_bytes(raw.read_bytes())
    assert "[red]name.bin" in smpdfu("inspect", odd).out


def test_inspect_lists_the_images_of_a_package(signed: Path, tmp_path: Path, smpdfu: Call) -> None:
    from smpdfu.dfu.package.images import PackageImage
    from smpdfu.dfu.package.package import new_package

    path = tmp_path / "dfu_application.zip"
    new_package([(PackageImage.from_bytes(signed.read_bytes(), "app_update.bin"), 0xC200)]).write(path)
    told = smpdfu("inspect", "--json", path).document
    assert told["kind"] == "dfu_application.zip"
    assert [(one["file"], one["core"], one["version"]) for one in told["images"]] == [
        ("app_update.bin", "app", "1.2.3+4")
    ]
    assert "smpdfu update" in told["advice"]
    assert "app_update.bin" in smpdfu("inspect", path).out


def test_inspect_tells_why_a_package_cannot_be_used(tmp_path: Path, smpdfu: Call) -> None:
    path = tmp_path / "dfu_application.zip"
    entry = {"file": "gone.bin", "type": "application"}
    path.write_bytes(archive(manifest_json=json.dumps({"format-version": 1, "files": [entry]})))
    sentence = smpdfu("inspect", path).refused()
    assert "gone.bin" in sentence
    assert str(path) in sentence


@pytest.mark.parametrize("s0", [0x8000, 0x0100_8800], ids=["b0", "b0n"])
@pytest.mark.parametrize("suffix", ["hex", "bin"])
def test_provisioning_data_are_known(smpdfu: Call, tmp_path: Path, s0: int, suffix: str) -> None:
    key = generate("ecdsa-p256").public
    data = provision_for(s0, None if s0 > 0x8000 else 0x14000, [key], counter_slots=2 if s0 == 0x8000 else 0)
    path = tmp_path / f"provision.{suffix}"
    if suffix == "hex":
        memory = IntelHex()
        memory.puts(0x00FF_8128 if s0 == 0x8000 else 0x0100_8580, data.to_bytes())
        memory.write_hex_file(str(path))
    else:
        path.write_bytes(b"\xff" * FRONT_BYTES + data.to_bytes())
    said = json.loads(smpdfu("inspect", path, "--json").out)
    assert said["provision"] == {"keys": 1, "counters": int(s0 == 0x8000)}
    assert "smpdfu provision show FILE" in said["advice"]
    assert "sign" not in said["advice"]
    assert smpdfu("provision", "show", path).code == 0


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ('{"bomFormat": "CycloneDX", "specVersion": "1.6"}', "smpdfu affected --sbom FILE"),
        ('{"payload": "", "payloadType": "application/vnd.in-toto+json", "signatures": []}', "--provenance FILE"),
    ],
)
def test_release_evidence_is_known(smpdfu: Call, tmp_path: Path, text: str, command: str) -> None:
    path = tmp_path / "evidence.json"
    path.write_text(text)
    said = json.loads(smpdfu("inspect", path, "--json").out)
    assert command in said["advice"]
    assert "not firmware" not in said["advice"]
