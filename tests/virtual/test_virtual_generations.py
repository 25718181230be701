"""Builds that the measured data do not have: what each generation does there, by its source (``loader.c``)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from smpdfu.image.format import Image, Tlv, TlvType
from smpdfu.image.trailer import FLAG_SET
from smpdfu.loaders.releases import UPSTREAM, UPSTREAM_OLD, Release, releases_of
from smpdfu.loaders.rules import Loader
from smpdfu.virtual.boot.bootloader import Ending
from smpdfu.virtual.boot.build import AddressCheck, BootKeys, BootOptions, build_of
from smpdfu.virtual.boot.network.netcore import B0n
from smpdfu.virtual.boot.swap.swap_type import SwapType
from smpdfu.virtual.chip.layout import LAYOUTS
from tests.resigned import with_protected
from tests.virtual.test_virtual_truth import device_of, setup_of
from tests.virtual.truth_cases import APP, NET, NET2, RUNNING, Setup
from tests.virtual.truth_device import SIGNING, Make, TruthDevice, Variant

FROM_2_5 = ("2.5", "2.6", "2.7")
FROM_2_8 = ("2.8", "2.9", "3.0", "3.1", "3.2", "3.3", "3.4.0")
OFFSET_PM = ("3.0", "3.1", "3.2", "3.3", "3.4.0", "3.4.1", "latest")
NEW = ("3.4.1", "latest")
ASSERTING = (*FROM_2_5, "2.8", "2.9", "3.0", "3.1", "3.2")
SWAPPING = ("3.3", "3.4.0", *NEW)
ALL = (*FROM_2_5, *FROM_2_8, *NEW)

# What image 0's slots and the network core show after each of three boots; "2" is what an update brings.
TRIED = (
    "boots 2.0.0 | p0=X[good,cd] s0=A1 next0=REVERT | net=old",
    "boots 1.0.0 | p0=A1[good,ok,cd] s0=X next0=NONE | net=old",
    "boots 1.0.0 | p0=A1[good,ok,cd] s0=X next0=NONE | net=old",
)
CRASHED = ("crash (wrong code) | p0=X[good,cd] s0=A1 next0=REVERT | net=old", *TRIED[1:])
OVERWRITTEN = ("boots 2.0.0 | p0=X[good] s0=? next0=NONE | net=old",) * 3
DEAD = ("crash (wrong code) | p0=X[good] s0=? next0=NONE | net=old",) * 3
ERASED = ("boots 1.0.0 | p0=A1 s0=blank next0=NONE | net=old",) * 3
TAKEN = ("boots 1.0.0 | p0=A1 s0=X next0=NONE | net=new",) * 3
LOWERED = ("boots 1.0.0 | p0=A1 s0=X next0=NONE | net=low",) * 3
REFUSED = ("boots 1.0.0 | p0=A1[unset,ok] s0=X next0=NONE | net=old",) * 3
REPEATED = ("boots 1.0.0 | p0=A1[unset,ok] s0=X[good] next0=TEST | net=old",) * 3
GARBAGE = ("boots 1.0.0 | p0=A1 s0=X[good] next0=TEST | net=partial",) * 3
PENDING = ("boots 1.0.0 | p0=A1 s0=X[good] next0=TEST | net=new",) * 3
FORGOTTEN = ("boots 1.0.0 | p0=A1 s0=? next0=NONE | net=new",) * 3
FORGOTTEN_OLD = ("boots 1.0.0 | p0=A1 s0=? next0=NONE | net=old",) * 3

ROWS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("scratch", "app test", ALL, TRIED),
    ("scratch", "net accepted, test", ALL, TAKEN),
    ("scratch", "net refused", (*FROM_2_5, *FROM_2_8), REPEATED),
    ("scratch", "net refused", NEW, REFUSED),
    ("offset", "net accepted, test", ("3.0", "3.1"), CRASHED),
    ("offset+load", "app test", ("3.4.0", *NEW), TRIED),
    ("offset+load", "app without load address", ("3.4.0", *NEW), ERASED),
    ("offset+load", "net accepted, test", ("3.4.0",), ERASED),
    ("offset+load", "net accepted, test", NEW, REFUSED),  # b0n is given the first sector, which is blank
    ("offset+load", "net hang", NEW, ("HANG | p0=A1 s0=X[good] next0=TEST | net=old",)),
    ("offset+load", "net linked for b0n area 0x01002800", ("3.4.0", *NEW), ERASED),
    ("offset+enc", "app encrypted", OFFSET_PM, TRIED),
    ("offset+enc", "net accepted, test", OFFSET_PM, CRASHED),
    ("offset+enc", "net encrypted", OFFSET_PM, CRASHED),
    ("over+enc", "app encrypted", FROM_2_5, GARBAGE),
    ("over+enc", "app encrypted", (*FROM_2_8, *NEW), OVERWRITTEN),
    ("over+enc", "net encrypted", (*FROM_2_8, *NEW), DEAD),
    ("over+enc", "net accepted, test", (*FROM_2_5, *FROM_2_8), PENDING),
    ("over+enc", "net accepted, test", NEW, FORGOTTEN),
    ("move+down", "app downgrade test", ALL, ERASED),
    ("move+down", "net, header version below app's", ALL, TAKEN),
    ("move+down", "net, b0n version lower (vcmp -1)", ALL, LOWERED),
    ("move+down+version", "net accepted, test", ALL, TAKEN),
    ("move+down+version", "net, b0n version lower (vcmp -1)", (*FROM_2_5, *FROM_2_8), LOWERED),
    ("move+down+version", "net, b0n version lower (vcmp -1)", NEW, REFUSED),
    ("move+down+version", "net, version unreadable (vcmp -14)", NEW, REFUSED),
    ("over+down+version", "net, b0n version lower (vcmp -1)", NEW, FORGOTTEN_OLD),
)

# The same for both image pairs.
NO_SECOND = "s1=blank next1=NONE"
WAITING = "s1=Y[good] next1=PEND"
STOPPED = f"assert | p0=X[good,cd] s0=A1 next0=REVERT {WAITING} | net=old"
STOPPED_ALONE = f"assert | p0=A1 s0=blank next0=NONE {WAITING} | net=old"
REVERTED = f"boots 1.0.0 | p0=A1[good,ok,cd] s0=X next0=NONE {NO_SECOND}"
BOTH_SWAPPED = (
    f"boots 2.0.0 | p0=X[good,cd] s0=A1 next0=REVERT {NO_SECOND} | net=new",
    *[f"{REVERTED} | net=new"] * 2,
)
ONE_SWAPPED = tuple(state.replace("net=new", "net=old") for state in BOTH_SWAPPED)
TWO_PAIRS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("simmove", "both", ASSERTING, (STOPPED,) * 3),
    ("simmove", "both", SWAPPING, BOTH_SWAPPED),
    ("simmove", "only app", ALL, ONE_SWAPPED),
    ("simmove", "only net", ASSERTING, (STOPPED_ALONE,) * 3),
    ("simmove", "only net", SWAPPING, (f"boots 1.0.0 | p0=A1 s0=blank next0=NONE {NO_SECOND} | net=new",) * 3),
    ("simmove", "both, net refused", SWAPPING, ONE_SWAPPED),  # nobody looks at what the hook says
    ("simmove", "both, net hangs", SWAPPING, (f"HANG | p0=X[good,cd] s0=A1 next0=REVERT {NO_SECOND} | net=old",)),
    ("simmove", "app image in image 1", ASSERTING, (STOPPED_ALONE,) * 3),
    (
        "simmove",
        "app image in image 1",
        SWAPPING,
        (f"boots 1.0.0 | p0=A1 s0=blank next0=NONE {NO_SECOND} | net=old",) * 3,
    ),
    (
        "sim+enc",
        "net image in image 0",
        ALL,
        (f"crash (wrong code) | p0=X[good] s0=? next0=NONE {NO_SECOND} | net=old",) * 3,
    ),
    ("sim+enc", "app image in image 1", ALL, (STOPPED_ALONE,) * 3),
)


@pytest.mark.parametrize(("variant", "case", "names", "states"), [*ROWS, *TWO_PAIRS], ids=lambda one: str(one)[:40])
def test_builds_that_were_only_read(variant: str, case: str, names: tuple[str, ...], states: tuple[str, ...]) -> None:
    made = Variant(variant)
    for name in names:
        device = device_of(made, releases_of(name)[0], setup_of(made, case))
        assert (name, *list(device.states(len(states)))[1:]) == (name, *states)


def test_encrypted_images_of_both_cores_are_decrypted_on_their_way() -> None:
    setup = Setup(replace(APP, encrypt=True), replace(NET2, encrypt=True))
    for name in ALL:
        device = device_of(Variant("sim+enc"), releases_of(name)[0], setup)
        assert next(reversed(list(device.states(1)))) == (
            "boots 2.0.0 | p0=X[good] s0=? next0=NONE s1=? next1=NONE | net=new"
        )


# --- what the rows of the table say of builds with more options -----------------------------------------------------


def device(name: str, variant: str = "move", running: Make = RUNNING, **options: Any) -> TruthDevice:
    """A device of a release, whose build has these options beside the variant's."""
    made = TruthDevice(Variant(variant), releases_of(name)[0], running=running)
    made.keys = replace(made.keys, options=replace(made.keys.options, **options))
    return made


@pytest.mark.parametrize(("name", "found"), [("3.3", "net=new"), ("3.4.0", "net=new"), ("3.4.1", "net=old")])
def test_beside_a_split_xip_image_the_newest_loaders_look_for_no_network_image(name: str, found: str) -> None:
    made = device(name, xip_split=True)
    made.stage(NET)
    assert list(made.states(1))[1].endswith(found)


APP_CLASS, NET_CLASS = bytes(16), bytes(range(16))
CLASSES: dict[str, Any] = {"app_class": APP_CLASS, "net_class": NET_CLASS}


@pytest.mark.parametrize(
    ("name", "named", "net", "state"),
    [
        ("3.4.0", NET_CLASS, True, "boots 1.0.0 | p0=A1 s0=X next0=NONE | net=new"),
        ("3.4.1", NET_CLASS, True, "boots 1.0.0 | p0=A1 s0=X next0=NONE | net=new"),
        ("3.4.0", None, True, "boots 1.0.0 | p0=A1 s0=X[good] next0=TEST | net=old"),
        ("3.4.1", None, False, "boots 1.0.0 | p0=A1 s0=X[good] next0=TEST | net=old"),
        ("3.4.1", b"someone else's id"[:16], False, "boots 1.0.0 | p0=A1[unset,ok] s0=blank next0=NONE | net=old"),
        ("3.4.0", APP_CLASS, False, "boots 1.0.0 | p0=A1 s0=X[good] next0=TEST | net=old"),
        ("3.4.1", APP_CLASS, False, "boots 2.0.0 | p0=X[good,cd] s0=A1 next0=REVERT | net=old"),
    ],
)
def test_class_uuids_tell_whom_an_image_is_for(name: str, named: bytes | None, net: bool, state: str) -> None:
    made = device(name, **CLASSES)
    made.stage(replace(NET if net else APP, class_id=named))
    assert list(made.states(1))[1] == state


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_class_of_another_length_names_nobody(size: int) -> None:
    """``read_image_uuid_tlv``: the image stays where it is, pending."""
    made = device("3.4.1", **CLASSES)
    named = (Tlv(TlvType.UUID_CID, bytes(size)), Tlv(0xA0, b"x"))
    image = with_protected(Image.from_bytes(made.make(APP, "X")), SIGNING, *named)
    made.known["X"] = {image.to_bytes()}
    made.slots[0].secondary.area.program(0, image.to_bytes() + b"\xff" * (-image.size_bytes % 4))
    made.slots[0].secondary.set_pending(permanent=False)
    assert list(made.states(1))[1] == "boots 1.0.0 | p0=A1 s0=X[good] next0=TEST | net=old"


@pytest.mark.parametrize(
    ("layout", "options", "words"),
    [
        ("nrf5340dk-staged-offset", {"loader": Loader(releases_of("2.9")[0])}, "has no swap using offset"),
        ("nrf5340dk-staged", {"loader": Loader(releases_of("3.3")[0]), **CLASSES}, "does not go by class UUIDs"),
        (
            "nrf5340dk-staged",
            {"loader": Loader(releases_of("3.1")[0]), "check_address": AddressCheck.HEADER},
            "cannot check the load address",
        ),
    ],
)
def test_there_is_no_build_with_what_a_release_does_not_have(layout: str, options: dict[str, Any], words: str) -> None:
    keys = BootKeys((SIGNING.public,), options=BootOptions(**options))
    with pytest.raises(ValueError, match=words):
        build_of(LAYOUTS[layout], keys)


@pytest.mark.parametrize(("name", "net"), [("2.9", "blank"), ("3.3", "blank"), ("3.4.1", "new")])
def test_a_staged_build_that_checks_vectors_erases_network_images_before_3_4_1(name: str, net: str) -> None:
    made = device(name, "over", check_address=AddressCheck.VECTOR)
    made.stage(NET)
    state = list(made.states(1))[1]
    assert ("s0=blank" in state) == (net == "blank")
    assert state.endswith("net=old" if net == "blank" else "net=new")


@pytest.mark.parametrize(("name", "runs"), [("2.9", False), ("3.0", True)])
def test_the_network_image_s_rollback_counter_is_left_to_nsib_from_3_0_on(name: str, runs: bool) -> None:
    """Before, MCUboot looks for the counter in the RAM that is the network core's slot, and finds none."""
    made = device(name, "sim", replace(RUNNING, counter=1), rollback_protection=True)
    assert (made.boot().ending is Ending.RUNS) == runs


def test_a_version_that_cannot_be_read_counts_as_lower() -> None:
    """Protected TLVs move the place where firmware info is looked for: an image with any is erased."""
    for what, taken in ((NET2, True), (replace(NET2, needs=((0, APP.version),)), False)):
        made = device("3.4.1", "sim+verify+down", reads_net_version=True)
        made.stage(APP, 0)
        made.stage(what, 1)
        assert made.boot().net_updated is taken
    made = TruthDevice(Variant("sim+verify+down+version"), releases_of("3.4.1")[0], blank_net=True)
    made.stage(NET2, 1)
    assert not made.boot().net_updated


# --- b0n that does not go by keys -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "ending", "net"),
    [(B0n.ACCEPTS, Ending.RUNS, "partial"), (B0n.REFUSES, Ending.RUNS, "old"), (B0n.SILENT, Ending.HANG, "old")],
)
def test_b0n_can_answer_always_alike(answers: B0n, ending: Ending, net: str) -> None:
    made = TruthDevice(Variant("move"), releases_of("latest")[0], answers)
    made.stage(replace(NET, damaged=True))
    for _ in range(2):
        assert made.boot().ending is ending
        assert made._firmware() == net


# --- trailers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "clears"), [(UPSTREAM, True), (UPSTREAM_OLD, False), (releases_of("2.9")[0], False)]
)
def test_an_update_without_an_image_over_a_trial_ends_the_trial_in_one_boot(release: Release, clears: bool) -> None:
    """The mark goes first; then the trailers ask for a revert to nothing."""
    made = TruthDevice(Variant("move"), release)
    made.stage(APP)
    made.boot()
    secondary = made.slots[0].secondary
    secondary.area.erase_all()
    secondary.set_pending(permanent=False)
    made.boot()
    assert secondary.trailer().magic == "unset"
    assert (made.slots[0].primary.trailer().magic == "unset") == clears


@pytest.mark.parametrize("kind", [0, 6, 7, 15])
def test_a_swap_of_an_unknown_type_stops_mcuboot(kind: int) -> None:
    made = TruthDevice(Variant("move"), UPSTREAM)
    made.stage(APP)
    primary = made.slots[0].primary
    primary.write_swap_info(kind)
    primary.write_magic()
    made.slots[0].secondary.erase_trailer()
    assert made.boot().ending is Ending.ASSERT
    assert made.log[-2:] == ["E: panic!", 'assertion "0" failed']


def test_a_header_s_flags_count_whatever_its_magic_is() -> None:
    made = TruthDevice(Variant("move"), UPSTREAM)
    made.stage(APP)
    secondary = made.slots[0].secondary
    secondary.area.program(0, bytes(4))  # the magic is gone ...
    assert made.boot().swap_type is SwapType.NONE
    assert secondary.area.read_all().count(FLAG_SET) < secondary.area.size_bytes  # erased: it is no image
    made.stage(replace(APP, non_bootable=True))
    secondary.area.program(0, bytes(4))
    before = secondary.area.read(0, 8000)
    made.boot()
    assert secondary.area.read(0, 8000) == before  # ... and this one says that it is none
    assert secondary.trailer().magic == "unset"


def test_swap_using_offset_takes_the_other_sector_where_it_finds_no_magic() -> None:
    """The first one, which is blank: so the image is not erased, only its mark."""
    made = TruthDevice(Variant("offset"), UPSTREAM)
    made.stage(APP)
    secondary, sector = made.slots[0].secondary, made.layout.sector_size
    secondary.area.program(sector, bytes(4))
    before = secondary.area.read(sector, 8000)
    assert made.boot().ending is Ending.RUNS
    assert secondary.area.read(sector, 8000) == before
    assert secondary.trailer().magic == "unset"


@pytest.mark.parametrize(("magic", "runs"), [(bytes(4), Ending.NO_IMAGE), (b"\xff" * 4, Ending.RUNS)])
def test_downgrade_prevention_of_a_loader_that_overwrites_believes_a_damaged_header(magic: bytes, runs: Ending) -> None:
    """Only where the magic is erased is there nothing to compare with."""
    made = TruthDevice(Variant("over+down"), UPSTREAM)
    primary = made.slots[0].primary.area
    header = magic + primary.read(4, 28)
    made.chip.program(primary.region.start, header)
    made.stage(replace(APP, version=replace(APP.version, major=0, minor=9)))
    assert made.boot().ending is runs
    assert (made.slots[0].secondary.area.read_all().count(0xFF) == made.layout.secondary.size_bytes) == any(
        "nsufficient version" in line for line in made.log
    )
    assert any("nsufficient version" in line for line in made.log) == (runs is Ending.NO_IMAGE)
