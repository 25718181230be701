"""The plan: a table of device states and journals, and the steps that are left in each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.decide.device_state import DeviceState, Scheme
from smpdfu.dfu.decide.record import DONE, FAILED, REVERTED, Record
from smpdfu.dfu.decide.steps.plan import make_plan, went_back
from smpdfu.dfu.decide.steps.rules import STAGED, Policy
from smpdfu.dfu.package.images import Core, Role
from smpdfu.errors import PlanError
from smpdfu.smp.groups.image import ImageSlot
from smpdfu.smp.groups.os import BootloaderMode
from tests.dfu.conftest import BOTH

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker, State

ALL = [step.name for step in STAGED]
APP, NET = ALL[:5], ALL[5:]


def slot(number: int, content: bytes | None, *flags: str) -> ImageSlot:
    return ImageSlot(slot=number, version="2.0.0", hash=content, **dict.fromkeys(("bootable", *flags), True))


def runs(content: bytes | None, *flags: str) -> ImageSlot:
    return slot(0, content, "active", *(flags or ("confirmed",)))


OLD, OTHER = b"\x11" * 32, b"\x22" * 32

# name, what runs, what is in the other slot, steps in the journal, steps left.
# "app" and "net" are the hashes of the package's images.
TABLE = [
    ("new device", ("old",), (), [], ALL),
    ("another image in the other slot", ("old",), ("other",), [], ALL),
    ("uploaded by us", ("old",), ("app",), APP[:1], ALL[1:]),
    ("uploaded by somebody else", ("old",), ("app",), [], ALL),
    ("journal says uploaded, the slot is empty", ("old",), (), APP[:1], ALL),
    ("pending", ("old",), ("app", "pending"), APP[:2], ALL[2:]),
    ("pending, journal lost", ("old",), ("app", "pending"), [], ALL[2:]),
    ("runs on trial", ("app", "bootable"), ("old", "confirmed"), APP[:2], ALL[3:]),
    ("runs on trial, journal lost", ("app", "bootable"), ("old", "confirmed"), [], ALL[3:]),
    ("checked, then swapped back", ("old",), ("app",), APP[:4], ALL[1:]),
    ("confirmed", ("app",), ("old",), APP, NET),
    ("confirmed, journal lost", ("app",), ("old",), [], NET),
    ("net uploaded", ("app",), ("net",), ALL[:6], NET[1:]),
    ("net uploaded, journal lost", ("app",), ("net",), [], NET),
    ("net pending", ("app",), ("net", "pending"), ALL[:7], NET[2:]),
    ("net pending, journal lost", ("app",), ("net", "pending"), [], NET[2:]),
    ("net handed over", ("app",), ("net",), ALL[:7], NET[3:]),
    ("net handed over, reset noted", ("app",), ("net",), ALL[:8], NET[3:]),
    ("net marked, the slot holds another image", ("app",), ("other",), ALL[:8], NET),
    ("net marked, the slot is empty", ("app",), (), ALL[:8], NET),
    ("all done", ("app",), ("net",), ALL, []),
    ("all done, then another app was flashed", ("old",), ("net",), ALL, ALL),
    ("all done, then the slot was erased", ("app",), (), ALL, NET),
]


@pytest.mark.parametrize(("name", "running", "other", "done", "left"), TABLE, ids=[row[0] for row in TABLE])
def test_steps_left(
    make: Maker,
    state: State,
    name: str,
    running: tuple[str, ...],
    other: tuple[str, ...],
    done: list[str],
    left: list[str],
) -> None:
    package = make.package()
    device = state(*slots_of(make, running, other))
    plan = make_plan(package, device, Record(package.digest, frozenset(done), DONE if done == ALL else None))
    assert [step.name for step in plan.steps] == left
    assert plan.scheme is Scheme.STAGED


def slots_of(make: Maker, running: tuple[str, ...], other: tuple[str, ...]) -> list[ImageSlot]:
    app, net = make.package().images
    hashes = {"old": OLD, "other": OTHER, "app": app.hash, "net": net.hash}
    slots = [runs(hashes[running[0]], *running[1:])]
    return slots + ([slot(1, hashes[other[0]], *other[1:])] if other else [])


@pytest.mark.parametrize(
    ("done", "end", "left"),
    [(ALL[:8], None, NET[3:]), (ALL, None, []), (ALL, DONE, NET), (ALL[:6], None, NET), ([], None, NET)],
    ids=["marked", "checked", "done", "sent", "lost"],
)
def test_a_bootloader_that_overwrites_leaves_an_empty_slot(
    make: Maker, state: State, done: list[str], end: str | None, left: list[str]
) -> None:
    """As does a new board on the same port: of an update that ended, the journal alone proves nothing."""
    package = make.package()
    device = state(*slots_of(make, ("app",), ()), mode=BootloaderMode.OVERWRITE_ONLY)
    assert [step.name for step in make_plan(package, device, Record("x", frozenset(done), end)).steps] == left


@pytest.mark.parametrize(
    ("done", "end", "left"),
    [(APP[:1], None, ALL[3:]), (APP[:3], None, ALL[3:]), (APP[:4], None, NET), ([], None, NET), (APP[:3], DONE, NET)],
)
def test_what_overwrites_is_confirmed_before_it_was_found_to_be_well(
    make: Maker, state: State, done: list[str], end: str | None, left: list[str]
) -> None:
    device = state(*slots_of(make, ("app",), ()), mode=BootloaderMode.OVERWRITE_ONLY)
    assert [step.name for step in make_plan(make.package(), device, Record("x", frozenset(done), end)).steps] == left


@pytest.mark.parametrize("end", [FAILED, REVERTED])
def test_what_failed_is_not_taken_for_handed_over(make: Maker, state: State, end: str) -> None:
    """The image lies in the slot again, put there by somebody else."""
    device = state(*slots_of(make, ("app",), ("net",)))
    assert [step.name for step in make_plan(make.package(), device, Record("x", frozenset(ALL[:7]), end)).steps] == NET


@pytest.mark.parametrize(("core", "steps"), [(Core.APP, APP), (Core.NET, NET)])
def test_a_package_for_one_core(make: Maker, state: State, core: Core, steps: list[str]) -> None:
    assert [step.name for step in make_plan(make.package(make.image(Role(core))), state()).steps] == steps


def test_the_order_rules_of_the_staged_scheme() -> None:
    assert APP == ["upload app", "test app", "reset app", "check app", "confirm app"]
    assert NET == ["upload net", "test net", "reset net", "check net"]
    assert all(step.words for step in STAGED)


# name, what runs, what is in slot 1 of image 0, of image 1, steps in the journal, steps left. The order is the point:
# nothing is marked before both are there, the network core first, one reset.
AT_ONCE = ["upload net", "upload app", "test net", "test app", "reset app", "check app", "confirm app", "check net"]
BOTH_TABLE = [
    ("new device", ("old",), (), (), [], AT_ONCE),
    ("net uploaded", ("old",), (), ("net",), AT_ONCE[:1], AT_ONCE[1:]),
    ("both uploaded", ("old",), ("app",), ("net",), AT_ONCE[:2], AT_ONCE[2:]),
    ("both uploaded by somebody else", ("old",), ("app",), ("net",), [], AT_ONCE),
    ("net marked", ("old",), ("app",), ("net", "pending"), AT_ONCE[:3], AT_ONCE[3:]),
    ("both marked", ("old",), ("app", "pending"), ("net", "pending"), AT_ONCE[:4], AT_ONCE[4:]),
    ("both marked, journal lost", ("old",), ("app", "pending"), ("net", "pending"), [], AT_ONCE[4:]),
    ("reset", ("app",), (), (), AT_ONCE[:4], AT_ONCE[5:]),
    ("reset noted", ("app",), (), (), AT_ONCE[:5], AT_ONCE[5:]),
    ("the application checked", ("app",), (), (), AT_ONCE[:7], AT_ONCE[7:]),
    ("all done", ("app",), (), (), AT_ONCE, []),
    ("the network core alone was reset", ("old",), ("app",), (), AT_ONCE[:3], [*AT_ONCE[3:]]),
    ("done, journal lost", ("app",), (), (), [], ["upload net", "test net", "reset net", "check net"]),
]


@pytest.mark.parametrize(("name", "running", "app", "net", "done", "left"), BOTH_TABLE, ids=[r[0] for r in BOTH_TABLE])
def test_steps_left_with_two_pairs(
    make: Maker,
    name: str,
    running: tuple[str, ...],
    app: tuple[str, ...],
    net: tuple[str, ...],
    done: list[str],
    left: list[str],
) -> None:
    package = make.package()
    slots = slots_of(make, running, app)
    slots += [replace(one, image=1) for one in slots_of(make, running, net)[1:]]
    plan = make_plan(package, replace(BOTH, slots=tuple(slots)), Record(package.digest, frozenset(done)))
    assert [step.name for step in plan.steps] == left
    assert plan.scheme is Scheme.SIMULTANEOUS


@pytest.mark.parametrize(
    ("core", "steps"),
    [
        (Core.APP, ["upload app", "test app", "reset app", "check app", "confirm app"]),
        (Core.NET, ["upload net", "test net", "reset net", "check net"]),
    ],
)
def test_one_core_of_two_pairs(make: Maker, core: Core, steps: list[str]) -> None:
    assert [step.name for step in make_plan(make.package(make.image(Role(core))), BOTH).steps] == steps


KEEP = ["upload app", "keep app", "reset app", "check app", "confirm app"]


@pytest.mark.parametrize(
    ("other", "done", "left"),
    [((), [], KEEP), (("app",), KEEP[:1], KEEP[1:]), (("app", "pending"), KEEP[:2], KEEP[2:])],
)
def test_for_good_at_once(make: Maker, state: State, other: tuple[str, ...], done: list[str], left: list[str]) -> None:
    device = state(*slots_of(make, ("old",), other))
    plan = make_plan(make.package(), device, Record("x", frozenset(done)), Policy.CONFIRM_ONLY)
    assert [step.name for step in plan.steps] == left + NET


def test_upload_only(make: Maker, state: State) -> None:
    app, net = make.package().images
    for image in (app, net):
        plan = make_plan(make.package(image), state(), None, Policy.UPLOAD_ONLY)
        assert [step.name for step in plan.steps] == [f"upload {image.core}"]
    there = state(*slots_of(make, ("old",), ("app", "pending")))
    assert not make_plan(make.package(app), there, None, Policy.UPLOAD_ONLY).steps
    with pytest.raises(PlanError, match="one slot"):
        make_plan(make.package(), state(), None, Policy.UPLOAD_ONLY)
    both = make_plan(make.package(), BOTH, None, Policy.UPLOAD_ONLY)
    assert [step.name for step in both.steps] == ["upload net", "upload app"]


@pytest.mark.parametrize(
    ("running", "other", "done", "end", "back"),
    [
        (("old",), ("app",), APP[:3], None, True),
        (("old",), (), APP[:2], None, True),
        (("old",), ("app", "pending"), APP[:2], None, False),
        (("app", "bootable"), ("old",), APP[:3], None, False),
        (("app",), ("old",), APP, None, False),
        (("old",), ("app",), APP[:4], None, False),
        (("old",), ("app",), APP[:1], None, False),
        (("old",), ("app",), APP[:3], REVERTED, False),
    ],
)
def test_a_trial_that_is_over_is_seen(
    make: Maker,
    state: State,
    running: tuple[str, ...],
    other: tuple[str, ...],
    done: list[str],
    end: str | None,
    back: bool,
) -> None:
    package = make.package()
    device: DeviceState = state(*slots_of(make, running, other))
    assert went_back(package, device, Record(package.digest, frozenset(done), end)) is back
    assert not went_back(make.package(make.image(Role.NET)), device, Record("x", frozenset(done), end))
    assert not went_back(package, replace(device, slots=()), Record("x", frozenset(done), end))
