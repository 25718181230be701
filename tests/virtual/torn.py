"""What flash holds when the power goes during any operation of a boot, from one boot that is never cut.

A boot that is cut at operation 500 does the same as one that is cut at 501, as far as it gets. So each operation is
first torn, by the flash itself, as often as asked, and undone, and then done. What a boot leaves depends on what flash
holds and on nothing else: the boots that follow equal contents are one boot.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from smpdfu.virtual.chip.chip import Chip
from smpdfu.virtual.chip.flash import Flash, PowerCut, Tear

Contents = Mapping[str, Mapping[int, bytes]]
"""The pages of each memory that are not blank, by name and address."""


def contents_of(chip: Chip) -> Contents:
    """What all memories hold."""
    return {name: dict(flash.pages()) for name, flash in chip.flashes.items()}


def load(chip: Chip, contents: Contents) -> None:
    """Make all memories hold that."""
    for name, flash in chip.flashes.items():
        flash.load(contents[name])


def torn_contents(
    chip: Chip, boot: Callable[[], object], cuts: Collection[tuple[int, Tear]]
) -> dict[tuple[int, Tear], Contents]:
    """What all memories hold after each of ``cuts`` (operation of ``boot``, tear); ``boot`` is not cut itself."""
    wanted, found, begun = frozenset(cuts), dict[tuple[int, Tear], Contents](), chip.power.operations
    undone = 0

    def at_operation(flash: Flash, operate: Callable[[], None]) -> None:
        nonlocal undone
        number, kept = chip.power.operations - begun - undone, dict(flash.pages())
        for tear in Tear:
            if (number, tear) in wanted:
                undone += 1
                _tear(chip, operate, tear)
                found[number, tear] = contents_of(chip)
                flash.load(kept)
        operate()

    with _each_operation(chip, at_operation):
        boot()
    return found


def _tear(chip: Chip, operate: Callable[[], None], tear: Tear) -> None:
    chip.power.cut_after, chip.power.tear = 0, tear
    try:
        operate()
    except PowerCut:
        return
    raise AssertionError("the power was to go during this operation")


@contextmanager
def _each_operation(chip: Chip, at_operation: Callable[[Flash, Callable[[], None]], None]) -> Iterator[None]:
    """Every operation of every memory goes through ``at_operation``."""

    def program(flash: Flash, address: int, data: bytes) -> None:
        at_operation(flash, partial(Flash.program, flash, address, data))

    def program_pieces(flash: Flash, address: int, data: bytes, piece_bytes: int) -> None:
        for done in range(0, len(data), piece_bytes):  # as a flash does on a supply that does not last
            program(flash, address + done, data[done : done + piece_bytes])

    def erase_page(flash: Flash, page: int) -> None:
        at_operation(flash, partial(Flash._erase_page, flash, page))

    for flash in chip.flashes.values():
        vars(flash).update(
            program=partial(program, flash),
            program_pieces=partial(program_pieces, flash),
            _erase_page=partial(erase_page, flash),
        )
    try:
        yield
    finally:
        for flash in chip.flashes.values():
            for name in ("program", "program_pieces", "_erase_page"):
                del vars(flash)[name]
