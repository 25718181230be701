"""What is left to do for each image where the upload replaces the application: see ``plan``. Pure.

There are no marks, so what lies in the application's slot tells how far an update has come, and who answers: the
application, the firmware loader, or the bootloader in serial recovery.
"""

from __future__ import annotations

from smpdfu.dfu.decide.device_state import PRIMARY, DeviceState
from smpdfu.dfu.decide.record import DONE, Record
from smpdfu.dfu.decide.rules import REPLACES, Action, Method, Step, method_of, step_of
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.package import Package

Place = tuple[Role, int]
"""Which image of a package: its role, and the number of an image of the role OTHER."""

_UPLOADED, _CHECKED = (Step(action, Role.APP).name for action in (Action.UPLOAD, Action.CHECK))
_NET_UPLOADED, _NET_CHECKED = (Step(action, Role.NET).name for action in (Action.UPLOAD, Action.CHECK))
_RESET = frozenset(Step(Action.RESET, role).name for role in (Role.APP, Role.NET))
_TO_DO = (Action.ENTER_LOADER, Action.ENTER_RECOVERY, Action.UPLOAD)


def first_replacing(package: Package, state: DeviceState, record: Record) -> dict[Place, Action | None]:
    """For each image of the package the first action that is left; None when it is in place."""
    first: dict[Place, Action | None] = {}
    app = package.image(Role.APP)
    if app is not None:
        first[Role.APP, 0] = _of_app(app, state, record)
    for image in package.images:
        if image.role is Role.NET:
            # Where the application has to be written again, or an update failed, what the journal tells is old.
            stale = first.get((Role.APP, 0)) in _TO_DO and not record.unfinished
            stale = stale or record.end not in (None, DONE)
            first[Role.NET, 0] = _of_net(state, Record() if stale else record)
        elif image.role is not Role.APP:
            step = step_of(Action.CHECK, image)
            listed = _lists(image, state, image.image_index)
            first[step.role, step.number] = None if listed else _to_write(state)
    return first


def way_of(state: DeviceState) -> str | None:
    """What a journal notes of the way of an update: the method where the upload replaces the application, else None."""
    method = method_of(state)
    return str(method) if method in REPLACES else None


def answers_inside(state: DeviceState, method: Method) -> bool:
    """True if what replaces the application answers: serial recovery, or the firmware loader."""
    return state.recovery if method is Method.SERIAL_RECOVERY else state.in_loader


def _to_write(state: DeviceState) -> Action:
    """What comes before an image is written: nothing where the loader or the bootloader answers already."""
    if answers_inside(state, method_of(state)):
        return Action.UPLOAD
    return Action.ENTER_LOADER if method_of(state) is Method.FIRMWARE_LOADER else Action.ENTER_RECOVERY


def _of_app(image: PackageImage, state: DeviceState, record: Record) -> Action | None:
    listed, sent = _lists(image, state, 0), _UPLOADED in record.steps and record.unfinished
    if answers_inside(state, method_of(state)):
        # A bootloader lists what it accepts. A loader lists what lies there, and another key may have signed that.
        tells = state.recovery and not any(slot.hash is None for slot in state.slots)
        return Action.RESET if (listed if tells else sent and (listed or state.recovery)) else Action.UPLOAD
    checked = _CHECKED in record.steps
    if not state.lists_images:
        return Action.CHECK if sent and not checked else _to_write(state)
    on_trial = state.on_trial and (state.swap_mode is not None or state.mode is None)
    if not listed or on_trial:  # the restart into recovery ends a trial
        return _to_write(state)
    return Action.CHECK if sent and not checked else None


def _of_net(state: DeviceState, record: Record) -> Action | None:
    """The bootloader tells nothing of it. It was copied when a reset was answered, which waits for that."""
    if _NET_CHECKED in record.steps:
        return None
    copied = _NET_UPLOADED in record.steps and bool(_RESET & record.steps)
    return Action.CHECK if copied else _to_write(state)


def _lists(image: PackageImage, state: DeviceState, number: int) -> bool:
    there = state.slot(PRIMARY, number)
    return there is not None and image.hash is not None and there.hash == image.hash
