"""The tables of facts about Nordic's loaders, cell by cell, and the test that runs each of them.

A row is a behaviour. Its cells name the columns (a generation and who laid out its flash) that they are about.
"""

from __future__ import annotations

from dataclasses import dataclass

from smpdfu.loaders.releases import Generation, Partitions
from smpdfu.loaders.rules import RULES

Column = tuple[Generation, Partitions]

COLUMNS: tuple[Column, ...] = tuple(
    column for column in RULES if column[0] not in (Generation.UPSTREAM, Generation.UPSTREAM_OLD)
)
_G1, _G2, _G3, _G3D, _G4, _G4D, _G5, _G5D = COLUMNS
ALL = COLUMNS
BEFORE_G4 = (_G1, _G2, _G3, _G3D)
BEFORE_G5 = (*BEFORE_G4, _G4, _G4D)
FROM_G2 = (_G2, _G3, _G3D, _G4, _G4D, _G5, _G5D)
G5 = (_G5, _G5D)

TRUTH = "virtual/test_virtual_truth.py::test_the_virtual_loader_does_what_nordic_s_did"
READ = "virtual/test_virtual_generations.py::test_builds_that_were_only_read"
WALK = "loaders/test_loaders_walk.py::test_every_loader_does_with_every_image_what_its_rule_says"
_SPLIT = "virtual/test_virtual_xip_split.py::test_the_address_check_leaves_out_a_half_that_has_no_reset_vector"
_HERE = "virtual/test_virtual_generations.py::"


@dataclass(frozen=True)
class Cell:
    """A fact about some columns, and the ``test`` that runs it; or why none can (``not_modelled``)."""

    columns: tuple[Column, ...]
    fact: str
    test: str = ""
    not_modelled: str = ""


STAGED: dict[str, tuple[Cell, ...]] = {
    "a network image is recognised by": (
        Cell((_G1,), "reset vector above 0x01000000, no upper end", TRUTH),
        Cell((_G2, _G3, _G3D, _G4, _G5), "reset vector in the network application's flash", TRUTH),
        Cell((_G4D, _G5D), "header's load address in the network application's flash", TRUTH),
    ),
    "address check of the slot's image": (
        Cell((_G1, _G2, _G3, _G3D, _G4, _G5), "none in a one-image build", TRUTH),
        Cell((_G4D,), "on; erases every network image", TRUTH),
        Cell((_G5D,), "on; lets the network range through", TRUTH),
    ),
    "flags ROM_FIXED and RAM_LOAD missing": (
        Cell((*BEFORE_G4, _G4, _G5), "ignored", TRUTH),
        Cell((_G4D, _G5D), "secondary erased; such a primary does not boot", TRUTH),
    ),
    "after success, swap-move and scratch": (Cell(ALL, "trailer erased, listed, not pending", READ),),
    "swap using offset": (
        Cell((_G1,), "there is none", _HERE + "test_there_is_no_build_with_what_a_release_does_not_have"),
        Cell((_G2, _G3, _G3D, _G4, _G5), "a network image is swapped in as an application", READ),
        Cell((_G4D,), "erased by the address check", READ),
        Cell((_G5D,), "recognised, handed over from a wrong address: refused", READ),
    ),
    "after success, overwrite-only": (
        Cell((*BEFORE_G4, _G4), "nothing erased: pending for ever", TRUTH),
        Cell((_G4D,), "never comes to it", TRUTH),
        Cell(G5, "first and last sector erased", TRUTH),
    ),
    "after refusal by b0n": (
        Cell((*BEFORE_G4, _G4), "nothing erased, tried at each boot", TRUTH),
        Cell((_G4D,), "never comes to it", TRUTH),
        Cell(G5, "trailer erased too; overwrite-only: header too", TRUTH),
    ),
    "swap type after refusal": (Cell(ALL, "FAIL: swap modes write image_ok into the primary slot", TRUTH),),
    "b0n silent": (Cell(ALL, "MCUboot waits for ever", TRUTH),),
    "downgrade of a network image": (
        Cell(BEFORE_G5, "not prevented", READ),
        Cell(G5, "with PCD_READ_NETCORE_APP_VERSION: lower or unreadable is not copied", READ),
    ),
    "downgrade, overwrite-only": (Cell(ALL, "header version against the application's: erased", TRUTH),),
    "encrypted application image": (
        Cell((_G1,), "taken for a network image", TRUTH),
        Cell(FROM_G2, "works", READ),
    ),
    "encrypted network image": (
        Cell((_G1,), "handed over as ciphertext", TRUTH),
        Cell((_G2, _G3, _G3D, _G4, _G5), "swapped into the application's slot", TRUTH),
        Cell((_G4D,), "erased", WALK),
        Cell((_G5D,), "handed over as ciphertext", WALK),
    ),
    "beside a split QSPI XIP image": (
        Cell(
            BEFORE_G5,
            "still looked for",
            _HERE + "test_beside_a_split_xip_image_the_newest_loaders_look_for_no_network_image",
        ),
        Cell(
            G5, "not looked for", _HERE + "test_beside_a_split_xip_image_the_newest_loaders_look_for_no_network_image"
        ),
    ),
    "builds with class UUIDs": (
        Cell(BEFORE_G4, "there are none", _HERE + "test_there_is_no_build_with_what_a_release_does_not_have"),
        Cell((_G4, _G4D), "an application is never updated", _HERE + "test_class_uuids_tell_whom_an_image_is_for"),
        Cell(G5, "the class decides", _HERE + "test_class_uuids_tell_whom_an_image_is_for"),
    ),
    "an image linked elsewhere": (
        Cell((*BEFORE_G4, _G4, _G5), "swapped in; overwrite-only: dead", TRUTH),
        Cell((_G4D, _G5D), "erased if its header says so, else swapped in", TRUTH),
    ),
    "a network image for another b0n": (
        Cell((_G1,), "b0n refuses it", TRUTH),
        Cell((_G2, _G3, _G3D, _G4, _G5), "swapped in as an application", TRUTH),
        Cell((_G4D, _G5D), "erased", TRUTH),
    ),
    "a build that checks reset vectors": (
        Cell(
            BEFORE_G5,
            "erases network images",
            _HERE + "test_a_staged_build_that_checks_vectors_erases_network_images_before_3_4_1",
        ),
        Cell(
            G5,
            "lets them through",
            _HERE + "test_a_staged_build_that_checks_vectors_erases_network_images_before_3_4_1",
        ),
    ),
    "b0n at a plain start": (
        Cell(ALL, "boots what has firmware info", "virtual/test_virtual_netcore.py::test_b0n_checks_what_it_copied"),
    ),
}

SIMULTANEOUS: dict[str, tuple[Cell, ...]] = {
    "address check of a QSPI XIP half": (
        Cell((_G1,), "image 2 left out, image 1 checked by a word of its code: erased", _SPLIT),
        Cell(FROM_G2, "left out", _SPLIT),
    ),
    "both flagged": (Cell(ALL, "one boot, image 0 first, then image 1", TRUTH),),
    "b0n refuses": (Cell(ALL, "application replaced; MCUboot stops at every boot", TRUTH),),
    "no network vector in RAM": (Cell(ALL, "the hook fails: MCUboot stops", READ),),
    "address check": (
        Cell(ALL, "reset vector, overwrite-only without encryption: wrong-core images are erased", TRUTH),
    ),
    "address check with encryption": (Cell(ALL, "none: wrong-core images are copied", READ),),
    "header check set by hand": (
        Cell((_G1, _G2), "there is none", _HERE + "test_there_is_no_build_with_what_a_release_does_not_have"),
        Cell((_G3, _G3D, _G4, _G4D, _G5, _G5D), "nothing boots: the hook's header has no flags", TRUTH),
    ),
    "second stage MCUboot behind NSIB": (
        Cell(ALL, "3.4.0 and before, devicetree: not updated", not_modelled="a device without NSIB below MCUboot"),
    ),
    "downgrade, image 0": (
        Cell(
            ALL,
            "header versions",
            "virtual/test_virtual_options.py::test_versions_are_compared_without_the_build_number",
        ),
    ),
    "downgrade, image 1": (
        Cell(
            ALL,
            "by b0n's count where it is read, unreadable is lower; else never",
            _HERE + "test_a_version_that_cannot_be_read_counts_as_lower",
        ),
    ),
    "rollback counter": (
        Cell(
            ALL,
            "not for image 1 from 3.0",
            _HERE + "test_the_network_image_s_rollback_counter_is_left_to_nsib_from_3_0_on",
        ),
    ),
    "unmet dependency": (Cell(ALL, "only that image is skipped", TRUTH),),
    "the running application's own dependency": (Cell(ALL, "REVERT: stops, or swaps an empty slot in", TRUTH),),
    "swap modes with two images": (
        Cell((_G1, _G2), "stops at the network core's image", READ),
        Cell((_G3, _G3D), "until 3.2 stops, from 3.3 brings it in", READ),
        Cell((_G4, _G4D, _G5, _G5D), "the network core's image cannot be reverted", READ),
    ),
}
