"""Waves and limits: a table of runs, and what must hold in every run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.dfu.fleetfile import Limits, Wave
from smpdfu.dfu.schedule import Outcome, Phase, Schedule

CANARY, REST = Wave("canary", ("a", "b"), 10.0), Wave("rest", ("c", "d", "e"), 5.0)


def test_wave_by_wave_with_a_soak_between() -> None:
    schedule = Schedule((CANARY, REST), Limits(at_once=2), {})
    assert schedule.begin(0.0) == ["a", "b"]
    assert schedule.begin(0.0) == []
    schedule.ended("a", Outcome.DONE)
    assert schedule.begin(1.0) == []
    assert schedule.phase is Phase.RUNNING
    schedule.ended("b", Outcome.DONE)
    assert schedule.begin(2.0) == []
    assert (schedule.phase, schedule.wake_at) == (Phase.SOAKING, 12.0)
    assert schedule.begin(11.9) == []
    assert schedule.begin(12.0) == ["c", "d"]
    schedule.ended("c", Outcome.CURRENT)
    assert schedule.begin(13.0) == ["e"]
    schedule.ended("d", Outcome.DONE)
    schedule.ended("e", Outcome.UNPROVEN)
    assert schedule.begin(14.0) == []
    assert (schedule.phase, schedule.wake_at) == (Phase.DONE, None)


def test_a_wave_that_an_earlier_run_finished_is_not_soaked_again() -> None:
    schedule = Schedule((CANARY, REST), Limits(), {"a": Outcome.DONE, "b": Outcome.DONE})
    assert schedule.begin(0.0) == ["c", "d", "e"]


def test_what_is_left_of_a_soak_is_soaked_after_a_restart() -> None:
    known = {"a": Outcome.DONE, "b": Outcome.DONE}
    schedule = Schedule((CANARY, REST), Limits(), known, ago={"a": 500.0, "b": 4.0})
    assert schedule.begin(100.0) == []
    assert (schedule.phase, schedule.wake_at) == (Phase.SOAKING, 106.0)
    assert schedule.begin(106.0) == ["c", "d", "e"]
    assert Schedule((CANARY, REST), Limits(), known, ago={"a": 500.0, "b": 11.0}).begin(100.0) == ["c", "d", "e"]


def test_a_wave_of_earlier_runs_that_failed_too_often_stops_before_anything_begins() -> None:
    known = {"a": Outcome.DONE, "b": Outcome.DONE, "c": Outcome.FAILED, "d": Outcome.REVERTED}
    schedule = Schedule((CANARY, REST), Limits(stop_at_rate=0.5), known, ["c", "d"])
    assert schedule.begin(0.0) == []
    assert schedule.stopped == "2 of the 2 devices of wave 'rest' that ended have failed"


def test_only_what_began_can_end() -> None:
    schedule = Schedule((CANARY,), Limits(at_once=1), {})
    schedule.begin(0.0)
    with pytest.raises(ValueError, match="b did not begin"):
        schedule.ended("b", Outcome.DONE)


def test_paused_nothing_begins_and_what_began_goes_on() -> None:
    schedule = Schedule((CANARY,), Limits(at_once=1), {})
    assert schedule.begin(0.0) == ["a"]
    schedule.pause()
    schedule.ended("a", Outcome.DONE)
    assert (schedule.begin(1.0), schedule.phase) == ([], Phase.PAUSED)
    schedule.resume()
    assert schedule.begin(2.0) == ["b"]


@pytest.mark.parametrize(
    ("limits", "ends", "stopped"),
    [
        (Limits(), ["failed"] * 4, False),
        (Limits(stop_after_failures=2), ["failed", "done"], False),
        (Limits(stop_after_failures=2), ["failed", "reverted"], True),
        (Limits(stop_at_rate=0.5), ["failed"], False),  # one of one is chance
        (Limits(stop_at_rate=0.5), ["failed", "done"], True),
        (Limits(stop_at_rate=0.5), ["done", "done", "done", "failed"], False),
        (Limits(stop_at_rate=0.0), ["done", "failed"], True),
        (Limits(stop_at_rate=1.0), ["failed"], True),
    ],
)
def test_when_it_stops(limits: Limits, ends: list[str], stopped: bool) -> None:
    schedule = Schedule((Wave("all", ("a", "b", "c", "d")),), limits, {})
    schedule.begin(0.0)
    for name, outcome in zip("abcd", ends, strict=False):
        schedule.ended(name, Outcome(outcome))
    assert (schedule.stopped is not None) is stopped
    if stopped:
        assert schedule.begin(1.0) == []
        assert schedule.phase is Phase.STOPPED


def test_failures_of_earlier_runs_count_until_somebody_says_otherwise() -> None:
    known = {"a": Outcome.REVERTED}
    assert Schedule((CANARY, REST), Limits(stop_after_failures=1), known, ["a"]).phase is Phase.STOPPED
    assert Schedule((CANARY, REST), Limits(stop_after_failures=1), known).begin(0.0) == ["b"]


NAMES = [f"d{number}" for number in range(12)]


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    at_once=st.integers(1, 4),
    limit=st.none() | st.integers(1, 4),
    outcomes=st.lists(st.sampled_from(list(Outcome)), min_size=20, max_size=20),
    order=st.randoms(use_true_random=False),
)
def test_what_holds_in_every_run(
    sizes: list[int], at_once: int, limit: int | None, outcomes: list[Outcome], order: object
) -> None:
    names = iter(f"d{number}" for number in range(20))
    waves = tuple(Wave(f"w{n}", tuple(next(names) for _ in range(size)), 1.0) for n, size in enumerate(sizes))
    wave_of = {name: number for number, wave in enumerate(waves) for name in wave.devices}
    schedule, now = Schedule(waves, Limits(at_once, limit), {}), 0.0
    began: list[str] = []
    while schedule.phase not in (Phase.DONE, Phase.STOPPED) or schedule.running:
        fresh = schedule.begin(now)
        failed = sum(not outcome.good for outcome in schedule.outcomes.values())
        assert not fresh or limit is None or failed < limit
        began += fresh
        assert len(schedule.running) <= at_once
        assert len({wave_of[name] for name in schedule.running}) <= 1
        if schedule.running:
            name = order.choice(sorted(schedule.running))  # type: ignore[attr-defined]  # a random.Random
            schedule.ended(name, outcomes[len(schedule.outcomes)])
        elif schedule.wake_at is not None:
            now = schedule.wake_at
    assert len(began) == len(set(began)) == len(schedule.outcomes)
    assert [wave_of[name] for name in began] == sorted(wave_of[name] for name in began)
    if schedule.phase is Phase.DONE:
        assert set(began) == set(wave_of)
