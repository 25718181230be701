"""``shell``: a command line of the device's own shell."""

from __future__ import annotations

from typing import Annotated

from smpdfu.cli.app.command import Connection
from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output


def register(app: Group) -> None:
    """Add the command to ``app``."""
    command(app, "shell")(shell)


async def shell(
    line: Annotated[
        list[str],
        typer.Argument(
            metavar="CMD...", help="The command. Put -- before its own options: shell -- kernel log-level -a 3"
        ),
    ],
    conn: Connection,
    out: Output,
) -> None:
    """Run a command of the device's shell and print its output. The exit code is 5 unless the command returns 0."""
    from smpdfu.cli.device.shell_line import run_line

    await run_line(conn, out, line)
