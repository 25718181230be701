"""``package``: reads the keys, has the package made, writes its files, and shows what was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from smpdfu.cli.app.advice_by_code import package_warning_words
from smpdfu.cli.image.key_files import read_recipient
from smpdfu.cli.image.package_options import Inputs
from smpdfu.cli.keys.passphrase import read_signer
from smpdfu.cli.terminal.show import HashOutput, table
from smpdfu.dfu.build_folder.build import Build
from smpdfu.dfu.build_folder.find import find_build
from smpdfu.dfu.build_folder.making import BuildRequest, pack_build
from smpdfu.dfu.build_folder.overrides import BuildOverrides, overridden
from smpdfu.dfu.build_folder.table import BuildFact, facts_of
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

_OWN_FOLDER = "smpdfu"
"""In a build folder: beside what the build writes, so that nothing of it is replaced."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the command line asks for."""

    inputs: Inputs
    labels: Labels
    slots: Slots
    who: PackageKeys
    guard: Release
    replacing: Replace
    out: HashOutput
    build_dir: Path | None
    folder: Path | None
    plan: bool


def pack(context: typer.Context, job: Job) -> None:
    """Make a package of a build folder or of firmware files, write its files (without --plan), and show it."""
    if job.build_dir is not None:
        _pack_build(context, job, job.build_dir)
    else:
        _pack_files(job)


def _pack_files(job: Job) -> None:
    if job.inputs != Inputs() or job.labels.version is not None:
        _require(job.labels.version, "'-v' / '--version'")
        _require(job.folder, "'-o' / '--output'")
    request = _request(job)
    parts = _parts(request)
    made = pack_parts(parts, request, *_keys(job.who))
    assert job.folder is not None
    _finish(job, made, job.folder, (job.inputs.app, job.inputs.net, job.inputs.merged), ())


def _require(value: object, names: str) -> None:
    if value is None:
        raise typer.BadParameter(f"Missing option {names}. Only a build folder makes it unnecessary")


def _request(job: Job) -> PackageRequest:
    """What the options ask for; typer.BadParameter for files that do not go together."""
    inputs, labels, slots, who = job.inputs, job.labels, job.slots, job.who
    if inputs == Inputs():
        raise typer.BadParameter("nothing to pack: give a build folder, --merged, or --app and/or --net")
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
        release=job.guard.release,
    )


def _parts(request: PackageRequest) -> tuple[Part, ...]:
    """The code of each core, found before a passphrase is asked for."""
    try:
        return find_parts(request)
    except PackageError as error:
        if error.code != "tie-without-net":
            raise
        raise typer.BadParameter("--tie needs the network core's image: give --net or --merged") from None


# --- a build folder -------------------------------------------------------------------------------------------------


def _pack_build(context: typer.Context, job: Job, path: Path) -> None:
    if job.inputs != Inputs():
        raise typer.BadParameter("a build folder has the firmware: do not give --app, --net or --merged, too")
    if job.who.encrypt is not None and job.who.key is None:
        raise typer.BadParameter("-E needs -k: only an image that is signed now can be encrypted")
    request = _build_request(context, job)
    build = find_build(path)  # before a passphrase is asked for
    found = facts_of(overridden(build, request.overrides))
    made = _made(job, build, request)
    folder = path / _OWN_FOLDER if job.folder is None else job.folder
    inputs = [build.root / name for one in build.updates for name in (one.unsigned, one.signed) if name is not None]
    if made is None:
        warnings = [one.message for one in overridden(build, request.overrides).warnings]
        _show(job, None, [*warnings, _UNSIGNED], found, folder)
    else:
        _finish(job, made, folder, tuple(inputs), found)


_UNSIGNED = "the build has no signed images for a package: give the key with -k"


def _made(job: Job, build: Build, request: BuildRequest) -> MadePackage | None:
    """The package; None where only the plan is wanted, and a key is what is missing for more."""
    try:
        return pack_build(build, request, *_keys(job.who))
    except PackageError as error:
        if job.plan and error.code == "build-not-signed":
            return None
        raise


def _build_request(context: typer.Context, job: Job) -> BuildRequest:
    """What the options ask for. A value counts only if a person gave it: the build has its own."""

    def given(name: str, value: Any) -> Any:
        source = context.get_parameter_source(name)
        return value if source is not None and source.name != "DEFAULT" else None

    labels, slots, who = job.labels, job.slots, job.who
    places = ("app_address", "app_slot_size", "net_address", "net_slot_size", "header_size", "swap_mode")
    board = given("board", labels.board)
    return BuildRequest(
        overrides=BuildOverrides(
            version=labels.version,
            net_version=labels.net_version,
            security_counter=labels.security_counter,
            board=None if board is None else board.rstrip("/"),
            **{name: given(name, getattr(slots, name)) for name in places},
        ),
        tie=labels.tie,
        name=labels.name,
        check_link=not slots.no_link_check,
        encrypt_keylen=given("encrypt_keylen", who.encrypt_keylen),
        hmac_sha=cast("Any", who.hmac_sha),
        save_enctlv=who.save_enctlv,
        release=job.guard.release,
    )


# --- what both share ------------------------------------------------------------------------------------------------


def _keys(who: PackageKeys) -> tuple[SigningKey | None, Recipient | None]:
    """The keys, each read once: a passphrase is asked for once."""
    if who.clear:
        raise typer.BadParameter("--clear is for the first programming of a slot; a package is for updates")
    return (
        None if who.key is None else read_signer(who.key, who.source()),
        None if who.encrypt is None else read_recipient(who.encrypt, who.source()),
    )


def _finish(
    job: Job, made: MadePackage, folder: Path, inputs: tuple[Path | None, ...], found: tuple[BuildFact, ...]
) -> None:
    """Write the files, unless only the plan is wanted, and show what they are."""
    warnings = [package_warning_words(warning) for warning in made.warnings]
    for warning in warnings:
        job.out.warn(warning)
    files = made.files(multi_image=job.labels.multi_image)
    if not job.plan:
        keys = (job.who.key, job.who.encrypt, job.who.passphrase_file)
        job.replacing.check([folder / name for name in files], (*inputs, *keys))
        _write(folder, files, replace_keys=job.replacing.force)
    _show(job, made, warnings, found, folder)


def _write(folder: Path, files: Mapping[str, bytes], *, replace_keys: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise typer.BadParameter(f"{folder} is a file; -o takes the folder for the files")
    folder.mkdir(parents=True, exist_ok=True)
    write_files_atomic({folder / name: data for name, data in files.items()}, replace_keys=replace_keys)


def _show(job: Job, made: MadePackage | None, warnings: list[str], found: tuple[BuildFact, ...], folder: Path) -> None:
    """A row for each image; of a build folder before that a row for each value that was found in it."""
    images = () if made is None else made.package.images
    data = [_data(image, folder) for image in images]
    path = str(folder / PACKAGE_NAME)
    size = None if made is None else len(made.package.to_bytes())
    said: dict[str, Any] = {"package": path, "size_bytes": size}
    title = f"would be written: {path}" if job.plan else path
    if job.labels.multi_image:
        said["multi_image"] = str(folder / FILE_NAME)
        title = f"{title} and {FILE_NAME}"
    said |= {"images": data, "warnings": warnings} | ({"plan": True} if job.plan else {})
    if found:
        said["found"] = [{"of": one.of, "name": one.name, "value": one.value, "from": one.origin} for one in found]
    columns, lines = _of_build(images, data, found) if found else _of_files(images, data)
    job.out.emit(said, lambda: table(title, columns, lines, long=job.out.long))


Table = tuple[tuple[str, ...], list[list[object]]]


def _of_files(images: Sequence[PackageImage], data: Sequence[Mapping[str, Any]]) -> Table:
    cells = ("version", "size_bytes", "encrypted")
    return ("core", "file", "version", "bytes", "encrypted", "runs at", "hash"), [
        [image.core, image.file, *(said[key] for key in cells), f"0x{image.load_address:x}", said["hash"]]
        for image, said in zip(images, data, strict=True)
    ]


def _of_build(images: Sequence[PackageImage], data: Sequence[Mapping[str, Any]], found: tuple[BuildFact, ...]) -> Table:
    lines: list[list[object]] = [[one.of, one.name, one.value, one.origin] for one in found]
    for image, said in zip(images, data, strict=True):
        lines.append([image.file, "size", f"{said['size_bytes']} bytes", said["file"]])
        lines.append([image.file, "hash", said["hash"], said["file"]])
    return ("of", "what", "value", "from"), lines


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
