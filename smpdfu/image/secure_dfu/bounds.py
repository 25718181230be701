"""What the bootloader's decoder needs in an init command, and what it has room for.

It is nanopb, with fields of a fixed size: it refuses a packet as a whole if one value is missing or too long. Source:
nRF5 SDK 17, ``dfu-cc.proto`` (required fields) and ``dfu-cc.options``.
"""

from __future__ import annotations

from collections.abc import Iterator

from smpdfu.image.secure_dfu.init_packet import InitCommand

MAX_SD_REQ, MAX_BOOT_VALIDATIONS = 16, 3
SIGNATURE_BYTES = 64
_MAX_HASH_BYTES = 32


def too_many(init: InitCommand) -> bool:
    """True if a list is longer than the bootloader has room for."""
    return len(init.sd_req) > MAX_SD_REQ or len(init.boot_validation) > MAX_BOOT_VALIDATIONS


def undecodable(init: InitCommand) -> Iterator[str]:
    """Say what is missing, or too long, in the messages inside an init command."""
    if init.hash is not None:
        if init.hash.hash_type is None or init.hash.hash is None:
            yield "the hash in the init packet has no type or no value"
        elif len(init.hash.hash) > _MAX_HASH_BYTES:
            yield f"the hash in the init packet has {len(init.hash.hash)} bytes, more than {_MAX_HASH_BYTES}"
    for one in init.boot_validation:
        if one.type is None or one.data is None:
            yield "a boot validation in the init packet has no type or no value"
        elif len(one.data) > SIGNATURE_BYTES:
            yield f"a boot validation in the init packet has {len(one.data)} bytes, more than {SIGNATURE_BYTES}"
