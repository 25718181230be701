"""More rows of the table: bootloaders that start an image where it lies, and images for pairs that are not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.virtual.chip.layout import LAYOUTS
from tests.cli.device.preflight_bench import Bench, Built
from tests.cli.device.preflight_rows import APP_ONLY, ERROR, OLD, WARNING, Prepare, Row

IN_PLACE = Built("nrf5340dk-direct-xip", encrypts=False)


def variant(linked: int, told: int | None, version: str = "2.0.0") -> Prepare:
    """An application that is linked for slot ``linked``, as its package says of slot ``told``, or does not say."""

    def prepare(bench: Bench) -> Path:
        start = LAYOUTS[bench.built.layout].images[0].places[linked].start
        entry: dict[str, Any] = {"type": "application", "file": "app.bin", "image_index": "0", "load_address": start}
        entry |= {} if told is None else {"slot": str(told)}
        data = bench.data(version=version, address=start + 0x200, fixed=start, size=3100)
        path = bench.folder / "package.zip"
        image = PackageImage.from_bytes(data, "app.bin", entry)
        Package((image,), {"format-version": 1, "files": [entry]}).write(path)
        return path

    return prepare


def with_half(bench: Bench) -> Path:
    """The application, and its half in external flash."""
    data = bench.data(version="2.0.0", fixed=0, size=3100)
    entry = {"load_address": 0x1012_0000, "image_index": "1"}
    half = PackageImage.from_bytes(data, "app.external.bin", entry)
    assert half.role is Role.EXTERNAL
    return bench.package(bench.image(), replace(half, entry=entry))


def with_number(bench: Bench) -> Path:
    """The same, as a package that sends both to the application's image pair."""
    half = PackageImage.from_bytes(bench.data(version="2.0.0", fixed=0, size=3100), "app.external.bin", _FIRST_PAIR)
    return bench.package(bench.image(), replace(half, entry=_FIRST_PAIR))


_FIRST_PAIR = {"load_address": 0x1012_0000, "image_index": "0"}


def internal_half(bench: Bench) -> Path:
    """An application that its name makes one half. It is whole, so that it starts when it is forced."""
    return bench.package(replace(bench.image(), file="app.internal.bin"))


MODE_ROWS = (
    Row("half-alone", ERROR, internal_half, 0, APP_ONLY),
    Row("image-number", ERROR, with_number, 6, OLD),
    Row("not-higher", ERROR, variant(1, 1, "1.0.0"), 7, OLD, IN_PLACE),
    # The bootloader leaves it alone, as its header says where it belongs.
    Row("wrong-slot", ERROR, variant(0, 0), 7, OLD, IN_PLACE),
    Row("slot-unknown", WARNING, variant(1, None), 0, APP_ONLY, IN_PLACE),
    # A build with one image pair does not look at the number: the application goes into the same slot.
    Row("no-image-pair", ERROR, with_half, 5, OLD),
)
