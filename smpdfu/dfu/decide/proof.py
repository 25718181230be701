"""Did the network core take its image? Answered from evidence, with a reason; where nothing tells, it is not known.

SMP cannot ask the network core. What tells is, in this order: a line of the bootloader on the console in the boot that
handed the image over, a version that the application tells, and what the boot left in the slot, where every loader that
the device may have leaves that for one outcome only (``smpdfu.loaders.proof``). Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from smpdfu.dfu.decide.checks.loader.loaders import is_surely_handed_over
from smpdfu.dfu.decide.checks.slot import FREE_THE_SLOT, SLOT_NOT_FREE
from smpdfu.dfu.decide.device_state import DeviceState, Scheme
from smpdfu.dfu.decide.evidence import behaviour_clue
from smpdfu.dfu.decide.proof_value import Proof, ProofSource
from smpdfu.dfu.package.images import Core, PackageImage
from smpdfu.loaders.console import BootLog
from smpdfu.loaders.proof import Picture, handed_over, network_taken
from smpdfu.loaders.rules import Build, titles


def picture(image: PackageImage, state: DeviceState) -> Picture | None:
    """How an image shows in the slots that do not run; None where a slot does not tell what it holds."""
    waiting = [slot for slot in state.slots if not slot.active and (slot.image, slot.slot) != (1, 0)]
    found = [slot for slot in waiting if slot.hash == image.hash]
    if any(slot.pending for slot in found):
        return Picture.PENDING
    if found:
        return Picture.LISTED
    return None if any(slot.hash is None for slot in waiting) else Picture.GONE


def console_proof(boot: BootLog) -> Proof | None:
    """What the bootloader's lines in the last boot say; None where they say nothing about the network core."""
    if boot.network_taken is None:
        return None
    if boot.network_taken:
        reason = "The bootloader printed that the network core was updated."
    else:
        reason = "The bootloader printed that the update of the network core failed."
    return Proof(boot.network_taken, reason, ProofSource.CONSOLE)


def net_taken(image: PackageImage, state: DeviceState, told: Proof | None = None) -> Proof:
    """Did the network core take ``image`` in the last reset? ``told`` is what the version says that it runs."""
    printed = console_proof(state.boot) or state.proof
    known = [proof for proof in (printed, told) if proof is not None and proof.value is not None]
    if len({proof.value for proof in known}) > 1:
        reason = " ".join(proof.reason for proof in known)
        return Proof(None, reason, doubt="These contradict each other: check the radio.")
    if known:
        return known[0]
    proof = _by_slots(image, state)
    if proof.value is None and told is not None:
        return replace(proof, doubt=f"{proof.doubt} {told.reason}")
    return proof


def after_hand_over(image: PackageImage, state: DeviceState) -> DeviceState:
    """The state with what the last reset, which was to hand ``image`` over, says of the loader and proves."""
    state = replace(state, proof=console_proof(state.boot) or state.proof)
    seen = picture(image, state)
    if seen is None or state.scheme is Scheme.SIMULTANEOUS or image.core is not Core.NET:
        return state
    clues = behaviour_clue(state.builds, seen, state.boot.network_taken)
    return replace(state, evidence=state.evidence.with_clues(clues))


def _by_slots(image: PackageImage, state: DeviceState) -> Proof:
    seen = picture(image, state)
    if seen is None:
        return Proof(None, "The device does not report which image its slot holds.", doubt=_CHECK)
    if state.scheme is Scheme.SIMULTANEOUS:
        if seen is Picture.PENDING:
            return Proof(False, f"{image.file} still waits for the next boot.", ProofSource.SLOTS)
        return Proof(None, _LEFT[seen].format(image.file), doubt=_DOUBT_BOTH)
    # An earlier update may have been that of another board at this address: its journal proves nothing.
    sure = state.sure
    value, reason = network_taken(sure.builds, seen), _LEFT[seen].format(image.file)
    if value is None:
        doubt, code = _doubt(seen, sure.builds)
        return Proof(None, reason, doubt=doubt, code=code)
    if value and not is_surely_handed_over(image, sure):
        return Proof(None, reason, doubt=_MAY_HAVE_RUN, code="net-elsewhere")
    who = f"With a bootloader of {sure.evidence.words}" if sure.evidence.words else "With every known bootloader"
    means = "that the network core took it" if value else "that the network core did not take it"
    return Proof(value, f"{reason} {who} this means {means}.", ProofSource.SLOTS)


_CHECK = "Check the radio."
_CHECK_LOW = "check the radio."
_TAKEN = "the network core took the image or refused it"
_LEFT = {
    Picture.PENDING: "The device was reset and {} still waits for the next boot.",
    Picture.LISTED: "The device was reset and {} no longer waits for the next boot.",
    Picture.GONE: "The bootloader emptied the slot that held {}.",
}
_DOUBT_BOTH = f"It does so if the network core took the image, and if it did not accept the image itself: {_CHECK_LOW}"
_MAY_HAVE_RUN = (
    "A bootloader that expects the network application elsewhere takes such an image for one of the application core, "
    "and after a swap there and back the slots look the same: check the radio. If this device's network application "
    "starts where the image is linked, say so."
)


# --- why it is not known ----------------------------------------------------------------------------------------------


def _doubt(seen: Picture, builds: Iterable[Build]) -> tuple[str, str]:
    """Which of the bootloaders that the device may have show ``seen`` for more than one outcome; and a code."""
    known = [build for build in builds if handed_over(build, seen) or build.by_offset]
    if not known:
        return f"No bootloader that this device may have is known to hand over a network image: {_CHECK_LOW}", ""
    return _DOUBTS[seen](known)


def _titles(known: list[Build], outcome: bool, seen: Picture) -> str:
    """Those that show ``seen`` also for this outcome."""
    return titles({build.loader for build in known if outcome in handed_over(build, seen)})


def _pending(known: list[Build]) -> tuple[str, str]:
    text = (
        f"Bootloaders of {_titles(known, True, Picture.PENDING)} that overwrite keep it pending and hand it over again "
        f"at each boot, whether {_TAKEN}: check the radio. Before the next update: {FREE_THE_SLOT}."
    )
    return text, SLOT_NOT_FREE


def _listed(known: list[Build]) -> tuple[str, str]:
    said = []
    if who := _titles(known, False, Picture.LISTED):
        said.append(f"Bootloaders of {who} do so whether {_TAKEN}")
    if any(build.by_offset for build in known):
        said.append("Bootloaders that swap using an offset do so without updating the network core")
    others = any(handed_over(build, Picture.LISTED) == {True} for build in known)
    if others:
        ways = "check the radio, connect the serial console, or say which release the bootloader is of."
        return f"{'. '.join(said)}: {ways}", "loader-unknown"
    return f"{'. '.join(said)}: check the radio, or connect the serial console.", ""


def _gone(known: list[Build]) -> tuple[str, str]:
    text = (
        f"Bootloaders of {_titles(known, True, Picture.GONE)} that overwrite do so whether {_TAKEN}, and all do so "
        f"with an image that they do not accept: {_CHECK_LOW}"
    )
    return text, ""


_DOUBTS: dict[Picture, Callable[[list[Build]], tuple[str, str]]] = {
    Picture.PENDING: _pending,
    Picture.LISTED: _listed,
    Picture.GONE: _gone,
}
