"""The checks of which image goes to which image pair, and that an application comes whole; see ``preflight``.

A manifest may name any number. Each image pair takes one image, and pair 0 is the application's: another image there
would be started in its place. Source: nRF Connect SDK, ``cmake/sysbuild/zip.cmake`` (numbers of the images) and "Using
QSPI XIP split image" (halves).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from smpdfu.dfu.decide.checks.findings import Finding, Severity
from smpdfu.dfu.decide.device_state import PRIMARY, DeviceState, Scheme
from smpdfu.dfu.decide.steps.rules import COMPANIONS, image_number, is_used
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.package import Package

Findings = Iterator[Finding]
PairCheck = Callable[[Package, DeviceState], Findings]
_CHECK = "Check that the package is a build for this device."


def halves_come_together(package: Package, state: DeviceState) -> Findings:
    """The halves of an application are of one build: with halves of two builds, it does not start."""
    image = _half_alone(package)
    if image is None or is_used(image, state) or _waits_for(image, state):
        return
    yield Finding(
        "half-alone",
        Severity.ERROR,
        f"{image.file} is one half of an application, and the other half is not there: with halves of different "
        "builds, the application does not start",
        "Use the build's package, which has both halves.",
        image.core,
    )


def _half_alone(package: Package) -> PackageImage | None:
    internal, external = package.of_role(Role.APP), package.of_role(Role.EXTERNAL)
    if external and not internal:
        return external[0]
    return next((image for image in internal if image.is_internal_half and not external), None)


def _waits_for(image: PackageImage, state: DeviceState) -> bool:
    """True if an earlier call marked what may be the other half, for the same boot."""
    others = (slot for slot in state.slots if (slot.image == 0) is (image.role is Role.EXTERNAL))
    return any(slot.waits for slot in others)


def _each_has_its_own(package: Package, state: DeviceState) -> Findings:
    """An image that goes with the application must not go where another one goes, or where the application does."""
    taken = {0: f"{package.of_role(Role.APP)[0].file} goes there" if package.of_role(Role.APP) else _APPLICATION}
    if package.of_role(Role.NET) and state.scheme is Scheme.SIMULTANEOUS:
        taken[1] = f"{package.of_role(Role.NET)[0].file} goes there"
    for image in (one for one in package.images if one.role in COMPANIONS):
        number = image_number(image, state.scheme)
        if number in taken:
            yield Finding(
                "image-number",
                Severity.ERROR,
                f"the package says that {image.file} goes to image {number}, but {taken[number]}",
                "Correct image_index in the package's manifest.json.",
                image.core,
            )
        taken.setdefault(number, f"{image.file} goes there")


_APPLICATION = "that is the application"


def _no_pair_is_left(package: Package, state: DeviceState) -> Findings:
    """A device with more image pairs than the package fills is of another build, or keeps old parts.

    Of two image pairs the second may be the network core's. Of three, it is, and the others go with the application.
    """
    app = package.image(Role.APP)
    there = {info.image for info in state.sizes} | {slot.image for slot in state.slots}
    left = sorted(there - {0, 1} - state.companions)
    if app is None or not left or is_used(app, state):
        return
    text = f"the device has image {left[0]}, and the package has no image for it"
    moved = next((image for image in package.images if image.role in COMPANIONS and image.image_index == 1), None)
    if moved is not None:
        text += f": it is not a build for this device, where {moved.file} would go to the network core's image"
        yield Finding("pair-unused", Severity.ERROR, text, _CHECK, Core.APP)
    else:
        text += ": if the application needs that in its own version, it does not start"
        yield Finding("pair-unused", Severity.WARNING, text, _CHECK, Core.APP)


def _network_pair_is_not_used(package: Package, state: DeviceState) -> Findings:
    """Image 1 may be what goes with the application, where the build has no image pair for the network core.

    A device may list the network core's image there, too: its primary slot is RAM, which keeps what was copied.
    """
    net, there = package.image(Role.NET), state.slot(PRIMARY, 1)
    if net is None or state.scheme is not Scheme.SIMULTANEOUS or there is None or there.hash in (None, net.hash):
        return
    yield Finding(
        "pair-taken",
        Severity.WARNING,
        f"the device uses version {there.version} as image 1, where {net.file} goes: if that is a part of the "
        "application and not the network core's image, the application does not start without it",
        _CHECK,
        net.core,
    )


WHOLE_CHECKS: tuple[PairCheck, ...] = (halves_come_together, _each_has_its_own)
PAIR_CHECKS: tuple[PairCheck, ...] = (_no_pair_is_left, _network_pair_is_not_used)
"""Where images go through slots of their own."""
