"""A raw UART as a device reads it: bare SMP messages, of which the header's length alone says where one ends.

    what comes                                    what becomes of it
    --------------------------------------------  ---------------------------------------------------------------------
    as many bytes as the header promised          a message, whatever they are: the next one, too, if one was cut
    more bytes than the buffer holds, no end      they are lost, and a message begins at the next byte
    half a message, then nothing for a while      it is kept; with an input timeout it is lost when further bytes come
                                                  so long after its first ones

Sources: Zephyr 4.4, "Raw UART/serial", CONFIG_MCUMGR_TRANSPORT_RAW_UART_INPUT_TIMEOUT; a recording of a server that was
built without the timeout.
"""

from __future__ import annotations

from collections.abc import Callable

from smpdfu.smp.framing import RawFraming
from smpdfu.smp.message import HEADER_SIZE


class DeviceRawFraming(RawFraming):
    """One UART with a buffer of ``buf_size`` bytes, or of as many as that gives when it is called.

    ``clock`` gives seconds; it is read where there is a timeout.
    """

    waits = False

    def __init__(
        self,
        buf_size: int | Callable[[], int],
        *,
        input_timeout_s: float | None = None,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        super().__init__()
        self._size = buf_size if callable(buf_size) else lambda: buf_size
        self._timeout_s = input_timeout_s
        self._clock = clock
        self._began = 0.0

    def feed(self, data: bytes) -> list[bytes]:
        if self._timeout_s is not None:
            if self._buffer and self._clock() - self._began >= self._timeout_s:
                self._buffer.clear()
            if not self._buffer:
                self._began = self._clock()
        return super().feed(data)

    def _take_messages(self) -> list[bytes]:
        messages: list[bytes] = []
        size = self._size()
        while len(self._buffer) >= HEADER_SIZE:
            end = HEADER_SIZE + int.from_bytes(self._buffer[2:4], "big")
            if end > size:
                if len(self._buffer) < size:
                    break
                del self._buffer[:size]
                continue
            if len(self._buffer) < end:
                break
            messages.append(bytes(self._buffer[:end]))
            del self._buffer[:end]
        return messages
