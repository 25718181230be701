"""The checks of what images need of each other; see ``preflight``.

Only bootloaders with two image pairs look at dependencies. Upstream's installs nothing where one is unmet. Nordic's
skips the image that has it, looks no further, and installs the other one: half an update. Worse is a dependency of the
application that *runs*: a network image below it stops the device at every boot. (nrfconnect/sdk-mcuboot, ``loader.c``:
``boot_verify_dependencies``, ``boot_verify_slot_dependency``; run for NCS 2.5 to 3.5-dev)
"""

from __future__ import annotations

from collections.abc import Iterator

from smpdfu.dfu.decide.checks.findings import Finding, Severity
from smpdfu.dfu.decide.device_state import DeviceState, Scheme, dependencies_of, version_of
from smpdfu.dfu.decide.steps.rules import COMPANIONS, is_used
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.image.format import Dependency, Version, counted

Findings = Iterator[Finding]

_NONE = Version(0)
"""What image 1 has while nothing waits for it: its primary slot is RAM, with a header that is made up."""


def dependencies_are_met(package: Package, state: DeviceState) -> Findings:
    """An image that needs a version of another one that is not there."""
    checked = state.scheme is Scheme.SIMULTANEOUS or bool(state.companions)
    for image in package.images:
        for need in _unmet(image, package, state):
            yield (_unmet_at_once if checked else _unmet_alone)(image, need, package, state)


def _number(image: PackageImage) -> int:
    """The number by which other images name it: MCUboot's, in a build that has an image pair for each."""
    if image.role in COMPANIONS:
        return image.image_index
    return int(image.role is Role.NET)


def _numbers(state: DeviceState) -> set[int]:
    """The images that the device has, as far as a dependency can name them."""
    return {0, 1, *state.companions} if state.scheme is Scheme.SIMULTANEOUS else {0, *state.companions}


def _unmet(image: PackageImage, package: Package, state: DeviceState) -> tuple[Dependency, ...]:
    needs = dependencies_of(image) or ()
    return tuple(need for need in needs if not _is_met(need, _version_after(need.image, package, state)))


def _is_met(need: Dependency, found: Version | None) -> bool:
    return found is not None and counted(found) >= counted(need.version)


def _version_after(number: int, package: Package, state: DeviceState) -> Version | None:
    """The version that image ``number`` will have: the package's, else what waits for the next boot or is there."""
    coming = next((image for image in package.images if _number(image) == number), None)
    if coming is not None:
        return coming.image.header.version
    waiting = state.waiting(number)
    there = state.in_use(number)
    there = waiting if waiting is not None and waiting.waits else there
    found = None if there is None else version_of(there)
    return _NONE if number == 1 and found is None and state.scheme is Scheme.SIMULTANEOUS else found


_PUT_IT_IN = "Put the image that it needs into the package, or sign it without that dependency."


def _unmet_alone(image: PackageImage, need: Dependency, package: Package, state: DeviceState) -> Finding:
    """With one image pair the bootloader does not check; what the image needs is true nevertheless."""
    found = _version_after(need.image, package, state)
    has = "the device does not report it" if found is None else f"it has {found}"
    return Finding(
        "dependency",
        Severity.WARNING if found is None else Severity.ERROR,
        f"{_needs(image, need)}, and {has}; a bootloader with one image pair does not check it and installs the image",
        _PUT_IT_IN,
        image.core,
    )


def _needs(image: PackageImage, need: Dependency) -> str:
    return f"{image.file} needs image {need.image} of the device to be at least version {need.version}"


def _unmet_at_once(image: PackageImage, need: Dependency, package: Package, state: DeviceState) -> Finding:
    if need.image not in _numbers(state):
        skips = skips_one(state)
        then = "then does not check it" if skips else "then installs nothing"
        text = f"{_needs(image, need)}, and it has no such image; the bootloader {then}"
        severity = Severity.WARNING if skips else Severity.ERROR
        return Finding("dependency", severity, text, "Sign it without that dependency.", image.core)
    found = _version_after(need.image, package, state)
    text = f"{_needs(image, need)}, and it has {found}: {_then(image, package, state)}"
    return Finding("dependency", Severity.ERROR, text, _PUT_IT_IN, image.core)


def _then(image: PackageImage, package: Package, state: DeviceState) -> str:
    others = [other for other in package.images if other is not image and not _is_in_place(other, state)]
    if not skips_one(state):
        return "the bootloader installs nothing" if others else "the bootloader does not install it"
    before = (other for other in package.images if _number(other) < _number(image))
    first = next(
        (one for one in before if any(need.image in _numbers(state) for need in _unmet(one, package, state))), None
    )
    if first is not None and others:
        whose = "the application's" if first.role is Role.APP else f"{first.file}'s"
        return f"the bootloader stops its checks at {whose} unmet dependency and installs this image alone"
    if others:
        files = " and ".join(other.file for other in others)
        return f"the bootloader skips it and installs {files} alone, half an update"
    return "the bootloader does not install it, and it stays pending"


def skips_one(state: DeviceState) -> bool:
    """True if the bootloader may be Nordic's, whatever its release."""
    return any(build.rule.skips_one for build in state.builds)


def _is_in_place(image: PackageImage, state: DeviceState) -> bool:
    """Of the network core's image no list tells."""
    return image.role is not Role.NET and is_used(image, state)


def running_application_agrees(package: Package, state: DeviceState) -> Findings:
    """A network image that is marked alone meets the application that runs, and its dependencies."""
    net, running = package.image(Role.NET), state.running
    if net is None or running is None or state.scheme is not Scheme.SIMULTANEOUS:
        return
    app = package.image(Role.APP)
    if app is not None and app.hash != running.hash:
        return  # both are marked: the new application's dependencies count
    if not skips_one(state):
        return
    needs = state.running_needs if app is None else dependencies_of(app)
    version = net.image.header.version
    for need in needs or ():
        if need.image == 1 and not _is_met(need, version):
            yield Finding(
                "dependency-halts",
                Severity.ERROR,
                f"the application that runs needs a network image of version {need.version} or higher, and {net.file} "
                f"is version {version}: the bootloader would stop at every boot",
                f"Sign the network image as version {need.version} or higher, or update both cores with an application "
                "that does not need it.",
                Core.NET,
                {"version": str(need.version)},
            )
    if needs is None:
        # By default the SDK signs network images as 0.0.0, and any need is above that.
        lowest = counted(version) == _NONE
        higher = "a version" if lowest else "a higher version"
        yield Finding(
            "dependency-halts",
            Severity.WARNING if lowest else Severity.NOTE,
            f"{net.file} has version {version}: if the application that runs needs {higher} of the network image, the "
            "bootloader stops at every boot",
            "Find out whether the application's image has a dependency on image 1, or update both cores at once.",
            Core.NET,
        )
