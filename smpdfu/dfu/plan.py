"""Which steps bring a package onto a device: a pure function of package, device state and journal.

The order rules of the nRF5340 are in ``STAGED`` and nowhere else. A plan is made anew on every call, so an update that
was interrupted goes on from what the device shows; the journal only adds what no device can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from smpdfu.dfu.journal import DONE, Record
from smpdfu.dfu.package import Core, CoreImage, Package
from smpdfu.dfu.state import DeviceState, Scheme
from smpdfu.errors import PlanError


class Action(StrEnum):
    """What a step does."""

    UPLOAD = "upload"
    TEST = "test"
    RESET = "reset"
    CHECK = "check"
    CONFIRM = "confirm"


_WORDS = {
    Action.UPLOAD: "upload the image of the {core}",
    Action.TEST: "mark it for the next boot",
    Action.RESET: "reset the device and wait for it",
    Action.CHECK: "check the {core}",
    Action.CONFIRM: "confirm the image that runs",
}


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


# The staged scheme; the order is the rule.
#
# 1. The application core goes first, on trial: it is the one that can be rolled back, so nothing else changes before it
#    runs. The check reads the running hash: a device that reverted answers just as well.
#    (MCUboot, "Image swapping": an image that is not confirmed is swapped back at the next reset.)
# 2. It is confirmed before the network core's image is uploaded: both pass through the one secondary slot, and until
#    the confirmation that slot holds the way back. (Zephyr, img_mgmt: the slot is not free during a trial.)
# 3. The network core's image is marked for a test, too. Its reset hands it over for good whatever the mark is (nRF
#    Connect SDK, subsys/pcd); but should the bootloader take it for an application image, a test is swapped back.
STAGED = (
    Step(Action.UPLOAD, Core.APP),
    Step(Action.TEST, Core.APP),
    Step(Action.RESET, Core.APP),
    Step(Action.CHECK, Core.APP),
    Step(Action.CONFIRM, Core.APP),
    Step(Action.UPLOAD, Core.NET),
    Step(Action.TEST, Core.NET),
    Step(Action.RESET, Core.NET),
    Step(Action.CHECK, Core.NET),
)

UPLOADED = frozenset(Step(Action.UPLOAD, core).name for core in Core)
"""What the journal says when the image of a core was uploaded."""

_TRIED = frozenset(Step(action, Core.APP).name for action in (Action.UPLOAD, Action.TEST, Action.RESET))
_CHECKED = Step(Action.CHECK, Core.APP).name

RULES = {Scheme.STAGED: STAGED}


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps that are left; none when the device has the package."""

    scheme: Scheme
    steps: tuple[Step, ...]


def make_plan(package: Package, state: DeviceState, record: Record | None = None) -> Plan:
    """The steps that bring ``package`` onto a device in this state.

    ``record`` is what the journal says about this package on this device; without it, nothing that no device can tell
    is taken for done. Raises PlanError when this version of smpdfu has no rules for the device's scheme.
    """
    rules = RULES.get(state.scheme)
    if rules is None:
        raise PlanError(f"the device has an image pair for each core, and the {state.scheme} scheme is not supported")
    first = first_actions(package, state, record or Record())
    return Plan(state.scheme, tuple(step for core, action in first.items() for step in _from(rules, core, action)))


def _from(rules: tuple[Step, ...], core: Core, first: Action | None) -> tuple[Step, ...]:
    steps = [step for step in rules if step.core is core]
    return () if first is None else tuple(steps[[step.action for step in steps].index(first) :])


def first_actions(package: Package, state: DeviceState, record: Record) -> dict[Core, Action | None]:
    """For each core of the package the first action that is left; None when its image is in place."""
    first: dict[Core, Action | None] = {}
    app, net = package.image(Core.APP), package.image(Core.NET)
    if app is not None:
        first[Core.APP] = _first_for_app(app, state, record)
    if net is not None:
        # Where the application does not even lie on the device, what the journal tells of the network core is old. Of
        # an update that failed it tells nothing that may count as done.
        stale = first.get(Core.APP) is Action.UPLOAD or record.end not in (None, DONE)
        first[Core.NET] = _first_for_net(net, state, Record() if stale else record)
    return first


def _first_for_app(image: CoreImage, state: DeviceState, record: Record) -> Action | None:
    running, other = state.running, state.other
    if running is not None and running.hash == image.hash:
        # Where a bootloader only overwrites, an image counts as confirmed before it was found to be well.
        tried = record.unfinished and record.steps & _TRIED and _CHECKED not in record.steps
        return None if running.confirmed and not tried else Action.CHECK
    if other is not None and other.hash == image.hash:
        if other.pending:
            return Action.RESET
        # The same hash may be signed by another key: only an upload of our own is taken as done.
        if Step(Action.UPLOAD, Core.APP).name in record.steps:
            return Action.TEST
    return Action.UPLOAD


def _first_for_net(image: CoreImage, state: DeviceState, record: Record) -> Action | None:
    other = state.other
    listed = other is not None and other.hash == image.hash
    if listed and other is not None and other.pending:
        return Action.RESET
    # Handed over, the image is no longer pending; bootloaders that only overwrite erase its header, so that the slot
    # is empty. Either is a proof only together with the journal: before the mark the slot looks the same. And of an
    # update that ended long ago the journal proves nothing by itself: it may have been another board on this port.
    handed_over = listed or (other is None and state.can_revert is False and record.unfinished)
    if handed_over and Step(Action.TEST, Core.NET).name in record.steps:
        return None if Step(Action.CHECK, Core.NET).name in record.steps else Action.CHECK
    if listed and Step(Action.UPLOAD, Core.NET).name in record.steps:
        return Action.TEST
    return Action.UPLOAD


def net_taken(image: CoreImage, state: DeviceState) -> bool | None:
    """Did the network core take its image, after the reset for it? None if the device cannot tell.

    Handed over, the image stays in the slot and is not pending any more; refused, it is erased. A bootloader that only
    overwrites erases it either way. (nrfconnect/sdk-mcuboot, boot/bootutil/src/loader.c)
    """
    if any(slot.hash == image.hash and not slot.active for slot in state.slots):
        return True
    return False if state.can_revert else None


def went_back(package: Package, state: DeviceState, record: Record) -> bool:
    """True if this update's application image was on trial and the device runs another one, with none pending.

    So it was swapped back, or the bootloader refused it: the next boot brings the same image again.
    """
    app, running, other = package.image(Core.APP), state.running, state.other
    if app is None or running is None or not record.unfinished or Step(Action.TEST, Core.APP).name not in record.steps:
        return False
    pending = other is not None and other.pending
    return running.hash != app.hash and not pending and Step(Action.CHECK, Core.APP).name not in record.steps
