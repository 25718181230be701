"""``package``: reads the keys, has the package made, writes its files, and shows what was made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from smpdfu.cli.app.advice_by_code import package_warning_words
from smpdfu.cli.image.key_files import read_recipient
from smpdfu.cli.image.package_options import Inputs
from smpdfu.cli.keys.passphrase import read_signer
from smpdfu.cli.terminal.show import HashOutput, table
from smpdfu.dfu.package.images import PackageImage
from smpdfu.dfu.package.making import PACKAGE_NAME, MadePackage, PackageRequest, Part, find_parts, pack_parts
from smpdfu.dfu.package.multi_image import FILE_NAME
from smpdfu.dfu.package.package import Board
from smpdfu.errors import PackageError
from smpdfu.image.files import write_files_atomic

if TYPE_CHECKING:
    from smpdfu.cli.image.options import Release
    from smpdfu.cli.image.package_options import Labels, Slots
    from smpdfu.cli.image.sign_options import PackageKeys
    from smpdfu.cli.keys.passphrase import SigningKey
    from smpdfu.cli.terminal.outputs import Replace
    from smpdfu.image.signing.encrypt import Recipient


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
    request = _request(inputs, labels, slots, who, guard)
    parts = _parts(request)
    made = pack_parts(parts, request, *_keys(who))
    warnings = [package_warning_words(warning) for warning in made.warnings]
    for warning in warnings:
        out.warn(warning)
    files = made.files(multi_image=labels.multi_image)
    replacing.check(
        [folder / name for name in files],
        (inputs.app, inputs.net, inputs.merged, who.key, who.encrypt, who.passphrase_file),
    )
    _write(folder, files, replace_keys=replacing.force)
    _show(made, warnings, files, folder, out)


def _request(inputs: Inputs, labels: Labels, slots: Slots, who: PackageKeys, guard: Release) -> PackageRequest:
    """What the options ask for; typer.BadParameter for files that do not go together."""
    if inputs == Inputs():
        raise typer.BadParameter("nothing to pack: give --merged, or --app and/or --net")
    if inputs.merged is not None and (inputs.app or inputs.net):
        raise typer.BadParameter("--merged has both cores: do not give --app or --net, too")
    return PackageRequest(
        labels.version,
        app=inputs.app,
        net=inputs.net,
        merged=inputs.merged,
        net_version=labels.net_version,
        security_counter=labels.security_counter,
        tie=labels.tie,
        name=labels.name,
        board=Board(labels.board.rstrip("/")),
        app_address=slots.app_address,
        app_slot_size=slots.app_slot_size,
        net_address=slots.net_address,
        net_slot_size=slots.net_slot_size,
        header_size=slots.header_size,
        swap_mode=slots.swap_mode,
        check_link=not slots.no_link_check,
        encrypt_keylen=who.encrypt_keylen,
        hmac_sha=cast("Any", who.hmac_sha),
        save_enctlv=who.save_enctlv,
        release=guard.release,
    )


def _parts(request: PackageRequest) -> tuple[Part, ...]:
    """The code of each core, found before a passphrase is asked for."""
    try:
        return find_parts(request)
    except PackageError as error:
        if error.code != "tie-without-net":
            raise
        raise typer.BadParameter("--tie needs the network core's image: give --net or --merged") from None


def _keys(who: PackageKeys) -> tuple[SigningKey | None, Recipient | None]:
    """The keys, each read once: a passphrase is asked for once."""
    if who.clear:
        raise typer.BadParameter("--clear is for the first programming of a slot; a package is for updates")
    return (
        None if who.key is None else read_signer(who.key, who.source()),
        None if who.encrypt is None else read_recipient(who.encrypt, who.source()),
    )


def _write(folder: Path, files: Mapping[str, bytes], *, replace_keys: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise typer.BadParameter(f"{folder} is a file; -o takes the folder for the files")
    folder.mkdir(parents=True, exist_ok=True)
    write_files_atomic({folder / name: data for name, data in files.items()}, replace_keys=replace_keys)


def _show(made: MadePackage, warnings: list[str], files: Mapping[str, bytes], folder: Path, out: HashOutput) -> None:
    """A row for each image."""
    data = [_data(image, folder) for image in made.package.images]
    path = str(folder / PACKAGE_NAME)
    columns = ("core", "file", "version", "bytes", "encrypted", "runs at", "hash")
    cells = ("version", "size_bytes", "encrypted")
    rows = [
        [image.core, image.file, *(said[key] for key in cells), f"0x{image.load_address:x}", said["hash"]]
        for image, said in zip(made.package.images, data, strict=True)
    ]
    said_of_all: dict[str, Any] = {"package": path, "size_bytes": len(files[PACKAGE_NAME])}
    title = path
    if FILE_NAME in files:
        said_of_all["multi_image"] = str(folder / FILE_NAME)
        title = f"{path} and {FILE_NAME}"
    out.emit(
        said_of_all | {"images": data, "warnings": warnings},
        lambda: table(title, columns, rows, long=out.long),
    )


def _data(image: PackageImage, folder: Path) -> dict[str, Any]:
    return {
        "core": image.core,
        "file": str(folder / image.file),
        "version": str(image.image.header.version),
        "size_bytes": len(image.data),
        "encrypted": image.image.encrypted,
        "load_address": image.load_address,
        "hash": image.hash,
    }
