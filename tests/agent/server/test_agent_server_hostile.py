"""Servers that answer anything: one error of ours, in bounded time and memory, and no word of the token."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import socket
import tracemalloc
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smpdfu.agent.ddi.resources import Base
from smpdfu.agent.ddi.server_address import ServerAddress, Token
from smpdfu.agent.server.client import DdiClient
from smpdfu.agent.server.settings import Times
from smpdfu.errors import ServerError, ServerLinkError, ServerProtocolError
from tests.agent.server.raw_server import Request, Respond, always, answer, raw_server

SECRET = "s3cret-0123456789"
SHORT = Times(connect_s=5, read_s=0.2, request_s=0.4)
LONG = Times(connect_s=300, read_s=300, request_s=300)
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def ask(respond: Respond, times: Times = LONG) -> Base:
    async def main() -> Base:
        async with (
            raw_server(respond) as server,
            DdiClient(ServerAddress(server.url), lambda _: Token.of_gateway(SECRET), times=times) as client,
        ):
            return await client.get_base("roof")

    return asyncio.run(main())


def refused(respond: Respond, kind: type[ServerError], times: Times = LONG) -> ServerError:
    with pytest.raises(kind) as raised:
        ask(respond, times)
    assert SECRET not in f"{raised.value!r} {vars(raised.value)}"
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 400
    return raised.value


@pytest.mark.parametrize("kind", ["text/html", "TEXT/HTML; charset=utf-8", "application/xhtml+xml"])
def test_a_web_page_is_called_one(kind: str) -> None:
    error = refused(always(answer(b"<html>Log in</html>", kind=kind)), ServerProtocolError)
    assert "a web page instead of data" in str(error)
    assert error.code == "web-page"


def test_another_type_is_named() -> None:
    error = refused(always(answer(b"x", kind="image/png\x1b")), ServerProtocolError)
    assert "instead of JSON" in str(error) or "not HTTP" in str(error)
    assert "answers with image/png instead of JSON" in str(
        refused(always(answer(b"x", kind="image/png")), ServerProtocolError)
    )


@pytest.mark.parametrize("kind", ["", "application/json", "application/hal+json;charset=UTF-8", "application/x+json"])
def test_json_is_taken_under_each_of_its_names(kind: str) -> None:
    assert ask(always(answer(b"{}", kind=kind))) == Base()


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200\r\n\r\n",
        b"hello\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\n bad: header\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"\x00" * 70_000,
        CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"ffffffffffffffffff\r\n{}",
    ],
)
def test_what_is_no_http_is_one_error(data: bytes) -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        await writer.drain()
        return False

    refused(respond, ServerError)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", answer(b'{"config"'), CHUNKED]))
def test_any_bytes_give_one_error_or_a_base(data: bytes, before: bytes) -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> bool:
        writer.write(before + data)
        await writer.drain()
        return False

    try:
        ask(respond, Times(5, 5, 5))
    except ServerError:
        return


def test_a_connection_that_ends_without_an_answer_is_a_lost_link() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> bool:
        return False

    assert refused(respond, ServerLinkError).code == "lost"


def test_a_body_that_ends_early_is_a_lost_link() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer(b"{", length=2))
        await writer.drain()
        return False

    error = refused(respond, ServerLinkError)
    assert "ended early" in str(error)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async def main() -> None:
        async with DdiClient(ServerAddress(f"http://127.0.0.1:{port}"), lambda _: None, times=LONG) as client:
            await client.get_base("roof")

    with pytest.raises(ServerLinkError, match="cannot connect") as raised:
        asyncio.run(main())
    assert raised.value.code == "connect"
    assert str(raised.value).endswith(f": {os.strerror(errno.ECONNREFUSED)}")


def test_a_name_that_is_none() -> None:
    async def main(url: str) -> None:
        async with DdiClient(ServerAddress(url), lambda _: None, times=LONG) as client:
            await client.get_base("roof")

    for url in ("http://nowhere.invalid", "http://" + "a" * 200, "http://a..b"):
        with pytest.raises(ServerLinkError):
            asyncio.run(main(url))


def test_silence_ends() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    assert refused(respond, ServerLinkError, SHORT).code == "timeout"


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\nX: ", answer(b"", length=10**6), CHUNKED])
def test_slow_bytes_end(before: bytes) -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(before)
        while True:  # never silent for as long as read_s, and never at an end
            writer.write(b"1\r\nx\r\n" if before == CHUNKED else b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    refused(respond, ServerError, SHORT)


def test_interim_answers_without_end_end() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    refused(respond, ServerLinkError, SHORT)


async def endless(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        writer.write(b"[" * 65_536)
        await writer.drain()


async def endless_chunks(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(CHUNKED)
    while True:
        writer.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        await writer.drain()


async def endless_headers(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Header: value\r\n" * 1000)
        await writer.drain()


@pytest.mark.parametrize("respond", [endless, endless_chunks, endless_headers])
def test_an_answer_without_end_ends_and_needs_little_memory(respond: Respond) -> None:
    tracemalloc.start()
    try:
        refused(respond, ServerProtocolError)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 << 20


def test_an_answer_that_says_it_is_too_large_is_not_read() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", length=1 << 40))

    assert "larger than 1024 KiB" in str(refused(respond, ServerProtocolError))


@pytest.mark.parametrize(
    ("packed", "encoding", "said"),
    [
        (gzip.compress(b" " * (64 << 20), mtime=0), "gzip", "larger than 1024 KiB"),
        (zlib.compress(b" " * (64 << 20)), "deflate", "larger than 1024 KiB"),
        (gzip.compress(b"{}", mtime=0)[:-9], "gzip", "ends too early"),
        (b"no gzip at all", "gzip", "damaged"),
        (b"{}", "br", "did not ask for"),
        (b"{}", "gzip, gzip", "did not ask for"),
    ],
)
def test_a_packed_answer_is_unpacked_within_bounds(packed: bytes, encoding: str, said: str) -> None:
    data = answer(packed, headers={"Content-Encoding": encoding})
    tracemalloc.start()
    try:
        error = refused(always(data), ServerProtocolError)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert said in str(error)
    assert peak < 8 << 20


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_packed_answer_is_read(pack: object) -> None:
    assert callable(pack)
    packed = pack(b'{"config":{"polling":{"sleep":"00:01:00"}}}')
    encoding = "gzip" if pack is gzip.compress else "deflate"
    assert ask(always(answer(packed, headers={"Content-Encoding": encoding}))) == Base(sleep="00:01:00")


def test_a_million_chunks_are_one_error() -> None:
    body = b'{"id":"1","deployment":{"download":"skip","update":"skip","chunks":[' + b"{}," * 10**6 + b"{}]}}"

    async def main() -> None:
        async with (
            raw_server(always(answer(body))) as server,
            DdiClient(ServerAddress(server.url), lambda _: None, times=LONG) as client,
        ):
            await client.get_deployment("roof", f"{server.url}/x")

    with pytest.raises(ServerProtocolError, match="larger than 1024 KiB"):
        asyncio.run(main())


def test_a_cancelled_request_leaves_the_pool_usable() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.path.endswith("slow"):
            writer.write(answer(b"", length=100)[:-1])
            await writer.drain()
            waiting.set()
            await asyncio.Event().wait()
        writer.write(answer(b"{}"))

    waiting = asyncio.Event()

    async def main() -> None:
        async with (
            raw_server(respond) as server,
            DdiClient(ServerAddress(server.url), lambda _: None, times=LONG, connections=1) as client,
        ):
            for _ in range(3):
                waiting.clear()
                task = asyncio.create_task(client.get_base("slow"))
                await waiting.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert await client.get_base("good") == Base()

    asyncio.run(main())


REPEATED = [
    answer(b'{"errorCode": "x", "message": "no: %s"}' % SECRET.encode(), status="401 Unauthorized"),
    answer(b'{"errorCode": "x", "message": "%s %s"}' % (b"x" * 185, SECRET.encode()), status="400 Bad Request"),
    answer(b"x", kind=f"text/{SECRET}"),
    answer(b"", status="302 Found", headers={"Location": f"http://{SECRET}/"}),
    f"HTTP/1.1 {SECRET} x\r\n\r\n".encode(),
    f"HTTP/1.1 200 OK\r\nContent-Length: {SECRET}\r\n\r\n".encode(),
    CHUNKED + f"{SECRET}\r\n".encode(),
]


@pytest.mark.parametrize("data", REPEATED, ids=range(len(REPEATED)))
def test_a_server_that_repeats_the_token_brings_it_into_no_message(data: bytes) -> None:
    """Such messages come into logs, the status and reports of the doctor."""
    error = refused(always(data), ServerError)
    assert SECRET[:6] not in str(error).lower()
