"""``shell``: sends a command line to the device's own shell, and prints what the shell printed."""

from __future__ import annotations

import re

from smpdfu.cli.app.command import Connection
from smpdfu.cli.app.ending import conclude
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.interruption import MAY_HAVE_RUN, leaves
from smpdfu.cli.terminal.show import Output, words
from smpdfu.errors import ShellCommandError
from smpdfu.smp.groups.shell import ShellExecute
from smpdfu.untrusted.text import without_escapes

_WORD = re.compile(r'(?:"(?:\\.|[^"\\])*"?|\'[^\']*\'?|\\.?|[^\s"\'\\])+', re.DOTALL)
_SAFE = re.compile(r"[^\s\"'\\]+")


async def run_line(conn: Connection, out: Output, line: list[str]) -> None:
    """Run a command and print its output; exit code 5 if it does not return 0."""
    argv = arguments(line)
    async with conn.client() as client:
        await client.params()  # finds out whether somebody is there: a shell command is not sent twice
        with leaves(MAY_HAVE_RUN):
            reply = await client.request(ShellExecute(argv), attempts=1)
    error = ShellCommandError(reply.value) if reply.value else None
    answer = {"argv": list(argv), "output": reply.o, "ret": reply.value}
    conclude(out, answer, lambda: words(clean(reply.o)), error)


def arguments(line: list[str]) -> tuple[str, ...]:
    """The words to send. The device joins them by blanks and takes the line apart again.

    So one argument is a line as it is typed at the device: its own quotes stay. Several are one word each there, too:
    what has to stay together is quoted. Raises typer.BadParameter if there is no word.
    """
    found = tuple(_WORD.findall(line[0])) if len(line) == 1 else tuple(map(_quoted, line))
    if not any(found):
        raise typer.BadParameter("there is no command in it")
    return found


def _quoted(word: str) -> str:
    if _SAFE.fullmatch(word):
        return word
    return '"' + re.sub(r'(["\\])', r"\\\1", word) + '"'


def clean(output: str) -> str:
    """What a device printed, without colours, without the line ends of a terminal and the empty lines around it."""
    text = without_escapes(output).replace("\r\n", "\n").replace("\r", "\n")
    return text.strip("\n")
