"""Answers of hawkBit's management API as values: strict in what smpdfu relies on, blind to the rest.

Each ``from_fields`` raises ServerProtocolError, in one sentence, for an object that lacks something or has another type
there. Source: ``hawkbit-mgmt-api`` of eclipse-hawkbit/hawkbit, package ``org.eclipse.hawkbit.mgmt.json.model``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from smpdfu.agent.ddi.fields import Fields
from smpdfu.agent.ddi.limits import MAX_ARTIFACT_BYTES, MAX_ID, MAX_LINK, MAX_NAME, MAX_VALUE
from smpdfu.agent.management.requests import METADATA_ENTRIES, PAGE_ENTRIES

MAX_NUMBER = (1 << 63) - 1  # Java's long
MAX_QUERY = 4096
MAX_MODULES = 1000
MAX_MESSAGES = 1000
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_TARGET = re.compile(r"/targets/([^/?#]+)/actions/")
CONTENT = "content"
"""The field of a page that has its entries."""


@dataclass(frozen=True, slots=True)
class Module:
    """A software module."""

    id: int
    name: str
    version: str
    type: str
    locked: bool = False

    @classmethod
    def from_fields(cls, fields: Fields) -> Module:
        """Read a software module."""
        return cls(*_named(fields), fields.flag("locked"))


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a software module; ``sha256`` is empty if the server does not say it."""

    file: str
    size: int
    sha256: str

    @classmethod
    def from_fields(cls, fields: Fields) -> Artifact:
        """Read an artifact."""
        hashes = fields.optional_part("hashes")
        said = (hashes.optional_text("sha256", MAX_NAME) if hashes else None) or ""
        if hashes is not None and said and not _SHA256.fullmatch(said):
            raise hashes.wrong("sha256", "is no SHA-256")
        return cls(fields.text("providedFilename", MAX_NAME), whole(fields, "size", MAX_ARTIFACT_BYTES), said.lower())


@dataclass(frozen=True, slots=True)
class DistributionSet:
    """A distribution set; ``modules`` are the ids of its software modules."""

    id: int
    name: str
    version: str
    type: str
    modules: frozenset[int]
    valid: bool = True

    @classmethod
    def from_fields(cls, fields: Fields) -> DistributionSet:
        """Read a distribution set."""
        ids = frozenset(whole(one, "id") for one in fields.parts("modules", MAX_MODULES))
        return cls(*_named(fields), ids, fields.flag("valid") if fields.has("valid") else True)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many targets of a rollout, or of a group of it, are in which state."""

    notstarted: int = 0
    scheduled: int = 0
    running: int = 0
    finished: int = 0
    error: int = 0
    cancelled: int = 0

    @classmethod
    def from_fields(cls, fields: Fields) -> Counts:
        """Read ``totalTargetsPerStatus`` of a rollout or a group; all is 0 if the server has not counted yet."""
        found = fields.optional_part("totalTargetsPerStatus")
        if found is None:
            return cls()
        return cls(**{name: found.optional_whole(name, MAX_NUMBER) or 0 for name in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class Rollout:
    """A rollout. ``set`` is the id of its distribution set, ``groups`` is None while the server makes them."""

    id: int
    name: str
    status: str
    set: int
    targets: str
    type: str
    groups: int | None
    total: int
    counts: Counts = Counts()
    deleted: bool = False

    @classmethod
    def from_fields(cls, fields: Fields) -> Rollout:
        """Read a rollout."""
        return cls(
            whole(fields, "id"),
            fields.text("name", MAX_NAME),
            fields.text("status", MAX_NAME).lower(),
            whole(fields, "distributionSetId"),
            fields.text("targetFilterQuery", MAX_QUERY),
            fields.optional_text("type", MAX_NAME) or "forced",
            fields.optional_whole("totalGroups", MAX_NUMBER),
            fields.optional_whole("totalTargets", MAX_NUMBER) or 0,
            Counts.from_fields(fields),
            fields.flag("deleted"),
        )


@dataclass(frozen=True, slots=True)
class Group:
    """A group of a rollout; ``success`` and ``error`` are its thresholds in percent, as the server writes them."""

    id: int
    name: str
    status: str
    total: int
    counts: Counts
    success: str
    error: str

    @classmethod
    def from_fields(cls, fields: Fields) -> Group:
        """Read a group of a rollout."""
        return cls(
            whole(fields, "id"),
            fields.text("name", MAX_NAME),
            fields.text("status", MAX_NAME).lower(),
            fields.optional_whole("totalTargets", MAX_NUMBER) or 0,
            Counts.from_fields(fields),
            _expression(fields, "successCondition"),
            _expression(fields, "errorCondition"),
        )


@dataclass(frozen=True, slots=True)
class TargetAction:
    """An action, and the controller id of its target; that is empty if no link of the server has it."""

    id: int
    target: str

    @classmethod
    def from_fields(cls, fields: Fields) -> TargetAction:
        """Read an action with its links."""
        found = _TARGET.search(fields.link("self", MAX_LINK) or "")
        target = unquote(found[1], errors="replace") if found else ""
        if len(target) > MAX_ID:
            raise fields.wrong("_links.self", f"has a target of more than {MAX_ID} characters")
        return cls(whole(fields, "id"), target)


@dataclass(frozen=True, slots=True)
class Report:
    """What a target said of an action at one time."""

    type: str
    messages: tuple[str, ...]

    @classmethod
    def from_fields(cls, fields: Fields) -> Report:
        """Read an entry of the history of an action."""
        return cls(fields.text("type", MAX_NAME).lower(), fields.texts("messages", MAX_MESSAGES, MAX_VALUE))


@dataclass(frozen=True, slots=True)
class UserInfo:
    """Whom the server takes us for: a user of this tenant."""

    tenant: str

    @classmethod
    def from_fields(cls, fields: Fields) -> UserInfo:
        """Read the answer about the user."""
        return cls(fields.text("tenant", MAX_NAME))


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list: ``total`` is how many entries the whole list has."""

    entries: Sequence[Fields]
    total: int

    @classmethod
    def from_fields(cls, fields: Fields, limit: int = PAGE_ENTRIES) -> Page:
        """Read a page of a list, of at most ``limit`` entries."""
        if not fields.has(CONTENT):
            raise fields.wrong(CONTENT, "is missing")
        return cls(fields.parts(CONTENT, limit), whole(fields, "total"))


def as_page(data: bytes) -> Fields:
    """Read an answer that is a bare list, as a POST and the artifacts have it, as the page of all its entries."""
    return Fields.from_bytes(b'{"%s": %s}' % (CONTENT.encode(), data))


def metadata_of(fields: Fields) -> Mapping[str, str]:
    """Read metadata: key to value."""
    entries = Page.from_fields(fields, METADATA_ENTRIES).entries
    return {one.text("key", MAX_NAME): one.optional_text("value", MAX_VALUE) or "" for one in entries}


def whole(fields: Fields, name: str, limit: int = MAX_NUMBER) -> int:
    """Return a whole number that must be there."""
    value = fields.optional_whole(name, limit)
    if value is None:
        raise fields.wrong(name, "is missing")
    return value


def _named(fields: Fields) -> tuple[int, str, str, str]:
    name, version, kind = (fields.text(key, MAX_NAME) for key in ("name", "version", "type"))
    return whole(fields, "id"), name, version, kind


def _expression(fields: Fields, name: str) -> str:
    found = fields.optional_part(name)
    return (found.optional_text("expression", MAX_NAME) if found else None) or ""
