"""SLIP: the frames of the DFU protocol on a serial line (RFC 1055).

A frame ends with 0xC0. Within it, 0xDB 0xDC stands for 0xC0, and 0xDB 0xDD for 0xDB. Unlike RFC 1055 advises, nothing
stands before a frame: the nRF5 SDK takes an empty frame for a message, and finds its bytes in an old buffer.
"""

from __future__ import annotations

from smpdfu.image.secure_dfu.flash import WORD_SIZE

END, ESCAPE = b"\xc0", b"\xdb"
FIRST_SIZE = 256
"""The most bytes of the first write of an object; a later one has at most twice what the object has. The flash begins
when a write is there whole, and while it works on one, a line twice as fast brings the next."""
UART_MTU = 2 * (64 + 1) + 1
"""The receive buffer of ``nrf_dfu_serial_uart.c``; taken for one that does not report its own."""
_MEANING = {b"\xdc": END, b"\xdd": ESCAPE}


def encode(message: bytes) -> bytes:
    """Return the frame of ``message``. Raises ValueError if that is empty."""
    if not message:
        raise ValueError("a frame cannot be empty")
    return message.replace(ESCAPE, ESCAPE + b"\xdd").replace(END, ESCAPE + b"\xdc") + END


def payload_max(mtu: int) -> int:
    """Return the most bytes of an object in one write, for a bootloader whose MTU is ``mtu``.

    The MTU is the size of its receive buffer. If the end of a frame is damaged, two writes get there as one: they must
    not fill the buffer, for then the bootloader is deaf until it restarts. The result is whole words; at least one.
    """
    return max((mtu - 4) // 2 // WORD_SIZE, 1) * WORD_SIZE


class SlipDecoder:
    """Finds messages in a stream of bytes that is cut anywhere, and may be damaged.

    Keeps at most ``message_max`` bytes and one read. ``damaged`` counts the frames that were dropped: too long, or with
    an escape that means nothing. Each is dropped up to its end, so that the next frame counts again. Empty frames are
    skipped.
    """

    def __init__(self, message_max: int) -> None:
        self.message_max = message_max
        self.damaged = 0
        self._frame = bytearray()
        self._escaped = False
        self._dropping = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take the bytes of a read; return the messages that are now whole, oldest first."""
        messages: list[bytes] = []
        *ended, rest = data.split(END)
        for part in ended:
            self._take(part)
            message = self._end()
            if message:
                messages.append(message)
        self._take(rest)
        return messages

    def _take(self, part: bytes) -> None:
        """Add bytes without an end to the frame."""
        plain, *escaped = (ESCAPE + part if self._escaped else part).split(ESCAPE)
        self._escaped = False
        self._add(plain)
        for number, piece in enumerate(escaped, 1):
            if not piece and number == len(escaped):
                self._escaped = True
            elif piece[:1] in _MEANING:
                self._add(_MEANING[piece[:1]] + piece[1:])
            else:
                self._dropping = True

    def _add(self, plain: bytes) -> None:
        if not self._dropping:
            self._frame += plain
            self._dropping = len(self._frame) > self.message_max

    def _end(self) -> bytes:
        """End the frame; return its message, empty if there is none or if it was damaged."""
        damaged = self._dropping or self._escaped
        message = b"" if damaged else bytes(self._frame)
        self.damaged += damaged
        self._frame.clear()
        self._escaped = self._dropping = False
        return message
