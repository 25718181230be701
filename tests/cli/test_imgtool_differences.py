"""``docs/reference/imgtool-differences.md`` is true: its tables are run in imgtool and in ``smpdfu-imgtool``."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from intelhex import IntelHex

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "imgtool-differences.md"
SIGN = "sign -H 0x200 --pad-header -S 0x20000 -v 1.2.3"
FIRMWARE = bytes.fromhex("00000120a1c30000") + bytes(range(256)) * 16

Names = dict[str, Path]


def setting(folder: Path, kinds: dict[str, tuple[Path, Path]], keys: Keys) -> Names:
    """The files that the rows name."""
    names = {
        "out": folder / "out",
        "hex": folder / "out.hex",
        "missing": folder / "missing",
        "protected": keys.protected,
    }
    for kind, (private, public) in kinds.items():
        names[kind], names[f"{kind}-pub"] = private, public
    contents = {
        "raw": FIRMWARE,
        "empty": b"",
        "elf": b"\x7fELF\x01\x01\x01" + bytes(200),
        "text": b"this is no key, no image and no signature\n",
        "kek": base64.b64encode(bytes(range(16))),
        "signature": base64.b64encode(bytes(64)),
        "manifest": f"format: 1\nimages:\n  - hash: '{'ab' * 32}'\n    index: 0\n".encode(),
        "long": bytes(0x10000),
        "there": b"",
    }
    for name, data in contents.items():
        names[name] = folder / f"{name}.bin"
        names[name].write_bytes(data)
    for name, parts in {"far": (0xC000, 0x40C000), "damaged": (0xC000,)}.items():
        memory, names[name] = IntelHex(), folder / f"{name}.hex"
        for address in parts:
            memory.puts(address, FIRMWARE[:64])
        memory.write_hex_file(str(names[name]))
    names["damaged"].write_bytes(names["damaged"].read_bytes().replace(b":10", b":1G"))
    return names | images(folder, names)


def images(folder: Path, names: Names) -> Names:
    """Signed images that the rows name."""
    from imgtool.main import imgtool

    made = {}
    for name, options in {"image": "", "big": "-e big"}.items():
        made[name] = folder / f"{name}.bin"
        words = [*SIGN.split(), *options.split(), str(names["raw"]), str(made[name])]
        imgtool.main(words, standalone_mode=False)
    data = made["image"].read_bytes()
    for name, damaged in {"cut": data[:4640], "short": data[:20], "other": b"\0" + data[1:]}.items():
        made[name] = folder / f"{name}.bin"
        made[name].write_bytes(damaged)
    made["renamed"] = folder / "renamed.bin"
    memory = IntelHex()
    memory.puts(0, data)
    memory.write_hex_file(str(made["renamed"]))
    return made


def words_of(line: str, names: Names) -> list[str]:
    """A row's command line: after ``sign ...`` come the usual options, and at its end the files."""
    _, dots, rest = line.partition(" ...")
    text = f"{SIGN}{rest}" if dots else line
    if dots and not re.search(r" (\{(out|hex)\}|\{missing\}/out)$", rest):
        text += " {raw} {out}"
    return [word.format_map(names) if "{" in word else word for word in shlex.split(text)]


def rows() -> Iterator[tuple[str, int, int]]:
    """The tables of the page: command, imgtool's exit code, ours."""
    for line in PAGE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith("`"):
            yield cells[0].strip("`"), int(cells[1]), int(cells[2])


DIFFERENT = tuple(rows())

# Whatever else can be wrong has imgtool's exit code, and so has what only looks wrong.
ALIKE = """
sign ... --vector-to-sign digest --pure --fix-sig-pubkey {ed25519-pub}
sign ... --fix-sig {missing} --fix-sig-pubkey {ecdsa-p256-pub}
sign ... --fix-sig {signature}
sign ... --fix-sig {signature} --fix-sig-pubkey {ecdsa-p256-pub} -k {ecdsa-p256}
sign ... -S 0
sign ... -S 4640
sign ... --pure -k {ecdsa-p256}
sign ... --pure --sha 512 -k {ed25519}
sign ... -e big --custom-tlv 0xa000 x
sign ... -v 1.2.3.4
sign ... -v 1.2.3-rc1
sign ... -v ''
sign ... -d (1,1.0),(2
sign ... -d ''
sign ... -k {text}
sign ... -k {missing} {raw} {out}
sign ... -k {protected}
sign ... -k {x25519}
sign ... -k {ed25519-pub}
sign ... -E {missing} {raw} {out}
sign ... -E {text}
sign ... --custom-tlv 0x9f x
sign ... --custom-tlv 0xffff x
sign ... --custom-tlv 0x74 x
sign ... --custom-tlv 0xa0 0x1
sign ... --custom-tlv 0xa0
sign ... --custom-tlv-file 0xa0 {missing} {raw} {out}
sign ... --vid ''
sign ... --boot-record ''
sign ... --hmac-sha 512 -E {ecdsa-p256}
sign ... --hmac-sha 512 -E {rsa-2048}
sign ... --hmac-sha 384 -E {x25519}
sign ... --sha 512 -k {ecdsa-p256}
sign ... --sha 384 -k {ecdsa-p256}
sign ... --sha 384 -k {ed25519}
sign ... --sha 256 -k {ecdsa-p384}
sign ... --sha 512 -k {ecdsa-p384}
sign ... --sha 384 -k {rsa-2048}
sign ... --sha 512 -k {rsa-3072}
sign ... --sha 1
sign ... --compression lzma1
sign ... --public-key-format whole
sign ... --vector-to-sign hash
sign ... --edt-config {text}
sign ... {missing} {out}
sign ... {raw} {missing}/out
sign ... {raw} {hex}
sign ... -M many
sign ... -M 0x80
sign ... -R 255
sign ... --pad-value 255
sign ... -F 0xc000 -L 0x20000000
sign ... -F 0 -L 0x20000000
verify {image} {image}
verify {short}
verify {cut}
verify {empty}
verify {other}
verify {missing}
verify -k {x25519} {image}
verify -k {missing} {image}
verify -k {text} {image}
dumpinfo {missing}
dumpinfo {image} -o {missing}/out
dumpinfo -f xml {image}
keygen -t ecdsa-p256 -k {missing}/key
keygen -t ecdsa-p256 -p -k {out}
keygen -t ecdsa-p521 -k {out}
getpub -k {missing}
getpub -k {text}
getpub -k {ecdsa-p256} -o {missing}/out
getpub -k {protected}
getpriv -k {ecdsa-p256-pub}
getpriv -k {ed25519}
getpriv -k {x25519} -f openssl
getpriv -k {rsa-2048} -f pkcs8
getpriv -k {missing}
version extra
""".strip().splitlines()


@pytest.fixture
def names(tmp_path: Path, kinds: dict[str, tuple[Path, Path]], keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Names:
    monkeypatch.setenv("TEST_SECRET", keys.passphrase)
    return setting(tmp_path, kinds, keys)


def code_of(program: Call, line: str, names: Names, *, ours: bool) -> int:
    """Run a row; ours says one sentence when it fails, and leaves no file behind."""
    folder = names["out"].parent
    before = set(folder.iterdir())
    outcome = program(*words_of(line, names))
    made = set(folder.iterdir()) - before
    for path in made:
        path.unlink()
    names["there"].write_bytes(b"")
    if ours and outcome.code:
        assert len([word for word in outcome.err.splitlines() if word.startswith("Error: ")]) == 1, outcome.err
        assert not any(word in outcome.err for word in ("Traceback", "Please report"))
        assert not made
    return outcome.code


imgtools_own = pytest.mark.filterwarnings(  # files that imgtool leaves open when it ends in a traceback
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@imgtools_own
@pytest.mark.parametrize(("line", "theirs", "ours"), DIFFERENT, ids=[line for line, _, _ in DIFFERENT])
def test_the_page_is_true(line: str, theirs: int, ours: int, names: Names, imgtool: Call, our_imgtool: Call) -> None:
    assert theirs != ours
    found = code_of(imgtool, line, names, ours=False), code_of(our_imgtool, line, names, ours=True)
    assert found == (theirs, ours)


@imgtools_own
@pytest.mark.parametrize("line", ALIKE)
def test_whatever_else_can_be_wrong_has_imgtools_exit_code(
    line: str, names: Names, imgtool: Call, our_imgtool: Call
) -> None:
    assert code_of(our_imgtool, line, names, ours=True) == code_of(imgtool, line, names, ours=False)


def test_the_page_has_tables() -> None:
    assert len(DIFFERENT) >= 50
    assert len({line for line, _, _ in DIFFERENT}) == len(DIFFERENT)
