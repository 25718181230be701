"""What all ways to make a package share: what is asked for, the keys, the files that are written, what is shown."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.cli.app.advice_by_code import package_warning_words
from smpdfu.cli.image.key_files import read_recipient
from smpdfu.cli.inspect.seal import seal_entry
from smpdfu.cli.keys.passphrase import read_signer
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.outputs import check_distinct
from smpdfu.cli.terminal.show import HashOutput, table
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.made import PACKAGE_NAME, MadePackage, PackageWarning
from smpdfu.dfu.package.mcuboot import PACKAGE_NAME as MCUBOOT_PACKAGE
from smpdfu.dfu.package.multi_image import FILE_NAME
from smpdfu.image.files import StrPath, write_files_atomic
from smpdfu.image.verification.seal_check import image_seal

if TYPE_CHECKING:
    from smpdfu.cli.image.options import Release
    from smpdfu.cli.image.pack.evidence_options import EvidenceFiles
    from smpdfu.cli.image.pack.package_keys import PackageKeys
    from smpdfu.cli.image.pack.package_options import Inputs, Labels, Slots
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


@dataclass(frozen=True, slots=True)
class Keys:
    """Who signs, for whom the application is encrypted, and who seals for NSIB before that."""

    signer: SigningKey | None
    recipient: Recipient | None
    nsib: SigningKey | None


def keys_of(who: PackageKeys) -> Keys:
    """The keys, each read once: smpdfu asks for a passphrase once."""
    if who.clear:
        raise typer.BadParameter("--clear is for the first programming of a slot; a package is for updates")
    if who.nsib_key is None and (who.nsib_passphrase_env, who.nsib_passphrase_file) != (None, None):
        raise typer.BadParameter("--nsib-passphrase-env and --nsib-passphrase-file need --nsib-key")
    if who.nsib_key is not None and who.key is None:
        raise typer.BadParameter("--nsib-key needs -k: the seal lies inside what -k signs. `smpdfu seal` makes a seal")
    signer = None if who.key is None else read_signer(who.key, who.source())
    recipient = None if who.encrypt is None else read_recipient(who.encrypt, who.source())
    if who.nsib_key is None or who.nsib_key == who.key:
        return Keys(signer, recipient, None if who.nsib_key is None else signer)
    return Keys(signer, recipient, read_signer(who.nsib_key, who.nsib_source()))


@dataclass(frozen=True, slots=True)
class Made:
    """The packages: of the cores first, then MCUboot's own. ``warnings`` are of neither."""

    packages: tuple[MadePackage, ...]
    warnings: tuple[PackageWarning, ...] = ()

    def words(self) -> list[str]:
        """All warnings, each once."""
        said = (*(one for made in self.packages for one in made.warnings), *self.warnings)
        return list(dict.fromkeys(map(package_warning_words, said)))


def finish(job: Job, made: Made, folder: Path, inputs: tuple[Path | None, ...], found: tuple[BuildFact, ...]) -> None:
    """Write the files, unless only the plan is wanted, and show what they are."""
    warnings = made.words()
    for warning in warnings:
        job.out.warn(warning)
    files: dict[str, bytes] = {}
    for one in made.packages:
        files |= one.files(multi_image=job.labels.multi_image and one.file == PACKAGE_NAME)
    if not job.plan:
        who = job.who
        keys = (who.key, who.encrypt, who.passphrase_file, who.nsib_key, who.nsib_passphrase_file)
        outputs: dict[StrPath, bytes] = {folder / name: data for name, data in files.items()}
        checked = [*map(Path, outputs), *job.evidence.files]
        check_distinct(checked)
        job.replacing.check(checked, (*inputs, *keys, *job.evidence.secrets))
        outputs.update(_evidence(job, made.packages, files, inputs, warnings))
        _write(folder, outputs, replace_keys=job.replacing.force)
    show(job, made.packages, warnings, found, folder)


def _evidence(
    job: Job,
    made: Sequence[MadePackage],
    files: Mapping[str, bytes],
    inputs: tuple[Path | None, ...],
    warnings: list[str],
) -> Mapping[StrPath, bytes]:
    if not job.evidence.files:
        return {}
    from smpdfu.cli.image.pack import evidence  # here: only for what an optional extra writes

    def warn(text: str) -> None:
        warnings.append(text)
        job.out.warn(text)

    making = evidence.Making(
        job.build_dir, inputs, job.parameters, job.evidence.source(job.who), job.guard.release, warn
    )
    return evidence.evidence_files(job.evidence, made, files, making)


def _write(folder: Path, outputs: dict[StrPath, bytes], *, replace_keys: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise typer.BadParameter(f"{folder} is a file; -o takes the folder for the files")
    folder.mkdir(parents=True, exist_ok=True)
    write_files_atomic(outputs, replace_keys=replace_keys)


def show(
    job: Job, made: Sequence[MadePackage], warnings: list[str], found: tuple[BuildFact, ...], folder: Path
) -> None:
    """A row for each image; of a build folder before that a row for each value that was found in it."""
    images = [image for one in made for image in one.package.images]
    data = [_data(image, folder) for image in images]
    first = made[0].file if made else PACKAGE_NAME
    path = str(folder / first)
    said = _summary(made[0], folder) if made else {"package": path, "size_bytes": None, "images": []}
    names = [path, *(one.file for one in made[1:])]
    if job.labels.multi_image:
        said["multi_image"] = str(folder / FILE_NAME)
        names.append(FILE_NAME)
    mcuboot = next((one for one in made if one.file == MCUBOOT_PACKAGE), None)
    said |= {} if mcuboot is None else {"mcuboot": _summary(mcuboot, folder)}
    for kind, file in (("sbom", job.evidence.sbom), ("provenance", job.evidence.provenance)):
        if file is not None:
            said[kind] = str(file)
            names.append(str(file))
    title = ("would be written: " if job.plan else "") + " and ".join(names)
    said |= {"warnings": warnings} | ({"plan": True} if job.plan else {})
    if found:
        said["found"] = [{"of": one.of, "name": one.name, "value": one.value, "from": one.origin} for one in found]
    columns, lines = _of_build(images, data, found) if found else _of_files(images, data)
    job.out.emit(said, lambda: table(title, columns, lines, long=job.out.long))
    if found and not job.plan:
        for line in _how_to_install(made, folder):
            job.out.say(line)


def _how_to_install(made: Sequence[MadePackage], folder: Path) -> Iterator[str]:
    """A line for each package, and how to name the device."""
    for one in made:
        what = " (MCUboot itself; there is no way back)" if one.file == MCUBOOT_PACKAGE else ""
        yield f"Install {folder / one.file}{what}: `smpdfu update {shlex.quote(str(folder / one.file))}`"
    yield "Name the device with --port, --ble or --ip."


def _summary(made: MadePackage, folder: Path) -> dict[str, Any]:
    """A package for scripts."""
    return {
        "package": str(folder / made.file),
        "size_bytes": len(made.package.to_bytes()),
        "images": [_data(image, folder) for image in made.package.images],
    }


Table = tuple[tuple[str, ...], list[list[object]]]


def _of_files(images: Sequence[PackageImage], data: Sequence[Mapping[str, Any]]) -> Table:
    cells = ("version", "size_bytes", "encrypted")
    sealed = any(said["seal"] for said in data)
    columns = (
        "for",
        "file",
        "version",
        "bytes",
        "encrypted",
        "load address",
        "hash",
        *(("seal key",) if sealed else ()),
    )
    return columns, [
        [
            image.role,
            image.file,
            *(said[key] for key in cells),
            f"0x{image.load_address:x}",
            said["hash"],
            *((said["seal"] and said["seal"]["key_hash"],) if sealed else ()),
        ]
        for image, said in zip(images, data, strict=True)
    ]


def _of_build(images: Sequence[PackageImage], data: Sequence[Mapping[str, Any]], found: tuple[BuildFact, ...]) -> Table:
    lines: list[list[object]] = [[*row] for row in _once(images, found)]
    for image, said in zip(images, data, strict=True):
        lines.append([image.file, "size", f"{said['size_bytes']} bytes", said["file"]])
        lines.append([image.file, "hash", said["hash"], said["file"]])
        if said["seal"]:
            lines.append([image.file, "key of the seal", said["seal"]["key_hash"], said["file"]])
    return ("of", "what", "value", "from"), lines


def _once(images: Sequence[PackageImage], found: Sequence[BuildFact]) -> Iterable[tuple[str, ...]]:
    """A row for each fact; one that is the same for all images, or for both of MCUboot, has one row."""
    groups = {
        "all images": {image.file for image in images},
        "both images of MCUboot": {image.file for image in images if image.role is Role.MCUBOOT},
    }
    whose: dict[tuple[str, str, str], set[str]] = {}
    for one in found:
        whose.setdefault((one.name, one.value, one.origin), set()).add(one.of)
    rows = dict[tuple[str, ...], None]()
    for one in found:
        fact = (one.name, one.value, one.origin)
        group = next((name for name, files in groups.items() if len(files) > 1 and files == whose[fact]), one.of)
        rows[group, *fact] = None
    return rows


def _data(image: PackageImage, folder: Path) -> dict[str, Any]:
    seal = image_seal(image.image)
    return {
        "core": image.core,
        "file": str(folder / image.file),
        "version": str(image.image.header.version),
        "size_bytes": len(image.data),
        "encrypted": image.image.encrypted,
        "load_address": image.load_address,
        "hash": image.hash,
        "role": image.role,
        "slot": image.slot,
        "seal": None if seal is None else seal_entry(seal),
    }
