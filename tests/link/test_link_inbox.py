"""What has arrived and was not read yet."""

from __future__ import annotations

import asyncio

import pytest

from smpdfu.errors import LinkLostError
from smpdfu.link.inbox import Inbox
from tests.simulated import simulate


def test_what_came_before_the_end_is_read_and_nothing_else() -> None:
    async def use() -> None:
        inbox = Inbox()
        inbox.put(b"before")
        inbox.end(LinkLostError("the first"))
        inbox.end(LinkLostError("the second"))
        inbox.put(b"after")
        assert await inbox.get() == b"before"
        for _ in range(2):
            with pytest.raises(LinkLostError, match="the first"):
                await inbox.get()

    simulate(use())


def test_an_early_piece_waits_behind_a_late_one() -> None:
    async def use() -> None:
        inbox = Inbox()
        inbox.put(b"late", asyncio.get_running_loop().time() + 0.01)
        inbox.put(b"early")
        assert [await inbox.get(), await inbox.get()] == [b"late", b"early"]

    simulate(use())


def test_dropped_pieces_are_gone() -> None:
    async def use() -> None:
        inbox = Inbox()
        inbox.put(b"dropped")
        inbox.drop()
        inbox.put(b"kept")
        assert await inbox.get() == b"kept"

    simulate(use())
