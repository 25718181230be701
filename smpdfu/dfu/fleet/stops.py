"""Why a fleet begins no further device: a code and the facts, and what to change in the fleet's file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StopCode(StrEnum):
    """Which rule of the fleet's file stopped it."""

    FAILURES = "failures"
    RATE = "rate"
    UNPROVEN = "unproven"
    WAVE = "wave"


@dataclass(frozen=True, slots=True)
class Stop:
    """A rule that stopped a fleet; as text, one sentence with the facts.

    ``devices`` are the failed ones (with ``UNPROVEN`` the unproven ones, with ``WAVE`` those that have their package),
    ``of`` those that ended in ``wave`` (with ``WAVE`` all of it). ``limit`` is the bound: failures that stop the fleet,
    or devices that the wave needs. ``silent`` of the failures are devices that did not answer; 0 if they do not count.
    ``max_unreachable`` is the least value with which they would not count; None if the present one is enough.
    """

    code: StopCode
    devices: int
    limit: int = 0
    of: int = 0
    wave: str = ""
    silent: int = 0
    max_unreachable: int | None = None

    def __str__(self) -> str:
        silent = f"; {self.silent} did not answer in time" if self.silent else ""
        return _SENTENCES[self.code](self) + silent

    @property
    def advice(self) -> str:
        """What to change in the fleet's file to continue; empty if no key of it helps."""
        if self.silent:
            text = "The next run tries the devices that did not answer again."
            if self.max_unreachable is None:
                return text
            return f"{text} To continue without them, set max_unreachable = {self.max_unreachable} in [fleet]."
        if self.code is StopCode.WAVE:
            return "If fewer devices are enough for the next wave, set wave_success in [fleet]."
        return ""


def devices(count: int) -> str:
    """The number with its noun."""
    return "1 device" if count == 1 else f"{count} devices"


_SENTENCES = {
    StopCode.FAILURES: lambda stop: f"{devices(stop.devices)} failed; the limit is {stop.limit}",
    StopCode.RATE: lambda stop: f"{stop.devices} of the {stop.of} devices of wave {stop.wave!r} that ended have failed",
    StopCode.UNPROVEN: lambda stop: f"nothing proves the update of {devices(stop.devices)}",
    StopCode.WAVE: lambda stop: (
        f"wave {stop.wave!r} did not succeed: {stop.devices} of {stop.of} devices have the package, {stop.limit} must"
    ),
}
