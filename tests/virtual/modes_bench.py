"""Benches for the modes in which MCUboot swaps nothing: states of the slots, and what a boot leaves of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smpdfu.image.format import Version
from smpdfu.image.keys.keys import generate
from smpdfu.image.signing.encrypt import DecryptionKey
from smpdfu.virtual.boot.bootloader import BootKeys, BootOptions, BootResult
from smpdfu.virtual.boot.slot import Slot
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import Resources

if TYPE_CHECKING:
    from tests.virtual.virtual_bench import HEADER, SIGNING, Bench, firmware, small_layout
else:
    from virtual_bench import HEADER, SIGNING, Bench, firmware, small_layout

STRANGER = generate("ecdsa-p256")


@dataclass(frozen=True)
class State:
    """An image of version ``major`` in a slot, and the fields of the trailer that are written: ``marks``.

    ``linked`` is the number of the slot that it is linked for (None: the one where it lies), ``rom_fixed`` that of the
    slot whose address is in the header (None: no flag). ``at`` is the address for RAM_LOAD (None: no flag), and
    ``linked_at`` the address in RAM that it is linked for, if that is another.
    """

    major: int
    marks: str = ""
    linked: int | None = None
    rom_fixed: int | None = None
    at: int | None = None
    linked_at: int | None = None
    signed: bool = True
    encrypt: DecryptionKey | None = None
    bootable: bool = True
    build: int = 0


def bench_in(mode: BootMode, decryption: DecryptionKey | None = None, **options: Any) -> Bench:
    """A small device whose bootloader is built in ``mode``."""
    keys = BootKeys((SIGNING.public,), decryption, options=BootOptions(**options))
    return Bench(small_layout().in_mode(mode), keys)


def image_of(bench: Bench, number: int, state: State) -> bytes:
    """The image that ``state`` describes, for slot ``number``."""
    starts = [slot.start for slot in small_layout().images[0].places]
    linked = starts[number if state.linked is None else state.linked]
    if state.at is not None:
        linked = state.at if state.linked_at is None else state.linked_at
    data = firmware(10 * state.major + number, linked + HEADER, 9000)
    return bench.image(
        data,
        key=SIGNING if state.signed else STRANGER,
        version=Version(state.major, build=state.build),
        rom_fixed=0 if state.rom_fixed is None else starts[state.rom_fixed],
        load_addr=state.at or 0,
        non_bootable=not state.bootable,
        encrypt=state.encrypt,
    )


def put(bench: Bench, number: int, state: State | None) -> None:
    """Write a slot as ``state`` describes it; None erases it."""
    slot = bench.slots.places[number]
    slot.area.erase_all()
    if state is None:
        return
    data = image_of(bench, number, state)
    slot.area.program(0, data + b"\xff" * (-len(data) % 4))
    mark(slot, state.marks)


def mark(slot: Slot, marks: str) -> None:
    """Write fields of a trailer by their names; ``bad`` is a magic that is none."""
    for name in marks.split():
        if name == "bad":
            slot.area.program(slot.area.size_bytes - 16, bytes(16))
        else:
            getattr(slot, f"write_{name}")()


def left(slot: Slot) -> str:
    """What is in a slot, in short: ``2 magic copy_done``; ``-`` for nothing at all."""
    if slot.area.read_all().count(0xFF) == slot.area.size_bytes:
        return "-"
    header, trailer = slot.header(), slot.trailer()
    words = [str(header.version.major) if header else "?"]
    words += {"good": ["magic"], "bad": ["bad"], "unset": []}[trailer.magic]
    words += [name for name in ("copy_done", "image_ok") if getattr(trailer, name) == "set"]
    return " ".join(words)


def ended(result: BootResult) -> int | str:
    """The number of the slot that runs, or how the boot ended."""
    return str(result.ending) if result.running is None else result.running.slot


def device_of(bench: Bench) -> VirtualNrf5340:
    """The bench's chip as a device without power; a reset happens right behind its answer."""
    flashes = {"app": bench.app, "net": bench.net_flash}
    return VirtualNrf5340(bench.layout, bench.keys, flashes=flashes, resources=Resources(reset_delay_s=0.0))
