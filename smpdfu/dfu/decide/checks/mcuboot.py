"""The checks of MCUboot's update of itself; ``decide/b0`` has the facts and their sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from smpdfu.dfu.decide.b0 import starts
from smpdfu.dfu.decide.checks.findings import Finding, Severity
from smpdfu.dfu.decide.device_state import PRIMARY, SECONDARY, DeviceState
from smpdfu.dfu.decide.steps.rules import left_out
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.image.nrf5340 import APP
from smpdfu.image.nsib.trusted_keys import below_counter
from smpdfu.image.trailer import SwapMode

Findings = Iterator[Finding]
McubootCheck = Callable[[PackageImage, DeviceState], Findings]
_BUILD = "Use the dfu_mcuboot.zip of the build."


def mcuboot_is_sound(package: Package, state: DeviceState) -> Findings:
    """The findings of the package's MCUboot for this device, if there are steps for it."""
    without = left_out(package, state)
    for image in package.of_role(Role.MCUBOOT):
        if image not in without:
            for check in MCUBOOT_CHECKS:
                yield from check(image, state)


def _has_no_way_back(image: PackageImage, _: DeviceState) -> Findings:
    slot = "MCUboot's own slot" if image.slot is None else f"MCUboot's own slot {image.slot}"
    yield Finding(
        "mcuboot-no-way-back",
        Severity.WARNING,
        f"{image.file} is MCUboot itself: once it is marked, the next boot copies it into {slot}, b0 starts it, and "
        "nothing brings the previous MCUboot back but an update with a still higher firmware version. If the power "
        "fails while MCUboot copies itself, it may stop at every boot",
        "Try it on a board with a debugger first, and keep the power on until the device is back.",
        Core.APP,
    )


def _slot_is_agreed(_: PackageImage, state: DeviceState) -> Findings:
    given, told = state.b0.given, state.b0.told
    if given is not None and told is not None and given != told:
        yield Finding(
            "b0-slot-differs",
            Severity.WARNING,
            f"you say that MCUboot runs from slot {given}, and the device reports slot {told}: if slot {told} is "
            "right, MCUboot erases the image, which is for the slot that runs, and nothing changes",
            "The boot text on a console shows which slot b0 starts.",
            Core.APP,
        )


def _offset_copies_nothing(image: PackageImage, state: DeviceState) -> Findings:
    """MCUboot reads the image's address from the start of the slot, and there the image begins one sector behind."""
    if state.swap_mode is SwapMode.OFFSET:
        yield Finding(
            "mcuboot-offset",
            Severity.ERROR,
            f"the bootloader swaps using an offset, and no release can then update itself: {image.file} would stay in "
            "the application's secondary slot",
            "Such a MCUboot needs a debugger, or a bootloader that swaps using move.",
            Core.APP,
        )


def _has_firmware_info(image: PackageImage, _: DeviceState) -> Findings:
    if image.image.encrypted:
        text = f"{image.file} is encrypted, and MCUboot copies an update of itself as it is: b0 does not find its "
        yield Finding("mcuboot-info", Severity.ERROR, f"{text}firmware info", "Sign it without encryption.", Core.APP)
    elif image.firmware_info is None:
        text = f"{image.file} has no firmware info, by which b0 knows a firmware: b0 would never start it"
        yield Finding("mcuboot-info", Severity.ERROR, text, f"Build MCUboot with CONFIG_FW_INFO. {_BUILD}", Core.APP)
    elif not image.firmware_info.is_found_behind(image.image.header.hdr_size):
        text = f"b0 does not look where {image.file} has its firmware info, and would never start it"
        yield Finding("mcuboot-info", Severity.ERROR, text, _BUILD, Core.APP)


def _lies_in_its_slot(image: PackageImage, state: DeviceState) -> Findings:
    """What b0 compares with the address at which it looks; and MCUboot, by the reset vector."""
    info = image.firmware_info
    if info is None:
        return
    vector, claimed = image.image.reset_vector, image.load_address
    if not info.address <= (vector or 0) < info.address + info.size or info.address not in APP:
        text = f"the firmware info of {image.file} says 0x{info.address:x}, and its code is linked elsewhere"
    elif claimed is not None and info.address not in (claimed, claimed + image.image.header.hdr_size):
        text = f"the firmware info of {image.file} says 0x{info.address:x}, and the manifest 0x{claimed:x}"
    elif (exchanged := _exchanged(state)) is not None:
        text = exchanged
    else:
        return
    yield Finding("mcuboot-address", Severity.ERROR, f"{text}: b0 or MCUboot refuses it", _BUILD, Core.APP)


def _starts(state: DeviceState) -> dict[int, int]:
    """Where the package's variants begin, by their slots."""
    found = ((one.slot, one.firmware_info) for one in state.b0.variants)
    return {slot: info.address for slot, info in found if slot is not None and info is not None}


def _exchanged(state: DeviceState) -> str | None:
    """S0 lies before S1 in every build (nRF Connect SDK, partition manager and devicetrees)."""
    start = _starts(state)
    if len(start) < 2 or start[PRIMARY] < start[SECONDARY]:
        return None
    if start[PRIMARY] == start[SECONDARY]:
        return f"both files of MCUboot are linked for 0x{start[PRIMARY]:x}, and there is one for each slot"
    return "the files of MCUboot for slot 0 and slot 1 are exchanged: that of slot 0 has the higher address"


def _fits_its_slot(image: PackageImage, state: DeviceState) -> Findings:
    """Slot 0 ends where slot 1 begins, at the latest; both have one size."""
    start = _starts(state)
    room = start[SECONDARY] - start[PRIMARY] if len(start) == 2 else 0
    if 0 < room < image.image.size_bytes:
        text = f"{image.file} has {image.image.size_bytes} bytes; MCUboot's own slots have {room} at most"
        yield Finding("too-large", Severity.ERROR, text, "Make MCUboot smaller.", Core.APP)


def _counter_lets_it_start(image: PackageImage, state: DeviceState) -> Findings:
    """The counter is that of a dump: it may have counted up since, never down."""
    info = image.firmware_info
    if info is not None and (why := below_counter(info.version, state.nsib.lowest_version)) is not None:
        text = f"{image.file}: {why}: b0 continues to start the previous MCUboot"
        yield Finding("mcuboot-version", Severity.ERROR, text, _HIGHER, Core.APP, {"counter": "b0"})


def _version_is_higher(image: PackageImage, state: DeviceState) -> Findings:
    """The version of the MCUboot that runs is known only from an update that proved to have brought it."""
    info, known = image.firmware_info, state.past.mcuboot
    if info is None or known == (image.slot, info.version):
        return
    if image.slot is None or known is None or state.b0.active != known[0] or known[0] == image.slot:
        yield Finding(
            "mcuboot-version",
            Severity.NOTE,
            f"{image.file} has firmware version {info.version}. No device reports the version of the MCUboot that "
            "runs: b0 starts the new one only if its version is higher",
            core=Core.APP,
        )
    elif not starts(info.version, image.slot, known[1]):
        yield Finding(
            "mcuboot-version",
            Severity.ERROR,
            f"{image.file} has firmware version {info.version}, and by the journal version {known[1]} runs: b0 "
            f"continues to start version {known[1]}",
            f"{_HIGHER} If this is another board, force the update.",
            Core.APP,
            {"known": str(known[1])},
        )


_HIGHER = "Build MCUboot with a higher CONFIG_FW_INFO_FIRMWARE_VERSION."
MCUBOOT_CHECKS: tuple[McubootCheck, ...] = (
    _has_no_way_back,
    _slot_is_agreed,
    _offset_copies_nothing,
    _has_firmware_info,
    _lies_in_its_slot,
    _fits_its_slot,
    _counter_lets_it_start,
    _version_is_higher,
)
