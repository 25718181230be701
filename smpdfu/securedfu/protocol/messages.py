"""The messages of the DFU protocol: requests to the bootloader, and its answers.

A request is an opcode and its parameters, an answer is 0x60, the opcode, a result, and the content. All numbers are
little-endian. The messages are the same over serial (in SLIP frames) and over Bluetooth LE, where firmware goes to a
characteristic of its own instead of ``WriteObject``. Source: nRF5 SDK 17, "DFU protocol".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from enum import IntEnum
from struct import Struct
from typing import ClassVar, Self

from smpdfu.errors import FormatError


class Opcode(IntEnum):
    """What a request asks for. ``RESPONSE`` begins each answer."""

    PROTOCOL_VERSION = 0x00
    CREATE = 0x01
    SET_PRN = 0x02
    CHECKSUM = 0x03
    EXECUTE = 0x04
    SELECT = 0x06
    MTU = 0x07
    WRITE = 0x08
    PING = 0x09
    HARDWARE_VERSION = 0x0A
    FIRMWARE_VERSION = 0x0B
    ABORT = 0x0C
    RESPONSE = 0x60


class ObjectType(IntEnum):
    """The two kinds of objects: the init packet, and a piece of the firmware."""

    COMMAND = 1
    DATA = 2


class Result(IntEnum):
    """The result of a request."""

    INVALID_CODE = 0x00
    SUCCESS = 0x01
    OPCODE_NOT_SUPPORTED = 0x02
    INVALID_PARAMETER = 0x03
    INSUFFICIENT_RESOURCES = 0x04
    INVALID_OBJECT = 0x05
    UNSUPPORTED_TYPE = 0x07
    OPERATION_NOT_PERMITTED = 0x08
    OPERATION_FAILED = 0x0A
    EXTENDED_ERROR = 0x0B


class ExtendedError(IntEnum):
    """The reason behind ``Result.EXTENDED_ERROR``."""

    NO_ERROR = 0x00
    INVALID_ERROR_CODE = 0x01
    WRONG_COMMAND_FORMAT = 0x02
    UNKNOWN_COMMAND = 0x03
    INIT_COMMAND_INVALID = 0x04
    FW_VERSION_FAILURE = 0x05
    HW_VERSION_FAILURE = 0x06
    SD_VERSION_FAILURE = 0x07
    SIGNATURE_MISSING = 0x08
    WRONG_HASH_TYPE = 0x09
    HASH_FAILED = 0x0A
    WRONG_SIGNATURE_TYPE = 0x0B
    VERIFICATION_FAILED = 0x0C
    INSUFFICIENT_SPACE = 0x0D
    FW_ALREADY_PRESENT = 0x0E


class FirmwareType(IntEnum):
    """What an image in the device's flash is (``FirmwareVersion.kind``)."""

    SOFTDEVICE = 0x00
    APPLICATION = 0x01
    BOOTLOADER = 0x02
    UNKNOWN = 0xFF


@dataclass(frozen=True, slots=True)
class Numbers:
    """A row of numbers in a message: ``layout`` has one for each field."""

    layout: ClassVar[Struct] = Struct("<")

    def to_bytes(self) -> bytes:
        """Return the numbers as bytes. Raises ValueError if one does not fit."""
        try:
            return self.layout.pack(*astuple(self))
        except struct.error as error:
            raise ValueError(f"{self} does not fit into a message: {error}") from error

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the numbers. Raises FormatError if there are too few bytes, or too many."""
        if len(data) != cls.layout.size:
            raise FormatError(f"{cls.__name__} has {cls.layout.size} bytes, not {len(data)}")
        return cls(*cls.layout.unpack(data))


# --- requests -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request(Numbers):
    """A request. ``to_bytes`` and ``from_bytes`` are about all of it, with its opcode."""

    opcode: ClassVar[Opcode]

    def to_bytes(self) -> bytes:
        """Return the message. Raises ValueError if a number does not fit."""
        return bytes([self.opcode]) + Numbers.to_bytes(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the message. As the bootloader does, ignore bytes behind the parameters.

        Raises FormatError if there are too few.
        """
        end = 1 + cls.layout.size
        if data[:1] != bytes([cls.opcode]) or len(data) < end:
            raise FormatError(f"these {len(data)} bytes are no {cls.__name__}")
        return cls(*cls.layout.unpack(data[1:end]))


@dataclass(frozen=True, slots=True)
class GetProtocolVersion(Request):
    """Ask for the version of this protocol; answered with ``ProtocolVersion``."""

    opcode: ClassVar[Opcode] = Opcode.PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class CreateObject(Request):
    """Begin an object of ``size`` bytes. The bootloader drops an unexecuted object of the same kind.

    ``kind`` is an ``ObjectType``. A command object also drops all firmware that has arrived.
    """

    opcode: ClassVar[Opcode] = Opcode.CREATE
    layout: ClassVar[Struct] = Struct("<BI")
    kind: int
    size: int


@dataclass(frozen=True, slots=True)
class SetReceipts(Request):
    """Ask for a receipt, which is an answer to ``GetChecksum``, after every ``every`` writes; 0: none."""

    opcode: ClassVar[Opcode] = Opcode.SET_PRN
    layout: ClassVar[Struct] = Struct("<H")
    every: int


@dataclass(frozen=True, slots=True)
class GetChecksum(Request):
    """Ask how much of the selected kind of object has arrived; answered with ``Checksum``."""

    opcode: ClassVar[Opcode] = Opcode.CHECKSUM


@dataclass(frozen=True, slots=True)
class Execute(Request):
    """Take over the object that was written: check the init packet, or keep the firmware's bytes."""

    opcode: ClassVar[Opcode] = Opcode.EXECUTE


@dataclass(frozen=True, slots=True)
class SelectObject(Request):
    """Turn to a kind of object (``ObjectType``); answered with ``Selected``."""

    opcode: ClassVar[Opcode] = Opcode.SELECT
    layout: ClassVar[Struct] = Struct("<B")
    kind: int


@dataclass(frozen=True, slots=True)
class GetMtu(Request):
    """Ask for the longest SLIP frame, in bytes with its escapes and its end; answered with ``Mtu``."""

    opcode: ClassVar[Opcode] = Opcode.MTU


@dataclass(frozen=True, slots=True)
class WriteObject(Request):
    """Append ``data`` to the object, over serial. Never answered, but for the receipts of ``SetReceipts``."""

    opcode: ClassVar[Opcode] = Opcode.WRITE
    data: bytes

    def to_bytes(self) -> bytes:
        """Return the message."""
        return bytes([self.opcode]) + self.data

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the message. Raises FormatError if it is another one."""
        if data[:1] != bytes([cls.opcode]):
            raise FormatError(f"these {len(data)} bytes are no {cls.__name__}")
        return cls(data[1:])


@dataclass(frozen=True, slots=True)
class Ping(Request):
    """Ask for a sign of life, over serial; answered with ``Pong`` and the same ``id``, 0 to 255."""

    opcode: ClassVar[Opcode] = Opcode.PING
    layout: ClassVar[Struct] = Struct("<B")
    id: int


@dataclass(frozen=True, slots=True)
class GetHardwareVersion(Request):
    """Ask what the chip is; answered with ``HardwareVersion``."""

    opcode: ClassVar[Opcode] = Opcode.HARDWARE_VERSION


@dataclass(frozen=True, slots=True)
class GetFirmwareVersion(Request):
    """Ask for the image number ``image`` in the flash, from 0; answered with ``FirmwareVersion``."""

    opcode: ClassVar[Opcode] = Opcode.FIRMWARE_VERSION
    layout: ClassVar[Struct] = Struct("<B")
    image: int


@dataclass(frozen=True, slots=True)
class Abort(Request):
    """End the update: the bootloader restarts."""

    opcode: ClassVar[Opcode] = Opcode.ABORT


_REQUESTS: Mapping[int, type[Request]] = {
    one.opcode: one
    for one in (
        GetProtocolVersion,
        CreateObject,
        SetReceipts,
        GetChecksum,
        Execute,
        SelectObject,
        GetMtu,
        WriteObject,
        Ping,
        GetHardwareVersion,
        GetFirmwareVersion,
        Abort,
    )
}


@dataclass(frozen=True, slots=True)
class UnknownRequest:
    """A request with an ``opcode`` that the protocol does not have, and the ``data`` behind it."""

    opcode: int
    data: bytes


def read_request(data: bytes) -> Request | UnknownRequest:
    """Read a request of any kind. Raises FormatError if it is empty, or too short for its opcode."""
    if not data:
        raise FormatError("a request has at least an opcode", 0)
    kind = _REQUESTS.get(data[0])
    return UnknownRequest(data[0], data[1:]) if kind is None else kind.from_bytes(data)


# --- answers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProtocolVersion(Numbers):
    """The version of the protocol: 1."""

    layout: ClassVar[Struct] = Struct("<B")
    version: int


@dataclass(frozen=True, slots=True)
class Checksum(Numbers):
    """``offset`` bytes have arrived; ``crc`` is their CRC-32. Both count from the first byte of the firmware.

    Of a command object, they count from the first byte of the init packet.
    """

    layout: ClassVar[Struct] = Struct("<II")
    offset: int
    crc: int


@dataclass(frozen=True, slots=True)
class Selected(Numbers):
    """The longest object of the selected kind, and how much of it has arrived, as in ``Checksum``."""

    layout: ClassVar[Struct] = Struct("<III")
    max_size: int
    offset: int
    crc: int


@dataclass(frozen=True, slots=True)
class Mtu(Numbers):
    """The longest SLIP frame that the bootloader takes, in bytes with its escapes and its end."""

    layout: ClassVar[Struct] = Struct("<H")
    size: int


@dataclass(frozen=True, slots=True)
class Pong(Numbers):
    """The ``id`` of the ping."""

    layout: ClassVar[Struct] = Struct("<B")
    id: int


@dataclass(frozen=True, slots=True)
class HardwareVersion(Numbers):
    """The chip: ``part`` (0x52840), ``variant`` (four letters as a number), and its memories in bytes."""

    layout: ClassVar[Struct] = Struct("<IIIII")
    part: int
    variant: int
    rom_size: int
    ram_size: int
    rom_page_size: int


@dataclass(frozen=True, slots=True)
class FirmwareVersion(Numbers):
    """An image in the flash. ``kind`` is a ``FirmwareType``, ``address`` where it begins, ``size`` its bytes."""

    layout: ClassVar[Struct] = Struct("<BIII")
    kind: int
    version: int
    address: int
    size: int


_CONTENTS: Mapping[int, type[Numbers]] = {
    Opcode.PROTOCOL_VERSION: ProtocolVersion,
    Opcode.CHECKSUM: Checksum,
    Opcode.SELECT: Selected,
    Opcode.MTU: Mtu,
    Opcode.PING: Pong,
    Opcode.HARDWARE_VERSION: HardwareVersion,
    Opcode.FIRMWARE_VERSION: FirmwareVersion,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to the request with ``opcode``.

    ``content`` is there after a success, of the kinds of request that have one. ``extended`` is the reason behind
    ``Result.EXTENDED_ERROR`` (an ``ExtendedError``), else None. Unknown numbers are kept as they are.
    """

    opcode: int
    result: int = Result.SUCCESS
    content: Numbers | None = None
    extended: int | None = None

    def to_bytes(self) -> bytes:
        """Return the message."""
        content = b"" if self.content is None else self.content.to_bytes()
        extended = b"" if self.extended is None else bytes([self.extended])
        return bytes([Opcode.RESPONSE, self.opcode, self.result]) + content + extended

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the message. Raises FormatError if it is no answer, or if its length does not fit."""
        if len(data) < _ANSWER_HEADER_SIZE or data[0] != Opcode.RESPONSE:
            raise FormatError(f"these {len(data)} bytes are no answer of a DFU bootloader", 0)
        opcode, result, rest = data[1], data[2], data[_ANSWER_HEADER_SIZE:]
        if result == Result.EXTENDED_ERROR and len(rest) == 1:
            return cls(opcode, result, extended=rest[0])
        content = _CONTENTS.get(opcode) if result == Result.SUCCESS else None
        if content is not None:
            return cls(opcode, result, content.from_bytes(rest))
        if rest:
            raise FormatError(f"an answer has {len(rest)} bytes behind its end", _ANSWER_HEADER_SIZE)
        return cls(opcode, result)


_ANSWER_HEADER_SIZE = 3
ANSWER_MAX = _ANSWER_HEADER_SIZE + HardwareVersion.layout.size
"""The longest answer, in bytes."""
