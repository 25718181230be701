"""A picture of a slot: what lies where, from first byte to last, and the share of each part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from smpdfu.cli.terminal.answers import Drawing
from smpdfu.image.trailer import SlotGeometry, max_image_size_bytes, trailer_size_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, ConsoleOptions, RenderResult

    from smpdfu.image.format import Image

Kind = Literal["header", "body", "tlvs", "free", "trailer", "stray"]

_WIDTH = 60
_STYLES: dict[Kind, str] = {
    "header": "cyan",
    "body": "green",
    "tlvs": "yellow",
    "free": "dim",
    "trailer": "magenta",
    "stray": "red",
}


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a slot, from ``start`` to before ``end``, counted from the slot's start."""

    name: str
    kind: Kind
    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        """How many."""
        return self.end - self.start


def parts_of(image: Image, size_bytes: int, slot: SlotGeometry | None = None) -> tuple[Part, ...]:
    """The parts of an image and of what follows it in a file of ``size_bytes``, or in ``slot``; no empty ones."""
    ends: list[tuple[str, Kind, int]] = [
        ("header", "header", image.header.hdr_size),
        ("payload (encrypted)" if image.encrypted else "payload", "body", image.protected_offset),
        ("protected TLVs", "tlvs", image.unprotected_offset),
        ("TLVs", "tlvs", image.size_bytes),
        *(_rest(size_bytes) if slot is None else _slot_rest(slot)),
    ]
    found = []
    start = 0
    for name, kind, end in ends:
        if end > start:
            found.append(Part(name, kind, start, end))
        start = max(start, end)
    return tuple(found)


def _rest(size_bytes: int) -> Iterator[tuple[str, Kind, int]]:
    yield "no part of the image", "stray", size_bytes


def _slot_rest(slot: SlotGeometry) -> Iterator[tuple[str, Kind, int]]:
    """What a slot has behind the image: free space, what the loader needs to swap, the trailer."""

    trailer = slot.size_bytes - trailer_size_bytes(slot)
    yield "free", "free", min(max_image_size_bytes(slot), trailer)
    yield "kept by the bootloader for swapping", "trailer", trailer
    yield "trailer", "trailer", slot.size_bytes


@dataclass(frozen=True, slots=True)
class Picture(Drawing):
    """Parts, drawn with rich, the first at the address ``base``; with ASCII where the terminal has no other letters."""

    parts: Sequence[Part]
    base: int = 0

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines of the picture."""
        from rich.text import Text  # here: in a picture alone is rich needed

        yield Text("Map", style="bold")
        for address, text, style in self.lines(ascii_only=options.ascii_only):
            yield Text.assemble((address, "dim"), " ", (text, style), no_wrap=True, overflow="crop")

    def plain_lines(self, *, ascii_only: bool) -> Iterator[str]:
        """The lines without colours."""
        yield "Map"
        for address, text, _ in self.lines(ascii_only=ascii_only):
            yield f"{address} {text}"

    def lines(self, *, ascii_only: bool) -> Iterator[tuple[str, str, str]]:
        """Address (or as many blanks), what is drawn beside it, style; line by line."""
        side, edge, corners = ("|", "-", "+++") if ascii_only else ("│", "─", "┌├└")
        ends = "+++" if ascii_only else "┐┤┘"
        digits = len(f"{self.base + self.parts[-1].end:x}") if self.parts else 1
        blank = " " * (digits + 2)
        for number, part in enumerate(self.parts):
            place = min(number, 1)
            yield f"0x{self.base + part.start:0{digits}x}", corners[place] + edge * _WIDTH + ends[place], ""
            size = f"{part.size_bytes} bytes {self._share(part):>4} %"
            label = f" {part.name}{size:>{_WIDTH - len(part.name) - 2}} "
            yield blank, f"{side}{label}{side}", _STYLES[part.kind]
        if self.parts:
            yield f"0x{self.base + self.parts[-1].end:0{digits}x}", corners[2] + edge * _WIDTH + ends[2], ""

    def _share(self, part: Part) -> str:
        share = 100 * part.size_bytes / (self.parts[-1].end - self.parts[0].start)
        return "<1" if share < 1 else f"{share:.0f}"
