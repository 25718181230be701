"""hawkBit's management API over HTTP: requests go out as they are, answers come back as bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import TracebackType

from smpdfu.agent.ddi.answers import Reaction, reaction
from smpdfu.agent.ddi.links import Link, check_resource_link
from smpdfu.agent.management.access import ManagementAccess, address_of
from smpdfu.agent.management.requests import Request
from smpdfu.agent.server.form import file_form
from smpdfu.agent.server.http import Answer, HttpClient, check_json, check_status
from smpdfu.agent.server.settings import Times, TlsFiles
from smpdfu.errors import ServerRefusedError

UPLOAD_RATE = 8192
"""Bytes a second that an upload must have on the average."""
_WORDS: Mapping[int, str] = {
    401: "the server does not accept the login",
    403: "the login has no right to this",
    404: "the server does not have this",
    409: "the server has something else under this name",
    423: "the server has locked this",
}
_CODES: Mapping[int, str] = {401: "publish-login", 403: "publish-rights", 404: "publish-address"}


class ManagementServer:
    """A management API. Every method raises ServerError, and nothing else that a server or the network could cause."""

    def __init__(self, access: ManagementAccess, times: Times | None = None) -> None:
        self._address = address_of(access)
        self._login = access.login
        tls, proxy = TlsFiles(ca=access.ca), self._address.proxy
        self._http = HttpClient(tls=tls, times=times, proxy=proxy, connections=1, downloads=1)

    async def __aenter__(self) -> ManagementServer:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def ask(self, request: Request) -> bytes:
        """Send a request, and return the body of the answer."""
        link = self._link(request)
        body = None if request.body is None else json.dumps(request.body).encode()
        return _checked(await self._http.request(request.method, link, self._login, body=body, headers=_ACCEPT), link)

    async def send_file(self, request: Request, file: str, data: bytes, sent: Callable[[int], None]) -> bytes:
        """Send a file as the form of a request; ``sent`` is told how many bytes of it are out."""
        link = self._link(request)
        time_s = self._http.times.request_s + len(data) / UPLOAD_RATE
        form = file_form(file, data, sent)
        answer = await self._http.request(request.method, link, self._login, body=form, headers=_ACCEPT, time_s=time_s)
        return _checked(answer, link)

    def _link(self, request: Request) -> Link:
        return check_resource_link(f"{self._address.url}{request.path}", self._address.origin)


_ACCEPT = {"Accept": "application/json"}


def _checked(answer: Answer, link: Link) -> bytes:
    try:
        check_status(answer, link, _WORDS)
    except ServerRefusedError as error:
        if reaction(error.status, error.server_code) in (Reaction.WAIT, Reaction.LATER):
            raise error.because("publish-later") from None
        code = _CODES.get(error.status, "")
        if error.status == 404 and error.server_code:  # hawkBit answers, and does not have it
            code = ""
        raise error.because(code or "publish-refused") from None
    if answer.body:
        check_json(answer, link)
    return answer.body
