"""An HTTP proxy between the gateway and the server: TLS goes through it, and it sees no token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from smpdfu.agent.ddi.resources import Artifact, Base
from smpdfu.agent.ddi.server_address import ServerAddress, Token
from smpdfu.agent.server.client import DdiClient
from smpdfu.agent.server.settings import Times, TlsFiles
from smpdfu.errors import ServerError, ServerLinkError
from tests.agent.server.certificates import Authority
from tests.agent.server.raw_server import always, answer, raw_server

LONG = Times(300, 300, 300)
SECRET = "0123456789abcdef"


@dataclass
class Proxy:
    """An HTTP proxy that runs; ``heard`` are the bytes that clients said to it, ``wanted`` the places of CONNECT."""

    port: int = 0
    heard: bytearray = field(default_factory=bytearray)
    wanted: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass
class Kept:
    """A sink in memory."""

    data: bytes = b""

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def restart(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


@asynccontextmanager
async def http_proxy(refusal: bytes = b"") -> AsyncIterator[Proxy]:
    """A proxy that connects, or that answers every request with ``refusal``."""
    proxy = Proxy()
    tasks: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, heard: bool) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                if heard:
                    proxy.heard += data
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        proxy.heard += head
        method, place, _ = head.split(b"\r\n")[0].decode().split(" ")
        proxy.wanted.append(f"{method} {place}")
        if refusal:
            writer.write(refusal)
            writer.close()
            return
        host, _, port = place.rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(copy(reader, back, heard=True), copy(there, writer, heard=False))

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(begin, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def token_of(controller: str) -> Token:
    return Token.of_gateway(SECRET)


def test_polls_and_downloads_go_through_the_proxy_which_sees_no_token(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    data = bytes(range(256)) * 40

    async def main() -> None:
        tls = ours.issue("server").server_context()
        async with (
            http_proxy() as proxy,
            raw_server(always(answer(b"{}")), tls=tls) as server,
            raw_server(always(answer(data, kind="application/zip")), tls=tls) as store,
        ):
            address = ServerAddress(server.url, proxy=proxy.url)
            async with DdiClient(address, token_of, tls=TlsFiles(ours.certificate), times=LONG) as client:
                assert await client.get_base("roof") == Base()
                sink = Kept()
                await client.download("roof", Artifact("a.zip", len(data), links=(f"{store.url}/a",)), sink)
            assert sink.data == data
            assert server.requests[0].headers["authorization"] == f"GatewayToken {SECRET}"
            assert set(proxy.wanted) == {f"CONNECT 127.0.0.1:{one.port}" for one in (server, store)}
            assert SECRET.encode() not in proxy.heard
            assert b"authorization" not in bytes(proxy.heard).lower()

    asyncio.run(main())


def refused(refusal: bytes) -> ServerError:
    async def main() -> None:
        async with http_proxy(refusal) as proxy:
            address = ServerAddress("https://192.0.2.1", proxy=proxy.url)
            async with DdiClient(address, token_of, times=LONG) as client:
                await client.get_base("roof")

    with pytest.raises(ServerError) as raised:
        asyncio.run(main())
    assert SECRET not in repr(raised.value) + str(raised.value.__context__)
    return raised.value


@pytest.mark.parametrize(("status", "words"), [(403, "it does not connect smpdfu"), (407, "it wants a login")])
def test_a_proxy_that_refuses_is_named(status: int, words: str) -> None:
    error = refused(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
    assert isinstance(error, ServerLinkError)
    assert str(error).startswith(f"the proxy refuses https://192.0.2.1 (HTTP {status}): {words}")
    assert error.code == "proxy-refused"


def test_a_proxy_that_is_none_is_one_of_our_errors() -> None:
    assert "https://192.0.2.1" in str(refused(b"SSH-2.0-x\r\n\r\n"))


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("http://127.0.0.1:9", r"smpdfu cannot connect to the proxy 127\.0\.0\.1:9: Connection refused"),
        ("http://proxy.invalid:3128", r"the name of the proxy proxy\.invalid cannot be looked up"),
    ],
)
def test_a_proxy_that_cannot_be_reached_is_named(proxy: str, words: str) -> None:
    async def main() -> None:
        async with DdiClient(ServerAddress("https://192.0.2.1", proxy=proxy), token_of, times=LONG) as client:
            await client.get_base("roof")

    with pytest.raises(ServerLinkError, match=words) as raised:
        asyncio.run(main())
    assert raised.value.code == "proxy"


@pytest.mark.parametrize(
    "proxy",
    ["", "proxy:3128", "https://proxy:3128", "socks5://proxy", "http://user:word@proxy:3128", "http://proxy/path"],
)
def test_what_is_no_address_of_a_proxy(proxy: str) -> None:
    with pytest.raises(ValueError, match=r"the address of a proxy must be such as http://proxy\.example\.com:3128"):
        ServerAddress("https://hawkbit.example.com", proxy=proxy)


def test_a_proxy_needs_https() -> None:
    with pytest.raises(ValueError, match="over http, the proxy can read the token"):
        ServerAddress("http://127.0.0.1:8080", proxy="http://127.0.0.1:3128")


def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    async def main() -> Base:
        async with (
            raw_server(always(answer(b"{}"))) as server,
            DdiClient(ServerAddress(server.url), token_of, times=LONG) as client,
        ):
            return await client.get_base("roof")

    assert asyncio.run(main()) == Base()
