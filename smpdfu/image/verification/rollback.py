"""What a bootloader that remembers says of an image: is it older than what runs, is its security counter too low?

MCUboot built with MCUBOOT_DOWNGRADE_PREVENTION compares versions (``boot_version_cmp`` in ``loader.c``: the build
number counts only with MCUBOOT_VERSION_CMP_USE_BUILD_NUMBER), with MCUBOOT_HW_ROLLBACK_PROT the security counter
(``image_validate.c``: an image without one is refused, an equal one is good).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

from smpdfu.image.format import Image, TlvType, Version
from smpdfu.image.verification.verify import Finding

if TYPE_CHECKING:
    from smpdfu.image.verification.verify import Verdict

_VERSION_OFFSET = 20  # in the header
_COUNTER_BYTES = 4


class RollbackCode(StrEnum):
    """What a finding of this module is about."""

    DOWNGRADE = "downgrade"
    SECURITY_COUNTER = "security-counter"
    BUILD_NUMBER = "build-number"


def with_rollback(verdict: Verdict, image: Image, version: Version | None, counter: int | None) -> Verdict:
    """The verdict of a bootloader that, besides, has seen ``version`` and ``counter``; None: it does not look."""
    refusals = tuple(_version_refusals(image, version)) + tuple(counter_refusals(image, counter))
    warnings = tuple(_build_warnings(image, version))
    return replace(verdict, refusals=verdict.refusals + refusals, warnings=verdict.warnings + warnings)


def _version_refusals(image: Image, current: Version | None) -> Iterator[Finding]:
    found = image.header.version
    if current is not None and _without_build(found) < _without_build(current):
        text = f"the image's version {found} is older than {current}, which runs: a bootloader that prevents downgrades"
        yield Finding(RollbackCode.DOWNGRADE, _VERSION_OFFSET, f"{text} refuses it")


def _build_warnings(image: Image, current: Version | None) -> Iterator[Finding]:
    found = image.header.version
    if current is not None and _without_build(found) == _without_build(current) and found.build < current.build:
        text = f"the image's build number {found.build} is lower than {current.build}, which runs: a bootloader that"
        yield Finding(RollbackCode.BUILD_NUMBER, _VERSION_OFFSET, f"{text} compares build numbers refuses it")


def _without_build(version: Version) -> tuple[int, int, int]:
    return version.major, version.minor, version.revision


def counter_refusals(image: Image, current: int | None) -> Iterator[Finding]:
    """For what a bootloader that has seen the security counter ``current`` refuses the image; None: for nothing."""
    if current is None:
        return
    found = [(offset, tlv.data) for offset, _, tlv in image.tlv_offsets() if tlv.type == TlvType.SEC_CNT]
    if not found:
        text = f"the image has no security counter, and the bootloader wants one of at least {current}"
        yield Finding(RollbackCode.SECURITY_COUNTER, image.unprotected_offset, text, {"counter": str(current)})
    for offset, data in found:  # of several, a bootloader checks each
        value = int.from_bytes(data, image.endian)
        if len(data) != _COUNTER_BYTES:
            text = f"the image's security counter has {len(data)} bytes: a bootloader that stores one reads"
            yield Finding(RollbackCode.SECURITY_COUNTER, offset, f"{text} {_COUNTER_BYTES}")
        elif value < current:
            text = f"the image's security counter {value} is lower than {current}, which the bootloader has seen"
            yield Finding(RollbackCode.SECURITY_COUNTER, offset, text)
