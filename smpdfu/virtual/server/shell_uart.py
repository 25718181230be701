"""A UART that Zephyr's shell shares with SMP (CONFIG_MCUMGR_TRANSPORT_SHELL), as a device reads it.

    what one read of the UART gives               whose it is
    --------------------------------------------  ---------------------------------------------------------------------
    it begins with 06 09 or 04 14                 SMP's, up to the newline that ends this line
    behind that newline, the same again           SMP's again
    it begins with anything else, or what stands  the shell's, all that the read gave: also whole frames in it
    behind such a newline does
    half a line of SMP, and the read ends         the next read goes on in it

The shell echoes what can be printed, runs lines, and shows its prompt. While the bootloader runs the UART is its own.

Source: Zephyr, ``smp_shell_rx_bytes`` (subsys/mgmt/mcumgr/transport/src/smp_shell.c) and ``uart_rx_handle``
(subsys/shell/backends/shell_uart.c), interrupt-driven; with the asynchronous API each byte is judged for itself.
"""

from __future__ import annotations

from collections.abc import Callable

from smpdfu.smp.framing import DeviceConsoleFraming
from smpdfu.smp.groups.shell import ShellExecute
from smpdfu.virtual.server.groups.shell import ShellGroup
from smpdfu.virtual.server.server import Refused

PROMPT = "uart:~$ "
_SECOND = {0x06: 0x09, 0x04: 0x14}
_NEWLINE = 0x0A
_LINE_MAX = 256


class DeviceShellFraming(DeviceConsoleFraming):
    """One UART. ``in_shell`` tells whether the application runs, and with it the shell."""

    def __init__(self, in_shell: Callable[[], bool] = lambda: True) -> None:
        super().__init__()
        self._in_shell = in_shell
        self._first: int | None = None  # the byte that may begin a line of SMP
        self._inside = False
        self._typed = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take what one read of the UART gave."""
        if not self._in_shell():
            return super().feed(data)
        own = self._count_own(data)
        self._typed += data[own:]
        del self._typed[: -2 * _LINE_MAX]
        return super().feed(data[:own])

    def take_text(self) -> str:
        """What the shell got."""
        super().take_text()
        typed = self._typed.decode("ascii", errors="ignore")
        self._typed.clear()
        return typed

    def _count_own(self, data: bytes) -> int:
        """How many bytes SMP takes from the beginning of what a read gave."""
        for at, byte in enumerate(data):
            if self._inside:
                self._inside = byte != _NEWLINE
            elif self._first is None and byte in _SECOND:
                self._first = byte
            elif self._first is not None and byte == _SECOND[self._first]:
                self._inside = True
                self._first = None
            else:
                return at
        return len(data)


class Shell:
    """What the shell says to what is typed: an echo, the output of whole lines, the prompt."""

    def __init__(self, group: ShellGroup) -> None:
        self._group = group
        self._line = ""

    def answer(self, typed: str) -> str:
        """What goes out on the UART."""
        said = ""
        for character in typed:
            if character in "\r\n":
                said += f"\r\n{self._run()}{PROMPT}"
            elif character.isprintable() and len(self._line) < _LINE_MAX:
                self._line += character
                said += character
        return said

    def _run(self) -> str:
        words = tuple(self._line.split())
        self._line = ""
        if not words:
            return ""
        try:
            return (self._group.on_shell_execute(ShellExecute(words)).o or "").removeprefix("\r\n")
        except Refused:
            return ""
