"""MCUboot's update of itself, decided: tables of device states, journals and packages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.dfu.decide.b0 import B0State, starts
from smpdfu.dfu.decide.checks.findings import Severity
from smpdfu.dfu.decide.checks.mcuboot import MCUBOOT_CHECKS
from smpdfu.dfu.decide.checks.preflight import preflight
from smpdfu.dfu.decide.device_state import DeviceState, Past
from smpdfu.dfu.decide.evidence import Bootloader
from smpdfu.dfu.decide.record import DONE, FAILED, REVERTED, Record, replay
from smpdfu.dfu.decide.steps.mcuboot_update import b0_known
from smpdfu.dfu.decide.steps.plan import in_place, make_plan
from smpdfu.dfu.decide.steps.rules import MCUBOOT, SIMULTANEOUS, STAGED, Policy
from smpdfu.dfu.decide.steps.variants import for_device
from smpdfu.dfu.do.update import Wish, decide
from smpdfu.dfu.package.images import Core, Role
from smpdfu.dfu.package.package import Package
from smpdfu.errors import PlanError
from smpdfu.image.nsib.trusted_keys import NsibKeys
from smpdfu.smp.groups.image import ImageSlot
from smpdfu.smp.groups.os import BootloaderMode
from tests.dfu.conftest import BOTH, IDLE, OLD, noted
from tests.dfu.mcuboot_images import SLOT_START, both_slots, mcuboot_image

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker, State

ALL = [step.name for step in MCUBOOT]
NO_WAY_BACK, VERSION = ("mcuboot-no-way-back", Severity.WARNING), ("mcuboot-version", Severity.NOTE)
USUAL = [NO_WAY_BACK, VERSION]


def asked(told: int | None = 0, **known: Any) -> B0State:
    return B0State(told, **known)


def journal(steps: list[str], slot: int = 1, end: str | None = None, package: str = "", **more: Any) -> Record:
    return Record(package or "p", frozenset(steps), end, about={"mcuboot": [slot, 2]}, **more)


# --- which slot it is for ---------------------------------------------------------------------------------------------

NOT_COPIED = replace(journal(ALL, end=DONE), about={"mcuboot": [1, 2], "b0_before": 1})
# What the device tells, what a person says, the journal of this package, --again, and the slot that is wanted.
TARGETS: list[tuple[str, int | None, int | None, Record, bool, int | None]] = [
    ("told 0", 0, None, Record(), False, 1),
    ("told 1", 1, None, Record(), False, 0),
    ("nobody knows", None, None, Record(), False, None),
    ("a person says", None, 1, Record(), False, 0),
    ("a person is believed more", 0, 1, Record(), False, 0),
    ("only begun", 1, None, journal([]), False, 0),
    ("sent, not restarted", 0, None, journal(ALL[:1]), False, 1),
    ("sent, restarted by itself", 1, None, journal(ALL[:1]), False, 1),
    ("sent, and a person still says what was right before", None, 0, journal(ALL[:3]), False, 1),
    ("there by the journal", 1, None, journal(ALL, end=DONE), False, 1),
    ("there by the journal, the device does not tell", None, 0, journal(ALL, end=DONE), False, 1),
    ("it was not there: that slot was active before, too", 1, None, NOT_COPIED, False, 0),
    ("another one is active since", 0, None, journal(ALL, end=DONE), False, 1),
    ("the same for slot 0, another one is active since", 1, None, journal(ALL, 0, DONE), False, 0),
    ("there, and once more", 1, None, journal(ALL, end=DONE), True, 0),
    ("the update failed", 0, None, journal(ALL[:3], end=REVERTED), False, 1),
    ("b0 refused slot 1, and the device counts it all the same", 1, None, Record(past={"b0_refused": 1}), False, None),
    ("b0 refused slot 1, a person says", 1, 0, Record(past={"b0_refused": 1}), False, 1),
    ("b0 refused slot 1 once, now the device tells slot 0", 0, None, Record(past={"b0_refused": 1}), False, 1),
]


@pytest.mark.parametrize(
    ("name", "told", "given", "record", "again", "wanted"), TARGETS, ids=[row[0] for row in TARGETS]
)
def test_the_slot_it_is_for(
    state: State, name: str, told: int | None, given: int | None, record: Record, again: bool, wanted: int | None
) -> None:
    known = b0_known(state(b0=asked(told)), record, Bootloader(active_b0_slot=given), again=again)
    assert (known.target, known.told, known.before) == (wanted, told, None if record.unfinished else told)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("target", [0, 1])
def test_the_variant_for_that_slot_is_chosen(make: Maker, state: State, target: int, named: bool) -> None:
    package, device = for_device(both_slots(make, named=named), state(b0=asked(1 - target, target=target)))
    (chosen,) = package.images
    assert (chosen.slot, chosen.load_address) == (target, SLOT_START[target])
    assert [one.slot for one in device.b0.variants] == [0, 1]


def test_a_slot_that_nobody_knows_is_asked_for(make: Maker, state: State) -> None:
    with pytest.raises(PlanError, match="Say which slot runs") as error:
        for_device(both_slots(make), state(b0=asked(None)))
    assert error.value.code == "b0-slot-unknown"
    with pytest.raises(PlanError, match="reports slot 1 by its version, and in the last update b0 refused") as error:
        for_device(both_slots(make), state(b0=asked(1, refused=1)))
    assert error.value.code == "b0-slot-unknown"


@pytest.mark.parametrize("target", [0, 1])
def test_a_package_without_the_variant_is_refused(make: Maker, state: State, target: int) -> None:
    package = Package((make.image(), mcuboot_image(make, 1 - target)))
    with pytest.raises(PlanError, match=f"so the device needs the file for slot {target}") as error:
        for_device(package, state(b0=asked(1 - target, target=target)))
    assert error.value.code == "mcuboot-variant"


def test_without_mcuboot_nothing_is_asked(make: Maker, state: State) -> None:
    package, device = for_device(make.package(), state(b0=asked(None)))
    assert (len(package.images), device.b0.variants) == (2, ())


# --- the steps that are left ------------------------------------------------------------------------------------------

WAITS = ("pending",)
# What waits in the secondary slot ("new": the image), its flags, what the device tells, the journal, the steps left.
STEPS: list[tuple[str, str, tuple[str, ...], int | None, Record, list[str]]] = [
    ("new", "", (), 0, Record(), ALL),
    ("sent by us", "new", (), 0, journal(ALL[:1]), ALL[1:]),
    ("sent by somebody else", "new", (), 0, Record(), ALL),
    ("another image lies there", "other", (), 0, journal(ALL[:1]), ALL),
    ("marked", "new", WAITS, 0, journal(ALL[:2]), ALL[2:]),
    ("marked, journal lost", "new", WAITS, 0, Record(), ALL[2:]),
    ("copied, and it still waits", "new", WAITS, 1, journal(ALL[:2]), ALL[3:]),
    ("copied, and the reset was not noted", "", (), 1, journal(ALL[:2]), ALL[3:]),
    ("copied by a reset of the device itself", "", (), 1, journal(ALL[:1]), ALL[3:]),
    ("gone after the reset, and the old one is active", "", (), 0, journal(ALL[:3]), ALL[3:]),
    ("gone after the reset, the device does not tell", "", (), None, journal(ALL[:3]), ALL[3:]),
    ("sent, then the slot was erased", "", (), 0, journal(ALL[:1]), ALL),
    ("checked, the end was not noted", "", (), 1, journal(ALL), []),
    ("done", "", (), 1, journal(ALL, end=DONE), []),
    ("done, the device does not tell", "", (), None, journal(ALL, end=DONE), []),
    ("reverted before", "", (), 0, journal(ALL[:3], end=REVERTED), ALL),
    ("failed before, left in the slot", "new", (), 0, journal(ALL[:3], end=FAILED), ALL),
    ("the journal is about the other variant", "", (), 1, journal(ALL[:3], slot=0), ALL),
]


def slots_of(lies: str, flags: tuple[str, ...], hash_: bytes | None) -> tuple[ImageSlot, ...]:
    if not lies:
        return (OLD,)
    content = hash_ if lies == "new" else b"\x22" * 32
    return (OLD, ImageSlot(slot=1, version="1.2.0", hash=content, **dict.fromkeys(flags, True)))


@pytest.mark.parametrize(("name", "lies", "flags", "told", "record", "left"), STEPS, ids=[row[0] for row in STEPS])
@pytest.mark.parametrize("both", [False, True], ids=["one pair", "two pairs"])
def test_the_steps_that_are_left(
    make: Maker,
    state: State,
    both: bool,
    name: str,
    lies: str,
    flags: tuple[str, ...],
    told: int | None,
    record: Record,
    left: list[str],
) -> None:
    image = mcuboot_image(make, 1)
    slots = slots_of(lies, flags, image.hash)
    device = replace(BOTH, slots=slots) if both else state(*slots)
    plan = make_plan(Package((image,)), replace(device, b0=asked(told, target=1)), record)
    assert [step.name for step in plan.steps] == left
    assert bool(in_place(Package((image,)), plan)) is not bool(left)


@pytest.mark.parametrize("policy", [Policy.TEST_AND_CONFIRM, Policy.CONFIRM_ONLY])
def test_in_a_package_of_everything_it_goes_last(make: Maker, state: State, policy: Policy) -> None:
    package = Package((make.image(), make.image(Role.NET), mcuboot_image(make, 1)))
    staged = [step.name for step in make_plan(package, state(b0=asked(target=1)), policy=policy).steps]
    marked = "keep app" if policy is Policy.CONFIRM_ONLY else "test app"
    assert staged == [name.replace("test app", marked) for name in [step.name for step in STAGED] + ALL]
    both = [step.name for step in make_plan(package, replace(BOTH, b0=asked(target=1)), policy=policy).steps]
    assert both == [step.name for step in SIMULTANEOUS if step.name != "reset net"] + ALL


def test_what_the_journal_says_of_it_is_old_where_the_slot_is_needed_first(make: Maker, state: State) -> None:
    package = Package((make.image(), mcuboot_image(make, 1)))
    left = make_plan(package, state(b0=asked(0, target=1)), journal(ALL[:3])).steps
    assert [step.name for step in left] == [step.name for step in STAGED[:5]] + ALL


def test_one_slot_holds_one_image(make: Maker, state: State) -> None:
    package = Package((make.image(), mcuboot_image(make, 1)))
    for device in (state(), BOTH):
        with pytest.raises(PlanError, match="cannot wait in it together"):
            make_plan(package, device, policy=Policy.UPLOAD_ONLY)
    plan = make_plan(Package((mcuboot_image(make, 1),)), state(), policy=Policy.UPLOAD_ONLY)
    assert [step.name for step in plan.steps] == ALL[:1]


@pytest.mark.parametrize(
    "mode",
    [BootloaderMode.DIRECT_XIP, BootloaderMode.RAM_LOAD, BootloaderMode.FIRMWARE_LOADER, BootloaderMode.SINGLE_APP],
)
def test_other_bootloaders_do_not_update_themselves(make: Maker, state: State, mode: BootloaderMode) -> None:
    package, device = for_device(both_slots(make), state(mode=mode))
    plan = make_plan(package, device)
    assert (plan.steps, len(plan.left_out)) == ((), 2)
    codes = [(one.code, one.severity) for one in preflight(package, device) if one.severity is Severity.ERROR]
    assert codes == [("nothing-to-install", Severity.ERROR)] * 2


# --- findings ---------------------------------------------------------------------------------------------------------

Case = Callable[["Maker"], Package]
KNOWN = Past(mcuboot=(0, 2))


def of(**how: Any) -> Case:
    return lambda make: both_slots(make, **how)


def pair(zero: dict[str, Any], one: dict[str, Any]) -> Case:
    return lambda make: Package((mcuboot_image(make, 0, **zero), mcuboot_image(make, 1, **one)))


LINKED = ("linked-elsewhere", Severity.ERROR)
ADDRESS, INFO = ("mcuboot-address", Severity.ERROR), ("mcuboot-info", Severity.ERROR)
# name, package, what is special about the device, findings.
FINDINGS: list[tuple[str, Case, dict[str, Any], list[tuple[str, Severity]]]] = [
    ("as it should be", of(), {}, USUAL),
    ("the manifest has the code's address", pair({"claimed": 0x8200}, {"claimed": 0x14200}), {}, USUAL),
    ("the version that runs is known", of(version=3), {"past": KNOWN}, [NO_WAY_BACK]),
    ("no higher version", of(version=2), {"past": KNOWN}, [("mcuboot-version", Severity.ERROR), NO_WAY_BACK]),
    ("a lower version", of(version=1), {"past": KNOWN}, [("mcuboot-version", Severity.ERROR), NO_WAY_BACK]),
    (
        "below the counter in a dump of b0",
        of(version=3),
        {"past": KNOWN, "nsib": NsibKeys(lowest_version=4)},
        [("mcuboot-version", Severity.ERROR), NO_WAY_BACK],
    ),
    ("as high as that counter", of(version=4), {"past": KNOWN, "nsib": NsibKeys(lowest_version=4)}, [NO_WAY_BACK]),
    ("known of the other slot", of(version=1), {"past": Past(mcuboot=(1, 2))}, USUAL),
    ("no firmware info", of(info=False), {}, [INFO, NO_WAY_BACK]),
    ("firmware info where b0 does not look", of(info_at=0x400), {}, [INFO, NO_WAY_BACK, VERSION]),
    ("encrypted", of(encrypted=True), {}, [INFO, NO_WAY_BACK, ("encrypted", Severity.NOTE)]),
    (
        "linked elsewhere",
        pair({}, {"linked": 0x30200}),
        {},
        [LINKED, ADDRESS, ("seal", Severity.ERROR), *USUAL],
    ),
    ("the manifest says another address", pair({}, {"claimed": 0x10000}), {}, [LINKED, ADDRESS, *USUAL]),
    ("both for one address", pair({}, {"start": 0x8000, "claimed": 0x8200}), {}, [ADDRESS, *USUAL]),
    ("exchanged", pair({"start": 0x14000}, {"start": 0x8000}), {}, [ADDRESS, *USUAL]),
    ("larger than its slot", of(size=0xC000), {}, [("too-large", Severity.ERROR), *USUAL]),
    (
        "a person says another slot",
        of(),
        {"b0": asked(1, given=0, target=1)},
        [NO_WAY_BACK, ("b0-slot-differs", Severity.WARNING), VERSION],
    ),
    (
        "another key than the last update",
        of(),
        {"past": Past(key=b"k" * 32)},
        [("key-changed", Severity.WARNING), *USUAL],
    ),
    ("an image on trial", of(), {"slots": (replace(OLD, confirmed=False),)}, [("unconfirmed", Severity.ERROR), *USUAL]),
    ("it cannot be rolled back anyway", of(), {"mode": BootloaderMode.OVERWRITE_ONLY}, USUAL),
    (
        "swap using offset",
        of(),
        {"mode": BootloaderMode.SWAP_USING_OFFSET},
        [("mcuboot-offset", Severity.ERROR), *USUAL],
    ),
    ("not for this board", of(), {"board": "nrf5340dk"}, USUAL),
]


def device_with(fields: dict[str, Any]) -> DeviceState:
    return replace(IDLE, **{"b0": asked(0, target=1), **fields})


def codes_of(package: Package, device: DeviceState) -> list[tuple[str, Severity]]:
    return [(one.code, one.severity) for one in noted(preflight(*for_device(package, device)))]


@pytest.mark.parametrize(("name", "case", "fields", "found"), FINDINGS, ids=[row[0] for row in FINDINGS])
def test_findings(
    make: Maker, name: str, case: Case, fields: dict[str, Any], found: list[tuple[str, Severity]]
) -> None:
    assert sorted(codes_of(case(make), device_with(fields))) == sorted(found)


def test_every_check_has_a_row(make: Maker) -> None:
    for check in MCUBOOT_CHECKS:
        seen = False
        for _, case, fields, _ in FINDINGS:
            package, device = for_device(case(make), device_with(fields))
            seen = seen or any(list(check(image, device)) for image in package.images)
        assert seen, check


def test_it_waits_for_nobody_but_itself(make: Maker, state: State) -> None:
    """Marked, it is no foreign image in the way; before its turn it would be."""
    image = mcuboot_image(make, 1)
    waiting = ImageSlot(slot=1, version="1.2.0", hash=image.hash, pending=True)
    device = state(OLD, waiting, b0=asked(0, target=1))
    assert codes_of(both_slots(make), device) == USUAL
    package = Package((make.image(), image))
    assert ("pending", Severity.ERROR) in codes_of(package, device)
    runs = replace(OLD, hash=make.image().hash, version="2.0.0")
    assert ("pending", Severity.ERROR) not in codes_of(package, replace(device, slots=(runs, waiting)))


def test_the_images_of_a_package_have_one_key(make: Maker, state: State) -> None:
    package = Package((make.image(), mcuboot_image(make, 1, key=make.encryption)))
    assert ("net-key", Severity.ERROR) in codes_of(package, state(b0=asked(0, target=1)))


@pytest.mark.parametrize(
    ("version", "slot", "other", "first"),
    [(2, 0, 1, True), (2, 0, 2, True), (1, 0, 2, False), (2, 1, 1, True), (2, 1, 2, False), (1, 1, 2, False)],
)
def test_which_slot_b0_tries_first(version: int, slot: int, other: int, first: bool) -> None:
    """``s0_info->version >= s1_info->version`` (nrfconnect/sdk-nrf, samples/bootloader/src/main.c)."""
    assert starts(version, slot, other) is first


# --- the journal ------------------------------------------------------------------------------------------------------

BEGUN = {"update": "p", "about": {"mcuboot": [1, 3]}}
PROVEN, UNPROVEN, REFUSED = ({"mcuboot_proof": {"value": value, "reason": "x"}} for value in (True, None, False))
PASTS: list[tuple[str, list[dict[str, Any]], dict[str, Any]]] = [
    ("proven", [BEGUN, PROVEN, {"end": DONE}], {"mcuboot": [1, 3]}),
    ("not proven: what runs is not known", [BEGUN, UNPROVEN, {"end": DONE}], {}),
    ("refused", [BEGUN, REFUSED, {"end": REVERTED}], {"b0_refused": 1}),
    ("not started", [BEGUN, {"end": REVERTED}], {}),
    (
        "refused, then another one",
        [BEGUN, REFUSED, {"end": REVERTED}, {"update": "q", "about": {"mcuboot": [1, 4]}}, PROVEN, {"end": DONE}],
        {"mcuboot": [1, 4]},
    ),
    (
        "an application since",
        [BEGUN, PROVEN, {"end": DONE}, {"update": "q", "about": {"app": "aa"}}, {"end": DONE}],
        {"mcuboot": [1, 3], "app": "aa"},
    ),
]


@pytest.mark.parametrize(("name", "entries", "past"), PASTS, ids=[row[0] for row in PASTS])
def test_what_later_updates_know(name: str, entries: list[dict[str, Any]], past: dict[str, Any]) -> None:
    assert dict(replay(entries).past) == past


@pytest.mark.parametrize("noted", [None, 3, [1], [2, 3], [1, True], [1, "3"], {"slot": 1}])
def test_a_journal_with_another_thing_there(noted: object) -> None:
    assert Past.from_entry({"mcuboot": noted}).mcuboot is None


def test_a_second_call_finds_it_in_place_by_the_journal(make: Maker, state: State) -> None:
    package = both_slots(make)
    record = journal(ALL, end=DONE, package=package.digest, ended_at=1e9, mcuboot_proof={"value": True, "reason": "x"})
    done = decide(package, state(b0=asked(1)), record)
    assert (done.plan.steps, done.mcuboot_done_at, done.net_done_at) == ((), 1e9, None)
    assert done.proof is not None
    assert (done.proof.value, done.proof.code) == (None, "another-board")
    same = decide(package, state(b0=asked(1), hardware="ab"), replace(record, hardware="ab"))
    assert same.proof is not None
    assert same.proof.value is True
    again = decide(package, state(b0=asked(1)), record, Wish(again=True))
    assert [step.name for step in again.plan.steps] == ALL
    assert again.package.images[0].slot == 0


def test_only_mcuboot_or_all_but_mcuboot(make: Maker) -> None:
    package = Package((make.image(), make.image(Role.NET), mcuboot_image(make, 0), mcuboot_image(make, 1)))
    assert [one.role for one in package.only(Core.APP).images] == [Role.APP]
    assert [one.role for one in package.only(Core.NET).images] == [Role.NET]
    assert [one.role for one in package.only(Role.MCUBOOT).images] == [Role.MCUBOOT] * 2
