"""The checks of a network image's version against bootloaders that prevent downgrades; see ``preflight``.

============================ ================================ ====================================================
build with downgrade         compares                         what is lower
prevention
============================ ================================ ====================================================
staged, overwriting          MCUboot's versions of the        erased
                             network image and of the
                             application
staged, from NCS 3.4.1       b0n's counts of the new and the   not handed over; the slot looks as after a success
simultaneous, overwriting    same                             erased, and the application is installed alone
============================ ================================ ====================================================

The last two only in builds that read b0n's count (PCD_READ_NETCORE_APP_VERSION), which no answer of a device tells.
What they cannot read counts as lower. (nrfconnect/sdk-mcuboot, ``loader.c``; sdk-nrf, ``pcd_version_cmp_net``)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from smpdfu.dfu.decide.checks.findings import Finding, Severity
from smpdfu.dfu.decide.checks.loader.loaders import LoaderCheck, builds_of, staged_net
from smpdfu.dfu.decide.device_state import DeviceState, Scheme, version_of
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.image.format import counted
from smpdfu.image.nsib.firmware_info import READ_BYTES, FirmwareInfo
from smpdfu.image.trailer import SwapMode
from smpdfu.loaders.rules import Build

Findings = Iterator[Finding]


def _is_not_below_its_application(package: Package, state: DeviceState) -> Findings:
    image, app = staged_net(package, state), package.image(Role.APP)
    if image is None or not state.no_downgrade or state.swap_mode is not SwapMode.OVERWRITE_ONLY:
        return
    running = None if state.running is None else version_of(state.running)
    there = app.image.header.version if app is not None else running
    version = image.image.header.version
    if there is not None and counted(version) < counted(there):
        yield Finding(
            "net-downgrade",
            Severity.ERROR,
            f"{image.file} is version {version} and the application {there}: this bootloader compares the two and "
            "silently erases the network image",
            f"Sign the network image as version {there} or higher.",
            Core.NET,
            {"version": str(there)},
        )


def _has_a_readable_count(package: Package, state: DeviceState) -> Findings:
    """Of the three reasons, encryption is judged by another check where the image is staged."""
    both = state.scheme is Scheme.SIMULTANEOUS
    image = package.image(Role.NET) if both else staged_net(package, state)
    if image is None or (reason := _unreadable(image)) is None or not _comparing(state):
        return
    why, advice, cause = reason
    if not both:
        then = "does not hand the image over, and the list of images does not show that"
    elif package.image(Role.APP) is None:
        then = "erases the image"
    else:
        then = "erases the image and installs the application alone, half an update"
    yield Finding(
        "net-count",
        Severity.WARNING,
        f"{image.file} {why}, so a bootloader cannot read b0n's version in it. The device prevents downgrades: if its "
        f"bootloader compares the network core's versions (PCD_READ_NETCORE_APP_VERSION), it {then}",
        advice,
        Core.NET,
        {"unreadable": cause},
    )


def _unreadable(image: PackageImage) -> tuple[str, str, str] | None:
    """Why a bootloader finds no firmware info where it looks for it, what to do, and a short name of the cause.

    None where it finds it.
    """
    if image.image.protected:
        return (
            "has protected TLVs (a dependency on its application, a security counter or the like)",
            "Sign the network image without dependencies and without a security counter.",
            "protected",
        )
    if image.image.encrypted:
        return "is encrypted", "Sign the network image without encryption.", "encrypted"
    if FirmwareInfo.find(image.image.payload[:READ_BYTES]) is None:
        return (
            f"has no firmware info for b0n in its first {READ_BYTES} bytes",
            "Send the image that the build signed for both bootloaders.",
            "no-info",
        )
    return None


def _comparing(state: DeviceState) -> list[Build]:
    """The builds among those that the device may have that compare b0n's counts, if told to."""
    told = (replace(build, reads_net_version=True) for build in builds_of(state))
    return [build for build in told if build.compares_network and not (build.staged and build.by_offset)]


NET_VERSION_CHECKS: tuple[LoaderCheck, ...] = (_is_not_below_its_application, _has_a_readable_count)
