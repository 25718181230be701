"""``shell``: a command line of the device's own shell."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from smpdfu.cli.app.command import Connection, command
from smpdfu.cli.terminal.interruption import MAY_HAVE_RUN, leaves
from smpdfu.cli.terminal.show import Output, words
from smpdfu.untrusted.text import without_escapes

EXIT_REFUSED = 5

_WORD = re.compile(r'(?:"(?:\\.|[^"\\])*"?|\'[^\']*\'?|\\.?|[^\s"\'\\])+', re.DOTALL)
_SAFE = re.compile(r"[^\s\"'\\]+")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    command(app, "shell")(shell)


async def shell(
    line: Annotated[
        list[str],
        typer.Argument(
            metavar="CMD...", help="The command; its own options go behind --, as in: shell -- kernel log-level -a 3"
        ),
    ],
    conn: Connection,
    out: Output,
) -> None:
    """Run a command of the device's shell and print its output. The exit code is 5 unless the command returns 0."""
    from smpdfu.smp.groups.shell import ShellExecute

    argv = arguments(line)
    async with conn.client() as client:
        await client.params()  # finds out whether somebody is there: a shell command is not sent twice
        with leaves(MAY_HAVE_RUN):
            reply = await client.request(ShellExecute(argv), attempts=1)
    ret = reply.value
    out.emit({"argv": list(argv), "output": reply.o, "ret": ret}, lambda: words(clean(reply.o)))
    if ret:
        unknown = ", as for a command that it does not know" if ret == -8 else ""
        out.say(f"the command returned {ret}{unknown}")
        raise typer.Exit(EXIT_REFUSED)


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
