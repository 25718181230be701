"""Which dependencies between the images of a package do no harm.

Two pairs of slots: image 0 is the application, image 1 the network core's, and only then does the bootloader look at
dependencies. An image that waits for another is safe as long as it only waits, and is so where the *network* image
needs a version of the application: unmet, it is left alone. The other way round is not. Once an application runs that
needs a version of image 1, a network image with a lower one in its header turns the *running* application's swap type
into a revert: Nordic's loaders stop at an assertion, at every boot, or swap an empty slot in
(``boot_verify_slot_dependency`` in nrfconnect/sdk-mcuboot ``loader.c``; run for NCS 2.5 to 3.5-dev). Builds of the nRF
Connect SDK sign network images as 0.0.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from smpdfu.dfu.package.images import Core, PackageImage
from smpdfu.errors import PackageError
from smpdfu.image.format import Dependency, Version, counted

APP_IMAGE, NET_IMAGE = 0, 1


def check_ties(images: Sequence[PackageImage]) -> None:
    """Raises PackageError for a dependency that can stop a device, or that these images can never meet."""
    for fault in _faults(images):
        raise fault


def _faults(images: Sequence[PackageImage]) -> Iterator[PackageError]:
    numbers = {Core.APP: APP_IMAGE, Core.NET: NET_IMAGE}
    versions = {numbers[image.core]: image.image.header.version for image in images}
    for image in images:
        for need in image.image.dependencies:
            if image.core is Core.APP and need.image == NET_IMAGE and counted(need.version) > Version(0):
                yield PackageError(
                    f"{image.file} needs version {need.version} of the network core's image (image 1). While it runs, "
                    "a network image with a lower version in its header stops the device at every boot, and builds of "
                    "the nRF Connect SDK sign network images as 0.0.0. Sign the application without this dependency. "
                    "A dependency of the network image on the application does no harm"
                ).because("tie")
            elif _is_out_of_reach(need, versions.get(need.image)):
                yield PackageError(
                    f"{image.file} needs version {need.version} of image {need.image}, and this package has version "
                    f"{versions[need.image]} of it: the bootloader would never install it. Sign it without this "
                    "dependency, or the other image with a higher version"
                )


def _is_out_of_reach(need: Dependency, there: Version | None) -> bool:
    """True where the package's own image is too old."""
    return there is not None and counted(there) < counted(need.version)
