"""Which steps bring a package onto a device: a pure function of package, device state, policy and journal.

The order rules of the nRF5340 are in ``RULES`` and nowhere else. Every call makes a new plan, so an
interrupted update continues from what the device shows. The journal adds only what no device can report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from smpdfu.dfu.decide.device_state import DeviceState, Scheme
from smpdfu.dfu.decide.record import DONE, Record
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.errors import PlanError
from smpdfu.loaders.proof import Picture, outcomes


class Action(StrEnum):
    """What a step does."""

    UPLOAD = "upload"
    TEST = "test"
    KEEP = "keep"
    RESET = "reset"
    CHECK = "check"
    CONFIRM = "confirm"


_WORDS = {
    Action.UPLOAD: "upload the image of the {core}",
    Action.TEST: "mark the image of the {core} for the next boot",
    Action.KEEP: "mark the image of the {core} as permanent",
    Action.RESET: "reset the device and wait for it",
    Action.CHECK: "check the {core}",
    Action.CONFIRM: "confirm the image that runs",
}

MARKS = (Action.TEST, Action.KEEP)


@dataclass(frozen=True, slots=True)
class Step:
    """One step; its ``name`` is what the journal writes."""

    action: Action
    core: Core

    @property
    def name(self) -> str:
        """``upload app``."""
        return f"{self.action} {self.core}"

    @property
    def words(self) -> str:
        """For people: ``upload the image of the application core``."""
        return _WORDS[self.action].format(core=self.core.words)


class Policy(StrEnum):
    """How far an update goes.

    TEST_AND_CONFIRM: on trial first, where the device can go back. CONFIRM_ONLY: permanent at once. UPLOAD_ONLY: the
    images are sent, and what boots does not change.
    """

    TEST_AND_CONFIRM = "test-and-confirm"
    CONFIRM_ONLY = "confirm-only"
    UPLOAD_ONLY = "upload-only"


def _steps(text: str) -> tuple[Step, ...]:
    words = (part.split() for part in text.split(","))
    return tuple(Step(Action(action), Core(core)) for action, core in words)


# The order is the rule.
#
# STAGED: one image pair, through which both cores' images pass.
# 1. The application core goes first, on trial: it is the one that can be rolled back, so nothing else changes before it
#    runs. The check reads the running hash: a device that reverted answers just as well.
#    (MCUboot, "Image swapping": an image that is not confirmed is swapped back at the next reset.)
# 2. It is confirmed before the network core's image is uploaded: both pass through the one secondary slot, and until
#    the confirmation that slot holds the way back. (Zephyr, img_mgmt: the slot is not free during a trial.)
# 3. The network core's image is marked for a test, too. Its reset hands it over permanently whatever the mark is (nRF
#    Connect SDK, subsys/pcd); but should the bootloader take it for an application image, a test is swapped back.
#
# SIMULTANEOUS: a pair for each core and a bootloader that overwrites, so there is no way back for either.
# 4. Nothing is marked before both images are there: a reset in between must not change one core alone.
# 5. The network core's image is marked before the application's, then comes one reset for both: with the other order
#    bootloaders of nRF Connect SDK 2.6 to 3.4 skip the network core (NCSDK-34106).
# 6. A mark for a test, as a permanent one, means "at the next boot"; many builds deny the latter for image 1 (Zephyr,
#    CONFIG_MCUMGR_GRP_IMG_ALLOW_CONFIRM_NON_ACTIVE_IMAGE_*), because it is not the running one.
STAGED = _steps("upload app, test app, reset app, check app, confirm app, upload net, test net, reset net, check net")
SIMULTANEOUS = _steps(
    "upload net, upload app, test net, test app, reset net, reset app, check app, confirm app, check net"
)

RULES: Mapping[tuple[Scheme, Policy], tuple[Step, ...]] = {
    (Scheme.STAGED, Policy.TEST_AND_CONFIRM): STAGED,
    (Scheme.STAGED, Policy.CONFIRM_ONLY): (*_steps("upload app, keep app"), *STAGED[2:]),
    (Scheme.STAGED, Policy.UPLOAD_ONLY): _steps("upload app, upload net"),
    (Scheme.SIMULTANEOUS, Policy.TEST_AND_CONFIRM): SIMULTANEOUS,
    (Scheme.SIMULTANEOUS, Policy.CONFIRM_ONLY): SIMULTANEOUS,
    (Scheme.SIMULTANEOUS, Policy.UPLOAD_ONLY): SIMULTANEOUS[:2],
}

UPLOADED = frozenset(Step(Action.UPLOAD, core).name for core in Core)
"""What the journal says when the image of a core was uploaded."""

_MARKED = {core: frozenset(Step(mark, core).name for mark in MARKS) for core in Core}
_TRIED = _MARKED[Core.APP] | {"upload app", "reset app"}
_CHECKED = {core: Step(Action.CHECK, core).name for core in Core}


def image_number(core: Core, scheme: Scheme) -> int:
    """MCUboot's number of the image pair through which a core is updated."""
    return 1 if core is Core.NET and scheme is Scheme.SIMULTANEOUS else 0


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps that are left; none when the device has the package."""

    scheme: Scheme
    steps: tuple[Step, ...]


def make_plan(
    package: Package, state: DeviceState, record: Record | None = None, policy: Policy = Policy.TEST_AND_CONFIRM
) -> Plan:
    """The steps that bring ``package`` onto a device in this state.

    ``record`` is what the journal says about this package on this device; without it, nothing that no device can tell
    is taken for done. Raises PlanError where the policy cannot be kept.
    """
    if policy is Policy.UPLOAD_ONLY and state.scheme is Scheme.STAGED and len(package.images) > 1:
        raise PlanError(
            "the device has one slot for uploads, and the images of both cores cannot wait in it: choose one of them; "
            "nothing was written"
        ).because("one-slot")
    first = first_actions(package, state, record or Record())
    rules = RULES[state.scheme, policy]
    steps = tuple(step for step in rules if _is_left(step, first.get(step.core), rules))
    if Step(Action.RESET, Core.APP) in steps and state.scheme is Scheme.SIMULTANEOUS:
        steps = tuple(step for step in steps if step != Step(Action.RESET, Core.NET))  # one reset for both
    return Plan(state.scheme, steps)


def _is_left(step: Step, first: Action | None, rules: tuple[Step, ...]) -> bool:
    """Is ``step`` the first one of its core, or behind it?"""
    if first is None:
        return False
    order = [one.action for one in rules if one.core is step.core]
    marks = [action for action in order if action in MARKS]
    begin = marks[0] if first in MARKS and marks else first
    return begin in order and order.index(step.action) >= order.index(begin)


def in_place(package: Package, plan: Plan, policy: Policy = Policy.TEST_AND_CONFIRM) -> tuple[PackageImage, ...]:
    """The images that their cores have already: no step is left for them. Of an upload alone nothing is known."""
    if policy is Policy.UPLOAD_ONLY:
        return ()
    cores = {step.core for step in plan.steps}
    return tuple(image for image in package.images if image.core not in cores)


def first_actions(package: Package, state: DeviceState, record: Record) -> dict[Core, Action | None]:
    """For each core of the package the first action that is left; None when its image is in place."""
    first: dict[Core, Action | None] = {}
    app, net = package.image(Role.APP), package.image(Role.NET)
    if app is not None:
        first[Core.APP] = _first_for_app(app, state, record)
    if net is not None:
        # Where the application does not even lie on the device, what the journal tells of the network core is old. Of
        # an update that failed it tells nothing that may count as done.
        stale = first.get(Core.APP) is Action.UPLOAD and state.scheme is Scheme.STAGED
        stale = stale or record.end not in (None, DONE)
        first[Core.NET] = _first_for_net(net, state, Record() if stale else record)
    return first


def _first_for_app(image: PackageImage, state: DeviceState, record: Record) -> Action | None:
    running, other = state.running, state.other
    if running is not None and running.hash == image.hash:
        # Where a bootloader only overwrites, an image counts as confirmed before it was found to be well.
        tried = record.unfinished and record.steps & _TRIED and _CHECKED[Core.APP] not in record.steps
        return None if running.confirmed and not tried else Action.CHECK
    if other is not None and other.hash == image.hash:
        if other.waits:
            return Action.RESET
        # The same hash may be signed by another key: only an upload of our own is taken as done.
        if Step(Action.UPLOAD, Core.APP).name in record.steps:
            return Action.TEST
    return Action.UPLOAD


def _first_for_net(image: PackageImage, state: DeviceState, record: Record) -> Action | None:
    other = state.waiting(image_number(Core.NET, state.scheme))
    listed = other is not None and other.hash == image.hash
    if listed and other is not None and other.waits and not _may_stay_pending(state, record):
        return Action.RESET
    # Handed over, the image is no longer pending; bootloaders that only overwrite erase its header, so that the slot
    # is empty. Either is a proof only together with the journal: before the mark the slot looks the same. And of an
    # update that ended long ago the journal proves nothing by itself: it may have been another board on this port.
    handed_over = listed or (other is None and state.overwrites and record.unfinished)
    if handed_over and _MARKED[Core.NET] & record.steps:
        return None if _CHECKED[Core.NET] in record.steps else Action.CHECK
    if listed and Step(Action.UPLOAD, Core.NET).name in record.steps:
        return Action.TEST
    return Action.UPLOAD


def _may_stay_pending(state: DeviceState, record: Record) -> bool:
    """The reset was seen, and the bootloader may be one that keeps an image pending that the network core took."""
    seen = Step(Action.RESET, Core.NET).name in record.steps
    return seen and any(True in outcomes(build, Picture.PENDING) for build in state.builds)


def went_back(package: Package, state: DeviceState, record: Record) -> bool:
    """True if this update's application image was on trial and the device runs another one, with none pending.

    So it was swapped back, or the bootloader refused it: the next boot brings the same image again.
    """
    app, running, other = package.image(Role.APP), state.running, state.other
    if app is None or running is None or not record.unfinished or not _MARKED[Core.APP] & record.steps:
        return False
    pending = other is not None and other.waits
    return running.hash != app.hash and not pending and _CHECKED[Core.APP] not in record.steps
