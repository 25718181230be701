"""The power cut at every flash operation of an update: the old or the new image whole, never neither."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.format import Version
from smpdfu.image.trailer import SwapMode, Trailer
from smpdfu.virtual.flash import PowerCut

if TYPE_CHECKING:
    from tests.virtual.conftest import Bench

OLD, NEW = Version(1), Version(2)


@dataclass(frozen=True)
class Outcome:
    """Everything that a boot leaves: both images, both trailers."""

    running: bytes
    other: bytes
    primary: Trailer
    secondary: Trailer


@dataclass
class Update:
    """A device on the eve of a swap, and the contents of its flash then."""

    bench: Bench
    contents: bytes = b""

    def save(self) -> Update:
        """Remember this state of the flash."""
        self.contents = self.bench.app.read(0, self.bench.app.size_bytes)
        return self

    def restore(self) -> None:
        """Go back to the state remembered."""
        flash = self.bench.app
        flash.erase(0, flash.size_bytes)
        flash.program(0, self.contents)

    def boot_until_it_ends(self, *cuts: int, tear_upper: bool = False) -> Version | None:
        """Boot, cut at the operation given, again with the next cut, until a boot ends. The version that runs then."""
        flash = self.bench.app
        for cut in (*cuts, None):
            flash.cut_after, flash.tear_upper = cut, tear_upper
            try:
                running = self.bench.boot().running
            except PowerCut:
                continue
            flash.cut_after = None
            return None if running is None else running.header.version
        raise AssertionError("cut where no cut was armed")

    def operations(self) -> int:
        """How many flash operations the next boot makes."""
        self.restore()
        before = self.bench.app.operations
        self.bench.boot()
        return self.bench.app.operations - before

    def outcome(self) -> Outcome:
        """What the flash holds now."""
        slots = self.bench.slots
        running, other = (
            slot.image().to_bytes() if slot.header() else b"" for slot in (slots.primary, slots.secondary)
        )
        return Outcome(running, other, slots.primary.trailer(), slots.secondary.trailer())


Scenario = Callable[["Bench", bytes], None]


def begin_test(bench: Bench, new: bytes) -> None:
    bench.upload(new)


def begin_permanent(bench: Bench, new: bytes) -> None:
    bench.upload(new, permanent=True)


def begin_revert(bench: Bench, new: bytes) -> None:
    bench.upload(new)
    bench.boot()


def begin_again(bench: Bench, new: bytes) -> None:
    begin_revert(bench, new)
    bench.boot()
    bench.upload(new)


# What is begun, and the version that runs in the end.
SCENARIOS: dict[str, tuple[Scenario, Version]] = {
    "test": (begin_test, NEW),
    "permanent": (begin_permanent, NEW),
    "revert": (begin_revert, OLD),
    "test after a revert": (begin_again, NEW),
}
KINDS = ("plain", "encrypted", "both encrypted", "larger", "overwrite")
CASES = [(kind, name) for kind in KINDS for name in SCENARIOS if kind != "overwrite" or "revert" not in name]


def make_update(request: pytest.FixtureRequest, kind: str, scenario: Scenario) -> Update:
    fixture = "overwrite_bench" if kind == "overwrite" else "encrypted_bench" if "encrypted" in kind else "bench"
    bench: Bench = request.getfixturevalue(fixture)
    sizes = (9000, 15000) if kind == "larger" else (15000, 9000)
    if kind == "both encrypted":  # an encrypted image runs because it was swapped in
        bench.write("primary", bench.app_image(3, version=Version(0)))
        bench.upload(bench.app_image(1, sizes[0], version=OLD, encrypt=bench.keys.decryption), permanent=True)
        bench.boot()
        assert bench.slots.primary.image().encrypted
    else:
        bench.write("primary", bench.app_image(1, sizes[0], version=OLD))
    scenario(bench, bench.app_image(2, sizes[1], version=NEW, encrypt=bench.keys.decryption))
    return Update(bench).save()


def assert_ended_well(update: Update, wanted: Version, version: Version | None, expected: Outcome) -> None:
    """The device ended as it would have without the cuts.

    The one exception is MCUboot's own: a revert begins with a mark that makes the old image permanent, and when the
    power tears that mark, the unconfirmed image stays for good. It is whole, and so is the old one.
    """
    found = update.outcome()
    if wanted == OLD and found.secondary.magic == "bad":
        assert version == NEW
        update.restore()
        assert (found.running, found.other) == (update.outcome().running, update.outcome().other)
        return
    assert version == wanted
    assert found.running == expected.running
    if update.bench.layout.mode is SwapMode.OVERWRITE_ONLY:
        return  # what is left in the secondary slot depends on the cut
    assert found.other == expected.other
    assert (found.primary.copy_done, found.primary.image_ok) == ("set", expected.primary.image_ok)
    assert found.secondary == expected.secondary


def survey(update: Update, wanted: Version) -> tuple[int, Outcome]:
    """The number of flash operations of the update and how it ends when nothing is cut."""
    operations = update.operations()
    update.restore()
    assert update.boot_until_it_ends() == wanted
    return operations, update.outcome()


@pytest.mark.parametrize("tear_upper", [False, True], ids=("torn low", "torn high"))
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_cut_at_any_operation_is_continued_at_the_next_boot(
    request: pytest.FixtureRequest, kind: str, name: str, tear_upper: bool
) -> None:
    begin, wanted = SCENARIOS[name]
    update = make_update(request, kind, begin)
    operations, expected = survey(update, wanted)
    for cut in range(operations):
        update.restore()
        assert_ended_well(update, wanted, update.boot_until_it_ends(cut, tear_upper=tear_upper), expected)


@pytest.mark.parametrize("name", ["test", "permanent", "revert"])
@pytest.mark.parametrize("kind", ["plain", "both encrypted"])
def test_cuts_of_what_follows_a_cut_are_continued_too(request: pytest.FixtureRequest, kind: str, name: str) -> None:
    begin, wanted = SCENARIOS[name]
    update = make_update(request, kind, begin)
    operations, expected = survey(update, wanted)
    dice = random.Random(5)
    for _ in range(60):
        update.restore()
        cuts = [dice.randrange(operations) for _ in range(4)]
        version = update.boot_until_it_ends(*cuts, tear_upper=dice.random() < 0.5)
        assert_ended_well(update, wanted, version, expected)


@pytest.mark.parametrize("kind", ["plain", "encrypted", "both encrypted"])
def test_what_was_cut_off_while_testing_can_still_be_reverted(request: pytest.FixtureRequest, kind: str) -> None:
    update = make_update(request, kind, begin_test)
    old = update.outcome().running
    operations, _ = survey(update, NEW)
    for cut in range(operations):
        update.restore()
        assert update.boot_until_it_ends(cut) == NEW
        assert update.boot_until_it_ends() == OLD
        assert update.outcome().running == old
        assert update.boot_until_it_ends() == OLD


def test_a_cut_while_a_refused_image_is_erased_leaves_nothing_pending(bench: Bench) -> None:
    forged = bytearray(bench.app_image(2, version=NEW))
    forged[-1] ^= 1
    bench.write("primary", bench.app_image(1, version=OLD))
    bench.upload(bytes(forged))
    update = Update(bench).save()
    for cut in range(update.operations()):
        update.restore()
        assert update.boot_until_it_ends(cut) == OLD
        assert update.boot_until_it_ends() == OLD
        assert bench.slots.secondary.trailer().magic == "unset"
