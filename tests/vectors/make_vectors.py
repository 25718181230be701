"""Makes ``images.json`` beside this file with the real imgtool; run it again after adding a case.

    python tests/vectors/make_vectors.py          writes the file
    python tests/vectors/make_vectors.py --check  says whether the file is what imgtool makes now

imgtool's output is random in three places: the ECDSA nonce, the content key, the ephemeral key. Here they are pinned:
nonces follow RFC 6979, the keys come from ``Stream``. So its files can be compared whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

TARGET = Path(__file__).resolve().parent / "images.json"
sys.path.insert(0, str(TARGET.parent.parent.parent))

from smpdfu.image.format import Dependency, Tlv, Version  # noqa: E402 - found by the line above
from smpdfu.image.spec import ImageSpec  # noqa: E402

BASE = ImageSpec(Version(1, 2, 3), header_size=0x40, slot_size=0x20000, pad_header=True)
EVERYTHING = replace(
    BASE,
    security_counter=7,
    boot_record="SPE",
    dependencies=(Dependency(0, Version(1)), Dependency(1, Version(2, 3, 4, 5))),
    custom_tlvs=(Tlv(0xA1, b"\x01\x02\x03"), Tlv(0xA0, b"text")),
)


@dataclass(frozen=True)
class Case:
    """What is signed, and how. ``infile`` is a key of ``INPUTS``; ``base`` and ``hex_addr`` are for .hex files."""

    name: str
    spec: ImageSpec
    signer: str | None = "p256"
    recipient: str | None = None
    infile: str = "raw"
    base: int | None = None
    hex_addr: int | None = None
    hex_out: bool = False


def firmware(size: int) -> bytes:
    """A stack pointer, a reset vector, then bytes without a pattern."""
    noise = b"".join(hashlib.sha256(bytes([index])).digest() for index in range(size // 32 + 1))
    return (bytes.fromhex("00000120a1c30000") + noise)[:size]


INPUTS = {
    "raw": firmware(333),
    "even": firmware(320),
    "tiny": b"\x01",
    "zeros": bytes(0x40) + firmware(333),
    "zeros32": bytes(32) + firmware(77),
}

CASES = (
    Case("hash only", BASE, None),
    Case("hash only, everything", EVERYTHING, None),
    Case("signed", BASE),
    Case("signed, header in the file", replace(BASE, pad_header=False), infile="zeros"),
    Case("usual header size", replace(BASE, header_size=0x200)),
    Case("smallest header", replace(BASE, header_size=32)),
    Case("smallest header in the file", replace(BASE, header_size=32, pad_header=False), infile="zeros32"),
    Case("odd header size", replace(BASE, header_size=0x35)),
    Case("one byte of firmware", BASE, infile="tiny"),
    Case("largest version", replace(BASE, version=Version(255, 255, 65535, 4294967295))),
    Case("everything protected", EVERYTHING),
    Case("everything protected, no hash of a key", EVERYTHING, None),
    Case("security counter auto", replace(BASE, version=Version(9, 8, 7, 6), security_counter="auto")),
    Case("security counter 0", replace(BASE, security_counter=0)),
    Case("load address", replace(BASE, load_addr=0x20000000)),
    Case("ROM fixed", replace(BASE, rom_fixed=0xC000)),
    Case("not bootable", replace(BASE, non_bootable=True)),
    Case("erased value 0", replace(BASE, erased_val=0)),
    Case("big-endian", replace(EVERYTHING, endian="big", load_addr=0x1234)),
    # padding
    Case("pad", replace(BASE, pad=True)),
    Case("confirm", replace(BASE, confirm=True)),
    Case("test", replace(BASE, test=True)),
    Case("confirm, align 4", replace(BASE, confirm=True, align=4)),
    Case("confirm, align 16", replace(BASE, confirm=True, align=16)),
    Case("confirm, align 32", replace(BASE, confirm=True, align=32)),
    Case("confirm, max-align 32", replace(BASE, confirm=True, align=2, max_align=32)),
    Case("confirm, erased value 0", replace(BASE, confirm=True, erased_val=0)),
    Case("confirm, big-endian, max-align 16", replace(BASE, confirm=True, max_align=16, endian="big")),
    Case("pad, few sectors", replace(BASE, pad=True, align=4, max_sectors=16)),
    Case("overwrite-only", replace(BASE, overwrite_only=True)),
    Case("overwrite-only, confirm", replace(BASE, overwrite_only=True, confirm=True)),
    Case("overwrite-only, test", replace(BASE, overwrite_only=True, test=True)),
    # encryption
    Case("encrypted", BASE, recipient="p256-enc"),
    Case("encrypted, 256", replace(BASE, encrypt_keylen=256), recipient="p256-enc"),
    Case("encrypted, nothing to pad", BASE, recipient="p256-enc", infile="even"),
    Case("encrypted, header in the file", replace(BASE, pad_header=False), recipient="p256-enc", infile="zeros"),
    Case("encrypted, smallest header", replace(BASE, header_size=32), recipient="p256-enc"),
    Case("encrypted, hash only", BASE, None, "p256-enc"),
    Case("encrypted, everything, confirm", replace(EVERYTHING, confirm=True, encrypt_keylen=256), recipient="p256-enc"),
    Case("encrypted, save-enctlv", replace(BASE, save_enctlv=True, pad=True), recipient="p256-enc"),
    Case("clear", replace(BASE, clear=True), recipient="p256-enc"),
    Case("clear, 256, confirm", replace(BASE, clear=True, encrypt_keylen=256, confirm=True), recipient="p256-enc"),
    Case("encrypted, one byte, erased value 0", replace(BASE, erased_val=0), recipient="p256-enc", infile="tiny"),
    # other kinds of keys
    Case("Ed25519", EVERYTHING, "ed25519"),
    Case("Ed25519, encrypted for X25519", BASE, "ed25519", "x25519"),
    Case("Ed25519, encrypted for X25519, 256", replace(BASE, encrypt_keylen=256), "ed25519", "x25519"),
    Case("P-384", EVERYTHING, "p384"),
    # Intel HEX
    Case("hex to hex", BASE, base=0xC200, hex_out=True),
    Case("hex to hex at 0", BASE, base=0, hex_out=True),
    Case("hex to hex, moved", BASE, base=0xC200, hex_addr=0x10000, hex_out=True),
    Case("hex to hex, header in the file", replace(BASE, pad_header=False), infile="zeros", base=0xC000, hex_out=True),
    Case("hex to hex, network core", BASE, base=0x01008A00, hex_out=True),
    Case("hex to bin", BASE, base=0xC200),
    Case("bin to hex over a 64 KiB border", BASE, hex_addr=0xFFF8, hex_out=True),
    Case("bin to hex, high", BASE, hex_addr=0x01008800, hex_out=True),
    Case("pad, hex", replace(BASE, pad=True), hex_addr=0xC000, hex_out=True),
    Case("confirm, hex", replace(BASE, confirm=True), base=0xC200, hex_out=True),
    Case("test, hex", replace(BASE, test=True), base=0xC200, hex_out=True),
    Case("confirm, hex, align 16", replace(BASE, confirm=True, align=16), base=0xC200, hex_out=True),
    Case("confirm, hex, erased value 0", replace(BASE, confirm=True, erased_val=0), base=0xC200, hex_out=True),
    Case("overwrite-only, test, hex", replace(BASE, overwrite_only=True, test=True), base=0xC200, hex_out=True),
    Case("encrypted, hex", BASE, recipient="p256-enc", base=0xC200, hex_out=True),
)


# --- randomness that can be repeated --------------------------------------------------------------------------------


class Stream:
    """Bytes that look random and are the same each time; ``given`` remembers them."""

    def __init__(self, seed: str) -> None:
        self.seed, self.given = seed.encode(), list[bytes]()

    def __call__(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        self.given.append(hashlib.shake_256(self.seed + len(self.given).to_bytes(4, "big")).digest(size))
        return self.given[-1]


def private_keys() -> dict[str, Any]:
    """The keys of the vectors: for tests only, anybody can make them."""
    stream = Stream("keys of the vectors")
    number = int.from_bytes(stream(32), "big")
    return {
        "p256": ec.derive_private_key(number % 2**255, ec.SECP256R1()),
        "p256-enc": ec.derive_private_key(number // 3, ec.SECP256R1()),
        "p384": ec.derive_private_key(number, ec.SECP384R1()),
        "ed25519": ed25519.Ed25519PrivateKey.from_private_bytes(stream(32)),
        "x25519": x25519.X25519PrivateKey.from_private_bytes(stream(32)),
    }


@contextlib.contextmanager
def pinned(stream: Stream) -> Iterator[None]:
    """imgtool without chance."""
    from imgtool import image
    from imgtool.keys import ECDSA256P1, ECDSA384P1

    def ephemeral(curve: ec.EllipticCurve, _backend: object = None) -> ec.EllipticCurvePrivateKey:
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        return ec.derive_private_key(int.from_bytes(stream(40), "big") % (order - 1) + 1, curve)

    def signing(function: Any) -> Callable[[Any, bytes], bytes]:
        def raw_sign(key: Any, payload: bytes) -> bytes:
            signature: bytes = key.key.sign(payload, ec.ECDSA(function(), deterministic_signing=True))
            return signature

        return raw_sign

    with contextlib.ExitStack() as patches:
        for target, name, value in (
            (image.os, "urandom", stream),
            (image.ec, "generate_private_key", ephemeral),
            (ECDSA256P1, "raw_sign", signing(SHA256)),
            (ECDSA384P1, "raw_sign", signing(SHA384)),
        ):
            patches.enter_context(mock.patch.object(target, name, value))
        made = x25519.X25519PrivateKey

        class Pinned:
            generate = staticmethod(lambda: made.from_private_bytes(stream(32)))

        patches.enter_context(mock.patch.object(image, "X25519PrivateKey", Pinned))
        yield


# --- running imgtool ------------------------------------------------------------------------------------------------


def options(spec: ImageSpec) -> Iterator[str]:
    """imgtool's words for a request."""
    yield from ("-v", str(spec.version), "-H", hex(spec.header_size), "-S", hex(spec.slot_size))
    yield from ("--align", str(spec.align), "-M", str(spec.max_sectors), "-e", spec.endian)
    yield from ("-R", "0" if spec.erased_val == 0 else "0xff", "--encrypt-keylen", str(spec.encrypt_keylen))
    for name in ("pad_header", "overwrite_only", "pad", "confirm", "test", "non_bootable", "clear", "save_enctlv"):
        if getattr(spec, name):
            yield "--" + name.replace("_", "-")
    for name in ("max_align", "security_counter", "boot_record"):
        if getattr(spec, name) is not None:
            yield from ("--" + name.replace("_", "-"), str(getattr(spec, name)))
    for name in ("load_addr", "rom_fixed"):
        if getattr(spec, name):
            yield from ("--" + name.replace("_", "-"), hex(getattr(spec, name)))
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
    made: dict[str, Any] = {name: value for name, value in vars(case).items() if name != "spec"}
    made |= {"spec": spec, "random": [taken.hex() for taken in stream.given]}
    made["output_sha256"] = hashlib.sha256(output).hexdigest()
    if case.hex_out:
        made["output_lines"] = output.decode().splitlines()
    elif not case.spec.padded:
        made["output"] = output.hex()
    return made


def make() -> str:
    """The text of the file."""
    keys = {
        name: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        for name, key in private_keys().items()
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key, pem in keys.items():
            (folder / f"{key}.pem").write_text(pem)
        images = [vector(case, *run_imgtool(case, folder)) for case in CASES]
    content = {"keys": keys, "inputs": {name: data.hex() for name, data in INPUTS.items()}, "images": images}
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def main() -> int:
    """Write the file, or with ``--check`` compare it."""
    made = make()
    if "--check" in sys.argv[1:]:
        fresh = TARGET.read_text() == made
        print("the vectors are what imgtool makes" if fresh else f"{TARGET.name} is not what imgtool makes")
        return 0 if fresh else 1
    TARGET.write_text(made)
    print(f"{len(CASES)} images")
    return 0


if __name__ == "__main__":
    sys.exit(main())
