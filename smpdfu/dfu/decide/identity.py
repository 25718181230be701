"""Is it still the same device? A port, a name or an address can lead to another one between two steps. Pure.

What a device tells of itself, strongest first: the number of its chip (Zephyr's shell command ``hwinfo devid``, where
the build has it over SMP), its hardware platform (``os info``), and the hash of the image that it runs, which only
counts before a step that follows no boot. What either side does not tell proves nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.steps.rules import Action, Step
from smpdfu.dfu.package.images import Core
from smpdfu.smp.groups.shell import ShellExecute

ASK_HARDWARE = ShellExecute(("hwinfo", "devid"))
"""The question for the number of the chip; it changes nothing (Zephyr, ``drivers/hwinfo/hwinfo_shell.c``)."""
_HARDWARE = re.compile(r"^\s*ID: (?:0x)?([0-9a-fA-F]{2,128})\s*$", re.MULTILINE)
_STEADY = frozenset({Action.UPLOAD, Action.TEST, Action.KEEP, Action.RESET})
"""Steps of the application core before which nothing has booted since the state was read.

A check looks itself at what runs, and before each step of the network core ``run`` does.
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """``hardware``: the number of the chip in hex, ``platform`` in Zephyr's words, ``running``: the running hash.

    None: not told.
    """

    hardware: str | None = None
    platform: str | None = None
    running: bytes | None = None

    def is_same_chip(self, now: Identity) -> bool:
        """True if both told the number of their chip, and it is the same."""
        return self.hardware is not None and self.hardware == now.hardware

    def change(self, now: Identity, step: Step) -> str:
        """What tells that ``now`` is another device before ``step``, or the same one that changed, as a clause.

        "" where nothing does.
        """
        if self.hardware is not None and now.hardware is not None and self.hardware != now.hardware:
            return f"its chip has the number {now.hardware}, and {self.hardware} before"
        told = self.platform is not None and now.platform is not None and not self.is_same_chip(now)
        if told and _board(self.platform) != _board(now.platform):
            return f"it says that it is a {now.platform}, and {self.platform} before"
        steady = (
            step.action in _STEADY and step.core is Core.APP and self.running is not None and now.running is not None
        )
        if steady and self.running != now.running:
            return "it runs another image than before, and it was not reset"
        return ""


def _board(platform: str | None) -> str:
    """The same for each spelling of a board: Zephyr since 3.7 writes slashes, and some builds its revision (``@1``)."""
    return "" if platform is None else re.sub(r"@[^/]*", "", platform).replace("/", "_")


def identity_of(state: DeviceState, hardware: str | None = None) -> Identity:
    """What a state that was read tells."""
    return Identity(hardware, state.board, None if state.running is None else state.running.hash)


def hardware_in(output: str) -> str | None:
    """The number in what ``hwinfo devid`` prints, in lower-case hex; None where there is none."""
    found = _HARDWARE.search(output)
    return None if found is None else found[1].lower()
