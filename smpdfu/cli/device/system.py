"""``taskstat mpstat bootloader params``: what the firmware reports about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smpdfu.cli.app.command import Connection
from smpdfu.cli.device.raw import plain
from smpdfu.cli.terminal.show import Output, facts, table
from smpdfu.cli.update.loader import mode_name
from smpdfu.errors import DeviceError
from smpdfu.smp.groups.os import (
    ACTIVE_B0_SLOT,
    GROUP,
    BootloaderInfo,
    BootloaderInfoReply,
    MemoryPools,
    Params,
    TaskStat,
)
from smpdfu.smp.groups.raw import RawRequest

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.client import Client

WORD_BYTES = 4
"""Zephyr counts stacks in words."""

# Bits of Zephyr's thread_state; what only the scheduler knows is not named.
STATES = {0x02: "pending", 0x04: "sleeping", 0x08: "dead", 0x10: "suspended", 0x20: "aborting", 0x80: "ready"}


# --- threads and pools ----------------------------------------------------------------------------------------------


async def show_threads(conn: Connection, out: Output) -> None:
    """Show the device's threads: priority, state, and how full their stacks have been."""
    async with conn.client() as client:
        found = (await client.request(TaskStat())).tasks
    tasks = [
        {
            "name": name,
            "prio": task.prio,
            "tid": task.tid,
            "state": task.state,
            "stkuse_bytes": _bytes(task.stkuse),
            "stksiz_bytes": _bytes(task.stksiz),
            "cswcnt": task.cswcnt,
            "runtime": task.runtime,
        }
        for name, task in found.items()
    ]
    out.emit({"tasks": tasks}, lambda: _tasks_table(tasks))


def _bytes(count: int | None) -> int | None:
    return None if count is None else count * WORD_BYTES


def _tasks_table(tasks: list[dict[str, Any]]) -> RenderableType:
    columns = ["thread", "priority", "state", "stack used", "of", "full"]
    more = [key for key in ("runtime", "cswcnt") if any(task[key] for task in tasks)]
    titles = {"runtime": "cycles", "cswcnt": "switches"}
    rows = [
        (
            task["name"] or "(no name)",
            task["prio"],
            state_text(task["state"]),
            task["stkuse_bytes"],
            task["stksiz_bytes"],
            _share(task["stkuse_bytes"], task["stksiz_bytes"]),
            *(task[key] for key in more),
        )
        for task in tasks
    ]
    return table("", (*columns, *(titles[key] for key in more)), rows)


def state_text(state: int) -> str:
    """The bits of a thread's state in words, those without a word as a number; - if none is set."""
    named = [word for bit, word in STATES.items() if state & bit]
    rest = state & ~sum(STATES)
    return ", ".join([*named, *([f"0x{rest:02x}"] if rest else [])]) or "-"


def _share(used: int | None, size: int | None) -> str | None:
    return f"{round(100 * used / size)} %" if used is not None and size else None


async def show_pools(conn: Connection, out: Output) -> None:
    """Show the device's memory pools: blocks, free now, and the fewest that ever were free."""
    async with conn.client() as client:
        found = (await client.request(MemoryPools())).pools
    pools = [
        {"name": name, "blksiz": pool.blksiz, "nblks": pool.nblks, "nfree": pool.nfree, "min": pool.min}
        for name, pool in found.items()
    ]
    columns = ("pool", "block size", "blocks", "free", "fewest free")
    out.emit({"pools": pools}, lambda: table("", columns, [tuple(pool.values()) for pool in pools]))


# --- what it is built with ------------------------------------------------------------------------------------------


async def show_bootloader(conn: Connection, out: Output, query: str | None) -> None:
    """Show which bootloader the device has, and how that installs updates; or its answer to a query."""
    async with conn.client() as client:
        if query is not None:
            await _raw_query(client, out, query)
            return
        name = (await client.request(BootloaderInfo())).bootloader
        try:
            mode = await client.request(BootloaderInfo("mode"))
        except DeviceError:  # no MCUboot
            mode = BootloaderInfoReply()
        try:
            active = (await client.request(BootloaderInfo(ACTIVE_B0_SLOT))).active
        except DeviceError:  # no b0 below it, or firmware that does not know it
            active = None
    data = {
        "bootloader": name,
        "mode": mode.mode,
        "mode_name": mode_name(mode.mode),
        "no_downgrade": None if mode.mode is None else bool(mode.no_downgrade),
        **({} if active is None else {"active_b0_slot": active}),
    }
    pairs = (
        ("bootloader", name),
        ("updates by", data["mode_name"]),
        ("refuses older versions", data["no_downgrade"]),
        ("active MCUboot slot", active),
    )
    out.emit(data, lambda: facts([pair for pair in pairs if pair[1] is not None]))


async def _raw_query(client: Client, out: Output, query: str) -> None:
    request = RawRequest(GROUP, BootloaderInfo.command, payload=BootloaderInfo(query).to_map())
    found = {str(name): plain(value) for name, value in (await client.request(request)).entries.items()}
    out.emit(found, lambda: facts(list(found.items())))


async def show_buffers(conn: Connection, out: Output) -> None:
    """Show the device's SMP buffers: bytes of one, and how many there are."""
    async with conn.client() as client:
        found = await client.request(Params())
    data = {"buf_size": found.buf_size, "buf_count": found.buf_count}
    out.emit(data, lambda: facts([("bytes of a buffer", found.buf_size), ("buffers", found.buf_count)]))
