"""What the judge of images says: findings with stable codes, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from smpdfu.image.format import Image


class Code(StrEnum):
    """What a finding is about; stable, so that a caller can tell one from another."""

    # refusals
    HASH = "hash"
    NO_HASH = "no-hash"
    NOT_SIGNED = "not-signed"
    UNKNOWN_KEY = "unknown-key"
    KEY_FORMAT = "key-format"
    SIGNATURE = "signature"
    ENCRYPTED = "encrypted"
    ENCRYPTION_KEY = "encryption-key"
    ENCRYPTED_HEADER = "encrypted-header"
    DECOMPRESSION = "decompression"
    FLAGS = "flags"
    NON_BOOTABLE = "non-bootable"
    TLV_NOT_ALLOWED = "tlv-not-allowed"
    TLV_SIZE = "tlv-size"
    TOO_LARGE = "too-large"
    LOAD_ADDRESS = "load-address"
    NO_LOAD_ADDRESS = "no-load-address"
    # warnings
    HASH_ONLY = "hash-only"
    CLEAR = "clear"
    COMPRESSED = "compressed"
    OTHER_SIGNATURE = "other-signature"
    MIXED_SIGNATURES = "mixed-signatures"
    PURE_ENCRYPTED = "pure-encrypted"
    SIGNATURE_FORM = "signature-form"
    SEVERAL_KEYS = "several-content-keys"
    HMAC_SHA = "hmac-sha"
    RESET_VECTOR = "reset-vector"
    BYTE_ORDER = "byte-order"


# Warnings about what some builds of the bootloader refuse and others take.
DEPENDS_ON_THE_BUILD = (
    Code.COMPRESSED,
    Code.MIXED_SIGNATURES,
    Code.TLV_SIZE,
    Code.SIGNATURE_FORM,
    Code.SEVERAL_KEYS,
    Code.HMAC_SHA,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact: ``code`` is a ``Code``, ``offset`` counts bytes from the image's start (None: the image as a whole).

    ``facts`` are the values by which a program can say what to do with its own commands, as
    ``cli/app/advice_by_code.py`` does.
    """

    code: str
    offset: int | None
    message: str
    facts: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of ``verify``: reasons to refuse the image, warnings, and what could not be checked.

    ``signature_checked`` is False if no keys were given: then an accepted image only has the right hash.
    ``plain`` is the image with its payload decrypted (and still compressed, if it is), or None.
    ``key_index`` is the place in ``keys`` of the key that made the valid signature.
    """

    refusals: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    plain: Image | None = field(repr=False)
    key_index: int | None
    signature_checked: bool
    unchecked: tuple[Finding, ...] = ()

    @property
    def accepted(self) -> bool | None:
        """False if there is a reason to refuse the image, True if there is none, None if not all could be checked."""
        return False if self.refusals else None if self.unchecked else True
