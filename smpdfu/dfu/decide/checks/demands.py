"""What a person demands of a package beyond what the device does: who signed it, and that nothing gets older."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from smpdfu.dfu.decide.checks.findings import Finding, Severity, refusal
from smpdfu.dfu.decide.checks.seals import seal_faults
from smpdfu.dfu.package.images import PackageImage
from smpdfu.dfu.package.seals import is_mcuboot
from smpdfu.errors import PlanError
from smpdfu.image.keys.keys import Verifier
from smpdfu.image.nsib.trusted_keys import NsibKeys
from smpdfu.image.verification.verdict import Code
from smpdfu.image.verification.verify import verify

UNTRUSTED = "untrusted"
_SIGNATURE = frozenset({Code.HASH, Code.NO_HASH, Code.NOT_SIGNED, Code.UNKNOWN_KEY, Code.SIGNATURE})
"""Refusals that say that an image is not as one of the keys has signed it."""


def untrusted(images: Iterable[PackageImage], keys: Sequence[Verifier]) -> Iterator[Finding]:
    """An error for each image that none of ``keys`` has signed; nothing without keys.

    The signature of an encrypted image is over the hash that it names: whether its payload has that hash is for the
    bootloader, which can decrypt it.
    """
    for image in images if keys else ():
        why = next((one for one in verify(image.image, keys).refusals if one.code in _SIGNATURE), None)
        if why is not None:
            text = f"{image.file} is not signed with a trusted key: {why.message}"
            yield Finding(UNTRUSTED, Severity.ERROR, text, "Check where it comes from, or the key.", image.core)


def check_trust(images: Iterable[PackageImage], keys: Sequence[Verifier]) -> None:
    """Raise PlanError where none of ``keys`` has signed an image; nothing without keys."""
    if found := tuple(untrusted(images, keys)):
        raise refusal(found)


def check_seals(images: Iterable[PackageImage], nsib: NsibKeys) -> None:
    """Raise PlanError where an image is not sealed with a key that b0 or b0n is known to trust; nothing without."""
    if found := tuple(finding for image in images for finding in seal_faults(image, nsib)):
        raise refusal(found)


def check_not_mcuboot(image: PackageImage) -> None:
    """Raise PlanError for MCUboot itself, which only the checks of an update with its package make safe to install."""
    if is_mcuboot(image):
        raise PlanError(
            f"{image.file} is MCUboot itself: MCUboot would copy it into its own slot, and nothing brings the previous "
            "MCUboot back. Nothing was written. Install the dfu_mcuboot.zip of the build, which has the file for the "
            "slot that does not run"
        ).because("mcuboot-alone")


def without_downgrade(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings of preflight where an older application is refused and not only warned about."""
    for one in findings:
        if one.code == "downgrade" and one.severity is not Severity.ERROR:
            advice = "If the older version is what you want, allow it."
            yield replace(one, severity=Severity.ERROR, advice=advice, facts={"refused": "on demand"})
        else:
            yield one
