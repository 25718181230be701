"""Which loader a device may have, and what a slot after a reset proves: value by value, without a device."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.decide.checks.loader.loaders import builds_of, is_surely_handed_over
from smpdfu.dfu.decide.evidence import Bootloader, Clue, Evidence, Source, behaviour_clue, given_clue, journal_clues
from smpdfu.dfu.decide.proof import net_taken, picture
from smpdfu.dfu.decide.proof_value import Proof, ProofSource
from smpdfu.dfu.package.images import Role
from smpdfu.image.nrf5340 import NET
from smpdfu.loaders.proof import Picture
from smpdfu.loaders.releases import UPSTREAM, releases_of
from smpdfu.loaders.rules import NORDIC, Build, Loader
from smpdfu.smp.groups.image import ImageSlot
from smpdfu.smp.groups.os import BootloaderMode

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker, State


def clue(*releases: str, source: Source = Source.PERSON) -> Clue:
    """One that fits these releases."""
    found = frozenset(one for one in NORDIC if one.release.name in releases)
    assert found
    return Clue(source, " ".join(releases), found)


def releases(evidence: Evidence) -> set[str]:
    return {one.release.name for one in evidence.loaders}


def test_each_clue_excludes_some_and_contradictions_exclude_nothing_more() -> None:
    both = Evidence((clue("2.8", "2.9"), clue("2.9", "3.0")))
    assert (releases(both), both.contradicts) == ({"2.9"}, False)
    against = Evidence((clue("2.8"), clue("3.0")))
    assert (releases(against), against.contradicts) == ({"2.8", "3.0"}, True)
    assert Evidence().loaders == NORDIC


def overwriting(name: str) -> Build:
    return Build(Loader(releases_of(name)[0]), overwrites=True)


BUILDS = (overwriting("2.5"), overwriting("3.4.1"))


@pytest.mark.parametrize(
    ("seen", "taken", "left"),
    [
        (Picture.PENDING, None, {"2.5"}),
        (Picture.PENDING, True, {"2.5"}),
        (Picture.GONE, None, set[str]()),  # every loader erases an image that it does not accept
        (Picture.GONE, True, {"3.4.1"}),
        (Picture.LISTED, None, set[str]()),  # none of them leaves that
    ],
)
def test_what_a_reset_left_says_of_the_loader(seen: Picture, taken: bool | None, left: set[str]) -> None:
    clues = behaviour_clue(BUILDS, seen, taken)
    assert {one.release.name for found in clues for one in found.loaders} == left
    assert all(found.source is Source.BEHAVIOUR for found in clues)


def test_what_an_earlier_update_noted_is_the_journal_s() -> None:
    now, earlier = clue("2.9", source=Source.CONSOLE), clue("3.0", source=Source.MODE)
    found = journal_clues([now.to_entry()], [earlier.to_entry(), {"loader": ["9.9/pm"]}])
    assert [(one.source, one.text) for one in found] == [
        (Source.CONSOLE, "2.9"),
        (Source.JOURNAL, "3.0 (bootloader info)"),
    ]


@pytest.mark.parametrize(
    ("given", "noted", "start"),
    [
        (None, 0x0100_8800, 0x0100_8800),
        (0x0100_2800, 0x0100_8800, 0x0100_2800),
        (None, NET.end, None),
        (None, 0xC000, None),
        (None, "0x1008800", None),
        (None, None, None),
    ],
)
def test_where_the_network_application_is(given: int | None, noted: object, start: int | None) -> None:
    found = Bootloader(net_address=given).net({"net_address": noted})
    assert found == (None if start is None else range(start, NET.end))


# --- what the slots show ---------------------------------------------------------------------------------------------


def test_how_an_image_shows(make: Maker, state: State) -> None:
    image = make.image(Role.NET)
    old, held = state().slots[0], ImageSlot(slot=1, version="2.0.0", hash=image.hash)
    net_runs = ImageSlot(image=1, slot=0, version="2.0.0", hash=image.hash)
    untold = ImageSlot(slot=1, version="2.0.0", hash=None)
    assert picture(image, state(old, replace(held, pending=True))) is Picture.PENDING
    assert picture(image, state(old, held)) is Picture.LISTED
    assert picture(image, state(old)) is Picture.GONE
    assert picture(image, state(old, untold)) is None
    assert picture(image, state(replace(old, hash=image.hash))) is Picture.GONE, "what runs does not wait"
    assert picture(image, state(old, net_runs)) is Picture.GONE, "nor does what the network core's slot has"


def test_a_version_that_says_otherwise_proves_nothing(make: Maker, state: State) -> None:
    image, printed = make.image(Role.NET), Proof(True, "It was updated.", ProofSource.CONSOLE)
    told = Proof(False, "It runs 1.0.0.", ProofSource.VERSION)
    assert net_taken(image, state(proof=printed)).value is True
    assert net_taken(image, state(), told).value is False
    found = net_taken(image, state(proof=printed), told)
    assert (found.value, found.source) == (None, None)
    assert found.lines == ("It was updated. It runs 1.0.0.", "These contradict each other: check the radio.")


def test_a_hand_over_is_sure_where_the_place_is_known(make: Maker, state: State) -> None:
    known = state(mode=BootloaderMode.SWAP_USING_MOVE, evidence=Evidence(given_clue("2.9", None)))
    usual, odd = make.image(Role.NET), make.image(Role.NET, address=0x0100_2800)
    assert is_surely_handed_over(usual, known)
    assert not is_surely_handed_over(odd, known)
    assert is_surely_handed_over(odd, replace(known, net=range(0x0100_2800, NET.end)))
    upstream = Clue(Source.PERSON, "either", known.evidence.loaders | {Loader(UPSTREAM)})
    assert not is_surely_handed_over(usual, replace(known, evidence=Evidence((upstream,))))
    # There the loader takes it for the application's: it is swapped in and back, and listed as after a hand-over.
    assert not is_surely_handed_over(odd, replace(known, net=range(0x0100_8800, NET.end)))


def test_loaders_that_swap_by_offset_count_where_the_device_says_so(state: State) -> None:
    move, offset = (state(mode=mode) for mode in (BootloaderMode.SWAP_USING_MOVE, BootloaderMode.SWAP_USING_OFFSET))
    assert builds_of(move)
    assert not any(build.by_offset for build in builds_of(move))
    assert builds_of(offset)
    assert all(build.by_offset for build in builds_of(offset))
    assert not builds_of(replace(move, recovery=True))
    unsure = state(mode=None)
    assert builds_of(unsure)
    assert not any(build.by_offset for build in builds_of(unsure))


def test_what_is_listed_proves_a_hand_over_where_that_is_sure(make: Maker, state: State) -> None:
    for address, value, source in ((0x0100_8800, True, ProofSource.SLOTS), (0x0100_2800, None, None)):
        image = make.image(Role.NET, address=address)
        held = ImageSlot(slot=1, version="2.0.0", hash=image.hash)
        evidence = Evidence(given_clue("2.9", None))
        found = net_taken(image, state(state().slots[0], held, mode=BootloaderMode.SWAP_USING_MOVE, evidence=evidence))
        assert (found.value, found.source) == (value, source)
        assert (found.code == "net-elsewhere") is (value is None)
