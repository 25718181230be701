"""``smpdfu os ...``: the rare commands of a device, under one name; and each of them under its old name.

This file declares the commands and imports little, so that ``--help`` is fast. ``datetime.py``, ``system.py``,
``small_groups.py``, ``transport.py`` and ``raw.py`` do the work.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any

from smpdfu.cli.app.command import Connection
from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.slots.commands import echo
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output

Commands = Mapping[str, Callable[..., Any]]


def register(app: Group) -> None:
    """Add the group ``os`` to ``app``, and the commands of the group under their old names."""
    if app.takes("os"):
        group = Group("Rare commands: echo, clock, threads, memory, raw requests.")
        command(group, "echo")(echo)
        _add(group)
        app.add_group("os", group)
    _add(app)


def _add(app: Group) -> None:
    """Add the commands and the groups of the file to ``app``, or what this run needs of them."""
    for name, function in COMMANDS.items():
        command(app, name)(function)
    for name, (text, members) in GROUPS.items():
        if app.takes(name):
            group = Group(text)
            for member, function in members.items():
                command(group, member)(function)
            app.add_group(name, group)


# --- the clock ------------------------------------------------------------------------------------------------------

TextArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[TEXT|now]",
        help="Time to set, as 2026-01-31T12:30:00. A time with a zone (Z, +02:00) is converted to UTC. Default: read "
        "the clock.",
    ),
]


async def datetime(
    conn: Connection,
    out: Output,
    text: TextArgument = None,
    now: Annotated[bool, typer.Option("--now", help="Set the clock to this computer's time, in UTC.")] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Set and compare in this computer's time zone instead of UTC.")
    ] = False,
) -> None:
    """Show the device's clock, or set it. The clock has no zone: keep it in UTC, or give --local every time."""
    from smpdfu.cli.device.datetime import show_or_set

    await show_or_set(conn, out, text, now=now, local=local)


# --- threads, memory, bootloader ------------------------------------------------------------------------------------


async def taskstat(conn: Connection, out: Output) -> None:
    """Show the device's threads: priority, state, and how full their stacks have been."""
    from smpdfu.cli.device.system import show_threads

    await show_threads(conn, out)


async def mpstat(conn: Connection, out: Output) -> None:
    """Show the device's memory pools: blocks, free now, and the fewest that ever were free."""
    from smpdfu.cli.device.system import show_pools

    await show_pools(conn, out)


async def bootloader(
    conn: Connection,
    out: Output,
    query: Annotated[
        str | None, typer.Option("--query", metavar="TEXT", help="Send this query to the bootloader as it is.")
    ] = None,
) -> None:
    """Show which bootloader the device has, and how that installs updates."""
    from smpdfu.cli.device.system import show_bootloader

    await show_bootloader(conn, out, query)


async def params(conn: Connection, out: Output) -> None:
    """Show the device's SMP buffers: bytes of one, and how many there are."""
    from smpdfu.cli.device.system import show_buffers

    await show_buffers(conn, out)


# --- small groups ---------------------------------------------------------------------------------------------------


async def list_stats(conn: Connection, out: Output) -> None:
    """List the groups of counters that the firmware has."""
    from smpdfu.cli.device.small_groups import show_stat_groups

    await show_stat_groups(conn, out)


async def show_stats(
    conn: Connection,
    out: Output,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Group of counters. Default: all.")] = None,
) -> None:
    """Show the counters of a group, or of all groups."""
    from smpdfu.cli.device.small_groups import show_counters

    await show_counters(conn, out, name)


async def enum(conn: Connection, out: Output) -> None:
    """List the groups of commands that the device has."""
    from smpdfu.cli.device.small_groups import show_groups

    await show_groups(conn, out)


def erase_storage(
    conn: Connection,
    out: Output,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask. Required if stdin is not a terminal.")] = False,
) -> Coroutine[Any, Any, None]:
    """Erase the storage partition: all settings, bonds and whatever else the firmware keeps there."""
    from smpdfu.cli.device.small_groups import ask_and_erase

    return ask_and_erase(conn, out, yes=yes)


# --- transport ------------------------------------------------------------------------------------------------------

WireArgument = Annotated[
    int, typer.Argument(metavar="ID", min=0, max=0xFFFFFFFF, help="Number of the wire; see `transport list`.")
]
ModeOption = Annotated[
    int | None,
    typer.Option(
        "--mode", metavar="N", min=0, max=0xFFFFFFFF, help="Mode of the wire; see `transport modes`. [default: 0]"
    ),
]


async def list_wires(conn: Connection, out: Output) -> None:
    """List the wires that the device has."""
    from smpdfu.cli.device.transport import show_wires

    await show_wires(conn, out)


async def modes(wire: WireArgument, conn: Connection, out: Output) -> None:
    """Show the modes of a wire: which way requests can come in and go out."""
    from smpdfu.cli.device.transport import show_modes

    await show_modes(conn, out, wire)


async def configs(wire: WireArgument, conn: Connection, out: Output, mode: ModeOption = None) -> None:
    """Show the parameters that a connection to a wire needs. To connect with parameters, use `raw`."""
    from smpdfu.cli.device.transport import show_configs

    await show_configs(conn, out, wire, mode)


async def status(conn: Connection, out: Output) -> None:
    """Show whether the device passes this wire on, and to which wire."""
    from smpdfu.cli.device.transport import show_status

    await show_status(conn, out)


async def connect(wire: WireArgument, conn: Connection, out: Output, mode: ModeOption = None) -> None:
    """Pass requests on this wire on to another wire, until `transport disconnect`."""
    from smpdfu.cli.device.transport import start_bridge

    await start_bridge(conn, out, wire, mode)


async def disconnect(
    conn: Connection,
    out: Output,
    wire: Annotated[
        int | None,
        typer.Argument(metavar="[ID]", min=0, max=0xFFFFFFFF, help="Number of the wire. Default: this wire's bridge."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="End every bridge of the device.")] = False,
) -> None:
    """End a bridge."""
    from smpdfu.cli.device.transport import end_bridge

    await end_bridge(conn, out, wire, every=every)


# --- any request ----------------------------------------------------------------------------------------------------


async def raw(
    group: Annotated[
        int, typer.Argument(metavar="GROUP", min=0, max=0xFFFF, help="Number of the group; a vendor's begin at 64.")
    ],
    number: Annotated[int, typer.Argument(metavar="CMD", min=0, max=0xFF, help="Number of the command in the group.")],
    conn: Connection,
    out: Output,
    write: Annotated[
        bool, typer.Option("--write", help="Send a write request. Without it, smpdfu sends a read request.")
    ] = False,
    json_payload: Annotated[
        str | None,
        typer.Option(
            "--json-payload",
            metavar="JSON|@FILE",
            help='The body, a JSON object. Write bytes as {"bytes": "00ff"}. @FILE reads a file, @- reads stdin.',
        ),
    ] = None,
) -> None:
    """Send any SMP command and print the answer as JSON. Bytes in the answer are {"bytes": "00ff"}."""
    from smpdfu.cli.device.raw import send

    await send(conn, group, number, json_payload, write=write)


COMMANDS: Commands = {
    "datetime": datetime,
    "taskstat": taskstat,
    "mpstat": mpstat,
    "bootloader": bootloader,
    "params": params,
    "enum": enum,
    "raw": raw,
}
GROUPS: Mapping[str, tuple[str, Commands]] = {
    "stat": ("The firmware's counters.", {"list": list_stats, "show": show_stats}),
    "storage": ("The partition in which the firmware keeps its settings.", {"erase": erase_storage}),
    "transport": (
        "Make a device pass SMP on to another of its wires.",
        {
            "list": list_wires,
            "modes": modes,
            "configs": configs,
            "status": status,
            "connect": connect,
            "disconnect": disconnect,
        },
    ),
}
"""By name: the help of a group, and its commands."""
