"""``settings``: the firmware's key-value store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smpdfu.cli.app.command import Connection, command
from smpdfu.cli.terminal.show import Output, words

if TYPE_CHECKING:
    from smpdfu.smp.message import Empty, Request

MAX_VALUE_BYTES = 0xFFFF

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Full name of the setting, such as app/interval.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    room = typer.Typer(help="Read and write the firmware's settings.", no_args_is_help=True)
    for function in (read, write, delete, commit, load, save):
        command(room, function.__name__)(function)
    app.add_typer(room, name="settings")


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a value is shown, or where it goes."""

    hex: Annotated[bool, typer.Option("--hex", help="Print the value as hex, even if it is text.")] = False
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the value to a file, byte for byte.")
    ] = None
    max_size: Annotated[
        int | None, typer.Option("--max-size", metavar="N", min=0, max=0xFFFFFFFF, help="Ask for N bytes at most.")
    ] = None


async def read(name: NameArgument, wanted: Wanted, conn: Connection, out: Output) -> None:
    """Show a setting: as text if it is text, else as hex."""
    from smpdfu.smp.groups.settings import SettingsRead

    async with conn.client() as client:
        reply = await client.request(SettingsRead(name, wanted.max_size))
    if reply.max_size is not None:
        out.warn(f"this device tells {reply.max_size} bytes of a value at most: there may be more")
    if wanted.output is not None:
        from smpdfu.image.files import write_file_atomic

        write_file_atomic(wanted.output, reply.val, mode=0o600)  # it may be a secret
    text = text_of(reply.val)
    data = {
        "name": name,
        "value": reply.val,
        "text": text,
        "max_size": reply.max_size,
        "file": wanted.output,
    }
    if wanted.output is not None:
        out.emit(data, lambda: words(f"{name}: {len(reply.val)} bytes written to {wanted.output}"))
    else:
        out.emit(data, lambda: words(reply.val.hex() if text is None or wanted.hex else text))


def text_of(value: bytes) -> str | None:
    """The text in a value, as C keeps it with or without its NUL; None if it is none."""
    try:
        text = value.removesuffix(b"\0").decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None


@dataclass(frozen=True, slots=True)
class Value:
    """What to write; one of three."""

    text: Annotated[
        str | None, typer.Argument(metavar="[VALUE]", help="The value as text; it is sent without a NUL behind it.")
    ] = None
    hex: Annotated[str | None, typer.Option("--hex", metavar="HEX", help="The value as hex, such as 0a00.")] = None
    file: Annotated[Path | None, typer.Option("--file", metavar="FILE", help="The value is what is in this file.")] = (
        None
    )


async def write(name: NameArgument, value: Value, conn: Connection, out: Output) -> None:
    """Set a value in the running firmware; `settings save` keeps it over a reset."""
    from smpdfu.smp.groups.settings import SettingsWrite

    data = value_bytes(value)
    async with conn.client() as client:
        await client.params()  # how long a message may be
        await client.request(SettingsWrite(name, data))
    said = f"{name} is set ({len(data)} bytes); `smpdfu settings save` keeps it over a reset"
    out.emit({"name": name, "bytes": len(data), "written": True}, lambda: words(said))


def value_bytes(value: Value) -> bytes:
    """The bytes that were asked for. Raises typer.BadParameter, or OSError for the file."""
    given = [one for one in (value.text, value.hex, value.file) if one is not None]
    if len(given) != 1:
        raise typer.BadParameter("give the value as text, or with --hex or --file: one of them")
    if value.text is not None:
        return value.text.encode(errors="surrogateescape")
    if value.file is not None:
        from smpdfu.image.files import read_bounded

        return read_bounded(value.file, MAX_VALUE_BYTES)
    try:
        return bytes.fromhex((value.hex or "").removeprefix("0x"))
    except ValueError:
        raise typer.BadParameter(f"--hex {value.hex!r} is not hex: two digits a byte, such as 0a00") from None


async def delete(name: NameArgument, conn: Connection, out: Output) -> None:
    """Remove a setting from the store."""
    from smpdfu.smp.groups.settings import SettingsDelete

    await _do(conn, SettingsDelete(name))
    out.emit({"name": name, "deleted": True}, lambda: words(f"{name} is deleted"))


async def commit(conn: Connection, out: Output) -> None:
    """Make the firmware use what was set."""
    from smpdfu.smp.groups.settings import SettingsCommit

    await _do(conn, SettingsCommit())
    out.emit({"committed": True}, lambda: "the firmware was told to use what was set")


async def load(conn: Connection, out: Output) -> None:
    """Make the firmware read all settings from its store again; what was set and not saved is lost."""
    from smpdfu.smp.groups.settings import SettingsLoad

    await _do(conn, SettingsLoad())
    out.emit({"loaded": True}, lambda: "the settings are read from the store")


async def save(
    conn: Connection,
    out: Output,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Only this branch, where the firmware can do that.")
    ] = None,
) -> None:
    """Write the settings to the store, where they outlive a reset."""
    from smpdfu.smp.groups.settings import SettingsSave

    await _do(conn, SettingsSave(name))
    said = "the settings are saved" if name is None else f"{name} is saved"
    out.emit({"name": name, "saved": True}, lambda: words(said))


async def _do(conn: Connection, request: Request[Empty]) -> Any:
    async with conn.client() as client:
        return await client.request(request)
