"""When a question is asked again that is not part of an upload: the link was lost, or the device was busy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from smpdfu.errors import DeviceError, LinkLostError
from smpdfu.smp.transfer.upload import is_passing

T = TypeVar("T")
_LONGEST_PAUSE = 16
"""How often longer than at first a busy device is left alone in the end."""


def pause_after(pauses: int, pause_s: float) -> float:
    """Return how many seconds to leave a busy device alone after ``pauses`` pauses: twice as long every time."""
    return float(pause_s * min(2**pauses, _LONGEST_PAUSE))


async def insist(
    ask: Callable[[], Awaitable[T]], reconnect: Callable[[], Awaitable[None]], *, attempts: int, pause_s: float
) -> T:
    """Return ``await ask()``, repeated at most ``attempts`` times.

    After LinkLostError it calls ``reconnect`` first, unless this program closed the link. After a refusal that can
    pass (``is_passing``) it waits ``pause_s`` seconds. Raises any other error at once, and the error of the last
    attempt.
    """
    for _ in range(attempts):
        try:
            return await ask()
        except LinkLostError as error:
            if error.closed:
                raise
            await reconnect()
        except DeviceError as error:
            if not is_passing(error):
                raise
            await asyncio.sleep(pause_s)
    return await ask()
