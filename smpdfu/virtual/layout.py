"""Where things lie in the flash of both cores, and how the bootloader was built that lives there.

Addresses are absolute, as the cores and a debugger see them. A row of ``LAYOUTS`` is a partition table as the nRF
Connect SDK makes it; read a device's own table from its build and do not assume one of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from smpdfu.image import memory
from smpdfu.image.trailer import SlotGeometry, SwapMode


@dataclass(frozen=True, slots=True)
class Region:
    """``size_bytes`` bytes from the absolute address ``start``."""

    name: str
    start: int
    size_bytes: int

    def __post_init__(self) -> None:
        if self.start < 0 or self.size_bytes <= 0:
            raise ValueError(f"region {self.name} is empty or starts below 0")

    @property
    def end(self) -> int:
        """The first address behind the region."""
        return self.start + self.size_bytes

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and self.start <= address < self.end


@dataclass(frozen=True, slots=True)
class SlotPair:
    """The two slots of one updatable image: the one that runs and the one that is uploaded to."""

    primary: Region
    secondary: Region


@dataclass(frozen=True, slots=True)
class NetLayout:
    """The network core's flash: the immutable bootloader b0n, its provisioned key hashes, the application."""

    flash: Region
    b0n: Region
    provision: Region
    app: Region
    page_size: int = memory.NET.page_size


@dataclass(frozen=True, slots=True)
class Layout:
    """Both cores. ``images`` has a pair of slots per image that MCUboot updates, in the order of the image numbers.

    ``pcd`` is the RAM that both cores share for the hand-over of network firmware. ``align`` is the write unit of the
    flash, ``max_align`` MCUBOOT_BOOT_MAX_ALIGN. ``ValueError`` when regions overlap or leave their flash.
    """

    name: str
    flash: Region
    mcuboot: Region
    images: tuple[SlotPair, ...]
    net: NetLayout
    pcd: Region
    settings: Region | None = None
    mode: SwapMode = SwapMode.MOVE
    sector_size: int = memory.APP.page_size
    align: int = 4
    max_align: int = 8

    def __post_init__(self) -> None:
        if not self.images:
            raise ValueError(f"layout {self.name} has no image")
        _check_regions(self.flash, self.app_regions)
        _check_regions(self.net.flash, self.net_regions)
        for region in self.app_regions:
            if region.start % self.sector_size or region.size_bytes % self.sector_size:
                raise ValueError(f"region {region.name} is not made of whole sectors")

    @property
    def primary(self) -> Region:
        """The slot that the application runs from."""
        return self.images[0].primary

    @property
    def secondary(self) -> Region:
        """The slot that updates are uploaded to."""
        return self.images[0].secondary

    @property
    def app_regions(self) -> tuple[Region, ...]:
        """The named regions of the application core's flash, in ascending order."""
        slots = (slot for pair in self.images for slot in (pair.primary, pair.secondary))
        rest = () if self.settings is None else (self.settings,)
        return tuple(sorted((self.mcuboot, *slots, *rest), key=lambda region: region.start))

    @property
    def net_regions(self) -> tuple[Region, ...]:
        """The named regions of the network core's flash, in ascending order."""
        return (self.net.b0n, self.net.provision, self.net.app)

    def geometry(self, image: int = 0, *, encrypted_key_size: int = 0) -> SlotGeometry:
        """The slots of an image as MCUboot's trailer arithmetic sees them.

        As in Zephyr's BOOT_MAX_IMG_SECTORS_AUTO, the status has room for just the sectors of the slot.
        ``encrypted_key_size`` is 0 for a bootloader without encryption.
        """
        size = self.images[image].primary.size_bytes
        return SlotGeometry(
            size_bytes=size,
            sector_size=self.sector_size,
            align=self.align,
            max_align=self.max_align,
            max_sectors=size // self.sector_size,
            mode=self.mode,
            encrypted_key_size=encrypted_key_size,
        )


def _check_regions(flash: Region, regions: tuple[Region, ...]) -> None:
    for region in regions:
        if region.start < flash.start or region.end > flash.end:
            raise ValueError(f"region {region.name} leaves {flash.name}")
    for lower, upper in pairwise(regions):
        if lower.end > upper.start:
            raise ValueError(f"regions {lower.name} and {upper.name} overlap")


def _between(name: str, start: int, end: int) -> Region:
    return Region(name, start, end - start)


# The network core of every nRF5340 build of the nRF Connect SDK: the pages in front of 0x01008800 are b0n's.
NRF5340_NET = NetLayout(
    flash=Region("net flash", memory.NET.start, memory.NET.size_bytes),
    b0n=_between("b0n", memory.NET.start, 0x0100_8580),
    provision=_between("provision", 0x0100_8580, 0x0100_8800),
    app=_between("net app", 0x0100_8800, memory.NET.end),
)

NRF5340DK_STAGED = Layout(
    name="nrf5340dk-staged",
    flash=Region("app flash", memory.APP.start, memory.APP.size_bytes),
    mcuboot=_between("mcuboot", memory.APP.start, 0xC000),
    images=(SlotPair(_between("primary", 0xC000, 0x8_6000), _between("secondary", 0x8_6000, memory.APP.end)),),
    net=NRF5340_NET,
    pcd=Region("pcd", 0x2000_0000, 0x2000),
)

LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (NRF5340DK_STAGED,)}
