"""What the vectors are of: firmware, requests, and who signs and decrypts. Used by ``make_vectors.py``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from smpdfu.image.format import Dependency, Tlv, Version
from smpdfu.image.keys.kek import EncryptionKey, load_kek
from smpdfu.image.keys.keys import load_key
from smpdfu.image.signing.spec import ImageSpec

BASE = ImageSpec(Version(1, 2, 3), header_size=0x40, slot_size=0x20000, pad_header=True)
EVERYTHING = replace(
    BASE,
    security_counter=7,
    boot_record="SPE",
    dependencies=(Dependency(0, Version(1)), Dependency(1, Version(2, 3, 4, 5))),
    custom_tlvs=(Tlv(0xA1, b"\x01\x02\x03"), Tlv(0xA0, b"text")),
)


VID = "12345678-9abc-4def-8123-456789abcdef"


@dataclass(frozen=True)
class Case:
    """What is signed, and how. ``infile`` is a key of ``INPUTS``; ``base`` and ``hex_addr`` are for .hex files.

    ``signer`` and ``recipient`` are names of keys in ``pinned.py``; several signers have spaces between them.
    """

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


CODE = firmware(64) + b"".join(bytes.fromhex("00f000f8") + firmware(4 + index % 40) for index in range(150))  # branches

INPUTS = {
    "raw": firmware(333),
    "even": firmware(320),
    "tiny": b"\x01",
    "zeros": bytes(0x40) + firmware(333),
    "zeros32": bytes(32) + firmware(77),
    "code": CODE,
    "code32": bytes(32) + CODE,
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
    Case("P-384, padded signature", replace(BASE, pad_sig=True), "p384"),
    Case("P-256, padded signature", replace(BASE, pad_sig=True)),
    Case("RSA-2048", EVERYTHING, "rsa-2048"),
    Case("RSA-3072", EVERYTHING, "rsa-3072"),
    Case("RSA-2048, full key, big-endian", replace(BASE, public_key_format="full", endian="big"), "rsa-2048"),
    Case("RSA-2048, encrypted for RSA", BASE, "rsa-2048", "rsa-enc"),
    Case("RSA-3072, encrypted for RSA, 256", replace(BASE, encrypt_keylen=256), "rsa-3072", "rsa-enc"),
    Case("hash only, encrypted for RSA", replace(BASE, hmac_sha="512"), None, "rsa-enc"),
    Case("Ed25519, SHA-512", replace(EVERYTHING, sha="512"), "ed25519"),
    Case("Ed25519, pure", replace(EVERYTHING, pure=True), "ed25519"),
    Case(
        "Ed25519, pure, full key, confirm", replace(BASE, pure=True, public_key_format="full", confirm=True), "ed25519"
    ),
    Case("Ed25519, pure, encrypted", replace(BASE, pure=True), "ed25519", "x25519"),
    Case("Ed25519, encrypted for RSA", BASE, "ed25519", "rsa-enc"),
    Case("Ed25519, encrypted for P-256", BASE, "ed25519", "p256-enc"),
    Case("X25519 with HMAC-SHA512", replace(BASE, hmac_sha="512"), "ed25519", "x25519"),
    Case("X25519 with HMAC-SHA512, 256", replace(BASE, hmac_sha="512", encrypt_keylen=256), None, "x25519"),
    Case("X25519 with HMAC-SHA256", replace(BASE, hmac_sha="256", save_enctlv=True, pad=True), None, "x25519"),
    # hashes, keys in full, identifiers
    Case("hash only, SHA-384", replace(EVERYTHING, sha="384"), None),
    Case("hash only, SHA-512", replace(EVERYTHING, sha="512", endian="big"), None),
    Case("P-256, SHA-256 by name", replace(BASE, sha="256")),
    Case("P-384, SHA-384 by name", replace(BASE, sha="384"), "p384"),
    Case("P-256, full key", replace(EVERYTHING, public_key_format="full")),
    Case("P-384, full key", replace(BASE, public_key_format="full"), "p384"),
    Case("vendor by name", replace(BASE, vid="example.com")),
    Case("vendor and class by name", replace(EVERYTHING, vid="example.com", cid="nRF5340 board, rev 2")),
    Case("vendor and class by UUID", replace(BASE, vid=VID, cid=VID.replace("-", "").upper(), endian="big")),
    Case("class by UUID", replace(BASE, cid=VID), None),
    Case("encrypted, everything, big-endian", replace(EVERYTHING, vid=VID, endian="big"), recipient="p256-enc"),
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


COMPRESSED = replace(EVERYTHING, compression="lzma2")

# Not in the file: another liblzma may write other bytes, so they are compared where imgtool runs.
COMPRESSED_CASES = (
    Case("hash only", replace(COMPRESSED, boot_record=None), None, infile="code"),
    Case("P-256", COMPRESSED, infile="code"),
    Case("Thumb", replace(COMPRESSED, compression="lzma2armthumb"), infile="code"),
    Case("header in the file", replace(BASE, compression="lzma2", header_size=32, pad_header=False), infile="code32"),
    Case("P-384, padded signature", replace(COMPRESSED, pad_sig=True), "p384", infile="code"),
    Case("Ed25519", replace(COMPRESSED, sha="512", public_key_format="full"), "ed25519", infile="code"),
    Case("big-endian", replace(COMPRESSED, endian="big", vid=VID), infile="code"),
    Case("nothing protected", replace(BASE, compression="lzma2"), infile="code"),
    Case("encrypted", replace(COMPRESSED, confirm=True), recipient="p256-enc", infile="code"),
    Case("encrypted, 256", replace(COMPRESSED, encrypt_keylen=256), "ed25519", "x25519", infile="code"),
    Case("clear", replace(COMPRESSED, clear=True), recipient="p256-enc", infile="code"),
    Case("not smaller", COMPRESSED),
    Case("pad", replace(COMPRESSED, pad=True, overwrite_only=True), infile="code"),
    Case("hex", COMPRESSED, infile="code", hex_addr=0xC000, hex_out=True),
)

# What imgtool cannot make; made by smpdfu itself, and every signature checked by imgtool before it is kept.
OWN_CASES = (
    Case("AES-KW", BASE, recipient="kek-128"),
    Case("AES-KW, 256", replace(BASE, encrypt_keylen=256), recipient="kek-256"),
    Case(
        "AES-KW, 256, everything, big-endian", replace(EVERYTHING, encrypt_keylen=256, endian="big"), "p384", "kek-256"
    ),
    Case("AES-KW, a short key for a long one", replace(BASE, encrypt_keylen=256), "ed25519", "kek-128"),
    Case("AES-KW, hash only, confirm", replace(BASE, confirm=True), None, "kek-128"),
    Case("P-256, encrypted for X25519", BASE, recipient="x25519"),
    Case("P-256, encrypted for X25519 with HMAC-SHA512", replace(BASE, hmac_sha="512"), recipient="x25519"),
    Case("P-256, encrypted for RSA", BASE, recipient="rsa-enc"),
    Case("P-384, encrypted for P-256", EVERYTHING, "p384", "p256-enc"),
    Case("P-384, encrypted for X25519, 256", replace(BASE, encrypt_keylen=256), "p384", "x25519"),
    Case("two keys", BASE, "p256 p256-other"),
    Case("two keys in the other order", BASE, "p256-other p256"),
    Case(
        "two keys in full, padded signatures", replace(BASE, public_key_format="full", pad_sig=True), "p256 p256-other"
    ),
    Case("two keys, everything, encrypted", EVERYTHING, "p256 p256-other", "p256-enc"),
    Case("two kinds of keys", BASE, "p256 ed25519"),
    Case("two pure signatures", replace(BASE, pure=True), "ed25519 ed25519-other"),
    Case("manifest", replace(EVERYTHING, manifest=bytes.fromhex("0100000001000000") + bytes(range(32)), vid=VID)),
    Case("pad value", replace(BASE, pad_header=False, pad_value=0xFF), infile="zeros"),
    Case("pad value, confirm", replace(BASE, pad_value=0, confirm=True, align=4)),
)


def load_encryption_key(data: bytes) -> EncryptionKey:
    """The key of a file of the vectors: PEM, or a key encryption key in base64."""
    return load_key(data) if b"-----BEGIN" in data else load_kek(data)
