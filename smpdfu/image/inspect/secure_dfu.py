"""Secure DFU packages of the nRF5 SDK: what their manifest and their init packets say.

MCUboot takes none of them; they are read so that a person who hands one over is told what it is. The init packet is a
message of ``dfu-cc.proto``, as nrfutil 5.2 writes it; the field numbers below are its own. The reader is bounded: a
packet is a few hundred bytes, no list is longer than the packet, nothing nests deeper than the messages do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from smpdfu.errors import FormatError
from smpdfu.untrusted.archive import Archive
from smpdfu.untrusted.nesting import load_json

MAX_MANIFEST_BYTES = 1 << 20
MAX_INIT_PACKET_BYTES = 1 << 16
MAX_IMAGES = 16

FW_TYPES = ("application", "softdevice", "bootloader", "softdevice and bootloader", "external application")
HASH_TYPES = ("none", "CRC", "SHA-128", "SHA-256", "SHA-512")
SIGNATURE_TYPES = ("ECDSA P-256 with SHA-256", "Ed25519")

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_PACKET = {"command": 1, "signed_command": 2}
_SIGNED = {"command": 1, "signature_type": 2}
_INIT_OF_COMMAND = 2
_INIT = {"fw_version": 1, "hw_version": 2, "sd_req": 3, "type": 4, "hash": 8, "is_debug": 9}
_SIZES = {"softdevice": 5, "bootloader": 6, "application": 7}
_HASH = {"hash_type": 1, "hash": 2}

Field = tuple[int, int, int | bytes]
"""Number, wire type, value."""


@dataclass(frozen=True, slots=True)
class InitPacket:
    """What the bootloader of the nRF5 SDK decides by. None stands for what the packet does not say.

    ``hash`` is as ``sha256sum`` prints it: the packet has its bytes in reverse order.
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

    @classmethod
    def from_bytes(cls, data: bytes) -> InitPacket:
        """Read a ``.dat`` file; raises ``FormatError`` for anything that is no init packet."""
        if len(data) > MAX_INIT_PACKET_BYTES:
            raise FormatError(f"the init packet has {len(data)} bytes: no real one has so many")
        packet = tuple(_fields(data))
        signed = _message(packet, _PACKET["signed_command"])
        command = _message(signed or packet, _SIGNED["command"])
        init = _message(command or (), _INIT_OF_COMMAND)
        if init is None:
            raise FormatError("the init packet has no init command")
        hashed = _message(init, _INIT["hash"]) or ()
        signature = None if signed is None else _name(SIGNATURE_TYPES, _number(signed, _SIGNED["signature_type"]) or 0)
        return cls(
            fw_type=_name(FW_TYPES, _number(init, _INIT["type"]) or 0),
            fw_version=_number(init, _INIT["fw_version"]),
            hw_version=_number(init, _INIT["hw_version"]),
            softdevices=tuple(_numbers(init, _INIT["sd_req"])),
            sizes=tuple((name, size) for name, field in _SIZES.items() if (size := _number(init, field))),
            hash_type=_name(HASH_TYPES, _number(hashed, _HASH["hash_type"]) or 0),
            hash=next((value for value in _values(hashed, _HASH["hash"]) if isinstance(value, bytes)), b"")[::-1],
            signature_type=signature,
            is_debug=bool(_number(init, _INIT["is_debug"])),
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a package: its name in the manifest, its files, its init packet or what is wrong with that."""

    name: str
    bin_file: str
    dat_file: str
    size_bytes: int
    packet: InitPacket | None
    fault: str = ""


def read_package(data: bytes) -> tuple[Entry, ...]:
    """The images of a Secure DFU zip; raises ``FormatError`` when its manifest cannot be read."""
    archive = Archive(data)
    try:
        manifest = load_json(archive.read("manifest.json", MAX_MANIFEST_BYTES))["manifest"]
        listed = [(name, one) for name, one in manifest.items() if isinstance(one, dict)]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise FormatError(f"the package is damaged: its manifest cannot be read ({error})") from None
    return tuple(_entry(archive, str(name), one) for name, one in listed[:MAX_IMAGES])


def _entry(archive: Archive, name: str, listed: dict[str, Any]) -> Entry:
    sizes = archive.sizes
    binary, init = (str(listed.get(key, "")) for key in ("bin_file", "dat_file"))
    missing = next((one for one in (binary, init) if one not in sizes), None)
    if missing is not None:
        return Entry(name, binary, init, sizes.get(binary, 0), None, f"{missing or 'a file'} is not in the package")
    try:
        packet = InitPacket.from_bytes(archive.read(init, MAX_INIT_PACKET_BYTES))
    except FormatError as error:
        return Entry(name, binary, init, sizes[binary], None, str(error))
    return Entry(name, binary, init, sizes[binary], packet)


# --- protobuf -------------------------------------------------------------------------------------------------------


def _fields(data: bytes) -> Iterator[Field]:
    """The fields of a message, in order; raises ``FormatError`` with the offset of the one that is wrong."""
    at = 0
    while at < len(data):
        start = at
        key, at = _varint(data, at)
        kind = key & 7
        value: int | bytes
        if kind == _VARINT:
            value, at = _varint(data, at)
        elif kind in (_BYTES, _FIXED32, _FIXED64):
            size, at = _varint(data, at) if kind == _BYTES else ({_FIXED32: 4, _FIXED64: 8}[kind], at)
            value, at = data[at : at + size], at + size
        else:
            raise FormatError(f"the init packet has a field of the unknown wire type {kind} at byte {start}", start)
        if at > len(data):
            raise FormatError(f"the init packet is cut off in the field at byte {start}", start)
        yield key >> 3, kind, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        if at + place >= len(data):
            raise FormatError(f"the init packet is cut off in the number at byte {at}", at)
        value |= (data[at + place] & 0x7F) << 7 * place
        if data[at + place] < 0x80:
            return value, at + place + 1
    raise FormatError(f"the init packet has a number of more than ten bytes at byte {at}", at)


def _values(fields: tuple[Field, ...], number: int) -> Iterator[int | bytes]:
    return (value for found, _, value in fields if found == number)


def _message(fields: tuple[Field, ...], number: int) -> tuple[Field, ...] | None:
    """The fields of the last message with this number; None when there is none."""
    found = [value for value in _values(fields, number) if isinstance(value, bytes)]
    return tuple(_fields(found[-1])) if found else None


def _number(fields: tuple[Field, ...], number: int) -> int | None:
    return next((value for value in _values(fields, number) if isinstance(value, int)), None)


def _numbers(fields: tuple[Field, ...], number: int) -> Iterator[int]:
    """A repeated number, packed into bytes or not."""
    for value in _values(fields, number):
        if isinstance(value, int):
            yield value
            continue
        at = 0
        while at < len(value):
            one, at = _varint(value, at)
            yield one


def _name(names: tuple[str, ...], value: int) -> str:
    return names[value] if value < len(names) else f"unknown ({value})"
