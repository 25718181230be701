"""Every reason for which a device would refuse a package, or be lost by it, found before the first byte is sent.

Pure: a package and what the device says about itself go in, findings come out. A check is a function in ``CHECKS``, in
``LOADER_CHECKS``, ``NET_VERSION_CHECKS`` and ``CLASS_CHECKS`` where the bootloader's release or build decides, or in
``IMAGE_CHECKS`` where it is about one image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from smpdfu.dfu.decide.active_slot import wrong_active_slot
from smpdfu.dfu.decide.checks.dependencies import dependencies_are_met, running_application_agrees
from smpdfu.dfu.decide.checks.findings import Finding, Severity, worst_first
from smpdfu.dfu.decide.checks.image_pairs import PAIR_CHECKS, WHOLE_CHECKS, halves_come_together
from smpdfu.dfu.decide.checks.images import IMAGE_CHECKS
from smpdfu.dfu.decide.checks.loader.classes import CLASS_CHECKS
from smpdfu.dfu.decide.checks.loader.loaders import LOADER_CHECKS
from smpdfu.dfu.decide.checks.loader.net_version import NET_VERSION_CHECKS
from smpdfu.dfu.decide.checks.mcuboot import mcuboot_is_sound
from smpdfu.dfu.decide.checks.modes import MODE_CHECKS
from smpdfu.dfu.decide.checks.parts import PART_CHECKS
from smpdfu.dfu.decide.checks.replacing import REPLACING_CHECKS
from smpdfu.dfu.decide.checks.seals import is_sealed
from smpdfu.dfu.decide.checks.slot import FREE_THE_SLOT
from smpdfu.dfu.decide.device_state import DeviceState, Scheme, dependencies_of, version_of
from smpdfu.dfu.decide.steps.rules import COMPANIONS, REPLACES, left_out, method_of
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.image.format import TlvType, counted
from smpdfu.smp.groups.image import ImageSlot

Findings = Iterator[Finding]
Check = Callable[[Package, DeviceState], Findings]

_BY_LOADER = (*LOADER_CHECKS, *NET_VERSION_CHECKS, *CLASS_CHECKS)


def preflight(package: Package, state: DeviceState) -> tuple[Finding, ...]:
    """All findings, errors first. No error among them: nothing is known that speaks against the update."""
    replaces = method_of(state) in REPLACES
    if replaces:  # no image waits for another one, and none is compared with what is there
        state = replace(state, given=Scheme.STAGED, no_downgrade=False)
    checks = REPLACING_CHECKS if replaces else (*THROUGH_A_SLOT, *MODE_CHECKS, *PAIR_CHECKS, *PART_CHECKS, *_BY_LOADER)
    found = [finding for check in (*CHECKS, *WHOLE_CHECKS, *checks) for finding in check(package, state)]
    return worst_first([*found, *(finding for image in package.images for finding in _of_image(image, state))])


def image_findings(image: PackageImage, state: DeviceState) -> tuple[Finding, ...]:
    """What is to be said about one image on this device, errors first."""
    checks = (*MODE_CHECKS, *_BY_LOADER, dependencies_are_met, running_application_agrees, halves_come_together)
    package = Package((image,))
    if image.role is Role.MCUBOOT:
        checks = (_steps_are_known, mcuboot_is_sound)
    found = [finding for check in checks for finding in check(package, state)]
    return worst_first([*wrong_active_slot(state), *found, *_of_image(image, state)])


def recovery_findings(image: PackageImage, state: DeviceState) -> tuple[Finding, ...]:
    """The same about one image that serial recovery writes, where MCUboot and a network image are concerned."""
    without = _steps_are_known(Package((image,)), state) if image.role is Role.MCUBOOT else ()
    return worst_first([*without, *is_sealed(image, replace(state, given=Scheme.STAGED))])


def _of_image(image: PackageImage, state: DeviceState) -> Findings:
    return (finding for check in IMAGE_CHECKS for finding in check(image, state))


# --- the device -----------------------------------------------------------------------------------------------------


def _running_image_is_known(_: Package, state: DeviceState) -> Findings:
    if state.recovery:
        if not state.by_recovery:
            yield Finding(
                "recovery",
                Severity.ERROR,
                "the device is in MCUboot's serial recovery, where an upload overwrites what runs",
                "Restart it, without the recovery button pressed. If its firmware does not start, or if it has one "
                "slot only, ask for serial recovery.",
            )
    elif state.running is None and state.lists_images and not state.in_loader:
        yield Finding(
            "no-running-image",
            Severity.ERROR,
            "the device does not say which image runs",
            "An update needs the hash and the flags of each slot.",
        )


def _steps_are_known(package: Package, state: DeviceState) -> Findings:
    without = left_out(package, state)
    code, then = ("no-steps", "it would be left out") if len(without) < len(package.images) else _NOTHING_LEFT
    for image in without:
        yield Finding(
            code,
            Severity.ERROR,
            f"{image.file} is {image.words}, and smpdfu has no steps that install it: {then}",
            "Bootloaders of this kind do not update themselves: leave it out, and install it with a debugger."
            if image.role is Role.MCUBOOT
            else "Check that the package is a build for this device.",
            image.core,
            {"mcuboot": image.file} if image.role is Role.MCUBOOT else {},
        )


_NOTHING_LEFT = "nothing-to-install", "nothing would be installed"


def _device_knows_its_slot(_: Package, state: DeviceState) -> Findings:
    yield from wrong_active_slot(state)


def _is_only_mcuboot(package: Package) -> bool:
    """True if the package has nothing but MCUboot itself: what the cores run stays as it is."""
    return all(image.role is Role.MCUBOOT for image in package.images)


def _can_be_rolled_back(package: Package, state: DeviceState) -> Findings:
    if _is_only_mcuboot(package):
        return
    if not state.takes_marks:
        yield Finding(
            "no-revert",
            Severity.WARNING,
            "the bootloader starts the highest version, and tries none: an application image that does not work cannot "
            "be rolled back",
        )
    elif state.overwrites and state.scheme is Scheme.STAGED:
        yield Finding(
            "no-revert",
            Severity.WARNING,
            "the bootloader overwrites: an application image that does not work cannot be rolled back",
        )
    elif state.can_revert is None and state.scheme is Scheme.STAGED and package.image(Role.APP) is not None:
        yield Finding(
            "revert-unknown",
            Severity.WARNING,
            "the device does not tell how its bootloader updates: where it overwrites, an application image that does "
            "not work cannot be rolled back",
        )


def _scheme_is_known(package: Package, state: DeviceState) -> Findings:
    told = state.told_scheme
    if state.given is not None and told not in (None, state.given):
        text = f"the device is updated in the {told} scheme, and {state.given} was asked for"
        yield Finding("scheme", Severity.ERROR, text, "Do not name a scheme: the device reports it.")
    elif state.given is None and told is None and package.image(Role.NET) is not None:
        yield Finding(
            "scheme-unknown",
            Severity.ERROR,
            "the device does not report whether its network core has its own image pair",
            "Name the scheme: simultaneous if it has one (overwrite-only builds for both cores at once), else staged.",
            Core.NET,
        )


def _both_at_once_cannot_revert(package: Package, state: DeviceState) -> Findings:
    if state.scheme is not Scheme.SIMULTANEOUS or state.told_scheme is Scheme.STAGED or _is_only_mcuboot(package):
        return
    if state.can_revert:
        # The pair of the network core swaps with RAM: its "previous image" is whatever was there.
        yield Finding(
            "simultaneous-revert",
            Severity.ERROR,
            "the device has an image pair for each core and a bootloader that can revert: a revert would fill the "
            "network core with whatever is in RAM",
            "Build the bootloader for overwriting only (CONFIG_BOOT_UPGRADE_ONLY).",
        )
    elif state.can_revert is None:
        yield Finding(
            "simultaneous-mode",
            Severity.WARNING,
            "the device does not report whether its bootloader overwrites, and the simultaneous scheme needs that",
        )
    else:
        yield Finding("no-revert", Severity.WARNING, "both cores are overwritten: neither can be rolled back")
    if len([image for image in package.images if image.role is not Role.MCUBOOT]) == 1:
        other = "network core" if package.image(Role.NET) is None else "application core"
        yield Finding(
            "one-core",
            Severity.NOTE,
            f"the package has no image for the {other}, which keeps its own: they must fit together",
        )


def _network_image_waits_for_its_application(package: Package, state: DeviceState) -> Findings:
    """Two marks are two requests: a reset between them would install the network core's image alone."""
    app, net, running = package.image(Role.APP), package.image(Role.NET), state.running
    if state.scheme is not Scheme.SIMULTANEOUS or app is None or net is None or running is None:
        return
    there = version_of(running)
    needs = dependencies_of(net) or ()
    tied = there is None or any(one.image == 0 and counted(one.version) > counted(there) for one in needs)
    if running.hash != app.hash and not tied:
        unless = " Not if the bootloader compares the network core's versions: it erases a tied image."
        yield Finding(
            "not-tied",
            Severity.NOTE,
            f"{net.file} does not ask for the application's new version: a reset of the device in the moment between "
            "the two marks would install it alone",
            "A dependency makes it wait for its application, where that has a higher version than before."
            + (unless if state.no_downgrade else ""),
            Core.NET,
        )


def _marks_are_in_order(package: Package, state: DeviceState) -> Findings:
    app, net = package.image(Role.APP), package.image(Role.NET)
    if state.scheme is not Scheme.SIMULTANEOUS or app is None or net is None:
        return
    first, second = state.waiting(0), state.waiting(1)
    if first is not None and first.waits and not (second is not None and second.waits):
        yield Finding(
            "marked-first",
            Severity.ERROR,
            "the application's image waits for the next boot and the network core's does not: many bootloaders would "
            "then skip the network core",
            "Reset the device if the waiting image works with the network core as it is, then update again.",
        )


def _running_image_is_confirmed(package: Package, state: DeviceState) -> Findings:
    running, app = state.running, package.image(Role.APP)
    if running is None or not state.on_trial or (app is not None and running.hash == app.hash):
        return
    yield Finding(
        "unconfirmed",
        Severity.ERROR,
        f"the running image {running.version} is on trial, and its slot pair is not free until that ends",
        "Confirm it, or restart the device to return to the previous image.",
    )


def _nothing_else_is_pending(package: Package, state: DeviceState) -> Findings:
    if not state.takes_marks:  # an upload replaces what waits
        return
    app, net = package.image(Role.APP), package.image(Role.NET)
    companions = [image for image in package.images if image.role in COMPANIONS]
    mcuboot = [image.hash for image in package.of_role(Role.MCUBOOT)]
    numbers = {0, *state.companions} | ({1} if state.scheme is Scheme.SIMULTANEOUS else set())
    for other in filter(None, (state.waiting(number) for number in sorted(numbers))):
        app_in_place = app is None or (state.running is not None and state.running.hash == app.hash)
        expected = {None if app is None else app.hash, *(image.hash for image in companions)}
        if app_in_place or state.scheme is Scheme.SIMULTANEOUS:
            expected |= {None if net is None else net.hash, *mcuboot}
        if other.waits and other.hash not in expected - {None}:
            yield _pending(other)


def _pending(other: ImageSlot) -> Finding:
    return Finding(
        "pending",
        Severity.ERROR,
        f"the image {other.version} is waiting in slot {other.slot} for the next boot, and the slot is not free",
        "Restart the device to let it boot. If it was marked for a test, a second restart brings back what runs now. "
        "If it still waits after that, it was not installed, or the bootloader keeps an image that the network core "
        "took. "
        f"{FREE_THE_SLOT}.",
    )


def _key_is_the_same(package: Package, state: DeviceState) -> Findings:
    app = package.image(Role.APP) or next(iter(package.of_role(Role.MCUBOOT)), None)
    key = None if app is None else app.image.tlv(TlvType.KEYHASH)
    if app is not None and state.past.key is not None and key != state.past.key:
        yield Finding(
            "key-changed",
            Severity.WARNING,
            f"{app.file} is signed with another key than the image of the last update of this device",
            "A bootloader that does not trust the new key erases the image.",
            Core.APP,
        )


def _counter_does_not_fall(package: Package, state: DeviceState) -> Findings:
    app = package.image(Role.APP)
    past = state.past.counter
    if app is None or past is None or (app.image.security_counter or 0) >= past:
        return
    yield Finding(
        "security-counter",
        Severity.ERROR,
        f"{app.file} has security counter {app.image.security_counter or 'none'}, and the last update of this device "
        f"had {past}: a bootloader with downgrade prevention erases it",
        "Sign it with a counter that is not lower, or force the update if this is another board.",
        Core.APP,
        {"counter": str(past)},
    )


def _cores_fit_the_steps(package: Package, state: DeviceState) -> Findings:
    if package.image(Role.NET) is not None and state.scheme is Scheme.STAGED:
        both = package.image(Role.APP) is not None
        then = "smpdfu updates it after the check of the application core" if both else "its image has to fit what runs"
        yield Finding("net-no-revert", Severity.NOTE, f"the network core cannot be rolled back; {then}", core=Core.NET)


def _images_have_one_key(package: Package, _: DeviceState) -> Findings:
    """The bootloader would erase one of two images, and install the other one alone."""
    app = package.image(Role.APP)
    key = None if app is None else app.image.tlv(TlvType.KEYHASH)
    for image in package.images:
        if app is None or key is None:
            return
        if image.role is not Role.APP and image.image.tlv(TlvType.KEYHASH) not in (None, key):
            yield Finding(
                "net-key",
                Severity.ERROR,
                f"{image.file} is signed with another key than {app.file}, and the same bootloader checks both",
                "Sign both with the key that the device trusts.",
                image.core,
            )


CHECKS: tuple[Check, ...] = (
    _running_image_is_known,
    _steps_are_known,
    _nothing_else_is_pending,
    dependencies_are_met,
    _images_have_one_key,
    _key_is_the_same,
    _counter_does_not_fall,
)
THROUGH_A_SLOT: tuple[Check, ...] = (
    _device_knows_its_slot,
    _scheme_is_known,
    _can_be_rolled_back,
    _both_at_once_cannot_revert,
    _running_image_is_confirmed,
    _marks_are_in_order,
    _network_image_waits_for_its_application,
    _cores_fit_the_steps,
    running_application_agrees,
    mcuboot_is_sound,
)
