"""Init packets of the nRF5 SDK's Secure DFU: the ``.dat`` files by which its bootloader decides.

An init packet is a message of ``dfu-cc.proto`` (proto2); the numbers of its fields stand beside each message below.
The signature is made over the bytes of the ``InitCommand``, and other tools order or fill fields in other ways, so
every message that was read keeps its bytes: ``to_bytes`` returns them unchanged. ``dataclasses.replace`` drops the
bytes of the message that it changes, not those of the messages inside. Source: ``dfu-cc.proto`` of nRF5 SDK 17,
nrfutil 6.1.7.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

from smpdfu.errors import FormatError
from smpdfu.image.secure_dfu.protobuf import (
    Field,
    Message,
    bytes_field,
    encode,
    encode_varint,
    from_field_on,
    number_field,
)

MAX_INIT_PACKET_BYTES = 1 << 12
"""What is read at all: every number in it may be printed."""
INIT_COMMAND_MAX_SIZE = 512
"""Bytes of an init packet that the bootloader has room for."""

ANY_VERSION = 0xFFFFFFFF
"""``fw_version`` of a SoftDevice, and what nrfutil writes for a version that is not given in debug mode."""
NO_SOFTDEVICE = 0x00
"""In ``sd_req``: the device needs no SoftDevice."""
ANY_SOFTDEVICE = 0xFFFE
"""In ``sd_req``: any SoftDevice; only bootloaders with debug mode take it."""


class OpCode(IntEnum):
    """What a command asks the bootloader to do."""

    RESET = 0
    INIT = 1


class FwType(IntEnum):
    """What the firmware is."""

    APPLICATION = 0
    SOFTDEVICE = 1
    BOOTLOADER = 2
    SOFTDEVICE_BOOTLOADER = 3
    EXTERNAL_APPLICATION = 4


class HashType(IntEnum):
    """The hash function of the firmware's hash. The bootloader takes SHA256 only."""

    NO_HASH = 0
    CRC = 1
    SHA128 = 2
    SHA256 = 3
    SHA512 = 4


class ValidationType(IntEnum):
    """How the bootloader checks the firmware at each boot."""

    NO_VALIDATION = 0
    VALIDATE_GENERATED_CRC = 1
    VALIDATE_SHA256 = 2
    VALIDATE_ECDSA_P256_SHA256 = 3


class SignatureType(IntEnum):
    """How the init command is signed. The bootloader of the SDK takes ECDSA_P256_SHA256."""

    ECDSA_P256_SHA256 = 0
    ED25519 = 1


def name_of(kind: type[IntEnum], value: int | None) -> str:
    """The specification's name of a value; ``"unknown (9)"`` for a number that it does not have."""
    if value is None:
        return "none"
    return kind(value).name if value in kind._value2member_map_ else f"unknown ({value})"


@dataclass(frozen=True, slots=True)
class _Encoded:
    """Base of the messages: writes the bytes that were read, or else the fields."""

    unknown: tuple[Field, ...] = field(default=(), kw_only=True)
    """Fields that this specification does not have, in order. They are written behind the others."""
    _read: bytes | None = field(default=None, init=False, compare=False, repr=False)

    def _fields(self) -> Iterator[Field]:
        raise NotImplementedError

    def to_bytes(self) -> bytes:
        """The bytes that this message was read from; for one that was made of values, its fields in their order."""
        if self._read is not None:
            return self._read
        return encode((*self._fields(), *self.unknown))

    def _keep(self, data: bytes) -> Self:
        object.__setattr__(self, "_read", data)
        return self


@dataclass(frozen=True, slots=True)
class Hash(_Encoded):
    """Hash of the firmware. ``hash``: as it stands in the packet, its bytes in reverse order."""

    hash_type: int | None  # 1
    hash: bytes | None  # 2

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises ``FormatError``."""
        found = Message(data, "hash in the init packet")
        return cls(found.number(1), found.data(2), unknown=found.rest)._keep(data)

    @classmethod
    def of_digest(cls, digest: bytes) -> Self:
        """A SHA-256 as ``sha256sum`` prints it."""
        return cls(HashType.SHA256, digest[::-1])

    @property
    def digest(self) -> bytes:
        """The hash as ``sha256sum`` prints it; empty when the packet has none."""
        return (self.hash or b"")[::-1]

    def _fields(self) -> Iterator[Field]:
        yield from _numbers((1, self.hash_type))
        yield from _data((2, self.hash))


@dataclass(frozen=True, slots=True)
class BootValidation(_Encoded):
    """How the bootloader checks the firmware at each boot.

    ``data`` (``bytes`` in the specification): for ECDSA the signature of the firmware, as ``SignedCommand.signature``.
    """

    type: int | None  # 1
    data: bytes | None  # 2

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises ``FormatError``."""
        found = Message(data, "boot validation in the init packet")
        return cls(found.number(1), found.data(2), unknown=found.rest)._keep(data)

    def _fields(self) -> Iterator[Field]:
        yield from _numbers((1, self.type))
        yield from _data((2, self.data))


@dataclass(frozen=True, slots=True)
class InitCommand(_Encoded):
    """What the bootloader decides by. None stands for a field that is not in the packet. Sizes are in bytes."""

    fw_version: int | None = None  # 1
    hw_version: int | None = None  # 2
    sd_req: tuple[int, ...] = ()  # 3
    type: int | None = None  # 4
    sd_size: int | None = None  # 5
    bl_size: int | None = None  # 6
    app_size: int | None = None  # 7
    hash: Hash | None = None  # 8
    is_debug: bool | None = None  # 9
    boot_validation: tuple[BootValidation, ...] = ()  # 10

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises ``FormatError``."""
        found = Message(data, "init command")
        hashed = found.data(8)
        is_debug = found.number(9)
        return cls(
            fw_version=found.number(1),
            hw_version=found.number(2),
            sd_req=found.numbers(3),
            type=found.number(4),
            sd_size=found.number(5),
            bl_size=found.number(6),
            app_size=found.number(7),
            hash=None if hashed is None else Hash.from_bytes(hashed),
            is_debug=None if is_debug is None else bool(is_debug),
            boot_validation=tuple(BootValidation.from_bytes(one) for one in found.all_data(10)),
            unknown=found.rest,
        )._keep(data)

    @property
    def firmware_size(self) -> int:
        """How many bytes of firmware belong to it: the sum of its sizes."""
        return (self.sd_size or 0) + (self.bl_size or 0) + (self.app_size or 0)

    def _fields(self) -> Iterator[Field]:
        yield from _numbers((1, self.fw_version), (2, self.hw_version))
        yield from _data((3, b"".join(map(encode_varint, self.sd_req)) or None))
        yield from _numbers((4, self.type), (5, self.sd_size), (6, self.bl_size), (7, self.app_size))
        yield from _data((8, None if self.hash is None else self.hash.to_bytes()))
        yield from _numbers((9, self.is_debug))
        yield from _data(*((10, one.to_bytes()) for one in self.boot_validation))


@dataclass(frozen=True, slots=True)
class Command(_Encoded):
    """A command to the bootloader."""

    op_code: int | None = None  # 1
    init: InitCommand | None = None  # 2
    reset: bytes | None = None  # 3: a message of its own, not used by the bootloader

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises ``FormatError``."""
        found = Message(data, "command in the init packet")
        op_code, init = found.number(1), found.data(2)
        command = None if init is None else InitCommand.from_bytes(init)
        return cls(op_code, command, found.data(3), unknown=found.rest)._keep(data)

    @property
    def signed_bytes(self) -> bytes:
        """What the signature is made over: the bytes of the init command, up to the end of the command.

        So does the bootloader, whose decoder passes on all that is left. Nothing stands behind an init command that
        nrfutil or smpdfu made.
        """
        return from_field_on(self.to_bytes(), 2)

    def _fields(self) -> Iterator[Field]:
        yield from _numbers((1, self.op_code))
        yield from _data((2, None if self.init is None else self.init.to_bytes()), (3, self.reset))


@dataclass(frozen=True, slots=True)
class SignedCommand(_Encoded):
    """A command and its signature. ``signature``: r and s, 32 bytes each, each in reverse order."""

    command: Command  # 1
    signature_type: int | None  # 2
    signature: bytes | None  # 3

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises ``FormatError``."""
        found = Message(data, "signed command in the init packet")
        command = Command.from_bytes(found.data(1) or b"")
        return cls(command, found.number(2), found.data(3), unknown=found.rest)._keep(data)

    def _fields(self) -> Iterator[Field]:
        yield from _data((1, self.command.to_bytes()))
        yield from _numbers((2, self.signature_type))
        yield from _data((3, self.signature))


@dataclass(frozen=True, slots=True)
class Packet(_Encoded):
    """An init packet: a command, or a signed one."""

    command: Command | None = None  # 1
    signed_command: SignedCommand | None = None  # 2

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a ``.dat`` file; raises ``FormatError`` for anything that is no init packet."""
        if len(data) > MAX_INIT_PACKET_BYTES:
            raise FormatError(f"the init packet has {len(data)} bytes: no real one has so many")
        found = Message(data, "init packet")
        plain, signed = found.data(1), found.data(2)
        packet = cls(
            None if plain is None else Command.from_bytes(plain),
            None if signed is None else SignedCommand.from_bytes(signed),
            unknown=found.rest,
        )._keep(data)
        if packet.chosen is None or packet.chosen.init is None:
            raise FormatError("the init packet has no init command")
        return packet

    @property
    def chosen(self) -> Command | None:
        """The command that the bootloader takes: the signed one, if there is one."""
        return self.command if self.signed_command is None else self.signed_command.command

    @property
    def init(self) -> InitCommand:
        """The init command; raises ``FormatError`` for a packet without one, which no reader returns."""
        if self.chosen is None or self.chosen.init is None:
            raise FormatError("the init packet has no init command")
        return self.chosen.init

    def _fields(self) -> Iterator[Field]:
        yield from _data(
            (1, None if self.command is None else self.command.to_bytes()),
            (2, None if self.signed_command is None else self.signed_command.to_bytes()),
        )


def signature_from_rs(pair: bytes) -> bytes:
    """``SignedCommand.signature`` of r and s, 32 bytes each, most significant byte first; and back again."""
    return pair[31::-1] + pair[63:31:-1]


def _numbers(*fields: tuple[int, int | None]) -> Iterator[Field]:
    return (number_field(number, value) for number, value in fields if value is not None)


def _data(*fields: tuple[int, bytes | None]) -> Iterator[Field]:
    return (bytes_field(number, value) for number, value in fields if value is not None)
