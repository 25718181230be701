"""Group 9, shell, as the application serves it: a few commands of Zephyr's shell, with words of our own.

What a command prints stands between an empty line and its last line end, as the shell of a dummy terminal does it.

Sources: Zephyr, ``subsys/mgmt/mcumgr/grp/shell_mgmt``, ``drivers/hwinfo/hwinfo_shell.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from smpdfu.smp.groups.shell import ShellExecute, ShellRc, ShellReply
from smpdfu.virtual.chip.rtc import Rtc
from smpdfu.virtual.server.server import Refused

LINE_MAX = 256
"""Bytes of a command line, each word with a space behind it (CONFIG_SHELL_CMD_BUFF_SIZE)."""
ENOEXEC = -8
_RED, _PLAIN = "\x1b[1;31m", "\x1b[m"

Command = Callable[[], str]


@dataclass(frozen=True, slots=True)
class ShellGroup:
    """Handlers. ``commands``: what gives the output of each command, by its words."""

    commands: Mapping[tuple[str, ...], tuple[str, Command]]

    def on_shell_execute(self, request: ShellExecute) -> ShellReply:
        """Run a command."""
        length = 0
        for word in request.argv:
            if length + len(word.encode()) >= LINE_MAX:
                raise Refused(ShellRc.COMMAND_TOO_LONG)
            length += len(word.encode()) + 1
        if not length:
            raise Refused(ShellRc.EMPTY_COMMAND)
        words = tuple(" ".join(request.argv).split())
        return self._run(words) if words else ShellReply("\r\n", ret=ENOEXEC)

    def _run(self, words: tuple[str, ...]) -> ShellReply:
        if words == ("help",):
            return ShellReply(f"\r\n{self._help()}", ret=0)
        if words in self.commands:
            return ShellReply(f"\r\n{self.commands[words][1]()}", ret=0)
        below = [known for known in self.commands if known[: len(words)] == words]
        if below:
            return ShellReply("\r\n" + "".join(f"{' '.join(known)}\r\n" for known in below), ret=1)
        return ShellReply(f"\r\n{_RED}{words[0]}: command not found\r\n{_PLAIN}", ret=ENOEXEC)

    def _help(self) -> str:
        width = max(len(" ".join(words)) for words in self.commands)
        lines = (f"  {' '.join(words):<{width}}  {what}\r\n" for words, (what, _) in self.commands.items())
        return _ABOUT.replace("\n", "\r\n") + "".join(lines)


_ABOUT = """\
This is the shell of a virtual device. It knows the few commands below,
each written out in full; there is no completion, no history and no
option, for nobody sits at this terminal: words come in by SMP, and what
is printed goes back the same way, as much as one message has room for.
"""


def commands_of(rtc: Rtc, version: str, device_id: bytes | None = None) -> dict[tuple[str, ...], tuple[str, Command]]:
    """The commands of the virtual application: words -> (what it does, what gives its output).

    ``device_id`` is the number of the chip; None: a build without ``hwinfo`` (CONFIG_HWINFO_SHELL).
    """
    devices = "".join(f"- {name} (READY)\r\n" for name in ("clock", "flash-controller", "uart", "rtc"))
    commands: dict[tuple[str, ...], tuple[str, Command]] = {
        ("device", "list"): ("the drivers that are there", lambda: f"devices:\r\n{devices}"),
        ("kernel", "uptime"): ("time since the start", lambda: f"Uptime: {round(rtc.uptime_s * 1000)} ms\r\n"),
        ("kernel", "version"): ("what kernel this is", lambda: f"Zephyr version {version}\r\n"),
    }
    if device_id is not None:
        told = f"Length: {len(device_id)}\r\nID: 0x{device_id.hex()}\r\n"
        commands["hwinfo", "devid"] = "the number of the chip", lambda: told
    return commands
