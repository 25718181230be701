"""Groups with a command or two: ``stat enum storage``."""

from __future__ import annotations

import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smpdfu.cli.app.command import Connection, Interrupted, command
from smpdfu.cli.terminal.show import Output, table
from smpdfu.untrusted.text import line

if TYPE_CHECKING:
    from smpdfu.client import Client
    from smpdfu.smp.groups.enum import GroupInfo

EXIT_DECLINED = 130


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    stat = typer.Typer(help="The firmware's counters.", no_args_is_help=True)
    command(stat, "list")(list_stats)
    command(stat, "show")(show_stats)
    app.add_typer(stat, name="stat")
    command(app, "enum")(enum)
    storage = typer.Typer(help="The partition in which the firmware keeps its settings.", no_args_is_help=True)
    command(storage, "erase")(erase_storage)
    app.add_typer(storage, name="storage")


# --- stat -----------------------------------------------------------------------------------------------------------


async def list_stats(conn: Connection, out: Output) -> None:
    """Show which groups of counters there are."""
    from smpdfu.smp.groups.stat import StatList

    async with conn.client() as client:
        names = (await client.request(StatList())).stat_list
    out.emit({"groups": list(names)}, lambda: table("", ("group",), [(name,) for name in names]))


async def show_stats(
    conn: Connection,
    out: Output,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The group; all of them if not given.")] = None,
) -> None:
    """Show the counters of a group, or of all groups that the device can tell."""
    from smpdfu.cli.app.ending import conclude
    from smpdfu.errors import DeviceError
    from smpdfu.smp.groups.stat import StatData, StatDataReply, StatList

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


async def enum(conn: Connection, out: Output) -> None:
    """Show which groups of commands the device has."""
    from smpdfu.smp.describe import GROUPS

    async with conn.client() as client:
        found = await _groups(client)
    groups = [{"group": one.group, "name": one.name, "handlers": one.handlers} for one in found]
    rows = [(one.group, one.name or GROUPS.get(one.group), one.handlers) for one in found]
    out.emit({"groups": groups}, lambda: table("", ("group", "name", "commands"), rows))


async def _groups(client: Client) -> tuple[GroupInfo, ...]:
    """With names and numbers of commands; without them from a device that cannot tell, or not all at once."""
    from smpdfu.errors import DeviceError
    from smpdfu.smp.groups.enum import GroupDetails, GroupInfo, GroupList

    try:
        return (await client.request(GroupDetails())).groups
    except DeviceError:
        pass
    try:
        return tuple(map(GroupInfo, (await client.request(GroupList())).groups))
    except DeviceError:
        return await _one_by_one(client)


async def _one_by_one(client: Client) -> tuple[GroupInfo, ...]:
    from smpdfu.smp.groups.enum import GroupCount, GroupInfo, GroupSingle

    count = (await client.request(GroupCount())).count
    return tuple([GroupInfo((await client.request(GroupSingle(index))).group) for index in range(count)])


# --- storage --------------------------------------------------------------------------------------------------------


def erase_storage(
    conn: Connection,
    out: Output,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; needed where stdin is no terminal.")] = False,
) -> Coroutine[Any, Any, None]:
    """Erase the storage partition: all settings, bonds and what else the firmware keeps there."""
    # Asked outside the event loop, in which Ctrl-C would wait for an answer.
    _confirm(f"Erase the settings, bonds and all else that {conn.address()} keeps in its storage?", yes=yes)
    return _erase_storage(conn, out)


async def _erase_storage(conn: Connection, out: Output) -> None:
    from smpdfu.client import ERASE_TIMEOUT_S
    from smpdfu.smp.groups.zephyr import EraseStorage

    async with conn.client() as client:
        await client.params()  # a device that is not there is found out soon, not after the time of an erase
        await client.request(EraseStorage(), timeout_s=conn.timeout_or(ERASE_TIMEOUT_S))
    said = "the storage is erased; `smpdfu reset` starts the firmware without what it still has in RAM"
    out.emit({"erased": True}, lambda: said)


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("this cannot be undone: say --yes")
    try:
        agreed = typer.confirm(line(question), err=True)
    except typer.Abort:  # Ctrl-C, or stdin's end
        typer.echo(err=True)
        raise Interrupted from None
    if not agreed:
        raise typer.Exit(EXIT_DECLINED)
