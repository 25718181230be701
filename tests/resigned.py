"""Images whose TLVs no signer of ours would write, signed all the same: what a hostile or a foreign tool makes."""

from __future__ import annotations

from dataclasses import replace

from smpdfu.image.format import Image, Tlv, TlvType
from smpdfu.image.hashes import digest
from smpdfu.image.keys.keys import PrivateKey
from smpdfu.image.tlv import protected_size_bytes


def resigned(image: Image, key: PrivateKey) -> Image:
    """The image with the hash and signature that fit it, and no other unprotected TLV; ``key`` is of ECDSA-P256."""
    value = digest(TlvType.SHA256, image.hashed_parts())
    tlvs = (
        Tlv(TlvType.SHA256, value),
        Tlv(TlvType.KEYHASH, key.keyhash),
        Tlv(TlvType.ECDSA_SIG, key.sign_digest(value)),
    )
    return replace(image, unprotected=tlvs)


def with_protected(image: Image, key: PrivateKey, *protected: Tlv) -> Image:
    """The image with these protected TLVs and no other, signed anew."""
    header = replace(image.header, protect_tlv_size=protected_size_bytes(protected))
    return resigned(replace(image, header=header, protected=protected), key)
