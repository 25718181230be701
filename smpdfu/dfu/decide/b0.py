"""What is known of MCUboot's own two slots, S0 and S1, from one of which b0 (NSIB) starts it. Pure.

b0 looks for firmware info in both slots, and starts the higher firmware version that it accepts; of two that are equal,
S0. A slot that it refuses it marks as invalid for ever. The running MCUboot copies an update of itself from the
application's secondary slot into the slot from which it does not run; an image that is linked for its own slot it
erases. No answer of a device tells which slot b0 has started: the answer to ``active_b0_slot`` is what the application
makes of the two versions, and it does not look whether b0 accepts them.

Sources: nrfconnect/sdk-nrf, ``samples/bootloader/src/main.c`` and the hook of bootloader info for ``active_b0_slot``;
nrfconnect/sdk-mcuboot, ``loader.c`` (MCUBOOT_IS_SECOND_STAGE) and ``swap_nsib.c``.
"""

from __future__ import annotations

from dataclasses import dataclass

from smpdfu.dfu.decide.proof_value import Proof
from smpdfu.dfu.package.images import PackageImage


@dataclass(frozen=True, slots=True)
class B0State:
    """``told`` is the device's answer to ``active_b0_slot``, ``given`` what a person says; None: neither.

    ``target`` is the slot for which the package's MCUboot is wanted, None where that is not known; ``variants`` are all
    of the package's. ``before`` is what the device told when the update began. ``refused`` is a slot whose MCUboot b0
    refused in the last update. ``proof`` is what is known of the new MCUboot after its reset.
    """

    told: int | None = None
    given: int | None = None
    target: int | None = None
    variants: tuple[PackageImage, ...] = ()
    before: int | None = None
    refused: int | None = None
    proof: Proof | None = None

    @property
    def active(self) -> int | None:
        """The slot from which MCUboot runs, as far as that is known: a person's word, then the device's."""
        if self.given is not None:
            return self.given
        return None if self.told == self.refused else self.told


NO_B0_STATE = B0State()


def starts(version: int, slot: int, other_version: int) -> bool:
    """Does b0 start firmware ``version`` in ``slot`` before that in the other slot?"""
    return version >= other_version if slot == 0 else version > other_version
