"""What is found before an update of a device whose bootloader does not swap, and of one with more image pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from smpdfu.dfu.decide.checks.findings import Severity
from smpdfu.dfu.decide.checks.image_pairs import PAIR_CHECKS, WHOLE_CHECKS
from smpdfu.dfu.decide.checks.modes import MODE_CHECKS
from smpdfu.dfu.decide.checks.parts import PART_CHECKS
from smpdfu.dfu.decide.checks.preflight import preflight
from smpdfu.dfu.decide.device_state import DeviceState, Scheme
from smpdfu.dfu.decide.evidence import NO_EVIDENCE, Bootloader
from smpdfu.dfu.decide.steps.variants import for_device
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.errors import PlanError
from smpdfu.image.format import Version
from smpdfu.smp.groups.image import ImageSlot, SlotInfoImage, SlotInfoSlot
from smpdfu.smp.groups.os import BootloaderMode
from tests.dfu.conftest import IDLE, OLD, SIZES, SLOT_BYTES, Maker, noted

XIP, REVERT, RAM = BootloaderMode.DIRECT_XIP, BootloaderMode.DIRECT_XIP_WITH_REVERT, BootloaderMode.RAM_LOAD
ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
NO_REVERT, NOT_TIED = ("no-revert", WARNING), ("not-tied", WARNING)
ONE_CORE = ("one-core", NOTE)
WAITING = ImageSlot(slot=1, version="9.0.0", hash=b"\x99" * 32, pending=True, permanent=True)
UPSTREAM = NO_EVIDENCE.with_clues(Bootloader("upstream").clues)


def variant(make: Maker, slot: int | None, version: str = "2.0.0", **how: Any) -> PackageImage:
    """Linked for a slot, as the manifest says it."""
    image = make.image(version=version, mark=0 if slot is None else slot, **how)
    more = {} if slot is None else {"slot": str(slot)}
    return replace(image, file=f"{slot}.bin", entry={**image.entry, **more})


def in_ram(make: Maker, version: str = "2.0.0", **how: Any) -> PackageImage:
    """To be loaded into RAM; its manifest has the address of the slot."""
    return make.image(version=version, ram=0x2001_0000, address=0x2001_0200, **how)


def half(make: Maker, version: str = "2.0.0", **how: Any) -> PackageImage:
    """The application's half in external flash, whose first words are no vectors."""
    image = make.image(version=version, **{"mark": 7, **how}, fixed=0)
    return replace(image, role=Role.EXTERNAL, file="half.bin", entry={"load_address": 0x1012_0000, "image_index": "1"})


def patch(make: Maker) -> PackageImage:
    """An image of a project's own, with the number of that half."""
    return replace(half(make, mark=9), role=Role.OTHER, file="patch.bin", entry={"image_index": "1"})


def split(**fields: object) -> DeviceState:
    """A device with two image pairs that swaps, and lists what it uses of both."""
    used = replace(OLD, image=1, hash=b"\x22" * 32)
    pair = SlotInfoImage(image=1, slots=tuple(SlotInfoSlot(slot=slot, size=0x40000) for slot in (0, 1)))
    return replace(IDLE, slots=(OLD, used), sizes=(*SIZES, pair), **fields)  # type: ignore[arg-type]  # any field


def three_pairs() -> DeviceState:
    """A device that overwrites, with an image pair for the network core and one for a half in external flash."""
    pairs = [SlotInfoImage(image=n, slots=tuple(SlotInfoSlot(slot=s, size=0x40000) for s in (0, 1))) for n in (1, 2)]
    there = (OLD, replace(OLD, image=2, hash=b"\x22" * 32))
    return replace(IDLE, slots=there, sizes=(*SIZES, *pairs), mode=BootloaderMode.OVERWRITE_ONLY)


def used(state: DeviceState, image: PackageImage, number: int, **flags: object) -> DeviceState:
    """The same with ``image`` in use as image ``number``."""
    there = replace(OLD, image=number, hash=image.hash, version="2.0.0", **flags)  # type: ignore[arg-type]  # any field
    return replace(state, slots=(*(slot for slot in state.slots if slot.image != number), there))


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
    (of_mode(REVERT), lambda make: (variant(make, 1, "0.9.0"),), [("not-higher", ERROR), ("downgrade", WARNING)]),
    (of_mode(XIP, 1), lambda make: (variant(make, 0, "1.0.0"),), [("not-higher", ERROR), NO_REVERT]),
    # Zephyr before 3.7 lists nothing as confirmed there; nothing is in the way of an upload.
    (replace(of_mode(XIP), slots=(replace(OLD, confirmed=False),)), lambda make: (variant(make, 1),), [NO_REVERT]),
    (replace(of_mode(XIP), slots=(OLD, WAITING)), lambda make: (variant(make, 1),), [NO_REVERT]),
    (of_mode(RAM), lambda make: (in_ram(make),), [NO_REVERT]),
    (of_mode(RAM), lambda make: (in_ram(make, "1.0.0"),), [("not-higher", ERROR), NO_REVERT]),
    (of_mode(RAM), lambda make: (make.image(),), [("no-ram-address", ERROR), NO_REVERT]),
    (of_mode(RAM), lambda make: (in_ram(make, size=0x7A000),), [("too-large", ERROR), NO_REVERT]),
    (of_mode(XIP), lambda make: (variant(make, 1, size=SLOT_BYTES - 0x220),), [("too-large", ERROR), NO_REVERT]),
    (
        of_mode(RAM),
        lambda make: (make.image(Role.NET),),
        [("nothing-to-install", ERROR), NO_REVERT, ("net-no-revert", NOTE)],
    ),
    (IDLE, lambda make: (make.image(), half(make)), [("no-image-pair", ERROR), NOT_TIED]),
    (split(), lambda make: (make.image(), half(make)), [NOT_TIED]),
    (split(), lambda make: (make.image(), half(make, needs=(0, Version(2)))), []),
    (
        split(mode=BootloaderMode.OVERWRITE_ONLY),
        lambda make: (make.image(), half(make)),
        [("no-revert", WARNING), ("not-tied", WARNING), ("half-erased", WARNING)],
    ),
    (
        split(mode=BootloaderMode.OVERWRITE_ONLY, evidence=UPSTREAM),
        lambda make: (make.image(), half(make, needs=(0, Version(2)))),
        [("half-erased", ERROR), ("no-revert", WARNING)],
    ),
    (
        replace(split(), slots=(OLD, replace(OLD, image=1, confirmed=False))),
        lambda make: (make.image(), half(make, needs=(0, Version(2)))),
        [("unconfirmed", ERROR)],
    ),
    (
        split(unconfirmable=frozenset({1})),
        lambda make: (make.image(), half(make, needs=(0, Version(2)))),
        [("confirm-denied", WARNING)],
    ),
    # What an image of the package needs of another one is looked up by its number.
    (split(), lambda make: (make.image(needs=(1, Version(2))), half(make, needs=(0, Version(2)))), []),
    (
        split(),
        lambda make: (make.image(needs=(1, Version(3))), half(make, needs=(0, Version(2)))),
        [("dependency", ERROR)],
    ),
    # Halves alone, numbers that are taken, image pairs that are left.
    (split(), lambda make: (half(make),), [("half-alone", ERROR)]),
    (of_mode(REVERT), lambda make: (variant(make, 7),), [("wrong-slot", ERROR)]),
    (
        split(),
        lambda make: (make.image(), half(make, needs=(0, Version(2))), patch(make)),
        [("image-number", ERROR), ("not-tied", NOTE)],
    ),
    (
        split(mode=BootloaderMode.OVERWRITE_ONLY),
        lambda make: (make.image(Role.NET),),
        [
            ("no-revert", WARNING),
            ("pair-taken", WARNING),
            ("net-seal-key", WARNING),
            ONE_CORE,
            ("dependency-halts", NOTE),
            ("net-unproven", NOTE),
        ],
    ),
    (three_pairs(), lambda make: (make.image(),), [("no-revert", WARNING), ("pair-unused", WARNING), ONE_CORE]),
    (
        three_pairs(),
        lambda make: (make.image(), half(make, needs=(0, Version(2)))),
        [("pair-unused", ERROR), ("no-revert", WARNING), ("half-erased", WARNING)],
    ),
]


@pytest.mark.parametrize(("state", "images", "codes"), ROWS)
def test_findings(
    make: Maker,
    state: DeviceState,
    images: Callable[[Maker], tuple[PackageImage, ...]],
    codes: list[tuple[str, Severity]],
) -> None:
    package, state = for_device(Package(images(make)), state)
    assert [(one.code, one.severity) for one in noted(preflight(package, state))] == codes


def test_every_check_has_a_row(make: Maker) -> None:
    cases = [for_device(Package(images(make)), state) for state, images, _ in ROWS]
    cases.append(higher_waits(make))
    for check in (*MODE_CHECKS, *WHOLE_CHECKS, *PAIR_CHECKS, *PART_CHECKS):
        assert any(list(check(*case)) for case in cases), check


def higher_waits(make: Maker) -> tuple[Package, DeviceState]:
    """The package runs, and a higher version lies in the other slot."""
    image = variant(make, 0)
    return Package((image,)), replace(used(of_mode(XIP), image, 0), slots=(replace(OLD, hash=image.hash), WAITING))


def test_what_starts_instead_of_the_package_is_told(make: Maker) -> None:
    found = preflight(*higher_waits(make))
    assert [(one.code, one.severity) for one in found] == [("pending", ERROR), NO_REVERT]
    assert "9.0.0 in slot 1" in found[0].message


@pytest.mark.parametrize("reset", [0x0100_9001, 0x0000_0101])
def test_words_of_a_half_without_vectors_mean_nothing(make: Maker, reset: int) -> None:
    image = half(make, address=reset - 0x101)
    assert image.image.reset_vector == reset, "it looks like one"
    found = preflight(*for_device(Package((make.image(), image)), split()))
    assert [(one.code, one.severity) for one in found] == [NOT_TIED]


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
        (of_mode(XIP), (0, None), "none of them says that it is for slot 1, from which it would run"),
        (IDLE, (1, 7), "none of them says that it is for slot 0, from which it would run"),
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
