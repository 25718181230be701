"""What an init packet says, in words and numbers for people and for JSON."""

from __future__ import annotations

from dataclasses import dataclass

from smpdfu.image.secure_dfu.init_packet import Packet

_FW_TYPES = ("application", "softdevice", "bootloader", "softdevice and bootloader", "external application")
_HASH_TYPES = ("none", "CRC", "SHA-128", "SHA-256", "SHA-512")
_SIGNATURE_TYPES = ("ECDSA P-256 with SHA-256", "Ed25519")


@dataclass(frozen=True, slots=True)
class PacketFacts:
    """What the bootloader decides by. None stands for what the packet does not say.

    ``hash`` is as ``sha256sum`` prints it. ``sizes``: name of the part and bytes, of the parts that are there.
    """

    fw_type: str
    fw_version: int | None
    hw_version: int | None
    softdevices: tuple[int, ...]
    sizes: tuple[tuple[str, int], ...]
    hash_type: str
    hash: bytes
    signature_type: str | None
    is_debug: bool


def packet_facts(packet: Packet) -> PacketFacts:
    """The facts of an init packet."""
    init, signed = packet.init, packet.signed_command
    sizes = (("softdevice", init.sd_size), ("bootloader", init.bl_size), ("application", init.app_size))
    return PacketFacts(
        fw_type=_word(_FW_TYPES, init.type),
        fw_version=init.fw_version,
        hw_version=init.hw_version,
        softdevices=init.sd_req,
        sizes=tuple((name, size) for name, size in sizes if size),
        hash_type=_word(_HASH_TYPES, None if init.hash is None else init.hash.hash_type),
        hash=b"" if init.hash is None else init.hash.digest,
        signature_type=None if signed is None else _word(_SIGNATURE_TYPES, signed.signature_type),
        is_debug=bool(init.is_debug),
    )


def _word(words: tuple[str, ...], value: int | None) -> str:
    """The words for a value; a field that is not there has the value 0, as in protobuf."""
    number = value or 0
    return words[number] if number < len(words) else f"unknown ({number})"
