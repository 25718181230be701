"""What became of the images that waited for a reset, as far as the list before and after it tells. Pure.

    before     after: it runs       another image runs, and it is gone    ... and it is still there, not pending
    ---------  -------------------  ------------------------------------  --------------------------------------------
    image 0    on trial, or for     where the bootloader swaps: refused   it was tried and ended, it was handed to the
               good                 and erased. Where it overwrites or    network core, or it was refused: not known
                                    is not known: that, or handed to
                                    the network core: not known
    another    -                    not known: SMP lists no primary slot of the network core's own pair

An image that still waits was not installed, unless a bootloader that the device may have keeps a network image pending
that the network core took. The bootloader's word on the console counts more. Sources: MCUboot, docs/design.md;
``loaders.proof`` for hand-overs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from smpdfu.dfu.decide.checks.refusals import PERHAPS_MCUBOOT
from smpdfu.dfu.decide.checks.slot import FREE_THE_SLOT, SLOT_NOT_FREE
from smpdfu.dfu.decide.device_state import DeviceState, Scheme, version_of
from smpdfu.errors import RevertedError
from smpdfu.loaders.proof import Picture, handed_over
from smpdfu.smp.groups.image import ImageSlot


class Became(StrEnum):
    """What a reset made of an image that waited for it."""

    TRIAL = "trial"
    RUNS = "runs"
    TAKEN = "taken"
    REFUSED = "refused"
    NOT_INSTALLED = "not-installed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """``slot`` is the image as it was listed before the reset; ``words`` is a sentence for people.

    ``waits``: it still waits for the next boot, and the slot is not free. ``code`` is that of the error, if it has one.
    """

    slot: ImageSlot
    became: Became
    words: str
    waits: bool = False
    code: str = ""


def outcomes_of(before: DeviceState, now: DeviceState) -> tuple[Outcome, ...]:
    """One for each image that was pending before, in the order of the list."""
    return tuple(_by_b0(_outcome(slot, now), before, now) for slot in before.slots if slot.waits)


def _by_b0(found: Outcome, before: DeviceState, now: DeviceState) -> Outcome:
    """What else may have become of an image that is gone, on a device with b0: it may be MCUboot itself.

    The answer ``active_b0_slot`` compares the versions in MCUboot's slots: only a change of it proves a copy.
    """
    told, slot = now.b0.told, found.slot
    gone = slot.image == 0 and not any(one.hash == slot.hash for one in now.slots)
    is_open = found.became in (Became.REFUSED, Became.UNKNOWN) and now.boot.network_taken is None
    if told is None or not (gone and is_open):
        return found
    if before.b0.told not in (None, told):
        words = (
            f"{_version(slot)} is MCUboot itself: MCUboot copied it into its own slot {told}, which is the active one"
        )
        return Outcome(slot, Became.TAKEN, words)
    text = f"{found.words}. Or it was MCUboot itself, was copied into MCUboot's own slot, and b0 may start it"
    return replace(found, words=text, code=PERHAPS_MCUBOOT if found.became is Became.REFUSED else "")


def trial_ended(before: DeviceState, now: DeviceState) -> str:
    """A sentence where the reset brought back what ran before a trial; "" where it did not."""
    tried, runs = before.running, now.running
    if tried is None or runs is None or tried.confirmed or runs.hash == tried.hash or _waiting(before):
        return ""
    return f"the trial of {_version(tried)} ended without a confirmation; {_version(runs)} runs again"


def refusal_of(outcomes: Sequence[Outcome]) -> RevertedError | None:
    """The error for images that were refused or not installed; None if none was."""
    codes = [one.code for one in outcomes if one.code]
    known = [one for one in outcomes if one.became in (Became.REFUSED, Became.NOT_INSTALLED)]
    if not known:
        return None
    text = "; ".join(one.words for one in known)
    if any(one.waits for one in known):
        return RevertedError(f"{text}. {FREE_THE_SLOT}", ran=False).because(SLOT_NOT_FREE)
    error = RevertedError(text, ran=False)
    return error.because(codes[0]) if codes else error


def _version(slot: ImageSlot) -> str:
    """In MCUboot's writing; as the device tells it where that is no version."""
    return str(version_of(slot) or slot.version)


def _waiting(state: DeviceState) -> bool:
    return any(slot.waits for slot in state.slots)


def _outcome(slot: ImageSlot, now: DeviceState) -> Outcome:
    runs = "" if now.running is None else f"; {_version(now.running)} runs"
    running = now.running if slot.image == 0 else None
    if running is not None and slot.hash is not None and running.hash == slot.hash:
        return _running(slot, running, now)
    left = next((one for one in now.slots if one.hash == slot.hash and not one.active), None)
    if left is not None and left.waits:
        return replace(_waiting_still(slot, now, runs), waits=True)
    if now.boot.network_taken is not None:
        if now.boot.network_taken:
            return Outcome(slot, Became.TAKEN, f"the network core took {_version(slot)}{runs}")
        return Outcome(slot, Became.REFUSED, f"the network core refused {_version(slot)}{runs}")
    if left is None and _is_refused_when_gone(slot, now):
        return Outcome(slot, Became.REFUSED, f"the bootloader refused {_version(slot)} and erased it{runs}")
    return Outcome(slot, Became.UNKNOWN, _not_known(slot, left, now) + runs)


def _waiting_still(slot: ImageSlot, now: DeviceState, runs: str) -> Outcome:
    version = _version(slot)
    taken = now.boot.network_taken
    if taken:
        words = f"the network core took {version}, which still waits for the next boot: {_EACH_BOOT}{runs}"
        return Outcome(slot, Became.TAKEN, f"{words}. {FREE_THE_SLOT}")
    if taken is False:
        return Outcome(slot, Became.REFUSED, f"the network core refused {version}, which still waits{runs}")
    if slot.image == 0 and now.scheme is Scheme.STAGED and _may_be_taken(now):
        words = f"{version} still waits for the next boot: the network core took it, or it was not installed"
        return Outcome(slot, Became.UNKNOWN, f"{words}{runs}. {FREE_THE_SLOT}")
    return Outcome(slot, Became.NOT_INSTALLED, f"{version} was not installed and still waits for the next boot{runs}")


_EACH_BOOT = "the bootloader hands it over again at each boot"


def _may_be_taken(now: DeviceState) -> bool:
    return any(True in handed_over(build, Picture.PENDING) for build in now.builds)


def _running(slot: ImageSlot, running: ImageSlot, now: DeviceState) -> Outcome:
    if running.confirmed:
        return Outcome(slot, Became.RUNS, f"{_version(slot)} runs, confirmed")
    back = next((_version(one) for one in now.slots if one.image == 0 and not one.active), "")
    other = f"brings back {back}" if back else "ends the trial"
    words = f"{_version(slot)} runs on trial: confirm it, else the next reset {other}"
    return Outcome(slot, Became.TRIAL, words)


def _is_refused_when_gone(slot: ImageSlot, now: DeviceState) -> bool:
    """No loader that the device may have empties a slot whose image it gave to a core."""
    if slot.hash is None or slot.image != 0 or now.running is None or any(one.hash is None for one in now.slots):
        return False
    if now.scheme is Scheme.SIMULTANEOUS:  # network code has a pair of its own
        return True
    return now.swap_mode is not None and not any(handed_over(build, Picture.GONE) for build in now.builds)


def _not_known(slot: ImageSlot, left: ImageSlot | None, now: DeviceState) -> str:
    if slot.image != 0:
        return f"SMP cannot tell whether the network core took {_version(slot)}: check the radio"
    if left is not None:
        return (
            f"{_version(slot)} lies in slot {left.slot} and does not run: it was tried and ended, or it went to the "
            "network core, or the bootloader refused it"
        )
    return f"{_version(slot)} is gone: the network core took it, or the bootloader refused it and erased it"
