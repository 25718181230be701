"""``agent``: the agent of a gateway, which an update server such as hawkBit tells what to install.

This file declares the commands and imports little, so that ``--help`` is fast. The file of each name does the work.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from smpdfu.cli.app import completion
from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output

AgentFile = Annotated[
    Path,
    typer.Argument(
        metavar="AGENT.toml", help="The file that describes the agent.", autocompletion=completion.fleet_files
    ),
]
TOPICS = ("files", "server", "devices")


def register(app: Group) -> None:
    """Add ``agent`` to ``app``."""
    agent = Group("Run a gateway for hawkBit: poll, install, report.")
    command(agent, "run")(run)
    command(agent, "once")(once)
    command(agent, "status")(status)
    command(agent, "doctor")(doctor)
    command(agent, "unit")(unit)
    app.add_group("agent", agent)


async def run(agent: AgentFile, out: Output) -> None:
    """Work for the devices of this gateway until you press Ctrl-C, or a service manager sends SIGTERM.

    For each device, the agent polls the update server and installs what the server orders. It writes a log to stderr.
    You can stop it at any moment: the next run continues. A second Ctrl-C does not wait for the devices.
    """
    from smpdfu.cli.agent.run import run_until_stopped

    await run_until_stopped(agent, out)


async def once(agent: AgentFile, out: Output) -> None:
    """Poll each device once, finish what can be finished now, and end. For cron and for trials.

    Exit code 0: nothing is left to do. 4: the server did not answer for some devices. 7: an update failed in this run.
    8: not finished; run the same command again.
    """
    from smpdfu.cli.agent.run import run_once

    await run_once(agent, out)


def status(agent: AgentFile, out: Output) -> None:
    """Show what the agent does with each device, as it last wrote it down. No device and no server is asked."""
    from smpdfu.cli.agent.status import show_status

    show_status(agent, out)


async def doctor(
    agent: AgentFile,
    out: Output,
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            metavar="TOPIC",
            help="Check only this topic: files, server or devices.",
            autocompletion=completion.one_of(TOPICS),
        ),
    ] = None,
) -> None:
    """Check whether this gateway is ready: secrets, folders, server, token, clock, devices. It changes nothing.

    It registers no device at the server. While the agent runs, it does not touch the devices.
    """
    from smpdfu.cli.agent.doctor import show_findings

    await show_findings(agent, out, only, TOPICS)


def unit(agent: AgentFile, out: Output) -> None:
    """Print a unit for systemd, which runs this agent as a service of its own user, with few rights.

    Files with secrets can stay root's: systemd hands them to the service.
    """
    from smpdfu.cli.agent.unit import print_unit

    print_unit(agent, out)
