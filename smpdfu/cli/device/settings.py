"""``settings``: the firmware's key-value store. ``settings_store.py`` does the work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from smpdfu.cli.app.command import Connection
from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Full name of the setting, such as app/interval.")]


def register(app: Group) -> None:
    """Add the commands to ``app``."""
    group = Group("Read and write the firmware's settings.")
    for function in (read, write, delete, commit, load, save):
        command(group, function.__name__)(function)
    app.add_group("settings", group)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a value is shown, or where it goes."""

    hex: Annotated[bool, typer.Option("--hex", help="Print the value as hex, even if it is text.")] = False
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the value to a file, byte for byte.")
    ] = None
    max_size: Annotated[
        int | None, typer.Option("--max-size", metavar="N", min=0, max=0xFFFFFFFF, help="Ask for at most N bytes.")
    ] = None


async def read(name: NameArgument, wanted: Wanted, conn: Connection, out: Output) -> None:
    """Show a setting: as text if it is text, otherwise as hex."""
    from smpdfu.cli.device.settings_store import read_setting

    await read_setting(conn, out, name, as_hex=wanted.hex, output=wanted.output, max_size=wanted.max_size)


@dataclass(frozen=True, slots=True)
class Value:
    """What to write; one of three."""

    text: Annotated[
        str | None, typer.Argument(metavar="[VALUE]", help="The value as text. smpdfu sends it without a final NUL.")
    ] = None
    hex: Annotated[str | None, typer.Option("--hex", metavar="HEX", help="The value as hex, such as 0a00.")] = None
    file: Annotated[Path | None, typer.Option("--file", metavar="FILE", help="Read the value from this file.")] = None


async def write(name: NameArgument, value: Value, conn: Connection, out: Output) -> None:
    """Set a value in the running firmware. `settings save` keeps it over a reset."""
    from smpdfu.cli.device.settings_store import write_setting

    await write_setting(conn, out, name, text=value.text, as_hex=value.hex, file=value.file)


async def delete(name: NameArgument, conn: Connection, out: Output) -> None:
    """Remove a setting from the store."""
    from smpdfu.cli.device.settings_store import delete_setting

    await delete_setting(conn, out, name)


async def commit(conn: Connection, out: Output) -> None:
    """Make the firmware use the values that you set."""
    from smpdfu.cli.device.settings_store import commit_settings

    await commit_settings(conn, out)


async def load(conn: Connection, out: Output) -> None:
    """Make the firmware read all settings from its store again. Values that you did not save are lost."""
    from smpdfu.cli.device.settings_store import load_settings

    await load_settings(conn, out)


async def save(
    conn: Connection,
    out: Output,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Save only this branch, if the firmware supports it.")
    ] = None,
) -> None:
    """Write the settings to the store, so that they survive a reset."""
    from smpdfu.cli.device.settings_store import save_settings

    await save_settings(conn, out, name)
