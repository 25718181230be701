"""The package that updates MCUboot of a build folder: sealed for b0, then signed."""

from __future__ import annotations

from collections.abc import Callable

from smpdfu.dfu.build_folder.build import Build, UpdateImage
from smpdfu.dfu.build_folder.packing.firmware import read_code
from smpdfu.dfu.build_folder.packing.sealing import check_seals
from smpdfu.dfu.build_folder.packing.signed import take_signed
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.made import MadePackage, PackageWarning
from smpdfu.dfu.package.mcuboot import (
    PACKAGE_NAME,
    McubootVariant,
    check_variants,
    checked_variant,
    entry_of,
    mcuboot_package,
    sealed_mcuboot,
    signed_variant,
    variant_warnings,
)
from smpdfu.errors import FormatError
from smpdfu.image.image_file import naming
from smpdfu.image.keys.keys import Signer
from smpdfu.image.signing.build import ImageSpec
from smpdfu.image.signing.build import build as build_image
from smpdfu.image.signing.release import image_warnings


def pack_mcuboot(
    build: Build,
    specs: Callable[[UpdateImage], ImageSpec],
    signer: Signer | None,
    nsib_signer: Signer | None,
    *,
    release: bool,
    name: str | None,
) -> MadePackage | PackageWarning | None:
    """The package that updates MCUboot itself; None without b0, a warning where the build lacks what it needs.

    ``specs`` says what an image is signed with. Raises as ``pack_build`` does.
    """
    if not build.mcuboot_updates:
        return None
    if (missing := _missing(build, signed=signer is not None, sealed=nsib_signer is not None)) is not None:
        return missing
    updates = build.mcuboot_updates
    variants = [_variant(build, one, specs(one), signer, nsib_signer) for one in updates]
    check_variants(variants, {one.number: update.name for one, update in zip(variants, updates, strict=True)})
    images = [_image(update, one) for update, one in zip(updates, variants, strict=True)]
    warnings = list(variant_warnings(variants))
    if signer is None:
        known = (text for one in variants for text in image_warnings(one.image, release=release))
        warnings += [PackageWarning("known-key", text) for text in known]
    warnings += check_seals(build, images, release=release, sealed_now=nsib_signer is not None)
    return MadePackage(mcuboot_package(images, name), tuple(dict.fromkeys(warnings)), PACKAGE_NAME)


def _missing(build: Build, *, signed: bool, sealed: bool) -> PackageWarning | None:
    """Why there is no package for MCUboot itself: files that the build did not make, or a seal."""
    for one in build.mcuboot_updates:
        if not signed and one.signed is None:
            text = f"there is no {one.signed_names[0]}"
        elif signed and one.unsigned is None:
            text = f"there is no {one.unsigned_names[0]}"
        elif signed and not sealed and not one.sealed:
            text = f"{one.unsigned} is not sealed for b0, and no key was given for that"
        else:
            continue
        return PackageWarning("mcuboot-left-out", f"there is no {PACKAGE_NAME}: {text}")
    return None


def _variant(
    build: Build, update: UpdateImage, spec: ImageSpec, signer: Signer | None, nsib_signer: Signer | None
) -> McubootVariant:
    number = update.slot_number or 0
    if signer is None:
        data, image = take_signed(build, update, spec)
        with naming(build.root / (update.signed or "")):
            return _in_its_slot(update, signed_variant(number, data, image))
    code = read_code(build, update)
    with naming(build.root / (update.unsigned or "")):
        sealed = sealed_mcuboot(code.payload, nsib_signer)
        image = build_image(spec, sealed.data, signer)
        return _in_its_slot(update, checked_variant(McubootVariant(number, image, image.to_bytes(), sealed)))


def _in_its_slot(update: UpdateImage, variant: McubootVariant) -> McubootVariant:
    slot = update.slot.value
    if variant.start != slot.address or variant.end > slot.end:
        raise FormatError(
            f"MCUboot lies at 0x{variant.start:x} to 0x{variant.end:x}, and its slot is 0x{slot.address:x} to "
            f"0x{slot.end:x} ({update.slot.origin})"
        )
    return variant


def _image(update: UpdateImage, variant: McubootVariant) -> PackageImage:
    entry: dict[str, object] = {"type": "mcuboot"}
    entry |= {key: one.value for key, one in (("board", update.board), ("soc", update.soc)) if one is not None}
    entry |= entry_of(variant, update.name)
    return PackageImage(Role.MCUBOOT, update.name, variant.data, variant.image, entry)
