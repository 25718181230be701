"""What the server says: the resources of DDI, each whole at birth.

Each ``from_bytes``, and ``read_confirmation``, reads a body of JSON. If the body is not what DDI says, it raises
``ServerProtocolError`` with one sentence, and nothing else. Links are texts as the server wrote them: ``links.py`` says
which may be followed.
Source: ``hawkbit-ddi-api`` of eclipse-hawkbit/hawkbit, package ``org.eclipse.hawkbit.ddi.json.model``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from smpdfu.agent.ddi.fields import Fields
from smpdfu.agent.ddi.limits import (
    MAX_ARTIFACT_BYTES,
    MAX_ARTIFACTS,
    MAX_CHUNKS,
    MAX_ID,
    MAX_LINK,
    MAX_MESSAGES,
    MAX_METADATA,
    MAX_NAME,
    MAX_VALUE,
)
from smpdfu.errors import ServerProtocolError

_SHA1 = re.compile(r"[0-9a-fA-F]{40}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class Handling(StrEnum):
    """How the server wants a download or an update."""

    SKIP = "skip"
    """Not now."""
    ATTEMPT = "attempt"
    """The server asks for it."""
    FORCED = "forced"
    """The server requires it."""


class MaintenanceWindow(StrEnum):
    """Whether the maintenance window of an action is open."""

    AVAILABLE = "available"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class Base:
    """``GET base``: when to come again, and links to what there is to do; None for what there is not.

    ``sleep`` is the interval as the server wrote it, for ``polling.interval_of``.
    """

    sleep: str | None = None
    config_data: str | None = None
    deployment: str | None = None
    cancel: str | None = None
    confirmation: str | None = None
    installed: str | None = None

    @classmethod
    def from_bytes(cls, data: bytes) -> Base:
        """Read the body. Raises ``ServerProtocolError``."""
        fields = Fields.from_bytes(data)
        config = fields.optional_part("config")
        polling = config.optional_part("polling") if config else None
        return cls(
            sleep=polling.optional_text("sleep", MAX_NAME) if polling else None,
            config_data=fields.link("configData", MAX_LINK),
            deployment=fields.link("deploymentBase", MAX_LINK),
            cancel=fields.link("cancelAction", MAX_LINK),
            confirmation=fields.link("confirmationBase", MAX_LINK),
            installed=fields.link("installedBase", MAX_LINK),
        )


@dataclass(frozen=True)
class Artifact:
    """A file of a chunk.

    ``size_bytes`` and ``sha256`` (lower-case hex) are None where the server does not say. ``links`` are where it is,
    best first: ``download``, then ``download-http``. ``sha1`` is read only where the server gives no SHA-256.
    """

    filename: str
    size_bytes: int | None = None
    sha256: str | None = None
    links: tuple[str, ...] = ()
    sha1: str | None = None

    @classmethod
    def from_fields(cls, fields: Fields) -> Artifact:
        """Read one entry of ``artifacts``. Raises ``ServerProtocolError``."""
        hashes = fields.optional_part("hashes")
        sha256 = _hash(hashes, "sha256", _SHA256, 64) if hashes else None
        links = (fields.link("download", MAX_LINK), fields.link("download-http", MAX_LINK))
        return cls(
            filename=fields.text("filename", MAX_NAME),
            size_bytes=fields.optional_whole("size", MAX_ARTIFACT_BYTES),
            sha256=sha256,
            links=tuple(dict.fromkeys(link for link in links if link is not None)),
            sha1=_hash(hashes, "sha1", _SHA1, 40) if hashes and sha256 is None else None,
        )


def _hash(hashes: Fields, name: str, form: re.Pattern[str], digits: int) -> str | None:
    text = hashes.optional_text(name, MAX_NAME)
    if text is not None and not form.fullmatch(text):
        raise hashes.wrong(name, f"is not {digits} hexadecimal digits")
    return None if text is None else text.lower()


@dataclass(frozen=True)
class Metadata:
    """A key and a value that somebody wrote to a software module, visible to targets."""

    key: str
    value: str


@dataclass(frozen=True)
class Chunk:
    """A software module. ``part`` is its type; hawkBit writes ``bApp`` for ``application`` and ``jvm`` for ``runtime``.

    ``encrypted``: the server keeps the artifacts encrypted.
    """

    part: str
    version: str
    name: str
    artifacts: tuple[Artifact, ...] = ()
    metadata: tuple[Metadata, ...] = ()
    encrypted: bool = False

    @classmethod
    def from_fields(cls, fields: Fields) -> Chunk:
        """Read one entry of ``chunks``. Raises ``ServerProtocolError``."""
        metadata = [
            Metadata(one.text("key", MAX_NAME), one.optional_text("value", MAX_VALUE) or "")
            for one in fields.parts("metadata", MAX_METADATA)
        ]
        return cls(
            part=fields.text("part", MAX_NAME),
            version=fields.text("version", MAX_NAME),
            name=fields.text("name", MAX_NAME),
            artifacts=tuple(map(Artifact.from_fields, fields.parts("artifacts", MAX_ARTIFACTS))),
            metadata=tuple(metadata),
            encrypted=fields.flag("encrypted"),
        )


@dataclass(frozen=True)
class History:
    """What the server knows of an action: its status and the messages that were sent, newest first."""

    status: str = ""
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Deployment:
    """An action: ``deploymentBase``, and in the same shape ``confirmationBase/{action}`` and ``installedBase``.

    ``maintenance_window`` is None if the action has none.
    """

    id: str
    download: Handling
    update: Handling
    chunks: tuple[Chunk, ...] = ()
    maintenance_window: MaintenanceWindow | None = None
    history: History | None = None

    @classmethod
    def from_bytes(cls, data: bytes) -> Deployment:
        """Read the body of ``deploymentBase`` or ``installedBase``. Raises ``ServerProtocolError``."""
        return _action(Fields.from_bytes(data), "deployment")

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The artifacts of all chunks."""
        return tuple(artifact for chunk in self.chunks for artifact in chunk.artifacts)

    @property
    def sha256s(self) -> frozenset[str]:
        """The SHA-256 of the artifacts; empty if the server does not say that of each."""
        found = frozenset(one.sha256 for one in self.artifacts if one.sha256 is not None)
        return found if all(one.sha256 is not None for one in self.artifacts) else frozenset()


def _action(fields: Fields, name: str) -> Deployment:
    body = fields.part(name)
    chunks = tuple(map(Chunk.from_fields, body.parts("chunks", MAX_CHUNKS)))
    if sum(len(chunk.artifacts) for chunk in chunks) > MAX_ARTIFACTS:
        raise body.wrong("chunks", f"have more than {MAX_ARTIFACTS} artifacts together")
    if sum(len(chunk.metadata) for chunk in chunks) > MAX_METADATA:
        raise body.wrong("chunks", f"have more than {MAX_METADATA} entries of metadata together")
    history = fields.optional_part("actionHistory")
    return Deployment(
        id=fields.identifier("id", MAX_ID),
        download=body.word("download", Handling),
        update=body.word("update", Handling),
        chunks=chunks,
        maintenance_window=body.optional_word("maintenanceWindow", MaintenanceWindow),
        history=_history(history) if history else None,
    )


def _history(fields: Fields) -> History:
    return History(fields.optional_text("status", MAX_NAME) or "", fields.texts("messages", MAX_MESSAGES, MAX_VALUE))


@dataclass(frozen=True)
class Cancel:
    """``cancelAction``: the server wants the action ``stop_id`` stopped. ``id`` is that of the cancellation."""

    id: str
    stop_id: str

    @classmethod
    def from_bytes(cls, data: bytes) -> Cancel:
        """Read the body. Raises ``ServerProtocolError``."""
        fields = Fields.from_bytes(data)
        return cls(fields.identifier("id", MAX_ID), fields.part("cancelAction").identifier("stopId", MAX_ID))


@dataclass(frozen=True)
class ConfirmationBase:
    """``confirmationBase``: whether the server confirms by itself, and links.

    ``action`` is the action that waits for a confirmation; ``activate`` and ``deactivate`` switch the automatic one.
    """

    auto_confirm: bool
    initiator: str | None = None
    remark: str | None = None
    action: str | None = None
    activate: str | None = None
    deactivate: str | None = None


def read_confirmation(data: bytes) -> ConfirmationBase | Deployment:
    """Read what ``Base.confirmation`` leads to: the action that waits, or the resource that links to it.

    Raises ``ServerProtocolError``.
    """
    fields = Fields.from_bytes(data)
    return _action(fields, "confirmation") if fields.has("confirmation") else _confirmation_base(fields)


def _confirmation_base(fields: Fields) -> ConfirmationBase:
    state = fields.part("autoConfirm")
    return ConfirmationBase(
        auto_confirm=state.flag("active"),
        initiator=state.optional_text("initiator", MAX_VALUE),
        remark=state.optional_text("remark", MAX_VALUE),
        action=fields.link("confirmationBase", MAX_LINK),
        activate=fields.link("activateAutoConfirm", MAX_LINK) or state.link("activateAutoConfirm", MAX_LINK),
        deactivate=fields.link("deactivateAutoConfirm", MAX_LINK) or state.link("deactivateAutoConfirm", MAX_LINK),
    )


@dataclass(frozen=True)
class Refusal:
    """The body of an error: hawkBit's ``errorCode`` and ``message``, filtered by nobody yet; empty if there is none."""

    code: str = ""
    message: str = ""

    @classmethod
    def from_bytes(cls, data: bytes) -> Refusal:
        """Read the body of an answer with an error status. Raises nothing: a body in any other form says nothing."""
        try:
            fields = Fields.from_bytes(data)
            return cls(
                fields.optional_text("errorCode", MAX_NAME) or "", fields.optional_text("message", MAX_VALUE) or ""
            )
        except ServerProtocolError:
            return cls()
