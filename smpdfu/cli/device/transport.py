"""``transport``: a device that passes SMP on from one of its wires to another."""

from __future__ import annotations

from typing import Any

from smpdfu.cli.app.command import Connection
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output, facts, table
from smpdfu.smp.groups.transport import (
    ConfigType,
    TransportConfigs,
    TransportConnect,
    TransportDisconnect,
    TransportList,
    TransportModes,
    TransportStatus,
)


async def show_wires(conn: Connection, out: Output) -> None:
    """Show which wires the device has."""
    async with conn.client() as client:
        found = (await client.request(TransportList())).transports
    wires = [{"id": one.id, "name": one.name} for one in found]
    out.emit({"transports": wires}, lambda: table("", ("id", "name"), [tuple(wire.values()) for wire in wires]))


async def show_modes(conn: Connection, out: Output, wire: int) -> None:
    """Show the modes of a wire: which way requests can come in and go out."""
    async with conn.client() as client:
        found = (await client.request(TransportModes(wire))).modes
    rows = [
        {"id": one.id, "description": one.description, "incoming": one.incoming, "outgoing": one.outgoing}
        for one in found
    ]
    columns = ("mode", "what", "in", "out")
    out.emit({"id": wire, "modes": rows}, lambda: table("", columns, [tuple(row.values()) for row in rows]))


async def show_configs(conn: Connection, out: Output, wire: int, mode: int | None) -> None:
    """Show what has to be told to connect to a wire; `raw` tells it."""
    async with conn.client() as client:
        found = (await client.request(TransportConfigs(wire, mode or 0))).configs
    known = {kind.value: kind.name.lower().replace("_", " ") for kind in ConfigType}
    rows = [
        {"name": one.name, "type": known.get(one.type, str(one.type)), "required": bool(one.required)} for one in found
    ]
    columns = ("parameter", "type", "required")
    data = {"id": wire, "mode": mode or 0, "configs": rows}
    out.emit(data, lambda: table("", columns, [tuple(row.values()) for row in rows]))


async def show_status(conn: Connection, out: Output) -> None:
    """Show whether this wire is passed on, and to which."""
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


async def start_bridge(conn: Connection, out: Output, wire: int, mode: int | None) -> None:
    """Pass what comes over this wire on to another, until `transport disconnect`."""
    async with conn.client() as client:
        await client.request(TransportConnect(wire, mode))
    said = f"the device now passes requests on this wire on to wire {wire}"
    out.emit({"id": wire, "mode": mode or 0, "connected": True}, lambda: said)


async def end_bridge(conn: Connection, out: Output, wire: int | None, *, every: bool) -> None:
    """End a bridge."""
    if wire is not None and every:
        raise typer.BadParameter("give ID or --all, not both")
    async with conn.client() as client:
        await client.request(TransportDisconnect(wire, every or None))
    out.emit({"id": wire, "all": every, "disconnected": True}, lambda: "the bridge has ended")
