"""How SMP messages travel over each kind of wire.

A framing is the same at both ends: ``encode`` makes the bytes to write, ``feed`` takes bytes as they were read, cut
anywhere, and gives the whole messages among them. Noise never raises: what is no message is dropped, or is console
text. A framing holds no more than one message and one line.

Sources: Zephyr, "SMP transport specification" (smp_transport.rst); MCUboot, boot_serial.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64, crc_hqx

from smpdfu.smp.message import HEADER_SIZE, MESSAGE_MAX

ASSUMED_BUF_SIZE = 256
"""Bytes of a server's buffer when it does not tell: no server in use has less, other than by intent."""


class Framing(ABC):
    """Messages to bytes and back, for one wire. Not for two wires at once: ``feed`` remembers halves.

    ``checked``: a message that was damaged on its way to the device is noticed there, by the framing or the wire below.
    ``joined``: the device joins several writes to one message, and nothing tells it that one of them is missing.
    """

    checked: bool = True
    joined: bool = False

    @abstractmethod
    def encode(self, message: bytes) -> bytes:
        """The bytes of ``message`` on the wire; stream pipes may write them in pieces of any size."""

    @abstractmethod
    def feed(self, data: bytes) -> list[bytes]:
        """Take what was read (of datagrams: exactly one); the messages that are now whole, oldest first."""

    @abstractmethod
    def message_max(self, buf_size: int | None, max_write: int) -> int:
        """The longest message, in bytes, that a server with buffers of ``buf_size`` bytes takes over this wire.

        ``buf_size`` is None where the server does not tell; ``max_write`` is the longest single write of the pipe.
        """

    def take_text(self) -> str:
        """The console text that came in between since the last call, in whole lines."""
        return ""

    @property
    def waits(self) -> bool:
        """True if half a message is kept that may be noise, whose rest would never come: silence tells."""
        return False

    def settle(self) -> list[bytes]:
        """After silence: what is kept was noise. Gives the whole messages that it hid."""
        return []

    def resync(self) -> bytes:
        """Forget half a message; gives what to write before the next message so that the peer does, too.

        It is a write of its own, for there are servers that judge all of a read by its beginning.
        """
        return b""


# --- console --------------------------------------------------------------------------------------------------------

LINE_LENGTH = 127
"""Bytes of a console line with its newline: what every server takes."""
_FIRST, _FURTHER, _NEWLINE = b"\x06\x09", b"\x04\x14", b"\n"
_RESYNC = _FIRST + _NEWLINE
_MARKS = re.compile(rb"(?=\x06\x09|\x04\x14)")
_LENGTH_SIZE = _CRC_SIZE = 2
_LINE_MAX = 16384
_TEXT_MAX = 65536


class ConsoleFraming(Framing):
    """Base64 lines between the lines of a console.

    A packet is the length of what follows (16 bit, big-endian), the message and its CRC-16/XMODEM. Its base64 is cut
    into lines; the first starts with 06 09, further ones with 04 14. Every other line is text. A mark counts wherever
    it stands in a line, for base64 cannot contain one: text without a newline before a frame costs nothing.
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
        """The lines of ``message``. ValueError if it is longer than a packet can say."""
        length = len(message) + _CRC_SIZE
        if length > 0xFFFF:
            raise ValueError(f"a console packet cannot carry a message of {len(message)} bytes")
        check = crc_hqx(message, 0).to_bytes(_CRC_SIZE, "big")
        base64 = b2a_base64(b"".join((length.to_bytes(_LENGTH_SIZE, "big"), message, check)), newline=False)
        lines = (base64[start : start + self._step] for start in range(0, len(base64), self._step))
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
        # A frame on its way in is kept: the next first line ends it anyway, and it may be the late answer. Towards
        # the peer, the newline ends a line that was cut: it would swallow the next frame. The mark before it is for
        # Zephyr's shell, which takes all of a read that begins with anything else for its own (smp_shell.c), also the
        # frame that follows so closely that one read has both. An empty packet is dropped everywhere.
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
        """Add a line to the packet under way; its message if that makes it whole."""
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
    """The same as a device reads it: a mark counts at the start of a line, a line longer than its buffer is lost."""

    def __init__(self, line_max: int = DEVICE_LINE_MAX) -> None:
        super().__init__()
        self._line_max = line_max

    def _take_line(self, messages: list[bytes]) -> None:
        if len(self._line) >= self._line_max or _MARKS.search(self._line, 1) is not None:
            self._line.clear()
        super()._take_line(messages)


def _open_packet(packet: bytes) -> bytes | None:
    """The message in a packet, None if the packet is damaged."""
    length, checked = int.from_bytes(packet[:_LENGTH_SIZE], "big"), packet[_LENGTH_SIZE:]
    if len(checked) != length or length < HEADER_SIZE + _CRC_SIZE or crc_hqx(checked, 0) != 0:
        return None
    return checked[:-_CRC_SIZE]


# --- bare messages --------------------------------------------------------------------------------------------------


class DatagramFraming(Framing):
    """One message a datagram (UDP)."""

    def encode(self, message: bytes) -> bytes:
        return message

    def feed(self, data: bytes) -> list[bytes]:
        return [data] if HEADER_SIZE <= len(data) <= MESSAGE_MAX else []

    def message_max(self, buf_size: int | None, max_write: int) -> int:
        # A server drops what comes in IP fragments: one write is one packet on the path.
        return min(max_write, MESSAGE_MAX if buf_size is None else buf_size)


# How a header can begin: reserved bits 0, version 0 or 1, an operation that exists. The one of an answer: that of a
# response, no flags, and the length of a body that has at least the byte of an empty map. Of anything else, such as our
# own request on a line with an echo, more is asked: that its body begins as a map does.
_HEADS = re.compile(rb"[\x00-\x03\x08-\x0b]")
_ANSWER_HEADS = re.compile(
    rb"[\x01\x03\x09\x0b](?:\Z|\x00(?!\x00\x00))"
    rb"|[\x00-\x1f](?:\Z|\x00(?:.?\Z|(?!\x00\x00)..(?:.{0,4}\Z|.{4}[\xa0-\xbf])))",
    re.DOTALL,
)


class RawFraming(Framing):
    """Messages bare on a serial line: the header's length says where one ends.

    Bytes that cannot start a header are stepped over. Others can hide a message: silence ends that (``settle``).
    With ``answers``, as for a client, what could be no response needs more signs of a message: fewer strays are taken
    for one.
    """

    checked = False  # bytes that a device misses are made up with those of the next message
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
    """Messages bare over notifications and writes without response: a message is in one of them or in several."""

    checked = True
    waits = False  # a link that is up loses nothing, however long its intervals are

    def message_max(self, buf_size: int | None, max_write: int) -> int:
        # A server that does not tell its buffers may be one that cannot join writes.
        return min(max_write if buf_size is None else buf_size, MESSAGE_MAX)

    def _skip(self) -> None:
        self._buffer.clear()  # messages start where a notification starts
