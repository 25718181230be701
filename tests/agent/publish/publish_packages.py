"""Packages to publish, as files."""

from __future__ import annotations

from pathlib import Path

from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.package import Package, new_package
from smpdfu.image.keys.keys import generate
from tests.dfu.conftest import CODE, Maker


def maker() -> Maker:
    """Makes images with a key that nobody else has."""
    return Maker(generate("ecdsa-p256"), generate("ecdsa-p256"))


def package(make: Maker, version: str = "1.2.3+4", *, name: str | None = None, **how: object) -> Package:
    """A package of both cores. ``how`` goes to the images."""
    images = [make.image(Role.APP, version, **how), make.image(Role.NET, "1.0.0", **how)]
    return new_package([(image, CODE[image.core]) for image in images], name=name)


def package_file(
    folder: Path, make: Maker, version: str = "1.2.3+4", *, name: str | None = None, **how: object
) -> Path:
    """The same in a file."""
    path = folder / "dfu_application.zip"
    folder.mkdir(parents=True, exist_ok=True)
    package(make, version, name=name, **how).write(path)
    return path
