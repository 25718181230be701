"""A rollout of what is published: created once, started, followed to its end, whatever the server does meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from smpdfu.agent.management.publication import Publication, PublishWatch, RolloutOutcome
from smpdfu.agent.management.publish import publish, watch_rollout
from smpdfu.agent.management.states import RolloutEnd, RolloutEvent
from smpdfu.agent.management.wish import ActionKind, RolloutWish
from smpdfu.errors import (
    PublishError,
    RolloutFailedError,
    RolloutUnfinishedError,
    ServerLinkError,
    ServerRefusedError,
    SmpdfuError,
)
from tests.agent.publish.publish_devices import close_actions
from tests.agent.publish.publish_packages import maker, package_file
from tests.agent.publish.test_agent_publish import access
from tests.agent.servers.management import HawkbitServer
from tests.agent.servers.stand_in.faults import Fault
from tests.agent.servers.stand_in.serve import StandIn
from tests.dfu.conftest import Maker

Sleep = Callable[[float], Awaitable[None]]
PATIENCE = 2000
"""Looks until a test gives up: a server moves rollouts on in its own time."""


@pytest.fixture(scope="module")
def make() -> Maker:
    return maker()


class Watch(PublishWatch):
    """Keeps what it sees."""

    def __init__(self) -> None:
        self.events: list[RolloutEvent] = []
        self.troubles: list[tuple[str, float]] = []

    def event(self, event: RolloutEvent) -> None:
        self.events.append(event)

    def trouble(self, error: SmpdfuError, again_in_s: float) -> None:
        self.troubles.append((str(error), again_in_s))

    @property
    def statuses(self) -> list[str]:
        return [event.state.rollout.status for event in self.events if event.group is None]


def acting(act: Callable[[], object]) -> Sleep:
    """A sleep in which the devices, or a person at the server, do something. It gives up after ``PATIENCE`` times."""
    left = [PATIENCE]

    async def sleep(seconds: float) -> None:
        left[0] -= 1
        assert left[0], "the rollout does not end"
        await asyncio.to_thread(act)
        await asyncio.sleep(0.02)

    return sleep


def nothing() -> None:
    """Nobody does anything."""


def devices(server: HawkbitServer, tag: str, count: int) -> list[str]:
    names = [f"{tag}-{at:02}" for at in range(count)]
    for name in names:
        server.add_target(name)
    return names


def wish(tag: str, **how: object) -> RolloutWish:
    return replace(RolloutWish(tag, f"name == {tag}-*", groups=3), **how)  # type: ignore[arg-type]  # any field


def put(server: HawkbitServer | StandIn, path: Path, rollout: RolloutWish, sleep: Sleep | None = None) -> Publication:
    return asyncio.run(publish([path], access(server), rollout=rollout, sleep=sleep or acting(nothing)))


def follow(server: HawkbitServer | StandIn, number: int, watch: Watch, sleep: Sleep, *, start: bool) -> RolloutOutcome:
    return asyncio.run(watch_rollout(number, access(server), start=start, watch=watch, every_s=0.02, sleep=sleep))


def test_a_rollout_is_created_started_and_followed_to_its_end(
    server: HawkbitServer, tmp_path: Path, make: Maker, tag: str
) -> None:
    names = devices(server, tag, 9)
    done = put(server, package_file(tmp_path, make, name=tag), wish(tag))
    assert done.rollout is not None
    assert not done.rollout.existed
    assert not done.rollout.started
    watch = Watch()
    sleep = acting(lambda: close_actions(server, names, lambda device: True))
    outcome = follow(server, done.rollout.id, watch, sleep, start=True)
    assert (outcome.end, outcome.error()) == (RolloutEnd.FINISHED, None)
    assert outcome.state.rollout.counts.finished == 9
    assert [group.status for group in outcome.state.groups] == ["finished"] * 3
    assert watch.statuses[-2:] == ["running", "finished"]
    first = {group: at for at, group in reversed(list(enumerate(_running(watch))))}
    assert sorted(first, key=lambda group: first[group]) == sorted(first)


def _running(watch: Watch) -> list[int]:
    return [event.number for event in watch.events if event.group is not None and event.group.status == "running"]


def test_a_rollout_over_its_error_threshold_says_which_targets_failed_and_why(
    server: HawkbitServer, tmp_path: Path, make: Maker, tag: str
) -> None:
    names = devices(server, tag, 6)
    done = put(server, package_file(tmp_path, make, name=tag), wish(tag, start=True))
    assert done.rollout is not None
    assert done.rollout.started
    why = "the device runs its previous firmware (reverted)"
    sleep = acting(lambda: close_actions(server, names, lambda device: False, why))
    outcome = follow(server, done.rollout.id, Watch(), sleep, start=False)
    assert outcome.end is RolloutEnd.ERROR_THRESHOLD
    assert [group.status for group in outcome.state.failed_groups] == ["error"]
    assert {one.target for one in outcome.failed} <= set(names)
    assert all(why in " ".join(one.messages) for one in outcome.failed)
    error = outcome.error()
    assert isinstance(error, RolloutFailedError)
    assert why in str(error)
    with pytest.raises(RolloutFailedError) as again:
        put(server, tmp_path / "dfu_application.zip", wish(tag, start=True))
    assert str(again.value) == str(error)
    assert server.actions(names[-1]) == [] or not server.actions(names[-1])[0].active


def test_a_failure_in_the_last_group_is_no_success(
    server: HawkbitServer, tmp_path: Path, make: Maker, tag: str
) -> None:
    names = devices(server, tag, 2)
    done = put(server, package_file(tmp_path, make, name=tag), wish(tag, start=True, groups=1))
    assert done.rollout is not None
    sleep = acting(lambda: close_actions(server, names, lambda device: device == names[0], "no"))
    outcome = follow(server, done.rollout.id, Watch(), sleep, start=False)
    assert outcome.end is RolloutEnd.ERROR_THRESHOLD
    assert outcome.error() is not None


def test_again_it_takes_the_rollout_that_is_there(server: HawkbitServer, tmp_path: Path, make: Maker, tag: str) -> None:
    devices(server, tag, 3)
    path = package_file(tmp_path, make, name=tag)
    first = put(server, path, wish(tag))
    second = put(server, path, wish(tag, start=True))
    third = put(server, path, wish(tag, start=True))
    assert first.rollout is not None
    assert second.rollout is not None
    assert third.rollout is not None
    assert first.rollout.id == second.rollout.id == third.rollout.id
    assert (second.rollout.existed, second.rollout.started) == (True, True)
    assert (third.rollout.existed, third.rollout.started) == (True, False)


OTHERS: list[tuple[dict[str, object], str]] = [
    ({"groups": 2}, "its number of groups is another"),
    ({"targets": "name == other-*"}, "its targets is another"),
    ({"action": ActionKind.SOFT}, "the type of its actions is another"),
    ({"success_percent": 50}, "its success threshold is another"),
    ({"error_percent": 50}, "its error threshold is another"),
]


@pytest.mark.parametrize(("other", "said"), OTHERS, ids=[said for _, said in OTHERS])
def test_another_rollout_of_the_same_name_is_refused(
    server: HawkbitServer, tmp_path: Path, make: Maker, tag: str, other: dict[str, object], said: str
) -> None:
    devices(server, tag, 3)
    path = package_file(tmp_path, make, name=tag)
    made = put(server, path, wish(tag))
    assert made.rollout is not None
    server.wait(lambda: server.rollout_facts(made.rollout.id).status == "ready", "not ready")  # type: ignore[union-attr]
    with pytest.raises(PublishError, match=said) as caught:
        put(server, path, wish(tag, **other))
    assert caught.value.code == "publish-rollout"


def test_a_rollout_of_another_set_is_refused(server: HawkbitServer, tmp_path: Path, make: Maker, tag: str) -> None:
    devices(server, tag, 3)
    put(server, package_file(tmp_path / "1", make, "1.0.0", name=tag), wish(tag))
    with pytest.raises(PublishError, match="its distribution set is another"):
        put(server, package_file(tmp_path / "2", make, "2.0.0", name=tag), wish(tag))
    assert server.call("GET", f"softwaremodules?q=name=={tag};version==2.0.0")["content"] == []


def test_a_rollout_without_targets_is_the_servers_refusal(
    server: HawkbitServer, tmp_path: Path, make: Maker, tag: str
) -> None:
    with pytest.raises(ServerRefusedError) as caught:
        put(server, package_file(tmp_path, make, name=tag), wish(tag))
    assert caught.value.status == 400


def test_a_server_that_is_away_for_a_while_ends_nothing(
    standing: StandIn, operator: HawkbitServer, tmp_path: Path, make: Maker, tag: str
) -> None:
    names = devices(operator, tag, 3)
    done = put(standing, package_file(tmp_path, make), wish(tag, start=True))
    assert done.rollout is not None
    look = f"GET /rest/v1/rollouts/{done.rollout.id}$"
    for fault in (
        Fault("drop-before", look, times=2),
        Fault("status", look, status=503, times=2),
        Fault("status", look, status=429, retry_after="7"),
        Fault("replace", look, body=b"<html>maintenance</html>"),
        Fault("replace", look, body=b'{"id": ', content_type="application/json"),
        Fault("cut", look, length=5),
    ):
        standing.faults.add(fault)
    watch = Watch()
    sleep = acting(lambda: close_actions(operator, names, lambda device: True))
    outcome = follow(standing, done.rollout.id, watch, sleep, start=False)
    assert outcome.end is RolloutEnd.FINISHED
    assert 7 <= len(watch.troubles) <= 8  # a GET on a connection that broke is sent once more by itself
    assert 7.0 in [seconds for _, seconds in watch.troubles]
    assert any("web page" in text for text, _ in watch.troubles)


def test_a_server_that_stays_away_ends_the_watch_with_its_error(
    standing: StandIn, operator: HawkbitServer, tmp_path: Path, make: Maker, tag: str
) -> None:
    devices(operator, tag, 3)
    done = put(standing, package_file(tmp_path, make), wish(tag))
    assert done.rollout is not None
    standing.faults.add(Fault("drop-before", "rollouts", times=10_000))
    watch, slept = Watch(), []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    with pytest.raises(ServerLinkError):
        follow(standing, done.rollout.id, watch, sleep, start=False)
    assert 600 <= sum(slept) <= 700
    assert max(slept) <= 60


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_does_not_pass_by_itself_ends_the_watch_at_once(
    standing: StandIn, operator: HawkbitServer, tmp_path: Path, make: Maker, tag: str, status: int
) -> None:
    devices(operator, tag, 3)
    done = put(standing, package_file(tmp_path, make), wish(tag))
    assert done.rollout is not None
    standing.faults.add(Fault("status", f"GET /rest/v1/rollouts/{done.rollout.id}$", status=status))
    with pytest.raises(ServerRefusedError) as caught:
        follow(standing, done.rollout.id, Watch(), acting(nothing), start=False)
    assert caught.value.status == status


def test_a_person_may_pause_and_resume(
    standing: StandIn, operator: HawkbitServer, tmp_path: Path, make: Maker, tag: str
) -> None:
    names = devices(operator, tag, 3)
    done = put(standing, package_file(tmp_path, make), wish(tag, start=True))
    assert done.rollout is not None
    watch, rollout = Watch(), standing.repository.rollouts[done.rollout.id]
    steps = iter(["paused", "", "running"])

    def act() -> None:
        rollout.status = next(steps, "") or rollout.status
        if rollout.status == "running":
            close_actions(operator, names, lambda device: True)

    outcome = follow(standing, done.rollout.id, watch, acting(act), start=False)
    assert outcome.end is RolloutEnd.FINISHED
    assert watch.statuses[:2] == ["running", "paused"]
    assert watch.statuses[-1] == "finished"


@pytest.mark.parametrize(
    ("status", "end"),
    [
        ("stopped", RolloutEnd.STOPPED),
        ("approval_denied", RolloutEnd.DENIED),
        ("deleted", RolloutEnd.DELETED),
    ],
)
def test_a_person_may_end_it(
    standing: StandIn, operator: HawkbitServer, tmp_path: Path, make: Maker, tag: str, status: str, end: RolloutEnd
) -> None:
    devices(operator, tag, 3)
    done = put(standing, package_file(tmp_path, make), wish(tag))
    assert done.rollout is not None
    rollout = standing.repository.rollouts[done.rollout.id]

    def act() -> None:
        rollout.status = status

    outcome = follow(standing, done.rollout.id, Watch(), acting(act), start=False)
    assert outcome.end is end
    assert isinstance(outcome.error(), RolloutFailedError)


def test_a_rollout_that_is_gone_from_the_server_was_deleted(
    standing: StandIn, operator: HawkbitServer, tmp_path: Path, make: Maker, tag: str
) -> None:
    devices(operator, tag, 3)
    done = put(standing, package_file(tmp_path, make), wish(tag))
    assert done.rollout is not None
    number = done.rollout.id
    sleep = acting(lambda: standing.repository.rollouts.pop(number, None))
    outcome = follow(standing, number, Watch(), sleep, start=False)
    assert outcome.end is RolloutEnd.DELETED
    with pytest.raises(ServerRefusedError):  # one that never was there is no deleted one
        follow(standing, number, Watch(), sleep, start=False)


def test_a_rollout_that_a_person_paused_is_not_started(
    standing: StandIn, operator: HawkbitServer, tmp_path: Path, make: Maker, tag: str
) -> None:
    devices(operator, tag, 3)
    path = package_file(tmp_path, make)
    done = put(standing, path, wish(tag, start=True))
    assert done.rollout is not None
    standing.repository.rollouts[done.rollout.id].status = "paused"
    with pytest.raises(RolloutUnfinishedError, match=r"somebody paused it at the server.* It is not started"):
        put(standing, path, wish(tag, start=True))


def test_a_rollout_that_waits_for_an_approval_is_not_started(
    standing: StandIn, operator: HawkbitServer, tmp_path: Path, make: Maker, tag: str
) -> None:
    names = devices(operator, tag, 3)
    path = package_file(tmp_path, make)
    done = put(standing, path, wish(tag))
    assert done.rollout is not None
    rollout = standing.repository.rollouts[done.rollout.id]
    rollout.status = "waiting_for_approval"
    with pytest.raises(RolloutUnfinishedError, match="waits for an approval at the server"):
        put(standing, path, wish(tag, start=True))
    watch = Watch()

    def act() -> None:
        if rollout.status == "waiting_for_approval":
            rollout.status = "ready"  # a person approves it
        close_actions(operator, names, lambda device: True)

    outcome = follow(standing, done.rollout.id, watch, acting(act), start=True)
    assert outcome.end is RolloutEnd.FINISHED
    assert watch.statuses[0] == "waiting_for_approval"
