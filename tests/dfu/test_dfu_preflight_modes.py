"""What is found before an update of a device whose bootloader does not swap, and of one with more image pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from smpdfu.dfu.decide.checks.findings import Severity
from smpdfu.dfu.decide.checks.modes import MODE_CHECKS
from smpdfu.dfu.decide.checks.preflight import preflight
from smpdfu.dfu.decide.device_state import DeviceState, Scheme
from smpdfu.dfu.decide.variants import for_device
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.errors import PlanError
from smpdfu.smp.groups.image import ImageSlot
from smpdfu.smp.groups.os import BootloaderMode
from tests.dfu.conftest import IDLE, OLD, Maker

XIP, REVERT, RAM = BootloaderMode.DIRECT_XIP, BootloaderMode.DIRECT_XIP_WITH_REVERT, BootloaderMode.RAM_LOAD
ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
NO_REVERT = ("no-revert", WARNING)


def variant(make: Maker, slot: int | None, version: str = "2.0.0") -> PackageImage:
    """Linked for a slot, as the manifest says it."""
    image = make.image(version=version, mark=0 if slot is None else slot)
    more = {} if slot is None else {"slot": str(slot)}
    return replace(image, file=f"{slot}.bin", entry={**image.entry, **more})


def of_mode(mode: BootloaderMode, runs_from: int = 0) -> DeviceState:
    return replace(IDLE, mode=mode, slots=(replace(OLD, slot=runs_from),))


ROWS: list[tuple[DeviceState, Callable[[Maker], tuple[PackageImage, ...]], list[tuple[str, Severity]]]] = [
    (of_mode(REVERT), lambda make: (variant(make, 1),), []),
    (of_mode(REVERT, 1), lambda make: (variant(make, 0),), []),
    (of_mode(REVERT), lambda make: (variant(make, 0),), [("wrong-slot", ERROR)]),
    (of_mode(REVERT), lambda make: (variant(make, None),), [("slot-unknown", WARNING)]),
    (of_mode(XIP), lambda make: (variant(make, 1),), [NO_REVERT]),
    (of_mode(XIP), lambda make: (variant(make, 1, "1.0.0"),), [("not-higher", ERROR), NO_REVERT]),
    (of_mode(XIP), lambda make: (variant(make, 1, "1.0.0+9"),), [("not-higher", ERROR), NO_REVERT]),
    (of_mode(RAM), lambda make: (variant(make, None),), [NO_REVERT]),
    (of_mode(RAM), lambda make: (variant(make, None, "1.0.0"),), [("not-higher", ERROR), NO_REVERT]),
    (
        of_mode(RAM),
        lambda make: (make.image(Role.NET),),
        [("no-steps", ERROR), NO_REVERT, ("net-no-revert", NOTE)],
    ),
    (IDLE, lambda make: (make.image(), replace(make.image(), role=Role.EXTERNAL)), [("no-image-pair", ERROR)]),
]


@pytest.mark.parametrize(("state", "images", "codes"), ROWS)
def test_findings(
    make: Maker,
    state: DeviceState,
    images: Callable[[Maker], tuple[PackageImage, ...]],
    codes: list[tuple[str, Severity]],
) -> None:
    package, state = for_device(Package(images(make)), state)
    assert [(one.code, one.severity) for one in preflight(package, state)] == codes


def test_every_check_has_a_row(make: Maker) -> None:
    cases = [for_device(Package(images(make)), state) for state, images, _ in ROWS]
    for check in MODE_CHECKS:
        assert any(list(check(*case)) for case in cases), check


# --- which variant --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "slot"),
    [
        (of_mode(XIP), 1),
        (of_mode(XIP, 1), 0),
        (of_mode(REVERT), 1),
        (of_mode(REVERT, 1), 0),
        (of_mode(RAM, 1), 0),
        (of_mode(BootloaderMode.SWAP_USING_MOVE), 0),
        (of_mode(BootloaderMode.OVERWRITE_ONLY), 0),
        (of_mode(BootloaderMode.FIRMWARE_LOADER, 1), 0),
    ],
)
def test_the_variant_for_the_slot_from_which_it_will_run(make: Maker, state: DeviceState, slot: int) -> None:
    package, _ = for_device(Package((variant(make, 0), variant(make, 1))), state)
    assert [image.slot for image in package.images] == [slot]


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("mode", [XIP, REVERT, None])
def test_a_variant_that_runs_is_the_one(make: Maker, mode: BootloaderMode, slot: int) -> None:
    """Else a second call would install the other variant, and a third one the first again."""
    variants = (variant(make, 0), variant(make, 1))
    state = replace(IDLE, mode=mode, slots=(replace(OLD, slot=slot, hash=variants[slot].hash),))
    package, _ = for_device(Package(variants), state)
    assert package.images == (variants[slot],)


def test_a_variant_that_waits_is_the_one(make: Maker) -> None:
    variants = (variant(make, 0), variant(make, 1))
    waiting = ImageSlot(slot=1, version="2.0.0", hash=variants[1].hash, pending=True)
    package, _ = for_device(Package(variants), replace(of_mode(REVERT), slots=(OLD, waiting)))
    assert package.images == (variants[1],)


@pytest.mark.parametrize(
    ("state", "slots", "words"),
    [
        (replace(IDLE, mode=None), (0, 1), "does not report its bootloader's mode"),
        (of_mode(BootloaderMode.UNKNOWN), (0, 1), "does not report its bootloader's mode"),
        (replace(of_mode(XIP), slots=()), (0, 1), "does not report which slot runs"),
        (of_mode(XIP), (0, None), "none of them says that it is for slot 1"),
    ],
)
def test_what_cannot_be_told_is_not_guessed(
    make: Maker, state: DeviceState, slots: tuple[int | None, ...], words: str
) -> None:
    with pytest.raises(PlanError, match=words) as caught:
        for_device(Package(tuple(variant(make, slot) for slot in slots)), state)
    assert "nothing was written" in str(caught.value).lower()


def test_what_a_package_says_of_the_image_pairs(make: Maker) -> None:
    """Image 1 is the network core's, unless it is the second half of the application."""
    half = replace(make.image(), role=Role.EXTERNAL)
    _, state = for_device(Package((make.image(), half)), replace(IDLE, slots=(OLD, replace(OLD, image=1))))
    assert (state.companions, state.scheme) == (frozenset({1}), Scheme.STAGED)
    _, state = for_device(Package((make.image(),)), replace(IDLE, slots=(OLD, replace(OLD, image=1))))
    assert (state.companions, state.scheme) == (frozenset(), Scheme.SIMULTANEOUS)
