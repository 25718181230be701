"""Make a package of firmware files: which code goes into which slot, what each image asks for, what is to be said.

A caller that asks for a passphrase reads the firmware first (``find_parts``), then the keys, and then packs
(``pack_parts``). ``make_package`` does both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.made import PACKAGE_NAME as PACKAGE_NAME
from smpdfu.dfu.package.made import MadePackage as MadePackage
from smpdfu.dfu.package.made import PackageWarning as PackageWarning
from smpdfu.dfu.package.merged_checks import one_core_warning
from smpdfu.dfu.package.merged_hex import carry_over
from smpdfu.dfu.package.package import new_package
from smpdfu.dfu.package.parts import FILES, Part, find_parts
from smpdfu.dfu.package.request import PackageRequest as PackageRequest
from smpdfu.dfu.package.seals import seal_warnings, sealed_parts
from smpdfu.dfu.package.ties import check_ties
from smpdfu.errors import PackageError, TooLargeError
from smpdfu.image.format import Dependency, Version
from smpdfu.image.keys.keys import Signer
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.image.signing.encrypt import Recipient
from smpdfu.image.signing.release import image_warnings, key_warnings
from smpdfu.image.trailer import SwapMode
from smpdfu.image.vector_table import Vectors, link_warning


def make_package(
    request: PackageRequest,
    signer: Signer | None = None,
    recipient: Recipient | None = None,
    nsib_signer: Signer | None = None,
) -> MadePackage:
    """Sign the firmware of the cores and make a package of it. Nothing is written.

    ``nsib_signer`` seals the network core's firmware for b0n before ``signer`` signs it: again, if it has a seal.

    ``recipient`` encrypts the application core's image only: a bootloader with one pair of slots cannot tell an
    encrypted network core's image from an application.

    Raises OSError if a file cannot be read, ImageError if it has no firmware for its core or cannot be taken apart,
    TooLargeError if it does not fit its slot, PackageError for a dependency that can stop a device or is never met,
    or SigningError; ValueError for ``nsib_signer`` without ``signer``, and for firmware without a version.
    """
    return pack_parts(find_parts(request), request, signer, recipient, nsib_signer)


# --- the images -----------------------------------------------------------------------------------------------------


def pack_parts(
    parts: Sequence[Part],
    request: PackageRequest,
    signer: Signer | None,
    recipient: Recipient | None,
    nsib_signer: Signer | None = None,
) -> MadePackage:
    """Sign what ``find_parts`` found, and pack it. Raises as ``make_package`` does."""
    warnings = _key_warnings(parts, request, [one for one in (signer, nsib_signer) if one is not None], recipient)
    parts, resealed = sealed_parts(parts, signer, nsib_signer)
    warnings += [*resealed, *_tie_warnings(request)]
    images = []
    for part in parts:
        if part.signed is not None:
            images.append((part.signed, part.slot.code))
            continue
        spec, lost = _spec(part, request)
        images.append((_image(part, spec, signer, recipient), part.slot.code))
        warnings += _image_warnings(part, lost, signed=signer is not None, check_link=request.check_link)
    whole = [image for image, _ in images]
    warnings += seal_warnings(whole, release=request.release, checks_keys=nsib_signer is None)
    check_ties(whole)
    package = new_package(images, name=request.name, board=request.board)
    if request.merged is not None:
        missing = one_core_warning([part.core for part in parts], os.fspath(request.merged))
        warnings += [] if missing is None else [PackageWarning("one-core", missing)]
    return MadePackage(package, tuple(warnings))


def _key_warnings(
    parts: Sequence[Part], request: PackageRequest, signers: Sequence[Signer], recipient: Recipient | None
) -> list[PackageWarning]:
    """What is to be said of the keys, and of those that images were signed with elsewhere."""
    ready = [part.signed.image for part in parts if part.signed is not None]
    if ready and recipient is not None:
        raise PackageError("an image that is signed already cannot be encrypted").because("signed-already")
    known: list[str] = []
    if len(ready) < len(parts):
        known += key_warnings(signers, recipient, release=request.release)
    for image in ready:
        known += image_warnings(image, release=request.release)
    return [PackageWarning("known-key", message) for message in dict.fromkeys(known)]


def _spec(part: Part, request: PackageRequest) -> tuple[ImageSpec, tuple[str, ...]]:
    """What the image of a core asks for, and what is lost of an image that it was before."""
    assert request.version is not None  # ``find_parts`` sees to it
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
    return PackageImage(Role(core), FILES[core], image.to_bytes(), image)


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
    if request.version is not None and request.version <= Version(0, 0, 0, 0xFFFF_FFFF):
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
