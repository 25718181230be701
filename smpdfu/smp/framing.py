"""The framings: how SMP messages become bytes on each kind of wire.

A framing is the same at both ends. ``encode`` makes the bytes to write. ``feed`` takes the bytes of each read, cut
anywhere, and returns the whole messages in them. Noise never raises an error: it is dropped, or it is console text. A
framing keeps at most one message, one line and 64 KiB of text.

Sources: Zephyr, "SMP transport specification" (smp_transport.rst); MCUboot, boot_serial.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64, crc_hqx

from smpdfu.smp.message import HEADER_SIZE, MESSAGE_MAX

ASSUMED_BUF_SIZE = 256
"""The assumed size of a server's buffer, in bytes, if the server does not report it: the least by default."""


class Framing(ABC):
    """Messages to bytes and back, for one wire: ``feed`` keeps the first half of a message until the rest comes.

    ``checked``: the framing or the wire below detects a message that was damaged on its way to the device.
    ``joined``: the device joins several writes to one message, and cannot detect that one of them is missing.
    """

    checked: bool = True
    joined: bool = False

    @abstractmethod
    def encode(self, message: bytes) -> bytes:
        """Return the bytes of ``message`` on the wire. A stream may write them in pieces of any size."""

    @abstractmethod
    def feed(self, data: bytes) -> list[bytes]:
        """Take the bytes of a read (exactly one datagram); return the messages that are now whole, oldest first."""

    @abstractmethod
    def message_max(self, buf_size: int | None, max_write: int) -> int:
        """Return the longest message, in bytes, for a server with buffers of ``buf_size`` bytes on this wire.

        ``buf_size`` is None if the server does not report it. ``max_write`` is the longest single write of the pipe.
        """

    def take_text(self) -> str:
        """Return the console text between the messages since the last call, in whole lines."""
        return ""

    @property
    def waits(self) -> bool:
        """True if ``feed`` keeps half a message that may be noise. Silence shows that it is noise: see ``settle``."""
        return False

    def settle(self) -> list[bytes]:
        """Treat half a message as noise, after silence; return the whole messages behind it."""
        return []

    def resync(self) -> bytes:
        """Drop half a message. Return the bytes to write before the next message, so that the peer drops its half, too.

        Write them separately, because some servers judge a whole read by its beginning.
        """
        return b""


# --- console --------------------------------------------------------------------------------------------------------

LINE_LENGTH = 127
"""Bytes of a console line with its newline. Every server accepts this length."""
_FIRST, _FURTHER, _NEWLINE = b"\x06\x09", b"\x04\x14", b"\n"
_RESYNC = _FIRST + _NEWLINE
_MARKS = re.compile(rb"(?=\x06\x09|\x04\x14)")
_LENGTH_SIZE = _CRC_SIZE = 2
_LINE_MAX = 16384
_TEXT_MAX = 65536


class ConsoleFraming(Framing):
    """Base64 lines between the lines of a console.

    A packet has the length of the rest (16 bit, big-endian), the message and its CRC-16/XMODEM. Its base64 is cut into
    lines. The first line starts with 06 09, further ones with 04 14. Every other line is text. A mark counts anywhere
    in a line, because base64 cannot contain one: text without a newline before a frame does no harm.
    """

    def __init__(self, line_length: int = LINE_LENGTH) -> None:
        self._step = (line_length - len(_FIRST) - len(_NEWLINE)) // 4 * 4
        if self._step < 4:
            raise ValueError(f"a console line of {line_length} bytes has no room for data")
        self._line = bytearray()
        self._packet: bytearray | None = None
        self._odd = b""
        self._text = bytearray()

    def encode(self, message: bytes) -> bytes:
        """Return the lines of ``message``. Raises ValueError if it is too long for a packet."""
        length = len(message) + _CRC_SIZE
        if length > 0xFFFF:
            raise ValueError(f"a console packet cannot carry a message of {len(message)} bytes")
        check = crc_hqx(message, 0).to_bytes(_CRC_SIZE, "big")
        base64 = b2a_base64(b"".join((length.to_bytes(_LENGTH_SIZE, "big"), message, check)), newline=False)
        lines = [base64[start : start + self._step] for start in range(0, len(base64), self._step)]
        return _FIRST + (_NEWLINE + _FURTHER).join(lines) + _NEWLINE

    def feed(self, data: bytes) -> list[bytes]:
        messages: list[bytes] = []
        *ends, rest = data.split(_NEWLINE)
        for end in ends:
            self._line += end
            self._take_line(messages)
        self._line += rest
        if len(self._line) > _LINE_MAX:
            self._take_line(messages)
        return messages

    def message_max(self, buf_size: int | None, max_write: int) -> int:
        # The server decodes the whole packet, length and CRC included, into one buffer.
        size = min(ASSUMED_BUF_SIZE if buf_size is None else buf_size, _LENGTH_SIZE + 0xFFFF)
        return size - _LENGTH_SIZE - _CRC_SIZE

    def take_text(self) -> str:
        text = self._text.decode(errors="replace")
        self._text.clear()
        return text

    def resync(self) -> bytes:
        # An incoming frame is kept: the next first line ends it anyway, and it may be the late answer. For the peer,
        # the newline ends a line that was cut, which would swallow the next frame. The mark before it is for Zephyr's
        # shell: if a read begins with anything else, the shell takes all of it as typed text (smp_shell.c), with the
        # frame that follows in the same read. Every server drops an empty packet.
        return _RESYNC

    def _take_line(self, messages: list[bytes]) -> None:
        line = bytes(self._line.rstrip(b"\r"))
        self._line.clear()
        for piece in _MARKS.split(line):
            if piece.startswith(_FIRST):
                self._packet = bytearray()
                self._odd = b""
            elif not piece.startswith(_FURTHER):
                self._keep_text(piece)
                continue
            message = self._extend(piece[len(_FIRST) :])
            if message is not None:
                messages.append(message)

    def _extend(self, base64: bytes) -> bytes | None:
        """Add a line to the current packet; return its message if it is now whole."""
        if self._packet is None:
            return None
        base64 = self._odd + base64
        whole = len(base64) // 4 * 4
        self._odd = base64[whole:]
        try:
            self._packet += a2b_base64(base64[:whole], strict_mode=True)
        except Base64Error:
            self._packet = None
            return None
        packet = self._packet
        if len(packet) < _LENGTH_SIZE + int.from_bytes(packet[:_LENGTH_SIZE], "big"):
            return None
        self._packet = None
        return _open_packet(bytes(packet))

    def _keep_text(self, piece: bytes) -> None:
        if piece:
            self._text += piece + _NEWLINE
            del self._text[:-_TEXT_MAX]


DEVICE_LINE_MAX = 128
"""Bytes of a line with its newline that Zephyr's UART driver keeps (CONFIG_UART_MCUMGR_RX_BUF_SIZE)."""


class DeviceConsoleFraming(ConsoleFraming):
    """The same for a device: a mark counts only at the start of a line, and a line longer than its buffer is lost."""

    def __init__(self, line_max: int = DEVICE_LINE_MAX) -> None:
        super().__init__()
        self._line_max = line_max

    def _take_line(self, messages: list[bytes]) -> None:
        if len(self._line) >= self._line_max or _MARKS.search(self._line, 1) is not None:
            self._line.clear()
        super()._take_line(messages)


def _open_packet(packet: bytes) -> bytes | None:
    """Return the message in a packet; None if the packet is damaged."""
    length, checked = int.from_bytes(packet[:_LENGTH_SIZE], "big"), packet[_LENGTH_SIZE:]
    if len(checked) != length or length < HEADER_SIZE + _CRC_SIZE or crc_hqx(checked, 0) != 0:
        return None
    return checked[:-_CRC_SIZE]


# --- bare messages --------------------------------------------------------------------------------------------------


class DatagramFraming(Framing):
    """One message per datagram (UDP)."""

    def encode(self, message: bytes) -> bytes:
        return message

    def feed(self, data: bytes) -> list[bytes]:
        return [data] if HEADER_SIZE <= len(data) <= MESSAGE_MAX else []

    def message_max(self, buf_size: int | None, max_write: int) -> int:
        # A server drops IP fragments, so one write must be one packet on the path.
        return min(max_write, MESSAGE_MAX if buf_size is None else buf_size)


# How a header can begin: reserved bits 0, version 0 or 1, a known operation. The header of an answer has the operation
# of a response, no flags, and a body of at least one byte (an empty map). Anything else, such as our own request on a
# line with an echo, must have more: a body that begins like a map.
_HEADS = re.compile(rb"[\x00-\x03\x08-\x0b]")
_ANSWER_HEADS = re.compile(
    rb"[\x01\x03\x09\x0b](?:\Z|\x00(?!\x00\x00))"
    rb"|[\x00-\x1f](?:\Z|\x00(?:.?\Z|(?!\x00\x00)..(?:.{0,4}\Z|.{4}[\xa0-\xbf])))",
    re.DOTALL,
)


class RawFraming(Framing):
    """Bare messages on a serial line: the length in the header shows where a message ends.

    ``feed`` skips bytes that cannot start a header. Other noise can hide a message until silence ends it (``settle``).
    A client sets ``answers``: then bytes that cannot be a response need more signs of a message, so that less noise
    looks like one.
    """

    checked = False  # if a device misses bytes, it completes the message with bytes of the next one
    joined = True

    def __init__(self, *, answers: bool = False) -> None:
        self._buffer = bytearray()
        self._heads = _ANSWER_HEADS if answers else _HEADS

    def encode(self, message: bytes) -> bytes:
        return message

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        return self._take_messages()

    def _take_messages(self) -> list[bytes]:
        messages: list[bytes] = []
        while len(self._buffer) >= HEADER_SIZE:
            if not self._heads.match(self._buffer):
                self._skip()
                continue
            end = HEADER_SIZE + int.from_bytes(self._buffer[2:4], "big")
            if len(self._buffer) < end:
                break
            messages.append(bytes(self._buffer[:end]))
            del self._buffer[:end]
        return messages

    def message_max(self, buf_size: int | None, max_write: int) -> int:
        return min(ASSUMED_BUF_SIZE if buf_size is None else buf_size, MESSAGE_MAX)

    @property
    def waits(self) -> bool:
        return bool(self._buffer)

    def settle(self) -> list[bytes]:
        messages: list[bytes] = []
        while self._buffer:
            self._skip()
            messages += self._take_messages()
            if len(self._buffer) < HEADER_SIZE:
                self._buffer.clear()
        return messages

    def resync(self) -> bytes:
        self._buffer.clear()
        return b""

    def _skip(self) -> None:
        head = self._heads.search(self._buffer, 1)
        del self._buffer[: head.start() if head else None]


class GattFraming(RawFraming):
    """Bare messages in notifications and in writes without response, each message in one or several of them."""

    checked = True
    waits = False  # an open link loses nothing, however long its intervals are

    def message_max(self, buf_size: int | None, max_write: int) -> int:
        # A server that does not report its buffers may be unable to join writes.
        return min(max_write if buf_size is None else buf_size, MESSAGE_MAX)

    def _skip(self) -> None:
        self._buffer.clear()  # messages start where a notification starts
