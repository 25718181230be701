"""``package``: sign the firmware of both cores and pack it as the nRF Connect SDK does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from smpdfu.cli.app.command import command
from smpdfu.cli.image.options import ADDRESS, NUMBER, option
from smpdfu.cli.image.release_guard import Release
from smpdfu.cli.image.sign_options import PackageKeys
from smpdfu.cli.terminal import values
from smpdfu.cli.terminal.outputs import Replace
from smpdfu.cli.terminal.show import HashOutput, table
from smpdfu.image.trailer import SwapMode

if TYPE_CHECKING:
    from smpdfu.cli.keys.passphrase import SigningKey
    from smpdfu.dfu.package.merged_hex import Code, Slot
    from smpdfu.dfu.package.package import Core, CoreImage
    from smpdfu.image.files import Firmware
    from smpdfu.image.signing.encrypt import Recipient
    from smpdfu.image.signing.spec import ImageSpec

PACKAGE_NAME = "dfu_application.zip"
_SLOTS, _BOARD = "The slots (without these: as on the nRF5340 DK)", "The package"


@dataclass(frozen=True, slots=True)
class Inputs:
    """The firmware: apart, or merged."""

    app: Annotated[Path | None, typer.Option("--app", metavar="FILE", help="Firmware of the application core.")] = None
    net: Annotated[Path | None, typer.Option("--net", metavar="FILE", help="Firmware of the network core.")] = None
    merged: Annotated[
        Path | None, typer.Option("--merged", metavar="HEX", help="Both in one Intel HEX, taken apart by address.")
    ] = None


@dataclass(frozen=True, slots=True)
class Slots:
    """Where the images will lie, and how the bootloader was built."""

    app_address: Annotated[
        int,
        option(
            "--app-address",
            parse=values.unsigned32,
            metavar=ADDRESS,
            text="Primary slot; default 0xc000. Also in the image's header, for bootloaders that check it.",
            panel=_SLOTS,
        ),
    ] = 0xC000
    app_slot_size: Annotated[
        int,
        option(
            "-S",
            "--app-slot-size",
            parse=values.number,
            metavar=NUMBER,
            text="Its size; default 0x7a000.",
            panel=_SLOTS,
        ),
    ] = 0x7A000
    net_address: Annotated[
        int | None,
        option(
            "--net-address",
            parse=values.unsigned32,
            metavar=ADDRESS,
            text="Network application; by default 0x1008800, or 0x1002800 where the code is linked for that.",
            panel=_SLOTS,
        ),
    ] = None
    net_slot_size: Annotated[
        int | None,
        option(
            "--net-slot-size",
            parse=values.number,
            metavar=NUMBER,
            text="Its room; by default the rest of the flash.",
            panel=_SLOTS,
        ),
    ] = None
    header_size: Annotated[
        int,
        option(
            "-H",
            "--header-size",
            parse=values.number,
            metavar=NUMBER,
            text="MCUboot's header; default 0x200.",
            panel=_SLOTS,
        ),
    ] = 0x200
    swap_mode: Annotated[
        SwapMode, typer.Option("--swap-mode", help="How the bootloader swaps.", rich_help_panel=_SLOTS)
    ] = SwapMode.MOVE
    no_link_check: Annotated[
        bool,
        typer.Option("--no-link-check", help="No warning about firmware linked elsewhere.", rich_help_panel=_SLOTS),
    ] = False

    def of(self, core: Core) -> Sequence[Slot]:
        """Where the slot of a core may be. The network core's image lies in its flash without the header."""
        from smpdfu.dfu.package.merged_hex import NET_SLOTS, Slot
        from smpdfu.dfu.package.package import Core
        from smpdfu.image.nrf5340 import NET

        if core is Core.APP:
            return [Slot(self.app_address, self.app_address + self.app_slot_size, self.header_size)]
        starts = [slot.start for slot in NET_SLOTS] if self.net_address is None else [self.net_address]
        size = self.net_slot_size
        return [Slot(start, NET.end if size is None else start + size) for start in starts]


@dataclass(frozen=True, slots=True)
class Labels:
    """What the package says about itself."""

    version: Annotated[
        Any, option("-v", "--version", parse=values.version, metavar="VERSION", text="Such as 1.2.3+4.", panel=_BOARD)
    ]
    net_version: Annotated[
        Any,
        option(
            "--net-version",
            parse=values.version,
            metavar="VERSION",
            text="Of the network core; --version if not given.",
            panel=_BOARD,
        ),
    ] = None
    security_counter: Annotated[
        Any,
        option(
            "-s",
            "--security-counter",
            parse=values.security_counter,
            metavar="NUMBER|auto",
            text="Of the application core.",
            panel=_BOARD,
        ),
    ] = None
    tie: Annotated[
        bool,
        typer.Option(
            "--tie",
            help="The network core's image waits for this application: two image pairs, a higher version. With one "
            "pair no bootloader checks it. Not for bootloaders that compare the network core's versions "
            "(PCD_READ_NETCORE_APP_VERSION): they refuse a tied image.",
            rich_help_panel=_BOARD,
        ),
    ] = False
    name: Annotated[
        str | None, typer.Option("--name", metavar="TEXT", help="Name of the package.", rich_help_panel=_BOARD)
    ] = None
    board: Annotated[
        str, typer.Option("--board", metavar="BOARD", help="Board in Zephyr's words.", rich_help_panel=_BOARD)
    ] = "nrf5340dk/nrf5340"


@dataclass(frozen=True, slots=True)
class Made:
    """One core's signed image, where its code will lie, and what is to be said of it."""

    image: CoreImage
    load_address: int
    warnings: tuple[str, ...]


def register(app: typer.Typer) -> None:
    """Add ``package`` to ``app``."""
    command(app, "package")(package)


def package(
    inputs: Inputs,
    labels: Labels,
    slots: Slots,
    who: PackageKeys,
    guard: Release,
    replace: Replace,
    out: HashOutput,
    folder: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the files.")],
) -> None:
    """Sign the firmware of both cores and write dfu_application.zip.

    With -E the application core's image is encrypted. The network core's is not: a bootloader with one pair of slots
    could not tell it from an application.
    """
    from smpdfu.dfu.decide.ties import check_ties
    from smpdfu.dfu.package.merged_checks import one_core_warning
    from smpdfu.dfu.package.package import Board, new_package

    codes = _read(inputs, slots)
    tie = _tie_warnings(labels, slots, [core for core, _, _ in codes])
    keys = _keys(who)
    known = guard.of_keys([] if keys.signer is None else [keys.signer], keys.recipient)
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
    replace.check(
        [folder / name for name in files],
        (inputs.app, inputs.net, inputs.merged, who.key, who.encrypt, who.passphrase_file),
    )
    _write(folder, files, replace_keys=replace.force)
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


def _tie_warnings(labels: Labels, slots: Slots, cores: list[Core]) -> list[str]:
    """What --tie does not do; typer.BadParameter where it does nothing at all."""
    from smpdfu.dfu.package.package import Core
    from smpdfu.image.format import Version

    if not labels.tie:
        return []
    if Core.NET not in cores:
        raise typer.BadParameter("--tie lets the network core's image wait, and there is none: give --net or --merged")
    found = []
    if slots.swap_mode is not SwapMode.OVERWRITE_ONLY:
        found.append(
            "the tie works only where each core has a pair of slots of its own: with one pair, bootloaders check no "
            "dependency, and it neither helps nor harms"
        )
    if labels.version <= Version(0, 0, 0, 0xFFFF_FFFF):
        found.append("the tie waits for nothing: every application has at least version 0.0.0")
    return found


def _read(inputs: Inputs, slots: Slots) -> list[tuple[Core, Code, Slot]]:
    """The code of each core that was given, and the slot that it is for."""
    from smpdfu.dfu.package.merged_hex import find_code
    from smpdfu.dfu.package.package import Core
    from smpdfu.errors import ImageError

    if inputs == Inputs():
        raise typer.BadParameter("what shall be packed? Give --merged, or --app, --net or both")
    if inputs.merged is not None and (inputs.app or inputs.net):
        raise typer.BadParameter("--merged has both cores; give it alone")
    found = []
    for core, path in ((Core.APP, inputs.app or inputs.merged), (Core.NET, inputs.net or inputs.merged)):
        if path is None:
            continue
        placed = find_code(_firmware(path, merged=inputs.merged is not None), core, slots.of(core))
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
    from smpdfu.dfu.package.merged_checks import check_left_out, check_place
    from smpdfu.dfu.package.package import Core

    path = inputs.merged or (inputs.app if core is Core.APP else inputs.net)
    firmware = None if path is None else _firmware(path, merged=inputs.merged is not None)
    if firmware is not None and firmware.addressed:
        check_left_out(firmware, str(path))
        check_place(firmware, core, code, slot, str(path))


@cache
def _firmware(path: Path, *, merged: bool) -> Firmware:
    from smpdfu.image.files import read_firmware, split_cores

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
    from smpdfu.cli.image.key_files import read_recipient
    from smpdfu.cli.keys.passphrase import read_signer

    if who.clear:
        raise typer.BadParameter("--clear is for the first programming of a slot; a package is for updates")
    return Keys(
        None if who.key is None else read_signer(who.key, who.source()),
        None if who.encrypt is None else read_recipient(who.encrypt, who.source()),
    )


def _sign(core: Core, code: Code, slot: Slot, keys: Keys, spec: ImageSpec, slots: Slots) -> Made:
    from smpdfu.dfu.package.merged_hex import carry_over
    from smpdfu.dfu.package.package import Core, CoreImage
    from smpdfu.errors import TooLargeError
    from smpdfu.image.signing.build import build
    from smpdfu.image.vector_table import Vectors, link_warning

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
    from smpdfu.dfu.package.package import Core
    from smpdfu.image.format import Dependency
    from smpdfu.image.signing.build import ImageSpec

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
    from smpdfu.image.files import write_files_atomic

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
