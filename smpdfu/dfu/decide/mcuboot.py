"""What is known of MCUboot's update of itself after its reset. Pure; ``b0`` has the facts.

    console in the boot after the copy     active_b0_slot    the new MCUboot
    -------------------------------------  ----------------  ----------------------------------------------------------
    b0 started the wanted slot             any               runs
    b0 refused the wanted slot             any               was refused: the old one runs
    b0 started the other slot              any               was not started: the old one runs
    nothing                                the other slot    was not started: not copied, or its version is not higher
    nothing                                the wanted slot   lies there. It runs if its seal is of a key that b0 trusts,
                                                             as a person says; else it is not known, for the application
                                                             does not look at the seal
    nothing                                no answer         not known

A slot that was the active one before already shows nothing: a person had said that the other one runs.

Some bootloaders do not restart after the copy (those that overwrite, and those before NCS 2.7): there, b0 has looked at
the new MCUboot only after one more reset, see ``do/mcuboot``.
"""

from __future__ import annotations

from smpdfu.dfu.decide.checks.seals import seal_faults
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.proof import picture
from smpdfu.dfu.decide.proof_value import Proof, ProofSource
from smpdfu.dfu.package.images import PackageImage
from smpdfu.loaders.proof import Picture


def mcuboot_proof(image: PackageImage, state: DeviceState, *, asked: bool) -> Proof:
    """Did b0 start ``image``? ``asked``: b0 has surely looked at it, in the boot that ``state`` is read after."""
    return _printed(image, state, asked=asked) or _told(image, state, asked=asked)


def _printed(image: PackageImage, state: DeviceState, *, asked: bool) -> Proof | None:
    """What the lines of b0 and of MCUboot in the last boot say; None where they say nothing of it."""
    boot, slot, info = state.boot.b0, image.slot, image.firmware_info
    if any(_WRONG_SLOT in line for line in state.boot.lines):
        return Proof(False, "MCUboot printed that the image is for the slot that runs.", ProofSource.CONSOLE)
    if asked and slot in boot.refused:  # before, it may have refused what was there
        return Proof(False, f"b0 printed that it does not accept slot {slot}.", ProofSource.CONSOLE)
    if boot.started is None or not (asked or boot.started == slot):
        return None
    said = f"b0 printed that it started slot {boot.started}"
    said += "" if boot.version is None else f" with firmware version {boot.version}"
    other_version = info is not None and boot.version not in (None, info.version)
    if boot.started != slot or other_version:
        return Proof(False, f"{said}.", ProofSource.CONSOLE) if asked or boot.started == slot else None
    return None if _was_there(image, state) else Proof(True, f"{said}.", ProofSource.CONSOLE)


def _told(image: PackageImage, state: DeviceState, *, asked: bool) -> Proof:
    """What the answer to ``active_b0_slot`` says."""
    told, slot = state.b0.told, image.slot
    if told is None:
        return Proof(None, "The device does not report which MCUboot slot is active.", doubt=_NOT_TOLD)
    if told != slot:
        return Proof(False, f"The device reports slot {told} as the active one.", ProofSource.SLOTS)
    if _was_there(image, state):
        return Proof(
            None, f"The device reported slot {slot} as the active one before the update, too.", doubt=_NOT_TOLD
        )
    lies = f"The new MCUboot lies in slot {slot}, and its firmware version is the higher one."
    if asked and state.nsib.b0 and not any(seal_faults(image, state.nsib)):
        return Proof(True, f"{lies} A key that b0 trusts has sealed it.", ProofSource.SEAL)
    return Proof(None, lies, doubt=_SEEN)


def _was_there(image: PackageImage, state: DeviceState) -> bool:
    """True if the slot that the image is for was the active one before: that it is now shows nothing."""
    return state.b0.before == image.slot and state.b0.refused != image.slot


_WRONG_SLOT = "Image in slot is for wrong s0/s1 image"
_WAYS = "Read the console over a serial port"
_NOT_TOLD = f"Nothing shows whether b0 started the new MCUboot. {_WAYS}."
_SEEN = (
    "The application compares the versions only, and does not see whether b0 accepts the new MCUboot. "
    f"{_WAYS}: b0 prints which slot it starts. Or say which key b0 trusts."
)


def not_started(image: PackageImage, state: DeviceState, proof: Proof) -> str:
    """The new MCUboot is known not to run: why, and what runs."""
    text = f"b0 did not start {image.file}, and the previous MCUboot runs. {proof.reason}"
    if image.slot in state.boot.b0.refused:
        return f"{text} {_REFUSED}"
    if picture(image, state) is Picture.LISTED:
        return f"{text} MCUboot left {image.file} in the application's secondary slot."
    info = image.firmware_info
    version = "" if info is None else f" {info.version}"
    return f"{text} {_NOT_TAKEN.format(version=version)}"


_REFUSED = (
    "Usual causes: b0 does not have the key that sealed it, or revoked that key, or the firmware version is below b0's "
    "monotonic counter. Update with an image that a valid key of b0 has sealed"
)
_NOT_TAKEN = (
    "Possible causes: MCUboot does not accept its signature, it is linked for the slot that runs, or its firmware "
    "version{version} is not higher than that of the MCUboot that runs. The boot text on a console shows which one"
)
