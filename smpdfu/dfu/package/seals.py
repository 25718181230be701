"""The seal of NSIB in an image of a package: of the network core's for b0n, of MCUboot's own for b0."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.made import PackageWarning
from smpdfu.dfu.package.parts import Part
from smpdfu.errors import PackageError
from smpdfu.image.keys.keys import Signer
from smpdfu.image.nsib.sealing import seal_again
from smpdfu.image.nsib.trusted_keys import Nsib
from smpdfu.image.verification.seal_check import ImageSeal, image_seal, seal_key_warnings

LOADERS = {Role.NET: Nsib.B0N, Role.MCUBOOT: Nsib.B0}
"""The bootloader that checks the seal of an image; other images need no seal."""


def seal_of(image: PackageImage) -> ImageSeal | None:
    """The seal of an image; None for one that needs none, and for one whose firmware cannot be read."""
    return image_seal(image.image) if image.role in LOADERS else None


def is_mcuboot(image: PackageImage) -> bool:
    """True for MCUboot itself, by its manifest or its seal for b0; False, too, where encryption hides the seal."""
    if image.role is Role.MCUBOOT:
        return True
    seal = image_seal(image.image)
    return seal is not None and seal.is_of_mcuboot


def with_its_role(image: PackageImage) -> PackageImage:
    """The image of a file alone, which has no manifest: as MCUboot itself, if its seal shows that."""
    return replace(image, role=Role.MCUBOOT) if is_mcuboot(image) else image


def sealed_parts(
    parts: Sequence[Part], signer: Signer | None, nsib_signer: Signer | None
) -> tuple[tuple[Part, ...], list[PackageWarning]]:
    """The parts, with the network core's firmware sealed by ``nsib_signer``, if there is one; and what is to be said.

    Raises ValueError without ``signer``, PackageError without firmware for the network core, ImageError, SigningError.
    """
    if nsib_signer is None:
        return tuple(parts), []
    if signer is None:
        raise ValueError("firmware that is sealed now must be signed now: give the key that signs, too")
    if all(part.core is not Core.NET for part in parts):
        raise PackageError("there is no firmware for the network core, and only that is sealed").because("seal-what")
    made, warnings = [], list[PackageWarning]()
    for part in parts:
        if part.core is not Core.NET:
            made.append(part)
            continue
        sealed = seal_again(part.code.payload, part.slot.code, nsib_signer)
        made.append(replace(part, code=replace(part.code, payload=sealed.data)))
        warnings += [resealed(Core.NET)] if sealed.earlier is not None else []
    return tuple(made), warnings


def resealed(core: Core | None) -> PackageWarning:
    """What to say of firmware that had the seal of another key. ``core`` is None for MCUboot itself."""
    what = "MCUboot" if core is None else "the firmware"
    text = f"{what} had the seal of another key, and smpdfu sealed it again with the key that was given"
    return PackageWarning("resealed", text, core)


def seal_warnings(
    images: Iterable[PackageImage], *, release: bool, checks_keys: bool = True
) -> Iterator[PackageWarning]:
    """What is to be said of the seals: NSIB refuses an image, or everybody has the key (with ``checks_keys``).

    With ``release``, raises PackageError or SigningError for that. An image without firmware info was not built for
    NSIB, and nothing is said of it.
    """
    for image in images:
        seal = seal_of(image)
        if seal is None or seal.info is None:
            continue
        core = image.core if image.role is Role.NET else None
        loader = LOADERS[image.role]
        known = seal_key_warnings(seal, release=False) if checks_keys else ()
        if seal.validation is None:
            code = "net-unsealed"
            text = f"the firmware was built for {loader} and is not sealed: {loader} refuses it"
        elif seal.fault is not None:
            code, text = "net-seal", seal.fault
        elif known:
            yield from (PackageWarning("known-key", one, core) for one in seal_key_warnings(seal, release=release))
            continue
        else:
            continue
        if release:
            raise PackageError(f"{text}, so it cannot be released").because(code)
        yield PackageWarning(code, text, core)
