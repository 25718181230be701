"""Downloads: the rest of a file behind what is there (Range), with a least rate, and never more than was said.

Source: RFC 9110, chapter 14.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import aiohttp

from smpdfu.agent.ddi.answers import Reaction, reaction
from smpdfu.agent.ddi.counted import counted
from smpdfu.agent.ddi.limits import MAX_BODY_BYTES
from smpdfu.agent.ddi.links import MAX_REDIRECTS, Link, redirected
from smpdfu.agent.ddi.resources import Artifact
from smpdfu.agent.ddi.server_address import ServerAddress, Token
from smpdfu.agent.server.body import read_body
from smpdfu.agent.server.failures import our_errors
from smpdfu.agent.server.http import Answer, HttpClient, check_status, is_web_page
from smpdfu.agent.server.sink import Sink
from smpdfu.errors import ArtifactError, ServerLinkError, ServerProtocolError

_PIECE_BYTES = 1 << 16
_CONTENT_RANGE = re.compile(r"bytes +(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)


class Rate:
    """Ends a download that is slower than ``least_rate`` bytes a second in a window. Times are monotonic seconds."""

    def __init__(self, least_rate: int, window_s: float, now_s: float) -> None:
        self._least_bytes = least_rate * window_s
        self._window_s = window_s
        self._begin_s = now_s
        self._bytes = 0

    def count(self, size_bytes: int, now_s: float) -> None:
        """Count bytes that came. Raises ``ServerLinkError`` with the code ``slow``."""
        self._bytes += size_bytes
        if now_s - self._begin_s < self._window_s:
            return
        if self._bytes < self._least_bytes:
            raise ServerLinkError(
                f"the download is too slow: {counted(self._bytes, 'byte')} in {now_s - self._begin_s:.0f} s"
            ).because("slow")
        self._begin_s, self._bytes = now_s, 0


class Download:
    """One download of one artifact from one of its links."""

    def __init__(
        self, http: HttpClient, address: ServerAddress, token: Token | None, clock: Callable[[], float]
    ) -> None:
        self._http = http
        self._address = address
        self._token = token
        self._clock = clock

    async def run(self, link: Link, artifact: Artifact, sink: Sink) -> None:
        """Bring the file, or the rest of it, into ``sink``; it has the size that the server said then.

        Raises ``ServerLinkError``, ``ServerRefusedError``, ``ServerProtocolError``, or ``ArtifactError`` for a file of
        another size.
        """
        size = artifact.size_bytes
        if size is not None and sink.size_bytes > size:
            sink.restart()
        if sink.size_bytes and sink.size_bytes == size:
            return
        if not await self._try(link, size, sink):
            sink.restart()
            if not await self._try(link, size, sink):
                raise ServerProtocolError("the server does not send the file from its beginning")

    async def _try(self, link: Link, size: int | None, sink: Sink) -> bool:
        """Follow redirects to the file and read it; False if the server cannot continue where the sink ends."""
        for _ in range(MAX_REDIRECTS + 1):
            headers = {"Range": f"bytes={sink.size_bytes}-"} if sink.size_bytes else {}
            with our_errors(link, self._token):
                async with self._http.open(link, self._token, headers) as response:
                    if reaction(response.status) is not Reaction.REDIRECT:
                        return await self._take(response, link, size, sink)
                    location = response.headers.get("Location", "")
            link = redirected(link, location, self._address.origin, allow_http=self._address.http_artifacts)
        raise ServerProtocolError(f"the server redirects more than {MAX_REDIRECTS} times")

    async def _take(self, response: aiohttp.ClientResponse, link: Link, size: int | None, sink: Sink) -> bool:
        if response.status == 416 and sink.size_bytes:
            return False
        if response.status not in (200, 206):
            body = await read_body(response, MAX_BODY_BYTES) if response.status >= 300 else b""
            body = body if self._token is None else self._token.hide(body)
            check_status(Answer(response.status, response.headers, body), link)
            raise ServerProtocolError(f"the server answers a download with HTTP {response.status}")
        if is_web_page(response.headers):
            raise ServerProtocolError(f"{link.origin} answers with a web page instead of the file").because("web-page")
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            raise ServerProtocolError("the server sends the file packed, which smpdfu did not ask for")
        if response.status == 206:
            if not _continues(response.headers.get("Content-Range", ""), sink.size_bytes, size):
                return False
        elif sink.size_bytes:
            sink.restart()
        await self._read(response, size, sink)
        return True

    async def _read(self, response: aiohttp.ClientResponse, size: int | None, sink: Sink) -> None:
        length = response.content_length
        if size is not None and length is not None and sink.size_bytes + length != size:
            raise wrong_size(sink.size_bytes + length, size)
        times = self._http.times
        rate = Rate(times.least_rate, times.rate_window_s, self._clock())
        while piece := await response.content.read(_PIECE_BYTES):
            sink.write(piece)
            rate.count(len(piece), self._clock())
        if size is not None and sink.size_bytes != size:
            raise wrong_size(sink.size_bytes, size)


def wrong_size(found: int, said: int) -> ArtifactError:
    """Return the error for a file that has not the size that the server said."""
    return ArtifactError(
        f"the file has another size than the server said: {counted(found, 'byte')} instead of {said}"
    ).because("artifact-size")


def _continues(content_range: str, begin: int, size: int | None) -> bool:
    """Whether a partial answer begins where the sink ends, and goes to the end of a file of that size."""
    found = _CONTENT_RANGE.fullmatch(content_range.strip())
    if found is None or int(found[1]) != begin:
        return False
    end = int(found[2]) + 1
    whole = end if found[3] == "*" else int(found[3])
    if size is not None and whole != size:
        raise wrong_size(whole, size)
    return end == whole
