"""The checks of what goes with the application in image pairs of its own, such as its half in external flash.

MCUboot installs each image pair by itself and knows no bond between them but dependencies. Source: nRF Connect SDK,
"Using QSPI XIP split image": "If one part fails to update, the image on the device will be unbootable".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from smpdfu.dfu.decide.checks.dependencies import skips_one
from smpdfu.dfu.decide.checks.findings import Finding, Severity
from smpdfu.dfu.decide.checks.loader.loader_words import ASK, loader_titles, unknown
from smpdfu.dfu.decide.checks.loader.loaders import builds_of
from smpdfu.dfu.decide.checks.refusals import CONFIRM_ALL
from smpdfu.dfu.decide.device_state import PRIMARY, DeviceState, Scheme, dependencies_of, version_of
from smpdfu.dfu.decide.steps.rules import COMPANIONS, image_number
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.image.format import counted
from smpdfu.image.load_address import LOAD_ADDRESS_FLAGS
from smpdfu.image.nrf5340 import XIP
from smpdfu.loaders.releases import Generation
from smpdfu.loaders.rules import Build

Findings = Iterator[Finding]
PartCheck = Callable[[Package, DeviceState], Findings]


def _parts(package: Package) -> tuple[PackageImage, ...]:
    return tuple(image for image in package.images if image.role in COMPANIONS)


def _image_pairs_are_there(package: Package, state: DeviceState) -> Findings:
    there = {info.image for info in state.sizes}
    for image in _parts(package):
        number = image_number(image, state.scheme)
        if there and number not in there:
            yield Finding(
                "no-image-pair",
                Severity.ERROR,
                f"{image.file} is {image.words} and goes to image {number}, and the device has no such image",
                "Check that the package is a build for this device.",
                image.core,
            )


def _parts_are_confirmed(package: Package, state: DeviceState) -> Findings:
    """They may be on trial only together with their application."""
    for image in _parts(package) if state.takes_marks else ():
        there = state.in_use(image_number(image, state.scheme))
        if there is None or there.confirmed or there.hash == image.hash:  # a reset ends that trial, see plan
            continue
        yield Finding(
            "unconfirmed",
            Severity.ERROR,
            f"image {there.image} is on trial with version {there.version}, and its slot pair is not free until that "
            "ends",
            "Restart the device to return to the previous image.",
            image.core,
        )


def _runs(package: Package, state: DeviceState) -> bool:
    """True if the package's application runs, or it has none."""
    app = package.image(Role.APP)
    return app is None or (state.running is not None and state.running.hash == app.hash)


def _parts_wait_for_their_application(package: Package, state: DeviceState) -> Findings:
    """Two marks are two requests: a reset between them would install what is marked first alone."""
    running = state.running
    if running is None or _runs(package, state) or not state.takes_marks:
        return
    for image in _parts(package):
        in_use = state.in_use(image_number(image, state.scheme))
        why = _not_tied(image, package, state)
        if why is None or (in_use is not None and in_use.hash == image.hash):
            continue
        halves = image.role is Role.EXTERNAL
        moment = "in the moment between the marks, or between the confirmations," if state.can_revert else _BETWEEN
        then = ", and the device would not start with half an application" if halves else ""
        yield Finding(
            "not-tied",
            Severity.WARNING if halves else Severity.NOTE,
            f"{why}: a reset of the device {moment} would install it alone{then}",
            "A dependency makes it wait for its application, where that has a higher version than before and there is "
            "no network image.",
            image.core,
        )


_BETWEEN = "in the moment between the marks"


def _not_tied(image: PackageImage, package: Package, state: DeviceState) -> str | None:
    """Why an image would not wait for the mark of its application; None where it does.

    Nordic's loaders stop looking at dependencies at the first image that has an unmet one, or whose TLVs cannot be
    read, and install the images behind it. That is so of a network image, whose primary slot is RAM.
    """
    if not _needs_newer_application(image, state):
        return f"{image.file} does not ask for the application's new version"
    if state.scheme is Scheme.SIMULTANEOUS and image.image_index > 1 and skips_one(state):
        return (
            f"the bootloader may not look at what {image.file} needs, because the network core's image comes before it"
        )
    return None


def _needs_newer_application(image: PackageImage, state: DeviceState) -> bool:
    there = None if state.running is None else version_of(state.running)
    needs = dependencies_of(image) or ()
    return there is not None and any(one.image == 0 and counted(one.version) > counted(there) for one in needs)


def _parts_can_be_confirmed(package: Package, state: DeviceState) -> Findings:
    for image in _parts(package):
        if image.image_index in state.unconfirmable:
            yield Finding(
                "confirm-denied",
                Severity.WARNING,
                f"the firmware that runs does not let smpdfu confirm image {image.image_index}, {image.words}: if the "
                "new one does not do so either, and does not confirm that image itself, smpdfu brings back all of the "
                "previous firmware after the trial",
                CONFIRM_ALL,
                image.core,
            )


def _half_is_not_erased(package: Package, state: DeviceState) -> Findings:
    """The address check of older loaders takes a word of code of this half for a reset vector, and erases it.

    They count the addresses of a slot in external flash from the start of that flash.
    """
    image = package.image(Role.EXTERNAL)
    builds = [build for build in builds_of(state) if build.compares_addresses and _may_have(build, state)]
    if image is None or image.image.encrypted or not builds:
        return
    start = (image.load_address or 0) % XIP.start
    home = range(start, start + (state.size_bytes(PRIMARY, image.image_index) or 0))
    header = image.image.header
    seen = (image.image.reset_vector, header.load_addr if header.flags & LOAD_ADDRESS_FLAGS else 0)
    erasing = [
        build
        for build in builds
        if image.image_index not in build.rule.unchecked_halves and not build.is_kept(*seen, home, range(0))
    ]
    if erasing:
        facts = {} if len(erasing) == len(builds) else {"unknown": unknown(builds)}
        yield Finding(
            "half-erased",
            Severity.WARNING if facts else Severity.ERROR,
            f"the bootloader of {loader_titles(erasing)} looks for a reset vector in {image.file}, which has none, and "
            "erases it; the application would not start with the other half alone",
            ASK[facts["unknown"]] if facts else "Update both halves with a debugger, and the bootloader with them.",
            image.core,
            facts,
        )


def _may_have(build: Build, state: DeviceState) -> bool:
    """Upstream MCUboot has no image pair for a network core."""
    return state.scheme is Scheme.STAGED or build.loader.release.generation is not Generation.UPSTREAM


PART_CHECKS: tuple[PartCheck, ...] = (
    _image_pairs_are_there,
    _parts_are_confirmed,
    _parts_wait_for_their_application,
    _parts_can_be_confirmed,
    _half_is_not_erased,
)
