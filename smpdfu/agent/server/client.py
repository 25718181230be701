"""DDI over HTTP: one client for all devices of a gateway."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from smpdfu.agent.ddi.answers import Reaction, reaction
from smpdfu.agent.ddi.config_data import AssignedVersion, AutoConfirm, ConfigData
from smpdfu.agent.ddi.feedback import ConfirmationFeedback, Feedback
from smpdfu.agent.ddi.links import (
    MAX_REDIRECTS,
    Link,
    check_artifact_link,
    check_resource_link,
    feedback_link,
    redirected_resource,
    with_history,
)
from smpdfu.agent.ddi.resources import Artifact, Base, Cancel, Deployment, read_confirmation
from smpdfu.agent.ddi.server_address import ServerAddress, Token
from smpdfu.agent.server.download import Download
from smpdfu.agent.server.http import Answer, HttpClient, check_json, check_status, is_web_page
from smpdfu.agent.server.settings import Times as Times
from smpdfu.agent.server.settings import TlsFiles as TlsFiles
from smpdfu.agent.server.sink import Sink as Sink
from smpdfu.errors import ArtifactError, ServerError, ServerProtocolError

MAX_KEPT = 4096
"""Resources whose last state is kept for ``If-None-Match``: two for each of 2,000 devices."""
MAX_KEPT_BYTES = 8 << 20
"""Bytes of their bodies together; as values they take a multiple of it. hawkBit's have some hundred bytes."""
_LONGEST_ETAG = 256
_ACCEPT = {"Accept": "application/hal+json, application/json"}
_Resource = TypeVar("_Resource")


class DdiClient:
    """DDI over HTTP, with one pool of connections, for all devices of a gateway.

    ``token_of`` gives the token of a controller, None where a client certificate says who we are. Every method raises
    ``ServerLinkError``, ``ServerRefusedError`` (``answers.reaction(error.status, error.server_code)`` says what to do)
    or ``ServerProtocolError``, and nothing else that a server or the network could cause. ``controller`` and ids are
    texts of any characters. A resource that did not change (ETag) is returned as the very same object as before.
    ``clock`` gives seconds that only run forward, for the least rate of downloads.
    """

    def __init__(
        self,
        address: ServerAddress,
        token_of: Callable[[str], Token | None],
        *,
        tls: TlsFiles | None = None,
        times: Times | None = None,
        connections: int = 8,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self._token_of = token_of
        self._clock = clock
        self._http = HttpClient(tls=tls, times=times, proxy=address.proxy, connections=connections)
        self._kept: OrderedDict[tuple[str, str], tuple[str, object, int]] = OrderedDict()
        self._kept_bytes = 0

    async def __aenter__(self) -> DdiClient:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def get_base(self, controller: str) -> Base:
        """Poll. The server registers a controller that it does not know, where it allows that."""
        return await self._get(controller, self.address.controller(controller), Base.from_bytes)

    async def get_deployment(self, controller: str, link: str, *, history: int = 0) -> Deployment:
        """Get the action of ``Base.deployment``, with the last ``history`` messages."""
        place = check_resource_link(link, self.address.origin)
        place = with_history(place, history) if history else place
        return await self._get(controller, place, Deployment.from_bytes)

    async def get_cancel(self, controller: str, link: str) -> Cancel:
        """Get the cancellation of ``Base.cancel``."""
        return await self._get(controller, check_resource_link(link, self.address.origin), Cancel.from_bytes)

    async def get_confirmation(self, controller: str, link: str) -> Deployment | None:
        """Get the action of ``Base.confirmation`` that waits for consent; None if none does.

        hawkBit links to the action at once; the page of the protocol has a resource in between that links to it.
        """
        for _ in range(2):
            place = check_resource_link(link, self.address.origin)
            found = await self._get(controller, place, read_confirmation)
            if isinstance(found, Deployment) or found.action is None:
                break
            link = found.action
        return found if isinstance(found, Deployment) else None

    async def get_installed(self, controller: str, link: str) -> Deployment:
        """Get the action of ``Base.installed``."""
        return await self._get(controller, check_resource_link(link, self.address.origin), Deployment.from_bytes)

    async def put_config_data(self, controller: str, data: ConfigData, link: str | None = None) -> None:
        """Tell the attributes. ``link`` is ``Base.config_data``; without one, the address that DDI documents."""
        await self._send("PUT", controller, self._place(link, controller, "configData"), data.to_bytes())

    async def put_installed(self, controller: str, version: AssignedVersion) -> None:
        """Tell what was installed without the server."""
        await self._send("PUT", controller, self.address.controller(controller, "installedBase"), version.to_bytes())

    async def send_feedback(self, controller: str, action: str, feedback: Feedback, link: str | None = None) -> None:
        """Send a status of an action. ``link`` is that of the deployment; without one, the documented address."""
        place = self._place(link, controller, "deploymentBase", action)
        await self._send("POST", controller, feedback_link(place), feedback.to_bytes())

    async def send_cancel_feedback(
        self, controller: str, cancel: str, feedback: Feedback, link: str | None = None
    ) -> None:
        """Accept a cancellation (closed, success) or refuse it (rejected). ``cancel`` is ``Cancel.id``."""
        place = self._place(link, controller, "cancelAction", cancel)
        await self._send("POST", controller, feedback_link(place), feedback.to_bytes())

    async def confirm(
        self, controller: str, action: str, feedback: ConfirmationFeedback, link: str | None = None
    ) -> None:
        """Confirm or deny an action that waits for consent."""
        place = self._place(link, controller, "confirmationBase", action)
        await self._send("POST", controller, feedback_link(place), feedback.to_bytes())

    async def set_auto_confirm(self, controller: str, active: bool, *, initiator: str = "", remark: str = "") -> None:
        """Switch the server's own confirmation of the actions of this controller."""
        word = "activateAutoConfirm" if active else "deactivateAutoConfirm"
        body = AutoConfirm(initiator, remark).to_bytes() if active else b"{}"
        await self._send("POST", controller, self.address.controller(controller, "confirmationBase", word), body)

    async def download(self, controller: str, artifact: Artifact, sink: Sink) -> None:
        """Bring an artifact, or the rest of it, into ``sink``, from the first of its links that works."""
        if not artifact.links:
            raise ArtifactError("the server gives no link to the file").because("artifact-link")
        download = Download(self._http, self.address, self._token_of(controller), self._clock)
        first: ServerError | None = None
        for text in artifact.links:
            try:
                place = check_artifact_link(text, self.address.origin, allow_http=self.address.http_artifacts)
                return await download.run(place, artifact, sink)
            except ServerError as error:
                first = first or error
        assert first is not None
        raise first

    def _place(self, link: str | None, controller: str, *segments: str) -> Link:
        if link is None:
            return self.address.controller(controller, *segments)
        return check_resource_link(link, self.address.origin)

    async def _get(self, controller: str, link: Link, read: Callable[[bytes], _Resource]) -> _Resource:
        key = (controller, link.url)
        etag, value, size = self._kept.pop(key, ("", None, 0))
        self._kept_bytes -= size
        answer = await self._ask("GET", controller, link, headers=_ACCEPT | ({"If-None-Match": etag} if etag else {}))
        if reaction(answer.status) is Reaction.UNCHANGED:
            if not etag:
                raise ServerProtocolError("the server says that nothing changed, and smpdfu has nothing yet")
            found: _Resource = value  # type: ignore[assignment]  # the key says which reader made it
        else:
            check_json(answer, link)
            found, size = read(answer.body), len(answer.body)
            etag = _etag(answer)
        if etag:
            self._keep(key, (etag, found, size))
        return found

    def _keep(self, key: tuple[str, str], state: tuple[str, object, int]) -> None:
        _, _, before = self._kept.pop(key, ("", None, 0))  # of a request at the same time
        self._kept[key] = state
        self._kept_bytes += state[2] - before
        while len(self._kept) > MAX_KEPT or self._kept_bytes > MAX_KEPT_BYTES:
            _, (_, _, size) = self._kept.popitem(last=False)
            self._kept_bytes -= size

    async def _send(self, method: str, controller: str, link: Link, body: bytes) -> None:
        answer = await self._ask(method, controller, link, body=body, headers=_ACCEPT)
        if is_web_page(answer.headers):  # a login page takes everything with 200, and the server has nothing then
            check_json(answer, link)

    async def _ask(
        self, method: str, controller: str, link: Link, *, headers: dict[str, str], body: bytes | None = None
    ) -> Answer:
        """Return a usable answer; follow redirects within the server's own origin."""
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._http.request(method, link, self._token_of(controller), body=body, headers=headers)
            follows = answer.status in (307, 308) or (method == "GET" and answer.status in (301, 302, 303))
            if not follows:
                check_status(answer, link)
                return answer
            link = redirected_resource(link, answer.headers.get("Location", ""), self.address.origin)
        raise ServerProtocolError(f"the server redirects more than {MAX_REDIRECTS} times")


def _etag(answer: Answer) -> str:
    etag = answer.headers.get("ETag", "")
    return etag if len(etag) <= _LONGEST_ETAG and etag.isascii() and etag.isprintable() else ""
