"""The images of a device, for people and for ``--json``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from smpdfu.cli.terminal.show import HashOutput, table
from smpdfu.image.format import Version
from smpdfu.smp.groups.image import ImageSlot, StateRead

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.client import Client

FLAGS = ("active", "confirmed", "pending", "permanent", "bootable")


def slot_data(slot: ImageSlot) -> dict[str, Any]:
    """One slot for ``--json``."""
    flags = {flag: getattr(slot, flag) for flag in FLAGS}
    return {"image": slot.image, "slot": slot.slot, "version": version_text(slot.version), "hash": slot.hash, **flags}


async def slots_of(client: Client) -> tuple[ImageSlot, ...]:
    """Ask for the list of images. Raises DeviceError or LinkError."""
    return (await client.request(StateRead())).images


def emit_slots(out: HashOutput, slots: Iterable[ImageSlot]) -> None:
    """The list of images, for people or as ``{"images": [...]}``."""
    listed = list(slots)
    out.emit({"images": [slot_data(slot) for slot in listed]}, lambda: slots_table(listed, long=out.long))


def slots_table(slots: Sequence[ImageSlot], title: str = "", *, long: bool = False) -> RenderableType:
    """A line per slot that holds an image, with whole hashes if ``long``. Serial recovery reports no flags."""
    told = any(getattr(slot, flag) for slot in slots for flag in FLAGS)
    rows = [
        (
            slot.image,
            slot.slot,
            version_text(slot.version),
            " ".join(_shown(slot)) if told else "not told",
            slot.hash,
        )
        for slot in slots
    ]
    columns = ("image", "slot", "version", "flags", "hash")
    return table(title, columns, rows or [("", "", "no image", "", "")], long=long)


def _shown(slot: ImageSlot) -> list[str]:
    # Every image that was sent whole is "bootable"; people look for what stands out.
    return [flag for flag in FLAGS[:-1] if getattr(slot, flag)] + ([] if slot.bootable else ["not bootable"])


def version_text(version: str) -> str:
    """A device's version in MCUboot's writing: ``1.2.3.4`` is ``1.2.3+4``."""
    try:
        return str(Version.from_text(version))
    except ValueError:
        return version
