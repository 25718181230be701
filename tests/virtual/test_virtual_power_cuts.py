"""The power cut at every flash operation of an update: the old or the new image whole, never neither."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.format import Version
from smpdfu.image.trailer import SwapMode
from smpdfu.virtual.boot.swap.move import SwapMove
from smpdfu.virtual.boot.swap.swap import Cipher, Status
from smpdfu.virtual.chip.flash import PowerCut, Tear

if TYPE_CHECKING:
    from tests.virtual.conftest import Bench
    from tests.virtual.sweep import (
        NEW,
        OLD,
        Case,
        Sizes,
        Tally,
        Update,
        Verdict,
        allowed,
        cases,
        cases_of_other_loaders,
        every_operation,
        every_operation_once,
        random_cuts,
        sweep,
    )
    from tests.virtual.torn import contents_of, torn_contents
else:
    from sweep import (
        NEW,
        OLD,
        Case,
        Sizes,
        Tally,
        Update,
        Verdict,
        allowed,
        cases,
        cases_of_other_loaders,
        every_operation,
        every_operation_once,
        random_cuts,
        sweep,
    )
    from torn import contents_of, torn_contents

SMALLEST = Sizes(old=5000, new=3000, sectors=5)
GROWING = Sizes(old=3000, new=5000, sectors=5)
FILLING = 5 * 4096 - 1300
Record = Callable[[str, object], None]
SWAPS = [mode for mode in SwapMode if mode is not SwapMode.OVERWRITE_ONLY]


def assert_whole(tally: Tally) -> int:
    """Nothing became of a device that the real bootloader would not make of it, and nearly always what was wanted.

    The number of cuts.
    """
    unexpected = {verdict: tally.examples[verdict] for verdict in tally.verdicts if verdict not in allowed(tally.case)}
    assert not unexpected
    assert tally.verdicts[Verdict.SAME] > 0.7 * tally.cuts
    if tally.case.begin == "test" and tally.case.mode is not SwapMode.OVERWRITE_ONLY:
        assert tally.reverted == tally.verdicts[Verdict.SAME]
    return tally.cuts


@pytest.mark.parametrize("case", cases(), ids=str)
def test_a_cut_at_any_operation_is_continued_at_the_next_boot(case: Case, record_property: Record) -> None:
    update = Update(case, SMALLEST if case.images == 1 else GROWING)
    record_property("power cuts", assert_whole(sweep(update, every_operation_once(update.operations()))))


@pytest.mark.parametrize("case", cases_of_other_loaders(), ids=str)
def test_a_cut_is_continued_by_every_generation_of_loaders(case: Case, record_property: Record) -> None:
    update = Update(case, SMALLEST)
    record_property("power cuts", assert_whole(sweep(update, every_operation_once(update.operations()))))


@pytest.mark.parametrize("mode", SwapMode)
def test_however_the_operation_is_torn(mode: SwapMode, record_property: Record) -> None:
    update = Update(Case(mode, "test"), GROWING)
    record_property("power cuts", assert_whole(sweep(update, every_operation(update.operations()))))


@pytest.mark.parametrize("encrypted", [False, True], ids=("plain", "encrypted"))
@pytest.mark.parametrize("mode", SwapMode)
def test_a_boot_that_is_cut_leaves_what_one_that_is_not_cut_had_there(mode: SwapMode, encrypted: bool) -> None:
    update = Update(Case(mode, "permanent", encrypted), SMALLEST)
    cuts = [(operation, tear) for (operation,), tear in every_operation(update.operations())]
    update.restore()
    torn = torn_contents(update.bench.chip, update.boot, cuts)
    assert sorted(torn) == sorted(cuts)
    for operation, tear in cuts:
        update.restore()
        update.bench.chip.power.cut_after, update.bench.chip.power.tear = operation, tear
        update.bench.net.power_off()
        with pytest.raises(PowerCut):
            update.bench.boot()
        assert contents_of(update.bench.chip) == torn[operation, tear]


@pytest.mark.parametrize("begin", ["test", "permanent", "revert"])
@pytest.mark.parametrize("mode", SWAPS)
def test_cuts_of_what_follows_a_cut_are_continued_too(mode: SwapMode, begin: str, record_property: Record) -> None:
    update = Update(Case(mode, begin, encrypted=True), GROWING)
    cuts = random_cuts(update.operations(), 20, random.Random(5), depth=4)
    record_property("power cuts", assert_whole(sweep(update, cuts)))


@pytest.mark.parametrize("sizes", [Sizes(FILLING, 3000, 5), Sizes(3000, FILLING, 5)], ids=("old", "new"))
def test_an_image_that_fills_its_slot_is_swapped_through_scratch_up_to_the_trailer(sizes: Sizes) -> None:
    update = Update(Case(SwapMode.SCRATCH, "test"), sizes)
    last = update.bench.slots.primary.geometry.size_bytes - 4096
    # It reaches into the sector of the trailer, which must be kept in scratch meanwhile.
    assert max(len(update.before[0].running), len(update.before[0].other)) > last
    tally = sweep(update, every_operation(update.operations()))
    # Half of scratch's last page erased, the half with its record still there: MCUboot copies back what is gone.
    lost = tally.verdicts.pop(Verdict.NEITHER, 0)
    assert lost == (1 if sizes.new == FILLING else 0)
    assert not lost or tally.examples[Verdict.NEITHER][1] is Tear.LOWER
    assert tally.verdicts == {Verdict.SAME: tally.reverted}


@pytest.mark.parametrize(("begin", "then"), [("test", OLD), ("permanent", None)])
def test_what_a_torn_erase_of_scratch_costs_is_reverted_after_a_test_and_stays_after_a_permanent_update(
    begin: str, then: Version | None
) -> None:
    update = Update(Case(SwapMode.SCRATCH, begin), Sizes(3000, FILLING, 5))
    operations, tear = sweep(update, every_operation(update.operations())).examples[Verdict.NEITHER]
    update.restore()
    assert [update.boot(*operations, tear=tear), update.boot(), update.boot()] == [None, then, then]


def test_a_revert_using_scratch_that_is_cut_twice_can_keep_the_new_image() -> None:
    """While scratch is erased and written for the first exchange, its record and the primary slot's can both go."""
    update = Update(Case(SwapMode.SCRATCH, "revert"), SMALLEST)

    def after(*cuts: int) -> Version | None:
        update.restore()
        return update.boot(*cuts, tear=Tear.UPPER)

    assert {after(first) for first in range(8)} == {OLD}
    assert {after(first, second) for first, second in product(range(8), repeat=2)} == {OLD, NEW}


def test_a_cut_while_a_refused_image_is_erased_leaves_nothing_pending(bench: Bench) -> None:
    forged = bytearray(bench.app_image(2, version=NEW))
    forged[-1] ^= 1
    bench.write("primary", bench.app_image(1, version=OLD))
    bench.upload(bytes(forged))
    contents, power = dict(bench.app.pages()), bench.chip.power
    for cut in range(bench.layout.images[0].secondary.size_bytes // 4096):
        bench.app.load(contents)
        power.cut_after = cut
        with pytest.raises(PowerCut):
            bench.boot()
        for _ in range(2):
            running = bench.boot().running
            assert running is not None
            assert running.header.version == OLD
        assert bench.slots.secondary.trailer().magic == "unset"


def test_the_sweep_would_see_a_bootloader_that_loses_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """A status that is written before its sector is copied is the mistake that all this is about."""
    update = Update(Case(SwapMode.MOVE, "test"), GROWING)
    exchange = SwapMove._exchange

    def careless(self: SwapMove, index: int, status: Status, encrypt: Cipher, decrypt: Cipher) -> None:
        if status.state == 1:
            self._write_status(status)
        exchange(self, index, status, encrypt, decrypt)

    monkeypatch.setattr(SwapMove, "_exchange", careless)
    tally = sweep(update, every_operation(update.operations()))
    assert tally.verdicts[Verdict.NEITHER] > 0
