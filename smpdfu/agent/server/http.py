"""HTTP for the agent and the publisher: one pool of connections, bounds on bytes and time, no redirect by itself.

Every method raises ``ServerLinkError``, ``ServerRefusedError`` or ``ServerProtocolError``, and nothing else that a
server or the network could cause. The token is in the header of one request and nowhere else.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

import smpdfu
from smpdfu.agent.ddi.answers import Reaction, reaction, sentence
from smpdfu.agent.ddi.limits import MAX_BODY_BYTES
from smpdfu.agent.ddi.links import Link
from smpdfu.agent.ddi.polling import retry_after_of
from smpdfu.agent.ddi.resources import Refusal
from smpdfu.agent.ddi.server_address import Token
from smpdfu.agent.server.body import read_body
from smpdfu.agent.server.failures import our_errors
from smpdfu.agent.server.settings import Times, TlsFiles
from smpdfu.agent.server.tls import context_of
from smpdfu.errors import ServerProtocolError, ServerRefusedError
from smpdfu.untrusted.text import line

_JSON_TYPES = ("application/json", "application/hal+json")
_HTML_TYPES = ("text/html", "application/xhtml+xml")
_KEPT_S = 30.0  # hawkBit's Tomcat keeps a connection for 60 s; who closes first shall be us
_READ_BUFFER_BYTES = 1 << 16
_SHOWN = 200


@dataclass(frozen=True)
class Answer:
    """An answer in whole. ``headers`` are found by their names in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """HTTP with one pool. ``async with HttpClient(...) as http``; ``connections`` is how many requests run at once.

    Downloads (``open``) have connections of their own, so that a slow one is in nobody's way. ``proxy``: every request
    goes through it, that of ``ServerAddress``. The variables of the environment about proxies count for nothing.
    """

    def __init__(
        self,
        *,
        tls: TlsFiles | None = None,
        times: Times | None = None,
        proxy: str | None = None,
        connections: int = 8,
        downloads: int = 4,
    ) -> None:
        self.times = times or Times()
        self._tls = tls or TlsFiles()
        self._proxy = proxy
        self._requests = asyncio.Semaphore(connections)
        self._downloads = asyncio.Semaphore(downloads)
        self._connections = connections + downloads
        self._session: aiohttp.ClientSession | None = None
        self._context: ssl.SSLContext | None = None

    async def __aenter__(self) -> HttpClient:
        if self._tls != TlsFiles():
            self._context = context_of(self._tls)  # now, so that a file that cannot be used is named at once
        connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=_KEPT_S)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # body.py unpacks, within bounds
            read_bufsize=_READ_BUFFER_BYTES,
            headers={"User-Agent": f"smpdfu/{smpdfu.__version__}", "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(
        self,
        method: str,
        link: Link,
        token: Token | None = None,
        *,
        body: bytes | aiohttp.Payload | None = None,
        headers: Mapping[str, str] | None = None,
        limit: int = MAX_BODY_BYTES,
        time_s: float | None = None,
    ) -> Answer:
        """Send one request and return the answer, whatever its status. A redirect is an answer, too.

        ``body`` is JSON, or a payload of aiohttp. ``limit`` bounds the body of the answer in bytes, ``time_s`` the
        whole request in seconds.
        """
        async with self._requests:
            with our_errors(link, token):
                limit_s = self.times.request_s if time_s is None else time_s
                async with (
                    asyncio.timeout(limit_s),
                    self._send(method, link, token, headers, body, limit_s) as response,
                ):
                    data = b"" if method == "HEAD" else await read_body(response, limit)
                    return _answer(response.status, response.headers, data, token)

    @asynccontextmanager
    async def open(
        self, link: Link, token: Token | None, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """GET something large: the body is read by the caller, piece by piece, inside of ``our_errors``."""
        async with (
            self._downloads,
            self._send("GET", link, token, headers, None, self.times.request_s) as response,
        ):
            yield response

    @asynccontextmanager
    async def _send(
        self,
        method: str,
        link: Link,
        token: Token | None,
        headers: Mapping[str, str] | None,
        body: bytes | aiohttp.Payload | None,
        head_s: float,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise ValueError("the HTTP client is not open")
        sent = dict(headers or {})
        if isinstance(body, bytes):
            sent["Content-Type"] = "application/json"
        if token is not None and link.token:
            sent["Authorization"] = token.header()
        times = aiohttp.ClientTimeout(
            total=None, sock_connect=self.times.connect_s, sock_read=self.times.read_s, ceil_threshold=5
        )
        async with asyncio.timeout(head_s):  # aiohttp's own bounds begin anew with each interim answer (1xx)
            response = await self._session.request(
                method,
                URL(link.url, encoded=True),
                headers=sent,
                data=body,
                proxy=self._proxy,
                allow_redirects=False,
                timeout=times,
                ssl=self._tls_for(link),
            )
        try:
            yield response
        finally:
            if response.content.at_eof():
                response.release()
            else:
                response.close()

    def _tls_for(self, link: Link) -> ssl.SSLContext | bool:
        """Make the settings of TLS for the first link that needs them: to read the system's authorities takes time."""
        if link.origin.scheme != "https":
            return True
        if self._context is None:
            self._context = context_of(self._tls)
        return self._context


def _answer(status: int, headers: CIMultiDictProxy[str], body: bytes, token: Token | None) -> Answer:
    """The answer without our token: texts of it come into logs and to the terminal."""
    if token is None:
        return Answer(status, headers, body)
    hidden = CIMultiDict((name, token.hide_text(value)) for name, value in headers.items())
    return Answer(status, hidden, token.hide(body))


def check_status(answer: Answer, link: Link, words: Mapping[int, str] | None = None) -> None:
    """Raise ``ServerRefusedError`` for an answer that is neither usable nor "unchanged".

    ``words`` say what a status means, in the place of DDI's words.
    """
    if reaction(answer.status) in (Reaction.USE, Reaction.UNCHANGED):
        return
    refusal = Refusal.from_bytes(answer.body) if _type_of(answer.headers) in _JSON_TYPES else Refusal()
    ours = (words or {}).get(answer.status)
    text = sentence(answer.status, refusal.code) if ours is None else f"{ours} (HTTP {answer.status})"
    said = line(refusal.message or refusal.code)[:_SHOWN]
    error = ServerRefusedError(
        f"{text}: {said}" if said else text,
        answer.status,
        server_code=refusal.code,
        retry_after_s=retry_after_of(answer.headers),
    )
    error.url = link.shown
    raise error


def check_json(answer: Answer, link: Link) -> None:
    """Raise ``ServerProtocolError`` for a body that does not say it is JSON. One without a type passes."""
    said = _type_of(answer.headers)
    if not said or said in _JSON_TYPES or said.endswith("+json"):
        return
    if said in _HTML_TYPES:
        error = ServerProtocolError(
            f"{link.origin} answers with a web page instead of data. The address is not that of an update server, "
            "or a login page or a proxy is in between"
        ).because("web-page")
    else:
        error = ServerProtocolError(f"{link.origin} answers with {line(said)[:60]} instead of JSON")
    error.url = link.shown
    raise error


def is_web_page(headers: Mapping[str, str]) -> bool:
    """Whether the body says that it is HTML."""
    return _type_of(headers) in _HTML_TYPES


def _type_of(headers: Mapping[str, str]) -> str:
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()
