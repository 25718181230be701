"""Errors of the gateway agent, of its update server and of what is published there."""

from __future__ import annotations

from smpdfu.errors.base import SmpdfuError
from smpdfu.errors.updates import UpdateError


class AgentFileError(SmpdfuError):
    """The file that describes an agent is not valid."""


class ServerError(SmpdfuError):
    """The exchange with the update server failed. ``url`` is the address without its query; empty if not known."""

    url: str = ""


class ServerLinkError(ServerError):
    """The server cannot be reached: name, network, TLS, or no answer in time."""


class ServerRefusedError(ServerError):
    """The server answered, and refused.

    ``status`` is the HTTP status. ``server_code`` is the error code in the body (of hawkBit, for example
    ``hawkbit.server.error.quota.tooManyEntries``), empty if there is none. ``retry_after_s`` is how long the server
    asks us to wait; None if it does not say.
    """

    def __init__(self, message: str, status: int, *, server_code: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.server_code = server_code
        self.retry_after_s = retry_after_s


class ServerProtocolError(ServerError):
    """The server's answer is not what its protocol says: HTML, wrong JSON, too large, a link that is not allowed."""


class ActionsFailedError(UpdateError):
    """Updates that an update server ordered failed in this round: of ``devices`` devices."""

    def __init__(self, devices: int) -> None:
        super().__init__(f"updates that failed in this round: {devices}")
        self.devices = devices


class ActionsUnfinishedError(UpdateError):
    """Actions of an update server are not finished, or it does not have their results: of ``devices`` devices."""

    def __init__(self, devices: int) -> None:
        super().__init__(f"actions that are not finished: {devices}")
        self.devices = devices


class ArtifactError(SmpdfuError):
    """A file of the server cannot be used or kept: wrong hash or size, no SHA-256, no space.

    ``temporary``: True if a later attempt may succeed without a change at the server, as after a full disk.
    """

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.temporary = temporary


class PublishError(SmpdfuError):
    """The server has something else under the name of what is to be published: smpdfu changes nothing there."""


class RolloutFailedError(SmpdfuError):
    """A rollout ended without success: it passed its error threshold, or a person stopped it."""


class RolloutUnfinishedError(SmpdfuError):
    """A rollout waits for something at the server. The same call continues later."""
