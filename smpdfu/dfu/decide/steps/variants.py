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
from smpdfu.dfu.decide.steps.rules import (
    COMPANIONS,
    REPLACES,
    RUNS_IN_BOTH_SLOTS,
    Method,
    Policy,
    image_number,
    method_of,
    rules_of,
)
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
    has_steps = Role.MCUBOOT in {step.role for step in rules_of(package, state, Policy.TEST_AND_CONFIRM)}
    if package.of_role(Role.MCUBOOT) and has_steps:
        package = replace(package, images=tuple(_with_slot(image, package) for image in package.images))
        variants = package.of_role(Role.MCUBOOT)
        state = replace(state, b0=replace(state.b0, variants=variants))
        chosen = _mcuboot(variants, state)
        gone += [image for image in variants if image is not chosen]
    left = tuple(image for image in package.images if not any(image is other for other in gone))
    return replace(package, images=left), state


def _with_slot(image: PackageImage, package: Package) -> PackageImage:
    """MCUboot's image with its slot in its entry: of two that name none, the one at the lower address is for slot 0."""
    if image.role is not Role.MCUBOOT or image.slot is not None:
        return image
    others = [one.load_address for one in package.of_role(Role.MCUBOOT) if one is not image]
    own, other = image.load_address, others[0] if len(others) == 1 else None
    return image if own is None or other is None else replace(image, entry={**image.entry, "slot": int(own > other)})


def _mcuboot(variants: Sequence[PackageImage], state: DeviceState) -> PackageImage:
    target = state.b0.target
    if target is None:
        doubt = "does not report from which of its two slots MCUboot runs"
        if state.b0.refused is not None:
            doubt = f"reports slot {state.b0.refused} by its version, and in the last update b0 refused that MCUboot"
        raise PlanError(
            f"the package updates MCUboot itself ({_files(variants)}), and the device {doubt}: nothing was written. "
            "Say which slot runs. The boot text on a console shows it (Attempting to boot slot)"
        ).because("b0-slot-unknown")
    found = [image for image in variants if image.slot == target]
    if len(found) != 1:
        raise PlanError(
            f"MCUboot runs from slot {1 - target}, so the device needs the file for slot {target}, and "
            f"{_HOW_MANY[bool(found)]} {_files(variants)} says that it is for that one: nothing was written. Use the "
            "dfu_mcuboot.zip of the build, which has a file for each slot"
        ).because("mcuboot-variant")
    return found[0]


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
