"""How the seal of NSIB in an image is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smpdfu.dfu.package.seals import ImageSeal


def seal_entry(seal: ImageSeal) -> dict[str, Any]:
    """A seal for scripts; ``refused`` is why NSIB refuses the image whatever its keys are, None if it does not."""
    info, validation = seal.info, seal.validation
    return {
        "sealed": validation is not None,
        "key_hash": seal.key_hash,
        "public_key": None if validation is None else validation.public_key,
        "address": None if info is None else info.address,
        "firmware_version": None if info is None else info.version,
        "firmware_size_bytes": None if info is None else info.size,
        "refused": seal.reason,
    }
