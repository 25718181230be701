"""One device: ``list test confirm erase reset echo info`` and, in its own file, ``upload``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smpdfu.cli.options import Connection, command
from smpdfu.cli.show import Output, facts, table, words
from smpdfu.cli.upload import upload
from smpdfu.errors import PlanError, ResponseTimeoutError, StepError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.client import Client
    from smpdfu.smp.groups.image import ImageSlot

PANEL = "Device"
FLAGS = ("active", "confirmed", "pending", "permanent", "bootable")

HashArgument = Annotated[str | None, typer.Argument(metavar="[HASH]", help="Hash of the image, or its beginning.")]
ImageOption = Annotated[int | None, typer.Option("-n", "--image", metavar="N", min=0, max=255, help="Image number.")]
SlotOption = Annotated[
    int | None, typer.Option("--slot", metavar="N", min=0, max=1, help="Slot of the image: 0 primary, 1 secondary.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``; those about images also under mcumgr's words, ``smpdfu image ...``."""
    images: dict[str, Callable[..., Any]] = {
        "list": list_images,
        "upload": upload,
        "test": mark_test,
        "confirm": confirm,
        "erase": erase,
    }
    under_image = typer.Typer(help="The image commands under mcumgr's words.", no_args_is_help=True)
    for name, function in images.items():
        command(app, name, rich_help_panel=PANEL)(function)
        command(under_image, name)(function)
    others: tuple[Callable[..., Any], ...] = (reset, echo, info)
    for function in others:
        command(app, function.__name__, rich_help_panel=PANEL)(function)
    app.add_typer(under_image, name="image", rich_help_panel=PANEL)


# --- images ---------------------------------------------------------------------------------------------------------


async def list_images(conn: Connection, out: Output) -> None:
    """Show what is in the slots: version, hash and flags."""
    async with conn.client() as client:
        emit_slots(out, await _slots(client))


async def mark_test(conn: Connection, out: Output, hash_: HashArgument = None, image: ImageOption = None) -> None:
    """Mark an image for a test at the next boot; without HASH, the one in the slot that does not run."""
    from smpdfu.dfu.state import DeviceState
    from smpdfu.dfu.steps import mark

    async with conn.client() as client:
        state = DeviceState(await _slots(client))
        chosen = _find(state.slots, hash_, image)
        assert chosen.hash is not None, "only such are found"
        with _final():
            emit_slots(out, (await mark(client, state, chosen.hash)).slots)


async def confirm(conn: Connection, out: Output, hash_: HashArgument = None, image: ImageOption = None) -> None:
    """Confirm the running image; with HASH of another one, mark that for good, without a test."""
    from smpdfu.dfu import steps
    from smpdfu.dfu.state import DeviceState
    from smpdfu.smp.groups.image import StateWrite

    async with conn.client() as client:
        state = DeviceState(await _slots(client))
        running = state.running
        chosen = running if hash_ is None and not image else _find(state.slots, hash_, image)
        if chosen is None or chosen.hash is None:  # a device that does not tell what runs
            await client.request(StateWrite(confirm=True))
            emit_slots(out, await _slots(client))
        elif chosen == running:
            with _final():
                emit_slots(out, (await steps.confirm(client, state, chosen.hash)).slots)
        else:
            out.warn("this image has not proved itself: it will run for good after the next reset, with no way back")
            with _final():
                emit_slots(out, (await steps.mark(client, state, chosen.hash, permanent=True)).slots)


@contextmanager
def _final() -> Iterator[None]:
    """For steps of an update that stand alone here: the same command again would not go on with them."""
    try:
        yield
    except StepError as error:
        raise StepError(str(error), error.step, resumable=False) from error


async def erase(conn: Connection, out: Output, image: ImageOption = None, slot: SlotOption = None) -> None:
    """Erase a slot; without options, the one that does not run."""
    from smpdfu.client import ERASE_TIMEOUT_S
    from smpdfu.smp.groups.image import Erase

    flat = None if image is None and slot is None else 2 * (image or 0) + (1 if slot is None else slot)
    async with conn.client() as client:
        await _slots(client)  # a device that is not there is found out soon, not after the time of an erase
        await client.request(Erase(flat), timeout_s=conn.timeout_or(ERASE_TIMEOUT_S))
        emit_slots(out, await _slots(client))


async def _slots(client: Client) -> tuple[ImageSlot, ...]:
    from smpdfu.smp.groups.image import StateRead

    return (await client.request(StateRead())).images


def _find(slots: Sequence[ImageSlot], text: str | None, image: int | None) -> ImageSlot:
    """The slot whose hash begins with ``text``; without a text, the only one that does not run."""
    listed = [slot for slot in slots if slot.hash is not None and (image is None or slot.image == image)]
    if text is None:
        found = [slot for slot in listed if not slot.active]
        what = "in a slot that does not run" if image is None else f"of number {image} in a slot that does not run"
    else:
        found = [slot for slot in listed if slot.hash is not None and slot.hash.hex().startswith(_hex(text))]
        what = f"whose hash begins with {text}"
    if not found:
        raise PlanError(f"the device lists no image {what}: `smpdfu list` shows what it has")
    if len({slot.hash for slot in found}) > 1:
        raise PlanError(f"the device lists {len(found)} images {what}: give more of the hash")
    return found[0]


def _hex(text: str) -> str:
    plain = text.lower().removeprefix("0x")
    if len(plain) < 4 or set(plain) - set("0123456789abcdef"):
        raise typer.BadParameter(f"{text!r} is not a hash: give at least 4 hex digits, as `smpdfu list` shows them")
    return plain


def emit_slots(out: Output, slots: Iterable[ImageSlot]) -> None:
    """The list of images, for people or as ``{"images": [...]}``."""
    listed = list(slots)
    out.emit({"images": [slot_data(slot) for slot in listed]}, lambda: slots_table(listed))


def slot_data(slot: ImageSlot) -> dict[str, Any]:
    """One slot for ``--json``."""
    flags = {flag: getattr(slot, flag) for flag in FLAGS}
    return {"image": slot.image, "slot": slot.slot, "version": version_text(slot.version), "hash": slot.hash, **flags}


def slots_table(slots: Sequence[ImageSlot], title: str = "") -> RenderableType:
    """A line per slot that holds an image. A bootloader's recovery tells no flags at all."""
    told = any(getattr(slot, flag) for slot in slots for flag in FLAGS)
    rows = [
        (
            slot.image,
            slot.slot,
            version_text(slot.version),
            " ".join(_shown(slot)) if told else "not told",
            slot.hash and slot.hash.hex(),
        )
        for slot in slots
    ]
    return table(title, ("image", "slot", "version", "flags", "hash"), rows or [("", "", "no image", "", "")])


def _shown(slot: ImageSlot) -> list[str]:
    # Every image that was sent whole is "bootable"; people look for what stands out.
    return [flag for flag in FLAGS[:-1] if getattr(slot, flag)] + ([] if slot.bootable else ["not bootable"])


def version_text(version: str) -> str:
    """A device's version in MCUboot's writing: ``1.2.3.4`` is ``1.2.3+4``."""
    from smpdfu.image.format import Version

    try:
        return str(Version.from_text(version))
    except ValueError:
        return version


# --- the device itself ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Restart:
    """How to restart, and whether to see it through."""

    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the device is back.")] = True
    boot_timeout: Annotated[
        float, typer.Option("--boot-timeout", metavar="SECONDS", min=1, help="How long to wait for it.")
    ] = 120.0
    force: Annotated[bool, typer.Option("--force", help="Restart even if the firmware would refuse.")] = False
    boot_mode: Annotated[
        int | None,
        typer.Option(
            "--boot-mode", metavar="N", min=0, max=255, help="What to boot, where it can: 1 is the recovery mode."
        ),
    ] = None


async def reset(conn: Connection, out: Output, how: Restart) -> None:
    """Restart the device, wait until it is back and show its images; a pending image is installed on the way."""
    from smpdfu.dfu.state import DeviceState
    from smpdfu.dfu.steps import Deadlines, restart

    async with conn.client() as client:
        if how.boot_mode is not None or not how.wait:
            await _reset_only(client, out, how)
            return
        with _final():
            before = DeviceState(await _slots(client))
            state = await restart(client, before, Deadlines(how.boot_timeout), force=how.force)
        emit_slots(out, state.slots)


async def _reset_only(client: Client, out: Output, how: Restart) -> None:
    """Without a look at what runs before and after: another mode than the firmware's may have nothing to show."""
    acknowledged = await client.reset(force=how.force, boot_mode=how.boot_mode)
    if not acknowledged and not how.wait:
        raise ResponseTimeoutError("os reset", client.timeout_s)
    if how.wait:
        await client.wait_for_device(how.boot_timeout)
    said = "the device is back and answers" if how.wait else "the device is restarting"
    mode = {} if how.boot_mode is None else {"boot_mode": how.boot_mode, "acknowledged": acknowledged}
    out.emit({"reset": True, **mode}, lambda: said)


SHORT = 64
"""Characters of a text that every server has room for."""


async def echo(
    conn: Connection, out: Output, text: Annotated[str, typer.Argument(metavar="TEXT", help="What to send.")]
) -> None:
    """Send a text to the device and print what comes back."""
    from smpdfu.smp.groups.os import Echo

    async with conn.client() as client:
        if len(text) > SHORT:
            await client.params()  # a message that no buffer can hold gets no answer: better told before
        reply = await client.request(Echo(text))
    out.emit({"echo": reply.r}, lambda: words(reply.r))


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


async def info(
    conn: Connection,
    out: Output,
    letters: Annotated[
        str | None,
        typer.Option("--format", metavar="LETTERS", help="Only the line for these letters of snrvbmpio; a: for all."),
    ] = None,
) -> None:
    """Show what the device tells about itself: firmware, bootloader, buffers and slots."""
    from smpdfu.dfu.steps import ask
    from smpdfu.smp.groups.image import SlotInfo
    from smpdfu.smp.groups.os import BootloaderInfo, Info

    found: dict[str, Any] = {}
    async with conn.client() as client:
        if letters is not None:
            line = (await client.request(Info(letters))).output
            out.emit({"output": line}, lambda: words(line))
            return
        for name, letter in INFO.items():
            answer = await ask(client, Info(letter))
            found[name] = answer and answer.output
        bootloader, mode = await ask(client, BootloaderInfo()), await ask(client, BootloaderInfo("mode"))
        params, slots = await client.params(), await ask(client, SlotInfo())
    found["bootloader"] = bootloader and bootloader.bootloader
    found["bootloader_mode"] = mode and mode_name(mode.mode)
    found["no_downgrade"] = mode and bool(mode.no_downgrade)
    found["buf_size"], found["buf_count"] = (params.buf_size, params.buf_count) if params else (None, None)
    found["slots"] = [
        {"image": one.image, "slot": slot.slot, "size_bytes": slot.size, "max_image_size_bytes": one.max_image_size}
        | ({} if slot.rc is None else {"rc": slot.rc})
        for one in (slots.images if slots else ())
        for slot in one.slots
    ]
    out.emit(found, lambda: _info_text(found))


def mode_name(number: int | None) -> str | None:
    """How the bootloader updates, in words; None if it did not tell."""
    from smpdfu.dfu.state import mode_of

    mode = mode_of(number)
    if mode is None:
        return None
    return mode.name.lower().replace("_", " ") if mode == number else f"mode {number}"


def _info_text(found: dict[str, Any]) -> RenderableType:
    pairs = [(name.replace("_", " "), value) for name, value in found.items() if name != "slots" and value is not None]
    sizes = [(f"image {one['image']} slot {one['slot']}", _slot_text(one)) for one in found["slots"]]
    return facts([*pairs, *sizes] or [("nothing", "this build tells nothing about itself")])


def _slot_text(slot: Mapping[str, Any]) -> str:
    if slot["size_bytes"] is not None:
        return f"{slot['size_bytes']} bytes"
    return f"slot not readable (rc {slot['rc']})" if "rc" in slot else "the device does not tell its size"
