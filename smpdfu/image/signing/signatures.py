"""The signatures of an image: over which hash, by whom, in which form.

MCUboot looks for a key it knows (its hash, or the whole key in builds for MCUBOOT_HW_KEY) and takes the signature that
follows; pairs of keys that it does not know are passed over, so one image can carry signatures by several keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from smpdfu.errors import ImageError
from smpdfu.image.format import Image, Tlv, TlvType
from smpdfu.image.hashes import digest
from smpdfu.image.signing.spec import ImageSpec

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PublicHalf, Signer

SHA_TYPES = {"256": TlvType.SHA256, "384": TlvType.SHA384, "512": TlvType.SHA512}
NO_SIGNER = bytes(32)  # imgtool's signer in the boot record of an unsigned image, whatever the hash


def image_hash_type(spec: ImageSpec, keys: Sequence[PublicHalf]) -> TlvType:
    """The type of the SHA TLV that a request and its keys agree on; ``ImageError`` when they do not."""
    if spec.pure:
        return _pure_hash_type(keys)
    wanted = SHA_TYPES.get(spec.sha)
    if wanted is None:
        wanted = keys[0].algorithm.hash_types[0] if keys else TlvType.SHA256
    for key in keys:
        known = key.algorithm.hash_types
        if wanted not in known:
            raise ImageError(
                f"{key.algorithm.signature_type.name} signatures do not go with {wanted.name} here, only with "
                f"{' or '.join(kind.name for kind in known)} (all signatures of an image are over one hash)"
            )
    return wanted


def _pure_hash_type(keys: Sequence[PublicHalf]) -> TlvType:
    if not keys:
        raise ImageError("a pure signature needs a key to sign with")
    found = {key.algorithm.pure_hash for key in keys}
    if len(found) == 1 and (kind := found.pop()) is not None:
        return kind
    raise ImageError("only Ed25519 keys make pure signatures")


def signer_id(hash_type: TlvType, keys: Sequence[PublicHalf]) -> bytes:
    """Who signed, as the boot record has it: the hash of the (first) key."""
    return digest(hash_type, (keys[0].public_bytes,)) if keys else NO_SIGNER


def check_signers(signers: Sequence[Signer]) -> None:
    """Raises ``ImageError`` for a key that appears twice."""
    if len({signer.public_bytes for signer in signers}) < len(signers):
        raise ImageError("the same key is given twice")


def sign(image: Image, spec: ImageSpec, signers: Sequence[Signer]) -> Image:
    """The image with its hash and its signatures; each key stands before its signature: bootloaders need it so.

    The payload is plain. Raises ``SigningError``.
    """
    hash_type = image_hash_type(spec, signers)
    value = digest(hash_type, image.hashed_parts())
    tlvs = [Tlv(hash_type, value)]
    if spec.pure:
        tlvs.append(Tlv(TlvType.SIG_PURE, b"\x01"))
    message = image.hashed_bytes() if spec.pure else b""
    for signer in signers:
        tlvs.append(_key_tlv(spec, hash_type, signer))
        signature = signer.sign_message(message) if spec.pure else signer.sign_digest(value)
        tlvs.append(Tlv(signer.algorithm.signature_type, _padded(spec, signer, signature)))
    return replace(image, unprotected=tuple(tlvs))


def _key_tlv(spec: ImageSpec, hash_type: TlvType, key: PublicHalf) -> Tlv:
    if spec.public_key_format == "full":
        return Tlv(TlvType.PUBKEY, key.public_bytes)
    return Tlv(TlvType.KEYHASH, digest(hash_type, (key.public_bytes,)))


def _padded(spec: ImageSpec, signer: Signer, signature: bytes) -> bytes:
    """With ``pad_sig``, zeros behind a signature whose length varies, as MCUboot wanted it before 1.5."""
    return signature.ljust(signer.algorithm.padded_size, b"\0") if spec.pad_sig else signature
