"""When an agent asks again, and what it makes of each status: values only, without a clock."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.agent.ddi.answers import Reaction, reaction, sentence
from smpdfu.agent.ddi.polling import (
    DEFAULT_INTERVAL_S,
    FIRST_PAUSE_S,
    MOST_INTERVAL_S,
    MOST_PAUSE_S,
    MOST_RETRY_AFTER_S,
    Poll,
    interval_of,
    retry_after_of,
    spread,
)


@pytest.mark.parametrize(
    ("sleep", "seconds"),
    [
        ("00:05:00", 300),
        ("00:00:30", 30),
        ("12:00:01", 43_201),
        ("05:00", 300),
        ("45", 45),
        ("PT5M", 300),
        ("PT1H0.5S", 3600),
        ("PT24H", 86_400),
        ("P1D", 86_400),
        ("00:00:00", 30),
        ("00:00:01", 30),
        ("999999999:00:00", 86_400),
        ("PT999999999H", 86_400),
        ("99:99:99", 86_400),
        (None, 300),
        ("", 300),
        ("soon", 300),
        ("-00:05:00", 300),
        ("00:-5:00", 300),
        ("1:2:3:4", 300),
        ("00:05:00 ", 300),
        ("\u0661\u0662:00:00", 300),
        ("P", 300),
        ("PT", 300),
        ("9" * 400, 300),
        ("1e9", 300),
    ],
)
def test_an_interval_is_read_within_bounds(sleep: str | None, seconds: float) -> None:
    assert interval_of(sleep) == seconds


def test_a_shorter_bound_can_be_set() -> None:
    assert interval_of("00:00:01", least_s=0.5) == 1
    assert interval_of("00:00:00", least_s=0.5) == 0.5


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40) | st.from_regex(r"P?[0-9TDHMS:.]{0,30}"))
def test_no_text_gives_an_interval_out_of_bounds(sleep: str) -> None:
    assert 30 <= interval_of(sleep) <= MOST_INTERVAL_S


@given(st.integers(1, 2000), st.integers(1, 86_400))
def test_first_polls_are_evenly_over_the_interval(count: int, interval_s: int) -> None:
    delays = [spread(index, count, interval_s) for index in range(count)]
    assert delays[0] == 0
    assert delays == sorted(delays)
    assert max(delays) < interval_s
    gaps = [later - sooner for sooner, later in pairwise(delays)]
    assert all(gap == pytest.approx(interval_s / count) for gap in gaps)


def test_polls_keep_the_interval_with_jitter() -> None:
    poll, random, now_s = Poll(0.0), Random(1), 0.0
    waits = []
    for _ in range(1000):
        poll.succeeded(now_s, 300.0, random)
        waits.append(poll.due_s - now_s)
        now_s = poll.due_s
    assert min(waits) >= 270
    assert max(waits) <= 330
    assert sum(waits) / len(waits) == pytest.approx(300, rel=0.02)
    assert len(set(waits)) > 900


def test_pauses_grow_after_errors_and_are_short_again_after_a_success() -> None:
    poll, random = Poll(0.0, 300.0), Random(1)
    expected = [FIRST_PAUSE_S * 2**failed for failed in range(8)]
    for pause_s in [*expected, MOST_PAUSE_S, MOST_PAUSE_S]:
        poll.failed(1000.0, random)
        assert min(pause_s, MOST_PAUSE_S) / 2 <= poll.due_s - 1000 <= min(pause_s, MOST_PAUSE_S)
    poll.succeeded(1000.0, 300.0, random)
    poll.failed(1000.0, random)
    assert poll.due_s - 1000 <= FIRST_PAUSE_S


def test_a_long_interval_bounds_the_pause() -> None:
    poll, random = Poll(0.0, 7200.0, failures=200), Random(1)
    poll.failed(0.0, random)
    assert 3600 <= poll.due_s <= 7200


def test_devices_do_not_come_back_at_once_after_an_error() -> None:
    dues = set()
    for seed in range(100):
        poll = Poll(0.0, failures=7)
        poll.failed(0.0, Random(seed))
        dues.add(round(poll.due_s))
    assert len(dues) > 50


def test_the_server_can_ask_for_a_longer_pause_and_not_for_a_shorter_one() -> None:
    poll = Poll(0.0)
    poll.failed(0.0, Random(1), retry_after_s=120.0)
    assert 120 <= poll.due_s <= 132
    poll = Poll(0.0, failures=9)
    poll.failed(0.0, Random(1), retry_after_s=0.0)
    assert poll.due_s >= MOST_PAUSE_S / 2


def test_a_device_can_be_due_at_once() -> None:
    poll = Poll(500.0)
    poll.wake(100.0)
    assert poll.due_s == 100.0
    assert poll.interval_s == DEFAULT_INTERVAL_S


NOW = "Mon, 30 Nov 2026 18:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": " 0 "}, 0),
        ({"Retry-After": "9" * 100}, MOST_RETRY_AFTER_S),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "1.5"}, None),
        ({"Retry-After": "\u0661"}, None),
        ({"Retry-After": "soon", "Date": NOW}, None),
        ({"Retry-After": "Mon, 30 Nov 2026 18:02:00 GMT"}, None),
        ({"Retry-After": "Mon, 30 Nov 2026 18:02:00 GMT", "Date": NOW}, 120),
        ({"Retry-After": "Mon, 30 Nov 2026 17:00:00 GMT", "Date": NOW}, 0),
        ({"Retry-After": "Mon, 30 Nov 2099 17:00:00 GMT", "Date": NOW}, MOST_RETRY_AFTER_S),
        ({"Retry-After": "Mon, 30 Nov 2026 18:02:00", "Date": NOW}, None),
        ({"Retry-After": "Mon, 99 Nov 99999 18:02:00 GMT", "Date": NOW}, None),
    ],
)
def test_retry_after_needs_no_clock(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_of(headers) == seconds


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_no_header_gives_more_than_an_hour(value: str, date: str) -> None:
    found = retry_after_of({"Retry-After": value, "Date": date})
    assert found is None or 0 <= found <= MOST_RETRY_AFTER_S


REACTIONS = {
    200: Reaction.USE,
    201: Reaction.USE,
    204: Reaction.USE,
    302: Reaction.REDIRECT,
    304: Reaction.UNCHANGED,
    307: Reaction.REDIRECT,
    300: Reaction.LATER,
    400: Reaction.REFUSED,
    401: Reaction.CREDENTIALS,
    403: Reaction.CREDENTIALS,
    404: Reaction.UNKNOWN,
    405: Reaction.REFUSED,
    408: Reaction.LATER,
    409: Reaction.CONFLICT,
    410: Reaction.OVER,
    413: Reaction.REFUSED,
    415: Reaction.REFUSED,
    418: Reaction.REFUSED,
    423: Reaction.CONFLICT,
    425: Reaction.LATER,
    429: Reaction.WAIT,
    500: Reaction.LATER,
    502: Reaction.LATER,
    503: Reaction.LATER,
    504: Reaction.LATER,
    599: Reaction.LATER,
    999: Reaction.LATER,
}


@pytest.mark.parametrize(("status", "expected"), REACTIONS.items())
def test_every_status_has_one_reaction(status: int, expected: Reaction) -> None:
    assert reaction(status) is expected
    if expected in (Reaction.USE, Reaction.UNCHANGED):
        with pytest.raises(ValueError, match="no refusal"):
            sentence(status)
    else:
        assert sentence(status).endswith(f"(HTTP {status})")


def test_a_quota_is_not_a_wait() -> None:
    quota = "hawkbit.server.error.quota.tooManyEntries"
    assert reaction(429, quota) is Reaction.QUOTA
    assert reaction(403, quota) is Reaction.QUOTA
    assert reaction(404, quota) is Reaction.UNKNOWN
    assert reaction(429, "hawkbit.server.error.other") is Reaction.WAIT
