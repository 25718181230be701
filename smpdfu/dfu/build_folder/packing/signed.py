"""The signed images of a build, taken as they are after a check that they are what the build is configured for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from smpdfu.dfu.build_folder.build import Build, UpdateImage
from smpdfu.dfu.build_folder.layout import USUAL
from smpdfu.dfu.build_folder.named_keys import built_in_key
from smpdfu.dfu.package.images import Role
from smpdfu.errors import FormatError, PackageError
from smpdfu.image.files import read_bounded
from smpdfu.image.format import SIGNATURE_TYPES, Flag, Image
from smpdfu.image.image_file import naming
from smpdfu.image.keys.keys import SIGNATURES
from smpdfu.image.signing.build import ImageSpec, check_size
from smpdfu.image.verification.verify import verify

MAX_IMAGE_BYTES = 32 << 20


def take_signed(build: Build, update: UpdateImage, spec: ImageSpec) -> tuple[bytes, Image]:
    """The signed image of a build. ``spec`` is what it would be signed with now.

    Raises PackageError (``build-not-signed``, ``build-image``) with the file, TooLargeError, OSError.
    """
    if update.signed is None:
        looked = ", ".join(update.signed_names)
        raise PackageError(
            f"the build has no signed image of {update.image.name or 'the application'}: there is no {looked}"
        ).because("build-not-signed", file=update.signed_names[0])
    path = build.root / update.signed
    data = read_bounded(path, MAX_IMAGE_BYTES)
    try:
        image = Image.from_bytes(data)
    except FormatError as error:
        raise _contradiction(path, f"it is no whole MCUboot image: {error}", update) from None
    for fault in _faults(build, update, image, spec):
        raise _contradiction(path, fault, update)
    with naming(path):
        check_size(image, spec)
    return data, image


def _contradiction(path: Path, fault: str, update: UpdateImage) -> PackageError:
    return PackageError(f"{path} is not what the build is configured for: {fault}. Build it again").because(
        "build-image", file=update.signed or ""
    )


def _faults(build: Build, update: UpdateImage, image: Image, spec: ImageSpec) -> Iterator[str]:
    header, loader = image.header, build.bootloader
    size = update.header_size
    if header.hdr_size != size.value and size.key != USUAL:
        yield f"its header has {header.hdr_size} bytes, and not {size.value} ({size.origin})"
    if header.version != update.version.value:
        yield f"its version is {header.version}, and not {update.version.value} ({update.version.origin})"
    if update.security_counter is not None and image.security_counter != update.security_counter.value:
        wanted = update.security_counter
        yield f"its security counter is {image.security_counter}, and not {wanted.value} ({wanted.origin})"
    yield from _address_faults(build, update, image)
    if image.encrypted and loader.encryption is None:
        yield "it is encrypted, and the bootloader of this build decrypts nothing"
    if update.encrypted and not image.encrypted:
        yield "it is not encrypted, and the build encrypts its images"
    if (
        update.role is Role.NET
        and image.encrypted
        and loader.simultaneous is not None
        and not loader.simultaneous.value
    ):
        yield "it is an encrypted network image, which a bootloader with one pair of slots takes for an application"
    yield from _signature_faults(build, image)


def _address_faults(build: Build, update: UpdateImage, image: Image) -> Iterator[str]:
    header, start = image.header, update.slot.value.address
    if header.flags & Flag.ROM_FIXED and update.rom_fixed and header.load_addr != start:
        yield f"its header is for 0x{header.load_addr:x}, and the slot starts at 0x{start:x} ({update.slot.origin})"
    checks = build.bootloader.checks_address
    if checks is not None and update.role is not Role.EXTERNAL and not header.flags & (Flag.ROM_FIXED | Flag.RAM_LOAD):
        yield f"its header has no load address, and the bootloader demands one ({checks.origin})"


def _signature_faults(build: Build, image: Image) -> Iterator[str]:
    """A damaged image, a signature of another type, or one by another key than the bootloader has."""
    loader = build.bootloader
    wanted = SIGNATURES.get("" if loader.signature is None else loader.signature.value)
    found = [tlv for tlv in image.unprotected if tlv.type in SIGNATURE_TYPES]
    if loader.signature is not None and wanted is not None and all(tlv.type != wanted.signature_type for tlv in found):
        names = ", ".join(tlv.name for tlv in found) or "none"
        origin = loader.signature.origin
        yield f"the bootloader checks {loader.signature.value} ({origin}), and its signature is: {names}"
    built_in = built_in_key(build)
    for finding in verify(image, () if built_in is None else (built_in,)).refusals:
        yield finding.message
