"""What is in a virtual device, as facts: for ``smpdfu virtual show`` and for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from smpdfu.image.format import Version
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.trailer import Trailer
from smpdfu.loaders.rules import Build
from smpdfu.virtual.boot.bootloader import Ending
from smpdfu.virtual.boot.build import AddressCheck, build_of
from smpdfu.virtual.boot.slot import Slot
from smpdfu.virtual.chip.storage import ERASED
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.report_b0 import B0Report, report_b0
from smpdfu.virtual.server.slot_content import content_of


@dataclass(frozen=True, slots=True)
class SlotReport:
    """A slot of the application core. ``state`` is "image", "empty" or "other" (bytes that are no image).

    ``active``: the application runs from it.
    """

    image: int
    slot: int
    address: int
    size_bytes: int
    state: str
    version: Version | None
    hash: bytes | None
    encrypted: bool
    trailer: Trailer
    active: bool = False

    @property
    def name(self) -> str:
        """What people call it."""
        return "primary" if self.slot == 0 else "secondary"


@dataclass(frozen=True, slots=True)
class NetReport:
    """The network core's application. ``version`` is b0n's counter, where the firmware has one."""

    address: int
    size_bytes: int
    state: str
    sha256: bytes | None
    version: int | None


@dataclass(frozen=True, slots=True)
class Wear:
    """The page of a memory that was erased most often."""

    memory: str
    address: int
    erases: int


@dataclass(frozen=True, slots=True)
class Report:
    """Both cores. ``next_boot`` is what the application expects of image 0: none, test, perm or revert.

    ``bootloader`` is whose loader MCUboot has, ``partitions`` who laid out its flash; ``address_check`` by what it
    finds out that an image is not for its slot: header, vector or none.

    ``external_half`` is the number of the image that is the second half of the application; None where it is one image.
    ``loader_runs``: what runs is the firmware loader.
    ``ending`` is how the last boot ended, as ``bootloader.Ending`` has it; "recovery" in serial recovery, "off" without
    power. ``b0`` is what lies below MCUboot; None where MCUboot is the first stage.
    ``radio_up`` is False where the network core does not run, or speaks another interface than the application.
    """

    name: str
    layout: str
    mode: str
    bootloader: str
    partitions: str
    address_check: str
    powered: bool
    ending: str
    app_runs: bool
    net_runs: bool
    radio_up: bool
    next_boot: str
    slots: tuple[SlotReport, ...]
    net: NetReport
    wear: tuple[Wear, ...]
    external_half: int | None = None
    loader_runs: bool = False
    b0: B0Report | None = None

    def to_dict(self) -> dict[str, object]:
        """For JSON; versions as text."""
        slots = [
            asdict(slot) | {"name": slot.name, "version": str(slot.version) if slot.version else None}
            for slot in self.slots
        ]
        return asdict(self) | {"slots": slots}


def report(device: VirtualNrf5340) -> Report:
    """Look into both flashes; nothing is changed."""
    slots = (
        (number, place, slot) for number, image in enumerate(device.images) for place, slot in enumerate(image.places)
    )
    active = None if device.running is None else (0, device.running.slot)
    build = build_of(device.layout, device.keys)
    return Report(
        name=device.name,
        layout=device.layout.name,
        mode=str(device.layout.mode),
        bootloader=build.loader.release.title,
        partitions=str(build.loader.partitions),
        address_check=str(_address_check(build)),
        powered=device.powered,
        ending=_ending(device),
        app_runs=device.running is not None,
        net_runs=device.net_core.running,
        radio_up=device.radio_up,
        next_boot=device.application.images.next_boot().name.lower(),
        slots=tuple(_slot(*one, active=one[:2] == active) for one in slots),
        net=_net(device),
        wear=tuple(_wear(device)),
        external_half=device.layout.external_half,
        loader_runs=device.is_loader(device.running),
        b0=report_b0(device),
    )


def _ending(device: VirtualNrf5340) -> str:
    if not device.powered:
        return "off"
    if device.recovery is not None:
        return "recovery"
    # A device that an older smpdfu stored does not say how its boot ended.
    return str(Ending.RUNS if device.running is not None else device.ending or Ending.NO_IMAGE)


def _address_check(build: Build) -> AddressCheck:
    if not build.compares_addresses:
        return AddressCheck.NONE
    return AddressCheck.HEADER if build.checks_header else AddressCheck.VECTOR


def _wear(device: VirtualNrf5340) -> Iterator[Wear]:
    for name, flash in device.chip.flashes.items():
        for address, erases in flash.erase_counts.most_common(1):
            yield Wear(name, address, erases)


def _slot(number: int, place: int, slot: Slot, *, active: bool) -> SlotReport:
    content = content_of(slot)
    header = slot.header(slot.image_start)
    body = slot.area.read(0, slot.area.size_bytes - slot.geometry.sector_size)
    return SlotReport(
        image=number,
        slot=place,
        address=slot.area.region.start,
        size_bytes=slot.area.size_bytes,
        state="image" if content else _state(body),
        version=content.version if content else None,
        hash=content.hash if content else None,
        encrypted=header is not None and header.encrypted,
        trailer=slot.trailer(),
        active=active,
    )


def _net(device: VirtualNrf5340) -> NetReport:
    area = device.net_core.app
    firmware = area.read_all()
    info = FirmwareInfo.find(firmware)
    used = firmware.rstrip(bytes([ERASED]))
    return NetReport(
        address=area.region.start,
        size_bytes=area.size_bytes,
        state="image" if device.net_core.running else _state(firmware),
        sha256=hashlib.sha256(used).digest() if used else None,
        version=info.version if info else None,
    )


def _state(data: bytes) -> str:
    return "empty" if data.count(ERASED) == len(data) else "other"
