"""Did b0 start the new MCUboot? A table of what the console and the device say, and of the answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.decide.b0 import B0State
from smpdfu.dfu.decide.device_state import NO_BOOT_LOG
from smpdfu.dfu.decide.mcuboot import mcuboot_proof, not_started
from smpdfu.dfu.decide.proof_value import Proof, ProofSource, weaker
from smpdfu.loaders.b0_console import NO_B0, B0Boot, read_b0
from smpdfu.loaders.console import read_boot
from smpdfu.smp.groups.image import ImageSlot
from tests.dfu.conftest import OLD
from tests.dfu.mcuboot_images import mcuboot_image

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker, State

CONSOLE, SLOTS = ProofSource.CONSOLE, ProofSource.SLOTS
STARTED, OLD_ONE, REFUSED = B0Boot(1, version=2), B0Boot(0, version=1), B0Boot(0, frozenset({1}), 1)
LOWER = B0Boot(1, version=1)

# What b0 printed, what the device tells, has b0 surely looked, and what is known; the image is for slot 1.
TABLE: list[tuple[B0Boot, int | None, bool, bool | None, ProofSource | None]] = [
    (STARTED, 1, False, True, CONSOLE),
    (STARTED, None, False, True, CONSOLE),
    (B0Boot(1), 1, False, True, CONSOLE),
    (LOWER, 1, False, False, CONSOLE),
    (REFUSED, 1, False, None, None),
    (REFUSED, 1, True, False, CONSOLE),
    (REFUSED, None, True, False, CONSOLE),
    (OLD_ONE, 1, False, None, None),
    (OLD_ONE, None, False, None, None),
    (OLD_ONE, 1, True, False, CONSOLE),
    (NO_B0, 1, False, None, None),
    (NO_B0, 1, True, None, None),
    (NO_B0, None, True, None, None),
    (NO_B0, 0, False, False, SLOTS),
    (NO_B0, 0, True, False, SLOTS),
]


@pytest.mark.parametrize(("printed", "told", "asked", "value", "source"), TABLE)
def test_proof(
    make: Maker,
    state: State,
    printed: B0Boot,
    told: int | None,
    asked: bool,
    value: bool | None,
    source: ProofSource | None,
) -> None:
    now = state(boot=replace(NO_BOOT_LOG, b0=printed), b0=B0State(told))
    proof = mcuboot_proof(mcuboot_image(make, 1), now, asked=asked)
    assert (proof.value, proof.source) == (value, source)
    assert proof.reason.endswith(".")
    assert bool(proof.doubt) is (value is None)


# The device told slot 1 before the update, too: a person had said that slot 0 runs. What b0 printed, whether it had
# refused what was in slot 1, and what is known.
TOLD_BEFORE: list[tuple[B0Boot, int | None, bool | None]] = [
    (NO_B0, None, None),
    (NO_B0, 1, None),
    (STARTED, None, None),
    (STARTED, 1, True),
    (LOWER, None, False),
    (OLD_ONE, None, False),
]


@pytest.mark.parametrize(("printed", "refused", "value"), TOLD_BEFORE)
def test_what_was_told_before_shows_nothing(
    make: Maker, state: State, printed: B0Boot, refused: int | None, value: bool | None
) -> None:
    now = state(boot=replace(NO_BOOT_LOG, b0=printed), b0=B0State(1, before=1, refused=refused))
    assert mcuboot_proof(mcuboot_image(make, 1), now, asked=True).value is value


def test_an_image_for_the_slot_that_runs(make: Maker, state: State) -> None:
    boot = read_boot(
        "I: Starting bootloader\nE: Image in slot is for wrong s0/s1 image\nI: Jumping to the first image slot\n"
    )
    proof = mcuboot_proof(mcuboot_image(make, 1), state(boot=boot, b0=B0State(1)), asked=False)
    assert (proof.value, proof.source) == (False, CONSOLE)


def test_why_it_was_not_started(make: Maker, state: State) -> None:
    image = mcuboot_image(make, 1, version=7)
    refused = state(boot=replace(NO_BOOT_LOG, b0=REFUSED), b0=B0State(1))
    text = not_started(image, refused, mcuboot_proof(image, refused, asked=True))
    assert "the previous MCUboot runs. b0 printed that it does not accept slot 1." in text
    assert "b0 does not have the key that sealed it" in text
    gone = state(b0=B0State(0))
    text = not_started(image, gone, mcuboot_proof(image, gone, asked=True))
    assert "reports slot 0 as the active one" in text
    assert "its firmware version 7 is not higher" in text
    left = replace(gone, slots=(OLD, ImageSlot(slot=1, version="1.7.0", hash=image.hash)))
    text = not_started(image, left, mcuboot_proof(image, left, asked=True))
    assert text.endswith("MCUboot left signed_by_mcuboot_and_b0_s1_image.bin in the application's secondary slot.")


def test_of_two_proofs_the_weaker_one_counts() -> None:
    sure, unsure = Proof(True, "a"), Proof(None, "b")
    assert weaker(sure, unsure) is weaker(unsure, sure) is weaker(None, unsure) is unsure
    assert weaker(sure, None) is weaker(None, sure) is sure
    assert weaker(None, None) is None


# --- the lines of b0 --------------------------------------------------------------------------------------------------

BANNER = "*** Booting nRF Connect SDK v3.2.0-5dcc6bd39b0f ***\n*** Using Zephyr OS v4.2.99-a57ad913cf4e ***\n"
MCUBOOT = "*** Booting MCUboot v2.1.0-dev-6c2f2ff1 ***\nI: Starting bootloader\nI: Jumping to the first image slot\n"


def tries(slot: int) -> str:
    return f"Attempting to boot slot {slot}.\r\nAttempting to boot from address 0x{0x8200 + slot * 0xC000:x}.\n\r"


ACCEPTS = "I: Hash: 0x3e...f9\nI: Firmware signature verified.\nFirmware version 2\r\n"
STARTS = "Setting monotonic counter (version: 2, slot: 1)\r\nBooting (0x8200).\r\n"
REJECTS = "I: Firmware validation failed with error -102.\nFailed to validate, permanently invalidating!\n\r"
LOW = "Firmware version (1) is smaller than monotonic counter (3).\nFailed to validate, permanently invalidating!\n\r"

FIRST_BOOT = BANNER + tries(0) + ACCEPTS + MCUBOOT
OTHER = B0Boot(0, frozenset({1}), 2)
LINES = [
    ("one slot", BANNER + tries(0) + ACCEPTS + MCUBOOT, B0Boot(0, version=2)),
    ("without MCUboot's lines", tries(1) + ACCEPTS, B0Boot(1, version=2)),
    ("an older b0", tries(1) + STARTS, B0Boot(1)),
    ("refused, then the other one", BANNER + tries(1) + REJECTS + tries(0) + ACCEPTS + STARTS + MCUBOOT, OTHER),
    ("below the counter", tries(1) + LOW + tries(0) + ACCEPTS, OTHER),
    ("an empty slot", tries(1) + "No fw_info struct found.\r\n" + tries(0) + ACCEPTS, B0Boot(0, version=2)),
    ("neither", tries(1) + REJECTS + tries(0) + REJECTS, B0Boot(None, frozenset({0, 1}))),
    (
        "two boots",
        BANNER + tries(0) + ACCEPTS + MCUBOOT + BANNER + tries(1) + ACCEPTS + STARTS + MCUBOOT,
        B0Boot(1, version=2),
    ),
    (
        "two boots, refused",
        tries(0) + STARTS + MCUBOOT + tries(1) + REJECTS + tries(0) + STARTS,
        B0Boot(0, frozenset({1})),
    ),
    (
        "a boot that refuses both, then one that starts",
        tries(1) + REJECTS + tries(0) + REJECTS + tries(1) + STARTS,
        B0Boot(1),
    ),
    ("cut short", BANNER + tries(1), NO_B0),
    (
        "it did not jump",
        tries(1) + ACCEPTS + "Failed to provide ext APIs to image, boot aborted.\r\n",
        B0Boot(None, frozenset({1})),
    ),
    ("no b0", MCUBOOT, NO_B0),
    ("the words inside other words", "xAttempting to boot slot 1.\nFirmware version 2\n", NO_B0),
    ("nothing", "", NO_B0),
]


@pytest.mark.parametrize(("name", "text", "found"), LINES, ids=[row[0] for row in LINES])
def test_the_lines_of_b0(name: str, text: str, found: B0Boot) -> None:
    assert read_b0(text) == found
    assert read_boot(text).b0 == found
