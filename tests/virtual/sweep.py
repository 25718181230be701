"""The power cut at every flash operation of an update, or at random ones: what becomes of the device.

``python tests/virtual/sweep.py`` does it with slots of full size, at 2,000 random operations spread over all cases. The
tests do it with small slots, at every operation.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import product
from typing import TYPE_CHECKING

from smpdfu.errors import FormatError
from smpdfu.image.format import Image, Version
from smpdfu.image.trailer import SwapMode, Trailer
from smpdfu.loaders.releases import LATEST, RELEASES, UPSTREAM, UPSTREAM_OLD, Release
from smpdfu.loaders.rules import Loader
from smpdfu.virtual.boot.build import BootKeys, BootOptions
from smpdfu.virtual.chip.flash import PowerCut, Tear
from smpdfu.virtual.chip.layout import LAYOUTS, Layout

if TYPE_CHECKING:
    from tests.virtual.torn import Contents, contents_of, load, torn_contents
    from tests.virtual.virtual_bench import (
        DECRYPTION,
        NET_SIGNING,
        SIGNING,
        Bench,
        net_firmware,
        small_layout,
        small_simultaneous,
    )
else:
    from torn import Contents, contents_of, load, torn_contents
    from virtual_bench import (
        DECRYPTION,
        NET_SIGNING,
        SIGNING,
        Bench,
        net_firmware,
        small_layout,
        small_simultaneous,
    )

OLD, NEW = Version(1), Version(2)


@dataclass(frozen=True)
class Case:
    """An update on a device: ``begin`` is "test", "permanent" or "revert", ``images`` how many are updated at once.

    ``release`` is whose loader the device has.
    """

    mode: SwapMode
    begin: str
    encrypted: bool = False
    images: int = 1
    release: Release = LATEST

    def __str__(self) -> str:
        kind = "encrypted" if self.encrypted else "plain"
        number = "one image" if self.images == 1 else "two images"
        return " ".join(
            (str(self.mode), self.begin, kind, number, *([self.release.name] * (self.release is not LATEST)))
        )

    @property
    def wanted(self) -> Version:
        """What runs in the end."""
        return OLD if self.begin == "revert" else NEW


def cases() -> list[Case]:
    """Every swap mode, begin, kind and number of images; what is overwritten is not reverted."""
    found = (Case(*one) for one in product(SwapMode, ("test", "permanent", "revert"), (False, True), (1, 2)))
    return [case for case in found if (case.mode, case.begin) != (SwapMode.OVERWRITE_ONLY, "revert")]


def cases_of_other_loaders() -> list[Case]:
    """One image, plain, with a loader of each generation, where it has this way of updating."""
    generations = {release.generation: release for release in (UPSTREAM_OLD, UPSTREAM, *RELEASES)}
    return [
        replace(case, release=release)
        for case in cases()
        for release in generations.values()
        if release is not LATEST and (case.images, case.encrypted) == (1, False)
        if release.by_offset or case.mode is not SwapMode.OFFSET
    ]


@dataclass(frozen=True)
class Sizes:
    """Bytes of firmware in the old and the new image, and how many sectors a slot has; 0 for the DK's own tables."""

    old: int = 15000
    new: int = 9000
    sectors: int = 7


FULL = Sizes(old=300_000, new=380_000, sectors=0)


def layout_of(case: Case, sizes: Sizes) -> Layout:
    """Slots for this case."""
    if sizes.sectors and case.mode is SwapMode.OVERWRITE_ONLY and case.images == 2:
        return small_simultaneous(sizes.sectors)
    if sizes.sectors:
        return small_layout(case.mode, case.images, sizes.sectors)
    if case.mode is SwapMode.OVERWRITE_ONLY and case.images == 2:
        return LAYOUTS["nrf5340dk-simultaneous"]
    if case.images == 2:
        return small_layout(case.mode, 2, 120)
    names = {SwapMode.SCRATCH: "-scratch", SwapMode.OFFSET: "-offset", SwapMode.OVERWRITE_ONLY: "-overwrite"}
    return LAYOUTS["nrf5340dk-staged" + names.get(case.mode, "")]


@dataclass(frozen=True)
class Pairing:
    """What is in both slots of an image: the image's bytes, or none, and its trailers."""

    running: bytes
    other: bytes
    primary: Trailer
    secondary: Trailer


State = tuple[Pairing, ...]


@dataclass
class Update:
    """A device on the eve of the boot that ``case`` is about, and the contents of its flash then."""

    case: Case
    sizes: Sizes = field(default_factory=Sizes)

    def __post_init__(self) -> None:
        decryption = DECRYPTION if self.case.encrypted else None
        options = BootOptions(loader=Loader(self.case.release))
        keys = BootKeys((SIGNING.public,), decryption, net_verifiers=(NET_SIGNING.public,), options=options)
        self.bench = Bench(layout_of(self.case, self.sizes), keys)
        self._prepare()
        self.contents, self.before = contents_of(self.bench.chip), self.state()

    def _prepare(self) -> None:
        bench, case = self.bench, self.case
        for number in range(case.images):
            if number == bench.layout.network_image:
                bench.net_flash.program(bench.layout.net.app.start, net_firmware(1, bench.layout.net.app.start, 9000))
                continue
            bench.write("primary", self._image(number, OLD, plain=True), number)
        if case.encrypted and case.mode is not SwapMode.OVERWRITE_ONLY:
            self._upload(OLD, permanent=True)  # an encrypted image runs because it was swapped in
            bench.boot()
        self._upload(NEW, permanent=case.begin == "permanent")
        if case.begin == "revert":
            bench.boot()

    def _upload(self, version: Version, *, permanent: bool) -> None:
        for number in range(self.case.images):
            self.bench.upload(self._image(number, version), permanent=permanent, number=number)

    def _image(self, number: int, version: Version, *, plain: bool = False) -> bytes:
        bench, seed = self.bench, 10 * version.major + number
        encrypt = None if plain else bench.keys.decryption
        if number == bench.layout.network_image:
            return bench.net_image(seed, 9000, version=version, encrypt=encrypt)
        size = self.sizes.old if version == OLD else self.sizes.new
        return bench.app_image(seed, size + 1000 * number, number, version=version, encrypt=encrypt)

    def restore(self) -> None:
        """Go back to the eve."""
        load(self.bench.chip, self.contents)

    def boot(self, *cuts: int, tear: Tear = Tear.LOWER) -> Version | None:
        """Boot, cut at the operation given, again with the next cut, until a boot ends. The version that runs then."""
        power = self.bench.chip.power
        for cut in (*cuts, None):
            power.cut_after, power.tear = cut, tear
            self.bench.net.power_off()
            try:
                running = self.bench.boot().running
            except PowerCut:
                continue
            power.cut_after = None
            return None if running is None else running.header.version
        raise AssertionError("cut where no cut was armed")

    def operations(self) -> int:
        """How many flash operations the boot makes when nothing is cut."""
        self.restore()
        before = self.bench.chip.power.operations
        self.boot()
        return self.bench.chip.power.operations - before

    def state(self) -> State:
        """What the flash holds now."""
        return tuple(self._pairing(number) for number in range(self.case.images))

    def _pairing(self, number: int) -> Pairing:
        slots = self.bench.slots_of(number)
        if number == self.bench.layout.network_image:
            running = self.bench.net.app.read_all().rstrip(b"\xff")
        else:
            running = _stored(slots.primary.area.read_all())
        starts = (0, slots.primary.geometry.sector_size) if self.case.mode is SwapMode.OFFSET else (0,)
        others = (_stored(slots.secondary.area.read_all()[start:]) for start in starts)
        other = next((image for image in others if image), b"")
        return Pairing(running, other, slots.primary.trailer(), slots.secondary.trailer())


def _stored(slot: bytes) -> bytes:
    try:
        return Image.from_bytes(slot).to_bytes()
    except FormatError:
        return b""


class Verdict(StrEnum):
    """What became of a device whose power was cut."""

    SAME = "as without the cut"
    KEPT = "what ran before the boot goes on to run, whole, and so does the other image lie there"
    ALONE = "a whole image runs, the other one is gone"
    MARKED = "the new image runs, and a mark without an image is left behind"
    MIXED = "each image is whole, and they are of two updates"
    NEITHER = "nothing runs"


@dataclass
class Tally:
    """Cuts of one case, counted by what became of the device; ``examples`` has a cut of each kind."""

    case: Case
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    examples: dict[Verdict, tuple[tuple[int, ...], Tear]] = field(default_factory=dict)
    reverted: int = 0

    @property
    def cuts(self) -> int:
        """How many devices lost their power."""
        return sum(self.verdicts.values())


@dataclass(frozen=True)
class Booted:
    """What became of a device: the version that runs, and what its flash holds."""

    version: Version | None
    contents: Contents
    state: State


@dataclass
class Boots:
    """The boots of one device; those that begin with the same contents are one boot."""

    update: Update
    known: dict[object, Booted] = field(default_factory=dict)

    def after(self, contents: Contents) -> Booted:
        """A boot that is not cut."""
        begin = tuple(tuple(pages.items()) for pages in contents.values())
        if begin not in self.known:
            load(self.update.bench.chip, contents)
            self.known[begin] = self.now(self.update.boot())
        return self.known[begin]

    def now(self, version: Version | None) -> Booted:
        """The device as it is."""
        return Booted(version, contents_of(self.update.bench.chip), self.update.state())


def sweep(update: Update, cuts: Iterable[tuple[tuple[int, ...], Tear]]) -> Tally:
    """Cut the power at each of ``cuts`` (operations of one boot after another), boot, look.

    After ``test`` one more boot must bring back what ran before; ``reverted`` counts those.
    """
    tally, boots, cuts = Tally(update.case), Boots(update), list(cuts)
    update.restore()
    single = [(operations[0], tear) for operations, tear in cuts if len(operations) == 1]
    torn = torn_contents(update.bench.chip, update.boot, single)
    expected = boots.after(update.contents)
    assert expected.version == update.case.wanted
    for operations, tear in cuts:
        if len(operations) == 1:
            found = boots.after(torn[operations[0], tear])
        else:
            update.restore()
            found = boots.now(update.boot(*operations, tear=tear))
        verdict = judge(update, found, expected.state)
        tally.verdicts[verdict] += 1
        tally.examples.setdefault(verdict, (operations, tear))
        if update.case.begin == "test" and update.case.mode is not SwapMode.OVERWRITE_ONLY and verdict == Verdict.SAME:
            back = boots.after(found.contents)
            tally.reverted += back.version == OLD and _running(back.state) == _running(update.before)
    return tally


def judge(update: Update, booted: Booted, expected: State) -> Verdict:
    """What became of the device."""
    found = booted.state
    if booted.version is None:
        return Verdict.NEITHER
    if _running(found) == _running(expected) and update.case.mode is SwapMode.OVERWRITE_ONLY:
        return Verdict.MARKED if any(one.secondary.magic == "good" for one in found) else Verdict.SAME
    if _running(found) == _running(expected) and _is_settled(found, expected):
        return Verdict.SAME
    if _running(found) == _running(update.before):
        others = [one.other for one in found]
        return Verdict.KEPT if others == [one.other for one in update.before] else Verdict.ALONE
    whole = [{old, new} for old, new in zip(_running(update.before), _running(expected), strict=True)]
    if all(image in either for image, either in zip(_running(found), whole, strict=True)):
        return Verdict.ALONE if _running(found) == _running(expected) else Verdict.MIXED
    return Verdict.NEITHER


def _running(state: State) -> list[bytes]:
    return [one.running for one in state]


def _is_settled(found: State, expected: State) -> bool:
    """True if the other images and what the trailers ask for are as they would be."""
    flags = [
        [(one.primary.copy_done, one.primary.image_ok, one.secondary.magic) for one in s] for s in (found, expected)
    ]
    return [one.other for one in found] == [one.other for one in expected] and flags[0] == flags[1]


def allowed(case: Case) -> set[Verdict]:
    """What may become of a device: the same as without the cut, and what the real bootloader cannot help.

    A revert using move begins with a mark of 16 bytes; when a cut tears it, loaders that want an unset mark revert
    nothing any more, and with two images the other one is. In a swap using offset that is cut in its last sector,
    MCUboot goes on with the header of the wrong image: the old one may be lost where it is encrypted or the larger one.
    A bootloader that overwrites leaves a mark behind when its last two erases are cut apart.
    """
    found = {Verdict.SAME}
    if case.mode is SwapMode.OVERWRITE_ONLY:
        found.add(Verdict.MARKED)
    if case.mode is SwapMode.OFFSET:
        found.add(Verdict.ALONE)
    if case.begin == "revert" and case.mode is SwapMode.MOVE and not case.release.reverts_past_any_magic:
        found.add(Verdict.KEPT if case.images == 1 else Verdict.MIXED)
    return found


def every_operation(operations: int) -> list[tuple[tuple[int, ...], Tear]]:
    """Each operation, cut in each way."""
    return [((operation,), tear) for operation in range(operations) for tear in Tear]


def every_operation_once(operations: int) -> list[tuple[tuple[int, ...], Tear]]:
    """Each operation, cut in one way after the other."""
    tears = list(Tear)
    return [((operation,), tears[operation % len(tears)]) for operation in range(operations)]


def random_cuts(operations: int, count: int, dice: random.Random, depth: int = 1) -> list[tuple[tuple[int, ...], Tear]]:
    """``count`` cuts at random; with ``depth``, of so many boots in a row."""
    tears = list(Tear)
    return [(tuple(dice.randrange(operations) for _ in range(depth)), dice.choice(tears)) for _ in range(count)]


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Full size: ``sweep.py [CUTS]``, default 2,000 over all cases; or ``sweep.py small``: every operation."""
    small = arguments == ["small"]
    total, dice = int(arguments[0]) if arguments and not small else 2000, random.Random(7)
    found = cases()
    share, sums, unexpected = -(-total // len(found)), Counter[Verdict](), 0
    for case in found:
        update = Update(case, Sizes() if small else replace(FULL, sectors=0))
        operations = update.operations()
        tally = sweep(update, every_operation(operations) if small else random_cuts(operations, share, dice))
        sums.update(tally.verdicts)
        rest = "; ".join(f"{count} {verdict}" for verdict, count in tally.verdicts.items() if verdict != Verdict.SAME)
        _say(
            f"{case}: {operations} operations, {tally.cuts} cuts, {tally.reverted} reverted{'; ' if rest else ''}{rest}"
        )
        for verdict, example in tally.examples.items():
            if verdict is not Verdict.SAME:
                _say(f"    {verdict}: {example}")
        unexpected += sum(count for verdict, count in tally.verdicts.items() if verdict not in allowed(case))
    _say(f"{sum(sums.values())} cuts: " + "; ".join(f"{count} {verdict}" for verdict, count in sums.items()))
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
