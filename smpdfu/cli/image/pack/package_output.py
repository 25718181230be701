"""What all ways to make a package share: what is asked for, the keys, the files that are written, what is shown."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from smpdfu.cli.app.advice_by_code import package_warning_words
from smpdfu.cli.image.key_files import read_recipient
from smpdfu.cli.keys.passphrase import read_signer
from smpdfu.cli.terminal.show import HashOutput, table
from smpdfu.dfu.package.images import PackageImage
from smpdfu.dfu.package.making import PACKAGE_NAME, MadePackage
from smpdfu.dfu.package.multi_image import FILE_NAME
from smpdfu.image.files import StrPath, write_files_atomic

if TYPE_CHECKING:
    from smpdfu.cli.image.options import Release
    from smpdfu.cli.image.pack.evidence_options import EvidenceFiles
    from smpdfu.cli.image.pack.package_options import Inputs, Labels, Slots
    from smpdfu.cli.image.sign_options import PackageKeys
    from smpdfu.cli.keys.passphrase import SigningKey
    from smpdfu.cli.terminal.outputs import Replace
    from smpdfu.dfu.build_folder.table import BuildFact
    from smpdfu.image.signing.encrypt import Recipient


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
    evidence: EvidenceFiles
    parameters: Mapping[str, str | bool] = field(default_factory=dict)


def keys_of(who: PackageKeys) -> tuple[SigningKey | None, Recipient | None]:
    """The keys, each read once: smpdfu asks for a passphrase once."""
    if who.clear:
        raise typer.BadParameter("--clear is for the first programming of a slot; a package is for updates")
    return (
        None if who.key is None else read_signer(who.key, who.source()),
        None if who.encrypt is None else read_recipient(who.encrypt, who.source()),
    )


def finish(
    job: Job, made: MadePackage, folder: Path, inputs: tuple[Path | None, ...], found: tuple[BuildFact, ...]
) -> None:
    """Write the files, unless only the plan is wanted, and show what they are."""
    warnings = [package_warning_words(warning) for warning in made.warnings]
    for warning in warnings:
        job.out.warn(warning)
    files = made.files(multi_image=job.labels.multi_image)
    if not job.plan:
        keys = (job.who.key, job.who.encrypt, job.who.passphrase_file, job.evidence.provenance_key)
        outputs: dict[StrPath, bytes] = {folder / name: data for name, data in files.items()}
        job.replacing.check([*map(Path, outputs), *job.evidence.files], (*inputs, *keys))
        outputs.update(_evidence(job, made, files, inputs))
        _write(folder, outputs, replace_keys=job.replacing.force)
    show(job, made, warnings, found, folder)


def _evidence(
    job: Job, made: MadePackage, files: Mapping[str, bytes], inputs: tuple[Path | None, ...]
) -> Mapping[StrPath, bytes]:
    if not job.evidence.files:
        return {}
    from smpdfu.cli.image.pack import evidence  # here: only for what an optional extra writes

    making = evidence.Making(job.build_dir, inputs, job.parameters, job.who.source())
    return evidence.evidence_files(job.evidence, made, files, making)


def _write(folder: Path, outputs: dict[StrPath, bytes], *, replace_keys: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise typer.BadParameter(f"{folder} is a file; -o takes the folder for the files")
    folder.mkdir(parents=True, exist_ok=True)
    write_files_atomic(outputs, replace_keys=replace_keys)


def show(job: Job, made: MadePackage | None, warnings: list[str], found: tuple[BuildFact, ...], folder: Path) -> None:
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
    for name, file in (("sbom", job.evidence.sbom), ("provenance", job.evidence.provenance)):
        if file is not None:
            said[name] = str(file)
            title = f"{title}, {file}"
    said |= {"images": data, "warnings": warnings} | ({"plan": True} if job.plan else {})
    if found:
        said["found"] = [{"of": one.of, "name": one.name, "value": one.value, "from": one.origin} for one in found]
    columns, lines = _of_build(images, data, found) if found else _of_files(images, data)
    job.out.emit(said, lambda: table(title, columns, lines, long=job.out.long))
    if found and not job.plan:
        job.out.say(f"To install it: `smpdfu update {shlex.quote(path)}`, with --port, --ble or --ip for the device.")


Table = tuple[tuple[str, ...], list[list[object]]]


def _of_files(images: Sequence[PackageImage], data: Sequence[Mapping[str, Any]]) -> Table:
    cells = ("version", "size_bytes", "encrypted")
    return ("for", "file", "version", "bytes", "encrypted", "load address", "hash"), [
        [image.role, image.file, *(said[key] for key in cells), f"0x{image.load_address:x}", said["hash"]]
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
