"""A package that was made, its files, and what is to be said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from smpdfu.dfu.package.images import Core
from smpdfu.dfu.package.multi_image import FILE_NAME, write_images
from smpdfu.dfu.package.package import Package

PACKAGE_NAME = "dfu_application.zip"


@dataclass(frozen=True, slots=True)
class PackageWarning:
    """What does not stop a package from being made, in one sentence, and of which core's image it is (None: of all).

    ``code`` names the cause: ``known-key``, ``tie-one-pair``, ``tie-always-met``, ``lost``, ``linked-elsewhere``,
    ``no-vector-table``, ``unsigned``, ``one-core``, ``resealed`` (the seal of another key was replaced),
    ``net-unsealed`` or ``net-seal`` (b0n refuses the network image). Of MCUboot's own package also ``one-variant``. Of
    a build folder also ``overridden`` (a given value differs from the build's), ``build-other-key``,
    ``build-unchecked``, ``extra-arguments``, ``nsib-other-key``, ``nsib-debug-key``, ``one-variant``, and what the
    package lacks: ``net-left-out``, ``loader-left-out``, ``patches-left-out``, ``mcuboot-left-out``.
    """

    code: str
    message: str
    core: Core | None = None


@dataclass(frozen=True, slots=True)
class MadePackage:
    """The package, and what is to be said of it. ``load_address`` of an image is where its code will lie.

    ``file`` is the name of the package: ``dfu_application.zip``, or ``dfu_mcuboot.zip``.
    """

    package: Package
    warnings: tuple[PackageWarning, ...]
    file: str = PACKAGE_NAME

    def files(self, *, multi_image: bool = False) -> Mapping[str, bytes]:
        """Return the files of a build by their names: each image, and the package.

        With ``multi_image`` also ``dfu_multi_image.bin``, as an update over Matter takes it.
        """
        images = self.package.images
        files = {image.file: image.data for image in images} | {self.file: self.package.to_bytes()}
        return files | {FILE_NAME: write_images(images)} if multi_image else files
