"""Every reason for which a device would refuse a package, or be lost by it, found before the first byte is sent.

Pure: a package and what the device says about itself go in, findings come out. A check is a function in ``CHECKS``, or
in ``IMAGE_CHECKS`` where it is about one image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from smpdfu.dfu.findings import Finding, Severity, worst_first
from smpdfu.dfu.imagechecks import IMAGE_CHECKS
from smpdfu.dfu.package import Core, CoreImage, Package
from smpdfu.dfu.plan import image_number
from smpdfu.dfu.state import PRIMARY, DeviceState, Scheme, version_of
from smpdfu.errors import FormatError
from smpdfu.image.format import Dependency, TlvType, Version
from smpdfu.smp.groups.image import ImageSlot
from smpdfu.smp.groups.os import BootloaderMode

Findings = Iterator[Finding]
Check = Callable[[Package, DeviceState], Findings]


def preflight(package: Package, state: DeviceState) -> tuple[Finding, ...]:
    """All findings, errors first. No error among them: nothing is known that speaks against the update."""
    found = [finding for check in CHECKS for finding in check(package, state)]
    return worst_first([*found, *(finding for image in package.images for finding in image_findings(image, state))])


def image_findings(image: CoreImage, state: DeviceState) -> tuple[Finding, ...]:
    """What is to be said about one image on this device, errors first."""
    return worst_first([finding for check in IMAGE_CHECKS for finding in check(image, state)])


# --- the device -----------------------------------------------------------------------------------------------------


def _running_image_is_known(_: Package, state: DeviceState) -> Findings:
    if state.recovery:
        yield Finding(
            "recovery",
            Severity.ERROR,
            "the device is in MCUboot's serial recovery, where an upload overwrites what runs",
            "Restart it with `smpdfu reset`, without the recovery button pressed; what does not start any more is "
            "replaced with `smpdfu upload --recovery`, one core after the other.",
        )
    elif state.running is None:
        yield Finding(
            "no-running-image",
            Severity.ERROR,
            "the device does not say which image runs",
            "`smpdfu list` shows what it says; an update needs the hash and the flags of each slot.",
        )


# Modes in which an image is not brought to another slot, so that the steps of an update are other ones.
_OTHER_MODES = {
    BootloaderMode.SINGLE_APP: "has one slot only",
    BootloaderMode.DIRECT_XIP: "runs images from where they lie (direct XIP)",
    BootloaderMode.DIRECT_XIP_WITH_REVERT: "runs images from where they lie (direct XIP)",
    BootloaderMode.RAM_LOAD: "loads images into RAM",
    BootloaderMode.FIRMWARE_LOADER: "leaves updates to a firmware loader",
    BootloaderMode.RAM_LOAD_WITH_NETWORK_CORE: "loads images into RAM",
}


def _bootloader_updates_as_we_know(package: Package, state: DeviceState) -> Findings:
    why = _OTHER_MODES.get(state.mode) if state.mode is not None else None
    if why:
        yield Finding(
            "bootloader-mode",
            Severity.ERROR,
            f"the bootloader {why}, and an update's steps are made for those that swap or overwrite",
            "`smpdfu upload`, `test` and `confirm` do single steps.",
        )
    elif state.can_revert is False and state.scheme is Scheme.STAGED:
        yield Finding(
            "no-revert",
            Severity.WARNING,
            "the bootloader overwrites: an application image that does not work cannot be rolled back",
        )
    elif state.can_revert is None and state.scheme is Scheme.STAGED and package.image(Core.APP) is not None:
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
        yield Finding("scheme", Severity.ERROR, text, "Leave --scheme out: the device tells it.")
    elif state.given is None and told is None and package.image(Core.NET) is not None:
        yield Finding(
            "scheme-unknown",
            Severity.ERROR,
            "the device does not tell whether its network core has an image pair of its own",
            "Say so with --scheme simultaneous if it has (overwrite-only builds for both cores at once), else with "
            "--scheme staged.",
            Core.NET,
        )


def _both_at_once_cannot_revert(package: Package, state: DeviceState) -> Findings:
    if state.scheme is not Scheme.SIMULTANEOUS or state.told_scheme is Scheme.STAGED:
        return
    if state.can_revert:
        # The pair of the network core swaps with RAM: its "previous image" is whatever was there.
        yield Finding(
            "simultaneous-revert",
            Severity.ERROR,
            "the device has an image pair for each core and a bootloader that can revert: a revert would fill the "
            "network core with what happened to be in RAM",
            "Build the bootloader for overwriting only (CONFIG_BOOT_UPGRADE_ONLY).",
        )
    elif state.can_revert is None:
        yield Finding(
            "simultaneous-mode",
            Severity.WARNING,
            "the device does not tell whether its bootloader overwrites, as the simultaneous scheme needs it",
        )
    else:
        yield Finding("no-revert", Severity.WARNING, "both cores are overwritten: neither can be rolled back")
    if len(package.images) == 1:
        other = "network core" if package.image(Core.NET) is None else "application core"
        yield Finding(
            "one-core",
            Severity.NOTE,
            f"the package has no image for the {other}, which keeps its own: they must fit together",
        )


def _network_image_waits_for_its_application(package: Package, state: DeviceState) -> Findings:
    """Two marks are two requests: a reset between them would install the network core's image alone."""
    app, net, running = package.image(Core.APP), package.image(Core.NET), state.running
    if state.scheme is not Scheme.SIMULTANEOUS or app is None or net is None or running is None:
        return
    there = version_of(running)
    tied = there is None or any(
        one.image == 0 and _counted(one.version) > _counted(there) for one in _dependencies(net)
    )
    if running.hash != app.hash and not tied:
        yield Finding(
            "not-tied",
            Severity.NOTE,
            f"{net.file} does not ask for the application's new version: a reset of the device in the moment between "
            "the two marks would install it alone",
            "`smpdfu package --tie` makes it wait for its application, where that has a higher version than before.",
            Core.NET,
        )


def _counted(version: Version) -> tuple[int, int, int]:
    """What a bootloader compares: the build number does not count."""
    return version.major, version.minor, version.revision


def _marks_are_in_order(package: Package, state: DeviceState) -> Findings:
    app, net = package.image(Core.APP), package.image(Core.NET)
    if state.scheme is not Scheme.SIMULTANEOUS or app is None or net is None:
        return
    first, second = state.waiting(0), state.waiting(1)
    if first is not None and first.pending and not (second is not None and second.pending):
        yield Finding(
            "marked-first",
            Severity.ERROR,
            "the application's image waits for the next boot and the network core's does not: many bootloaders would "
            "then skip the network core",
            "Reset the device if the waiting image works with the network core as it is, then update again.",
        )


def _running_image_is_confirmed(package: Package, state: DeviceState) -> Findings:
    running, app = state.running, package.image(Core.APP)
    if running is None or running.confirmed or (app is not None and running.hash == app.hash):
        return
    yield Finding(
        "unconfirmed",
        Severity.ERROR,
        f"the running image {running.version} is on trial, and its slot pair is not free until that ends",
        "Keep it with `smpdfu confirm`, or let the device go back with `smpdfu reset`.",
    )


def _nothing_else_is_pending(package: Package, state: DeviceState) -> Findings:
    app, net = package.image(Core.APP), package.image(Core.NET)
    numbers = {image_number(core, state.scheme) for core in Core}
    for other in filter(None, (state.waiting(number) for number in sorted(numbers))):
        app_in_place = app is None or (state.running is not None and state.running.hash == app.hash)
        expected = {None if app is None else app.hash}
        if app_in_place or state.scheme is Scheme.SIMULTANEOUS:
            expected.add(None if net is None else net.hash)
        if other.pending and other.hash not in expected - {None}:
            yield _pending(other)


def _pending(other: ImageSlot) -> Finding:
    return Finding(
        "pending",
        Severity.ERROR,
        f"the image {other.version} is waiting in slot {other.slot} for the next boot, and the slot is not free",
        "Let it boot with `smpdfu reset`; if it was marked for a test, a second reset brings back what runs now. If it "
        "still waits then, the network core refuses it: erase the slot with a debugger.",
    )


def _dependencies_are_met(package: Package, state: DeviceState) -> Findings:
    """An image that needs a version of another image that is not there cancels the whole update."""
    for image in package.images:
        for one in _dependencies(image):
            found = _version_after(one.image, package, state)
            if found is not None and _counted(found) >= _counted(one.version):
                continue
            # With one image pair the bootloader has no code to check them, and nobody tells the network core's version.
            unknown = found is None and state.scheme is Scheme.STAGED and one.image == 1
            has = "the device does not tell that" if unknown else "it has none" if found is None else f"it has {found}"
            yield Finding(
                "dependency",
                Severity.WARNING if unknown else Severity.ERROR,
                f"{image.file} needs image {one.image} of the device to be at least version {one.version}, and {has}",
                "Put the image that it needs into the package, or sign it without that dependency.",
                image.core,
            )


def _dependencies(image: CoreImage) -> tuple[Dependency, ...]:
    try:
        return image.image.dependencies
    except FormatError:  # its format is judged elsewhere
        return ()


_CORES = {0: Core.APP, 1: Core.NET}


def _version_after(number: int, package: Package, state: DeviceState) -> Version | None:
    """The version that image ``number`` will have: the package's, else what runs."""
    coming = package.image(_CORES[number]) if number in _CORES else None
    if coming is not None:
        return coming.image.header.version
    there = state.slot(PRIMARY, number) if number else state.running
    return None if there is None else version_of(there)


def _key_is_the_same(package: Package, state: DeviceState) -> Findings:
    app = package.image(Core.APP)
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
    app = package.image(Core.APP)
    past = state.past.counter
    if app is None or past is None or (app.image.security_counter or 0) >= past:
        return
    yield Finding(
        "security-counter",
        Severity.ERROR,
        f"{app.file} has security counter {app.image.security_counter or 'none'}, and the last update of this device "
        f"had {past}: a bootloader with downgrade prevention erases it",
        "Sign it with a counter that is not lower (--security-counter); --force if this is another board by now.",
        Core.APP,
    )


def _cores_fit_the_steps(package: Package, state: DeviceState) -> Findings:
    if package.image(Core.NET) is not None and state.scheme is Scheme.STAGED:
        both = package.image(Core.APP) is not None
        then = (
            "it is updated after the application core has proved itself" if both else "its image has to fit what runs"
        )
        yield Finding("net-no-revert", Severity.NOTE, f"the network core cannot be rolled back; {then}", core=Core.NET)


def _cores_have_one_key(package: Package, _: DeviceState) -> Findings:
    app, net = package.image(Core.APP), package.image(Core.NET)
    if app is None or net is None:
        return
    app_key, net_key = (image.image.tlv(TlvType.KEYHASH) for image in (app, net))
    if app_key is not None and net_key is not None and app_key != net_key:
        yield Finding(
            "net-key",
            Severity.ERROR,
            f"{net.file} is signed with another key than {app.file}, and the same bootloader checks both",
            "Sign both with the key that the device trusts.",
            Core.NET,
        )


CHECKS: tuple[Check, ...] = (
    _running_image_is_known,
    _scheme_is_known,
    _bootloader_updates_as_we_know,
    _both_at_once_cannot_revert,
    _running_image_is_confirmed,
    _nothing_else_is_pending,
    _marks_are_in_order,
    _network_image_waits_for_its_application,
    _cores_fit_the_steps,
    _cores_have_one_key,
    _dependencies_are_met,
    _key_is_the_same,
    _counter_does_not_fall,
)
