"""One device: ``list test confirm erase echo info`` and, in files of their own, ``reset`` and ``upload``."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smpdfu.cli.app.command import Connection, command
from smpdfu.cli.terminal.show import HashOutput, Output, facts, words
from smpdfu.cli.update.bootloader_options import BootloaderOptions
from smpdfu.cli.update.loader import loader_facts
from smpdfu.cli.update.reset import reset, state_before
from smpdfu.cli.update.slot_table import slot_data, slots_table, version_text
from smpdfu.cli.update.upload import upload
from smpdfu.errors import PlanError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.client import Client
    from smpdfu.dfu.decide.device_state import DeviceState
    from smpdfu.dfu.decide.evidence import Bootloader
    from smpdfu.dfu.decide.plan import Action, Step
    from smpdfu.dfu.do.same_device import SameDevice
    from smpdfu.smp.groups.image import ImageSlot

HASH_SIZES = (32, 48, 64)
"""Bytes of the hashes that an image can have: SHA-256, SHA-384, SHA-512."""

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
        command(app, name)(function)
        command(under_image, name)(function)
    others: tuple[Callable[..., Any], ...] = (reset, echo, info)
    for function in others:
        command(app, function.__name__)(function)
    app.add_typer(under_image, name="image")


# --- images ---------------------------------------------------------------------------------------------------------


async def list_images(conn: Connection, out: HashOutput) -> None:
    """Show what is in the slots: version, hash and flags."""
    async with conn.client() as client:
        emit_slots(out, await _slots(client))


async def mark_test(conn: Connection, out: HashOutput, hash_: HashArgument = None, image: ImageOption = None) -> None:
    """Mark an image for a test at the next boot. Without HASH, it marks the one in the slot that does not run."""
    from smpdfu.dfu.decide.plan import Action
    from smpdfu.dfu.do.steps import mark

    async with conn.client() as client:
        same, state = await _met(client)
        chosen = _find(state.slots, hash_, image)
        assert chosen.hash is not None, "only such are found"
        await same.check(_step(Action.TEST), state)
        emit_slots(out, (await mark(client, state, chosen.hash)).slots)


async def confirm(conn: Connection, out: HashOutput, hash_: HashArgument = None, image: ImageOption = None) -> None:
    """Confirm the running image, or make another one permanent. With the HASH of another image, there is no test.

    An empty HASH is the running image, as for mcumgr.
    """
    from smpdfu.dfu.decide.one_image import fallback_during_trial
    from smpdfu.dfu.decide.plan import Action
    from smpdfu.dfu.do import steps
    from smpdfu.smp.groups.image import StateWrite

    async with conn.client() as client:
        same, state = await _met(client)
        running, keep = state.running, _step(Action.KEEP)
        chosen = running if not hash_ and not image else _find(state.slots, hash_ or None, image)
        if chosen is None or chosen.hash is None:  # a device that does not tell what runs
            await same.check(keep, state)
            await client.request(StateWrite(confirm=True))
            emit_slots(out, await _slots(client))
        elif chosen == running:
            await same.check(keep, state)
            emit_slots(out, (await steps.confirm(client, state, chosen.hash)).slots)
        elif fallback_during_trial(chosen, state.slots):
            raise PlanError(
                f"another image is on trial and version {version_text(chosen.version)} does not run; it is the "
                "fallback: `smpdfu reset` brings it back. Nothing was changed"
            )
        else:
            out.warn("this image has not proved itself: it will run for good after the next reset, with no way back")
            await same.check(keep, state)
            emit_slots(out, (await steps.mark(client, state, chosen.hash, permanent=True)).slots)


async def _met(client: Client) -> tuple[SameDevice, DeviceState]:
    """Which device this is, and the images that it lists."""
    from smpdfu.dfu.decide.device_state import DeviceState
    from smpdfu.dfu.do.same_device import SameDevice

    same = SameDevice(client)
    return same, await same.learn(DeviceState(await _slots(client)))


def _step(action: Action) -> Step:
    """A step that stands alone: nothing has booted since the device was met."""
    from smpdfu.dfu.decide.plan import Step
    from smpdfu.dfu.package.package import Core

    return Step(action, Core.APP)


async def erase(conn: Connection, out: HashOutput, image: ImageOption = None, slot: SlotOption = None) -> None:
    """Erase a slot; without options, the one that does not run."""
    from smpdfu.client import ERASE_TIMEOUT_S
    from smpdfu.dfu.decide.active_slot import wrong_active_slot
    from smpdfu.dfu.decide.checks.findings import refusal
    from smpdfu.dfu.decide.plan import Action
    from smpdfu.dfu.do.steps import read_state
    from smpdfu.smp.groups.image import Erase

    flat = None if image is None and slot is None else 2 * (image or 0) + (1 if slot is None else slot)
    async with conn.client() as client:
        # A device that is not there is found out soon, not after the time of an erase.
        same, state = await _met(client)
        from_slot_1 = any(one.active and one.slot for one in state.slots)
        if from_slot_1 and (errors := tuple(wrong_active_slot(await read_state(client)))):
            raise refusal(errors)
        await same.check(_step(Action.UPLOAD), state)
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
    """The hex digits of a hash, or of its beginning; a whole hash may be in base64, as some tools write it."""
    plain = text.lower().removeprefix("0x")
    if len(plain) >= 4 and not set(plain) - set("0123456789abcdef"):
        return plain
    try:
        data = base64.b64decode(
            text + "=" * (-len(text) % 4), altchars=b"-_" if {"-", "_"} & set(text) else None, validate=True
        )
    except ValueError:
        data = b""
    if len(data) not in HASH_SIZES:
        raise typer.BadParameter(f"{text!r} is not a hash: give at least 4 hex digits, as `smpdfu list` shows them")
    return data.hex()


def emit_slots(out: HashOutput, slots: Iterable[ImageSlot]) -> None:
    """The list of images, for people or as ``{"images": [...]}``."""
    listed = list(slots)
    out.emit({"images": [slot_data(slot) for slot in listed]}, lambda: slots_table(listed, long=out.long))


# --- the device itself ----------------------------------------------------------------------------------------------


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
    bootloader: BootloaderOptions,
    letters: Annotated[
        str | None,
        typer.Option("--format", metavar="LETTERS", help="Only the line for these letters of snrvbmpio; a: for all."),
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Restart the device first, to read what its bootloader prints.")
    ] = False,
) -> None:
    """Show what the device reports about itself. This is its firmware, bootloader, buffers and slots.

    No answer tells the bootloader's release. What is known of it, and why, is under "bootloader from".
    """
    from smpdfu.dfu.do.steps import ask
    from smpdfu.smp.groups.os import Info

    known = bootloader.known(conn)
    async with conn.client() as client:
        if letters is not None:
            line = (await client.request(Info(letters))).output
            out.emit({"output": line}, lambda: words(line))
            return
        if reset:
            await _restart_for_console(client)
        found: dict[str, Any] = {}
        for name, letter in INFO.items():
            answer = await ask(client, Info(letter))
            found[name] = answer and answer.output
        found |= await _bootloader_facts(client)
        found["loader"] = await _loader(client, conn, known)
    out.emit(found, lambda: _info_text(found))


async def _bootloader_facts(client: Client) -> dict[str, Any]:
    from smpdfu.dfu.do.steps import ask
    from smpdfu.smp.groups.image import SlotInfo
    from smpdfu.smp.groups.os import BootloaderInfo

    bootloader, mode = await ask(client, BootloaderInfo()), await ask(client, BootloaderInfo("mode"))
    params, slots = await client.params(), await ask(client, SlotInfo())
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


async def _restart_for_console(client: Client) -> None:
    """Raises PlanError where a restart would change what runs."""
    from smpdfu.dfu.do.one_image_steps import restart_alone
    from smpdfu.dfu.do.steps import DEADLINES

    state = await state_before(client)
    if state is None:
        await client.reset()
        await client.wait_for_device(DEADLINES.boot_s)
        return
    if any(slot.pending or slot.waits or (slot.active and not slot.confirmed) for slot in state.slots):
        raise PlanError("a restart would change what runs, for an image is pending or on trial: see `smpdfu list`")
    await restart_alone(client, state, DEADLINES)


async def _loader(client: Client, conn: Connection, known: Bootloader) -> dict[str, Any] | None:
    """What is known of the bootloader; None where the device has no image group."""
    from smpdfu.cli.update.loader import loader_data
    from smpdfu.connect import place_of
    from smpdfu.dfu.do.journal import journal_path, read_record
    from smpdfu.dfu.do.steps import read_state
    from smpdfu.dfu.do.update import Wish, known_of
    from smpdfu.errors import DeviceError

    try:
        state = await read_state(client)
    except DeviceError:
        return None
    record = read_record(journal_path(place_of(conn.address())))
    return loader_data(known_of(state, record, Wish(bootloader=known)))


def mode_name(number: int | None) -> str | None:
    """How the bootloader updates, in words; None if it did not tell."""
    from smpdfu.dfu.decide.device_state import mode_of

    mode = mode_of(number)
    if mode is None:
        return None
    return mode.name.lower().replace("_", " ") if mode == number else f"mode {number}"


def _info_text(found: dict[str, Any]) -> RenderableType:
    plain = {name: value for name, value in found.items() if name not in ("slots", "loader") and value is not None}
    pairs: list[tuple[str, object]] = [(name.replace("_", " "), value) for name, value in plain.items()]
    sizes = [(f"image {one['image']} slot {one['slot']}", _slot_text(one)) for one in found["slots"]]
    loader = loader_facts(found["loader"]) if found["loader"] else []
    return facts([*pairs, *sizes, *loader] or [("nothing", "this build tells nothing about itself")])


def _slot_text(slot: Mapping[str, Any]) -> str:
    if slot["size_bytes"] is not None:
        return f"{slot['size_bytes']} bytes"
    return f"slot not readable (rc {slot['rc']})" if "rc" in slot else "the device does not tell its size"
