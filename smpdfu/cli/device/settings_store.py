"""``settings``: reads and writes the firmware's key-value store, and shows what was read or done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.cli.app.command import Connection
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output, words
from smpdfu.image.files import read_bounded, write_file_atomic
from smpdfu.smp.groups.settings import (
    SettingsCommit,
    SettingsDelete,
    SettingsLoad,
    SettingsRead,
    SettingsSave,
    SettingsWrite,
)

if TYPE_CHECKING:
    from smpdfu.smp.message import Empty, Request

MAX_VALUE_BYTES = 0xFFFF


async def read_setting(
    conn: Connection, out: Output, name: str, *, as_hex: bool, output: Path | None, max_size: int | None
) -> None:
    """Show a value, or write it to the file ``output``."""
    async with conn.client() as client:
        reply = await client.request(SettingsRead(name, max_size))
    if reply.max_size is not None:
        out.warn(f"this device sends {reply.max_size} bytes of a value at most: the value may be longer")
    if output is not None:
        write_file_atomic(output, reply.val, mode=0o600)  # it may be a secret
    text = text_of(reply.val)
    data = {"name": name, "value": reply.val, "text": text, "max_size": reply.max_size, "file": output}
    if output is not None:
        out.emit(data, lambda: words(f"{name}: {len(reply.val)} bytes written to {output}"))
    else:
        out.emit(data, lambda: words(reply.val.hex() if text is None or as_hex else text))


def text_of(value: bytes) -> str | None:
    """Return the text in a value, as C keeps it with or without its NUL; None if it is none."""
    try:
        text = value.removesuffix(b"\0").decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None


async def write_setting(
    conn: Connection, out: Output, name: str, *, text: str | None, as_hex: str | None, file: Path | None
) -> None:
    """Set a value in the running firmware: one of ``text``, ``as_hex`` and the content of ``file``."""
    data = value_bytes(text, as_hex, file)
    async with conn.client() as client:
        await client.params()  # how long a message may be
        await client.request(SettingsWrite(name, data))
    said = f"{name} is set ({len(data)} bytes); `smpdfu settings save` keeps it over a reset"
    out.emit({"name": name, "bytes": len(data), "written": True}, lambda: words(said))


def value_bytes(text: str | None, as_hex: str | None, file: Path | None) -> bytes:
    """Return the bytes to write. Raises typer.BadParameter, or OSError for the file."""
    if sum(one is not None for one in (text, as_hex, file)) != 1:
        raise typer.BadParameter("give the value as text, or with --hex or --file: one of them")
    if text is not None:
        return text.encode(errors="surrogateescape")
    if file is not None:
        return read_bounded(file, MAX_VALUE_BYTES)
    try:
        return bytes.fromhex((as_hex or "").removeprefix("0x"))
    except ValueError:
        raise typer.BadParameter(f"--hex {as_hex!r} is not hex: two digits a byte, such as 0a00") from None


async def delete_setting(conn: Connection, out: Output, name: str) -> None:
    """Remove a setting from the store."""
    await _do(conn, SettingsDelete(name))
    out.emit({"name": name, "deleted": True}, lambda: words(f"{name} is deleted"))


async def commit_settings(conn: Connection, out: Output) -> None:
    """Make the firmware use the values that were set."""
    await _do(conn, SettingsCommit())
    out.emit({"committed": True}, lambda: "the firmware uses the new values")


async def load_settings(conn: Connection, out: Output) -> None:
    """Make the firmware read all settings from its store again."""
    await _do(conn, SettingsLoad())
    out.emit({"loaded": True}, lambda: "the settings are read from the store")


async def save_settings(conn: Connection, out: Output, name: str | None) -> None:
    """Write the settings to the store, or only the branch ``name``."""
    await _do(conn, SettingsSave(name))
    said = "the settings are saved" if name is None else f"{name} is saved"
    out.emit({"name": name, "saved": True}, lambda: words(said))


async def _do(conn: Connection, request: Request[Empty]) -> Any:
    async with conn.client() as client:
        return await client.request(request)
