"""What happens while an update runs, as its ``watch`` gets it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.evidence import Proof
from smpdfu.dfu.decide.plan import Step

E = TypeVar("E")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StepBegun:
    """Step ``number`` of ``total`` begins."""

    step: Step
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Of an upload: ``done`` of ``total`` bytes are in the device, ``resumed_at`` of them from an earlier call.

    ``window``: the requests that may be in flight now.
    """

    step: Step
    done: int
    total: int
    resumed_at: int
    window: int = 1


@dataclass(frozen=True, slots=True)
class StepDone:
    """The device was seen to have done the step; ``state`` is what it says now.

    ``proof``: for the check of a network core, whether it is known that it took its image. ``seconds``: how long the
    step took, from ``StepBegun``.
    """

    step: Step
    state: DeviceState
    proof: Proof | None = None
    seconds: float = 0.0

    @property
    def proven(self) -> bool:
        """False for the check of a network core where it is not known whether it took its image."""
        return self.proof is None or self.proof.value is True


Event = StepBegun | Progress | StepDone


def ignore(event: Event) -> None:
    """Watch nothing."""


class WatchError(Exception):
    """Carries an error of the caller's ``watch`` past the handlers that are for the device's errors."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


async def watched(work: Callable[[Callable[[E], None]], Awaitable[T]], watch: Callable[[E], None]) -> T:
    """Return ``await work(tell)``, whose ``tell`` calls ``watch``.

    An error that ``watch`` raises ends the work and comes out unchanged, also if it is of a class that the work handles
    when the device causes it.
    """

    def tell(event: E) -> None:
        try:
            watch(event)
        except Exception as error:
            raise WatchError(error) from error

    try:
        return await work(tell)
    except WatchError as carrier:
        failed = carrier.error
    raise failed
