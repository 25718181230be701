"""A Secure DFU package as a file; a file of another kind is told by its name."""

from __future__ import annotations

import os

from smpdfu.errors import FormatError
from smpdfu.image.inspect.identify import FileKind, identify
from smpdfu.image.secure_dfu.package import MANIFEST_NAME, MAX_MANIFEST_BYTES, SecureDfuPackage
from smpdfu.untrusted.archive import Archive
from smpdfu.untrusted.files import read_start

MAX_PACKAGE_BYTES = 32 << 20

_SAYS = {
    FileKind.EMPTY: "is empty",
    FileKind.DFU_APPLICATION_ZIP: "is a package of the nRF Connect SDK, for MCUboot and not for the bootloader of the "
    "nRF5 SDK",
    FileKind.DFU_MULTI_IMAGE: "has images of the nRF Connect SDK, for MCUboot and not for the bootloader of the nRF5 "
    "SDK",
    FileKind.MCUBOOT_IMAGE: "is a signed image for MCUboot, and not a package for the bootloader of the nRF5 SDK",
    FileKind.SUIT_ZIP: "is a package of SUIT envelopes, and not one for the bootloader of the nRF5 SDK",
    FileKind.INTEL_HEX: "is firmware (Intel HEX), and not a package",
    FileKind.RAW_FIRMWARE: "is firmware, and not a package",
}


def read_package(path: str | os.PathLike[str]) -> SecureDfuPackage:
    """Read a package, also one whose images have faults; raises ``FormatError`` for anything else."""
    return parse_package(read_start(path, MAX_PACKAGE_BYTES + 1), os.fspath(path))


def parse_package(data: bytes, name: str) -> SecureDfuPackage:
    """The package in the bytes of the file ``name``; otherwise as ``read_package``.

    The error for a file of another kind has the code ``not-secure-dfu`` and its kind in the facts.
    """
    if len(data) > MAX_PACKAGE_BYTES:
        raise FormatError(f"{name} has more than the {MAX_PACKAGE_BYTES >> 20} MiB that a package may have")
    kind = identify(data)
    if kind is not FileKind.SECURE_DFU_ZIP:
        says = (
            _zip_says(data)
            if kind is FileKind.ZIP
            else _SAYS.get(kind, f"is no Secure DFU package. Its kind is: {kind}")
        )
        raise FormatError(f"{name} {says}").because("not-secure-dfu", kind=kind.name, file=name)
    try:
        return SecureDfuPackage.from_faulty(data)
    except FormatError as error:
        raise FormatError(f"{name}: {error}", error.offset) from None


def _zip_says(data: bytes) -> str:
    """Why a zip is no package. A download that broke off must not be taken for a file of another kind."""
    try:
        archive = Archive(data)
        if MANIFEST_NAME not in archive.sizes:
            return "is a zip without the manifest of a Secure DFU package"
        archive.read(MANIFEST_NAME, MAX_MANIFEST_BYTES)
    except FormatError as error:
        return f"cannot be read: {error}"
    return f"is a zip whose {MANIFEST_NAME} is not the manifest of a Secure DFU package"
