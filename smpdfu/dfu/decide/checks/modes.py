"""The checks of a package against the way in which the bootloader starts images; see ``preflight``.

Sources: MCUboot, docs/design.md, "Direct XIP", "RAM loading" and "Multiple image boot".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from smpdfu.dfu.decide.checks.findings import Finding, Severity
from smpdfu.dfu.decide.device_state import DeviceState, version_of
from smpdfu.dfu.decide.steps.rules import NO_MARKS, RUNS_IN_BOTH_SLOTS, Method, method_of
from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.package import Package
from smpdfu.image.format import Flag, counted

Findings = Iterator[Finding]
ModeCheck = Callable[[Package, DeviceState], Findings]


_BY_VERSION = NO_MARKS | RUNS_IN_BOTH_SLOTS


def _version_is_higher(package: Package, state: DeviceState) -> Findings:
    """Where both slots are alike, the version decides, also between images that are marked.

    Of two with the same version, the one in slot 0 starts, and firmware takes no mark for the other one.
    """
    app, running = package.image(Role.APP), state.running
    if app is None or running is None or running.hash == app.hash or method_of(state) not in _BY_VERSION:
        return
    there, version = version_of(running), app.image.header.version
    if there is not None and counted(version) <= counted(there):
        then = "would not run" if counted(version) < counted(there) else "need not run, with the same version"
        yield Finding(
            "not-higher",
            Severity.ERROR,
            f"{app.file} is version {version}, the device runs {there}, and its bootloader starts the highest version: "
            f"{app.file} {then}",
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
    elif app.slot != 1 - running.slot:
        runs = ", which runs" if app.slot == running.slot else ""
        yield Finding(
            "wrong-slot",
            Severity.ERROR,
            f"{app.file} is linked for slot {app.slot}{runs}, and an upload goes to slot {1 - running.slot}: it would "
            "not start from there",
            f"Use the image of the same build that is linked for slot {1 - running.slot}.",
            app.core,
        )


def _goes_into_ram(package: Package, state: DeviceState) -> Findings:
    app, running = package.image(Role.APP), state.running
    if app is None or method_of(state) is not Method.RAM_LOAD or (running is not None and running.hash == app.hash):
        return
    if not app.image.header.flags & Flag.RAM_LOAD:
        yield Finding(
            "no-ram-address",
            Severity.ERROR,
            f"the header of {app.file} has no address in RAM (flag RAM_LOAD), and the bootloader, which runs images "
            "from there, erases such an image",
            "Build it for this bootloader, or sign it with that load address.",
            app.core,
        )


def _nothing_higher_starts_instead(package: Package, state: DeviceState) -> Findings:
    """The package runs already, and yet the next boot starts another image."""
    app, running, other = package.image(Role.APP), state.running, state.other
    if app is None or running is None or other is None or state.takes_marks or running.hash != app.hash:
        return
    there, waiting = version_of(running), version_of(other)
    if there is not None and waiting is not None and counted(waiting) > counted(there):
        yield Finding(
            "pending",
            Severity.ERROR,
            f"the device runs {there} and has version {waiting} in slot {other.slot}: its bootloader starts the "
            f"highest version, so the next reset starts {waiting}",
            "Restart the device to let it boot, or erase that slot.",
            app.core,
        )


MODE_CHECKS: tuple[ModeCheck, ...] = (
    _version_is_higher,
    _is_for_the_free_slot,
    _goes_into_ram,
    _nothing_higher_starts_instead,
)
