"""The checks of a package where the upload replaces the application: a firmware loader, or serial recovery.

Sources: MCUboot, docs/serial_recovery.md; Nordic's ``firmware_loader.c``, ``single_loader.c`` and ``boot_serial.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from smpdfu.dfu.decide.checks.findings import Finding, Severity
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.serial_recovery import COPY_S, has_direct_upload
from smpdfu.dfu.decide.steps.rules import Method, method_of
from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.package import Package

Findings = Iterator[Finding]
ReplacingCheck = Callable[[Package, DeviceState], Findings]

_WHO = {
    Method.FIRMWARE_LOADER: "its firmware loader replaces the application",
    Method.SERIAL_RECOVERY: "MCUboot's serial recovery replaces what runs",
}


def _nothing_can_be_rolled_back(_: Package, state: DeviceState) -> Findings:
    if state.recovery and not state.by_recovery:
        return  # nobody has asked for it
    yield Finding(
        "no-revert",
        Severity.WARNING,
        f"the device cannot try an image first: {_WHO[method_of(state)]}, and nothing can be rolled back. Until the "
        "upload is complete, the device has no application",
    )


def _recovery_is_reached(_: Package, state: DeviceState) -> Findings:
    if method_of(state) is Method.SERIAL_RECOVERY and not (state.over_serial or state.recovery):
        yield Finding(
            "recovery-wire",
            Severity.ERROR,
            "the device is updated in MCUboot's serial recovery, which answers on a serial port only",
            "Name the serial port on which the bootloader answers.",
        )


def _loader_is_found(_: Package, state: DeviceState) -> Findings:
    if method_of(state) is Method.FIRMWARE_LOADER and state.renamed and not state.in_loader:
        yield Finding(
            "loader-name",
            Severity.WARNING,
            "the firmware loader advertises another name than the application: smpdfu looks for it at the same "
            "Bluetooth address, and does not find it at another one",
            "Name its address or its name.",
        )


def _bootloader_has_a_number_for_it(package: Package, state: DeviceState) -> Findings:
    others = [image for image in package.images if image.role not in (Role.APP, Role.MCUBOOT)]
    if method_of(state) is not Method.SERIAL_RECOVERY or not others:
        return
    if state.recovery and has_direct_upload(state.sizes) is False:
        files = " and ".join(image.file for image in others)
        yield Finding(
            "recovery-number",
            Severity.ERROR,
            f"the bootloader's serial recovery has no direct upload and writes the application only: {files} cannot be "
            "installed",
            "Build the bootloader with CONFIG_MCUBOOT_SERIAL_DIRECT_IMAGE_UPLOAD, or install the application alone.",
            others[0].core,
        )
    net = package.image(Role.NET)
    if net is not None:
        yield Finding(
            "recovery-net",
            Severity.NOTE,
            f"the bootloader copies {net.file} to the network core after the upload, and cannot report whether the "
            f"network core took it: do not switch the device off within {COPY_S:g} s after that upload",
            core=net.core,
        )


def _nothing_is_encrypted(package: Package, state: DeviceState) -> Findings:
    by_loader = method_of(state) is Method.FIRMWARE_LOADER
    for image in package.images:
        if not image.image.encrypted:
            continue
        if by_loader:
            text = f"{image.file} is encrypted, and a bootloader in firmware loader mode decrypts nothing: it would "
            text += "not start it"
        else:
            text = f"{image.file} is encrypted: it starts only if the bootloader was built to decrypt what its serial "
            text += "recovery writes"
        severity = Severity.ERROR if by_loader else Severity.WARNING
        yield Finding("replaced-encrypted", severity, text, "Use an image without encryption.", image.core)


REPLACING_CHECKS: tuple[ReplacingCheck, ...] = (
    _nothing_can_be_rolled_back,
    _recovery_is_reached,
    _loader_is_found,
    _bootloader_has_a_number_for_it,
    _nothing_is_encrypted,
)
