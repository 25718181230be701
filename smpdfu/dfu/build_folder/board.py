"""The board that a build was made for, in the words of a virtual device: memory, bootloaders, keys and firmware.

Sources: ``boot/zephyr/Kconfig`` of nrfconnect/sdk-mcuboot (downgrade prevention, entrances of the firmware loader);
``cmake/sysbuild/debug_keys.cmake`` and ``subsys/bootloader/cmake/debug_keys.cmake`` of the nRF Connect SDK (b0n's key).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from smpdfu.dfu.build_folder.build import Build, BuildImage, BuildKind, BuildRole, UpdateImage
from smpdfu.dfu.build_folder.formats import partitions
from smpdfu.dfu.build_folder.formats.folder import BuildFolder
from smpdfu.dfu.build_folder.formats.kconfig import Kconfig
from smpdfu.dfu.build_folder.formats.partitions import Memory, Partition, Partitions
from smpdfu.dfu.build_folder.layout import DTS, read_layout, yaml_of
from smpdfu.dfu.build_folder.packing.named_keys import built_in_key, encryption_key_of, nsib_key_of, signing_key_of
from smpdfu.dfu.build_folder.updates import SEALED_PREFIX, network_sources
from smpdfu.dfu.package.images import Role
from smpdfu.errors import PackageError
from smpdfu.image.nrf5340 import APP, NET, XIP
from smpdfu.loaders import releases
from smpdfu.untrusted import yamltext
from smpdfu.virtual.boot.build import AddressCheck, BootOptions, Entrance
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.layout import net_layout
from smpdfu.virtual.server.groups.image import ConfirmsOthers

_ALIGN, _SECTOR = 4, APP.page_size
# What the Partition Manager calls the partitions that MCUboot and the application have by these node labels.
_NAMES = {
    "boot_partition": "mcuboot",
    "slot0_partition": "mcuboot_primary",
    "slot1_partition": "mcuboot_secondary",
    "slot2_partition": "mcuboot_primary_1",
    "slot3_partition": "mcuboot_secondary_1",
    "slot4_partition": "mcuboot_primary_2",
    "slot5_partition": "mcuboot_secondary_2",
    "scratch_partition": "mcuboot_scratch",
    "storage_partition": "settings_storage",
}
_ENTRANCES = {
    "CONFIG_BOOT_FIRMWARE_LOADER_ENTRANCE_GPIO": Entrance.BUTTON,
    "CONFIG_BOOT_FIRMWARE_LOADER_BOOT_MODE": Entrance.BOOT_MODE,
    "CONFIG_BOOT_FIRMWARE_LOADER_NO_APPLICATION": Entrance.NO_APPLICATION,
}
# The later one of those that are set counts.
_CONFIRMS = {
    "CONFIG_MCUMGR_GRP_IMG_ALLOW_CONFIRM_NON_ACTIVE_IMAGE_SECONDARY": ConfirmsOthers.SECONDARY,
    "CONFIG_MCUMGR_GRP_IMG_ALLOW_CONFIRM_NON_ACTIVE_IMAGE_ANY": ConfirmsOthers.ANY,
}
_BOARD = re.compile(r"[A-Za-z0-9_./@-]{1,100}")
_MOST_BUFFERS, _SMALLEST_BUFFER, _LARGEST_BUFFER = 64, 64, 0xFFFF


@dataclass(frozen=True, slots=True)
class BoardKeys:
    """Where the keys of a board are on this computer; None where the build names none, or none that is there.

    MCUboot trusts ``built_in`` (PEM), or the key in the file ``sign``; it decrypts with ``encryption``. b0n trusts
    ``net``, b0 trusts ``b0``. ``signs`` and ``encrypts``: whether MCUboot checks signatures, and decrypts.
    """

    built_in: str | None
    sign: Path | None
    encryption: Path | None
    net: Path | None
    b0: Path | None
    signs: bool
    encrypts: bool


@dataclass(frozen=True, slots=True)
class BoardFirmware:
    """The files of a build that a debugger would write into its board; None where the build has none."""

    app: Path | None
    external: Path | None
    loader: Path | None
    net: Path | None
    mcuboot: Path | None = None


@dataclass(frozen=True, slots=True)
class BoardServer:
    """The application's SMP server, as far as its build says: ``buffers`` of ``buffer_size`` bytes; None: the usual.

    ``board`` is the name of the board that it was built for.
    """

    board: str | None
    buffers: int | None
    buffer_size: int | None
    confirms_others: ConfirmsOthers
    allow_erase_pending: bool
    erases_progressively: bool


@dataclass(frozen=True, slots=True)
class Board:
    """A board as ``virtual.store.devices.Recipe`` describes it. None: the folder does not say.

    ``partitions`` is a table in the form of the Partition Manager, ``net_app`` where the network core's application is
    (start and size). ``ncs`` is the release of the SDK, ``divided_by`` what divides the flash. ``options`` are those of
    the bootloaders, without the loader. ``content_key_size`` in bytes.
    """

    name: str
    partitions: str | None
    net_app: tuple[int, int] | None
    mode: BootMode | None
    ncs: str | None
    divided_by: releases.Partitions
    options: BootOptions
    content_key_size: int
    keys: BoardKeys
    firmware: BoardFirmware
    server: BoardServer


def board_of(build: Build) -> Board:
    """What the board of a build is, as far as its folder tells.

    Raises PackageError for a board that a virtual device cannot be (``build-other-chip``), or a file that cannot be
    read; OSError.
    """
    folder, mcuboot, loader = BuildFolder(build.root), build.image(BuildRole.MCUBOOT), build.bootloader
    network = build.image(BuildRole.NETWORK)
    layout = read_layout(folder, build.kind, build.application, network)
    table = _partitions(folder, build)
    _check_chip(build, table)
    ncs = next((one.ncs.value for one in (mcuboot, build.application) if one is not None and one.ncs is not None), None)
    net_app = None if layout.network is None else _net_app(layout.network)
    mode = None if loader.mode is None else BootMode.of_number(loader.mode.value)
    return Board(
        name=build.application.name or "application",
        partitions=_table(table),
        net_app=net_app,
        mode=mode,
        ncs=ncs,
        divided_by=releases.Partitions.DTS if build.kind is BuildKind.SYSBUILD_DTS else releases.Partitions.PM,
        options=_options(build, Kconfig("") if mcuboot is None else mcuboot.config),
        content_key_size=loader.key_bits.value // 8,
        keys=_keys(build),
        firmware=_firmware(build, folder, has_place=net_app is not None),
        server=_server(build.application),
    )


# --- memory ---------------------------------------------------------------------------------------------------------


def _partitions(folder: BuildFolder, build: Build) -> Partitions:
    """The partitions by the Partition Manager's names, with their memories; empty where no file tells those."""
    if build.kind is not BuildKind.SYSBUILD_DTS:
        name = folder.first("partitions.yml", "zephyr/partitions.yml")
        found = None if name is None else folder.read(name, yamltext.MAX_BYTES, yaml_of(name))
        return {} if found is None else found
    # MCUboot's own tree decides; the application's has partitions that MCUboot does not know.
    images = [build.application, *filter(None, [build.image(BuildRole.MCUBOOT)])]
    trees = [tree for one in images if (tree := folder.devicetree(one.file(DTS))) is not None]
    merged = {label: one for tree in trees for label, one in partitions.of_devicetree(tree).items()}
    return {_NAMES.get(label, label): one for label, one in merged.items()}


def _check_chip(build: Build, table: Partitions) -> None:
    """Raises PackageError for a chip whose memory an nRF5340 does not have."""
    soc, update = build.application.soc, build.updates[0]
    what = "another chip" if soc is None else soc.value
    fault = None
    if update.align.value != _ALIGN:
        fault = f"its flash is written in units of {update.align.value} bytes ({update.align.origin})"
    elif update.sector_size.value != _SECTOR:
        fault = f"its flash is erased in units of {update.sector_size.value} bytes ({update.sector_size.origin})"
    for one in table.values():
        if one.memory is Memory.INTERNAL and one.end > APP.end and one.address < APP.end:
            fault = fault or f"its flash is larger: {one.key} in {one.file} ends at 0x{one.end:x}"
    if fault is not None:
        raise PackageError(f"the build is for {what}, and a virtual device is an nRF5340: {fault}").because(
            "build-other-chip", file=update.align.file
        )


def _table(table: Partitions) -> str | None:
    """The table as YAML; None where the memory of what MCUboot needs is not known."""
    if any(table.get(name) is None or table[name].memory is None for name in ("mcuboot", "mcuboot_primary")):
        return None
    lines = []
    for name, one in table.items():
        if one.memory is not None:
            address = one.address - XIP.start if _is_seen_by_core(one) else one.address
            # JSON is YAML: names of the file that it could not be.
            place = {"address": address, "size": one.size, "region": str(one.memory)}
            lines.append(f"{json.dumps(name)}: {json.dumps(place)}")
    return "\n".join(lines) + "\n"


def _is_seen_by_core(part: Partition) -> bool:
    """True for external flash by the address where the core sees it, and not by its offset."""
    return part.memory is Memory.EXTERNAL and part.address in XIP


def _net_app(part: Partition) -> tuple[int, int] | None:
    """Where the network core's application is; None in a build without b0n, in front of which is nothing."""
    if part.address == NET.start:
        return None
    try:
        net_layout(part.address, part.size)
    except ValueError as error:
        raise PackageError(f"{part.key} in {part.file} cannot be used: {error}").because(
            "build-value", file=part.file, key=part.key
        ) from None
    return part.address, part.size


# --- bootloaders ----------------------------------------------------------------------------------------------------


def _options(build: Build, mcuboot: Kconfig) -> BootOptions:
    checks = build.bootloader.checks_address
    by_counter = mcuboot.flag("CONFIG_MCUBOOT_DOWNGRADE_PREVENTION_SECURITY_COUNTER")
    entrances = tuple(entrance for key, entrance in _ENTRANCES.items() if mcuboot.flag(key))
    return BootOptions(
        downgrade_prevention=by_counter or mcuboot.flag("CONFIG_MCUBOOT_DOWNGRADE_PREVENTION"),
        by_counter=by_counter,
        rollback_protection=mcuboot.flag("CONFIG_MCUBOOT_HW_DOWNGRADE_PREVENTION"),
        check_address=AddressCheck.HEADER if checks is not None and checks.value else None,
        reads_net_version=mcuboot.flag("CONFIG_PCD_READ_NETCORE_APP_VERSION"),
        entrances=entrances or tuple(Entrance),
        recovers=mcuboot.flag("CONFIG_BOOT_SERIAL_NO_APPLICATION"),
    )


def _keys(build: Build) -> BoardKeys:
    loader = build.bootloader
    public = built_in_key(build)
    return BoardKeys(
        built_in=None if public is None else public.to_pem().decode(),
        sign=signing_key_of(build),
        encryption=encryption_key_of(build),
        net=_net_key(build),
        b0=None if build.image(BuildRole.B0) is None else nsib_key_of(build),
        signs=loader.signature is None or loader.signature.value != "none",
        encrypts=loader.encryption is not None,
    )


def _net_key(build: Build) -> Path | None:
    """The key that b0n's firmware is signed with: the one that is named, else the one that the build made."""
    if not any(one.role is Role.NET and one.sealed for one in build.updates):
        return None
    return nsib_key_of(build)


def _server(image: BuildImage) -> BoardServer:
    """Source: Zephyr's ``subsys/mgmt/mcumgr`` (Kconfig of ``grp/img_mgmt`` and ``transport``), ``subsys/dfu``."""
    config, confirms = image.config, ConfirmsOthers.NONE
    for key, allowed in _CONFIRMS.items():
        confirms = allowed if config.flag(key) else confirms
    buffers, size = (config.number(f"CONFIG_MCUMGR_TRANSPORT_NETBUF_{one}") for one in ("COUNT", "SIZE"))
    board = None if image.board is None else image.board.value
    return BoardServer(
        board=board if board is not None and _BOARD.fullmatch(board) else None,
        buffers=buffers if buffers is not None and 0 < buffers <= _MOST_BUFFERS else None,
        buffer_size=size if size is not None and _SMALLEST_BUFFER <= size <= _LARGEST_BUFFER else None,
        confirms_others=confirms,
        allow_erase_pending=config.flag("CONFIG_MCUMGR_GRP_IMG_ALLOW_ERASE_PENDING"),
        erases_progressively=config.flag("CONFIG_IMG_ERASE_PROGRESSIVELY"),
    )


# --- firmware -------------------------------------------------------------------------------------------------------


def _firmware(build: Build, folder: BuildFolder, *, has_place: bool) -> BoardFirmware:
    """``has_place``: the network core has b0n, which starts its application."""

    def first(names: Iterator[str]) -> Path | None:
        name = folder.first(*names)
        return None if name is None else folder.root / name

    updates: Mapping[Role, UpdateImage] = {one.role: one for one in reversed(build.updates)}
    loader, network = build.image(BuildRole.FIRMWARE_LOADER), build.image(BuildRole.NETWORK)
    child = build.kind is BuildKind.CHILD
    external = updates.get(Role.EXTERNAL)
    mcuboot = next((one for one in build.mcuboot_updates if one.slot_number == 0), None)
    return BoardFirmware(
        app=first(_signed(build, updates[Role.APP])),
        external=None if external is None else first(_signed(build, external)),
        loader=None if loader is None else first(_signed_of(loader)),
        net=None if network is None or not has_place else first(iter(network_sources(network, child=child))),
        mcuboot=None if mcuboot is None else first(_sealed(mcuboot)),
    )


def _sealed(mcuboot: UpdateImage) -> Iterator[str]:
    """MCUboot with the seal of b0, and with its own signature if the build has made that."""
    yield from mcuboot.signed_names
    yield from (name for name in mcuboot.unsigned_names if SEALED_PREFIX in name)


def _signed(build: Build, update: UpdateImage) -> Iterator[str]:
    """The signed image that goes into the primary slot, which is never encrypted."""
    if not update.encrypted:
        yield from update.signed_names
    elif build.kind is BuildKind.CHILD:
        yield update.image.file("zephyr/app_signed.hex")
    else:
        yield from _signed_of(update.image)


def _signed_of(image: BuildImage) -> Iterator[str]:
    yield from (image.file(f"zephyr/{image.kernel}.signed.{ending}") for ending in ("bin", "hex"))
