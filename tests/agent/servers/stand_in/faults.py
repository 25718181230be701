"""Faults that a test orders from the stand-in: lost requests, lost answers, refusals, slowness, cut bodies."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Kind = Literal["drop-before", "drop-after", "status", "status-after", "slow", "cut", "replace"]


@dataclass
class Fault:
    """What goes wrong with the next ``times`` requests whose ``METHOD /path`` holds ``match`` (a regular expression).

    ``holds``: and whose body has these bytes.
    ``drop-before``: the connection ends and the server did nothing; ``drop-after``: it did what was asked, and the
    answer is lost. ``status``: refused with ``status`` and nothing done; ``status-after``: done, and refused all the
    same. ``slow``: after ``seconds``. ``cut``: the connection ends behind ``length`` bytes of the body. ``replace``:
    ``body`` in place of the answer's.
    """

    kind: Kind
    match: str = ""
    times: int = 1
    holds: bytes = b""
    status: int = 503
    retry_after: str = ""
    seconds: float = 0.0
    length: int = 0
    body: bytes = b""
    content_type: str = "text/html"
    met: int = 0


@dataclass
class Faults:
    """The faults in the order in which they were ordered; each request meets the first that fits."""

    ordered: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> Fault:
        """One more."""
        self.ordered.append(fault)
        return fault

    def clear(self) -> None:
        """All is well again."""
        self.ordered.clear()

    async def meet(self, request: web.Request) -> Fault | None:
        """The fault of this request, counted."""
        line = f"{request.method} {request.raw_path}"
        for fault in self.ordered:
            if fault.met >= fault.times or not re.search(fault.match, line):
                continue
            if not fault.holds or fault.holds in await request.read():  # an upload is read by its own handler
                fault.met += 1
                return fault
        return None


async def faulty(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer as the fault says."""
    headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
    match fault.kind:
        case "drop-before":
            return _dropped(request)
        case "drop-after":
            await handler(request)
            return _dropped(request)
        case "status":
            return web.Response(status=fault.status, headers=headers)
        case "status-after":
            await handler(request)
            return web.Response(status=fault.status, headers=headers)
        case "slow":
            await asyncio.sleep(fault.seconds)
            return await handler(request)
        case "cut":
            return await _cut(request, await handler(request), fault.length)
        case "replace":
            return web.Response(body=fault.body, content_type=fault.content_type, status=200)


def _dropped(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # nobody reads it


async def _cut(request: web.Request, whole: web.StreamResponse, length: int) -> web.StreamResponse:
    assert isinstance(whole, web.Response)
    body = bytes(whole.body if isinstance(whole.body, bytes) else b"")
    answer = web.StreamResponse(status=whole.status, headers=whole.headers)
    answer.content_length = len(body)
    await answer.prepare(request)
    await answer.write(body[:length])
    await asyncio.sleep(0.05)  # so that the bytes before the cut arrive
    return _dropped(request)
