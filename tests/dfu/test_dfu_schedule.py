"""Waves and limits: a table of runs, and what must hold in every run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.dfu.fleet.description.file import Limits, Unproven, Wave
from smpdfu.dfu.fleet.schedule import Outcome, Phase, Schedule
from smpdfu.dfu.fleet.stops import StopCode

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
    assert str(schedule.stopped) == "2 of the 2 devices of wave 'rest' that ended have failed"


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


def test_an_unproven_device_stops_the_fleet_where_the_file_says_so() -> None:
    for policy, phase in ((Unproven.CONTINUE, Phase.DONE), (Unproven.STOP, Phase.STOPPED)):
        limits = Limits(at_once=2, stop_after_failures=1, unproven=policy)
        schedule = Schedule((Wave("all", ("a", "b")),), limits, {})
        schedule.begin(0.0)
        schedule.ended("a", Outcome.UNPROVEN)
        schedule.ended("b", Outcome.DONE)
        schedule.begin(0.0)
        schedule.begin(0.0)
        assert schedule.phase is phase
    assert str(schedule.stopped) == "nothing proves the update of 1 device"
    again = Schedule((Wave("all", ("a", "b")),), limits, {"a": Outcome.UNPROVEN}, {"a"})
    assert again.phase is Phase.STOPPED, "a second call does not forget it"
    assert Schedule((Wave("all", ("a", "b")),), limits, {"a": Outcome.UNPROVEN}).phase is Phase.RUNNING


# --- a wave must succeed before the next one begins -----------------------------------------------------------------

HALF = Wave("half", ("a", "b", "c", "d")), Wave("rest", ("e",))
BAD, GONE, GOOD = Outcome.REVERTED, Outcome.UNREACHABLE, Outcome.DONE


def ended_with(limits: Limits, *outcomes: Outcome) -> Schedule:
    """The first wave has ended so; ``begin`` was called once more."""
    schedule = Schedule(HALF, limits, {})
    for name in schedule.begin(0.0):
        schedule.ended(name, outcomes["abcd".index(name)])
    schedule.begin(1.0)
    return schedule


@pytest.mark.parametrize(
    ("limits", "ends", "goes_on"),
    [
        (Limits(), (GOOD, GOOD, GOOD, GOOD), True),
        (Limits(), (GOOD, Outcome.CURRENT, Outcome.UNPROVEN, GOOD), True),
        (Limits(), (GOOD, GOOD, GOOD, BAD), False),
        (Limits(), (BAD, BAD, BAD, BAD), False),
        (Limits(), (GONE, GONE, GONE, GONE), False),
        (Limits(), (GOOD, GOOD, GOOD, Outcome.INCOMPLETE), False),
        (Limits(wave_success=0.75), (GOOD, GOOD, GOOD, BAD), True),
        (Limits(wave_success=0.75), (GOOD, GOOD, GONE, BAD), False),
        (Limits(wave_success=0.0), (BAD, BAD, BAD, GONE), True),
        (Limits(stop_after_failures=9), (GOOD, BAD, BAD, BAD), True),  # who set a limit said how many may fail
        (Limits(stop_after_failures=9), (BAD, BAD, BAD, GONE), False),  # and yet a wave shows nothing without success
        (Limits(stop_at_rate=0.9), (GOOD, BAD, BAD, BAD), True),
        (Limits(max_unreachable=1), (GOOD, GOOD, GOOD, GONE), True),
        (Limits(max_unreachable=1), (GOOD, GOOD, GONE, GONE), False),
        (Limits(max_unreachable=9), (GONE, GONE, GONE, GONE), False),
        (Limits(max_unreachable=9), (GOOD, GONE, GONE, BAD), False),
        (Limits(skip_unreachable=True), (GONE, GONE, GONE, GONE), True),
        (Limits(skip_unreachable=True), (GOOD, GONE, GONE, BAD), False),
        (Limits(stop_after_failures=2), (GOOD, GOOD, GONE, GONE), False),
        (Limits(stop_after_failures=2, max_unreachable=1), (GOOD, GOOD, GONE, GONE), True),
        (Limits(stop_after_failures=2, skip_unreachable=True), (GOOD, BAD, GONE, GONE), True),
        (Limits(stop_at_rate=0.5), (GOOD, GOOD, GONE, GONE), False),
        (Limits(stop_at_rate=0.5, max_unreachable=1), (GOOD, GOOD, GONE, GONE), True),
        (Limits(stop_at_rate=0.5, skip_unreachable=True), (GOOD, GOOD, GONE, GONE), True),
    ],
)
def test_when_the_next_wave_begins(limits: Limits, ends: tuple[Outcome, ...], goes_on: bool) -> None:
    schedule = ended_with(limits, *ends)
    assert schedule.running == ({"e"} if goes_on else set())
    assert (schedule.stopped is None) is goes_on
    assert schedule.stopped is None or schedule.stopped.advice or ends.count(GONE) == 0


def test_the_way_out_is_said() -> None:
    offline = ended_with(Limits(stop_after_failures=2), GOOD, GOOD, GONE, GONE)
    assert str(offline.stopped) == "2 devices failed; the limit is 2; 2 did not answer in time"
    assert offline.stopped is not None
    assert "set max_unreachable = 2 in [fleet]" in offline.stopped.advice
    assert (offline.stopped.code, offline.stopped.silent) == (StopCode.FAILURES, 2)
    reverted = ended_with(Limits(), BAD, BAD, GOOD, GOOD)
    assert str(reverted.stopped) == "wave 'half' did not succeed: 2 of 4 devices have the package, 4 must"
    assert reverted.stopped is not None
    assert "wave_success" in reverted.stopped.advice
    assert reverted.stopped.code is StopCode.WAVE


def test_a_wave_that_failed_in_an_earlier_run_still_stops_the_fleet() -> None:
    known = dict.fromkeys("abcd", BAD)
    assert Schedule(HALF, Limits(), known, known).stopped is not None
    assert Schedule(HALF, Limits(), {}).begin(0.0) == list("abcd"), "done again with --go-on"


def test_nothing_follows_the_last_wave() -> None:
    schedule = Schedule(HALF[:1], Limits(), {})
    for name in schedule.begin(0.0):
        schedule.ended(name, BAD)
    schedule.begin(0.0)
    assert schedule.phase is Phase.DONE


def test_devices_that_do_not_answer_take_no_place() -> None:
    schedule = Schedule(HALF, Limits(at_once=1, max_unreachable=2), {})
    schedule.settle(0.0)
    assert schedule.waiting == tuple("abcd")
    schedule.silent(["a", "c"])
    assert schedule.begin(0.0) == ["b"]
    assert schedule.outcomes == {"a": GONE, "c": GONE}
    schedule.ended("b", GOOD)
    assert schedule.begin(0.0) == ["d"]


def test_a_clock_that_was_set_back_lengthens_no_soak() -> None:
    known = {"a": Outcome.DONE, "b": Outcome.DONE}
    schedule = Schedule((CANARY, REST), Limits(), known, ago={"a": -5000.0, "b": -4000.0})
    assert schedule.begin(100.0) == []
    assert schedule.wake_at == 110.0
