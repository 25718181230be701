"""The messages of the buttonless DFU service: an application starts its bootloader. Bluetooth LE only.

A request is an opcode and its parameters, an answer is 0x20, the opcode, and a result. The characteristic with bonds
knows ``EnterBootloader`` alone. Source: nRF5 SDK 17, ``ble_dfu.h``, ``ble_dfu_unbonded.c`` and ``ble_dfu_bonded.c``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from smpdfu.errors import FormatError

NAME_MAX = 20
"""Bytes of a name in ``SetName``. With the smallest MTU, 18 fit into a write."""


class ButtonlessOpcode(IntEnum):
    """What a request asks for. ``RESPONSE`` begins each answer."""

    ENTER_BOOTLOADER = 0x01
    SET_NAME = 0x02
    RESPONSE = 0x20


class ButtonlessResult(IntEnum):
    """The result of a request."""

    SUCCESS = 0x01
    OPCODE_NOT_SUPPORTED = 0x02
    OPERATION_FAILED = 0x04
    NAME_INVALID = 0x05
    BUSY = 0x06
    NOT_BONDED = 0x07


@dataclass(frozen=True, slots=True)
class EnterBootloader:
    """Restart in the bootloader. The application answers first, and may disconnect before the answer arrives."""

    def to_bytes(self) -> bytes:
        """Return the message."""
        return bytes([ButtonlessOpcode.ENTER_BOOTLOADER])


@dataclass(frozen=True, slots=True)
class SetName:
    """Let the bootloader advertise under ``name``, 1 to ``NAME_MAX`` bytes."""

    name: str

    def __post_init__(self) -> None:
        if not 1 <= len(self.name.encode()) <= NAME_MAX:
            raise ValueError(f"a name has 1 to {NAME_MAX} bytes, not {len(self.name.encode())}")

    def to_bytes(self) -> bytes:
        """Return the message."""
        name = self.name.encode()
        return bytes([ButtonlessOpcode.SET_NAME, len(name)]) + name


@dataclass(frozen=True, slots=True)
class UnknownButtonless:
    """A request with an opcode that the service does not have."""

    opcode: int


ButtonlessRequest = EnterBootloader | SetName


def read_buttonless(data: bytes) -> ButtonlessRequest | UnknownButtonless:
    """Read a request. Raises FormatError if it is empty, or has a name that is not valid."""
    if not data:
        raise FormatError("a request has at least an opcode", 0)
    if data[0] == ButtonlessOpcode.ENTER_BOOTLOADER:
        return EnterBootloader()
    if data[0] != ButtonlessOpcode.SET_NAME:
        return UnknownButtonless(data[0])
    length = data[1] if len(data) > 1 else 0
    if not 1 <= length <= NAME_MAX or len(data) < 2 + length:
        raise FormatError(f"a name has 1 to {NAME_MAX} bytes", 1)
    try:
        return SetName(data[2 : 2 + length].decode())
    except UnicodeDecodeError as error:
        raise FormatError("the name is not UTF-8", 2) from error


@dataclass(frozen=True, slots=True)
class ButtonlessAnswer:
    """``result`` of the request with ``opcode``; numbers, because a device may answer anything."""

    opcode: int
    result: int

    def to_bytes(self) -> bytes:
        """Return the message."""
        return bytes([ButtonlessOpcode.RESPONSE, self.opcode, self.result])

    @classmethod
    def from_bytes(cls, data: bytes) -> ButtonlessAnswer:
        """Read the message. Raises FormatError if it is another one."""
        if len(data) < 3 or data[0] != ButtonlessOpcode.RESPONSE:
            raise FormatError(f"these {len(data)} bytes are no answer of the buttonless DFU service")
        return cls(data[1], data[2])
