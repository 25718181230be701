"""A split application (QSPI XIP) on small slots: its layouts, its halves, and a device that runs version 1 of both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smpdfu.image.format import Image, Version
from smpdfu.virtual.boot.build import DEFAULT_OPTIONS, BootKeys, BootOptions
from smpdfu.virtual.boot.halves import mark
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.layout import XIP, Layout, Region, SlotPair

if TYPE_CHECKING:
    from tests.virtual.virtual_bench import HEADER, NET_SIGNING, SECTOR, SIGNING, Bench, firmware, small_simultaneous
else:
    from virtual_bench import HEADER, NET_SIGNING, SECTOR, SIGNING, Bench, firmware, small_simultaneous

OLD, NEW = Version(1), Version(2)
SECTORS = 5


def small_split(mode: BootMode = BootMode.OVERWRITE_ONLY, *, network: bool = True) -> Layout:
    """``nrf5340dk-xip-split``, or the one without a network core image, with slots of a few sectors."""
    base = small_simultaneous(SECTORS)
    size = SECTORS * SECTOR
    number = 2 if network else 1
    starts = ((f"primary_{number}", 2 * size), (f"secondary_{number}", 3 * size))
    half = SlotPair(*(Region(name, XIP + start, size) for name, start in starts))
    return replace(
        base,
        name="small-split",
        images=(*base.images[:number], half),
        mode=mode,
        external=Region("external flash", XIP, 4 * size),
        ram=base.ram if network else None,
        network_image=1 if network else None,
        external_half=number,
    )


@dataclass
class SplitBench:
    """A bench whose device runs version 1 of both halves, and of the network core's firmware if it has an image."""

    layout: Layout
    options: BootOptions = DEFAULT_OPTIONS

    def __post_init__(self) -> None:
        keys = BootKeys((SIGNING.public,), net_verifiers=(NET_SIGNING.public,), options=self.options)
        self.bench = Bench(self.layout, keys)
        for number in self.halves:
            self.bench.write("primary", self.half(number, OLD), number)

    @property
    def external(self) -> int:
        """The image number of the external half."""
        assert self.layout.external_half is not None
        return self.layout.external_half

    @property
    def halves(self) -> tuple[int, int]:
        """The image numbers of both halves."""
        return 0, self.external

    def half(self, number: int, version: Version, build: str | None = None, size: int = 6000) -> bytes:
        """A signed half; ``build`` is named in it, or nothing is."""
        text = b"" if build is None else mark(build)
        if number == 0:
            code = firmware(10 * version.major, self.layout.primary.start + HEADER, size)
        else:
            code = b"\x70\x47" * (size // 2)  # no vector table
        return self.bench.image(code + text, version=version)

    def versions(self) -> tuple[int, int]:
        """Which version of each half lies in its primary slot; 0 for none that is whole."""
        return self._version(0), self._version(self.external)

    def _version(self, number: int) -> int:
        header = self.bench.slots_of(number).primary.header()
        return 0 if header is None else header.version.major

    def damaged(self, number: int, version: Version) -> bytes:
        """A half whose last byte of code is another."""
        image = bytearray(self.half(number, version))
        image[HEADER + Image.from_bytes(bytes(image)).header.img_size - 1] ^= 1
        return bytes(image)
