"""Where things lie in the flash of both cores, and how the bootloader was built that lives there.

Addresses are absolute, as the cores and a debugger see them; external flash is where it can be executed from (XIP). A
row of ``LAYOUTS`` is a partition table as the nRF Connect SDK makes it; a device's own table comes with its build
(``smpdfu.virtual.chip.partitions`` reads it), so do not assume one of these.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from smpdfu.image import nrf5340
from smpdfu.image.trailer import SlotGeometry
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.regions import NsibLayout
from smpdfu.virtual.chip.regions import Region as Region

# The page of the UICR, and the part of it that is free for the customer (OTP in the tables).
UICR = Region("uicr", nrf5340.APP.uicr, nrf5340.APP.page_size)
OTP = Region("otp", nrf5340.OTP.start, len(nrf5340.OTP))
# BOOT_IMAGE_EXECUTABLE_RAM_START, .._SIZE: by default the application core's part of the RAM in the DK's devicetree.
EXECUTABLE_RAM = Region("executable ram", 0x2000_0000, 0x7_0000)


@dataclass(frozen=True, slots=True)
class SlotPair:
    """The two slots of one updatable image; ``other`` is the secondary one, None in a mode with one slot."""

    primary: Region
    other: Region | None

    @property
    def secondary(self) -> Region:
        """The slot that updates come through. ``ValueError`` in a mode with one slot."""
        if self.other is None:
            raise ValueError("there is no secondary slot")
        return self.other

    @property
    def places(self) -> tuple[Region, ...]:
        """Those that there are, the primary one first."""
        return (self.primary,) if self.other is None else (self.primary, self.other)


@dataclass(frozen=True, slots=True)
class NetLayout:
    """The network core's flash: the immutable bootloader b0n, its provisioned key hashes, the application."""

    flash: Region
    b0n: Region
    provision: Region
    app: Region
    page_size: int = nrf5340.NET.page_size


@dataclass(frozen=True, slots=True)
class Layout:
    """Both cores. ``images`` has a pair of slots per image that MCUboot updates, in the order of the image numbers.

    ``flash`` is the application core's own, ``external`` a flash chip beside it, ``ram`` memory that MCUboot treats as
    flash, ``otp`` memory that is written once; ``scratch`` is for swapping, ``others`` what MCUboot does not touch.
    ``network_image`` is the number of the image that goes to the network core (simultaneous scheme); None where it
    comes through image 0 (staged), or not at all. ``external_half`` is the number of the image that is the second half
    of a split application: it runs from external flash (QSPI XIP); None where the application is one image. ``pcd`` is
    the RAM that both cores share for the hand-over of network firmware. ``executable_ram`` is where images may be
    loaded to and run from, in the modes that do so. ``nsib`` is what lies below MCUboot, whose region is then S0; None
    where MCUboot is the first stage. ``align`` is the write unit of the flash, ``max_align`` MCUBOOT_BOOT_MAX_ALIGN.
    ``ValueError`` when regions overlap or leave their memories, or do not suit the mode.
    """

    name: str
    flash: Region
    mcuboot: Region
    images: tuple[SlotPair, ...]
    net: NetLayout
    pcd: Region
    settings: Region | None = None
    mode: BootMode = BootMode.MOVE
    sector_size: int = nrf5340.APP.page_size
    align: int = 4
    max_align: int = 8
    scratch: Region | None = None
    external: Region | None = None
    ram: Region | None = None
    otp: Region | None = None
    others: tuple[Region, ...] = ()
    network_image: int | None = None
    external_half: int | None = None
    executable_ram: Region = EXECUTABLE_RAM
    nsib: NsibLayout | None = None

    def __post_init__(self) -> None:
        if not self.images:
            raise ValueError(f"layout {self.name} has no image")
        _check_regions(self.memories, self.regions)
        _check_regions((self.net.flash,), self.net_regions)
        slots = [slot for pair in self.images for slot in pair.places]
        bootloaders = (self.mcuboot,) if self.nsib is None else self.nsib.slots
        for region in (*bootloaders, *slots, *filter(None, (self.settings, self.scratch))):
            if region.start % self.sector_size or region.size_bytes % self.sector_size:
                raise ValueError(f"region {region.name} is not made of whole sectors")
        if self.mode is BootMode.SCRATCH and self.scratch is None:
            raise ValueError(f"layout {self.name} has no scratch area, which {self.mode} needs")
        if self.mode.swap_mode is None and len(self.images) > 1:
            raise ValueError(f"layout {self.name} has {len(self.images)} image pairs, and {self.mode} takes one")
        if self.mode.has_one_slot is not (self.images[0].other is None):
            has = "no" if self.images[0].other is None else "a"
            raise ValueError(f"layout {self.name} has {has} secondary slot, unlike {self.mode}")
        _check_external_half(self)

    @property
    def primary(self) -> Region:
        """The slot that the application runs from."""
        return self.images[0].primary

    @property
    def secondary(self) -> Region:
        """The slot that updates are uploaded to. ``ValueError`` in a mode with one slot."""
        return self.images[0].secondary

    @property
    def is_staged(self) -> bool:
        """True if network firmware passes through image 0: b0n reads the chip's own memories and no external flash."""
        installs = self.mode.swap_mode is not None
        return self.network_image is None and installs and self.flash.holds(self.secondary)

    @property
    def memories(self) -> tuple[Region, ...]:
        """What the application core has on its bus that is flash or treated as such."""
        uicr = None if self.otp is None else UICR
        return (self.flash, *filter(None, (uicr, self.external, self.ram)))

    @property
    def regions(self) -> tuple[Region, ...]:
        """The named regions of the application core, in ascending order."""
        slots = (slot for pair in self.images for slot in pair.places)
        rest = filter(None, (self.settings, self.scratch, self.otp))
        return tuple(sorted((*self._bootloaders, *slots, *rest, *self.others), key=lambda region: region.start))

    @property
    def _bootloaders(self) -> tuple[Region, ...]:
        nsib = self.nsib
        return (self.mcuboot,) if nsib is None else (nsib.b0, nsib.provision, *nsib.slots)

    @property
    def net_regions(self) -> tuple[Region, ...]:
        """The named regions of the network core's flash, in ascending order."""
        return (self.net.b0n, self.net.provision, self.net.app)

    def geometry(self, image: int = 0, *, secondary: bool = False, encrypted_key_size: int = 0) -> SlotGeometry:
        """A slot of an image as MCUboot's trailer arithmetic sees it.

        As in Zephyr's BOOT_MAX_IMG_SECTORS_AUTO, the status has room for just the sectors of the largest slot.
        ``encrypted_key_size`` is 0 for a bootloader without encryption.
        """
        pair = self.images[image]
        sizes = (slot.size_bytes for pair in self.images for slot in pair.places)
        return SlotGeometry(
            size_bytes=pair.places[1 if secondary else 0].size_bytes,
            sector_size=self.sector_size,
            align=self.align,
            max_align=self.max_align,
            max_sectors=max(sizes) // self.sector_size,
            mode=self.mode.trailer_mode,
            encrypted_key_size=encrypted_key_size,
        )

    def in_mode(self, mode: BootMode) -> Layout:
        """The same flash for an MCUboot that is built in another mode.

        Without a secondary slot the primary one takes its place, too, as the partition manager lays it out. Raises
        ``ValueError`` when there is no such build for these regions.
        """
        images = self.images
        if mode.has_one_slot and len(images) == 1 and images[0].other is not None:
            primary, secondary = images[0].places
            adjoin = primary.end == secondary.start
            images = (SlotPair(_between(primary.name, primary.start, (secondary if adjoin else primary).end), None),)
        return replace(self, mode=mode, images=images)


def _check_regions(memories: tuple[Region, ...], regions: tuple[Region, ...]) -> None:
    for region in regions:
        if not any(memory.holds(region) for memory in memories):
            raise ValueError(f"region {region.name} leaves {_nearest(memories, region).name}")
    for lower, upper in pairwise(regions):
        if lower.end > upper.start:
            raise ValueError(f"regions {lower.name} and {upper.name} overlap")


def _check_external_half(layout: Layout) -> None:
    half = layout.external_half
    if half is None:
        return
    if not 0 < half < len(layout.images) or half == layout.network_image:
        raise ValueError(f"layout {layout.name} has no image {half} that can be the application's external half")
    if layout.external is None or not layout.external.holds(layout.images[half].primary):
        raise ValueError(f"the external half in layout {layout.name} does not run from external flash")


def _nearest(memories: tuple[Region, ...], region: Region) -> Region:
    below = [memory for memory in memories if memory.start <= region.start]
    return max(below or memories, key=lambda memory: memory.start)


def _between(name: str, start: int, end: int) -> Region:
    return Region(name, start, end - start)


_PROVISION_BYTES = 0x280


def net_layout(start: int, size_bytes: int) -> NetLayout:
    """The network core's flash with its application at ``start``: the pages in front are b0n's and its key hashes'.

    Raises ``ValueError`` for a place that leaves no room for them, or leaves the flash.
    """
    flash = Region("net flash", nrf5340.NET.start, nrf5340.NET.size_bytes)
    app = Region("net app", start, size_bytes)
    if not flash.holds(app) or start % nrf5340.NET.page_size:
        raise ValueError(f"0x{start:x} to 0x{app.end:x} is no place for the network core's application")
    provision = Region("provision", start - _PROVISION_BYTES, _PROVISION_BYTES)
    return NetLayout(flash, _between("b0n", flash.start, provision.start), provision, app)


# The network core of most nRF5340 builds of the nRF Connect SDK.
NRF5340_NET = net_layout(0x0100_8800, nrf5340.NET.end - 0x0100_8800)

# Where the nRF5340 can execute from external flash, and the RAM in which MCUboot keeps the network core's primary slot
# (the linker decides where; the network core reads it there).
XIP = nrf5340.XIP.start
NET_RAM = Region("ram flash", 0x2001_0000, 0x4_0000)

_PCD = Region("pcd", 0x2000_0000, 0x2000)

# nRF Connect SDK for the nRF5340 DK with MCUboot and a network core image: the partition manager halves what is left.
NRF5340DK_STAGED = Layout(
    name="nrf5340dk-staged",
    flash=Region("app flash", nrf5340.APP.start, nrf5340.APP.size_bytes),
    mcuboot=_between("mcuboot", nrf5340.APP.start, 0xC000),
    images=(SlotPair(_between("primary", 0xC000, 0x8_6000), _between("secondary", 0x8_6000, nrf5340.APP.end)),),
    net=NRF5340_NET,
    pcd=_PCD,
    otp=OTP,
)

# The same with a scratch area of the default size (PM_PARTITION_SIZE_MCUBOOT_SCRATCH).
NRF5340DK_SCRATCH = replace(
    NRF5340DK_STAGED,
    name="nrf5340dk-staged-scratch",
    mode=BootMode.SCRATCH,
    images=(SlotPair(_between("primary", 0xC000, 0x7_7000), _between("secondary", 0x7_7000, 0xE_2000)),),
    scratch=_between("scratch", 0xE_2000, nrf5340.APP.end),
)


def _simultaneous(name: str, primary: Region, *rest: Region) -> Layout:
    """Application in the chip, both secondary slots in the DK's MX25R64, the network core's primary slot in RAM."""
    second = XIP + primary.size_bytes
    return Layout(
        name=name,
        flash=NRF5340DK_STAGED.flash,
        mcuboot=_between("mcuboot", nrf5340.APP.start, primary.start),
        images=(
            SlotPair(primary, Region("secondary", XIP, primary.size_bytes)),
            SlotPair(replace(NET_RAM, name="primary_1"), Region("secondary_1", second, NET_RAM.size_bytes)),
        ),
        net=NRF5340_NET,
        pcd=_PCD,
        settings=rest[-1],
        mode=BootMode.OVERWRITE_ONLY,
        external=Region("external flash", XIP, primary.size_bytes + NET_RAM.size_bytes),
        ram=NET_RAM,
        otp=OTP,
        others=rest[:-1],
        network_image=1,
    )


def _split(name: str, mode: BootMode, external_half: int, secondary: int, *network: SlotPair) -> Layout:
    """An application in two halves, the second of which runs from external flash; see ``Layout.external_half``.

    ``secondary`` is where in external flash the second half's updates are, ``network`` the network core's pair.
    """
    second = (
        Region(f"primary_{external_half}", XIP + 0x12_0000, 0x4_0000),
        Region(f"secondary_{external_half}", XIP + secondary, 0x4_0000),
    )
    internal = SlotPair(_between("primary", 0x1_0000, 0xE_4000), Region("secondary", XIP, 0xD_4000))
    return Layout(
        name=name,
        flash=NRF5340DK_STAGED.flash,
        mcuboot=_between("mcuboot", nrf5340.APP.start, 0x1_0000),
        images=(internal, *network, SlotPair(*second)),
        net=NRF5340_NET,
        pcd=_PCD,
        settings=_between("settings", 0xF_0000, nrf5340.APP.end),
        mode=mode,
        external=_between("external flash", XIP, max(half.end for half in second)),
        ram=NET_RAM if network else None,
        otp=OTP,
        network_image=1 if network else None,
        external_half=external_half,
    )


# The nRF Connect SDK's for the nRF5340 DK with NSIB (SB_CONFIG_SECURE_BOOT_APPCORE): b0 with 32 KiB, MCUboot twice. The
# provisioned data is in OTP (subsys/partition_manager/pm.yml.b0 and pm.yml.nrf5340 of sdk-nrf: provision, 0x280 bytes);
# what is left of that is for MCUboot's security counters.
_PROVISION = replace(OTP, name="provision", size_bytes=_PROVISION_BYTES)
_NSIB = NsibLayout(
    _between("b0", nrf5340.APP.start, 0x8000),
    _PROVISION,
    _between("s0", 0x8000, 0x1_4000),
    _between("s1", 0x1_4000, 0x2_0000),
)
NRF5340DK_B0 = replace(
    NRF5340DK_STAGED,
    name="nrf5340dk-b0",
    mcuboot=_NSIB.s0,
    images=(SlotPair(_between("primary", 0x2_0000, 0x9_0000), _between("secondary", 0x9_0000, nrf5340.APP.end)),),
    otp=_between("otp", _PROVISION.end, OTP.end),
    nsib=_NSIB,
)

_NETWORK_PAIR = SlotPair(replace(NET_RAM, name="primary_1"), Region("secondary_1", XIP + 0xD_4000, NET_RAM.size_bytes))
_DATA = (_between("factory_data", 0xF_7000, 0xF_8000), _between("settings", 0xF_8000, nrf5340.APP.end))

# The modes that have the staged table's slots, or both of them as one.
_MODES_OF_THE_STAGED_TABLE = (
    BootMode.DIRECT_XIP,
    BootMode.DIRECT_XIP_REVERT,
    BootMode.RAM_LOAD,
    BootMode.SINGLE_SLOT,
    BootMode.SINGLE_SLOT_RAM_LOAD,
)

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        NRF5340DK_STAGED,
        replace(NRF5340DK_STAGED, name="nrf5340dk-staged-overwrite", mode=BootMode.OVERWRITE_ONLY),
        replace(NRF5340DK_STAGED, name="nrf5340dk-staged-offset", mode=BootMode.OFFSET),
        NRF5340DK_SCRATCH,
        NRF5340DK_B0,
        *(replace(NRF5340DK_STAGED.in_mode(mode), name=f"nrf5340dk-{mode}") for mode in _MODES_OF_THE_STAGED_TABLE),
        # nrfconnect/sdk-nrf, samples/matter: MCUboot with 64 KiB.
        _simultaneous("nrf5340dk-simultaneous", _between("primary", 0x1_0000, 0xF_7000), *_DATA),
        # nrfconnect/sdk-nrf, applications/matter_bridge/pm_static_nrf5340dk_nrf5340_cpuapp.yml: MCUboot with 32 KiB.
        _simultaneous("nrf5340dk-matter-bridge", _between("primary", 0x8000, 0xF_7000), *_DATA),
        # As samples/dfu/single_slot lays out the nRF52840 DK, whose flash is as large, behind the DK's own MCUboot.
        replace(
            NRF5340DK_STAGED,
            name=f"nrf5340dk-{BootMode.FIRMWARE_LOADER}",
            mode=BootMode.FIRMWARE_LOADER,
            images=(SlotPair(_between("primary", 0xC000, 0xC_0000), _between("secondary", 0xC_0000, 0xF_C000)),),
            settings=_between("settings", 0xF_C000, nrf5340.APP.end),
        ),
        # nrfconnect/sdk-nrf, samples/nrf5340/extxip_smp_svr: pm_static.yml with sysbuild.conf, which overwrites, and
        # pm_static_no_network_core.yml with sysbuild_no_network_core.conf, which leaves the mode at its default.
        _split("nrf5340dk-xip-split", BootMode.OVERWRITE_ONLY, 2, 0x16_0000, _NETWORK_PAIR),
        _split("nrf5340dk-xip-split-no-net", BootMode.MOVE, 1, 0xD_4000),
    )
}
