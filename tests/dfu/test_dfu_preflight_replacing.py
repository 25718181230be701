"""What is found before an update in which the upload replaces the application: firmware loader, serial recovery."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from smpdfu.dfu.decide.checks.findings import Severity, stopping
from smpdfu.dfu.decide.checks.preflight import preflight
from smpdfu.dfu.decide.checks.replacing import REPLACING_CHECKS
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.steps.plan import make_plan
from smpdfu.dfu.decide.steps.rules import Policy
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.errors import PlanError
from smpdfu.smp.groups.image import SlotInfoImage, SlotInfoSlot
from smpdfu.smp.groups.os import BootloaderMode
from tests.dfu.conftest import IDLE, OLD, SLOT_BYTES, Maker, noted

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
NO_REVERT = ("no-revert", WARNING)


def one_slot(mode: BootloaderMode, **fields: object) -> DeviceState:
    sizes = (SlotInfoImage(image=0, slots=(SlotInfoSlot(slot=0, size=SLOT_BYTES),)),)
    return replace(IDLE, mode=mode, sizes=sizes, **fields)  # type: ignore[arg-type]  # any field of the class


def sizes(*numbers: int | None) -> tuple[SlotInfoImage, ...]:
    """Slot info as recovery has it: the number of each slot of image 0."""
    slots = (SlotInfoSlot(slot=slot, size=SLOT_BYTES, upload_image_id=number) for slot, number in enumerate(numbers))
    return (SlotInfoImage(image=0, slots=tuple(slots)),)


LOADER, SINGLE = one_slot(BootloaderMode.FIRMWARE_LOADER), one_slot(BootloaderMode.SINGLE_APP)
IN_LOADER = replace(LOADER, slots=(replace(OLD, active=False, confirmed=False),))
RECOVERY = DeviceState((replace(OLD, active=False, confirmed=False, bootable=False),), recovery=True, by_recovery=True)

Images = Callable[[Maker], tuple[PackageImage, ...]]


def app(**how: object) -> Images:
    return lambda make: (make.image(**how),)  # type: ignore[arg-type]


def both(make: Maker) -> tuple[PackageImage, ...]:
    return make.package().images


ROWS: list[tuple[DeviceState, Images, list[tuple[str, Severity]]]] = [
    (LOADER, app(), [NO_REVERT]),
    (IN_LOADER, app(), [NO_REVERT]),
    (replace(IN_LOADER, slots=()), app(), [NO_REVERT]),
    (replace(LOADER, slots=(), lists_images=False), app(), [NO_REVERT]),
    (replace(LOADER, renamed=True), app(), [NO_REVERT, ("loader-name", WARNING)]),
    (replace(IN_LOADER, renamed=True), app(), [NO_REVERT]),
    (LOADER, both, [("no-steps", ERROR), NO_REVERT]),
    (LOADER, app(encrypted=True), [("replaced-encrypted", ERROR), NO_REVERT, ("encrypted", NOTE)]),
    (LOADER, app(size=SLOT_BYTES), [("too-large", ERROR), NO_REVERT]),
    (replace(LOADER, no_downgrade=True), app(version="0.9.0"), [NO_REVERT, ("downgrade", WARNING)]),
    (SINGLE, app(), [NO_REVERT]),
    (one_slot(BootloaderMode.SINGLE_APP_RAM_LOAD), app(), [NO_REVERT]),
    (SINGLE, both, [NO_REVERT, ("recovery-net", NOTE)]),
    (SINGLE, app(encrypted=True), [NO_REVERT, ("replaced-encrypted", WARNING), ("encrypted", NOTE)]),
    (replace(SINGLE, over_serial=False), app(), [("recovery-wire", ERROR), NO_REVERT]),
    (replace(IDLE, by_recovery=True), both, [NO_REVERT, ("recovery-net", NOTE)]),
    (RECOVERY, both, [NO_REVERT, ("recovery-net", NOTE)]),
    (replace(RECOVERY, sizes=sizes(1, 2)), both, [NO_REVERT, ("recovery-net", NOTE)]),
    (replace(RECOVERY, sizes=sizes(0, None)), both, [("recovery-number", ERROR), NO_REVERT, ("recovery-net", NOTE)]),
    (replace(RECOVERY, sizes=sizes(0, None)), app(), [NO_REVERT]),
    (replace(RECOVERY, by_recovery=False), app(), [("recovery", ERROR)]),
]


@pytest.mark.parametrize(("state", "images", "codes"), ROWS)
def test_findings(make: Maker, state: DeviceState, images: Images, codes: list[tuple[str, Severity]]) -> None:
    assert [(one.code, one.severity) for one in noted(preflight(Package(images(make)), state))] == codes


def test_every_check_has_a_row(make: Maker) -> None:
    for check in REPLACING_CHECKS:
        assert any(list(check(Package(images(make)), state)) for state, images, _ in ROWS), check


@pytest.mark.parametrize("state", [replace(RECOVERY, by_recovery=False), replace(SINGLE, over_serial=False)])
def test_what_would_leave_the_device_in_recovery_is_not_forced(make: Maker, state: DeviceState) -> None:
    assert stopping(preflight(make.package(make.image()), state), force=True)


# --- what is left ---------------------------------------------------------------------------------------------------


def names(package: Package, state: DeviceState) -> str:
    return ", ".join(step.name for step in make_plan(package, state).steps)


APP_ALONE = "upload app, reset app, check app"
BOTH = "upload net, upload app, reset app, check app, check net"


@pytest.mark.parametrize(
    ("state", "images", "steps"),
    [
        (LOADER, app(), f"enter-loader app, {APP_ALONE}"),
        (IN_LOADER, app(), APP_ALONE),
        (replace(LOADER, by_recovery=True), app(), f"enter-loader app, {APP_ALONE}"),
        (SINGLE, app(), f"enter-recovery app, {APP_ALONE}"),
        (SINGLE, both, f"enter-recovery app, {BOTH}"),
        (SINGLE, lambda make: (make.image(Role.NET),), "enter-recovery net, upload net, reset net, check net"),
        (replace(IDLE, by_recovery=True), both, f"enter-recovery app, {BOTH}"),
        (RECOVERY, both, BOTH),
        (RECOVERY, lambda make: (make.image(Role.NET),), "upload net, reset net, check net"),
    ],
)
def test_the_steps(make: Maker, state: DeviceState, images: Images, steps: str) -> None:
    assert names(Package(images(make)), state) == steps


def test_an_image_that_runs_needs_no_step_and_one_that_recovery_lists_no_upload(make: Maker) -> None:
    package = make.package(make.image())
    (image,) = package.images
    for state in (LOADER, SINGLE):
        assert names(package, replace(state, slots=(replace(OLD, hash=image.hash),))) == ""
    listed = replace(RECOVERY, slots=(replace(RECOVERY.slots[0], hash=image.hash),))
    assert names(package, listed) == "reset app, check app"
    other_key = replace(IN_LOADER, slots=(replace(IN_LOADER.slots[0], hash=image.hash),))
    assert names(package, other_key) == APP_ALONE, "a loader lists what lies there, whoever signed it"


@pytest.mark.parametrize("state", [LOADER, IN_LOADER, SINGLE, RECOVERY])
def test_there_is_no_upload_alone(make: Maker, state: DeviceState) -> None:
    with pytest.raises(PlanError, match="replaces the application, so an image cannot be sent without") as refused:
        make_plan(make.package(), state, policy=Policy.UPLOAD_ONLY)
    assert refused.value.code == "upload-replaces"
