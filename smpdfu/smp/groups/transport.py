"""Group 11, transport: a device that forwards SMP from one of its wires to another.

New in Zephyr 4.5, and experimental there. smpdfu was not tested with a real server of this group.
Source: Zephyr, "Transport Management Group" (smp_group_11.rst) and ``transport_mgmt.h``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from smpdfu.smp.body import U8, U32, Body
from smpdfu.smp.message import Empty, Op, Request, Response

GROUP = 11


class TransportRc(IntEnum):
    """Result codes of the transport group."""

    OK = 0
    UNKNOWN = 1
    TRANSPORT_MISSING_REQUIRED_FUNCTIONS = 2
    TRANSPORT_MISSING_INFO_FUNCTIONS = 3
    INVALID_TRANSPORT = 4
    INVALID_MODE = 5
    ALL_CONTEXTS_USED = 6
    BOTH_TRANSPORT_AND_ALL_PARAMETERS = 7
    NOT_BRIDGED = 8
    SAME_BRIDGE_DEVICE_DISALLOWED = 9
    TRANSPORT_INGOING_NOT_SUPPORTED = 10
    TRANSPORT_OUTGOING_NOT_SUPPORTED = 11
    TRANSPORT_INCOMING_TRANSPORT_ALREADY_BRIDGED = 12
    TRANSPORT_OUTGOING_TRANSPORT_ALREADY_BRIDGED = 13
    CONNECT_MISSING_PARAMETER = 14
    CONNECT_INVALID_PARAMETER = 15
    CONNECT_UNSUPPORTED_PARAMETER = 16
    CONNECT_FAILED = 17


class ConfigType(IntEnum):
    """The type of a parameter of a connection."""

    UINT = 0
    INT = 1
    BOOL = 2
    STRING = 3
    BYTE_STRING = 4


@dataclass(frozen=True, slots=True)
class TransportConnect(Request[Empty]):
    """Forward the requests of this wire to ``transport``, in ``mode`` (None: 0)."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 0
    op: ClassVar[Op] = Op.WRITE
    title: ClassVar[str] = "transport connect"
    response: ClassVar[type[Response]] = Empty

    transport: U32
    mode: U32 | None = None


@dataclass(frozen=True, slots=True)
class TransportDisconnect(Request[Empty]):
    """End the bridge to ``transport``, or ``all`` bridges; without either, the bridge of this wire."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 1
    op: ClassVar[Op] = Op.WRITE
    title: ClassVar[str] = "transport disconnect"
    response: ClassVar[type[Response]] = Empty

    transport: U32 | None = None
    all: bool | None = None


@dataclass(frozen=True, slots=True)
class TransportStatusReply(Response):
    """How many bridges are ``supported`` and ``active``; if this wire is ``bridged``: to which ``transport``."""

    supported: U32
    active: U32
    bridged: bool | None = None
    transport: U32 | None = None


@dataclass(frozen=True, slots=True)
class TransportStatus(Request[TransportStatusReply]):
    """Ask for the state of the bridges."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 2
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "transport status"
    response: ClassVar[type[Response]] = TransportStatusReply


@dataclass(frozen=True, slots=True)
class TransportInfo(Body):
    """A wire to which the device can forward."""

    id: U32
    name: str | None = None


@dataclass(frozen=True, slots=True)
class TransportListReply(Response):
    """The wires of the device."""

    transports: tuple[TransportInfo, ...]


@dataclass(frozen=True, slots=True)
class TransportList(Request[TransportListReply]):
    """Ask which wires the device has."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 6
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "transport list"
    response: ClassVar[type[Response]] = TransportListReply


@dataclass(frozen=True, slots=True)
class TransportMode(Body):
    """A mode of a wire. ``incoming``: requests can arrive by it; ``outgoing``: requests can leave by it."""

    id: U32
    description: str
    incoming: bool | None = None
    outgoing: bool | None = None


@dataclass(frozen=True, slots=True)
class TransportModesReply(Response):
    """The modes of one wire."""

    modes: tuple[TransportMode, ...]


@dataclass(frozen=True, slots=True)
class TransportModes(Request[TransportModesReply]):
    """Ask for the modes of ``transport``."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 7
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "transport modes"
    response: ClassVar[type[Response]] = TransportModesReply

    transport: U32


@dataclass(frozen=True, slots=True)
class TransportConfig(Body):
    """A parameter of a connection; ``type`` is a ``ConfigType``."""

    name: str
    type: U8
    required: bool | None = None


@dataclass(frozen=True, slots=True)
class TransportConfigsReply(Response):
    """The parameters of one mode."""

    configs: tuple[TransportConfig, ...]


@dataclass(frozen=True, slots=True)
class TransportConfigs(Request[TransportConfigsReply]):
    """Ask for the parameters of a connection to ``transport`` in ``mode``."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 8
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "transport configs"
    response: ClassVar[type[Response]] = TransportConfigsReply

    transport: U32
    mode: U32
