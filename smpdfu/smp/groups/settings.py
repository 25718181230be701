"""Group 3, settings: the firmware's key-value store.

Source: Zephyr, "Settings (Config) Management Group" (smp_group_3.rst).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from smpdfu.smp.body import U32
from smpdfu.smp.message import Empty, Op, Request, Response

GROUP = 3


class SettingsRc(IntEnum):
    """Result codes of the settings group."""

    OK = 0
    UNKNOWN = 1
    KEY_TOO_LONG = 2
    KEY_NOT_FOUND = 3
    READ_NOT_SUPPORTED = 4
    ROOT_KEY_NOT_FOUND = 5
    WRITE_NOT_SUPPORTED = 6
    DELETE_NOT_SUPPORTED = 7
    SAVE_NOT_SUPPORTED = 8


@dataclass(frozen=True, slots=True)
class SettingsReadReply(Response):
    """The value. ``max_size`` is the most bytes that the device can return, if that is less than you asked for."""

    val: bytes
    max_size: U32 | None = None


@dataclass(frozen=True, slots=True)
class SettingsRead(Request[SettingsReadReply]):
    """Ask for the value of ``name``, or of its first ``max_size`` bytes."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 0
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "settings read"
    response: ClassVar[type[Response]] = SettingsReadReply

    name: str
    max_size: U32 | None = None


@dataclass(frozen=True, slots=True)
class SettingsWrite(Request[Empty]):
    """Set ``name`` to ``val`` in RAM. ``SettingsSave`` stores it."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 0
    op: ClassVar[Op] = Op.WRITE
    title: ClassVar[str] = "settings write"
    response: ClassVar[type[Response]] = Empty

    name: str
    val: bytes


@dataclass(frozen=True, slots=True)
class SettingsDelete(Request[Empty]):
    """Remove ``name`` from the store."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 1
    op: ClassVar[Op] = Op.WRITE
    title: ClassVar[str] = "settings delete"
    response: ClassVar[type[Response]] = Empty

    name: str


@dataclass(frozen=True, slots=True)
class SettingsCommit(Request[Empty]):
    """Make the firmware use the new values."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 2
    op: ClassVar[Op] = Op.WRITE
    title: ClassVar[str] = "settings commit"
    response: ClassVar[type[Response]] = Empty


@dataclass(frozen=True, slots=True)
class SettingsLoad(Request[Empty]):
    """Make the firmware read all settings from the store again."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 3
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "settings load"
    response: ClassVar[type[Response]] = Empty


@dataclass(frozen=True, slots=True)
class SettingsSave(Request[Empty]):
    """Write all settings to the store, or only the subtree ``name`` if the build supports that."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 3
    op: ClassVar[Op] = Op.WRITE
    title: ClassVar[str] = "settings save"
    response: ClassVar[type[Response]] = Empty

    name: str | None = None
