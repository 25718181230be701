"""The checks of a package against the way in which the bootloader starts images; see ``preflight``.

Sources: MCUboot, docs/design.md, "Direct XIP", "RAM loading" and "Multiple image boot".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from smpdfu.dfu.decide.checks.findings import Finding, Severity
from smpdfu.dfu.decide.device_state import DeviceState, version_of
from smpdfu.dfu.decide.rules import COMPANIONS, NO_MARKS, RUNS_IN_BOTH_SLOTS, image_number, method_of
from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.package import Package
from smpdfu.image.format import counted

Findings = Iterator[Finding]
ModeCheck = Callable[[Package, DeviceState], Findings]


def _version_is_higher(package: Package, state: DeviceState) -> Findings:
    """Without marks the version alone decides, and of two with the same the one that runs may go on."""
    app, running = package.image(Role.APP), state.running
    if app is None or running is None or running.hash == app.hash or method_of(state) not in NO_MARKS:
        return
    there, version = version_of(running), app.image.header.version
    if there is not None and counted(version) <= counted(there):
        yield Finding(
            "not-higher",
            Severity.ERROR,
            f"{app.file} is version {version}, the device runs {there}, and its bootloader starts the highest version: "
            f"{app.file} would never run",
            f"Sign it with a version above {there}.",
            app.core,
        )


def _is_for_the_free_slot(package: Package, state: DeviceState) -> Findings:
    app, running = package.image(Role.APP), state.running
    if app is None or running is None or running.hash == app.hash or method_of(state) not in RUNS_IN_BOTH_SLOTS:
        return
    if app.slot is None:
        yield Finding(
            "slot-unknown",
            Severity.WARNING,
            f"nothing tells for which slot {app.file} is linked, and it runs only from there; the upload goes to slot "
            f"{1 - running.slot}",
            "Use a package that names the slot of each image, as builds of the nRF Connect SDK write it.",
            app.core,
        )
    elif app.slot == running.slot:
        yield Finding(
            "wrong-slot",
            Severity.ERROR,
            f"{app.file} is linked for slot {app.slot}, which runs, and an upload goes to slot {1 - running.slot}: it "
            "would not start from there",
            f"Use the image of the same build that is linked for slot {1 - running.slot}.",
            app.core,
        )


def _image_pairs_are_there(package: Package, state: DeviceState) -> Findings:
    there = {info.image for info in state.sizes}
    for image in package.images:
        number = image_number(image, state.scheme)
        if image.role in COMPANIONS and there and number not in there:
            yield Finding(
                "no-image-pair",
                Severity.ERROR,
                f"{image.file} is {image.words} and goes to image {number}, and the device has no such image",
                "Check that the package is a build for this device.",
                image.core,
            )


MODE_CHECKS: tuple[ModeCheck, ...] = (_version_is_higher, _is_for_the_free_slot, _image_pairs_are_there)
