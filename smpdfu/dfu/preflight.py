"""Every reason for which a device would refuse a package, or be lost by it, found before the first byte is sent.

Pure: a package and what the device says about itself go in, findings come out. A check is a function in ``CHECKS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from smpdfu.dfu.package import Core, CoreImage, Package
from smpdfu.dfu.state import PRIMARY, SECONDARY, DeviceState, Scheme, version_of
from smpdfu.errors import PlanError
from smpdfu.image.format import SIGNATURE_TYPES, TlvType
from smpdfu.image.linked import link_warning
from smpdfu.image.trailer import SlotGeometry, SwapMode, max_image_size_bytes
from smpdfu.image.verify import Code, verify
from smpdfu.smp.groups.os import BootloaderMode


class Severity(StrEnum):
    """ERROR: the update would fail or harm. WARNING: it may. NOTE: good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about this package on this device. ``code`` is stable, ``message`` one sentence, ``advice`` what to do.

    ``core`` is the core whose image it is about; None where it is about the device.
    """

    code: str
    severity: Severity
    message: str
    advice: str = ""
    core: Core | None = None


Findings = Iterator[Finding]
Check = Callable[[Package, DeviceState], Findings]
ImageCheck = Callable[[CoreImage, DeviceState], Findings]


def preflight(package: Package, state: DeviceState) -> tuple[Finding, ...]:
    """All findings, errors first. No error among them: nothing is known that speaks against the update."""
    found = [finding for check in CHECKS for finding in check(package, state)]
    return _worst_first([*found, *(finding for image in package.images for finding in image_findings(image, state))])


def image_findings(image: CoreImage, state: DeviceState) -> tuple[Finding, ...]:
    """What is to be said about one image on this device, errors first."""
    return _worst_first([finding for check in IMAGE_CHECKS for finding in check(image, state)])


def refusal(errors: Sequence[Finding]) -> PlanError:
    """The error for findings that speak against it; at least one."""
    first, *others = errors
    also = "".join(f"; and {finding.message}" for finding in others)
    return PlanError(
        f"{first.message}{also}; nothing was written. {first.advice}".rstrip(),
        tuple(finding.message for finding in errors),
    )


def _worst_first(findings: list[Finding]) -> tuple[Finding, ...]:
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


# --- the device -----------------------------------------------------------------------------------------------------


def _running_image_is_known(_: Package, state: DeviceState) -> Findings:
    if state.running is None:
        yield Finding(
            "no-running-image",
            Severity.ERROR,
            "the device does not say which image runs",
            "It may be in MCUboot's serial recovery: reset it without the recovery button pressed.",
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


def _bootloader_updates_as_we_know(_: Package, state: DeviceState) -> Findings:
    why = _OTHER_MODES.get(state.mode) if state.mode is not None else None
    if why:
        yield Finding("bootloader-mode", Severity.ERROR, f"the bootloader {why}, which is not supported")
    elif state.can_revert is False:
        yield Finding(
            "no-revert",
            Severity.WARNING,
            "the bootloader overwrites: an application image that does not work cannot be rolled back",
        )


def _scheme_is_known(_: Package, state: DeviceState) -> Findings:
    if state.scheme is not Scheme.STAGED:
        yield Finding(
            "scheme",
            Severity.ERROR,
            f"the device has an image pair for each core, and the {state.scheme} scheme is not supported",
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
    other, app, net = state.other, package.image(Core.APP), package.image(Core.NET)
    if other is None or not other.pending or (app is not None and other.hash == app.hash):
        return
    app_in_place = app is None or (state.running is not None and state.running.hash == app.hash)
    if net is not None and other.hash == net.hash and app_in_place:
        return
    yield Finding(
        "pending",
        Severity.ERROR,
        f"the image {other.version} is waiting in slot {other.slot} for the next boot, and the slot is not free",
        "Let it boot with `smpdfu reset`; if it was marked for a test, a second reset brings back what runs now. If it "
        "still waits then, the network core refuses it: erase the slot with a debugger.",
    )


def _cores_fit_the_steps(package: Package, state: DeviceState) -> Findings:
    if package.image(Core.NET) is not None and state.scheme is Scheme.STAGED:
        yield Finding(
            "net-no-revert",
            Severity.NOTE,
            "the network core cannot be rolled back; it is updated after the application core has proved itself",
            core=Core.NET,
        )


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


# --- one image ------------------------------------------------------------------------------------------------------


def _is_valid(image: CoreImage, _: DeviceState) -> Findings:
    """What the bootloader would find, too, as far as it can be judged without its keys."""
    verdict = verify(image.image)
    # What is encrypted cannot be judged here; what is flagged so and is plain, the bootloader would decrypt.
    wrong = [one for one in verdict.refusals if one.code != Code.ENCRYPTED]
    wrong += [one for one in verdict.warnings if one.code == Code.CLEAR]
    for one in wrong:
        yield Finding(one.code, Severity.ERROR, f"{image.file}: {one.message}", core=image.core)


def _is_signed(image: CoreImage, _: DeviceState) -> Findings:
    if not any(tlv.type in SIGNATURE_TYPES for tlv in image.image.unprotected):
        text = f"{image.file} is not signed; a bootloader that checks signatures does not take it"
        yield Finding("not-signed", Severity.WARNING, text, "Sign it with `smpdfu sign -k KEY`.", image.core)


def _is_of_its_core(image: CoreImage, _: DeviceState) -> Findings:
    if image.vector_core not in (None, image.core):
        text = f"{image.file} is meant for the {image.core.words} and linked for the {image.vector_core.words}"
        yield Finding("wrong-core", Severity.ERROR, text, "Check which file went into the package.", image.core)


def _is_linked_for_its_slot(image: CoreImage, _: DeviceState) -> Findings:
    if image.image.encrypted or image.vector_core not in (None, image.core):
        return
    warning = link_warning(image.image.payload, image.load_address)
    if warning:
        text = f"{image.file}: {warning}; the bootloader would erase it, or the device would not start"
        yield Finding("linked-elsewhere", Severity.ERROR, text, "Build it for the slot's address.", image.core)


def _network_image_is_readable(image: CoreImage, state: DeviceState) -> Findings:
    # The bootloader tells a network image by the reset vector in the slot, which is ciphertext here; it would swap the
    # image into the application's slot (nrfconnect/sdk-mcuboot, boot/bootutil/src/loader.c).
    if image.core is Core.NET and image.image.encrypted and state.scheme is Scheme.STAGED:
        yield Finding(
            "net-encrypted",
            Severity.ERROR,
            f"{image.file} is encrypted, so the bootloader cannot see that it is for the network core and would run it "
            "on the application core",
            "Sign the network core's image without -E; only the application's image can be encrypted on this device.",
            image.core,
        )


def _application_image_may_be_encrypted(image: CoreImage, _: DeviceState) -> Findings:
    if image.core is Core.APP and image.image.encrypted:
        text = f"{image.file} is encrypted; whether the device has the key shows only at its next boot"
        yield Finding("encrypted", Severity.NOTE, text, core=image.core)


def _is_not_padded(image: CoreImage, _: DeviceState) -> Findings:
    rest = len(image.data) - image.image.size_bytes
    if rest > 0:
        yield Finding(
            "padded",
            Severity.ERROR,
            f"{image.file} has {rest} bytes behind the image: a slot with its trailer, which marks itself when written",
            "Upload the image signed without --pad, --test and --confirm.",
            image.core,
        )


def largest_image_bytes(state: DeviceState) -> int | None:
    """The largest image that fits the slots of image 0 in the bootloader's mode; None if the device tells no sizes."""
    sizes = [size for slot in (PRIMARY, SECONDARY) if (size := state.size_bytes(slot)) is not None]
    told = state.max_image_size_bytes()
    limits = [] if told is None else [told]
    if sizes:
        mode = state.swap_mode
        limits.append(min(sizes) if mode is None else _limit_of(min(sizes), mode))
    return min(limits, default=None)


def _limit_of(slot_bytes: int, mode: SwapMode) -> int:
    try:
        return max_image_size_bytes(SlotGeometry(slot_bytes, mode=mode))
    except ValueError:  # smaller than its trailer
        return 0


def _fits_the_slot(image: CoreImage, state: DeviceState) -> Findings:
    limit = largest_image_bytes(state)
    if limit is not None and image.image.size_bytes > limit:
        text = f"{image.file} has {image.image.size_bytes} bytes; the device's slot takes {limit}"
        yield Finding("too-large", Severity.ERROR, text, "Make the firmware smaller.", image.core)


def _is_not_older(image: CoreImage, state: DeviceState) -> Findings:
    running = None if state.running is None else version_of(state.running)
    version = image.image.header.version
    if image.core is not Core.APP or running is None or version >= running:
        return
    text = f"{image.file} is version {version} and the device runs {running}"
    if state.no_downgrade:
        text += ", and its bootloader erases older images"
        yield Finding("downgrade", Severity.ERROR, text, "Sign it with a higher version.", image.core)
    else:
        yield Finding("downgrade", Severity.WARNING, text, core=image.core)


def _is_for_this_board(image: CoreImage, state: DeviceState) -> Findings:
    wanted, found = str(image.entry.get("board", "")), state.board or ""
    if image.core is Core.APP and wanted and found and not _same_board(wanted, found):
        text = f"{image.file} is for the board {wanted}, and the device says that it is {found}"
        yield Finding("wrong-board", Severity.ERROR, text, "Check that this is the right device.", image.core)


def _same_board(one: str, other: str) -> bool:
    # Zephyr wrote nrf5340dk_nrf5340_cpuapp until 3.6; a device may tell the board without its qualifiers.
    a, b = (text.lower().replace("/", "_").replace("@", "_") for text in (one, other))
    return a.startswith(b) or b.startswith(a)


CHECKS: tuple[Check, ...] = (
    _running_image_is_known,
    _scheme_is_known,
    _bootloader_updates_as_we_know,
    _running_image_is_confirmed,
    _nothing_else_is_pending,
    _cores_fit_the_steps,
    _cores_have_one_key,
)

IMAGE_CHECKS: tuple[ImageCheck, ...] = (
    _is_valid,
    _is_signed,
    _is_of_its_core,
    _is_linked_for_its_slot,
    _network_image_is_readable,
    _application_image_may_be_encrypted,
    _is_not_padded,
    _fits_the_slot,
    _is_not_older,
    _is_for_this_board,
)
