"""A device's own partition table: ``pm_static.yml`` of a project, or ``partitions.yml`` of a build.

The partition manager of the nRF Connect SDK writes names with ``address`` and ``size`` or ``end_address``, and in which
``region`` they are: ``flash_primary`` where nothing is said, ``external_flash`` counted from its own start,
``ram_flash`` (memory that is treated as flash), ``sram_primary`` or ``otp``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

from smpdfu.errors import FormatError
from smpdfu.image import nrf5340
from smpdfu.untrusted import yamltext
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.layout import NET_RAM, NRF5340_NET, OTP, XIP, Layout, Region, SlotPair
from smpdfu.virtual.chip.regions import NsibLayout

LARGEST_FILE = yamltext.MAX_BYTES
_MOST_PARTITIONS = 200
_BASES = {"flash_primary": 0, "external_flash": XIP, "ram_flash": NET_RAM.start, "sram_primary": 0, "otp": 0}
_PCD = Region("pcd", 0x2000_0000, 0x2000)
# What the partition manager calls them, and what is called so here.
_NAMES = {
    "mcuboot": "mcuboot",
    "mcuboot_primary": "primary",
    "mcuboot_secondary": "secondary",
    "mcuboot_primary_1": "primary_1",
    "mcuboot_secondary_1": "secondary_1",
    "mcuboot_primary_2": "primary_2",
    "mcuboot_secondary_2": "secondary_2",
    "mcuboot_scratch": "scratch",
    "settings_storage": "settings",
    "pcd_sram": "pcd",
}
_PAIRS = tuple((f"mcuboot_primary{end}", f"mcuboot_secondary{end}") for end in ("", "_1", "_2"))
_NSIB = ("b0", "provision", "s0", "s1")
_SETTINGS = ("settings_storage", "nvs_storage", "littlefs_storage")


def read_layout(text: bytes, name: str, mode: BootMode | None = None, *, with_nsib: bool = True) -> Layout:
    """The layout that a partition table describes.

    With b0, its provisioned data and both slots of MCUboot in the table, the device has NSIB, unless ``with_nsib`` is
    False: then MCUboot is in the first of its slots, and nothing is below it.

    ``mode`` is how MCUboot was built, which the table does not say: without it, as the SDK builds it for such a table
    (swap-scratch where there is a scratch area, overwrite-only where the network core's image has slots, else
    swap-move). An image whose primary slot is in external flash is the second half of the application. Raises
    ``FormatError`` for what is no table, or one that nothing can be built for.
    """
    table = _table(text)
    try:
        regions = {key: _region(key, table[key]) for key in table if _is_place(table[key])}
        return _layout(name, regions, mode, with_nsib=with_nsib)
    except ValueError as error:
        raise FormatError(f"the partition table cannot be used: {error}") from None


def _table(text: bytes) -> dict[str, Any]:
    try:
        found = yamltext.load(text)
    except FormatError as error:
        raise FormatError(f"the file is no partition table: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise FormatError("the file is no partition table: it has no named partitions")
    if len(found) > _MOST_PARTITIONS:
        raise FormatError(f"the partition table has {len(found)} partitions, more than {_MOST_PARTITIONS}")
    return found


def _is_place(entry: object) -> bool:
    if not isinstance(entry, dict) or entry.get("size") == 0:
        return False
    region = entry.get("region", "flash_primary")
    return isinstance(region, str) and region in _BASES


def _region(name: str, entry: Mapping[str, object]) -> Region:
    address, size = _number(name, entry, "address"), entry.get("size")
    size = _number(name, entry, "size") if size is not None else _number(name, entry, "end_address") - address
    start = _BASES[str(entry.get("region", "flash_primary"))] + address
    return Region(_NAMES.get(name, name), start, size)


def _number(name: str, entry: Mapping[str, object], key: str) -> int:
    found = entry.get(key)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < 1 << 32:
        raise ValueError(f"partition {name} has no {key}" if found is None else f"{key} of {name} is {found!r}")
    return found


def _layout(name: str, regions: dict[str, Region], mode: BootMode | None, *, with_nsib: bool) -> Layout:
    missing = [key for key in ("mcuboot", "mcuboot_primary") if key not in regions]
    if missing:
        raise ValueError(f"it has no {missing[0]}")
    has_nsib = with_nsib and set(_NSIB) <= regions.keys()
    nsib = NsibLayout(*(regions[key] for key in _NSIB)) if has_nsib else None
    mcuboot = _mcuboot(regions) if nsib is None else nsib.s0
    _refuse_other_builds(regions, mode)
    pairs = _pairs(regions, has_one_slot=mode is not None and mode.has_one_slot)
    network, external_half = _roles(pairs)
    scratch = regions.get("mcuboot_scratch")
    slots = [slot for pair in pairs for slot in pair.places]
    settings = next((regions[key] for key in _SETTINGS if key in regions), None)
    app = Region("app flash", nrf5340.APP.start, nrf5340.APP.size_bytes)
    used = [mcuboot, *slots, *filter(None, (settings, scratch))]
    below = [] if nsib is None else [nsib.b0, nsib.provision, nsib.s1]
    return Layout(
        name=name,
        flash=app,
        mcuboot=mcuboot,
        images=tuple(pairs),
        net=NRF5340_NET,
        pcd=regions.get("pcd_sram", _PCD),
        settings=settings,
        mode=mode or _usual_mode(scratch is not None, network is not None),
        scratch=scratch,
        external=_around("external flash", [region for region in used if _is_outside(region)]),
        ram=_around("ram flash", [region for region in used if _is_ram(region)]),
        otp=_otp(nsib),
        others=tuple(_others([region for region in regions.values() if app.holds(region)], [*used, *below])),
        network_image=network,
        external_half=external_half,
        nsib=nsib,
    )


def _otp(nsib: NsibLayout | None) -> Region:
    """The OTP; behind the provisioned data of b0, if those are in it."""
    if nsib is None or not OTP.holds(nsib.provision):
        return OTP
    return Region(OTP.name, nsib.provision.end, OTP.end - nsib.provision.end)


def _pairs(regions: Mapping[str, Region], *, has_one_slot: bool) -> list[SlotPair]:
    """The slots of images 0, 1 and 2, as far as both are there; in a mode with one slot, image 0 has no other."""
    more = list(takewhile(lambda pair: set(pair) <= regions.keys(), _PAIRS[1:]))
    if regions.keys() & set(_PAIRS[-1]) and _PAIRS[-1] not in more:
        raise ValueError("it has a third image pair and does not have both slots of all three images")
    secondary = None if has_one_slot else regions["mcuboot_secondary"]
    pairs = [SlotPair(regions["mcuboot_primary"], secondary)]
    return pairs + [SlotPair(*(regions[name] for name in pair)) for pair in more]


def _roles(pairs: Sequence[SlotPair]) -> tuple[int | None, int | None]:
    """The number of the network core's image and that of the application's external half, None where there is none.

    With a network core, the external half is image 2; without, image 1 (``NCS_MCUBOOT_QSPI_XIP_IMAGE_NUMBER``). Raises
    ValueError for an image that is neither.
    """
    network = external = None
    for number, pair in enumerate(pairs[1:], 1):
        if number == 1 and _is_ram(pair.primary):
            network = number
        elif external is None and _is_outside(pair.primary):
            external = number
        else:
            raise ValueError(
                f"mcuboot_primary_{number} is no slot of a virtual device: it is neither in ram_flash (the network "
                "core's image, which is image 1) nor in external_flash (the application's one second half, QSPI XIP)"
            )
    return network, external


def _refuse_other_builds(regions: Mapping[str, Region], mode: BootMode | None) -> None:
    """Raise ValueError or FormatError for the tables of builds that a virtual device cannot be.

    ``mcuboot_secondary_app`` is the place of a second application that runs from there (``pm.yml`` of MCUboot);
    hand-written tables have it for other builds, too, so that ``mode`` decides. A table without ``mcuboot_secondary``
    is that of one slot, or not whole.
    """
    if mode is None and "mcuboot_secondary_app" in regions:
        raise FormatError(
            "the partition table cannot be used: it has mcuboot_secondary_app, as direct XIP builds have. It does not "
            "tell whether the bootloader does direct XIP (with revert or without), swaps or overwrites: say which"
        ).because("which-mode")
    if "mcuboot_secondary" not in regions:
        if mode is not None and mode.has_one_slot:
            return
        error = FormatError("the partition table cannot be used: it has no mcuboot_secondary")
        raise error if mode is not None else error.because("which-mode")
    if _is_outside(regions["mcuboot_secondary"]) and not set(_PAIRS[1]) <= regions.keys():
        raise ValueError(
            "mcuboot_secondary is in external flash and there is one image pair: network firmware cannot pass through "
            "such a slot, and there is no virtual device for that. Add mcuboot_primary_1 and mcuboot_secondary_1, or "
            "put mcuboot_secondary into the internal flash"
        )


def _is_outside(region: Region) -> bool:
    return XIP <= region.start < _PCD.start


def _is_ram(region: Region) -> bool:
    return region.start >= _PCD.start


def _usual_mode(has_scratch: bool, has_network_slots: bool) -> BootMode:
    if has_network_slots:
        return BootMode.OVERWRITE_ONLY
    return BootMode.SCRATCH if has_scratch else BootMode.MOVE


def _around(name: str, regions: list[Region]) -> Region | None:
    """The memory that these regions are in, from its start to the end of the last."""
    if not regions:
        return None
    start = XIP if regions[0].start < _PCD.start else NET_RAM.start
    return Region(name, start, max(region.end for region in regions) - start)


def _mcuboot(regions: Mapping[str, Region]) -> Region:
    """Where MCUboot is: beside NSIB, the slot S0 with its header, and not MCUboot alone (``pm.yml.b0``)."""
    mcuboot, s0 = regions["mcuboot"], regions.get("s0")
    return replace(s0, name=mcuboot.name) if s0 is not None and s0.holds(mcuboot) else mcuboot


def _others(inside: list[Region], used: list[Region]) -> Iterator[Region]:
    """Those that are apart from what is used, without the parts of another one."""
    apart = [region for region in inside if _is_apart(region, used)]
    for number, region in enumerate(apart):
        rest = apart[:number] + [one for one in apart[number + 1 :] if one.size_bytes > region.size_bytes]
        if not any(one.holds(region) for one in rest):
            yield region


def _is_apart(region: Region, used: list[Region]) -> bool:
    """True for what is neither a slot or the like nor a part of one."""
    return all(region.end <= one.start or one.end <= region.start for one in used)
