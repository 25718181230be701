"""``stat enum storage``: groups with a command or two."""

from __future__ import annotations

import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from smpdfu.cli.app.command import Connection, Interrupted
from smpdfu.cli.app.ending import conclude
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.interruption import leaves
from smpdfu.cli.terminal.show import Output, table
from smpdfu.client import ERASE_TIMEOUT_S
from smpdfu.errors import DeviceError
from smpdfu.smp.describe import GROUPS
from smpdfu.smp.groups.enum import GroupCount, GroupDetails, GroupInfo, GroupList, GroupSingle
from smpdfu.smp.groups.stat import StatData, StatDataReply, StatList
from smpdfu.smp.groups.zephyr import EraseStorage
from smpdfu.untrusted.text import line

if TYPE_CHECKING:
    from smpdfu.client import Client

# --- stat -----------------------------------------------------------------------------------------------------------


async def show_stat_groups(conn: Connection, out: Output) -> None:
    """Show which groups of counters there are."""
    async with conn.client() as client:
        names = (await client.request(StatList())).stat_list
    out.emit({"groups": list(names)}, lambda: table("", ("group",), [(name,) for name in names]))


async def show_counters(conn: Connection, out: Output, name: str | None) -> None:
    """Show the counters of a group, or of all groups that the device can tell."""
    found: list[StatDataReply] = []
    refused: dict[str, DeviceError] = {}
    async with conn.client() as client:
        names = [name] if name is not None else (await client.request(StatList())).stat_list
        for one in names:
            try:
                found.append(await client.request(StatData(one)))
            except DeviceError as error:
                if name is not None:
                    raise
                refused[one] = error
    for one, why in refused.items():
        out.warn(f"the counters of {one} are missing: {why}")
    groups = [{"name": one.name, "fields": one.fields} for one in found]
    rows = [(one.name, key, value) for one in found for key, value in one.fields.items()]
    answer = {"groups": groups, "refused": [{"name": one, "reason": str(why)} for one, why in refused.items()]}
    first = next(iter(refused.values()), None)
    conclude(out, answer, lambda: table("", ("group", "counter", "value"), rows), first)


# --- enum -----------------------------------------------------------------------------------------------------------


async def show_groups(conn: Connection, out: Output) -> None:
    """Show which groups of commands the device has."""
    async with conn.client() as client:
        found = await _groups(client)
    groups = [{"group": one.group, "name": one.name, "handlers": one.handlers} for one in found]
    rows = [(one.group, one.name or GROUPS.get(one.group), one.handlers) for one in found]
    out.emit({"groups": groups}, lambda: table("", ("group", "name", "commands"), rows))


async def _groups(client: Client) -> tuple[GroupInfo, ...]:
    """With names and numbers of commands; without them from a device that cannot tell, or not all at once."""
    try:
        return (await client.request(GroupDetails())).groups
    except DeviceError:
        pass
    try:
        return tuple(map(GroupInfo, (await client.request(GroupList())).groups))
    except DeviceError:
        return await _one_by_one(client)


async def _one_by_one(client: Client) -> tuple[GroupInfo, ...]:
    count = (await client.request(GroupCount())).count
    return tuple([GroupInfo((await client.request(GroupSingle(index))).group) for index in range(count)])


# --- storage --------------------------------------------------------------------------------------------------------


def ask_and_erase(conn: Connection, out: Output, *, yes: bool) -> Coroutine[Any, Any, None]:
    """Ask a person, then erase the storage partition."""
    # Asked outside the event loop, in which Ctrl-C would wait for an answer.
    _confirm(f"Erase all settings, bonds and other data in the storage of {conn.address()}?", yes=yes)
    return _erase_storage(conn, out)


async def _erase_storage(conn: Connection, out: Output) -> None:
    async with conn.client() as client:
        await client.params()  # a device that is not there is found out soon, not after the time of an erase
        await client.request(EraseStorage(), timeout_s=conn.timeout_or(ERASE_TIMEOUT_S))
    said = "the storage is erased. Run `smpdfu reset`: the firmware still has the old values in RAM"
    out.emit({"erased": True}, lambda: said)


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("this cannot be undone, and stdin is not a terminal: give --yes")
    with leaves("Nothing was erased."):
        try:
            agreed = typer.confirm(line(question), err=True)
        except typer.Abort:  # Ctrl-C, or stdin's end
            typer.echo(err=True)
            raise Interrupted from None
        if not agreed:
            raise Interrupted
