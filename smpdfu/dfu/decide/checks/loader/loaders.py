"""The checks of a package against every bootloader that a device may have; see ``preflight``.

Loaders differ by release (``smpdfu.loaders``), and no answer of a device names its own. So each image is followed
through every loader that the evidence leaves: what all of them do is an error, what some do a warning that names them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from smpdfu.dfu.decide.checks.findings import Finding, Severity
from smpdfu.dfu.decide.checks.loader.loader_words import (
    ASK,
    hexadecimal,
    loader_titles,
    unknown,
    what_happens,
    who_does_what,
)
from smpdfu.dfu.decide.device_state import PRIMARY, DeviceState, Scheme
from smpdfu.dfu.decide.evidence import Source
from smpdfu.dfu.decide.steps.rules import COMPANIONS
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.image.format import TlvType
from smpdfu.image.ids import UUID_SIZE
from smpdfu.image.load_address import LOAD_ADDRESS_FLAGS
from smpdfu.image.nrf5340 import APP, NET
from smpdfu.image.trailer import SwapMode
from smpdfu.image.vector_table import SMALLEST_BOOTLOADER
from smpdfu.loaders.fate import Fate, Seen, fate
from smpdfu.loaders.proof import Picture, network_taken, outcomes
from smpdfu.loaders.releases import Generation
from smpdfu.loaders.rules import Build, Target
from smpdfu.smp.groups.os import BootloaderMode

Findings = Iterator[Finding]
LoaderCheck = Callable[[Package, DeviceState], Findings]

USUAL_NET_START = 0x0100_8800
"""Where the network application starts behind a b0n of the usual size."""


# --- what the loaders do --------------------------------------------------------------------------------------------


def builds_of(state: DeviceState) -> tuple[Build, ...]:
    """The loaders through whose secondary slot an update goes, none where the device updates otherwise.

    Swap using offset counts where the device tells that it does so: it is no device's default.
    """
    if state.recovery or (state.swap_mode is None and state.mode not in (None, BootloaderMode.UNKNOWN)):
        return ()
    by_offset = state.swap_mode is SwapMode.OFFSET
    return tuple(build for build in state.builds if build.by_offset is by_offset)


def seen_of(image: PackageImage) -> Seen:
    """What a loader sees of an image."""
    header = image.image.header
    address = header.load_addr if header.flags & LOAD_ADDRESS_FLAGS else None
    return Seen(image.image.reset_vector, address, image.code_address, image.image.encrypted, target_of(image))


def target_of(image: PackageImage) -> Target:
    """Whom a class UUID in an image is of: its core's, for nothing here tells which classes a bootloader knows."""
    named = image.image.tlv(TlvType.UUID_CID)
    if named is None or len(named) != UUID_SIZE:
        return Target.UNNAMED
    return Target.APPLICATION if image.core is Core.APP else Target.NETWORK


def app_home(image: PackageImage, state: DeviceState) -> range:
    """The application's primary slot as far as it can be told: by its image's code, and by the size of the slot."""
    size = state.size_bytes(PRIMARY)
    start = image.code_address if image.core is Core.APP else None
    if start is None:
        return range(APP.start + SMALLEST_BOOTLOADER[APP], APP.end)
    slot = start - image.image.header.hdr_size
    return range(slot, APP.end if size is None else slot + size)


def net_home(image: PackageImage, state: DeviceState) -> range:
    """The network application's part of flash: the device's, else the one that the image is made for."""
    if state.net is not None:
        return state.net
    start = image.code_address if image.core is Core.NET else None
    return range(NET.start + SMALLEST_BOOTLOADER[NET] if start is None else start, NET.end)


def fates(image: PackageImage, state: DeviceState, seen: Seen | None = None) -> dict[Build, Fate]:
    """What each loader does with an image that is marked in the application's secondary slot; ``seen``: as if."""
    seen, home, net = seen or seen_of(image), app_home(image, state), net_home(image, state)
    return {build: fate(build, seen, home, net) for build in builds_of(state)}


def _harming(image: PackageImage, found: Mapping[Build, Fate]) -> dict[Build, Fate]:
    """The loaders that do not bring the image where it belongs."""
    good = Fate.INSTALLED if image.core is Core.APP else Fate.HANDED_OVER
    return {build: one for build, one in found.items() if one is not good}


def is_surely_handed_over(image: PackageImage, state: DeviceState) -> bool:
    """True if no loader that the device may have can take this network image for one of the application.

    One whose network application lies elsewhere does: it is swapped in, swapped back, and listed as after a hand-over.
    So the place must be known, or be the usual one. An image that a loader erases is not listed and misleads nobody.
    """
    found = set(fates(image, state).values())
    known = state.net is not None or image.code_address == USUAL_NET_START
    return known and Fate.HANDED_OVER in found and found <= {Fate.HANDED_OVER, Fate.ERASED}


def _severity(hit: Collection[Build], among: Collection[Build]) -> Severity:
    return Severity.ERROR if len(hit) == len(among) else Severity.WARNING


def staged_net(package: Package, state: DeviceState) -> PackageImage | None:
    """The network image of a package that passes through the application's slot and can be read there."""
    image = package.image(Role.NET)
    usable = image is not None and not image.image.encrypted and image.vector_core is not Core.APP
    return image if usable and state.scheme is Scheme.STAGED and state.swap_mode is not SwapMode.OFFSET else None


# --- checks ---------------------------------------------------------------------------------------------------------


def _clues_fit_together(_: Package, state: DeviceState) -> Findings:
    if state.evidence.contradicts:
        said = ", ".join(f"{clue.source}: {clue.text}" for clue in state.evidence.clues)
        yield Finding(
            "contradiction",
            Severity.WARNING,
            f"no bootloader fits all that is known of this one ({said})",
            "Correct what you said of the bootloader, or say nothing. If this is another board than before, its "
            "journal is about the other one.",
        )


def _offset_hands_nothing_over(package: Package, state: DeviceState) -> Findings:
    image = package.image(Role.NET)
    builds = builds_of(state)
    if image is None or not builds or state.scheme is not Scheme.STAGED or state.swap_mode is not SwapMode.OFFSET:
        return
    yield Finding(
        "net-offset",
        Severity.ERROR,
        f"the bootloader swaps using an offset, and no release can then update the network core with {image.file}: "
        f"{what_happens(fates(image, state))}",
        "Update the application alone. The network core needs a debugger, or a bootloader that swaps using move.",
        Core.NET,
    )


def _network_image_is_readable(package: Package, state: DeviceState) -> Findings:
    image = package.image(Role.NET)
    if image is None or not image.image.encrypted or state.scheme is not Scheme.STAGED:
        return
    found = fates(image, state)
    then = f": {what_happens(found)}" if found else ""
    yield Finding(
        "net-encrypted",
        Severity.ERROR,
        f"{image.file} is encrypted, and the staged scheme cannot update the network core with it{then}",
        "Sign the network core's image without encryption; only the application's image can be encrypted on this "
        "device.",
        Core.NET,
    )


def _application_is_not_taken_for_network(package: Package, state: DeviceState) -> Findings:
    """Loaders before NCS 2.8 look for the reset vector in the ciphertext, and nearly every word there is above it."""
    image = package.image(Role.APP)
    if image is None or not image.image.encrypted or state.scheme is not Scheme.STAGED:
        return
    found = fates(image, state)
    hit = [build for build, one in found.items() if one is Fate.REFUSED]
    if hit:
        facts = {} if len(hit) == len(found) else {"unknown": unknown(found)}
        known = f" {ASK[facts['unknown']]}" if facts else ""
        yield Finding(
            "app-encrypted",
            Severity.WARNING,
            f"{image.file} is encrypted: a bootloader of {loader_titles(hit)} that updates the network core takes it "
            "for a network image and never installs it",
            f"Those bootloaders need an application image without encryption.{known}",
            Core.APP,
            facts,
        )


def _headers_have_their_address(package: Package, state: DeviceState) -> Findings:
    """One finding for all images that say nothing, and one for each that says something wrong."""
    silent: list[PackageImage] = []
    erasing: set[Build] = set()
    severity = Severity.WARNING
    for image in package.images:
        hit, could = _address_decides(image, state)
        if hit and seen_of(image).address is None:
            silent.append(image)
            erasing |= set(hit)
            severity = Severity.ERROR if len(hit) == len(could) else severity
        elif hit:
            told = image.image.header.load_addr
            text = f"the load address 0x{told:x} in the header of {image.file} is not in its slot: {who_does_what(hit)}"
            fault = _severity(hit, could)
            yield _address((image,), state, fault, text)
    if silent:
        names, verb = " and ".join(image.file for image in silent), "has" if len(silent) == 1 else "have"
        who = f"the bootloader of {loader_titles(erasing)}"
        text = f"{names} {verb} no load address in the header, and {who} erases such an image"
        yield _address(silent, state, severity, text)


def _address_decides(image: PackageImage, state: DeviceState) -> tuple[dict[Build, Fate], list[Build]]:
    """What happens in loaders that would bring the image to its core but for its load address, and all that would."""
    if image.role in COMPANIONS:
        return {}, []  # goes through a pair of its own
    if image.link_warning is not None or image.vector_core not in (None, image.core):
        return {}, []  # it does not run where it belongs, whatever its header says
    if image.core is Core.NET and staged_net(Package((image,)), state) is None:
        return {}, []
    home = app_home(image, state) if image.core is Core.APP else net_home(image, state)
    right = fates(image, state, replace(seen_of(image), address=home.start))
    could = [build for build in right if build not in _harming(image, right)]
    harming = _harming(image, fates(image, state))
    return {build: one for build, one in harming.items() if build in could}, could


def _address(images: Sequence[PackageImage], state: DeviceState, severity: Severity, text: str) -> Finding:
    starts = [
        f"{hexadecimal(home.start)} for the {image.core.words}"
        for image in images
        if image.code_address is not None
        for home in (app_home(image, state) if image.core is Core.APP else net_home(image, state),)
    ]
    where = f" ({', '.join(starts)})" if starts else ""
    advice, facts = f"Sign it with the address of its slot{where}.", dict[str, str]()
    if severity is not Severity.ERROR:
        facts["unknown"] = unknown(builds_of(state))
        advice = f"{advice} {ASK[facts['unknown']]}"
    return Finding("address", severity, text, advice, images[0].core if len(images) == 1 else None, facts)


def _at_best(image: PackageImage, state: DeviceState) -> dict[Build, Fate]:
    """What happens to the best network image that there can be in place of ``image``."""
    home = net_home(image, state)
    return fates(image, state, Seen(home.start + 1, home.start, home.start))


def _network_core_is_served(package: Package, state: DeviceState) -> Findings:
    """Loaders that do not hand over any network image, however it is made."""
    image = staged_net(package, state)
    if image is None:
        return
    found = _at_best(image, state)
    erasing = [build for build, one in found.items() if one is Fate.ERASED]
    if erasing:
        severity = _severity(erasing, found)
        advice = "Update the application alone; the network core of such a device needs a debugger."
        facts = {} if severity is Severity.ERROR else {"unknown": unknown(found)}
        yield Finding(
            "net-erased",
            severity,
            f"the bootloader of {loader_titles(erasing)} erases every network image in the staged scheme, also "
            f"{image.file}",
            ASK[facts["unknown"]] if facts else advice,
            Core.NET,
            facts,
        )
    unaware = [build for build in found if build.loader.release.generation is Generation.UPSTREAM]
    if unaware:
        yield Finding(
            "net-upstream",
            _severity(unaware, found),
            f"upstream MCUboot knows no network core: it puts {image.file} into the application's slot, where it does "
            "not run",
            "Update the application alone.",
            Core.NET,
        )


def _network_image_is_linked_for_this_device(package: Package, state: DeviceState) -> Findings:
    image = package.image(Role.NET)
    if image is None or image.image.encrypted or image.vector_core is not Core.NET or image.link_warning is not None:
        return
    if state.swap_mode is SwapMode.OFFSET and state.scheme is Scheme.STAGED:
        return
    start, vector = image.code_address, image.image.reset_vector
    assert vector is not None, "it tells the core"
    told = state.net
    net = told or range(USUAL_NET_START, NET.end)
    if vector in net if start is None else start == net.start:
        return
    linked = (
        f"{image.file} is linked for {hexadecimal(start)}"
        if start is not None
        else f"{image.file} is linked for another address"
    )
    then = _elsewhere_then(image, replace(state, net=net))
    if told is not None:
        text = f"{linked}, and the network application of this device starts at {hexadecimal(net.start)}: {then}"
        advice = "Build it for this device's b0n; if the device has another one, say where its network application is."
        yield Finding("net-elsewhere", Severity.ERROR, text, advice, Core.NET)
    elif start is not None:
        usual = hexadecimal(net.start)
        text = f"{linked}; where a device has its network application elsewhere, usually at {usual}, {then}"
        advice = "If this device's network application starts there, give that address."
        yield Finding("net-elsewhere", Severity.WARNING, text, advice, Core.NET, {"address": hexadecimal(start)})


def _elsewhere_then(image: PackageImage, state: DeviceState) -> str:
    if state.scheme is Scheme.SIMULTANEOUS:
        return "b0n refuses it, and the bootloader stops at every boot"
    found = _harming(image, fates(image, state))
    return what_happens(found) if found else "b0n refuses it"


def _network_core_can_be_proven(package: Package, state: DeviceState) -> Findings:
    """Said before the first byte: what the list shows after success may be what it shows after a refusal."""
    image = package.image(Role.NET)
    if (
        image is None
        or _list_proves(package, state)
        or any(one.source is Source.CONSOLE for one in state.evidence.clues)
    ):
        return
    may_be_older = any(build.loader.release.version < (3, 4, 1) for build in builds_of(state))
    swaps = state.scheme is Scheme.STAGED and state.can_revert is not False and may_be_older
    known = " If the bootloader swaps and is older than NCS 3.4.1, its release is enough." if swaps else ""
    yield Finding(
        "net-unproven",
        Severity.NOTE,
        f"after the update, the list of images may not show whether the network core took or refused {image.file}",
        f"For proof, read the bootloader's console over a serial port, or ask the application for the version.{known}",
        Core.NET,
        {"release": "enough"} if swaps else {},
    )


def _list_proves(package: Package, state: DeviceState) -> bool:
    """True if the list after success can be no other's, or there is no success of which it could tell.

    As for the proof itself, an earlier update's journal does not count: it may be about another board.
    """
    if state.scheme is Scheme.SIMULTANEOUS:
        return not builds_of(state)
    image = staged_net(package, state)
    if image is None:
        return True
    sure = state.sure
    builds = [build for build, one in _at_best(image, sure).items() if one is Fate.HANDED_OVER]
    if builds and sure.net is None and image.code_address != USUAL_NET_START:
        return False  # see is_surely_handed_over
    shown = [picture for picture in Picture if any(True in outcomes(build, picture) for build in builds)]
    return all(network_taken(builds, picture) for picture in shown)


LOADER_CHECKS: tuple[LoaderCheck, ...] = (
    _clues_fit_together,
    _offset_hands_nothing_over,
    _network_image_is_readable,
    _network_image_is_linked_for_this_device,
    _network_core_is_served,
    _headers_have_their_address,
    _application_is_not_taken_for_network,
    _network_core_can_be_proven,
)
