"""The real imgtool and smpdfu agree: the same options give the same bytes, and each accepts what the other made.

ECDSA signatures, ephemeral keys and content keys are random in imgtool: those TLVs are compared by kind, each
signature is verified by both programs, and encrypted payloads are compared after decryption. A second test pins
imgtool's signatures to RFC 6979, and then whole files must be equal.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from intelhex import IntelHex

from smpdfu.errors import FormatError
from smpdfu.image.format import ENCRYPTION_KEY_TYPES, SIGNATURE_TYPES, Image
from smpdfu.image.keys.keys import PrivateKey, load_private
from smpdfu.image.verification.verify import verify
from tests.deadlines import HANG_S

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys, Outcome

RANDOM_TLVS = {*SIGNATURE_TYPES, *ENCRYPTION_KEY_TYPES}
SLOT = 0x20000

PADDED_HEADER = "-H 0x200 --pad-header -S 0x20000 -v 1.2.3"
ZEROED_HEADER = "-H 0x200 -S 0x20000 -v 1.2.3"


@dataclass(frozen=True)
class Case:
    """One row: what is signed (a file made by ``inputs``), the options, the kind of file that is written."""

    name: str
    options: str
    infile: str = "raw.bin"
    out: str = "bin"

    @property
    def encrypted(self) -> bool:
        return "{enc" in self.options

    @property
    def signed(self) -> bool:
        return "{key}" in self.options

    @property
    def padded(self) -> bool:
        return any(word in ("--pad", "--confirm", "--test") for word in self.options.split())


KEY = " -k {key}"
ENC = " -k {key} -E {enc_public}"
CASES = (
    Case("hash only", PADDED_HEADER),
    Case("hash only, header in the file", ZEROED_HEADER, "zeros.bin"),
    Case("hash only, hex to hex", PADDED_HEADER, "raw.hex", "hex"),
    Case("hash only, dependency, counter, TLV", f"{PADDED_HEADER} -d (0,1.0.0) -s 4 --custom-tlv 0xa0 hello"),
    Case("signed", PADDED_HEADER + KEY),
    Case("signed, header in the file", ZEROED_HEADER + KEY, "zeros.bin"),
    Case("smallest header", "-H 32 --pad-header -S 0x20000 -v 1.2.3" + KEY),
    Case("smallest header in the file", "-H 0x20 -S 0x20000 -v 1.2.3" + KEY, "zeros32.bin"),
    Case("odd header size", "-H 0x34 --pad-header -S 0x20000 -v 1.2.3" + KEY),
    Case("large header, octal and binary numbers", "-H 0b10000000000 --pad-header -S 0o400000 -v 1.2.3" + KEY),
    Case("one byte of firmware", PADDED_HEADER + KEY, "tiny.bin"),
    # versions
    Case("version: major only", "-H 0x200 --pad-header -S 0x20000 -v 7" + KEY),
    Case("version: major and minor", "-H 0x200 --pad-header -S 0x20000 -v 7.8" + KEY),
    Case("version: with build", "-H 0x200 --pad-header -S 0x20000 -v 1.2.3+4" + KEY),
    Case("version: largest", "-H 0x200 --pad-header -S 0x20000 -v 255.255.65535+4294967295" + KEY),
    Case("version: zero", "-H 0x200 --pad-header -S 0x20000 -v 0.0.0+0" + KEY),
    # file formats
    Case("bin to hex", PADDED_HEADER + KEY + " -x 0xc000", "raw.bin", "hex"),
    Case("bin to hex at 0", PADDED_HEADER + KEY + " -x 0", "raw.bin", "hex"),
    Case("bin to hex, long option", PADDED_HEADER + KEY + " --hex-addr 0x01008800", "raw.bin", "hex"),
    Case("hex to hex", PADDED_HEADER + KEY, "raw.hex", "hex"),
    Case("hex to hex, header in the file", ZEROED_HEADER + KEY, "zeros.hex", "hex"),
    Case("hex to hex, moved", PADDED_HEADER + KEY + " -x 0x10000", "raw.hex", "hex"),
    Case("hex to hex, base 0", PADDED_HEADER + KEY, "base0.hex", "hex"),
    Case("hex to hex, with a gap", PADDED_HEADER + KEY, "gap.hex", "hex"),
    Case("hex to hex, network core", PADDED_HEADER + KEY, "net.hex", "hex"),
    Case("hex to bin", PADDED_HEADER + KEY, "raw.hex"),
    Case("hex to bin, header in the file", ZEROED_HEADER + KEY, "zeros.hex"),
    Case("hex to bin, with a gap", PADDED_HEADER + KEY, "gap.hex"),
    # padding and trailer
    Case("pad", PADDED_HEADER + KEY + " --pad"),
    Case("confirm", PADDED_HEADER + KEY + " --confirm"),
    Case("test", PADDED_HEADER + KEY + " --test"),
    Case("pad, unsigned", PADDED_HEADER + " --pad"),
    Case("pad, hex", PADDED_HEADER + KEY + " --pad", "raw.hex", "hex"),
    Case("confirm, hex", PADDED_HEADER + KEY + " --confirm", "raw.hex", "hex"),
    Case("test, hex", PADDED_HEADER + KEY + " --test", "raw.hex", "hex"),
    Case("confirm, hex, align 16", PADDED_HEADER + KEY + " --confirm --align 16", "raw.hex", "hex"),
    Case("confirm, align 4", PADDED_HEADER + KEY + " --confirm --align 4"),
    Case("pad, align 8", PADDED_HEADER + KEY + " --pad --align 8"),
    Case("confirm, align 16", PADDED_HEADER + KEY + " --confirm --align 16"),
    Case("confirm, align 32", PADDED_HEADER + KEY + " --confirm --align 32"),
    Case("confirm, align 4, max-align 16", PADDED_HEADER + KEY + " --confirm --align 4 --max-align 16"),
    Case("test, align 2, max-align 32", PADDED_HEADER + KEY + " --test --align 2 --max-align 32"),
    Case("confirm, max-align 8", PADDED_HEADER + KEY + " --confirm --max-align 8"),
    Case("pad, few sectors", PADDED_HEADER + KEY + " --pad --align 4 -M 16"),
    Case("confirm, many sectors", PADDED_HEADER + KEY + " --confirm --align 8 --max-sectors 512"),
    Case("overwrite-only", PADDED_HEADER + KEY + " --overwrite-only"),
    Case("overwrite-only, pad", PADDED_HEADER + KEY + " --overwrite-only --pad --align 4"),
    Case("overwrite-only, confirm", PADDED_HEADER + KEY + " --overwrite-only --confirm"),
    Case("overwrite-only, test, hex", PADDED_HEADER + KEY + " --overwrite-only --test", "raw.hex", "hex"),
    # erased value
    Case("erased value 0", PADDED_HEADER + KEY + " -R 0"),
    Case("erased value 0, confirm", PADDED_HEADER + KEY + " --erased-val 0 --confirm"),
    Case("erased value 0xff, pad", PADDED_HEADER + KEY + " --erased-val 0xff --pad"),
    Case("erased value 0, confirm, hex", PADDED_HEADER + KEY + " -R 0 --confirm", "raw.hex", "hex"),
    # protected TLVs
    Case("one dependency", PADDED_HEADER + KEY + " -d '(1, 1.2.3+4)'"),
    Case("three dependencies", PADDED_HEADER + KEY + " --dependencies '(0,1.0),(1,2),(255,255.255.65535+1)'"),
    Case("security counter", PADDED_HEADER + KEY + " -s 42"),
    Case("security counter in hex, largest", PADDED_HEADER + KEY + " -s 0xffffffff"),
    Case("security counter 0", PADDED_HEADER + KEY + " --security-counter 0"),
    Case("security counter auto", "-H 0x200 --pad-header -S 0x20000 -v 9.8.7+6 -s auto" + KEY),
    Case("security counter AUTO", PADDED_HEADER + KEY + " -s AUTO"),
    Case("custom TLV, text", PADDED_HEADER + KEY + " --custom-tlv 0xa0 'two words'"),
    Case("custom TLV, bytes", PADDED_HEADER + KEY + " --custom-tlv 0x00a1 0x0123456789abcdef"),
    Case("custom TLVs, decimal tag, UTF-8", PADDED_HEADER + KEY + " --custom-tlv 160 0x --custom-tlv 65534 grün"),
    Case("everything protected", PADDED_HEADER + KEY + " -s 1 -d (0,1.0.0) --custom-tlv 0x2aa0 0xff00 --confirm"),
    # where it runs
    Case("load address", PADDED_HEADER + KEY + " -L 0x20000000"),
    Case("load address 0", PADDED_HEADER + KEY + " --load-addr 0"),
    Case("ROM fixed", PADDED_HEADER + KEY + " -F 0xc000"),
    Case("ROM fixed, hex, confirm", PADDED_HEADER + KEY + " --rom-fixed 0xc000 --confirm", "raw.hex", "hex"),
    # encryption
    Case("encrypted", PADDED_HEADER + ENC),
    Case("encrypted with the private key file", PADDED_HEADER + KEY + " -E {enc}"),
    Case("encrypted, 128", PADDED_HEADER + ENC + " --encrypt-keylen 128"),
    Case("encrypted, 256", PADDED_HEADER + ENC + " --encrypt-keylen 256"),
    Case("encrypted, no padding needed", PADDED_HEADER + ENC, "raw16.bin"),
    Case("encrypted, header in the file", ZEROED_HEADER + ENC, "zeros.bin"),
    Case("encrypted, smallest header", "-H 0x20 --pad-header -S 0x20000 -v 1.2.3" + ENC),
    Case("encrypted, unsigned", PADDED_HEADER + " --encrypt {enc_public}"),
    Case("encrypted, hex to hex", PADDED_HEADER + ENC, "raw.hex", "hex"),
    Case("encrypted, bin to hex, 256", PADDED_HEADER + ENC + " --encrypt-keylen 256 -x 0xc000", "raw.bin", "hex"),
    Case("encrypted, confirm", PADDED_HEADER + ENC + " --confirm --align 4"),
    Case("encrypted, 256, pad, protected TLVs", PADDED_HEADER + ENC + " --encrypt-keylen 256 --pad -s 7 -d (1,1.0)"),
    Case("encrypted, overwrite-only", PADDED_HEADER + ENC + " --overwrite-only --pad"),
    Case("clear", PADDED_HEADER + ENC + " --clear"),
    Case("clear, 256, confirm", PADDED_HEADER + ENC + " -c --encrypt-keylen 256 --confirm"),
    Case("keylen without a key", PADDED_HEADER + KEY + " --encrypt-keylen 256"),
)
assert len(CASES) >= 40
assert len({case.name for case in CASES}) == len(CASES)


def firmware(size: int) -> bytes:
    """Firmware-like bytes: a stack pointer, a reset vector in the slot at 0xc000, then noise without a pattern."""
    noise = bytes((index * index * 31 + index * 7 + (index >> 8)) & 0xFF for index in range(size))
    return (bytes.fromhex("00000120a1c30000") + noise)[:size]


def write_hex(path: Path, *segments: tuple[int, bytes]) -> None:
    memory = IntelHex()
    for address, data in segments:
        memory.puts(address, data)
    memory.write_hex_file(str(path))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every input file of the table."""
    folder = tmp_path_factory.mktemp("inputs")
    raw = firmware(4999)
    (folder / "raw.bin").write_bytes(raw)
    (folder / "raw16.bin").write_bytes(firmware(4096))
    (folder / "tiny.bin").write_bytes(b"\x01")
    (folder / "zeros.bin").write_bytes(bytes(0x200) + raw)
    (folder / "zeros32.bin").write_bytes(bytes(32) + raw)
    write_hex(folder / "raw.hex", (0xC200, raw))
    write_hex(folder / "zeros.hex", (0xC000, bytes(0x200) + raw))
    write_hex(folder / "base0.hex", (0, raw))
    write_hex(folder / "gap.hex", (0xC200, raw[:1000]), (0xC800, raw[1000:]))
    write_hex(folder / "net.hex", (0x01008A00, raw))
    return folder


Names = dict[str, Path]
"""Files by the names that they have in the table."""


@pytest.fixture(scope="module")
def names(keys: Keys, kinds: dict[str, tuple[Path, Path]], inputs: Path) -> Names:
    private = {kind.partition("-")[2] or kind: files[0] for kind, files in kinds.items()}
    return private | {
        "key": keys.signing,
        "enc": keys.encryption,
        "enc_public": keys.encryption_public,
        "data": inputs / "tiny.bin",
    }


def arguments(case: Case, names: Names, infile: Path, outfile: Path) -> list[str]:
    """The words of the command line."""
    words = shlex.split(case.options)
    return ["sign", *(word.format_map(names) if "{" in word else word for word in words), str(infile), str(outfile)]


def run(program: Call, case: Case, names: Names, inputs: Path, outfile: Path) -> Outcome:
    outcome = program(*arguments(case, names, inputs / case.infile, outfile))
    assert outcome.code == 0, outcome.err
    return outcome


def memory_of(path: Path) -> tuple[int, bytes, tuple[tuple[int, bytes], ...]]:
    """Base address, the bytes from there on, and for hex what lies apart from the first segment."""
    if path.suffix == ".bin":
        return 0, path.read_bytes(), ()
    hexed = IntelHex(str(path))
    first, *apart = hexed.segments()
    image = hexed.tobinstr(start=first[0], end=first[1] - 1)
    return first[0], image, tuple((start, hexed.tobinstr(start=start, end=end - 1)) for start, end in apart)


def stable(path: Path, erased: int) -> Any:
    """Everything in a file that is not random."""
    base, data, apart = memory_of(path)
    image = Image.from_bytes(data)
    return {
        "base": base,
        "header": image.header,
        "header pad": image.header_pad,
        "payload": None if image.encryption_key_tlv else image.payload,
        "protected": image.protected,
        "unprotected": [(tlv.type, None if tlv.type in RANDOM_TLVS else tlv.data) for tlv in image.unprotected],
        "tail": data[image.size_bytes :].lstrip(bytes([erased])),
        "apart": apart,
    }


def plain_payload(path: Path, enc_key: PrivateKey) -> bytes:
    """The decrypted payload of an encrypted image, read by our judge."""
    verdict = verify(Image.from_bytes(memory_of(path)[1]), (), enc_key=enc_key)
    assert verdict.accepted, verdict.refusals
    assert verdict.plain is not None
    return verdict.plain.payload


def expected_payload(case: Case, inputs: Path) -> bytes:
    """What was signed, without its header, zero-padded as encryption wants it."""
    path = inputs / case.infile
    data = path.read_bytes() if path.suffix == ".bin" else bytes(IntelHex(str(path)).tobinstr())
    header = 0 if "--pad-header" in case.options else 0x200
    return data[header:] + bytes(-len(data[header:]) % 16)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_programs_agree(
    case: Case, names: Names, inputs: Path, tmp_path: Path, imgtool: Call, our_imgtool: Call, smpdfu: Call
) -> None:
    files = {name: tmp_path / f"{name}.{case.out}" for name in ("theirs", "ours", "plain")}
    theirs = run(imgtool, case, names, inputs, files["theirs"])
    ours = run(our_imgtool, case, names, inputs, files["ours"])
    run(smpdfu, case, names, inputs, files["plain"])
    assert ours.out == theirs.out  # what the drop-in says on stdout
    erased = 0 if "-R 0" in case.options or "--erased-val 0 " in case.options else 0xFF
    expected = stable(files["theirs"], erased)
    assert stable(files["ours"], erased) == expected
    assert stable(files["plain"], erased) == expected
    if case.padded and case.out == "bin":
        assert {path.stat().st_size for path in files.values()} == {SLOT}
    if case.encrypted:
        enc_key = load_private(names["enc"].read_bytes(), None)
        for path in files.values():
            assert plain_payload(path, enc_key) == expected_payload(case, inputs)
    else:  # ours is reproducible, through both doors
        assert files["ours"].read_bytes() == files["plain"].read_bytes()
    accepted_by_both(case, names, files, imgtool, our_imgtool, smpdfu)


def accepted_by_both(
    case: Case, names: Names, files: dict[str, Path], imgtool: Call, our_imgtool: Call, smpdfu: Call
) -> None:
    """Every verifier takes every file: imgtool's as far as it can (it cannot decrypt)."""
    key = ("-k", names["key"]) if case.signed else ()
    enc_key = ("--enc-key", names["enc"]) if case.encrypted else ()
    for path in files.values():
        verdict = smpdfu("verify", path, *key, *enc_key)
        assert verdict.code == 0, verdict
        if not case.encrypted or "clear" in case.name:
            theirs, ours = imgtool("verify", *key, path), our_imgtool("verify", *key, path)
            assert (theirs.code, theirs.err) == (0, "")
            assert (ours.code, ours.out) == (0, theirs.out)


# What the other test cannot judge: imgtool's verify reads little-endian images only, ours does not take all of these.
MORE = (
    Case("boot record", PADDED_HEADER + KEY + " --boot-record SPE"),
    Case("boot record, unsigned", PADDED_HEADER + " --boot-record twelve-chars"),
    Case("not bootable", PADDED_HEADER + KEY + " --non-bootable"),
    Case("custom TLV from a file", PADDED_HEADER + KEY + " --custom-tlv-file 0xa1 {data} --custom-tlv 0xa0 x"),
    Case("big-endian", PADDED_HEADER + KEY + " -e big -d (1,2.3.4+5) -s 6 --custom-tlv 0xa0 x"),
    Case("big-endian, confirm, align 16", PADDED_HEADER + KEY + " --endian big --confirm --align 16"),
    Case("P-384", PADDED_HEADER + " -k {p384}"),
    Case("P-384, boot record", PADDED_HEADER + " -k {p384} --boot-record SPE"),
    Case("Ed25519", PADDED_HEADER + " -k {ed25519} --confirm"),
)


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """imgtool's ECDSA signatures follow RFC 6979, too."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256, SHA384
    from imgtool.keys import ECDSA256P1, ECDSA384P1

    for kind, function in ((ECDSA256P1, SHA256()), (ECDSA384P1, SHA384())):
        scheme = ec.ECDSA(function, deterministic_signing=True)
        monkeypatch.setattr(kind, "raw_sign", lambda key, payload, scheme=scheme: key.key.sign(payload, scheme))


@pytest.mark.usefixtures("pinned")
@pytest.mark.parametrize("case", [case for case in CASES + MORE if not case.encrypted], ids=lambda case: case.name)
def test_with_imgtools_signature_pinned_whole_files_are_equal(
    case: Case, names: Names, inputs: Path, tmp_path: Path, imgtool: Call, our_imgtool: Call
) -> None:
    theirs, ours = tmp_path / f"theirs.{case.out}", tmp_path / f"ours.{case.out}"
    said = run(imgtool, case, names, inputs, theirs).out
    assert run(our_imgtool, case, names, inputs, ours).out == said
    if case.out == "hex":  # the text too, but for the line ends that IntelHex takes from the platform
        assert ours.read_text().split() == theirs.read_text().split()
    else:
        assert ours.read_bytes() == theirs.read_bytes()


def test_true_processes_agree(names: Names, inputs: Path, tmp_path: Path) -> None:
    """The same through real processes: nothing depends on running inside the test."""
    case = next(case for case in CASES if case.name == "everything protected")
    doors = {
        "theirs": "from imgtool.main import imgtool; imgtool()",
        "ours": "from smpdfu.__main__ import imgtool; imgtool()",
    }
    said = {}
    for name, code in doors.items():
        words = arguments(case, names, inputs / case.infile, tmp_path / f"{name}.bin")
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=HANG_S)
        assert (done.returncode, done.stderr) == (0, "")
        said[name] = done.stdout
    assert said["ours"] == said["theirs"]
    assert stable(tmp_path / "ours.bin", 0xFF) == stable(tmp_path / "theirs.bin", 0xFF)


def test_not_one_bit_of_an_image_of_imgtools_can_change(
    names: Names, inputs: Path, tmp_path: Path, imgtool: Call
) -> None:
    """A bit in every byte: header, payload, each TLV's type, length and data, point, tag and key of the encryption."""
    case = Case("all", f"{PADDED_HEADER}{ENC} -s 1 -d (0,1.0.0) --custom-tlv 0xa0 x -H 0x40", "tiny.bin")
    out = tmp_path / "out.bin"
    run(imgtool, case, names, inputs, out)
    key = load_private(names["key"].read_bytes(), None).public
    enc_key = load_private(names["enc"].read_bytes(), None)
    whole = out.read_bytes()
    assert verify(Image.from_bytes(whole), [key], enc_key=enc_key).accepted
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        try:
            image = Image.from_bytes(bytes(changed))
        except FormatError:
            continue
        verdict = verify(image, [key], enc_key=enc_key)
        assert not verdict.accepted or verdict.warnings, at  # a warning: what only some backends read
