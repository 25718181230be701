"""What became of the images that waited for a reset, as far as the list before and after it tells. Pure.

    before     after: it runs       another image runs, and it is gone    ... and it is still there, not pending
    ---------  -------------------  ------------------------------------  --------------------------------------------
    image 0    on trial, or for     where the bootloader swaps: refused   it was tried and ended, it was handed to the
               good                 and erased. Where it overwrites or    network core, or it was refused: not known
                                    is not known: that, or handed to
                                    the network core: not known
    another    -                    not known: SMP lists no primary slot of the network core's own pair

The bootloader's word on the console counts more. Sources: MCUboot, docs/design.md; ``loaders.proof`` for hand-overs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from smpdfu.dfu.state import DeviceState, Scheme, version_of
from smpdfu.errors import RevertedError
from smpdfu.loaders.proof import Picture, handed_over
from smpdfu.smp.groups.image import ImageSlot


class Became(StrEnum):
    """What a reset made of an image that waited for it."""

    TRIAL = "trial"
    RUNS = "runs"
    TAKEN = "taken"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """``slot`` is the image as it was listed before the reset; ``words`` is a sentence for people."""

    slot: ImageSlot
    became: Became
    words: str


def outcomes_of(before: DeviceState, now: DeviceState) -> tuple[Outcome, ...]:
    """One for each image that was pending before, in the order of the list."""
    return tuple(_outcome(slot, now) for slot in before.slots if slot.waits)


def trial_ended(before: DeviceState, now: DeviceState) -> str:
    """A sentence where the reset brought back what ran before a trial; "" where it did not."""
    tried, runs = before.running, now.running
    if tried is None or runs is None or tried.confirmed or runs.hash == tried.hash or _waiting(before):
        return ""
    return f"the trial of {_version(tried)} ended without a confirmation; {_version(runs)} runs again"


def refusal_of(outcomes: Iterable[Outcome]) -> RevertedError | None:
    """The error for images that were refused; None if none was."""
    refused = [one.words for one in outcomes if one.became is Became.REFUSED]
    return RevertedError("; ".join(refused), ran=False) if refused else None


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
    if now.boot.network_taken is not None:
        if now.boot.network_taken:
            return Outcome(slot, Became.TAKEN, f"the network core took {_version(slot)}{runs}")
        return Outcome(slot, Became.REFUSED, f"the network core refused {_version(slot)}{runs}")
    left = next((one for one in now.slots if one.hash == slot.hash and not one.active), None)
    if left is None and _is_refused_when_gone(slot, now):
        return Outcome(slot, Became.REFUSED, f"the bootloader refused {_version(slot)} and erased it{runs}")
    return Outcome(slot, Became.UNKNOWN, _not_known(slot, left, now) + runs)


def _running(slot: ImageSlot, running: ImageSlot, now: DeviceState) -> Outcome:
    if running.confirmed:
        return Outcome(slot, Became.RUNS, f"{_version(slot)} runs, confirmed")
    back = next((_version(one) for one in now.slots if one.image == 0 and not one.active), "")
    other = f"brings back {back}" if back else "ends the trial"
    words = f"{_version(slot)} runs on trial; `smpdfu confirm` keeps it, the next reset {other}"
    return Outcome(slot, Became.TRIAL, words)


def _is_refused_when_gone(slot: ImageSlot, now: DeviceState) -> bool:
    """No loader that the device may have empties a slot whose image it gave to a core."""
    if slot.hash is None or slot.image != 0 or now.running is None or any(one.hash is None for one in now.slots):
        return False
    if now.scheme is Scheme.SIMULTANEOUS:  # network code has a pair of its own
        return True
    return now.swap_mode is not None and not any(handed_over(build, Picture.GONE) for build in now.builds)


def _not_known(slot: ImageSlot, left: ImageSlot | None, now: DeviceState) -> str:
    if left is not None and left.waits:
        return f"{_version(slot)} still waits for the next boot"
    if slot.image != 0:
        return f"SMP cannot tell whether the network core took {_version(slot)}: check the radio"
    if left is not None:
        return (
            f"{_version(slot)} lies in slot {left.slot} and does not run: it was tried and ended, or it went to the "
            "network core, or the bootloader refused it"
        )
    return f"{_version(slot)} is gone: the network core took it, or the bootloader refused it and erased it"
