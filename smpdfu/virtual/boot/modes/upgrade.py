"""An MCUboot that installs updates: it finishes or begins what the trailers ask for, and starts the primary slot.

Source: ``context_boot_go`` of Nordic's ``loader.c`` for all modes that swap or overwrite, its log lines too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from smpdfu.image.load_address import LOAD_ADDRESS_FLAGS
from smpdfu.virtual.boot.checks import Checks, HaltError
from smpdfu.virtual.boot.dependencies import settle
from smpdfu.virtual.boot.halves import are_of_one_build
from smpdfu.virtual.boot.image_pair import Pair
from smpdfu.virtual.boot.network.netcore import SilentError
from smpdfu.virtual.boot.nsib.mcuboot_pair import McubootPair, RestartEvent
from smpdfu.virtual.boot.result import BootResult, Ending, RunningImage
from smpdfu.virtual.boot.swap.swap_type import UPGRADES, SwapType


def start_upgraded(checks: Checks) -> BootResult:
    """Finish or begin what the trailers ask for, then jump into the primary slot if that is valid.

    Raises ``PowerCut``.
    """
    return _Boot(checks).run()


class _Boot:
    """One boot, from the decision for each image to the jump: ``context_boot_go``."""

    def __init__(self, checks: Checks) -> None:
        self.checks = checks
        self.build = checks.build
        self.log = checks.log
        self.pairs = [Pair(checks, checks.slots(number)) for number in range(len(checks.layout.images))]
        self.mcuboot = [] if checks.stage is None else [McubootPair(checks, checks.mcuboot_slots)]

    def run(self) -> BootResult:
        """All of it."""
        try:
            self._prepare()
            for pair in self._all:
                pair.perform()
            return self._jump()
        except RestartEvent:
            return self._result(Ending.RESTARTS)
        except HaltError as halt:
            self.log(f'assertion "{halt}" failed')
            return self._result(Ending.ASSERT)
        except SilentError:
            return self._result(Ending.HANG)

    @property
    def _all(self) -> Sequence[Pair]:
        """The images in the order of their numbers; MCUboot's own is the last one."""
        return [*self.pairs, *self.mcuboot]

    def _prepare(self) -> None:
        """Decide for each image what to do. An image whose dependencies are missing is not installed."""
        wanted = False
        for number, pair in enumerate(self._all):
            pair.prepare()
            self._review(self._all[:number], pair)
            wanted = wanted or pair.swap_type in UPGRADES
        if wanted and self.checks.image_count > 1:
            settle(self._all, skips_one=self.build.rule.skips_one)

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
        halves = [pair.slots.primary.image() for pair in self.pairs if pair.is_external_half]
        if not all(are_of_one_build(image, half) for half in halves):
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
            net_updated=any(pair.net_updated for pair in self._all),
            seconds=self.checks.seconds + self.checks.network.seconds,
            mcuboot_updated=any(pair.swapped for pair in self.mcuboot),
        )
