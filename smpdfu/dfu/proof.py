"""Did the network core take its image? Answered from evidence, with a reason; where nothing tells, it is not known.

SMP cannot ask the network core. What tells is, in this order: a line of the bootloader on the console in the boot that
handed the image over, a version that the application tells, and what the boot left in the slot, where every loader that
the device may have leaves that for one outcome only (``smpdfu.loaders.proof``). Pure.
"""

from __future__ import annotations

from dataclasses import replace

from smpdfu.dfu.evidence import Proof, ProofSource, Source, behaviour_clue
from smpdfu.dfu.package import Core, CoreImage
from smpdfu.dfu.state import DeviceState, Scheme
from smpdfu.loaders.console import BootLog
from smpdfu.loaders.proof import Picture, network_taken


def picture(image: CoreImage, state: DeviceState) -> Picture | None:
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


def net_taken(image: CoreImage, state: DeviceState, told: Proof | None = None) -> Proof:
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


def after_hand_over(image: CoreImage, state: DeviceState) -> DeviceState:
    """The state with what the last reset, which was to hand ``image`` over, says of the loader and proves."""
    state = replace(state, proof=console_proof(state.boot) or state.proof)
    seen = picture(image, state)
    if seen is None or state.scheme is Scheme.SIMULTANEOUS or image.core is not Core.NET:
        return state
    clues = behaviour_clue(state.builds, seen, state.boot.network_taken)
    return replace(state, evidence=state.evidence.with_clues(clues))


def _by_slots(image: CoreImage, state: DeviceState) -> Proof:
    seen = picture(image, state)
    if seen is None:
        return Proof(None, "The device does not tell which image its slot holds.", doubt=_CHECK)
    if state.scheme is Scheme.SIMULTANEOUS:
        if seen is Picture.PENDING:
            return Proof(False, f"{image.file} still waits for the next boot.", ProofSource.SLOTS)
        return Proof(None, _SAYS[seen].format(image.file), doubt=f"It does so whether {_TAKEN}: {_CHECK_LOW}")
    # An earlier update may have been that of another board at this address: its journal proves nothing.
    sure = replace(state, evidence=state.evidence.without(Source.JOURNAL))
    value = network_taken(sure.builds, seen)
    reason = _SAYS[seen].format(image.file)
    if value is None:
        return Proof(None, reason, doubt=_DOUBTS[seen])
    who = f"With a bootloader of {sure.evidence.words}" if sure.evidence.words else "With every known bootloader"
    means = "that the network core took it" if value else "that the network core did not take it"
    return Proof(value, f"{reason} {who} this means {means}.", ProofSource.SLOTS)


_CHECK = "Check the radio."
_CHECK_LOW = "check the radio."
_TAKEN = "the network core took the image or refused it"
_SAYS = {
    Picture.PENDING: "The device was reset and {} still waits for the next boot.",
    Picture.LISTED: "The bootloader handed {} over: it no longer waits for the next boot.",
    Picture.GONE: "The bootloader emptied the slot that held {}.",
}
_DOUBTS = {
    Picture.PENDING: "Bootloaders of NCS 2.2 to 3.4.0 that overwrite keep it pending and hand it over again at each "
    f"boot, whether {_TAKEN}: check the radio. Before the next update, free the slot with `smpdfu erase` if the "
    "firmware allows that, else with a debugger or in MCUboot's serial recovery.",
    Picture.LISTED: f"Bootloaders of NCS 3.4.1 and later do so whether {_TAKEN}: check the radio, connect the serial "
    "console, or give --ncs if you know the bootloader's release.",
    Picture.GONE: f"Bootloaders that overwrite do so whether {_TAKEN}: {_CHECK_LOW}",
}
