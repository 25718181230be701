"""How a boot ended, whatever mode MCUboot is built in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from smpdfu.image.format import Header
from smpdfu.virtual.boot.swap.swap_type import SwapType


@dataclass(frozen=True, slots=True)
class RunningImage:
    """The image that the application core runs; ``hash`` is what SMP lists, ``slot`` where it was started from.

    ``slot`` is 0 for the primary slot and 1 for the secondary one.
    """

    header: Header
    hash: bytes
    slot: int = 0


class Ending(StrEnum):
    """How a boot ended; but for RUNS, no SMP server runs then.

    CRASH: code was jumped to that cannot run where it lies, or whose external half is of another build. ASSERT: MCUboot
    stopped at an assertion. HANG: it waits for b0n for ever. NO_BOOTLOADER: b0 found no MCUboot that it can start.
    RESTARTS: MCUboot has replaced itself and starts the chip again; no boot ends so for good.
    """

    RUNS = "runs"
    NO_IMAGE = "no image"
    CRASH = "crash"
    ASSERT = "assert"
    HANG = "hang"
    NO_BOOTLOADER = "no bootloader"
    RESTARTS = "restarts"


@dataclass(frozen=True, slots=True)
class BootResult:
    """How a boot ended.

    ``running`` is None unless ``ending`` is RUNS. ``swap_types`` is what was done with each image, ``swapped`` tells
    that an image was brought in, at last perhaps. ``net_updated`` tells that the network core took an image.
    ``seconds`` is how long the bootloader computed and waited, beside what the flashes did. ``mcuboot`` is the slot
    that MCUboot ran from, 0 for S0 and 1 for S1; None without b0, or if b0 found none. ``mcuboot_updated`` tells that
    a new MCUboot was brought into the other slot.
    """

    running: RunningImage | None
    swap_types: tuple[SwapType, ...]
    swapped: bool = False
    ending: Ending = Ending.NO_IMAGE
    net_updated: bool = False
    seconds: float = 0.0
    mcuboot: int | None = None
    mcuboot_updated: bool = False

    @property
    def swap_type(self) -> SwapType:
        """What was done with image 0."""
        return self.swap_types[0] if self.swap_types else SwapType.NONE
