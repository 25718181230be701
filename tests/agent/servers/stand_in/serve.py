"""The stand-in as a server: in a thread of its own for tests, or as a process (``python -m ....serve PORT``)."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote

from aiohttp import web

from tests.agent.servers.stand_in import ddi, management, rollout_routes, software_routes
from tests.agent.servers.stand_in.faults import Faults, Handler, faulty
from tests.agent.servers.stand_in.repository import RefusedError, Repository

BODY_MAX = 64 << 20


@dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    method: str
    path: str
    authorization: str
    range: str
    status: int


@dataclass
class StandIn:
    """A server that listens. ``url``: without a path. Repository and faults may be read and set from any thread."""

    url: str
    repository: Repository
    faults: Faults
    seen: list[Seen] = field(default_factory=list)

    def count(self, method: str, part: str) -> int:
        """How many requests had this method and this part in their path."""
        return sum(one.method == method and part in one.path for one in self.seen)


def application(repository: Repository, faults: Faults, seen: list[Seen]) -> web.Application:
    """The server's web application."""

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        fault = await faults.meet(request)
        status = 0
        try:
            response = await (handler(request) if fault is None else faulty(fault, request, handler))
            status = response.status
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            headers = request.headers
            words = headers.get("Authorization", ""), headers.get("Range", "")
            seen.append(Seen(request.method, unquote(request.raw_path), *words, status))
        return response

    made = web.Application(middlewares=[refuse, _answer], client_max_size=BODY_MAX)
    made[ddi.REPOSITORY] = repository
    made.add_routes([*management.routes, *software_routes.routes, *rollout_routes.routes, *ddi.routes])
    return made


@web.middleware
async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Check who asks, turn refusals into statuses, and give each JSON answer the ETag of its bytes."""
    try:
        (management if request.path.startswith(management.ROOT) else ddi).authenticate(request)
        response = await handler(request)
    except RefusedError as error:
        return web.json_response({"message": str(error), "errorCode": _code(error.status)}, status=error.status)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, KeyError) and "tenant" in error.args:
            raise web.HTTPNotFound from None
        return web.json_response({"message": f"not readable: {error}"}, status=400)
    if isinstance(response, web.Response) and response.content_type == "application/json" and response.status == 200:
        assert isinstance(response.body, bytes)
        etag = hashlib.md5(response.body, usedforsecurity=False).hexdigest()
        response.headers["ETag"] = f'"0{etag}"'
        if request.method == "GET" and request.headers.get("If-None-Match") == f'"0{etag}"':
            return web.Response(status=304, headers={"ETag": f'"0{etag}"'})
    return response


# hawkBit's codes of errors (``SpServerError``), where an agent looks at them.
_CODES = {404: "hawkbit.server.error.repo.entityNotFound", 429: "hawkbit.server.error.quota.tooManyEntries"}


def _code(status: int) -> str:
    return _CODES.get(status, f"stand-in.{status}")


async def _listen(server: StandIn, port: int) -> web.AppRunner:
    runner = web.AppRunner(
        application(server.repository, server.faults, server.seen), access_log=None, shutdown_timeout=1.0
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    return runner


@contextmanager
def stand_in(port: int = 0, repository: Repository | None = None) -> Iterator[StandIn]:
    """A server on a free port of the loopback interface, until the end. Give ``repository`` to go on after a stop."""
    server = StandIn("", repository or Repository(), Faults())
    loop, listening = asyncio.new_event_loop(), threading.Event()
    ended = asyncio.Event()

    async def run() -> None:
        runner = await _listen(server, port)
        listening.set()
        await ended.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), name="stand-in", daemon=True)
    thread.start()
    try:
        if not listening.wait(30):
            raise TimeoutError("the stand-in does not listen")
        yield server
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(30)
        loop.close()


async def _process(port: int) -> None:
    server = StandIn("", Repository(), Faults())
    runner = await _listen(server, port)
    print(server.url, flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_process(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
