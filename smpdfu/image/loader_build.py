"""How a bootloader was built, as far as that decides which images it takes.

Source: MCUboot's ``image_validate.c``, ``bootutil_loader.c`` and ``enc_key_public.h``. What is not known of a build is
None: then an image that some builds take and others refuse gets a warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from smpdfu.image.tlv import ENCRYPTION_KEY_TYPES, HASH_TYPES, SIGNATURE_TYPES, TlvType

Backend = Literal["tinycrypt", "mbedtls", "psa"]
"""The library that checks ECDSA signatures; each reads what is no strict DER in its own way."""

KEY_TYPES = (TlvType.KEYHASH, TlvType.PUBKEY)

# What may stand unprotected (MCUBOOT_USE_TLV_ALLOW_LIST, on by default in Zephyr); 0x21 was ECDSA-P224.
_ALLOWED_UNPROTECTED = frozenset(
    (*KEY_TYPES, TlvType.SIG_PURE, 0x21, *HASH_TYPES, *SIGNATURE_TYPES, *ENCRYPTION_KEY_TYPES)
)
_BY_HMAC_SHA = {"256": TlvType.ENC_X25519, "512": TlvType.ENC_X25519_SHA512}

# Length of a TLV in bytes, and which builds look at it.
READ_BY_SOME: dict[int, tuple[int, str]] = {
    TlvType.SEC_CNT: (4, "that keep a security counter (MCUBOOT_HW_ROLLBACK_PROT)"),
    TlvType.DEPENDENCY: (12, "with several image pairs"),
    TlvType.UUID_VID: (16, "that check the vendor (MCUBOOT_UUID_VID)"),
    TlvType.UUID_CID: (16, "that check the class (MCUBOOT_UUID_CID)"),
    TlvType.DECOMP_SIZE: (4, "that decompress"),
    TlvType.COMP_DEC_SIZE: (4, "that decompress"),
}


@dataclass(frozen=True, slots=True)
class LoaderBuild:
    """Options of a bootloader's build.

    ``hw_key`` (MCUBOOT_HW_KEY): the bootloader finds a key by the whole key in the image, not by its hash.
    ``encryption`` (MCUBOOT_ENC_IMAGES): it decrypts; without it, it refuses every header with an AES flag. ``hmac_sha``
    (MCUBOOT_HMAC_SHA512): the hash function that wraps content keys for X25519. ``backend``: the library that checks
    ECDSA signatures. ``image_pairs`` (MCUBOOT_IMAGE_NUMBER): it reads dependencies only if it has several.
    """

    hw_key: bool = False
    encryption: bool | None = None
    hmac_sha: Literal["256", "512"] | None = None
    backend: Backend | None = None
    image_pairs: int | None = None

    @property
    def key_type(self) -> TlvType:
        """The TLV by which it finds the key of a signature."""
        return TlvType.PUBKEY if self.hw_key else TlvType.KEYHASH

    def allows_unprotected(self, kind: int) -> bool:
        """True if a TLV of this type may stand in the unprotected area."""
        # Without encryption nothing is built for SHA-512 (MCUBOOT_HMAC_SHA512 depends on it).
        hmac_sha = "256" if self.encryption is False else self.hmac_sha
        other = {None: None, "256": "512", "512": "256"}[hmac_sha]
        return kind in _ALLOWED_UNPROTECTED and (other is None or kind != _BY_HMAC_SHA[other])


UNKNOWN_BUILD = LoaderBuild()
