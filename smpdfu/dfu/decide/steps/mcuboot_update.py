"""What is left to do for MCUboot's update of itself, and for which of its two slots it is: see ``plan``. Pure.

The secondary slot tells how far the update has come, as for every image. When MCUboot has copied its update, the slot
is empty again. Then the journal tells which variant was sent, and the device, if it can, which one counts now.
"""

from __future__ import annotations

from dataclasses import replace

from smpdfu.dfu.decide.b0 import B0State
from smpdfu.dfu.decide.device_state import PRIMARY, SECONDARY, DeviceState, Past
from smpdfu.dfu.decide.evidence import Bootloader
from smpdfu.dfu.decide.record import B0_BEFORE, B0_REFUSED, DONE, Record
from smpdfu.dfu.decide.steps.rules import MARKS, Action, Step
from smpdfu.dfu.package.images import PackageImage, Role

_UPLOADED, _CHECKED = (Step(action, Role.MCUBOOT).name for action in (Action.UPLOAD, Action.CHECK))
_MARKED = frozenset(Step(mark, Role.MCUBOOT).name for mark in MARKS)


def b0_known(state: DeviceState, record: Record, given: Bootloader, *, again: bool) -> B0State:
    """What the device has told of b0, with what a person and the journal of this package on this device say.

    ``again``: an update that ended counts for nothing.
    """
    refused = record.past.get(B0_REFUSED)
    known = replace(state.b0, given=given.active_b0_slot, refused=refused if refused in (PRIMARY, SECONDARY) else None)
    noted = record.about.get(B0_BEFORE) if record.unfinished else known.told
    before = noted if noted in (PRIMARY, SECONDARY) else None
    return replace(known, target=_target(known, record, again=again), before=before)


def _target(known: B0State, record: Record, *, again: bool) -> int | None:
    noted = Past.from_entry(record.about).mcuboot
    if noted is not None:
        if record.unfinished and _UPLOADED in record.steps:
            return noted[0]  # the device may have restarted since, and tells the slot of the new one
        told_new = known.told in (None, noted[0]) and record.about.get(B0_BEFORE) != noted[0]
        if record.end == DONE and _CHECKED in record.steps and told_new and not again:
            return noted[0]
    return None if known.active is None else 1 - known.active


def used_for_mcuboot(record: Record) -> bool:
    """True if the secondary slot was used for MCUboot since: it does not show any more what went through it before."""
    return _UPLOADED in record.steps


def first_for_mcuboot(
    image: PackageImage, state: DeviceState, record: Record, *, slot_is_needed: bool = False
) -> Action | None:
    """The first action that is left for the package's MCUboot; None when it is in place by the journal.

    ``slot_is_needed``: another image goes through the secondary slot first, so what was sent there is gone.
    """
    noted = Past.from_entry(record.about).mcuboot
    if noted is None or noted[0] != image.slot or record.end not in (None, DONE):
        record = Record()  # about another variant, or of an update that failed
    if _CHECKED in record.steps:
        return None
    if slot_is_needed:
        return Action.UPLOAD
    other, sent = state.waiting(0), _UPLOADED in record.steps
    listed = other is not None and other.hash == image.hash
    counts = state.b0.told == image.slot != state.b0.before  # it was copied, also where it still waits
    if sent and (counts or (not listed and bool(_MARKED & record.steps))):
        return Action.CHECK
    if listed and other is not None and other.waits:
        return Action.RESET
    return Action.TEST if listed and sent else Action.UPLOAD
