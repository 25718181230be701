"""``scan``, ``doctor``, ``decode`` and ``profiles``.

This file declares the commands and imports little, so that ``--help`` is fast. The file of each name does the work.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from smpdfu.cli.app import completion
from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output

FORMATS = ("auto", "json", "hex", "console", "raw")
TOPICS = ("serial", "bluetooth")


def register(app: Group) -> None:
    """Add the commands to ``app``."""
    for function in (scan, doctor, decode, profiles):
        command(app, function.__name__)(function)


async def scan(
    out: Output,
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds", metavar="N", min=0, max=600, help="Time to listen for BLE devices in seconds. 0 skips BLE."
        ),
    ] = 5.0,
    ble_hci: Annotated[
        str | None,
        typer.Option("--ble-hci", metavar="CONTROLLER", help="Use this Bluetooth controller instead of the system's."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also list serial ports that do not look like boards.")] = False,
) -> None:
    """List the devices in reach: serial ports, BLE and virtual devices."""
    from smpdfu.cli.computer.scan import show_devices

    await show_devices(out, seconds, ble_hci, every=every)


def doctor(
    out: Output,
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            metavar="TOPIC",
            help="Check only this topic: serial or bluetooth.",
            autocompletion=completion.one_of(TOPICS),
        ),
    ] = None,
) -> None:
    """Check this computer: ports, permissions, programs, Bluetooth. It changes nothing."""
    from smpdfu.cli.computer.doctor import show_findings

    show_findings(out, only, TOPICS)


def decode(
    out: Output,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A log, a recording or a capture; - for stdin.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="json (a log of --log, or recordings), hex (text), console (from a serial line), raw (bare SMP).",
            autocompletion=completion.one_of(FORMATS),
        ),
    ] = "auto",
) -> None:
    """Show the SMP frames in a log, a recording or a hex dump. It also reads mcumgr -l DEBUG and serial captures."""
    from smpdfu.cli.computer.decode import show_frames

    show_frames(out, file, form, FORMATS)


def profiles(out: Output) -> None:
    """List the profiles of smpdfu.toml, which -c NAME takes. It also shows what is wrong in the file."""
    from smpdfu.cli.computer.profiles import show_profiles

    show_profiles(out)
