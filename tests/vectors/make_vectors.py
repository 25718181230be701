"""Makes ``images.json`` and ``own_images.json`` beside this file; run it again after adding a case to ``cases.py``.

    python tests/vectors/make_vectors.py          writes the files
    python tests/vectors/make_vectors.py --check  says whether the files are what would be made now
    python tests/vectors/make_vectors.py --compressed  prints the same for compressed images, which are not kept

``images.json`` is what the real imgtool makes. Its output is random in five places: the ECDSA nonce, the salt of
RSA-PSS, the content key, the ephemeral key, the seed of RSA-OAEP. Here they are pinned: nonces follow RFC 6979, salts
are fixed, the rest comes from ``Stream``. So its files can be compared whole. ``own_images.json`` is what imgtool
cannot make (AES-KW, keys of different types, several signatures); imgtool accepts the signatures in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent.parent))

from smpdfu.image.keys.keys import load_private  # noqa: E402
from smpdfu.image.signing.build import build, lay_out  # noqa: E402 - found by the line above
from smpdfu.image.signing.spec import ImageSpec  # noqa: E402
from tests.vectors.cases import (  # noqa: E402
    BASE,
    CASES,
    COMPRESSED_CASES,
    INPUTS,
    OWN_CASES,
    Case,
    load_encryption_key,
)
from tests.vectors.pinned import Stream, key_files, pinned  # noqa: E402

# --- running imgtool ------------------------------------------------------------------------------------------------


FLAGS = (
    *("pad_header", "overwrite_only", "pad", "confirm", "test", "non_bootable", "clear", "save_enctlv"),
    *("pure", "pad_sig"),
)


def options(spec: ImageSpec) -> Iterator[str]:
    """imgtool's words for a request."""
    yield from ("-v", str(spec.version), "-H", hex(spec.header_size), "-S", hex(spec.slot_size))
    yield from ("--align", str(spec.align), "-M", str(spec.max_sectors), "-e", spec.endian)
    yield from ("-R", "0" if spec.erased_val == 0 else "0xff", "--encrypt-keylen", str(spec.encrypt_keylen))
    for name in FLAGS:
        if getattr(spec, name):
            yield "--" + name.replace("_", "-")
    for name in ("max_align", "security_counter", "boot_record", "vid", "cid"):
        if getattr(spec, name) is not None:
            yield from ("--" + name.replace("_", "-"), str(getattr(spec, name)))
    for name in ("load_addr", "rom_fixed"):
        if getattr(spec, name):
            yield from ("--" + name.replace("_", "-"), hex(getattr(spec, name)))
    for name in ("sha", "hmac_sha", "public_key_format", "compression"):
        yield from ("--" + name.replace("_", "-"), getattr(spec, name))
    if spec.dependencies:
        yield from ("-d", ",".join(f"({one.image},{one.version})" for one in spec.dependencies))
    for tlv in spec.custom_tlvs:
        yield from ("--custom-tlv", hex(tlv.type), "0x" + tlv.data.hex())


def run_imgtool(case: Case, folder: Path) -> tuple[bytes, Stream]:
    """The file that imgtool makes of a case, and the randomness it took."""
    from imgtool.main import imgtool
    from intelhex import IntelHex

    infile, outfile = folder / "in.bin", folder / f"out.{'hex' if case.hex_out else 'bin'}"
    infile.write_bytes(INPUTS[case.infile])
    if case.base is not None:
        infile, memory = folder / "in.hex", IntelHex()
        memory.frombytes(INPUTS[case.infile], case.base)
        memory.write_hex_file(str(infile))
    words = ["sign", *options(case.spec)]
    for option, key in (("-k", case.signer), ("-E", case.recipient)):
        words += [option, str(folder / f"{key}.pem")] if key else []
    words += ["-x", hex(case.hex_addr)] if case.hex_addr is not None else []
    stream = Stream(case.name)
    with pinned(stream), contextlib.redirect_stdout(io.StringIO()):
        imgtool.main([*words, str(infile), str(outfile)], "imgtool", standalone_mode=False)
    output = outfile.read_bytes()
    return output.replace(os.linesep.encode(), b"\n") if case.hex_out else output, stream


def vector(case: Case, output: bytes, stream: Stream) -> dict[str, Any]:
    """A case as JSON. Whole slots are told by their hash: they are large and empty."""
    spec = {name: value for name, value in asdict(case.spec).items() if value != getattr(BASE, name, None)}
    spec |= {"version": str(case.spec.version), "header_size": case.spec.header_size, "slot_size": case.spec.slot_size}
    spec["pad_header"] = case.spec.pad_header
    if case.spec.dependencies:
        spec["dependencies"] = [[one.image, str(one.version)] for one in case.spec.dependencies]
    if case.spec.custom_tlvs:
        spec["custom_tlvs"] = [[tlv.type, tlv.data.hex()] for tlv in case.spec.custom_tlvs]
    if case.spec.manifest is not None:
        spec["manifest"] = case.spec.manifest.hex()
    made: dict[str, Any] = {name: value for name, value in vars(case).items() if name != "spec"}
    made |= {"spec": spec, "random": [taken.hex() for taken in stream.given]}
    made["output_sha256"] = hashlib.sha256(output).hexdigest()
    if case.hex_out:
        made["output_lines"] = output.decode().splitlines()
    elif not case.spec.padded:
        made["output"] = output.hex()
    return made


# --- what imgtool cannot make ---------------------------------------------------------------------------------------


def run_ours(case: Case, folder: Path) -> tuple[bytes, Stream]:
    """The same by smpdfu; imgtool has to accept each signature, where it can read the image at all."""
    signers = [load_private((folder / f"{name}.pem").read_bytes()) for name in (case.signer or "").split()]
    recipient = case.recipient and load_encryption_key((folder / f"{case.recipient}.pem").read_bytes())
    stream = Stream(case.name)
    made = build(case.spec, INPUTS[case.infile], signers, recipient.public if recipient else None, stream)
    if not recipient and case.spec.endian == "little":
        (folder / "ours.bin").write_bytes(made.to_bytes())
        for name in (case.signer or "").split():
            check_with_imgtool(folder / "ours.bin", folder / f"{name}.pem")
    return lay_out(made, case.spec), stream


def check_with_imgtool(image: Path, key: Path) -> None:
    """Raises SystemExit when imgtool does not accept a signature by this key."""
    from imgtool.image import Image, VerifyResult
    from imgtool.keys import load

    result = Image.verify(str(image), load(str(key)))[0]
    if result != VerifyResult.OK:
        raise SystemExit(f"imgtool does not accept {image.name} with {key.name}: {result.name}")


# --- the files ------------------------------------------------------------------------------------------------------


def make(cases: Iterable[Case], run: Callable[[Case, Path], tuple[bytes, Stream]] = run_imgtool) -> str:
    """The text of a file."""
    keys = key_files()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key, text in keys.items():
            (folder / f"{key}.pem").write_text(text)
        images = [vector(case, *run(case, folder)) for case in cases]
    content = {"keys": keys, "inputs": {name: data.hex() for name, data in INPUTS.items()}, "images": images}
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def main() -> int:
    """Write the files, or with ``--check`` compare them; with ``--compressed`` print those that are not kept."""
    if "--compressed" in sys.argv[1:]:
        print(make(COMPRESSED_CASES))
        return 0
    made = {"images.json": make(CASES), "own_images.json": make(OWN_CASES, run_ours)}
    if "--check" in sys.argv[1:]:
        stale = [name for name, text in made.items() if (FOLDER / name).read_text() != text]
        print(f"{' and '.join(stale)}: not what is made now" if stale else "the vectors are what is made now")
        return 1 if stale else 0
    for name, text in made.items():
        (FOLDER / name).write_text(text)
    print(f"{len(CASES)} images by imgtool, {len(OWN_CASES)} by smpdfu")
    return 0


if __name__ == "__main__":
    sys.exit(main())
