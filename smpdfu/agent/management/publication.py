"""What was published, and what is to be told while it happens."""

from __future__ import annotations

from dataclasses import dataclass, field

from smpdfu.agent.management.answers import Rollout
from smpdfu.agent.management.states import RolloutEnd, RolloutEvent, RolloutState, counts_words
from smpdfu.errors import RolloutFailedError, SmpdfuError


@dataclass(frozen=True, slots=True)
class PublishedModule:
    """A software module at the server. ``existed``: it was there with its artifact, and nothing was uploaded."""

    id: int
    name: str
    version: str
    hardware: str
    file: str
    sha256: str
    existed: bool


@dataclass(frozen=True, slots=True)
class PublishedSet:
    """A distribution set at the server."""

    id: int
    name: str
    version: str
    existed: bool


@dataclass(frozen=True, slots=True)
class PublishedRollout:
    """A rollout at the server; ``started``: this call started it."""

    id: int
    name: str
    status: str
    targets: int
    existed: bool
    started: bool = False


@dataclass(frozen=True, slots=True)
class Publication:
    """What is at the server now. ``warnings`` are what the checks of the packages found, a sentence each."""

    modules: tuple[PublishedModule, ...]
    set: PublishedSet
    rollout: PublishedRollout | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FailedTarget:
    """A target whose update failed, and the last that it said of it, newest first."""

    target: str
    action: int
    messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RolloutOutcome:
    """How a rollout ended; ``failed`` are the first targets that failed, with their reasons."""

    state: RolloutState
    end: RolloutEnd
    failed: tuple[FailedTarget, ...] = field(default=())

    @property
    def rollout(self) -> Rollout:
        """The rollout as it was at the end."""
        return self.state.rollout

    def error(self) -> SmpdfuError | None:
        """The error that the end is; None for a rollout that finished below its error threshold."""
        if self.end is RolloutEnd.FINISHED:
            return None
        text = f"the rollout {self.rollout.name} {self._words()}"
        reasons = "; ".join(_reason(one) for one in self.failed[:_SHOWN])
        return RolloutFailedError(f"{text}: {reasons}" if reasons else text).because(f"rollout-{self.end.name}".lower())

    def _words(self) -> str:
        if self.end is RolloutEnd.ERROR_THRESHOLD:
            groups = "; ".join(
                f"group {one.name}, more than {one.error} % failed ({counts_words(one.counts)})"
                for one in self.state.failed_groups
            )
            return f"passed its error threshold in {groups}"
        return _END_WORDS[self.end]


_SHOWN = 3
_END_WORDS = {
    RolloutEnd.STOPPED: "was stopped at the server",
    RolloutEnd.DENIED: "was denied at the server, and no device was updated",
    RolloutEnd.DELETED: "was deleted at the server",
}


def _reason(failed: FailedTarget) -> str:
    said = failed.messages[0] if failed.messages else "it gave no reason"
    return f"{failed.target or f'action {failed.action}'}: {said}"


class PublishWatch:
    """What ``publish`` and ``watch_rollout`` tell while they work. Override what you need."""

    def warning(self, text: str) -> None:
        """A check found something that does not stop the publication."""

    def progress(self, file: str, done: int, total: int) -> None:
        """``done`` of ``total`` bytes of a package are sent."""

    def event(self, event: RolloutEvent) -> None:
        """The rollout, or a group of it, changed."""

    def looked(self, state: RolloutState) -> None:
        """The rollout was read once more."""

    def trouble(self, error: SmpdfuError, again_in_s: float) -> None:
        """The server did not answer as it should; it is asked again in some seconds."""
