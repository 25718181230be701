"""The members of a package's zip: read with every limit checked before anything is unpacked."""

from __future__ import annotations

from collections.abc import Mapping

from smpdfu.errors import FormatError, PackageError
from smpdfu.untrusted.archive import Archive

MAX_PACKAGE_BYTES = 32 * 1024 * 1024
MAX_FILE_BYTES = 8 * 1024 * 1024
MAX_TOTAL_BYTES = 32 * 1024 * 1024


def read_zip(data: bytes) -> dict[str, bytes]:
    """Return the members by name. Raises PackageError, with one sentence, for what is no zip or leaves the bounds."""
    if len(data) > MAX_PACKAGE_BYTES:
        raise PackageError(f"the file is larger than the {MAX_PACKAGE_BYTES >> 20} MiB that a package may have")
    if not data.startswith(b"PK"):
        raise PackageError(_not_a_zip(data))
    try:
        archive = Archive(data)
        _check_members(archive.sizes)
        return {name: archive.read(name, MAX_FILE_BYTES) for name in archive.sizes}
    except FormatError as error:
        raise PackageError(str(error)) from None


def _not_a_zip(data: bytes) -> str:
    from smpdfu.image.files import identify

    if not data:
        return "the file is empty"
    return f"this is not a package (dfu_application.zip). Its kind is: {identify(data)}"


def _check_members(sizes: Mapping[str, int]) -> None:
    for name, size in sizes.items():
        if not _is_plain(name):
            raise PackageError(f"the zip has a file with the path {name[:80]!r}, which leads out of it")
        if size > MAX_FILE_BYTES:
            raise PackageError(f"{name[:80]!r} would unpack to {size} bytes, which no flash holds")
    if sum(sizes.values()) > MAX_TOTAL_BYTES:
        raise PackageError(f"the zip would unpack to more than {MAX_TOTAL_BYTES >> 20} MiB")


def _is_plain(name: str) -> bool:
    parts = name.split("/")
    return bool(name) and not (set(name) & set("\\\0:")) and not any(part in ("", ".", "..") for part in parts)
