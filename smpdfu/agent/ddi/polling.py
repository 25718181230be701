"""When an agent asks again: the server's interval, spread, jitter, and longer pauses after errors.

Every time here is a number of seconds of a clock that only runs forward (``time.monotonic``): a clock that somebody
sets does no harm. Random numbers come from the caller.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from random import Random

DEFAULT_INTERVAL_S = 300.0
"""hawkBit's own default. For a server that gives no interval, or none that can be read."""
LEAST_INTERVAL_S = 30.0
"""hawkBit's ``minPollingTime``."""
MOST_INTERVAL_S = 86_400.0
JITTER = 0.1
"""A poll comes up to this part of the interval earlier or later."""
FIRST_PAUSE_S = 5.0
MOST_PAUSE_S = 900.0
MOST_RETRY_AFTER_S = 3600.0

_CLOCK = re.compile(r"(?:(\d{1,9}):)?(?:(\d{1,9}):)?(\d{1,9})")
_ISO = re.compile(r"P(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})(?:\.\d{1,9})?S)?)?")


def interval_of(sleep: str | None, *, least_s: float = LEAST_INTERVAL_S) -> float:
    """Return the interval in seconds for ``config.polling.sleep``, within ``least_s`` and a day.

    hawkBit writes ``HH:MM:SS`` below a day, and ISO 8601 (``PT24H``) from there on. What is neither means the default.
    """
    return min(max(_seconds(sleep or ""), least_s), MOST_INTERVAL_S)


def _seconds(sleep: str) -> float:
    clock = _CLOCK.fullmatch(sleep) if sleep.isascii() else None
    if clock:
        numbers = [int(one) for one in clock.groups() if one is not None]
        return float(sum(number * 60**power for power, number in enumerate(reversed(numbers))))
    iso = _ISO.fullmatch(sleep) if sleep.isascii() else None
    if iso and any(iso.groups()):
        days, hours, minutes, seconds = (int(one or 0) for one in iso.groups())
        return float(days * 86_400 + hours * 3600 + minutes * 60 + seconds)
    return DEFAULT_INTERVAL_S


def spread(index: int, count: int, interval_s: float) -> float:
    """Return the delay of the first poll of device ``index`` of ``count``: evenly over one interval."""
    return interval_s * index / count


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds the server asks us to wait (RFC 9110, 10.2.3); None if it does not say.

    A date counts from the server's own ``Date``, so that our clock does not matter. At most ``MOST_RETRY_AFTER_S``.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdecimal():
        return min(float(value[:10]), MOST_RETRY_AFTER_S)
    try:
        wait_s = (parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(wait_s, 0.0), MOST_RETRY_AFTER_S)


@dataclass
class Poll:
    """When one device is due. ``due_s`` is a time of the monotonic clock that the caller reads.

    After a success, the next poll is due after the interval. After a failure, the pause begins with ``first_pause_s``
    and doubles up to ``MOST_PAUSE_S`` or the interval, whichever is longer; half of each pause is random, so that a
    server that comes back is not asked by all devices at once.
    """

    due_s: float
    interval_s: float = DEFAULT_INTERVAL_S
    failures: int = 0
    first_pause_s: float = FIRST_PAUSE_S

    def succeeded(self, now_s: float, interval_s: float, random: Random) -> None:
        """Plan the next poll after an answer that told ``interval_s``."""
        self.failures, self.interval_s = 0, interval_s
        self.due_s = now_s + interval_s * (1 + random.uniform(-JITTER, JITTER))

    def failed(self, now_s: float, random: Random, retry_after_s: float | None = None) -> None:
        """Plan the next poll after an error; not before ``retry_after_s`` if the server gave it."""
        most_s = max(MOST_PAUSE_S, self.interval_s)
        pause_s = min(self.first_pause_s * 2.0 ** min(self.failures, 30), most_s)
        self.failures += 1
        pause_s *= random.uniform(0.5, 1.0)
        if retry_after_s is not None:
            pause_s = max(pause_s, retry_after_s * (1 + random.uniform(0.0, JITTER)))
        self.due_s = now_s + pause_s

    def wake(self, now_s: float) -> None:
        """Make the device due at once, as after it finished an action."""
        self.due_s = now_s
