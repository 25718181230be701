"""A program that publishes a package in hawkBit and follows its rollout, with the public names for it."""

from __future__ import annotations

from pathlib import Path

from smpdfu import (
    ActionKind,
    FailedTarget,
    ManagementAccess,
    PackageToPublish,
    Publication,
    PublishedModule,
    PublishedRollout,
    PublishedSet,
    PublishError,
    PublishTrust,
    PublishWatch,
    RolloutEnd,
    RolloutEvent,
    RolloutFailedError,
    RolloutOutcome,
    RolloutState,
    RolloutUnfinishedError,
    RolloutWish,
    ServerError,
    ServerLinkError,
    ServerProtocolError,
    ServerRefusedError,
    Verifier,
    password_login,
    publish,
    token_login,
    watch_rollout,
)


class Watch(PublishWatch):
    """Keeps what changes."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, object]] = []
        self.failed: tuple[int, list[str]] = (0, [])

    def event(self, event: RolloutEvent) -> None:
        self.lines.append((event.words, event.entry["status"]))

    def looked(self, state: RolloutState) -> None:
        self.failed = (state.rollout.counts.error, [group.name for group in state.failed_groups])


def login(token: str) -> ManagementAccess:
    url, ca = "https://hawkbit.example.com", Path("ca.pem")
    if token:
        return ManagementAccess(url, token_login(token), ca)
    return ManagementAccess(url, password_login("ci", "secret"), ca, tenant="DEFAULT")


async def release(folder: Path, key: Verifier) -> RolloutOutcome:
    """Publish a package for each of two hardwares, and update their devices."""
    packages = [PackageToPublish.load(folder / f"{kind}.zip", kind) for kind in ("big", "small")]
    wish = RolloutWish("may", "attribute.smpdfu_hardware == roof", groups=3, action=ActionKind.FORCED)
    access = login("")
    done = await publish(packages, access, trust=PublishTrust((key,)), name="roof", rollout=wish, watch=Watch())
    assert told(done)
    assert done.rollout is not None
    return await watch_rollout(done.rollout.id, access, start=True, watch=Watch())


def told(done: Publication) -> str:
    first: PublishedModule = done.modules[0]
    made: PublishedSet = done.set
    rollout: PublishedRollout | None = done.rollout
    return f"{first.sha256} {first.existed} {made.version} {rollout} {done.warnings}"


def judge(outcome: RolloutOutcome) -> str:
    if outcome.end is RolloutEnd.FINISHED:
        return "done"
    worst: list[FailedTarget] = sorted(outcome.failed, key=lambda one: one.target)
    error = outcome.error()
    if isinstance(error, RolloutFailedError):
        return f"{error}: {[one.messages for one in worst]}"
    return "unknown"


def words(error: Exception) -> str:
    """What a program does about each error."""
    if isinstance(error, PublishError | RolloutUnfinishedError):
        return f"a person decides: {error}"
    if isinstance(error, ServerRefusedError):
        return f"{error.status} {error.server_code}"
    if isinstance(error, ServerLinkError | ServerProtocolError):
        return "later"
    return error.url if isinstance(error, ServerError) else ""
