"""``package``: signs the firmware of both cores, writes the package, and shows what was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from smpdfu.cli.image.key_files import read_recipient
from smpdfu.cli.image.package_options import Inputs
from smpdfu.cli.keys.passphrase import read_signer
from smpdfu.cli.terminal.show import HashOutput, table
from smpdfu.dfu.package.merged_checks import check_left_out, check_place, one_core_warning
from smpdfu.dfu.package.merged_hex import NET_SLOTS, Slot, carry_over, find_code
from smpdfu.dfu.package.package import Board, Core, CoreImage, new_package
from smpdfu.dfu.package.ties import check_ties
from smpdfu.errors import ImageError, TooLargeError
from smpdfu.image.files import read_firmware, split_cores, write_files_atomic
from smpdfu.image.format import Dependency, Version
from smpdfu.image.nrf5340 import NET
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.image.signing.release import key_warnings
from smpdfu.image.trailer import SwapMode
from smpdfu.image.vector_table import Vectors, link_warning

if TYPE_CHECKING:
    from smpdfu.cli.image.options import Release
    from smpdfu.cli.image.package_options import Labels, Slots
    from smpdfu.cli.image.sign_options import PackageKeys
    from smpdfu.cli.keys.passphrase import SigningKey
    from smpdfu.cli.terminal.outputs import Replace
    from smpdfu.dfu.package.merged_hex import Code
    from smpdfu.image.files import Firmware
    from smpdfu.image.signing.encrypt import Recipient

PACKAGE_NAME = "dfu_application.zip"


@dataclass(frozen=True, slots=True)
class Made:
    """One core's signed image, where its code will lie, and what is to be said of it."""

    image: CoreImage
    load_address: int
    warnings: tuple[str, ...]


def pack(
    inputs: Inputs,
    labels: Labels,
    slots: Slots,
    who: PackageKeys,
    guard: Release,
    replacing: Replace,
    out: HashOutput,
    folder: Path,
) -> None:
    """Sign the firmware, write the files into ``folder``, and show what was made."""
    codes = _read(inputs, slots)
    tie = _tie_warnings(labels, slots, [core for core, _, _ in codes])
    keys = _keys(who)
    known = key_warnings([] if keys.signer is None else [keys.signer], keys.recipient, release=guard.release)
    made = [_sign(core, code, slot, keys, _spec(core, labels, slots, slot, who), slots) for core, code, slot in codes]
    check_ties([one.image for one in made])
    packed = new_package(
        [(one.image, one.load_address) for one in made], name=labels.name, board=Board(labels.board.rstrip("/"))
    )
    warnings = [*known, *tie, *(sentence for one in made for sentence in one.warnings)]
    if inputs.merged is not None and (missing := one_core_warning([core for core, _, _ in codes], str(inputs.merged))):
        warnings.append(missing)
    for warning in warnings:
        out.warn(warning)
    files = {one.image.file: one.image.data for one in made} | {PACKAGE_NAME: packed.to_bytes()}
    replacing.check(
        [folder / name for name in files],
        (inputs.app, inputs.net, inputs.merged, who.key, who.encrypt, who.passphrase_file),
    )
    _write(folder, files, replace_keys=replacing.force)
    data = [_data(one, folder) for one in made]
    sizes = {"package": str(folder / PACKAGE_NAME), "size_bytes": len(files[PACKAGE_NAME])}
    columns = ("core", "file", "version", "bytes", "encrypted", "runs at", "hash")
    cells = ("version", "size_bytes", "encrypted")
    rows = [
        [one.image.core, one.image.file, *(said[key] for key in cells), f"0x{one.load_address:x}", said["hash"]]
        for one, said in zip(made, data, strict=True)
    ]
    out.emit(
        {**sizes, "images": data, "warnings": warnings},
        lambda: table(str(sizes["package"]), columns, rows, long=out.long),
    )


def slots_of(slots: Slots, core: Core) -> Sequence[Slot]:
    """Where the slot of a core may be. The network core's image lies in its flash without the header."""
    if core is Core.APP:
        return [Slot(slots.app_address, slots.app_address + slots.app_slot_size, slots.header_size)]
    starts = [slot.start for slot in NET_SLOTS] if slots.net_address is None else [slots.net_address]
    size = slots.net_slot_size
    return [Slot(start, NET.end if size is None else start + size) for start in starts]


def _tie_warnings(labels: Labels, slots: Slots, cores: list[Core]) -> list[str]:
    """What --tie does not do; typer.BadParameter where it does nothing at all."""
    if not labels.tie:
        return []
    if Core.NET not in cores:
        raise typer.BadParameter("--tie needs the network core's image: give --net or --merged")
    found = []
    if slots.swap_mode is not SwapMode.OVERWRITE_ONLY:
        found.append(
            "--tie works only if each core has its own pair of slots. With one pair, bootloaders check no dependency, "
            "and --tie has no effect"
        )
    if labels.version <= Version(0, 0, 0, 0xFFFF_FFFF):
        found.append("--tie has no effect: every application has at least version 0.0.0")
    return found


def _read(inputs: Inputs, slots: Slots) -> list[tuple[Core, Code, Slot]]:
    """The code of each core that was given, and the slot that it is for."""
    if inputs == Inputs():
        raise typer.BadParameter("nothing to pack: give --merged, or --app and/or --net")
    if inputs.merged is not None and (inputs.app or inputs.net):
        raise typer.BadParameter("--merged has both cores: do not give --app or --net, too")
    found = []
    for core, path in ((Core.APP, inputs.app or inputs.merged), (Core.NET, inputs.net or inputs.merged)):
        if path is None:
            continue
        placed = find_code(_firmware(path, merged=inputs.merged is not None), core, slots_of(slots, core))
        if placed is not None:
            found.append((core, *placed))
        elif inputs.merged is None:
            raise ImageError(f"{path} has nothing in the flash of the {core.words}")
    if not found:
        raise ImageError(f"{inputs.merged} has nothing in the flash of either core")
    for core, code, slot in found:
        _check_place(inputs, core, code, slot)
    return found


def _check_place(inputs: Inputs, core: Core, code: Code, slot: Slot) -> None:
    """ImageError where the file has code that no image would hold, or the application in another slot."""
    path = inputs.merged or (inputs.app if core is Core.APP else inputs.net)
    firmware = None if path is None else _firmware(path, merged=inputs.merged is not None)
    if firmware is not None and firmware.addressed:
        check_left_out(firmware, str(path))
        check_place(firmware, core, code, slot, str(path))


@cache
def _firmware(path: Path, *, merged: bool) -> Firmware:
    firmware = read_firmware(path)
    if merged:
        split_cores(firmware)  # refuses a .bin, which has no addresses
    return firmware


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys, each read once: a passphrase is asked for once."""

    signer: SigningKey | None
    recipient: Recipient | None


def _keys(who: PackageKeys) -> Keys:
    if who.clear:
        raise typer.BadParameter("--clear is for the first programming of a slot; a package is for updates")
    return Keys(
        None if who.key is None else read_signer(who.key, who.source()),
        None if who.encrypt is None else read_recipient(who.encrypt, who.source()),
    )


def _sign(core: Core, code: Code, slot: Slot, keys: Keys, spec: ImageSpec, slots: Slots) -> Made:
    warnings = []
    if code.image is not None:
        spec, lost = carry_over(spec, code.image)
        if lost:
            warnings.append(f"the image was signed before, and signing it again loses of it: {', '.join(lost)}")
    size, room = len(code.payload), slot.end - slot.code
    if size > room:
        raise TooLargeError(
            f"the {core.words}'s firmware has {size} bytes, and its flash has room for {room}", size, room
        )
    image = build(spec, code.payload, keys.signer, keys.recipient if core is Core.APP else None)
    name = "app_update.bin" if core is Core.APP else "net_core_update.bin"
    if not slots.no_link_check:
        linked = link_warning(code.payload, slot.code)
        if linked is None and Vectors.of(code.payload) is None:
            linked = "this does not begin with a vector table, so it is no firmware that can run"
        warnings += [linked] if linked else []
    if keys.signer is None:
        warnings.append("the image is not signed (-k): only a bootloader that checks no signature takes it")
    sentences = tuple(f"{core.words}: {sentence}" for sentence in warnings)
    return Made(CoreImage(core, name, image.to_bytes(), image), slot.code, sentences)


def _spec(core: Core, labels: Labels, slots: Slots, slot: Slot, who: PackageKeys) -> ImageSpec:
    net = core is Core.NET
    # A reset between the two marks finds the network core's image marked alone: MCUboot then waits for the other.
    tied = (Dependency(0, labels.version),) if net and labels.tie else ()
    return ImageSpec(
        dependencies=tied,
        # Loaders of nRF Connect SDK 3.4 and later erase an image without it; all others ignore it.
        rom_fixed=slot.start,
        version=labels.net_version if net and labels.net_version is not None else labels.version,
        header_size=slots.header_size,
        # Both images pass through the application core's slots.
        slot_size=slots.app_slot_size,
        pad_header=True,
        align=4,
        swap_mode=slots.swap_mode,
        security_counter=None if net else labels.security_counter,
        encrypt_keylen=who.encrypt_keylen,
        hmac_sha=cast("Any", who.hmac_sha),
        save_enctlv=who.save_enctlv,
    )


def _write(folder: Path, files: dict[str, bytes], *, replace_keys: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise typer.BadParameter(f"{folder} is a file; -o takes the folder for the files")
    folder.mkdir(parents=True, exist_ok=True)
    write_files_atomic({folder / name: data for name, data in files.items()}, replace_keys=replace_keys)


def _data(made: Made, folder: Path) -> dict[str, Any]:
    image = made.image
    return {
        "core": image.core,
        "file": str(folder / image.file),
        "version": str(image.image.header.version),
        "size_bytes": len(image.data),
        "encrypted": image.image.encrypted,
        "load_address": made.load_address,
        "hash": image.hash,
    }
