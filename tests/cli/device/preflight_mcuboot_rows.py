"""More rows of the table: packages with MCUboot itself, for a device with b0 below it and for others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from smpdfu.dfu.package.images import PackageImage
from smpdfu.dfu.package.package import Package
from tests.cli.device.preflight_bench import B0, Bench, Built
from tests.cli.device.preflight_mode_rows import IN_PLACE, variant
from tests.cli.device.preflight_rows import APP_ONLY, ERROR, NOTE, OLD, WARNING, Prepare, Row
from tests.dfu.mcuboot_images import mcuboot_image

WITH_B0 = Built(B0, encrypts=False)
BY_OFFSET = Built(B0, encrypts=False, mode="swap-offset")
WRONG_SLOT = ("--active-b0-slot", "1")


def written(bench: Bench, *images: PackageImage) -> Path:
    path = bench.folder / "package.zip"
    files = [{**image.entry, "file": image.file} for image in images]
    Package(images, {"format-version": 1, "files": files}).write(path)
    return path


def of_slots(zero: dict[str, Any], one: dict[str, Any]) -> Prepare:
    """The package of a build, with what is special about each file."""
    return lambda bench: written(bench, mcuboot_image(bench.keys, 0, **zero), mcuboot_image(bench.keys, 1, **one))


def mcuboot(**how: Any) -> Prepare:
    return of_slots(how, how)


def after_an_update(version: int) -> Prepare:
    """The device's journal knows that firmware version 2 runs; the package has this one."""

    def prepare(bench: Bench) -> Path:
        bench.do("update", mcuboot(version=2)(bench))
        return mcuboot(version=version)(bench)

    return prepare


def alone(bench: Bench) -> Path:
    return mcuboot()(bench)


def beside(application: Prepare) -> Callable[[Bench], Path]:
    """The same with an application for this device."""

    def prepare(bench: Bench) -> Path:
        found = Package.load(application(bench))
        return written(bench, *found.images, mcuboot_image(bench.keys, 0))

    return prepare


MCUBOOT_ROWS = (
    Row("no-steps", ERROR, beside(variant(1, 1)), 0, APP_ONLY, IN_PLACE),
    Row("nothing-to-install", ERROR, alone, 6, OLD, IN_PLACE),
    Row("mcuboot-no-way-back", WARNING, alone, 0, OLD, WITH_B0),
    Row("seal", NOTE, alone, 0, OLD, WITH_B0),
    Row("mcuboot-version", NOTE, alone, 0, OLD, WITH_B0),
    Row("mcuboot-version", ERROR, after_an_update(1), 7, OLD, WITH_B0),
    Row("mcuboot-info", ERROR, mcuboot(info=False), 7, OLD, WITH_B0),
    Row("mcuboot-address", ERROR, of_slots({"start": 0x14000}, {"start": 0x8000}), 7, OLD, WITH_B0),
    Row("mcuboot-offset", ERROR, alone, 7, OLD, BY_OFFSET),
    Row("b0-slot-differs", WARNING, alone, 7, OLD, WITH_B0, WRONG_SLOT),
)
