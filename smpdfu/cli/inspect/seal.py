"""How the seal of NSIB in an image is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smpdfu.image.nsib.provision import key_hash

if TYPE_CHECKING:
    from smpdfu.image.verification.seal_check import ImageSeal


def seal_entry(seal: ImageSeal) -> dict[str, Any]:
    """A seal for scripts; ``refused`` is why NSIB refuses it, as far as it was checked; ``key`` counts from 1."""
    info, validation, by = seal.info, seal.validation, seal.by
    return {
        "loader": seal.loader,
        "sealed": validation is not None,
        "key_hash": None if validation is None else key_hash(validation.public_key),
        "public_key": None if validation is None else validation.public_key,
        "address": None if info is None else info.address,
        "firmware_version": None if info is None else info.version,
        "firmware_size_bytes": None if info is None else info.size,
        "key_checked": by is not None,
        "key": None if by is None or not by.accepted or by.position is None else by.position + 1,
        "keys": seal.keys,
        "refused": seal.fault,
    }


def seal_words(seal: ImageSeal) -> str:
    """A seal for people, in one line."""
    info, validation, by = seal.info, seal.validation, seal.by
    if info is None:
        return f"none: the firmware has no firmware info for {seal.loader}"
    about = f"firmware version {info.version} for 0x{info.address:x}"
    if validation is None:
        return f"none: {seal.loader} refuses the firmware ({about})"
    key = key_hash(validation.public_key).hex()
    if seal.fault is not None:
        return f"{seal.fault} ({about}, key {key})"
    if by is None:
        return f"for {seal.loader}, by key {key}, {about}; the key was not checked"
    number = "" if by.position is None else f"key {by.position + 1} of {seal.keys}, "
    return f"accepted by {seal.loader}: {number}{key}, {about}"
