"""Tasks of one wire that live and end together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from smpdfu.errors import LinkLostError

Work = Coroutine[Any, Any, object]


async def run_beside(main: Work, *others: Work) -> None:
    """Run ``main`` until it ends, with ``others`` beside it; then cancel them.

    A lost link ends each of them without an error. Any other error of one of them ends all, and is raised: a device
    that can no longer answer must not look like a silent one.
    """
    first, *_ = tasks = [asyncio.create_task(_while_linked(work)) for work in (main, *others)]
    pending = set(tasks)
    try:
        while first in pending:
            ended, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _while_linked(work: Work) -> None:
    with suppress(LinkLostError):
        await work
