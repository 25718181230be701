"""Find out what a build folder is, and what it says of itself."""

from __future__ import annotations

import os
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from smpdfu.dfu.build_folder.bootloader import read_bootloader
from smpdfu.dfu.build_folder.build import Build, BuildImage, BuildKind, BuildRole
from smpdfu.dfu.build_folder.formats.folder import BuildFolder
from smpdfu.dfu.build_folder.formats.kconfig import Kconfig
from smpdfu.dfu.build_folder.images import DOMAINS, find_images, read_domains
from smpdfu.dfu.build_folder.layout import read_layout
from smpdfu.dfu.build_folder.nsib import find_mcuboot_updates, read_nsib
from smpdfu.dfu.build_folder.updates import Sources, find_updates, update_warnings, with_names
from smpdfu.dfu.package import manifest as manifests
from smpdfu.errors import PackageError

_MAIN_CONFIG = "zephyr/.config"
_MANIFESTS = ("dfu_application.zip_manifest.json", "zephyr/dfu_application.zip_manifest.json")

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,95}\.bin")

StrPath = str | os.PathLike[str]


def find_build(path: StrPath) -> Build:
    """Read a build folder of the nRF Connect SDK: its images, its bootloader, and what a package of it has.

    Only files with the names that the SDK gives are read, each up to a bound; keys that are not known are passed over.
    Raises PackageError with the file for what is no build folder, has no MCUboot, or cannot be read; OSError.
    """
    folder = BuildFolder(Path(path))
    if not folder.root.is_dir():
        text = f"{folder.root} is no folder. Give the folder that `west build` wrote, which is often called build"
        raise PackageError(text).because("build-none", folder=str(folder.root))
    _check_not_one_image(folder)
    domains = read_domains(folder)
    main = folder.config(_MAIN_CONFIG) or Kconfig(_MAIN_CONFIG)
    # Where the folder itself is an image, the others are its children; several domains have a domains.yaml there, too.
    is_sysbuild = not any(key.startswith("CONFIG_") for key in main.values)
    sysbuild = main if is_sysbuild else Kconfig(_MAIN_CONFIG)
    images = find_images(folder, domains, sysbuild)
    application = next((one for one in images if one.role is BuildRole.APPLICATION), None)
    if application is None:
        raise _no_build(folder, images)
    kind = _kind(application, sysbuild, is_sysbuild=is_sysbuild)
    _check_mcuboot(folder, images, application)
    network = next((one for one in images if one.role is BuildRole.NETWORK), None)
    sources = Sources(
        folder,
        kind,
        images,
        read_bootloader(folder, images, sysbuild),
        sysbuild,
        read_layout(folder, kind, application, network),
    )
    manifest = _manifest(folder)
    updates = with_names(find_updates(sources), _names(manifest))
    warnings = tuple(update_warnings(sources, updates))
    mcuboot, nsib = find_mcuboot_updates(sources), read_nsib(folder, images, sysbuild)
    return Build(folder.root, kind, images, sources.bootloader, updates, warnings, _name(manifest), mcuboot, nsib)


def _check_not_one_image(folder: BuildFolder) -> None:
    """Raises PackageError for the folder of one image: its package would lack the others."""
    here = Path(os.path.abspath(folder.root))
    names: tuple[str, ...] = ()
    with suppress(PackageError, OSError):  # nobody said that the folder above is a build
        names = read_domains(BuildFolder(here.parent)).names
    if here.name in names and not folder.has(DOMAINS):
        raise PackageError(f"{folder.root} is one image of the build folder {here.parent}").because(
            "build-one-image", folder=str(here.parent)
        )


def _kind(application: BuildImage, sysbuild: Kconfig, *, is_sysbuild: bool) -> BuildKind:
    managed = application.config.flag("CONFIG_PARTITION_MANAGER_ENABLED") or sysbuild.flag(
        "SB_CONFIG_PARTITION_MANAGER"
    )
    if managed:
        return BuildKind.SYSBUILD_PM if is_sysbuild else BuildKind.CHILD
    return BuildKind.SYSBUILD_DTS


def _no_build(folder: BuildFolder, images: tuple[BuildImage, ...]) -> PackageError:
    if images:
        text = f"{folder.root} has no application for MCUboot, only {', '.join(one.name or '.' for one in images)}"
        return PackageError(text).because("build-no-mcuboot", folder=str(folder.root))
    return PackageError(
        f"{folder.root} is no build folder of the nRF Connect SDK: no image in it has a zephyr/.config. Give "
        "the folder that `west build` wrote, which is often called build"
    ).because("build-none", folder=str(folder.root))


def _check_mcuboot(folder: BuildFolder, images: tuple[BuildImage, ...], application: BuildImage) -> None:
    if application.config.flag("CONFIG_BOOTLOADER_MCUBOOT") or any(one.role is BuildRole.MCUBOOT for one in images):
        return
    raise PackageError(
        f"the build in {folder.root} has no MCUboot: CONFIG_BOOTLOADER_MCUBOOT is not set in {application.config.file}"
    ).because("build-no-mcuboot", folder=str(folder.root), file=application.config.file)


def _manifest(folder: BuildFolder) -> dict[str, Any]:
    """That of the build's own package; one without files where there is none. It is only looked at for names."""
    name = folder.first(*_MANIFESTS)
    try:
        found = None if name is None else folder.read(name, manifests.MAX_MANIFEST_BYTES, manifests.parse)
    except PackageError:
        found = None
    return {"files": []} if found is None else found


def _name(manifest: dict[str, Any]) -> str | None:
    name = manifest.get("name")
    return name if isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and name.isprintable() else None


_LONGEST_NAME = 128


def _names(manifest: dict[str, Any]) -> dict[tuple[int, int | None], str]:
    """The file names of the build's own package by number and slot, as far as they are one for each."""
    entries = manifest["files"]
    try:
        places = [(manifests.number(one, "image_index", default=0), manifests.number(one, "slot")) for one in entries]
    except PackageError:
        return {}  # it names files only, and there is a rule for their names
    counts = Counter(places)
    return {
        (place[0], place[1]): str(one["file"])
        for place, one in zip(places, entries, strict=True)
        if place[0] is not None and counts[place] == 1 and _FILE_NAME.fullmatch(str(one["file"]))
    }
