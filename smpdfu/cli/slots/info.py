"""``info``: what a device reports about itself, its bootloader and its slots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from smpdfu.cli.app.command import Connection
from smpdfu.cli.terminal.show import Output, facts, words
from smpdfu.cli.update.bootloader_options import BootloaderOptions
from smpdfu.cli.update.known_bootloader import known_bootloader
from smpdfu.cli.update.loader import loader_data, loader_facts, mode_name
from smpdfu.client import Client
from smpdfu.dfu.decide.evidence import Bootloader
from smpdfu.dfu.do.slot_marks import restart_unchanged
from smpdfu.dfu.do.state_reading import ask, read_state
from smpdfu.dfu.do.update import Wish, known_of
from smpdfu.errors import DeviceError
from smpdfu.library import recorded_update
from smpdfu.smp.groups.image import SlotInfo
from smpdfu.smp.groups.os import BootloaderInfo, Info

if TYPE_CHECKING:
    from rich.console import RenderableType

# `os info`, letter by letter: one answer with all of them cannot be taken apart.
INFO = {
    "kernel": "s",
    "node": "n",
    "release": "r",
    "version": "v",
    "built": "b",
    "machine": "m",
    "processor": "p",
    "platform": "i",
    "system": "o",
}


async def show_info(
    conn: Connection, out: Output, bootloader: BootloaderOptions, letters: str | None, *, reset: bool
) -> None:
    """Show all that the device reports; with ``letters``, only its line for these. ``reset``: restart it first."""
    known = known_bootloader(bootloader, conn)
    async with conn.client() as client:
        if letters is not None:
            line = (await client.request(Info(letters))).output
            out.emit({"output": line}, lambda: words(line))
            return
        if reset:
            await restart_unchanged(client)
        found: dict[str, Any] = {}
        for name, letter in INFO.items():
            answer = await ask(client, Info(letter))
            found[name] = answer and answer.output
        found |= await _bootloader_facts(client)
        found["loader"] = await _loader(client, conn, known)
    out.emit(found, lambda: _info_text(found))


async def _bootloader_facts(client: Client) -> dict[str, Any]:
    bootloader, mode = await ask(client, BootloaderInfo()), await ask(client, BootloaderInfo("mode"))
    params = await client.params()
    slots = await ask(client, SlotInfo())
    return {
        "bootloader": bootloader and bootloader.bootloader,
        "bootloader_mode": mode and mode_name(mode.mode),
        "no_downgrade": mode and bool(mode.no_downgrade),
        "buf_size": params.buf_size if params else None,
        "buf_count": params.buf_count if params else None,
        "slots": [
            {"image": one.image, "slot": slot.slot, "size_bytes": slot.size, "max_image_size_bytes": one.max_image_size}
            | ({} if slot.rc is None else {"rc": slot.rc})
            for one in (slots.images if slots else ())
            for slot in one.slots
        ],
    }


async def _loader(client: Client, conn: Connection, known: Bootloader) -> dict[str, Any] | None:
    """What is known of the bootloader; None where the device has no image group."""
    try:
        state = await read_state(client)
    except DeviceError:
        return None
    record = recorded_update(conn.address())
    return loader_data(known_of(state, record, Wish(bootloader=known)))


def _info_text(found: dict[str, Any]) -> RenderableType:
    plain = {name: value for name, value in found.items() if name not in ("slots", "loader") and value is not None}
    pairs: list[tuple[str, object]] = [(name.replace("_", " "), value) for name, value in plain.items()]
    sizes = [(f"image {one['image']} slot {one['slot']}", _slot_text(one)) for one in found["slots"]]
    loader = loader_facts(found["loader"]) if found["loader"] else []
    return facts([*pairs, *sizes, *loader] or [("nothing", "this firmware reports nothing about itself")])


def _slot_text(slot: Mapping[str, Any]) -> str:
    if slot["size_bytes"] is not None:
        return f"{slot['size_bytes']} bytes"
    return f"slot not readable (rc {slot['rc']})" if "rc" in slot else "the device does not report its size"
