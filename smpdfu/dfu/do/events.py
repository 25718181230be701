"""What happens while an update runs, as its ``watch`` gets it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.proof_value import Proof
from smpdfu.dfu.decide.steps.rules import Step

E = TypeVar("E")
T = TypeVar("T")
P = ParamSpec("P")


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


def carrying(watch: Callable[P, None]) -> Callable[P, None]:
    """The same function, whose errors come as WatchError; ``unwrapped`` turns them back."""

    def tell(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            watch(*args, **kwargs)
        except Exception as error:
            raise WatchError(error) from error

    return tell


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise the error that a WatchError carries."""
    try:
        yield
        return
    except WatchError as carrier:
        failed = carrier.error
    raise failed


async def watched(work: Callable[[Callable[[E], None]], Awaitable[T]], watch: Callable[[E], None]) -> T:
    """Return ``await work(tell)``, whose ``tell`` calls ``watch``.

    An error that ``watch`` raises ends the work and comes out unchanged, also if it is of a class that the work handles
    when the device causes it.
    """
    with unwrapped():
        return await work(carrying(watch))
