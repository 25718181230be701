"""``transport``: a device that passes SMP on from one of its wires to another."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from smpdfu.cli.app.command import Connection, command
from smpdfu.cli.terminal.show import Output, facts, table

WireArgument = Annotated[
    int, typer.Argument(metavar="ID", min=0, max=0xFFFFFFFF, help="Number of the wire, see `transport list`.")
]
ModeOption = Annotated[
    int | None,
    typer.Option("--mode", metavar="N", min=0, max=0xFFFFFFFF, help="Mode of the wire, see `transport modes`; 0."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    room = typer.Typer(help="Have a device pass SMP on to another wire of it.", no_args_is_help=True)
    command(room, "list")(list_wires)
    for function in (modes, configs, status, connect, disconnect):
        command(room, function.__name__)(function)
    app.add_typer(room, name="transport")


async def list_wires(conn: Connection, out: Output) -> None:
    """Show which wires the device has."""
    from smpdfu.smp.groups.transport import TransportList

    async with conn.client() as client:
        found = (await client.request(TransportList())).transports
    wires = [{"id": one.id, "name": one.name} for one in found]
    out.emit({"transports": wires}, lambda: table("", ("id", "name"), [tuple(wire.values()) for wire in wires]))


async def modes(wire: WireArgument, conn: Connection, out: Output) -> None:
    """Show the modes of a wire: which way requests can come in and go out."""
    from smpdfu.smp.groups.transport import TransportModes

    async with conn.client() as client:
        found = (await client.request(TransportModes(wire))).modes
    rows = [
        {"id": one.id, "description": one.description, "incoming": one.incoming, "outgoing": one.outgoing}
        for one in found
    ]
    columns = ("mode", "what", "in", "out")
    out.emit({"id": wire, "modes": rows}, lambda: table("", columns, [tuple(row.values()) for row in rows]))


async def configs(wire: WireArgument, conn: Connection, out: Output, mode: ModeOption = None) -> None:
    """Show what has to be told to connect to a wire; `raw` tells it."""
    from smpdfu.smp.groups.transport import ConfigType, TransportConfigs

    async with conn.client() as client:
        found = (await client.request(TransportConfigs(wire, mode or 0))).configs
    known = {kind.value: kind.name.lower().replace("_", " ") for kind in ConfigType}
    rows = [
        {"name": one.name, "type": known.get(one.type, str(one.type)), "required": bool(one.required)} for one in found
    ]
    columns = ("parameter", "type", "required")
    data = {"id": wire, "mode": mode or 0, "configs": rows}
    out.emit(data, lambda: table("", columns, [tuple(row.values()) for row in rows]))


async def status(conn: Connection, out: Output) -> None:
    """Show whether this wire is passed on, and to which."""
    from smpdfu.smp.groups.transport import TransportStatus

    async with conn.client() as client:
        found = await client.request(TransportStatus())
    data: dict[str, Any] = {
        "supported": found.supported,
        "active": found.active,
        "bridged": found.bridged,
        "transport": found.transport,
    }
    names = ("bridges at most", "bridges now", "this wire is bridged", "to wire")
    pairs = [pair for pair in zip(names, data.values(), strict=True) if pair[1] is not None]
    out.emit(data, lambda: facts(pairs))


async def connect(wire: WireArgument, conn: Connection, out: Output, mode: ModeOption = None) -> None:
    """Pass what comes over this wire on to another, until `transport disconnect`."""
    from smpdfu.smp.groups.transport import TransportConnect

    async with conn.client() as client:
        await client.request(TransportConnect(wire, mode))
    said = f"what comes over this wire goes on to wire {wire} from now on"
    out.emit({"id": wire, "mode": mode or 0, "connected": True}, lambda: said)


async def disconnect(
    conn: Connection,
    out: Output,
    wire: Annotated[
        int | None,
        typer.Argument(metavar="[ID]", min=0, max=0xFFFFFFFF, help="Number of the wire; the bridge of this wire."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="End every bridge of the device.")] = False,
) -> None:
    """End a bridge."""
    from smpdfu.smp.groups.transport import TransportDisconnect

    if wire is not None and every:
        raise typer.BadParameter("give ID or --all, not both")
    async with conn.client() as client:
        await client.request(TransportDisconnect(wire, every or None))
    out.emit({"id": wire, "all": every, "disconnected": True}, lambda: "the bridge is ended")
