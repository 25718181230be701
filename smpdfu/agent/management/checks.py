"""May this package be published? What the bootloader would refuse goes to no server, and so do keys that all have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smpdfu.errors import ImageError, SigningError
from smpdfu.image.format import SIGNATURE_TYPES
from smpdfu.image.nsib.trusted_keys import NO_NSIB_KEYS, NsibKeys
from smpdfu.image.signing.release import image_warnings
from smpdfu.image.verification.seal_check import seal_key_warnings, with_seal
from smpdfu.image.verification.verify import verify

if TYPE_CHECKING:
    from smpdfu.agent.management.contents import PackageToPublish
    from smpdfu.dfu.package.images import PackageImage
    from smpdfu.image.keys.keys import Verifier


@dataclass(frozen=True, slots=True)
class PublishTrust:
    """Who must have signed and sealed the images; no keys: only what needs none is checked.

    ``development``: keys that everybody has, and images without a signature, are allowed.
    """

    keys: Sequence[Verifier] = ()
    nsib: NsibKeys = NO_NSIB_KEYS
    development: bool = False


def check_package(package: PackageToPublish, trust: PublishTrust) -> tuple[str, ...]:
    """Judge each image as its loaders do; return the warnings, a sentence each.

    Raises ImageError for an image that a loader would refuse, SigningError for keys that everybody has.
    """
    return tuple(f"{image.file}: {text}" for image in package.package.images for text in _judged(image, package, trust))


def _judged(image: PackageImage, package: PackageToPublish, trust: PublishTrust) -> Iterator[str]:
    verdict, seal = with_seal(verify(image.image, trust.keys), image.image, trust.nsib)
    if verdict.refusals:
        found = verdict.refusals[0]
        text = f"{image.file} in {package.file} would be refused: {found.message}"
        raise ImageError(text).because(found.code, **found.facts)
    known = [*image_warnings(image.image, release=False), *seal_key_warnings(seal, release=False)]
    if not any(tlv.type in SIGNATURE_TYPES for tlv in image.image.unprotected):
        known.insert(0, "the image has no signature")
    if known and not trust.development:
        raise SigningError(f"{image.file} in {package.file}: {known[0]}, so smpdfu does not publish it").because(
            "publish-known-key"
        )
    yield from known
    yield from (finding.message for finding in verdict.warnings)
