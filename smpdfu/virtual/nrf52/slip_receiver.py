"""How the SDK's serial transport finds messages in SLIP frames: with its buffer, and with what that does to garbage.

It differs from what a host does (``securedfu.protocol.slip``), and hosts have to live with it:

    what comes                                     what the bootloader does
    ---------------------------------------------  -------------------------------------------------------------------
    an empty frame, after a request                it handles the request again: its bytes are still in the buffer
    an empty frame, after a write                  it refuses a write of 65535 bytes
    an escape that means nothing                   it drops everything up to the end of the frame
    a message as long as the buffer, or longer     it is deaf until it is reset: two frames whose border was lost

Source: nRF5 SDK 17, ``slip.c``, ``nrf_dfu_serial.c``, ``nrf_dfu_serial_uart.c``.
"""

from __future__ import annotations

from smpdfu.securedfu.protocol.messages import WriteObject

_END, _ESCAPE = 0xC0, 0xDB
_MEANING = {0xDC: _END, 0xDD: _ESCAPE}
_NO_LENGTH = 0xFFFF
"""The length of the payload of an empty message, which the SDK counts in 16 bits."""


class SlipReceiver:
    """One buffer of ``size`` bytes. ``deaf``: it is full, and takes nothing more until a reset."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._buffer = bytearray()
        self._escaped = self._clearing = False
        self._old = b"\0"

    @property
    def deaf(self) -> bool:
        """Whether the buffer is full."""
        return len(self._buffer) >= self.size

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the messages that are now whole, oldest first."""
        return [message for byte in data if (message := self._take(byte)) is not None]

    def _take(self, byte: int) -> bytes | None:
        if self.deaf:
            return None
        if self._clearing:
            if byte == _END:
                self._clearing = False
                self._buffer.clear()
        elif self._escaped:
            self._escaped = False
            self._clearing = byte not in _MEANING
            self._buffer += bytes([_MEANING[byte]]) if byte in _MEANING else b""
        elif byte == _ESCAPE:
            self._escaped = True
        elif byte == _END:
            return self._end()
        else:
            self._buffer.append(byte)
        return None

    def _end(self) -> bytes:
        message = bytes(self._buffer)
        self._buffer.clear()
        if message:
            self._old = message
            return message
        return WriteObject(bytes(_NO_LENGTH)).to_bytes() if self._old[0] == WriteObject.opcode else self._old
