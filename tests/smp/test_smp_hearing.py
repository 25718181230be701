"""What is known of whether a device hears while it works, and what a window makes of it."""

from __future__ import annotations

import pytest

from smpdfu.smp.transfer.hearing import HOLDS, Hearing, Losses
from smpdfu.smp.transfer.trips import RoundTrips
from smpdfu.smp.transfer.window import BARS, Fault, Window

FULL = 11


def proven(hearing: Hearing) -> Hearing:
    """After a probe behind any chunk, and one behind a page."""
    hearing.heard(page=False)
    hearing.heard(page=True)
    return hearing


def test_where_nothing_is_lost_piece_by_piece_there_are_no_probes() -> None:
    hearing = Hearing()
    hearing.doubt(wire=False)
    assert (hearing.proven, hearing.wants_page, hearing.may_ask(1000)) == (True, False, False)


def test_one_probe_lets_several_be_in_flight_and_a_second_looks_at_a_page() -> None:
    hearing = Hearing(FULL)
    assert (hearing.proven, hearing.may_ask(0)) == (False, True)
    hearing.heard(page=False)
    assert (hearing.proven, hearing.wants_page) == (True, True)
    hearing.heard(page=True)
    assert not hearing.wants_page


def test_a_lost_probe_is_sent_again_ever_later_and_at_the_same_moment() -> None:
    hearing, answers = Hearing(FULL), 10
    phase = hearing.phase(page=False, spread=True)
    for hold in (*HOLDS, HOLDS[-1]):
        hearing.missed(answers, page=False, wire=False)
        assert not hearing.may_ask(answers + hold - 1)
        assert hearing.may_ask(answers + hold)
        answers += hold
    assert hearing.phase(page=False, spread=True) == phase


def test_where_sends_are_not_spread_the_first_probe_comes_at_once() -> None:
    hearing = Hearing(FULL)
    assert hearing.phase(page=False, spread=False) == 0
    assert hearing.phase(page=True, spread=False) == hearing.phase(page=False, spread=True) > 0


def test_probes_come_at_ever_other_moments() -> None:
    hearing, phases = Hearing(FULL), set()
    for _ in range(FULL):
        phases.add(round(hearing.phase(page=False, spread=True), 3))
        hearing.heard(page=False)
    assert len(phases) == FULL
    assert max(phases) < 0.8


def test_a_page_that_costs_two_probes_makes_all_of_them_be_wanted() -> None:
    hearing = Hearing(FULL)
    hearing.heard(page=False)
    hearing.missed(10, page=True, wire=False)
    hearing.heard(page=False)
    assert hearing.proven
    hearing.missed(20, page=True, wire=False)
    for _ in range(FULL):
        assert not hearing.proven
        hearing.heard(page=False)
    assert hearing.proven


def test_a_wire_that_loses_messages_loses_probes_too() -> None:
    hearing = proven(Hearing(FULL))
    hearing.doubt(wire=True)
    for _ in range(FULL - 1):
        hearing.heard(page=False)
    hearing.missed(20, page=False, wire=True)
    hearing.heard(page=False)
    assert not hearing.proven
    hearing.heard(page=False)
    assert hearing.proven


@pytest.mark.parametrize("wire", [False, True])
def test_a_doubt_is_the_end_unless_the_wire_loses_then_or_later(wire: bool) -> None:
    hearing = proven(Hearing(FULL))
    hearing.doubt(wire=wire)
    assert hearing.may_ask(10_000) is wire
    assert hearing.may_ask(10_000, wire=True)
    for _ in range(FULL):
        assert not hearing.proven
        hearing.heard(page=False)
    assert hearing.proven


def test_lost_answers_and_faults_alone_explain_faults_with_several() -> None:
    losses = Losses(many_answers=100, many_faults=2)
    assert (losses.unexplained, losses.by_wire) == (2, False)
    losses.answers += 1
    assert (losses.unexplained, losses.by_wire) == (0, True)
    losses = Losses(alone_answers=100, alone_faults=1, many_answers=100, many_faults=2)
    assert (losses.unexplained, losses.by_wire) == (0, True)
    losses.forget_many()
    assert losses.many_faults == losses.many_answers == 0


# --- the window -----------------------------------------------------------------------------------------------------


def answers(window: Window, count: int, trip_s: float = 0.03, now: float = 100.0, left: int = 1000) -> float:
    """So many answers, one after the other; the time after them."""
    for _ in range(count):
        window.sent(now)
        now += trip_s
        window.answered(now, now - trip_s, left=left)
    return now


def test_without_proof_one_is_in_flight() -> None:
    window = Window(4, probes=FULL)
    now = answers(window, 1)
    assert (window.asks, window.size) == (True, 1)
    window.probe_missed(0.03, page=False)
    assert not window.asks
    now = answers(window, HOLDS[0], now=now)
    assert window.asks
    window.probe_heard(page=False)
    answers(window, 1, now=now)
    assert (window.size, window.wants_page) == (2, True)


def test_a_page_that_makes_it_deaf_takes_the_window_back() -> None:
    window = Window(4, probes=FULL)
    now = answers(window, 1)
    window.probe_heard(page=False)
    answers(window, 2, now=now)
    window.probe_missed(0.03, page=True)
    assert (window.size, window.wants_page) == (1, False)


def faulty() -> tuple[Window, float]:
    """A window with two in flight, of which one failed; and the time."""
    window = Window(4, probes=FULL)
    now = answers(window, 1)
    window.probe_heard(page=False)
    now = answers(window, 2, now=now)
    assert window.size == 2
    window.sent(now)
    window.fault(now, Fault.BEHIND)
    return window, answers(window, BARS[1], now=now + 0.03)


def test_after_an_unexplained_fault_one_is_in_flight() -> None:
    window, now = faulty()
    answers(window, 1000, now=now)
    assert (window.size, window.asks) == (1, False)


def test_a_fault_with_one_in_flight_explains_it_later() -> None:
    window, now = faulty()
    window.sent(now)
    window.fault(now, Fault.SILENCE)
    now = answers(window, 1, now=now)
    for _ in range(FULL):
        assert (window.size, window.asks) == (1, True)
        window.probe_heard(page=False)
        now = answers(window, 1, now=now)
    assert window.size > 1


def test_a_lost_answer_explains_it_later() -> None:
    window, now = faulty()
    window.answer_lost()
    answers(window, 1, now=now)
    assert window.asks


def test_a_refusal_for_want_of_a_buffer_was_heard() -> None:
    window = Window(4, probes=FULL)
    now = answers(window, 1)
    window.probe_heard(page=False)
    now = answers(window, 2, now=now)
    window.sent(now)
    window.fault(now, Fault.FULL)
    now = answers(window, 30, now=now)
    assert not window.asks
    assert window.size > 1


@pytest.mark.parametrize(
    ("least_trip_s", "left", "size"), [(0.03, 60, 2), (0.001, 60, 1), (0.001, 200, 2), (0.0, 60, 2)]
)
def test_what_waiting_can_be_shared_must_be_worth_the_trial(least_trip_s: float, left: int, size: int) -> None:
    window = Window(4, bound=2, least_trip_s=least_trip_s)
    answers(window, 4, left=left)
    assert window.size == size


def test_a_size_that_is_slower_is_given_up_at_once() -> None:
    window = Window(4, bound=2)
    now = answers(window, 2)
    taken = 0
    while window.size == 2:
        now = answers(window, 1, trip_s=0.09, now=now)
        taken += 1
    assert taken == 4


def test_of_few_round_trips_more_is_borne() -> None:
    trips = RoundTrips(2.5)
    trips.add(0.1)
    assert trips.overdue_s() == pytest.approx(0.6)
    for _ in range(50):
        trips.add(0.1)
    assert trips.overdue_s() < 0.25
    assert trips.overdue_s(grown=3.0) > 0.6
