"""Why a device does not run what was sent, in words: as far as its list of images, or a proof, tells."""

from __future__ import annotations

from smpdfu.dfu.decide.checks.slot import FREE_THE_SLOT, SLOT_NOT_FREE
from smpdfu.dfu.decide.device_state import DeviceState, Scheme, dependencies_of, version_of
from smpdfu.dfu.decide.proof import picture
from smpdfu.dfu.decide.proof_value import Proof, ProofSource
from smpdfu.dfu.decide.steps.rules import Method, image_number, method_of
from smpdfu.dfu.package.images import Core, PackageImage
from smpdfu.dfu.package.seals import is_mcuboot
from smpdfu.errors import RevertedError
from smpdfu.image.format import SIGNATURE_TYPES, TlvType
from smpdfu.image.keys.known_keys import known_signers
from smpdfu.image.verification.verify import Code, verify
from smpdfu.loaders.proof import Picture

PERHAPS_MCUBOOT = "perhaps-mcuboot"
"""The code of an error for an image that is gone and may be the MCUboot that runs now."""


def not_taken(image: PackageImage | None, state: DeviceState) -> str:
    """Why another image runs than the one that was tried, as far as the list of images tells."""
    if image is not None and is_mcuboot(image) and not any(slot.hash == image.hash for slot in state.slots):
        return f"{image.file} is MCUboot itself, and is gone: MCUboot copied it into its own slot, or erased it"
    name = "the new image" if image is None else image.file
    runs = "" if state.running is None else f"; the device runs {state.running.version}"
    if state.scheme is Scheme.SIMULTANEOUS:
        net = state.waiting(1)
        waits = net is not None and net.waits
        there = "core's image still waits for the next boot" if waits else "core may have its new image all the same"
        runs += f". The network {there}: update both cores again with an application that the bootloader accepts"
        runs += _left_behind(state)
    if image is not None and image.core is Core.NET:
        runs = f"; the network core keeps its firmware{runs}"
    elif not state.takes_marks and image is not None and any(slot.hash == image.hash for slot in state.slots):
        return f"the bootloader did not start {name}{runs}"
    elif image is not None and (_ends_without_trace(state) or any(slot.hash == image.hash for slot in state.slots)):
        return f"{name} was tried and did not last, or the bootloader did not take it{runs}"
    cause = "" if image is None else f". Likely cause: {likely_cause(image, state)}"
    return f"the bootloader did not take {name} and erased it{runs}{cause}"


def _left_behind(state: DeviceState) -> str:
    """What goes with the application waits alone; the next boot would install it, as no network image is looked at."""
    left = (slot for number in sorted(state.companions) if (slot := state.waiting(number)) is not None)
    numbers = " and ".join(f"image {slot.image}" for slot in left if slot.waits)
    then = f"{numbers} would be installed without its application"
    return f". Do not restart the device before that: {then}" if numbers else ""


CONFIRM_ALL = (
    "Build the firmware with CONFIG_MCUMGR_GRP_IMG_ALLOW_CONFIRM_NON_ACTIVE_IMAGE_ANY, or so that it confirms all of "
    "its images itself."
)


def part_not_taken(image: PackageImage, state: DeviceState) -> str:
    """Why the device does not use an image that goes with the application."""
    left = state.waiting(image_number(image, state.scheme))
    if left is not None and left.hash == image.hash:
        if left.waits:
            return f"the bootloader did not install {image.file}: it still waits for the next boot"
        return f"{image.file} was tried and did not last, or the bootloader did not take it"
    return f"the bootloader did not take {image.file} and erased it. Likely cause: {likely_cause(image, state)}"


def not_run(image: PackageImage, state: DeviceState) -> RevertedError:
    """The error for an image that does not run; ``ran`` False where the list shows that it never did."""
    gone = not any(slot.hash in (image.hash, None) for slot in state.slots) and not _ends_without_trace(state)
    error = RevertedError(not_taken(image, state), ran=False if gone else None)
    return error.because(PERHAPS_MCUBOOT) if is_mcuboot(image) else error


def _ends_without_trace(state: DeviceState) -> bool:
    """True if the bootloader erases an image whose trial ended, as it does with one that it refuses."""
    return method_of(state) is Method.DIRECT_XIP_REVERT


_OTHER_KEYS = "the image is encrypted for another key than the device's, or the bootloader does not trust its signer"


def likely_cause(image: PackageImage, state: DeviceState) -> str:
    """Why a bootloader refuses ``image``: first what the image itself shows, then what it may be."""
    signed = any(tlv.type in SIGNATURE_TYPES for tlv in image.image.unprotected)
    wrong = [one.message for one in verify(image.image).refusals if one.code != Code.ENCRYPTED]
    names = known_signers(image.image)
    running = None if state.running is None else version_of(state.running)
    key = image.image.tlv(TlvType.KEYHASH)
    counter = image.image.security_counter or 0
    older = image.core is Core.APP and running is not None and image.image.header.version < running
    rows = (
        (bool(wrong), wrong[0] if wrong else ""),
        (not signed, "the image is not signed"),
        (image.link_warning is not None, image.link_warning or ""),
        (state.no_downgrade and older, f"the image is older than {running}, and the bootloader refuses older images"),
        (state.past.key not in (None, key), "the image is signed with another key than the last update"),
        (counter < (state.past.counter or 0), f"the security counter is below {state.past.counter}"),
        (image.image.encrypted, _OTHER_KEYS),
        (bool(names), f"the image is signed with {' and '.join(names)}, which the bootloader does not trust"),
    )
    unknown = "the bootloader does not trust the key that signed the image"
    return next((text for holds, text in rows if holds), unknown)


def net_refused(image: PackageImage, now: DeviceState, proof: Proof) -> RevertedError:
    """The error for a network core that is known not to have taken its image: it never ran."""
    error = RevertedError(_net_refused(image, now, proof), ran=False, of_network_core=True)
    return error.because(SLOT_NOT_FREE) if picture(image, now) is Picture.PENDING else error


def _net_refused(image: PackageImage, now: DeviceState, proof: Proof) -> str:
    """The network core is known not to have taken its image: why, what runs, and what to do."""
    if picture(image, now) is Picture.GONE and proof.source is ProofSource.SLOTS:
        return not_taken(image, now)
    text = f"the network core did not take {image.file} and keeps its firmware. {proof.reason}"
    if now.running is not None:
        text += f" The device runs {now.running.version}."
    if picture(image, now) is not Picture.PENDING:
        return text
    again = "Each reset tries it again." if now.boot.network_taken is False else _left_alone(image, now)
    return f"{text} {again} {_CORRECT_IT}"


_CORRECT_IT = f"{FREE_THE_SLOT}. Then update with a corrected image"


def _left_alone(image: PackageImage, now: DeviceState) -> str:
    """What follows for an image that still waits, of which nothing shows that a boot tried it."""
    needs = [f"image {one.image} of version {one.version} or higher" for one in dependencies_of(image) or ()]
    if needs and now.scheme is Scheme.SIMULTANEOUS:
        return f"It needs {' and '.join(needs)} and waits for that."
    return "Each reset makes the bootloader look at it again."


def not_installed(image: PackageImage, now: DeviceState) -> RevertedError:
    """The error for an application that still waits although the device restarted: it never ran."""
    runs = "" if now.running is None else f"; the device runs {now.running.version}"
    if not now.takes_marks:
        text = f"the bootloader did not start {image.file} in the reset{runs}. Update with a corrected image"
        return RevertedError(text, ran=False)
    text = f"the bootloader did not install {image.file}: it still waits for the next boot after the reset{runs}."
    if now.boot.network_taken is False and image.core is Core.APP:
        text += " The bootloader took it for an image of the network core, which refused it."
        text += " Sign it without encryption." if image.image.encrypted else ""
    error = RevertedError(f"{text} {_left_alone(image, now)} {_CORRECT_IT}", ran=False)
    return error.because(SLOT_NOT_FREE)


WENT_ELSEWHERE = "went-elsewhere"
"""The code of the error for ``went_elsewhere``."""


def went_elsewhere(now: DeviceState) -> str:
    """The network core's image was run by the application core, or was taken for one of it."""
    text = "after the network core's update the application core runs another image than before"
    if now.running is not None and not now.running.confirmed:
        return f"{text}; it is on trial, and the next reset brings back the previous one"
    return f"{text}. Upload the application's image again"
