"""Writes the status of a running agent to its file: soon after news, seldom otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from smpdfu.agent.report.status import StatusBook, write_data

NEWS_S = 2.0
"""The shortest time between two writes."""
POLLS_S = 30.0
"""The same where only the times of polls changed: a gateway with many devices polls all the time."""
Sleep = Callable[[float], Awaitable[None]]


@asynccontextmanager
async def status_kept(book: StatusBook, folder: Path, *, sleep: Sleep = asyncio.sleep) -> AsyncIterator[None]:
    """Keep the file in ``folder`` up to date while inside, and at the end.

    Nothing is written before the first event: until then, the file may be another process's. A status that cannot be
    written stops no agent: the disk may be full, and the agent says that where it matters.
    """
    task = asyncio.create_task(_keep(book, folder, sleep))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        if book.begun:
            await _write(book, folder)


async def _keep(book: StatusBook, folder: Path, sleep: Sleep) -> None:
    quiet_s = POLLS_S
    while True:
        if book.news or (book.changed and quiet_s >= POLLS_S):
            await _write(book, folder)
            quiet_s = 0.0
        await sleep(NEWS_S)
        quiet_s += NEWS_S


async def _write(book: StatusBook, folder: Path) -> None:
    book.changed = book.news = False
    data = book.status().to_json()
    with suppress(OSError):
        await asyncio.to_thread(write_data, folder, data)
