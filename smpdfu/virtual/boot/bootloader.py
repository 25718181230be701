"""MCUboot on the application core, from reset to the jump into the application.

As the nRF Connect SDK builds it for the nRF5340: one pair of slots (staged scheme) or two (simultaneous), and one more
for the second half of a split application. Which loader it is, and what it does with an image for the network core, is
a ``loaders.rules.Build``. ``checks`` checks what is in flash; nothing is taken on trust. Source: ``context_boot_go`` of
Nordic's ``loader.c``, its log lines too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from smpdfu.image.format import Header
from smpdfu.image.load_address import LOAD_ADDRESS_FLAGS
from smpdfu.loaders import lines
from smpdfu.virtual.boot.build import DEFAULT_OPTIONS as DEFAULT_OPTIONS
from smpdfu.virtual.boot.build import BootKeys as BootKeys
from smpdfu.virtual.boot.build import BootOptions as BootOptions
from smpdfu.virtual.boot.checks import Checks, HaltError
from smpdfu.virtual.boot.dependencies import settle
from smpdfu.virtual.boot.halves import are_of_one_build
from smpdfu.virtual.boot.image_pair import Pair
from smpdfu.virtual.boot.netcore import NetCore, SilentError
from smpdfu.virtual.boot.swap.swap import Log
from smpdfu.virtual.boot.swap.swap_type import UPGRADES, SwapType
from smpdfu.virtual.chip.flash import Bus
from smpdfu.virtual.chip.layout import Layout


@dataclass(frozen=True, slots=True)
class RunningImage:
    """The image that the application core runs; ``hash`` is what SMP lists."""

    header: Header
    hash: bytes


class Ending(StrEnum):
    """How a boot ended; but for RUNS, no SMP server runs then.

    CRASH: code was jumped to that cannot run in the primary slot, or whose external half is of another build. ASSERT:
    MCUboot stopped at an assertion. HANG: it waits for b0n for ever.
    """

    RUNS = "runs"
    NO_IMAGE = "no image"
    CRASH = "crash"
    ASSERT = "assert"
    HANG = "hang"


@dataclass(frozen=True, slots=True)
class BootResult:
    """How a boot ended.

    ``running`` is None unless ``ending`` is RUNS. ``swap_types`` is what was done with each image, ``swapped`` tells
    that an image was brought in, at last perhaps. ``net_updated`` tells that the network core took an image.
    ``seconds`` is how long the bootloader computed and waited, beside what the flashes did.
    """

    running: RunningImage | None
    swap_types: tuple[SwapType, ...]
    swapped: bool = False
    ending: Ending = Ending.NO_IMAGE
    net_updated: bool = False
    seconds: float = 0.0

    @property
    def swap_type(self) -> SwapType:
        """What was done with image 0."""
        return self.swap_types[0]


def boot(bus: Bus, layout: Layout, keys: BootKeys, log: Log, net: NetCore | None = None) -> BootResult:
    """Run the bootloader once. Raises ``PowerCut`` when the power goes; calling again is the next boot.

    ``bus`` is the application core's flash, or all flashes that the layout names. ``net`` is the network core, which
    network images are handed over to; without it none is taken. ``ValueError`` for what no bootloader is built for.
    """
    return Boot(Checks(bus, layout, keys, log, net), bus).run()


class Boot:
    """One boot, from the decision for each image to the jump: ``context_boot_go``."""

    def __init__(self, checks: Checks, bus: Bus) -> None:
        self.checks = checks
        self.build = checks.build
        self.log = checks.log
        layout = checks.layout
        self.pairs = [Pair(checks, checks.keys.slots(bus, layout, number)) for number in range(len(layout.images))]

    def run(self) -> BootResult:
        """Finish or begin what the trailers ask for, then jump into the primary slot if that is valid."""
        for line in (*lines.banner(self.build.loader), "I: Starting bootloader"):
            self.log(line)
        try:
            self._prepare()
            for pair in self.pairs:
                pair.perform()
            return self._jump()
        except HaltError as halt:
            self.log(f'assertion "{halt}" failed')
            return self._result(Ending.ASSERT)
        except SilentError:
            return self._result(Ending.HANG)

    def _prepare(self) -> None:
        """Decide for each image what to do. An image whose dependencies are missing is not installed."""
        wanted = False
        for number, pair in enumerate(self.pairs):
            pair.prepare()
            self._review(self.pairs[:number], pair)
            wanted = wanted or pair.swap_type in UPGRADES
        if wanted and len(self.pairs) > 1:
            settle(self.pairs, skips_one=self.build.rule.skips_one)

    def _review(self, earlier: Sequence[Pair], pair: Pair) -> None:
        """After a reset between two images of one update, the first is no candidate for a revert."""
        if pair.resumed or pair.swap_type not in (SwapType.NONE, SwapType.REVERT):
            for other in earlier:
                if other.swap_type is SwapType.REVERT:
                    other.swap_type = SwapType.NONE

    # --- the end ---

    def _jump(self) -> BootResult:
        """Check what is in the primary slots and start the application."""
        for pair in self.pairs:
            if not self._is_bootable(pair):
                self.log("E: Image in the primary slot is not valid!")
                self.log("E: Unable to find bootable image")
                return self._result(Ending.NO_IMAGE)
        primary = self.pairs[0].slots.primary
        image, start = primary.image(), primary.area.region.start
        self.log(f"I: Bootloader chainload address offset: 0x{start:x}")
        version = image.header.version
        self.log(f"I: Image version: v{version.major}.{version.minor}.{version.revision}")
        self.log("I: Jumping to the first image slot")
        if image.reset_vector is None or image.reset_vector not in primary.area.region:
            return self._result(Ending.CRASH)
        if any(
            pair.is_external_half and not are_of_one_build(image, pair.slots.primary.image()) for pair in self.pairs
        ):
            return self._result(Ending.CRASH)
        return replace(self._result(Ending.RUNS), running=RunningImage(image.header, image.hash or b""))

    def _is_bootable(self, pair: Pair) -> bool:
        """True if the image in the primary slot is good. That of the network core is not looked at, but for its header.

        A hook makes that header up, without flags; and where MCUboot counts, it looks for a counter in blank RAM.
        """
        slots = pair.slots
        flags = 0 if pair.is_network else slots.primary.raw_header().flags
        if self.build.checks_header and not flags & LOAD_ADDRESS_FLAGS:
            self.log(f"E: IMAGE_F_ROM_FIXED | IMAGE_F_RAM_LOAD is not set for image {pair.number} slot 0")
            return False
        if pair.is_network:
            return not self.checks.counts(pair.number) or pair.net_updated
        if not self.checks.is_accepted(slots, "primary"):
            return False
        trailer = slots.primary.trailer()
        if trailer.magic != "good" or trailer.image_ok == "set":
            self.checks.raise_counter(slots)
        return True

    def _result(self, ending: Ending) -> BootResult:
        return BootResult(
            None,
            tuple(pair.done for pair in self.pairs),
            swapped=any(pair.swapped for pair in self.pairs),
            ending=ending,
            net_updated=any(pair.net_updated for pair in self.pairs),
            seconds=self.checks.seconds + self.checks.network.seconds,
        )
