"""``dfu_multi_image.bin``: signed images one behind the other, behind a CBOR header, as Matter's updates use it.

A little-endian 16-bit length, then that many bytes of header with the CBOR map
``{"img": [{"id": NUMBER, "size": BYTES}, ...]}``, then the images in the order of the list, without gaps.

Source: nRF Connect SDK. ``scripts/bootloader/dfu_multi_image_tool.py`` writes such files. The numbers come from
``subsys/bootloader/cmake/packaging.cmake``: 0 application, 1 network core, -2 and -1 the bootloader for S0 and S1; the
patches of a Wi-Fi chip have the number behind the last core. ``subsys/dfu/dfu_multi_image`` reads them on the device: a
map has these keys in this order and no others, a number has 32 bits and a sign, and a byte behind the last image ends
the update with an error. This reader refuses what the device refuses. It also refuses an empty image, where the device
waits for ever, and a number twice, where the device writes the second image over the first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.zipped import MAX_FILE_BYTES, MAX_PACKAGE_BYTES
from smpdfu.errors import FormatError, PackageError, RemoteProtocolError
from smpdfu.image.format import Image
from smpdfu.smp import cbor

FILE_NAME = "dfu_multi_image.bin"
MAX_IMAGES = 16
"""A device reads as many as it was built for (CONFIG_DFU_MULTI_IMAGE_MAX_IMAGE_COUNT, 2 by default)."""
S0_ID, S1_ID = -2, -1
"""The numbers of the bootloader's own images, by the slot that they are linked for."""

_LENGTH = struct.Struct("<H")
_IDS = range(-(1 << 31), 1 << 31)


@dataclass(frozen=True, slots=True)
class Part:
    """An image of the file: its number, and its bytes as they are uploaded."""

    id: int
    data: bytes = field(repr=False)


def parse(data: bytes) -> tuple[Part, ...]:
    """Read a whole file. Raises PackageError with one sentence; every length is checked before it is used."""
    if len(data) > MAX_PACKAGE_BYTES:
        raise PackageError(f"the file is larger than the {MAX_PACKAGE_BYTES >> 20} MiB that a package may have")
    if len(data) < _LENGTH.size:
        _refuse("it ends before its header")
    (size,) = _LENGTH.unpack_from(data)
    start = _LENGTH.size + size
    if start > len(data):
        _refuse(f"its header has {size} bytes, and {len(data) - _LENGTH.size} are there")
    sizes = _sizes(data[_LENGTH.size : start])
    wanted = start + sum(length for _, length in sizes)
    if wanted != len(data):
        _refuse(f"its header describes {wanted} bytes, and the file has {len(data)}")
    parts = []
    for number, length in sizes:
        parts.append(Part(number, data[start : start + length]))
        start += length
    return tuple(parts)


def dump(parts: Iterable[Part]) -> bytes:
    """Write a file of these images. Raises PackageError for images that no such file can hold."""
    images = tuple(parts)
    _check([(one.id, len(one.data)) for one in images])
    header = cbor.dumps({"img": [{"id": one.id, "size": len(one.data)} for one in images]})
    return _LENGTH.pack(len(header)) + header + b"".join(one.data for one in images)


def read_images(data: bytes) -> tuple[PackageImage, ...]:
    """The images of a whole file, each with the manifest entry that a dfu_application.zip would have for it.

    Raises PackageError with one sentence.
    """
    return tuple(_package_image(part) for part in parse(data))


def write_images(images: Iterable[PackageImage]) -> bytes:
    """Write a file of the images of a package. Raises PackageError where two would have the same number.

    That is so for the two variants of a direct-XIP application: a device cannot choose one.
    """
    return dump(Part(_id(image), image.data) for image in images)


def _id(image: PackageImage) -> int:
    if image.role is Role.MCUBOOT:
        return S1_ID if image.slot == 1 else S0_ID
    return image.image_index


def _package_image(part: Part) -> PackageImage:
    if part.id < S0_ID:
        _refuse(f"no image of the SDK has the number {part.id}")
    try:
        image = Image.from_bytes(part.data)
    except FormatError as error:
        raise PackageError(f"image {part.id} of the file is not a whole MCUboot image: {error}") from error
    role = _role(part.id, image)
    entry: dict[str, Any] = {"type": "application", "image_index": str(part.id)}
    if role is Role.MCUBOOT:
        entry = {"type": "mcuboot", "slot": str(part.id - S0_ID)}
    file = _FILES.get(part.id, f"image_{part.id}.bin")
    if role is Role.OTHER and part.id == 1:
        file = "nrf70.bin"  # the SDK has nothing else with this number that is no network core's image
    found = PackageImage(role, file, part.data, image, entry)
    if (address := found.code_address) is not None:
        entry["load_address"] = address
    entry["version_MCUBOOT"] = image.header.version.with_build
    return replace(found, entry=entry | {"size": len(part.data), "file": file})


_FILES = {
    0: "app_update.bin",
    1: "net_core_update.bin",
    S0_ID: "signed_by_mcuboot_and_b0_mcuboot.bin",
    S1_ID: "signed_by_mcuboot_and_b0_s1_image.bin",
}


def _role(number: int, image: Image) -> Role:
    """By the number; number 1 is the network core's where its code is linked for a core, or cannot be read."""
    if number in (S0_ID, S1_ID):
        return Role.MCUBOOT
    if number == 0:
        return Role.APP
    if number == 1 and (image.encrypted or PackageImage(Role.NET, "", b"", image).vector_core is not None):
        return Role.NET
    return Role.OTHER


def _sizes(header: bytes) -> list[tuple[int, int]]:
    """Number and size of each image, in order."""
    try:
        found = cbor.loads(header)
    except RemoteProtocolError as error:
        _refuse(f"its header is not CBOR: {error}")
    if not isinstance(found, dict) or list(found) != ["img"] or not isinstance(found["img"], list):
        _refuse('its header has no list "img", or more than that')
    sizes = []
    for one in found["img"]:
        if not isinstance(one, dict) or list(one) != ["id", "size"]:
            _refuse('an image in its header has other keys than "id" and "size"')
        number, size = one["id"], one["size"]
        if not (_is_whole(number) and _is_whole(size)):
            _refuse("a number or size in its header is not a whole number")
        sizes.append((number, size))
    _check(sizes)
    return sizes


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check(sizes: list[tuple[int, int]]) -> None:
    if not 0 < len(sizes) <= MAX_IMAGES:
        _refuse(f"it has {len(sizes)} images; 1 to {MAX_IMAGES} are possible")
    numbers = [number for number, _ in sizes]
    for number, size in sizes:
        if number not in _IDS:
            _refuse(f"the image number {number} has more than 32 bits")
        if numbers.count(number) > 1:
            _refuse(f"it has two images with the number {number}")
        if not 0 < size <= MAX_FILE_BYTES:
            _refuse(f"image {number} has {size} bytes; 1 to {MAX_FILE_BYTES} are possible")


def _refuse(why: str) -> NoReturn:
    raise PackageError(f"this is not a valid {FILE_NAME}: {why}")
