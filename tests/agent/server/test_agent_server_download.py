"""Downloads: Range and resume, sizes, redirects, slow servers, and where the token goes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from smpdfu.agent.ddi.resources import Artifact
from smpdfu.agent.ddi.server_address import ServerAddress, Token
from smpdfu.agent.server.client import DdiClient
from smpdfu.agent.server.download import Rate
from smpdfu.agent.server.settings import Times, TlsFiles
from smpdfu.errors import ArtifactError, ServerError, ServerLinkError, ServerProtocolError, ServerRefusedError
from tests.agent.server.certificates import Authority
from tests.agent.server.raw_server import RawServer, Request, Respond, always, answer, raw_server

DATA = bytes(range(256)) * 2000
LONG = Times(300, 300, 300)


class Memory:
    """A sink in memory."""

    def __init__(self, data: bytes = b"", limit: int = 1 << 40) -> None:
        self.data = bytearray(data)
        self.restarts = 0
        self.limit = limit

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    @property
    def seen(self) -> tuple[bytes, int]:
        """What is there, and how often it began anew."""
        return bytes(self.data), self.restarts

    def restart(self) -> None:
        self.data.clear()
        self.restarts += 1

    def write(self, data: bytes) -> None:
        if len(self.data) + len(data) > self.limit:
            raise ArtifactError("too much")
        self.data += data


async def ranges(request: Request, writer: asyncio.StreamWriter) -> None:
    """A server that knows Range."""
    begin = int(request.headers.get("range", "bytes=0-")[6:-1])
    if "range" not in request.headers:
        writer.write(answer(DATA, kind="application/octet-stream"))
    elif begin >= len(DATA):
        writer.write(answer(status="416 x", headers={"Content-Range": f"bytes */{len(DATA)}"}))
    else:
        told = {"Content-Range": f"bytes {begin}-{len(DATA) - 1}/{len(DATA)}"}
        writer.write(answer(DATA[begin:], status="206 Partial Content", headers=told))


def fetch(respond: Respond, sink: Memory, artifact: Artifact | None = None, times: Times = LONG) -> RawServer:
    async def main() -> RawServer:
        async with raw_server(respond) as server:
            token = Token.of_gateway("secret")
            async with DdiClient(ServerAddress(server.url), lambda _: token, times=times) as client:
                wanted = artifact or Artifact("f.zip", len(DATA), None)
                links = wanted.links or (f"{server.url}/f.zip",)
                await client.download("roof", replace(wanted, links=links), sink)
            return server

    return asyncio.run(main())


def test_a_file_is_brought() -> None:
    sink = Memory()
    server = fetch(ranges, sink)
    assert sink.data == DATA
    (request,) = server.requests
    assert "range" not in request.headers
    assert request.headers["authorization"] == "GatewayToken secret"


@pytest.mark.parametrize("there", [1, 4096, len(DATA) - 1])
def test_a_download_continues_behind_what_is_there(there: int) -> None:
    sink = Memory(DATA[:there])
    server = fetch(ranges, sink)
    assert sink.seen == (DATA, 0)
    assert [one.headers["range"] for one in server.requests] == [f"bytes={there}-"]


def test_a_whole_file_is_not_asked_for_again() -> None:
    assert fetch(ranges, Memory(DATA)).requests == []


def test_more_than_the_file_begins_anew() -> None:
    sink = Memory(DATA + b"x")
    fetch(ranges, sink)
    assert sink.seen == (DATA, 1)


def test_a_server_without_range_sends_everything() -> None:
    sink = Memory(DATA[:1000])
    fetch(always(answer(DATA, kind="application/zip")), sink)
    assert sink.seen == (DATA, 1)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"Content-Range": f"bytes 0-{len(DATA) - 1}/{len(DATA)}"},
        {"Content-Range": f"bytes 1001-{len(DATA) - 1}/{len(DATA)}"},
        {"Content-Range": f"bytes 1000-1999/{len(DATA)}"},
        {"Content-Range": "lines 1-2/3"},
        {"Content-Range": "bytes */9"},
        {"Content-Type": "multipart/byteranges; boundary=x"},
    ],
)
def test_a_wrong_range_begins_anew(told: Mapping[str, str]) -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        if "range" in request.headers:
            writer.write(answer(b"x" * 1000, status="206 Partial Content", headers=told))
        else:
            writer.write(answer(DATA, kind="application/zip"))

    sink = Memory(DATA[:1000])
    fetch(respond, sink)
    assert sink.seen == (DATA, 1)


def test_a_range_behind_the_end_begins_anew() -> None:
    sink = Memory(b"old" * 1000)
    server = fetch(always(answer(DATA[:3500], kind="application/zip")), sink, Artifact("f", 3500))
    assert (bytes(sink.data), len(server.requests)) == (DATA[:3500], 1)

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(status="416 x") if "range" in request.headers else answer(DATA, kind="application/zip"))

    sink = Memory(DATA[:1000])
    assert len(fetch(respond, sink).requests) == 2
    assert sink.data == DATA


def test_a_server_that_refuses_every_range_is_refused() -> None:
    with pytest.raises(ServerRefusedError):
        fetch(always(answer(status="416 x")), Memory(DATA[:1000]))


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1])
@pytest.mark.parametrize("there", [0, 1000])
def test_another_size_ends_before_the_first_byte(size: int, there: int) -> None:
    sink = Memory(DATA[:there])
    with pytest.raises(ArtifactError, match="another size than the server said"):
        fetch(ranges, sink, Artifact("f", size))
    assert len(sink.data) == there


def test_a_file_that_grows_ends_where_the_sink_says() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    with pytest.raises(ArtifactError, match="too much"):
        fetch(respond, Memory(limit=len(DATA)))


def test_a_file_that_ends_early_with_an_end_is_the_wrong_size() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + DATA[:-1])
        await writer.drain()
        return False

    with pytest.raises(ArtifactError, match=f"{len(DATA) - 1} bytes instead of {len(DATA)}"):
        fetch(respond, Memory())


def test_a_lost_connection_keeps_what_came() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> bool | None:
        if "range" in request.headers:
            await ranges(request, writer)
            return None
        writer.write(answer(DATA[:100_000], length=len(DATA), kind="application/zip"))
        await writer.drain()
        return False

    sink = Memory()
    with pytest.raises(ServerLinkError, match="ended early"):
        fetch(respond, sink)
    assert sink.data == DATA[:100_000]
    fetch(respond, sink)
    assert sink.seen == (DATA, 0)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("401 x", ServerRefusedError),
        ("403 x", ServerRefusedError),
        ("404 x", ServerRefusedError),
        ("410 x", ServerRefusedError),
        ("429 x", ServerRefusedError),
        ("503 x", ServerRefusedError),
        ("204 x", ServerProtocolError),
        ("304 x", ServerProtocolError),
        ("300 x", ServerRefusedError),
    ],
)
def test_other_statuses_bring_nothing(status: str, kind: type[ServerError]) -> None:
    sink = Memory(b"there")
    with pytest.raises(kind):
        fetch(always(answer(status=status)), sink)
    assert sink.data == b"there"


def test_a_web_page_is_no_file() -> None:
    sink = Memory()
    with pytest.raises(ServerProtocolError, match="web page instead of the file"):
        fetch(always(answer(b"x" * len(DATA), kind="text/html")), sink)
    assert sink.data == b""


def test_a_packed_file_is_not_taken() -> None:
    with pytest.raises(ServerProtocolError, match="packed"):
        fetch(always(answer(DATA, headers={"Content-Encoding": "gzip"})), Memory())


def test_the_next_link_is_tried_and_the_first_error_counts() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.path == "/good":
            await ranges(request, writer)
        else:
            writer.write(answer(status="404 x"))

    async def main() -> list[bytes]:
        async with raw_server(respond) as server, DdiClient(ServerAddress(server.url), lambda _: None) as client:
            sink = Memory()
            await client.download("r", Artifact("f", len(DATA), None, ("ftp://x", f"{server.url}/good")), sink)
            assert sink.data == DATA
            for links, kind in (
                ((f"{server.url}/bad", "ftp://x"), ServerRefusedError),
                (("ftp://x", f"{server.url}/bad"), ServerProtocolError),
                ((), ArtifactError),
            ):
                with pytest.raises(kind):
                    await client.download("r", Artifact("f", 1, None, links), Memory())
            return [one.path.encode() for one in server.requests]

    assert asyncio.run(main()) == [b"/good", b"/bad", b"/bad"]


def test_a_file_elsewhere_gets_no_token_also_behind_a_redirect() -> None:
    async def main() -> None:
        async with raw_server(ranges) as store:
            moved = always(answer(status="302 x", headers={"Location": f"{store.url}/f?sig=1"}))
            async with raw_server(moved) as server:
                token = Token.of_gateway("secret")
                async with DdiClient(ServerAddress(server.url), lambda _: token) as client:
                    for link in (f"{store.url}/direct", f"{server.url}/moved"):
                        sink = Memory(DATA[:10])
                        await client.download("roof", Artifact("f", len(DATA), None, (link,)), sink)
                        assert sink.data == DATA
                assert [one.headers.get("authorization") for one in server.requests] == ["GatewayToken secret"]
                assert [one.headers.get("authorization") for one in store.requests] == [None, None]
                assert [one.headers["range"] for one in store.requests] == ["bytes=10-", "bytes=10-"]

    asyncio.run(main())


def test_redirects_of_a_file_end() -> None:
    with pytest.raises(ServerProtocolError, match="redirects more than 5 times"):
        fetch(always(answer(status="302 x", headers={"Location": "/again"})), Memory())


@pytest.mark.parametrize("allowed", [False, True])
def test_http_under_https_only_where_the_agent_file_allows_it(tmp_path: Path, allowed: bool) -> None:
    ours = Authority(tmp_path, "ours")

    async def main() -> tuple[int, bytes]:
        async with raw_server(ranges) as store, raw_server(ranges, tls=ours.issue("s").server_context()) as server:
            address = ServerAddress(server.url, http_artifacts=allowed)
            token = Token.of_gateway("secret")
            async with DdiClient(address, lambda _: token, tls=TlsFiles(ca=ours.certificate)) as client:
                sink = Memory()
                artifact = Artifact("f", len(DATA), None, (f"{store.url}/f",))
                if allowed:
                    await client.download("roof", artifact, sink)
                else:
                    with pytest.raises(ServerProtocolError, match="without TLS"):
                        await client.download("roof", artifact, sink)
            assert all("authorization" not in one.headers for one in store.requests)
            return len(store.requests), bytes(sink.data)

    assert asyncio.run(main()) == ((1, DATA) if allowed else (0, b""))


def test_a_slow_download_ends() -> None:
    rate = Rate(100, 10.0, now_s=0.0)
    for second in range(1, 10):
        rate.count(1, float(second))
    with pytest.raises(ServerLinkError, match="too slow: 10 bytes in 10 s") as raised:
        rate.count(1, 10.0)
    assert raised.value.code == "slow"


def test_a_download_at_the_least_rate_does_not_end() -> None:
    rate = Rate(100, 10.0, now_s=0.0)
    for second in range(1, 1000):
        rate.count(101, float(second))


def test_slow_bytes_on_the_wire_end_by_the_clock_of_the_caller() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", length=len(DATA)))
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0)

    ticks = iter(range(0, 10**9, 30))

    async def main() -> None:
        async with (
            raw_server(respond) as server,
            DdiClient(ServerAddress(server.url), lambda _: None, times=LONG, clock=lambda: next(ticks)) as client,
        ):
            await client.download("roof", Artifact("f", len(DATA), None, (f"{server.url}/f",)), Memory())

    with pytest.raises(ServerLinkError, match="too slow"):
        asyncio.run(main())


def test_a_silent_download_ends() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"x", length=len(DATA)))
        await writer.drain()
        await asyncio.Event().wait()

    sink = Memory()
    with pytest.raises(ServerLinkError, match="in time"):
        fetch(respond, sink, times=Times(5, 0.2, 5))
    assert sink.data == b"x"


def test_downloads_are_in_nobodys_way() -> None:
    stuck = asyncio.Event()

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.path == "/f":
            writer.write(answer(b"x", length=len(DATA)))
            await writer.drain()
            await stuck.wait()
        writer.write(answer(b"{}"))

    async def main() -> None:
        async with (
            raw_server(respond) as server,
            DdiClient(ServerAddress(server.url), lambda _: None, connections=1, times=LONG) as client,
        ):
            artifact = Artifact("f", len(DATA), None, (f"{server.url}/f",))
            tasks = [asyncio.create_task(client.download("r", artifact, Memory())) for _ in range(9)]
            await asyncio.gather(*(client.get_base("roof") for _ in range(20)))
            assert not any(task.done() for task in tasks)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(one, asyncio.CancelledError) for one in ended)

    asyncio.run(main())
