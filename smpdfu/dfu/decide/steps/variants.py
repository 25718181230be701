"""Which variant of an image is for a device, where a package has one for each slot. Pure.

In direct XIP an image runs in the slot where it lies, so a build links it twice: manifests say ``slot`` 0 and 1. The
one that is wanted is the one for the slot that does not run. Once it runs, the other slot does not, and the other
variant would be wanted: so a variant that lies on the device already comes first, known by its hash. (MCUboot,
docs/design.md, "Direct XIP"; nRF Connect SDK, ``cmake/sysbuild/zip.cmake``)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from smpdfu.dfu.decide.device_state import PRIMARY, SECONDARY, DeviceState
from smpdfu.dfu.decide.rules import COMPANIONS, REPLACES, RUNS_IN_BOTH_SLOTS, Method, image_number, method_of
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.errors import PlanError


def for_device(package: Package, state: DeviceState) -> tuple[Package, DeviceState]:
    """The package with the variants for this device, and the state with what the package tells of its image pairs.

    Raises PlanError where there is no variant for it, or where no answer of the device tells which one it is.
    """
    numbers = frozenset(image_number(image, state.scheme) for image in package.images if image.role in COMPANIONS)
    external = next((image_number(image, state.scheme) for image in package.of_role(Role.EXTERNAL)), None)
    state = replace(state, companions=numbers, external=external)
    gone: list[PackageImage] = []
    for role in (Role.APP, Role.EXTERNAL):
        variants = package.of_role(role)
        if len(variants) > 1:
            chosen = _chosen(variants, state)
            gone += [image for image in variants if image is not chosen]
    left = tuple(image for image in package.images if not any(image is other for other in gone))
    return replace(package, images=left), state


def _chosen(variants: Sequence[PackageImage], state: DeviceState) -> PackageImage:
    running = state.running
    for slot in filter(None, (running, state.other)):
        lies_there = [image for image in variants if image.hash is not None and image.hash == slot.hash]
        if lies_there and (slot is running or lies_there[0].slot in (None, slot.slot)):
            return lies_there[0]
    wanted = _slot(variants, state)
    found = [image for image in variants if image.slot == wanted]
    if len(found) != 1:
        raise PlanError(
            f"the package has {_files(variants)}, and {_HOW_MANY[bool(found)]} them says that it is for slot {wanted}, "
            "from which it would run: nothing was written. Choose one of them, and upload it alone"
        ).because("variants")
    return found[0]


def _slot(variants: Sequence[PackageImage], state: DeviceState) -> int:
    """The slot from which the image will run."""
    if state.swap_mode is not None or method_of(state) in _FROM_PRIMARY:
        return PRIMARY
    if method_of(state) not in RUNS_IN_BOTH_SLOTS:
        raise PlanError(
            f"the package has {_files(variants)}, a variant for each slot, and the device does not report its "
            "bootloader's mode: it may swap, or run an image where it lies (direct XIP). Nothing was written. Choose "
            "one of them, and upload it alone"
        ).because("variants")
    if state.running is None:
        raise PlanError(
            f"the package has {_files(variants)}, a variant for each slot, and the device does not report which slot "
            "runs: nothing was written"
        ).because("variants")
    return PRIMARY if state.running.slot == SECONDARY else SECONDARY


_HOW_MANY = ("none of", "more than one of")
_FROM_PRIMARY = REPLACES | {Method.RAM_LOAD}


def _files(variants: Sequence[PackageImage]) -> str:
    return " and ".join(image.file for image in variants)
