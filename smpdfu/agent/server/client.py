"""DDI over HTTP: one client for all devices of a gateway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from smpdfu.agent.ddi.config_data import AssignedVersion, ConfigData
from smpdfu.agent.ddi.feedback import ConfirmationFeedback, Feedback
from smpdfu.agent.ddi.resources import Artifact, Base, Cancel, Deployment
from smpdfu.agent.ddi.server_address import ServerAddress, Token


@dataclass(frozen=True)
class TlsFiles:
    """Files for TLS: ``ca`` adds private authorities to those of the system; ``certificate`` and ``key`` show us.

    ``key`` is None if the file ``certificate`` has the key, too.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class Times:
    """How long things may take, in seconds; ``least_rate`` in bytes a second, over ``rate_window_s``."""

    connect_s: float = 20.0
    read_s: float = 30.0
    request_s: float = 60.0
    least_rate: int = 256
    rate_window_s: float = 60.0


class Sink(Protocol):
    """Where a download goes. Each call may raise ``ArtifactError``, which ends the download."""

    @property
    def size_bytes(self) -> int:
        """How many bytes are there already: the download continues behind them."""

    def restart(self) -> None:
        """Forget the bytes that are there: the server sends everything."""

    def write(self, data: bytes) -> None:
        """Append bytes."""


class DdiClient:
    """DDI over HTTP, with one pool of connections, for all devices of a gateway.

    ``token_of`` gives the token of a controller, None where a client certificate says who we are. Every method raises
    ``ServerLinkError``, ``ServerRefusedError`` (``answers.reaction(error.status, error.server_code)`` says what to do)
    or ``ServerProtocolError``, and nothing else that a server or the network could cause. ``controller`` and ids are
    texts of any characters. A resource that did not change (ETag) is returned as the very same object as before.
    """

    def __init__(
        self,
        address: ServerAddress,
        token_of: Callable[[str], Token | None],
        *,
        tls: TlsFiles | None = None,
        times: Times | None = None,
        connections: int = 8,
    ) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> DdiClient:
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError

    async def get_base(self, controller: str) -> Base:
        """Poll. The server registers a controller that it does not know, where it allows that."""
        raise NotImplementedError

    async def get_deployment(self, controller: str, link: str, *, history: int = 0) -> Deployment:
        """Get the action of ``Base.deployment``, with the last ``history`` messages."""
        raise NotImplementedError

    async def get_cancel(self, controller: str, link: str) -> Cancel:
        """Get the cancellation of ``Base.cancel``."""
        raise NotImplementedError

    async def get_confirmation(self, controller: str, link: str) -> Deployment | None:
        """Get the action of ``Base.confirmation`` that waits for consent; None if none does."""
        raise NotImplementedError

    async def get_installed(self, controller: str, link: str) -> Deployment:
        """Get the action of ``Base.installed``."""
        raise NotImplementedError

    async def put_config_data(self, controller: str, data: ConfigData, link: str | None = None) -> None:
        """Tell the attributes. ``link`` is ``Base.config_data``; without one, the address that DDI documents."""
        raise NotImplementedError

    async def put_installed(self, controller: str, version: AssignedVersion) -> None:
        """Tell what was installed without the server."""
        raise NotImplementedError

    async def send_feedback(self, controller: str, action: str, feedback: Feedback, link: str | None = None) -> None:
        """Send a status of an action. ``link`` is that of the deployment; without one, the documented address."""
        raise NotImplementedError

    async def send_cancel_feedback(
        self, controller: str, cancel: str, feedback: Feedback, link: str | None = None
    ) -> None:
        """Accept a cancellation (closed, success) or refuse it (rejected). ``cancel`` is ``Cancel.id``."""
        raise NotImplementedError

    async def confirm(
        self, controller: str, action: str, feedback: ConfirmationFeedback, link: str | None = None
    ) -> None:
        """Confirm or deny an action that waits for consent."""
        raise NotImplementedError

    async def set_auto_confirm(self, controller: str, active: bool, *, initiator: str = "", remark: str = "") -> None:
        """Switch the server's own confirmation of the actions of this controller."""
        raise NotImplementedError

    async def download(self, controller: str, artifact: Artifact, sink: Sink) -> None:
        """Bring an artifact, or the rest of it, into ``sink``, from the first of its links that works."""
        raise NotImplementedError
