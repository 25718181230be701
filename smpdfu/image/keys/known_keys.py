"""Keys that everybody has: sample keys of MCUboot and Zephyr, and our own ``dev-`` keys.

An image signed by one of them can be signed by anybody, an image encrypted for one can be read by anybody. They are
told by their fingerprint alone; no key is kept here. A fingerprint is the hash of the public key as the bootloader has
it built in (DER), so it is the value of a KEYHASH TLV too; of a symmetric key it is the SHA-256 of the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from smpdfu.image.tlv import TlvType

if TYPE_CHECKING:
    from smpdfu.image.format import Image

_MCUBOOT = "MCUboot's sample key"
_OURS = "smpdfu's development key"

# Fingerprint -> whose and which. SHA-256 unless an image's KEYHASH may be another: SHA-384 for P-384, and SHA-512 where
# MCUboot can be built with it.
KNOWN_KEYS: dict[str, str] = {
    "fc5701dc6135e1323847bdc40f04d2e5bee5833b23c29f93593d00018cfa9994": f"{_MCUBOOT} root-rsa-2048",
    "449793fb65cd7698753d5b3f35fab15f1e3a45111ff24e1d46741de5ae12d59e": f"{_MCUBOOT} root-rsa-3072",
    "e30466f6b8470c1f29070b17f1e2d3e94d445e3f608087fdc711e4382bb538b6": f"{_MCUBOOT} root-ec-p256",
    "73590e9134e142c440ef5aa3260dd6e3923a9c367a2de9da685891713babcca2"
    "c8de576ea0b8d865b42b47c27ef4d411893986eab8a0a5724ed5fe47a7b4ba8b": f"{_MCUBOOT} root-ec-p256",
    "6bcd1e16d80e5fe13a5307e6f1de8344c7e50e537d9962ce35ef6db5e642fae8": f"{_MCUBOOT} root-ec-p384",
    "85b7bd5f5dff9a03a99927adaf6ca6febde822c1a480928324a8e60323715c57"
    "79461c496a95aee8c4f90b99779f848a": f"{_MCUBOOT} root-ec-p384",
    "c1907fa4eac7fae3840a78902b6f0710b037e9968e5c6274a12a28790c7d4e3c": f"{_MCUBOOT} root-ed25519",
    "e3e129b49f1218e18e4614acb2523389c75852ebb98b4d2c6171a2fc65706ba3"
    "d1ddf85f52e71450c3e572e624695fafd41ce4d9354d6c2b19f7d6001a6ae8b0": f"{_MCUBOOT} root-ed25519",
    "b1d87d60173352b9a4808979790fc699fb4c4f83b49cf1970edd96ff4adc36a6": f"{_MCUBOOT} root-ed25519-unknown",
    "6d480226638605f9f4cee9790630d5be3374d0deb0a43f19434bf60c9cc47c36": f"{_MCUBOOT} cypress-test-ec-p256",
    "5ac4d62dc5efbed57e705f61b5f2df8e2b73ec5a573c1582144e38131f4c62d7": f"{_MCUBOOT} enc-rsa2048",
    "3c23fc4e1d332a0c86e6a8bf6ecf26046d702302e135bf53fc04a009a33a78c5": f"{_MCUBOOT} enc-ec256",
    "9a1dc1eb80199d8498f2a75dde0a7b75216e8302bf3a12bd04f153f48f3f24a0": f"{_MCUBOOT} enc-x25519",
    "fda93db569616604538b64817c9ca14fcf73a8acd95400ebf165805d6c33580f": f"{_MCUBOOT} enc-aes128kw",
    "80cf3e2e4111a041e360a00bc6f8332722e1bb49af87f0d4cf255b7e24cbc3de": f"{_MCUBOOT} enc-aes256kw",
    "9a9b13fdd97ff2768fee855f38f75ba25173f8d295a7398c189501c68afc5fd5": f"{_OURS} dev-sign-p256",
    "109739e9e8c0043445919afbb5b197418b4707c2205904e2d24c7fdaf0c60014": f"{_OURS} dev-encrypt-p256",
}


def known_fingerprint(fingerprint: bytes) -> str | None:
    """Whose key has this fingerprint (the value of a KEYHASH TLV); None for a key that is not public property."""
    return KNOWN_KEYS.get(fingerprint.hex())


def known_key(public_bytes: bytes) -> str | None:
    """Whose key this is, of its DER bytes (or a symmetric key's); None for one that is not public property."""
    return known_fingerprint(hashlib.sha256(public_bytes).digest())


def known_signers(image: Image) -> tuple[str, ...]:
    """Whose keys an image says that it was signed by, of those that everybody has. No key is needed to tell."""
    found: Iterator[str | None] = (
        known_key(tlv.data) if tlv.type == TlvType.PUBKEY else known_fingerprint(tlv.data)
        for tlv in image.unprotected
        if tlv.type in (TlvType.KEYHASH, TlvType.PUBKEY)
    )
    return tuple(name for name in found if name)


def known_key_warnings(signing: Iterable[bytes] = (), encryption: Iterable[bytes] = ()) -> tuple[str, ...]:
    """A sentence for each key that everybody has, of the public bytes of keys that sign and keys that encrypt."""
    signs = (f"the key that signs is {name}: anybody can sign with it" for name in map(known_key, signing) if name)
    hides = (f"it is encrypted for {name}: anybody can decrypt it" for name in map(known_key, encryption) if name)
    return (*signs, *hides)
