"""The firmware of a package: which bytes of which file are for which core and slot."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.merged_checks import check_left_out, check_place
from smpdfu.dfu.package.merged_hex import NET_SLOTS, Code, Slot, find_code
from smpdfu.dfu.package.request import PackageRequest
from smpdfu.dfu.package.signed_files import is_image, read_signed
from smpdfu.errors import ImageError, PackageError
from smpdfu.image.files import Firmware, read_firmware, split_cores
from smpdfu.image.format import Image
from smpdfu.image.image_file import naming
from smpdfu.image.nrf5340 import NET
from smpdfu.image.signing.build import ImageSpec, check_size

FILES = {Core.APP: "app_update.bin", Core.NET: "net_core_update.bin"}
"""What the images of a package of firmware files are called in it."""


@dataclass(frozen=True, slots=True)
class Part:
    """The code of one core, and the slot that it is for.

    ``signed`` is the image with its bytes, if it was signed elsewhere and is taken as it is.
    """

    core: Core
    code: Code
    slot: Slot
    signed: PackageImage | None = None


def find_parts(request: PackageRequest, *, signs: bool = True) -> tuple[Part, ...]:
    """Read the firmware, and find the code of each core. Raises as ``make_package`` does.

    ``signs``: there is a key that signs. Without one, files of images that are signed already are taken as they are.
    """
    merged = request.merged is not None
    found = list(_parts_of_merged(request) if merged else _parts_of_each(request, signs=signs))
    for part, firmware, name in found:
        if firmware.addressed and part.signed is None:
            check_left_out(firmware, name)
            check_place(firmware, part.core, part.code, part.slot, name)
    parts = tuple(part for part, _, _ in found)
    if request.tie and all(part.core is not Core.NET for part in parts):
        raise PackageError(
            "the network core's image cannot depend on the application: there is no firmware for the network core"
        ).because("tie-without-net")
    if request.version is None and any(part.signed is None for part in parts):
        raise ValueError("firmware that is not signed yet needs a version")
    return parts


Found = tuple[Part, Firmware, str]
"""With the file that it was found in, and the file's name."""


def _parts_of_each(request: PackageRequest, *, signs: bool) -> Iterator[Found]:
    for core, path in ((Core.APP, request.app), (Core.NET, request.net)):
        if path is None:
            continue
        firmware = read_firmware(path)
        if not signs and is_image(firmware):
            yield _signed_part(request, core, Path(path), firmware), firmware, os.fspath(path)
            continue
        part = _part(firmware, core, request)
        if part is None:
            raise ImageError(f"{os.fspath(path)} has nothing in the flash of the {core.words}")
        yield part, firmware, os.fspath(path)


def _parts_of_merged(request: PackageRequest) -> Iterator[Found]:
    assert request.merged is not None
    name = os.fspath(request.merged)
    firmware = read_firmware(name)
    split_cores(firmware)  # refuses a .bin, which has no addresses
    parts = [part for core in Core if (part := _part(firmware, core, request)) is not None]
    if not parts:
        raise ImageError(f"{name} has nothing in the flash of either core")
    for part in parts:
        yield part, firmware, name


def _part(firmware: Firmware, core: Core, request: PackageRequest) -> Part | None:
    placed = find_code(firmware, core, slots_of(request, core))
    return None if placed is None else Part(core, *placed)


def slots_of(request: PackageRequest, core: Core) -> Sequence[Slot]:
    """Where the slot of a core may be. The network core's image lies in its flash without the header."""
    if core is Core.APP:
        return [Slot(request.app_address, request.app_address + request.app_slot_size, request.header_size)]
    starts = [slot.start for slot in NET_SLOTS] if request.net_address is None else [request.net_address]
    size = request.net_slot_size
    return [Slot(start, NET.end if size is None else start + size) for start in starts]


# --- images that were signed elsewhere ------------------------------------------------------------------------------


def _signed_part(request: PackageRequest, core: Core, path: Path, firmware: Firmware) -> Part:
    """The image of a file, which says itself where it belongs. Raises ImageError, PackageError for what cannot be."""
    data, image = read_signed(path, firmware)
    signed = PackageImage(Role(core), FILES[core], data, image)
    with naming(path):
        if signed.vector_core not in (None, core):
            raise ImageError(f"the image is linked for the {signed.vector_core.words}, and not for the {core.words}")
        for what in _contradictions(request, core, image):
            raise ImageError(f"the image is signed already, {what}").because("signed-already")
        check_size(image, _size_spec(request, image))
    return Part(core, Code(image.payload, whole=False, image=image), _slot_of(request, signed), signed)


def _contradictions(request: PackageRequest, core: Core, image: Image) -> Iterator[str]:
    """What is asked for and cannot be changed in an image without signing it again."""
    asked = request.version if core is Core.APP else request.net_version
    version, counter = image.header.version, request.security_counter
    if asked is not None and asked != version:
        yield f"as version {version}, and version {asked} was asked for"
    if core is Core.APP and counter is not None:
        wanted = version.auto_counter if counter == "auto" else counter
        if wanted != image.security_counter:
            yield f"and its security counter is {image.security_counter}, not {wanted}"
    if core is Core.NET and request.tie:
        yield "and a dependency on the application cannot be added to it"


def _size_spec(request: PackageRequest, image: Image) -> ImageSpec:
    return ImageSpec(
        version=image.header.version,
        header_size=image.header.hdr_size,
        slot_size=request.app_slot_size,
        align=4,
        swap_mode=request.swap_mode,
        save_enctlv=request.save_enctlv,
    )


def _slot_of(request: PackageRequest, signed: PackageImage) -> Slot:
    """The slot that the image names itself, else the one that was asked for."""
    first = slots_of(request, signed.core)[0]
    code = signed.code_address
    if code is None:
        return first
    header = 0 if signed.core is Core.NET else signed.image.header.hdr_size
    return Slot(code - header, max(first.end, code), header)
