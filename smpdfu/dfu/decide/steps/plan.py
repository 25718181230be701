"""Which steps bring a package onto a device: a pure function of package, device state, policy and journal.

The order rules are in ``rules`` and nowhere else. Every call makes a new plan, so an interrupted update continues from
what the device shows. The journal adds only what no device can report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest

from smpdfu.dfu.decide.device_state import DeviceState, Scheme
from smpdfu.dfu.decide.record import DONE, Record
from smpdfu.dfu.decide.steps.mcuboot_update import first_for_mcuboot, used_for_mcuboot
from smpdfu.dfu.decide.steps.replacing import Place, first_replacing
from smpdfu.dfu.decide.steps.rules import (
    BOOTS,
    COMPANIONS,
    MARKS,
    REPLACES,
    Action,
    Method,
    Policy,
    Step,
    image_number,
    left_out,
    method_of,
    rules_of,
    step_of,
)
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.errors import PlanError
from smpdfu.loaders.proof import Picture, outcomes

UPLOADED = frozenset(Step(Action.UPLOAD, role).name for role in (Role.APP, Role.NET))
"""What the journal says when the image of a core was uploaded."""

_MARKED = {role: frozenset(Step(mark, role).name for mark in MARKS) for role in Role}
_TRIED = _MARKED[Role.APP] | {"upload app", "reset app"}
_CHECKED = {role: Step(Action.CHECK, role).name for role in Role}


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps that are left; none when the device has the package, but for the images that are ``left_out``."""

    scheme: Scheme
    steps: tuple[Step, ...]
    method: Method = Method.STAGED
    left_out: tuple[PackageImage, ...] = ()


def make_plan(
    package: Package, state: DeviceState, record: Record | None = None, policy: Policy = Policy.TEST_AND_CONFIRM
) -> Plan:
    """The steps that bring ``package`` onto a device in this state.

    ``record`` is what the journal says about this package on this device; without it, nothing that no device can tell
    is taken for done. Of each role but OTHER the package has one image: ``variants`` chooses. Raises PlanError where
    the policy cannot be kept.
    """
    method = method_of(state)
    if policy is Policy.UPLOAD_ONLY and method in REPLACES:
        raise PlanError(
            "on this device an upload replaces the application, so an image cannot be sent without being installed: "
            "nothing was written"
        ).because("upload-replaces")
    rules = rules_of(package, state, policy)
    without = left_out(package, state)
    in_one_slot = [one for one in package.images if image_number(one, state.scheme) == 0 and one not in without]
    if policy is Policy.UPLOAD_ONLY and len(in_one_slot) > 1:
        files = " and ".join(image.file for image in in_one_slot)
        raise PlanError(
            f"the device has one slot for {files}, and they cannot wait in it together: choose one of them; nothing "
            "was written"
        ).because("one-slot")
    decide = first_replacing if method in REPLACES else first_actions
    first = decide(package, state, record or Record())
    steps = tuple(step for step in rules if _is_left(step, first.get(_place(step)), rules))
    ends = () if method in REPLACES else _ending_trials(package, state, first)
    return Plan(state.scheme, (*ends, *_one_boot_each(steps)), method, without)


def _ending_trials(package: Package, state: DeviceState, first: Mapping[Place, Action | None]) -> tuple[Step, ...]:
    """A reset where an image of the package is on trial without its application: its slot is not free before."""
    for image in package.images:
        used = state.in_use(image_number(image, state.scheme)) if image.role in COMPANIONS else None
        alone = first.get((Role.APP, 0)) not in (None, Action.CHECK) and state.takes_marks
        if alone and used is not None and used.hash == image.hash and not used.confirmed:
            return (step_of(Action.RESET, image),)
    return ()


def _place(step: Step) -> Place:
    """Which image of the package a step is about."""
    return step.role, step.number


def _is_left(step: Step, first: Action | None, rules: tuple[Step, ...]) -> bool:
    """Is ``step`` the first one of its image, or behind it?"""
    if first is None:
        return False
    order = [one.action for one in rules if _place(one) == _place(step)]
    begin = first
    if first in MARKS and len(order) > 1:  # whatever follows the upload: that need not be a mark
        begin = order[1]
    return begin in order and order.index(step.action) >= order.index(begin)


def _one_boot_each(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Images that are marked, or sent, together need one reset."""
    return tuple(
        step
        for step, after in zip_longest(steps, steps[1:])
        if not (step.action in BOOTS and after is not None and after.action is step.action)
    )


def in_place(package: Package, plan: Plan, policy: Policy = Policy.TEST_AND_CONFIRM) -> tuple[PackageImage, ...]:
    """The images that the device has already: no step is left for them. Of an upload alone nothing is known."""
    if policy is Policy.UPLOAD_ONLY:
        return ()
    to_do = {_place(step) for step in plan.steps}
    there = (image for image in package.images if image not in plan.left_out)
    return tuple(image for image in there if _place(step_of(Action.CHECK, image)) not in to_do)


def first_actions(package: Package, state: DeviceState, record: Record) -> dict[Place, Action | None]:
    """For each image of the package the first action that is left; None when it is in place."""
    first: dict[Place, Action | None] = {}
    app = package.image(Role.APP)
    if app is not None:
        first[Role.APP, 0] = _first_for_app(app, state, record)
    for image in package.images:
        if image.role is Role.NET:
            # Where the application does not even lie on the device, what the journal tells of the network core is old.
            # Of an update that failed it tells nothing that may count as done.
            stale = first.get((Role.APP, 0)) is Action.UPLOAD and state.scheme is Scheme.STAGED
            stale = stale or record.end not in (None, DONE)
            first[Role.NET, 0] = _first_for_net(image, state, Record() if stale else record)
        elif image.role is Role.MCUBOOT:
            needed = Action.UPLOAD in (first.get((Role.APP, 0)), first.get((Role.NET, 0)))
            first[Role.MCUBOOT, 0] = first_for_mcuboot(image, state, record, slot_is_needed=needed)
        elif image.role is not Role.APP:
            action = _first_for_companion(image, state, record)
            if action is Action.CHECK and first.get((Role.APP, 0)) not in (None, Action.CHECK):
                action = Action.UPLOAD  # its trial ends with the boot of its application
            # A trial that runs without what goes with it: one more reset would end it, so the check does, with its why.
            ended = action is not None and state.on_trial and first.get((Role.APP, 0)) is Action.CHECK
            first[_place(step_of(Action.CHECK, image))] = Action.CHECK if ended else action
    return first


def _first_for_app(image: PackageImage, state: DeviceState, record: Record) -> Action | None:
    running, other = state.running, state.other
    if running is not None and running.hash == image.hash:
        # Where a bootloader only overwrites, an image counts as confirmed before it was found to be well.
        tried = record.unfinished and record.steps & _TRIED and _CHECKED[Role.APP] not in record.steps
        return Action.CHECK if state.on_trial or tried else None
    if other is not None and other.hash == image.hash:
        if other.waits:
            return Action.RESET
        # The same hash may be signed by another key: only an upload of our own is taken as done.
        if Step(Action.UPLOAD, Role.APP).name in record.steps:
            return Action.TEST
    return Action.UPLOAD


def _first_for_companion(image: PackageImage, state: DeviceState, record: Record) -> Action | None:
    """Of what goes with the application, in an image pair of its own."""
    number = image_number(image, state.scheme)
    there, other = state.in_use(number), state.waiting(number)
    if there is not None and there.hash == image.hash:
        return None if there.confirmed or not state.takes_marks else Action.CHECK
    if other is not None and other.hash == image.hash:
        if other.waits:
            return Action.RESET
        if step_of(Action.UPLOAD, image).name in record.steps:
            return Action.TEST
    return Action.UPLOAD


def _first_for_net(image: PackageImage, state: DeviceState, record: Record) -> Action | None:
    other = state.waiting(image_number(image, state.scheme))
    listed = other is not None and other.hash == image.hash
    if listed and other is not None and other.waits and not _may_stay_pending(state, record):
        return Action.RESET
    # Handed over, the image is no longer pending; bootloaders that only overwrite erase its header, so that the slot
    # is empty. Either is a proof only together with the journal: before the mark the slot looks the same. And of an
    # update that ended long ago the journal proves nothing by itself: it may have been another board on this port.
    handed_over = listed or (other is None and state.overwrites and record.unfinished) or used_for_mcuboot(record)
    if handed_over and _MARKED[Role.NET] & record.steps:
        return None if _CHECKED[Role.NET] in record.steps else Action.CHECK
    if listed and Step(Action.UPLOAD, Role.NET).name in record.steps:
        return Action.TEST
    return Action.UPLOAD


def _may_stay_pending(state: DeviceState, record: Record) -> bool:
    """The reset was seen, and the bootloader may be one that keeps an image pending that the network core took."""
    seen = Step(Action.RESET, Role.NET).name in record.steps
    return seen and any(True in outcomes(build, Picture.PENDING) for build in state.builds)


def went_back(package: Package, state: DeviceState, record: Record) -> bool:
    """True if this update's application image was on trial and the device runs another one, with none pending.

    So it was swapped back, or the bootloader refused it: the next boot brings the same image again.
    """
    app, running, other = package.image(Role.APP), state.running, state.other
    if method_of(state) in REPLACES:
        return False
    if app is None or running is None or not record.unfinished or not _MARKED[Role.APP] & record.steps:
        return False
    pending = other is not None and other.waits
    return running.hash != app.hash and not pending and _CHECKED[Role.APP] not in record.steps
