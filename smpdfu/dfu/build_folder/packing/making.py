"""Make the package of a build folder: the images signed as the build does it, or its own signed ones after a check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from smpdfu.dfu.build_folder.build import Build, UpdateImage
from smpdfu.dfu.build_folder.find import StrPath, find_build
from smpdfu.dfu.build_folder.packing.contradictions import check_cores, check_keys, key_warnings
from smpdfu.dfu.build_folder.packing.firmware import Code, read_code
from smpdfu.dfu.build_folder.packing.mcuboot import pack_mcuboot
from smpdfu.dfu.build_folder.packing.named_keys import encryption_key_of
from smpdfu.dfu.build_folder.packing.overrides import BuildOverrides, overridden
from smpdfu.dfu.build_folder.packing.sealing import (
    check_nsib_signer,
    check_seals,
    other_key_warning,
    seal_network,
    without_seal_warning,
)
from smpdfu.dfu.build_folder.packing.signed import take_signed
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.making import MadePackage, PackageWarning
from smpdfu.dfu.package.package import Package, source_date
from smpdfu.dfu.package.ties import check_ties
from smpdfu.errors import PackageError
from smpdfu.image.files import read_key_file
from smpdfu.image.format import Dependency, Image
from smpdfu.image.image_file import naming
from smpdfu.image.keys.keys import Signer
from smpdfu.image.signing.build import ImageSpec
from smpdfu.image.signing.build import build as build_image
from smpdfu.image.signing.encrypt import Recipient
from smpdfu.image.signing.release import image_warnings
from smpdfu.image.signing.release import key_warnings as known_key_warnings
from smpdfu.image.signing.spec import HmacSha, Sha
from smpdfu.image.trailer import SwapMode
from smpdfu.image.vector_table import link_warning


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """How to make the package of a build folder. Nothing of it is needed: the build says all that must be known.

    ``overrides`` are values to be taken instead of the build's. ``tie`` makes the network core's image and the half in
    external flash depend on this application: only bootloaders with several image pairs check that.
    ``encrypt_keylen``: None for the build's. ``release`` refuses images without a signature and keys that everybody
    has; ``check_link`` warns of firmware that is linked for another place.
    """

    overrides: BuildOverrides = field(default_factory=BuildOverrides)
    tie: bool = False
    name: str | None = None
    check_link: bool = True
    encrypt_keylen: Literal[128, 256] | None = None
    hmac_sha: HmacSha = "auto"
    save_enctlv: bool = False
    release: bool = False


def make_build_package(
    path: StrPath,
    request: BuildRequest | None = None,
    signer: Signer | None = None,
    recipient: Recipient | None = None,
    nsib_signer: Signer | None = None,
) -> MadePackage:
    """Read a build folder of the nRF Connect SDK (2.5 and later), and make its package. Nothing is written.

    With ``signer``, the unsigned images are signed as the build would sign them. Without, the signed images of the
    build are checked and taken. ``nsib_signer`` seals the network core's firmware for b0n before that, in place of the
    seal of the build. ``recipient`` encrypts the images of the application; without it, the key file that the
    build names does, if it is there and the build encrypts. Raises PackageError for what is no build folder, or
    contradicts itself; TooLargeError, ImageError, SigningError, OSError; ValueError for a ``recipient`` or an
    ``nsib_signer`` without ``signer``.
    """
    build = find_build(path)
    named = None if signer is None or recipient is not None else encryption_key_of(build)
    if named is not None:
        recipient = read_key_file(named).public
    return pack_build(build, request or BuildRequest(), signer, recipient, nsib_signer)


def make_build_mcuboot_package(
    path: StrPath,
    request: BuildRequest | None = None,
    signer: Signer | None = None,
    nsib_signer: Signer | None = None,
) -> MadePackage | PackageWarning | None:
    """Read a build folder, and make the package that updates its MCUboot (dfu_mcuboot.zip). Nothing is written.

    ``nsib_signer`` seals MCUboot for b0, in place of the seal of the build; ``signer`` signs around that. Without both,
    the images of the build are checked and taken. None for a build without b0 below MCUboot; a warning that says why,
    if the build lacks what the package needs. Raises as ``make_build_package`` does.
    """
    return pack_build_mcuboot(find_build(path), request or BuildRequest(), signer, nsib_signer)


def pack_build_mcuboot(
    build: Build, request: BuildRequest, signer: Signer | None = None, nsib_signer: Signer | None = None
) -> MadePackage | PackageWarning | None:
    """The same for a build that was found."""
    if nsib_signer is not None and signer is None:
        raise ValueError("firmware that is sealed now must be signed now: give the key that signs, too")
    build = overridden(build, request.overrides)
    specs = partial(spec_of, build, request=request)
    name = request.name or build.name
    made = pack_mcuboot(build, specs, signer, nsib_signer, release=request.release, name=name)
    if not isinstance(made, MadePackage):
        return made
    said = [] if nsib_signer is None else other_key_warning(build, nsib_signer)
    warnings = [*_known_keys(request, signer, nsib_signer), *(PackageWarning(one.code, one.message) for one in said)]
    return replace(made, warnings=tuple(dict.fromkeys([*warnings, *made.warnings])))


def _known_keys(
    request: BuildRequest, signer: Signer | None, nsib_signer: Signer | None, recipient: Recipient | None = None
) -> list[PackageWarning]:
    """A warning for each key that everybody has; with ``release``, raises SigningError for it."""
    signers = [one for one in (signer, nsib_signer) if one is not None]
    known = known_key_warnings(signers, recipient, release=request.release) if signers else ()
    return [PackageWarning("known-key", message) for message in dict.fromkeys(known)]


def pack_build(
    build: Build,
    request: BuildRequest,
    signer: Signer | None = None,
    recipient: Recipient | None = None,
    nsib_signer: Signer | None = None,
) -> MadePackage:
    """Make the package of a build that was found. Raises as ``make_build_package`` does."""
    if recipient is not None and signer is None:
        raise ValueError("only images that are signed now can be encrypted: give the key that signs")
    if nsib_signer is not None and signer is None:
        raise ValueError("firmware that is sealed now must be signed now: give the key that signs, too")
    build = overridden(build, request.overrides)
    if request.tie and all(one.role is Role.APP for one in build.updates):
        raise PackageError("nothing in the package can depend on the application: it is alone there").because(
            "tie-without-net"
        )
    check_cores(build)
    check_keys(build, signer, recipient)
    warnings = _known_keys(request, signer, nsib_signer, recipient)
    said = [*without_seal_warning(build.warnings, nsib_signer), *key_warnings(build, signer)]
    said += check_nsib_signer(build, nsib_signer, release=request.release)
    warnings += [PackageWarning(one.code, one.message) for one in said]
    images = []
    for update in build.updates:
        image, found = _made(build, update, request, signer, recipient, nsib_signer)
        images.append(image)
        warnings += found
    check_ties(images)
    warnings += check_seals(build, images, release=request.release, sealed_now=nsib_signer is not None)
    return MadePackage(_package(images, request.name or build.name), tuple(dict.fromkeys(warnings)))


def _made(
    build: Build,
    update: UpdateImage,
    request: BuildRequest,
    signer: Signer | None,
    recipient: Recipient | None,
    nsib_signer: Signer | None,
) -> tuple[PackageImage, list[PackageWarning]]:
    spec = spec_of(build, update, request)
    warnings = list[PackageWarning]()
    if signer is None:
        data, image = take_signed(build, update, spec)
        known = image_warnings(image, release=request.release)
        warnings += [PackageWarning("known-key", message) for message in known]
    else:
        code = read_code(build, update)
        if nsib_signer is not None and update.role is Role.NET:
            data, warnings = seal_network(update, code, nsib_signer, build.root / (update.unsigned or ""))
            code = replace(code, payload=data)
        image = _signed(build, update, spec, code, signer, recipient)
        data = image.to_bytes()
        warnings += _link_warnings(update, code) if request.check_link else []
    return PackageImage(update.role, update.name, data, image, _entry(update, image, len(data))), warnings


def _signed(
    build: Build, update: UpdateImage, spec: ImageSpec, code: Code, signer: Signer, recipient: Recipient | None
) -> Image:
    if build.bootloader.runs_in_ram:
        spec = replace(spec, rom_fixed=0, load_addr=code.address)
    payload = bytes(spec.header_size) + code.payload if update.header_in_file else code.payload
    with naming(build.root / (update.unsigned or "")):
        return build_image(spec, payload, signer, recipient if update.encrypted else None)


def spec_of(build: Build, update: UpdateImage, request: BuildRequest) -> ImageSpec:
    """What the SDK's scripts ask imgtool for, and where the image belongs."""
    loader, config = build.bootloader, update.image.config
    limit = update.limit.value
    sectors = loader.max_sectors.value if loader.max_sectors is not None else limit.size // update.sector_size.value
    sha: Sha = "512" if loader.sha512 and not loader.pure else "auto"
    together = loader.simultaneous is not None and loader.simultaneous.value
    has_own_pair = update.role is Role.EXTERNAL or (update.role is Role.NET and together)
    tied = request.tie and has_own_pair
    application = next(one for one in build.updates if one.role is Role.APP)
    return ImageSpec(
        version=update.version.value,
        header_size=update.header_size.value,
        slot_size=limit.size,
        pad_header=not update.header_in_file,
        align=update.align.value,
        max_sectors=max(1, sectors),
        # Where no image moves, only image_ok and what is around it is kept at the end of the slot. While the mode is
        # not known, the image must fit the one that keeps the most.
        swap_mode=loader.swap_mode or (SwapMode.MOVE if loader.mode is None else SwapMode.OVERWRITE_ONLY),
        sector_size=update.sector_size.value,
        # Loaders of nRF Connect SDK 3.4 and later erase an image without it; all others ignore it.
        rom_fixed=update.slot.value.address if update.rom_fixed else 0,
        security_counter=None if update.security_counter is None else update.security_counter.value,
        dependencies=(Dependency(application.number.value, application.version.value),) if tied else (),
        pure=loader.pure,
        sha=sha,
        encrypt_keylen=request.encrypt_keylen or loader.key_bits.value,
        hmac_sha="512" if request.hmac_sha == "auto" and _wraps_by_sha512(build) else request.hmac_sha,
        save_enctlv=request.save_enctlv,
        compression="lzma2armthumb" if config.flag("CONFIG_MCUBOOT_COMPRESSED_IMAGE_SUPPORT_ENABLED") else "disabled",
        vid=_name(update, "VID"),
        cid=_name(update, "CID"),
        pad_value={"0": 0, "0xff": 0xFF}.get(config.text("CONFIG_NCS_MCUBOOT_IMGTOOL_PAD_VALUE") or ""),
    )


def _wraps_by_sha512(build: Build) -> bool:
    """The scripts of the SDK wrap content keys with HMAC-SHA512 for the nRF54L only."""
    soc, encryption = build.application.soc, build.bootloader.encryption
    is_54l = soc is not None and soc.value.lower().startswith("nrf54l")
    return is_54l and encryption is not None and encryption.value == "x25519"


def _name(update: UpdateImage, what: str) -> str | None:
    config, key = update.image.config, f"CONFIG_MCUBOOT_IMGTOOL_UUID_{what}"
    return config.text(f"{key}_NAME") if config.flag(key) else None


def _link_warnings(update: UpdateImage, code: Code) -> Iterator[PackageWarning]:
    linked = None if update.role is Role.EXTERNAL else link_warning(code.payload, code.address)
    if linked is not None:
        yield PackageWarning("linked-elsewhere", linked, update.role.core)


# --- the manifest ---------------------------------------------------------------------------------------------------


def _entry(update: UpdateImage, image: Image, size: int) -> dict[str, Any]:
    """The keys and the values that the SDK writes; numbers of its configuration are texts."""
    entry: dict[str, Any] = {"type": "application"}
    entry |= {key: one.value for key, one in (("board", update.board), ("soc", update.soc)) if one is not None}
    entry["load_address"] = update.load_address.value
    if update.numbered:
        entry["image_index"] = str(update.number.value)
    text = image.header.version.with_build
    if update.slot_number is not None:
        entry |= {"slot": str(update.slot_number), "version_MCUBOOT+XIP": text}
    elif update.numbered:
        number = update.number.value
        entry |= {"slot_index_primary": str(2 * number + 1), "slot_index_secondary": str(2 * number + 2)}
    if update.role is Role.NET and update.firmware_version is not None:
        entry["version"] = update.firmware_version.value
    elif update.slot_number is None:
        entry["version_MCUBOOT"] = text
    return entry | {"size": size, "file": update.name, "modtime": source_date()}


def _package(images: list[PackageImage], name: str | None) -> Package:
    manifest: dict[str, Any] = {"format-version": 1, "time": source_date()}
    if name:
        manifest["name"] = name
    manifest["files"] = [dict(one.entry) for one in images]
    return Package(tuple(images), manifest)
