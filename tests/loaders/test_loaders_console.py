"""What the console tells of a boot, and what an application that prints the same words cannot make it tell."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.loaders.boot_lines import MAX_TEXT, plain
from smpdfu.loaders.console import BootLog, read_boot
from smpdfu.loaders.releases import Generation
from smpdfu.loaders.rules import NORDIC

BANNER = (
    "*** Booting MCUboot v2.1.0-dev-12e5ee106034 ***",
    "*** Using nRF Connect SDK v2.9.0-7787b2649840 ***",
    "*** Using Zephyr OS v3.7.99-1f8f3dc29142 ***",
)
START, JUMP = "I: Starting bootloader", "I: Jumping to the first image slot"
SWAP = "I: Image index: 0, Swap type: test"
TAKEN = ("I: Starting network core update", "I: Turned on network core", "I: Done updating network core")
REFUSED = ("I: Starting network core update", "E: Network core update failed")
APPLICATION = "*** Booting nRF Connect SDK v3.4.1-0123456789ab ***"


def text(*parts: str | tuple[str, ...]) -> str:
    lines = [line for part in parts for line in ((part,) if isinstance(part, str) else part)]
    return "".join(f"{line}\r\n" for line in lines)


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        (text(BANNER, START, SWAP, TAKEN, JUMP, APPLICATION), True),
        (text(START, SWAP, TAKEN, JUMP), True),
        (text(BANNER, START, SWAP, REFUSED, JUMP, APPLICATION), False),
        (text(BANNER, START, SWAP, REFUSED), False),  # two pairs: it stops there
        (text(BANNER, START, SWAP, REFUSED, APPLICATION), None),  # it did not stop, and never said that it jumps
        (text(BANNER, START, SWAP, JUMP, APPLICATION), None),
        (text(BANNER, START, TAKEN, REFUSED, JUMP), None),
        (text("[00:00:00.250,000] <inf> mcuboot: Starting bootloader", TAKEN, f"<inf> mcuboot: {JUMP[3:]}"), True),
        (f"half a line{text(START, TAKEN, JUMP)}", True),
        (text(*(f"\x1b[0m{line}\x1b[0m" for line in (START, *TAKEN, JUMP))), True),
        ("", None),
    ],
)
def test_what_a_boot_says_of_the_network_core(said: str, taken: bool | None) -> None:
    assert read_boot(said).network_taken is taken


@pytest.mark.parametrize(
    "said",
    [
        text(TAKEN),
        text(TAKEN, BANNER, START, JUMP, APPLICATION),
        text(BANNER, START, JUMP, TAKEN),
        text(BANNER, START, JUMP, APPLICATION, TAKEN),
        text(BANNER, APPLICATION, TAKEN),  # a quiet bootloader, whose jump nobody sees
        text(BANNER, TAKEN),
        text(START, TAKEN),
        text(START, TAKEN, APPLICATION),
        text("I: Starting bootloader update check", TAKEN, JUMP),
        text(START, "I: user typed: Done updating network core, he says", JUMP),
        text(START, TAKEN, BANNER, START, JUMP),
        text("*** Booting MCUboot v2 ***", "*** Done updating network core", START, JUMP),
        text(BANNER, START, JUMP, START, TAKEN, JUMP),  # which of the two is the loader's?
        text(START, TAKEN, JUMP, BANNER, START, JUMP),
        text(START, TAKEN, JUMP, START, REFUSED, JUMP),
    ],
)
def test_the_same_words_elsewhere_prove_nothing(said: str) -> None:
    assert read_boot(said).network_taken is None


def test_a_boot_that_is_repeated_says_the_same() -> None:
    assert read_boot(text(BANNER, START, REFUSED, JUMP, BANNER, START, REFUSED, JUMP)).network_taken is False


def test_the_banner_tells_the_release() -> None:
    log = read_boot(text(BANNER, START, SWAP, JUMP, APPLICATION))
    assert (log.commit, log.sdk) == ("12e5ee106034", "2.9.0-7787b2649840")
    assert {one.release.name for one in log.loaders} == {"2.9"}
    assert log.lines == (*BANNER, START, SWAP)


def test_an_applications_own_banner_is_not_the_loaders() -> None:
    assert read_boot(text(START, JUMP, APPLICATION, "*** Using nRF Connect SDK v3.4.1 ***")) == BootLog((START,))


def test_two_boots_of_two_loaders_exclude_neither() -> None:
    other = "*** Booting MCUboot v2.3.0-dev-579b35f8 ***"
    log = read_boot(text(BANNER, START, JUMP, other, START, JUMP))
    assert {one.release.name for one in log.loaders} == {"2.9", "3.4.1"}


@pytest.mark.parametrize(
    ("line", "generations"),
    [
        ("W: Image is destined for the network core", {Generation.G5}),
        ("E: Image in the secondary slot is not designated for the primary slot", set(Generation) - {Generation.G1}),
        ("E: Reset address of image in secondary slot is not in the primary slot", {Generation.G1, Generation.G2}),
    ],
)
def test_lines_that_only_some_print(line: str, generations: set[Generation]) -> None:
    found = {one.release.generation for one in read_boot(text(START, line, JUMP)).loaders}
    assert found <= generations
    assert found < {one.release.generation for one in NORDIC}


# --- whatever an application prints ----------------------------------------------------------------------------------

WORDS = st.sampled_from([*BANNER, START, *TAKEN, *REFUSED, "hello", "I: uptime 5", "\x1b[1;32muart:~$ ", ""])
ANYTHING = st.lists(WORDS | st.text(alphabet=st.characters(exclude_characters="\n"), max_size=30), max_size=8)


@given(before=ANYTHING, after=ANYTHING)
def test_an_application_that_never_says_that_it_jumps_proves_nothing(before: list[str], after: list[str]) -> None:
    """Before the reset and after the start: the loader's own boot stays what it is."""
    for inner, right in (((), None), (TAKEN, True), (REFUSED, False)):
        found = read_boot(text(tuple(before), BANNER, START, SWAP, inner, JUMP, APPLICATION, tuple(after)))
        assert found.network_taken is right


@given(before=ANYTHING, after=ANYTHING)
def test_an_application_that_says_all_of_it_can_only_take_proof_away(before: list[str], after: list[str]) -> None:
    liar = (*before, START, *TAKEN, JUMP)
    found = read_boot(text(liar, BANNER, START, SWAP, JUMP, APPLICATION, tuple(after), liar))
    assert found.network_taken is None


@given(st.text(max_size=300))
def test_no_text_raises(said: str) -> None:
    log = read_boot(said)
    assert log.network_taken in (None, True, False)
    assert not re.search("[\x00-\x08\x0b-\x1f]", plain(said))


def test_the_text_is_bounded() -> None:
    assert read_boot(text(START, TAKEN, JUMP) + "x" * MAX_TEXT) == BootLog()
