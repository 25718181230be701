"""Read from the lines of b0 (NSIB) on a console which of its two slots it started, and which it refused.

b0 runs before MCUboot. It tries the slot with the higher firmware version, then the other one::

    Attempting to boot slot 1.
    Attempting to boot from address 0x14200.
    Firmware validation failed with error -111.       the slot is refused
    Failed to validate, permanently invalidating!     and never tried again: b0 clears a word in it
    Attempting to boot slot 0.
    Attempting to boot from address 0x8200.
    Firmware version 1                                it is accepted
    Booting (0x8200).                                 and started

Sources: ``samples/bootloader/src/main.c``, ``bl_validation.c`` and ``bl_boot.c`` of nrfconnect/sdk-nrf. A build of b0
may print nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TRIES = re.compile(r"(?<!\w)Attempting to boot slot ([01])\.?$")
_STARTS = re.compile(r"(?<!\w)(?:Booting \(0x[0-9a-f]+\)\.?|Firmware version (\d+))$")
_REFUSES = re.compile(r"(?<!\w)(?:Failed to validate|Failed to provide ext APIs|Firmware version \(\d+\) is smaller)")
_IS_EMPTY = "No fw_info struct found"


@dataclass(frozen=True, slots=True)
class B0Boot:
    """What b0 printed in one boot: the slot that it ``started``, None if no line says so; the slots it ``refused``.

    ``version`` is the firmware version that it started, where a line says so.
    """

    started: int | None = None
    refused: frozenset[int] = frozenset()
    version: int | None = None


NO_B0 = B0Boot()


def read_b0(text: str) -> B0Boot:
    """What b0 did in the last of its boots in ``text``, console text without colour codes."""
    last = NO_B0
    tried: int | None = None
    for line in (line.strip() for line in text.split("\n")):
        if found := _TRIES.search(line):
            if last.started is not None or int(found[1]) in last.refused:  # the next boot
                last = NO_B0
            tried = int(found[1])
        elif _IS_EMPTY in line:
            tried = None
        elif tried is not None and _REFUSES.search(line):
            last, tried = B0Boot(None, last.refused | {tried}), None
        elif tried is not None and (found := _STARTS.search(line)):
            last = B0Boot(tried, last.refused, last.version if found[1] is None else int(found[1]))
    return last
