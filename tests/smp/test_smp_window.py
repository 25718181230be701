"""The window's rules, one by one. Time is what the tests say."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.smp.transfer.sizes import STRETCH
from smpdfu.smp.transfer.trips import FLOOR, RoundTrips
from smpdfu.smp.transfer.window import BARS, EVEN, HOLD, SAMPLES, SHORTEST_GAP_S, Fault, Window

TRIP_S = 0.03


class Run:
    """A window in use: ``answers`` come one after the other, each ``trip_s`` after its request."""

    def __init__(self, window: Window) -> None:
        self.window, self.now, self.heard_at = window, 100.0, 0.0

    def answers(self, count: int, trip_s: float = TRIP_S, left: int = 1000) -> int:
        """Let ``count`` answers come, as many in a round trip as are in flight; the size after them."""
        for _ in range(count):
            sent_at = self.now
            self.window.sent(sent_at)
            self.now += trip_s / self.window.size
            self.heard_at = max(self.heard_at, sent_at + trip_s)
            self.window.answered(self.heard_at, self.heard_at - trip_s, left=left)
        return self.window.size

    def fault(self, kind: Fault = Fault.BEHIND) -> int:
        self.now = max(self.now, self.heard_at)
        self.window.sent(self.now)
        self.window.fault(self.now, kind)
        return self.window.size

    def grow_to(self, size: int, trip_s: float = TRIP_S) -> None:
        for _ in range(200):
            if self.answers(1, trip_s) == size:
                return
        raise AssertionError(f"it never came to {size}")


def queueing(run: Run, count: int, alone_s: float = TRIP_S) -> list[int]:
    """Answers of a device that is busy all the time: in flight is only in the queue."""
    return [run.answers(1, alone_s * run.window.size) for _ in range(count)]


# --- growing ----------------------------------------------------------------------------------------------------------


def test_it_begins_with_one_and_doubles_while_round_trips_are_flat() -> None:
    run = Run(Window(8, bound=7))
    sizes = [run.window.size, *(run.answers(1) for _ in range(12))]
    assert sorted(set(sizes)) == [1, 2, 4, 7]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(
    ("short_s", "size"), [(TRIP_S - 0.001, 7), (TRIP_S * 0.7, 3), (TRIP_S / 2, 1), (TRIP_S * 1.2, 2), (0.0, 1)]
)
def test_one_answer_is_enough_if_a_short_request_took_about_as_long(short_s: float, size: int) -> None:
    run = Run(Window(8, bound=7, least_trip_s=short_s))
    assert run.answers(1) == size


def test_as_many_as_share_the_round_trip_are_the_first_step() -> None:
    run = Run(Window(4, least_trip_s=TRIP_S - 0.001))
    assert [run.answers(1) for _ in range(3)] == [3, 3, 3]
    assert run.fault() == 2


def test_it_grows_by_one_when_requests_begin_to_queue() -> None:
    run = Run(Window(8, bound=7))
    sizes = [run.answers(1, TRIP_S * max(1.0, run.window.size / 1.5)) for _ in range(60)]
    assert all(after - before <= 1 for before, after in pairwise(sizes))


def test_it_grows_by_one_when_something_has_failed() -> None:
    run = Run(Window(8, bound=7))
    run.grow_to(4)
    run.fault(Fault.SILENCE)
    sizes = [run.answers(1) for _ in range(300)]
    assert max(sizes) == 7
    assert all(after - before <= 1 for before, after in pairwise(sizes))


@pytest.mark.parametrize(("buffers", "size"), [(1, 1), (2, 1), (3, 2), (4, 3), (8, 7)])
def test_it_stops_at_the_buffers_less_one(buffers: int, size: int) -> None:
    run = Run(Window(buffers))
    assert run.answers(300, trip_s=0.005) == size  # too quick to spread more over


@pytest.mark.parametrize(("buffers", "most"), [(1, 1), (2, 3), (4, 7), (100, 8)])
def test_beyond_the_buffers_if_round_trips_stay_flat(buffers: int, most: int) -> None:
    run = Run(Window(buffers))
    assert run.answers(400) == most


@pytest.mark.parametrize(("trip_s", "most"), [(0.0115, 3), (0.015, 4), (0.02, 6), (0.05, 7)])
def test_beyond_the_buffers_only_as_far_as_sends_can_be_spread(trip_s: float, most: int) -> None:
    run = Run(Window(4))
    assert run.answers(400, trip_s) == most


def test_beyond_the_buffers_there_is_no_burst_even_if_round_trips_shrink() -> None:
    run = Run(Window(4))
    run.grow_to(7)
    run.answers(30, trip_s=TRIP_S / 2)
    run.window.sent(run.now)
    assert run.window.size > 3
    assert run.window.send_at() - run.now >= SHORTEST_GAP_S * 0.999


def test_beyond_the_buffers_only_if_a_failure_would_not_matter() -> None:
    assert Run(Window(2)).answers(40, left=10) == 1
    assert Run(Window(2)).answers(40, left=1000) > 1


def test_not_beyond_the_buffers_if_round_trips_grow() -> None:
    run = Run(Window(3))
    run.grow_to(2)
    run.answers(40, trip_s=TRIP_S * 1.3)
    assert run.answers(300, trip_s=TRIP_S * 1.3) == 2


def test_not_beyond_the_buffers_if_answers_come_together() -> None:
    window = Window(3)
    now = 0.0
    for _ in range(200):
        for number in range(window.size):
            window.sent(now + number * TRIP_S / 4)
            window.answered(now + TRIP_S, now + number * TRIP_S / 4, left=1000)
        now += TRIP_S
    assert window.size == 2


@pytest.mark.parametrize("bound", [1, 2, 5])
def test_the_user_has_the_last_word(bound: int) -> None:
    assert Run(Window(8, bound=bound)).answers(300) == bound


def test_a_device_that_does_not_tell_its_buffers_proves_itself_first() -> None:
    run = Run(Window(None))
    assert run.answers(15) == 1
    assert run.answers(1) == 2
    assert run.answers(300) == 2


def test_near_the_end_nothing_is_tried() -> None:
    assert Run(Window(4)).answers(100, left=1) == 1


@pytest.mark.parametrize(("bound", "timeout_s"), [(0, 1.0), (1, 0.0), (None, -1.0)])
def test_impossible_windows(bound: int | None, timeout_s: float) -> None:
    with pytest.raises(ValueError, match="let nothing pass"):
        Window(4, bound=bound, timeout_s=timeout_s)


# --- what does not pay ------------------------------------------------------------------------------------------------


def test_what_does_not_pay_is_given_up_and_not_tried_again_soon() -> None:
    run = Run(Window(4))
    sizes = queueing(run, 400)
    tries = [at for at, (before, after) in enumerate(pairwise(sizes)) if after > before]
    assert max(sizes) == 2
    assert len(tries) <= 4
    assert all(later - earlier >= HOLD for earlier, later in pairwise(tries))
    assert sizes.count(2) <= (len(tries) + 1) * (SAMPLES + 2)


def test_a_single_slow_answer_does_not_end_a_trial() -> None:
    run = Run(Window(4))
    run.grow_to(2)
    run.answers(1)
    run.answers(1, trip_s=0.5)
    assert run.answers(20) >= 3


# --- faults -----------------------------------------------------------------------------------------------------------


def test_a_fault_takes_it_down_at_once_and_the_size_is_barred() -> None:
    run = Run(Window(4))
    run.grow_to(3)
    assert run.fault() == 2
    assert run.answers(BARS[1] - 1) == 2
    assert run.answers(2) == 3


@pytest.mark.parametrize(("size", "left"), [(2, 1), (4, 2), (7, 3)])
def test_silence_takes_it_down_to_half(size: int, left: int) -> None:
    run = Run(Window(8))
    run.grow_to(size)
    assert run.fault(Fault.SILENCE) == left


def test_a_fault_beyond_the_buffers_takes_it_back_to_them() -> None:
    run = Run(Window(3))
    run.grow_to(5)
    assert run.fault() == 2
    assert run.answers(BARS[2] - 10) == 2


def test_what_fails_again_and_again_is_left_alone() -> None:
    run = Run(Window(4))
    failures = 0
    for _ in range(700):
        if run.answers(1) == 2:
            run.fault()
            failures += 1
    assert 2 <= failures <= 3
    assert run.window.size == 1


def test_after_a_good_run_a_fault_is_soon_forgotten() -> None:
    run = Run(Window(4))
    run.grow_to(3)
    run.answers(50, trip_s=0.009)
    assert run.fault() == 2
    assert run.answers(BARS[0] + 1, trip_s=0.009) == 3


def test_faults_of_one_moment_count_once() -> None:
    run = Run(Window(8))
    run.grow_to(7)
    sent, run.now = [], run.heard_at
    for _ in range(5):
        run.window.sent(run.now)
        sent.append(run.now)
        run.now += 0.001
    for at in sent:
        run.window.fault(at, Fault.BEHIND)
    assert run.window.size == 6


def test_a_fault_with_one_in_flight_is_the_wires() -> None:
    run = Run(Window(4))
    assert run.fault() == 1
    assert run.answers(3) == 2


def test_an_answer_that_comes_after_all_takes_the_fault_back() -> None:
    run = Run(Window(4))
    run.grow_to(3)
    assert run.fault(Fault.SILENCE) == 1
    run.window.late(0.4)
    assert run.window.size == 3
    assert run.window.overdue_s() >= 0.4


def test_faults_that_the_wire_does_not_explain_end_it() -> None:
    run, trip_s = Run(Window(4)), 0.003  # so short that little is gained between the two
    run.grow_to(3, trip_s)
    run.fault()
    run.grow_to(3, trip_s)
    assert run.fault() == 1
    assert run.answers(3000, trip_s) == 1


def test_faults_that_cost_less_than_was_gained_since_the_last_one_do_not() -> None:
    run = Run(Window(4, bound=3))
    run.grow_to(3)
    for _ in range(5):
        run.answers(40)
        assert run.fault() == 2
        run.grow_to(3)


def test_where_bytes_get_lost_a_fault_counts_whatever_was_gained() -> None:
    run = Run(Window(4, bound=3, probes=3))
    sizes = []
    for _ in range(2):
        while run.window.size < 3:
            run.answers(1)
            if run.window.asks or run.window.wants_page:
                run.window.probe_heard(page=run.window.wants_page)
        run.answers(40)
        sizes.append(run.fault())
    assert sizes == [2, 1]


def test_faults_that_the_wire_has_as_well_do_not() -> None:
    run, sizes = Run(Window(4)), list[int]()
    for _ in range(600):
        sizes.append(max(run.answers(1) for _ in range(10)))
        run.fault()
    assert sizes[0] > 1
    assert max(sizes[100:]) > 1


def test_what_does_not_pay_any_more_is_given_up() -> None:
    run = Run(Window(4, bound=3))
    run.grow_to(3)
    run.answers(20)
    sizes = queueing(run, STRETCH + 20)
    assert sizes[0] == 3
    assert 1 in sizes


# --- spacing ----------------------------------------------------------------------------------------------------------


def test_one_in_flight_is_not_held_back() -> None:
    run = Run(Window(1))
    run.answers(10)
    assert run.window.send_at() <= run.now


def test_several_in_flight_are_spread_over_the_round_trip() -> None:
    run = Run(Window(4, bound=3))
    run.answers(100)
    run.window.sent(run.now)
    assert run.window.send_at() - run.now == pytest.approx(EVEN * TRIP_S / 3, abs=0.001)


@pytest.mark.parametrize(("buffers", "trip_s"), [(4, 0.003), (8, 0.0125)])
def test_gaps_that_no_timer_can_keep_are_none(buffers: int, trip_s: float) -> None:
    run = Run(Window(buffers))
    run.answers(100, trip_s)
    run.window.sent(run.now)
    assert run.window.send_at() == run.now


# --- when an answer is overdue ----------------------------------------------------------------------------------------


def test_before_the_first_answer_the_users_timeout_counts() -> None:
    assert RoundTrips(2.5).overdue_s() == 2.5


def test_overdue_is_learnt_with_a_floor_and_a_ceiling() -> None:
    trips = RoundTrips(2.5)
    for _ in range(50):
        trips.add(0.001)
    assert trips.overdue_s() == 2.5 * FLOOR
    assert trips.overdue_s(on_trial=True) < 2.5 * FLOOR
    for _ in range(50):
        trips.add(0.3)
    assert 0.5 < trips.overdue_s() < 1.0
    for _ in range(50):
        trips.add(9.0)
    assert trips.overdue_s() == 2.5


def test_overdue_doubles_with_every_silence_until_an_answer() -> None:
    trips = RoundTrips(2.5)
    for _ in range(50):
        trips.add(0.1)
    waits = [trips.overdue_s()]
    for _ in range(6):
        trips.add_silence()
        waits.append(trips.overdue_s())
    assert waits[1] == 2 * waits[0]
    assert waits[-1] == 2.5
    trips.add(0.1)
    assert trips.overdue_s() < waits[1]


def test_a_rare_long_answer_is_remembered() -> None:
    trips = RoundTrips(2.5)
    for number in range(200):
        trips.add(0.7 if number % 50 == 10 else 0.02)
    assert trips.overdue_s() > 0.7


# --- anything ---------------------------------------------------------------------------------------------------------

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["answer", "answer", "answer", "again", "behind", "silence", "late"]),
        st.sampled_from([0.0, 0.0001, 0.01, 0.05, 1.0, 30.0]),
    ),
    max_size=200,
)


@settings(max_examples=200)
@given(EVENTS, st.one_of(st.none(), st.integers(0, 300)), st.one_of(st.none(), st.integers(1, 300)))
def test_whatever_happens_it_stays_within_its_bounds(
    events: list[tuple[str, float]], buffers: int | None, bound: int | None
) -> None:
    window, now = Window(buffers, bound=bound), 5.0
    for event, duration_s in events:
        before = window.size
        window.sent(now)
        now += duration_s
        if event in ("answer", "again"):
            window.answered(now, now - duration_s, left=100, again=event == "again")
        elif event == "late":
            window.late(duration_s)
        else:
            window.fault(now - duration_s, Fault(event))
            assert window.size <= before
        assert 1 <= window.size <= min(bound or 8, 8)
        assert window.size <= 2 * before or event == "late"
        assert 0 < window.overdue_s() <= 2.5
        assert window.send_at() - now <= max(30.0, duration_s)
