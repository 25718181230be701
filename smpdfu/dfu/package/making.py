"""Make a package of firmware files: which code goes into which slot, what each image asks for, what is to be said.

A caller that asks for a passphrase reads the firmware first (``find_parts``), then the keys, and then packs
(``pack_parts``). ``make_package`` does both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.merged_checks import check_left_out, check_place, one_core_warning
from smpdfu.dfu.package.merged_hex import NET_SLOTS, Code, Slot, carry_over, find_code
from smpdfu.dfu.package.multi_image import FILE_NAME, write_images
from smpdfu.dfu.package.package import Board, Package, new_package
from smpdfu.dfu.package.ties import check_ties
from smpdfu.errors import ImageError, PackageError, TooLargeError
from smpdfu.image.files import Firmware, read_firmware, split_cores
from smpdfu.image.format import Dependency, Version
from smpdfu.image.keys.keys import Signer
from smpdfu.image.nrf5340 import NET
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.image.signing.encrypt import Recipient
from smpdfu.image.signing.release import key_warnings
from smpdfu.image.signing.spec import HmacSha
from smpdfu.image.trailer import SwapMode
from smpdfu.image.vector_table import Vectors, link_warning

PACKAGE_NAME = "dfu_application.zip"
_FILES = {Core.APP: "app_update.bin", Core.NET: "net_core_update.bin"}

StrPath = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class PackageRequest:
    """What to make a package of, and how. Addresses and sizes in bytes; the defaults are those of the nRF5340 DK.

    Firmware is a file for each core (``app``, ``net``: Intel HEX or binary), or one Intel HEX file for both
    (``merged``). ``app_address`` is the start of the primary slot, ``net_address`` that of the network application;
    without one, it is 0x1008800, or 0x1002800 if the code is linked for it. Without ``net_slot_size``, the network
    application has the rest of the flash.

    ``net_version`` is ``version`` by default. ``security_counter`` is for the application core's image only. ``tie``
    makes the network core's image depend on this application: only bootloaders with two image pairs check that.
    ``release`` refuses images without a signature and keys that everybody has; ``check_link`` warns of firmware that is
    linked for another place.

    Raises ValueError without firmware, or for ``merged`` together with another file.
    """

    version: Version
    app: StrPath | None = None
    net: StrPath | None = None
    merged: StrPath | None = None
    net_version: Version | None = None
    security_counter: int | Literal["auto"] | None = None
    tie: bool = False
    name: str | None = None
    board: Board = field(default_factory=Board)
    app_address: int = 0xC000
    app_slot_size: int = 0x7A000
    net_address: int | None = None
    net_slot_size: int | None = None
    header_size: int = 0x200
    swap_mode: SwapMode = SwapMode.MOVE
    check_link: bool = True
    encrypt_keylen: int = 128
    hmac_sha: HmacSha = "auto"
    save_enctlv: bool = False
    release: bool = False

    def __post_init__(self) -> None:
        if (self.app, self.net, self.merged) == (None, None, None):
            raise ValueError("nothing to pack: give the firmware of a core, or a merged file of both")
        if self.merged is not None and (self.app, self.net) != (None, None):
            raise ValueError("a merged file has both cores: give no other file with it")


@dataclass(frozen=True, slots=True)
class PackageWarning:
    """What does not stop a package from being made, in one sentence, and of which core's image it is (None: of all).

    ``code`` names the cause: ``known-key``, ``tie-one-pair``, ``tie-always-met``, ``lost``, ``linked-elsewhere``,
    ``no-vector-table``, ``unsigned`` or ``one-core``. Of a build folder also ``overridden`` (a given value differs from
    the build's), ``build-other-key``, ``build-unchecked``, ``extra-arguments``, ``net-unsealed``, ``one-variant``, and
    what the package lacks: ``net-left-out``, ``loader-left-out``, ``patches-left-out``.
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


def make_package(
    request: PackageRequest, signer: Signer | None = None, recipient: Recipient | None = None
) -> MadePackage:
    """Sign the firmware of the cores and make a package of it. Nothing is written.

    ``recipient`` encrypts the application core's image only: a bootloader with one pair of slots cannot tell an
    encrypted network core's image from an application.

    Raises OSError if a file cannot be read, ImageError if it has no firmware for its core or cannot be taken apart,
    TooLargeError if it does not fit its slot, PackageError for a dependency that can stop a device or is never met,
    or SigningError.
    """
    return pack_parts(find_parts(request), request, signer, recipient)


# --- the firmware ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """The code of one core, and the slot that it is for."""

    core: Core
    code: Code
    slot: Slot


def find_parts(request: PackageRequest) -> tuple[Part, ...]:
    """Read the firmware, and find the code of each core. Raises as ``make_package`` does."""
    found = list(_parts_of_merged(request) if request.merged is not None else _parts_of_each(request))
    for part, firmware, name in found:
        if firmware.addressed:
            check_left_out(firmware, name)
            check_place(firmware, part.core, part.code, part.slot, name)
    parts = tuple(part for part, _, _ in found)
    if request.tie and all(part.core is not Core.NET for part in parts):
        raise PackageError(
            "the network core's image cannot depend on the application: there is no firmware for the network core"
        ).because("tie-without-net")
    return parts


Found = tuple[Part, Firmware, str]
"""With the file that it was found in, and the file's name."""


def _parts_of_each(request: PackageRequest) -> Iterator[Found]:
    for core, path in ((Core.APP, request.app), (Core.NET, request.net)):
        if path is None:
            continue
        firmware = read_firmware(path)
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


# --- the images -----------------------------------------------------------------------------------------------------


def pack_parts(
    parts: Sequence[Part], request: PackageRequest, signer: Signer | None, recipient: Recipient | None
) -> MadePackage:
    """Sign what ``find_parts`` found, and pack it. Raises as ``make_package`` does."""
    signers = [] if signer is None else [signer]
    known = key_warnings(signers, recipient, release=request.release)
    images, warnings = [], [PackageWarning("known-key", message) for message in known]
    warnings += _tie_warnings(request)
    for part in parts:
        spec, lost = _spec(part, request)
        images.append((_image(part, spec, signer, recipient), part.slot.code))
        warnings += _image_warnings(part, lost, signed=signer is not None, check_link=request.check_link)
    check_ties([image for image, _ in images])
    package = new_package(images, name=request.name, board=request.board)
    if request.merged is not None:
        missing = one_core_warning([part.core for part in parts], os.fspath(request.merged))
        warnings += [] if missing is None else [PackageWarning("one-core", missing)]
    return MadePackage(package, tuple(warnings))


def _spec(part: Part, request: PackageRequest) -> tuple[ImageSpec, tuple[str, ...]]:
    """What the image of a core asks for, and what is lost of an image that it was before."""
    net = part.core is Core.NET
    # A reset between the two marks finds the network core's image marked alone: MCUboot then waits for the other.
    tied = (Dependency(0, request.version),) if net and request.tie else ()
    spec = ImageSpec(
        dependencies=tied,
        # Loaders of nRF Connect SDK 3.4 and later erase an image without it; all others ignore it.
        rom_fixed=part.slot.start,
        version=request.net_version if net and request.net_version is not None else request.version,
        header_size=request.header_size,
        # Both images pass through the application core's slots.
        slot_size=request.app_slot_size,
        pad_header=True,
        align=4,
        swap_mode=request.swap_mode,
        security_counter=None if net else request.security_counter,
        encrypt_keylen=request.encrypt_keylen,
        hmac_sha=request.hmac_sha,
        save_enctlv=request.save_enctlv,
    )
    return (spec, ()) if part.code.image is None else carry_over(spec, part.code.image)


def _image(part: Part, spec: ImageSpec, signer: Signer | None, recipient: Recipient | None) -> PackageImage:
    core, payload = part.core, part.code.payload
    size, room = len(payload), part.slot.end - part.slot.code
    if size > room:
        raise TooLargeError(
            f"the {core.words}'s firmware has {size} bytes, and its flash has room for {room}", size, room
        )
    image = build(spec, payload, signer, recipient if core is Core.APP else None)
    return PackageImage(Role(core), _FILES[core], image.to_bytes(), image)


# --- what is to be said ---------------------------------------------------------------------------------------------


def _tie_warnings(request: PackageRequest) -> Iterator[PackageWarning]:
    """Why the dependency on the application does nothing."""
    if not request.tie:
        return
    if request.swap_mode is not SwapMode.OVERWRITE_ONLY:
        yield PackageWarning(
            "tie-one-pair",
            "the dependency on the application works only if each core has its own pair of slots. With one pair, "
            "bootloaders check no dependency, and it has no effect",
        )
    if request.version <= Version(0, 0, 0, 0xFFFF_FFFF):
        yield PackageWarning(
            "tie-always-met",
            "the dependency on the application has no effect: every application has at least version 0.0.0",
        )


def _image_warnings(part: Part, lost: Sequence[str], *, signed: bool, check_link: bool) -> Iterator[PackageWarning]:
    core, payload = part.core, part.code.payload
    if lost:
        message = f"the image was signed before, and signing it again loses of it: {', '.join(lost)}"
        yield PackageWarning("lost", message, core)
    if check_link and (linked := link_warning(payload, part.slot.code)) is not None:
        yield PackageWarning("linked-elsewhere", linked, core)
    elif check_link and Vectors.of(payload) is None:
        message = "this does not begin with a vector table, so it is no firmware that can run"
        yield PackageWarning("no-vector-table", message, core)
    if not signed:
        message = "the image is not signed: only a bootloader that checks no signature takes it"
        yield PackageWarning("unsigned", message, core)
