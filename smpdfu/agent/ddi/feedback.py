"""What an agent says of an action: feedback on a deployment, on a cancellation, on a confirmation.

Source: ``DdiActionFeedback`` and ``DdiConfirmationFeedback`` of hawkBit; how the server reads each word is in its
page ``direct-device-integration-api``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from smpdfu.agent.ddi.limits import MAX_DETAIL, MAX_DETAILS
from smpdfu.untrusted.text import line

_CUT = "..."


class Execution(StrEnum):
    """Where the work on an action stands. Only ``closed`` ends an action well or badly."""

    DOWNLOAD = "download"
    DOWNLOADED = "downloaded"
    PROCEEDING = "proceeding"
    SCHEDULED = "scheduled"
    RESUMED = "resumed"
    REJECTED = "rejected"
    """Of an update: a warning, the action stays open. Of a cancellation: it is refused, the action continues."""
    CANCELED = "canceled"
    """Of an update: the action ends as cancelled. A cancellation is accepted by ``closed``; hawkBit takes this word
    for a warning there."""
    CLOSED = "closed"


class Finished(StrEnum):
    """The result of an action."""

    NONE = "none"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True)
class Feedback:
    """One status of an action.

    ``details`` are sentences for the operator; they become printable, ``MAX_DETAILS`` of ``MAX_DETAIL`` characters at
    most. ``progress`` is (done, of). ``code`` is shown as the device's status code. ``time_ms`` is when this happened,
    in milliseconds since 1970. Raises ``ValueError`` for ``closed`` without a result, which hawkBit takes for a
    success, and for a result without ``closed``.
    """

    execution: Execution
    finished: Finished = Finished.NONE
    details: tuple[str, ...] = ()
    progress: tuple[int, int] | None = None
    code: int | None = None
    time_ms: int | None = None

    def __post_init__(self) -> None:
        if (self.execution is Execution.CLOSED) == (self.finished is Finished.NONE):
            raise ValueError(f"feedback {self.execution} with result {self.finished}")
        object.__setattr__(self, "details", bounded_details(self.details))

    def to_bytes(self) -> bytes:
        """Return the body in JSON."""
        return _json(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the body as values of JSON."""
        result: dict[str, Any] = {"finished": self.finished.value}
        if self.progress is not None:
            result["progress"] = {"cnt": self.progress[0], "of": self.progress[1]}
        status: dict[str, Any] = {"execution": self.execution.value, "result": result}
        if self.code is not None:
            status["code"] = self.code
        if self.details:
            status["details"] = list(self.details)
        return {"status": status} if self.time_ms is None else {"timestamp": self.time_ms, "status": status}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Feedback:
        """Read what ``to_json`` wrote, such as from our own outbox. Raises ``ValueError`` for anything else."""
        try:
            status, result = value["status"], value["status"]["result"]
            progress = result.get("progress")
            found = cls(
                Execution(status["execution"]),
                Finished(result["finished"]),
                tuple(status.get("details", ())),
                None if progress is None else (_whole(progress["cnt"]), _whole(progress["of"])),
                _whole(status["code"]) if "code" in status else None,
                _whole(value["timestamp"]) if "timestamp" in value else None,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no feedback of DDI: {type(error).__name__}") from None
        if found.to_json() != value:
            raise ValueError("no feedback of DDI: a field has a value that smpdfu does not write")
        return found


class Confirmation(StrEnum):
    """The answer to an action that waits for consent."""

    CONFIRMED = "confirmed"
    DENIED = "denied"


@dataclass(frozen=True)
class ConfirmationFeedback:
    """The answer to ``confirmationBase/{action}``; ``details`` as in ``Feedback``."""

    confirmation: Confirmation
    details: tuple[str, ...] = ()
    code: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "details", bounded_details(self.details))

    def to_bytes(self) -> bytes:
        """Return the body in JSON."""
        body: dict[str, Any] = {"confirmation": self.confirmation.value}
        if self.code is not None:
            body["code"] = self.code
        if self.details:
            body["details"] = list(self.details)
        return _json(body)


def bounded_details(details: tuple[str, ...]) -> tuple[str, ...]:
    """Return sentences as a server takes them: printable, not too long, not too many (the last one says so)."""
    said = [one for one in details if one]
    left = len(said) - MAX_DETAILS
    kept = said if left <= 0 else said[: MAX_DETAILS - 1]
    more = (f"and {left + 1} more",) if left > 0 else ()
    return (*(_bounded(line(one)) for one in kept), *more)


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError("no whole number")
    return value


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - len(_CUT)] + _CUT


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
