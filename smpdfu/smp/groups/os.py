"""Group 0, os: the commands about the device as a whole.

Source: Zephyr, "Default / OS Management Group" (smp_group_0.rst).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from smpdfu.smp.body import I32, U8, U16, U32, key
from smpdfu.smp.message import Empty, Op, Request, Response

GROUP = 0


class OsRc(IntEnum):
    """Result codes of the os group."""

    OK = 0
    UNKNOWN = 1
    INVALID_FORMAT = 2
    QUERY_YIELDS_NO_ANSWER = 3
    RTC_NOT_SET = 4
    RTC_COMMAND_FAILED = 5


class BootloaderMode(IntEnum):
    """How MCUboot was built to update: the answer to the query "mode"."""

    UNKNOWN = -1
    SINGLE_APP = 0
    SWAP_USING_SCRATCH = 1
    OVERWRITE_ONLY = 2
    SWAP_WITHOUT_SCRATCH = 3
    DIRECT_XIP = 4
    DIRECT_XIP_WITH_REVERT = 5
    RAM_LOAD = 6
    FIRMWARE_LOADER = 7
    RAM_LOAD_WITH_NETWORK_CORE = 8
    SWAP_USING_MOVE = 9
    SWAP_USING_OFFSET = 10


@dataclass(frozen=True, slots=True)
class EchoReply(Response):
    """The text, as it came."""

    r: str


@dataclass(frozen=True, slots=True)
class Echo(Request[EchoReply]):
    """Send a text back. Servers take it as a read, too."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 0
    op: ClassVar[Op] = Op.WRITE
    also: ClassVar[tuple[Op, ...]] = (Op.READ,)
    title: ClassVar[str] = "os echo"
    response: ClassVar[type[Response]] = EchoReply

    d: str = ""


@dataclass(frozen=True, slots=True)
class Reset(Request[Empty]):
    """Restart; the device answers first. ``boot_mode`` 1 asks for the bootloader's recovery mode."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 5
    op: ClassVar[Op] = Op.WRITE
    title: ClassVar[str] = "os reset"
    response: ClassVar[type[Response]] = Empty

    force: U8 | None = None
    boot_mode: U8 | None = None


@dataclass(frozen=True, slots=True)
class ParamsReply(Response):
    """``buf_size``: bytes of one buffer; ``buf_count``: how many there are, shared by requests and responses."""

    buf_size: U32
    buf_count: U16


@dataclass(frozen=True, slots=True)
class Params(Request[ParamsReply]):
    """Ask for the sizes of the server's buffers."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 6
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "os params"
    response: ClassVar[type[Response]] = ParamsReply


@dataclass(frozen=True, slots=True)
class InfoReply(Response):
    """What was asked for, as one line of text."""

    output: str


@dataclass(frozen=True, slots=True)
class Info(Request[InfoReply]):
    """Ask what runs. ``format`` is of the letters s n r v b m p i o, or a for all; None: the kernel's name."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 7
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "os info"
    response: ClassVar[type[Response]] = InfoReply

    format: str | None = None


@dataclass(frozen=True, slots=True)
class BootloaderInfoReply(Response):
    """Without query: ``bootloader``, its name. With the query "mode": ``mode`` and, where set, ``no_downgrade``."""

    bootloader: str | None = None
    mode: I32 | None = None
    no_downgrade: bool | None = key("no-downgrade", None)


@dataclass(frozen=True, slots=True)
class BootloaderInfo(Request[BootloaderInfoReply]):
    """Ask about the bootloader: its name, or with ``query`` "mode" how it updates (``BootloaderMode``)."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 8
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "os bootloader info"
    response: ClassVar[type[Response]] = BootloaderInfoReply

    query: str | None = None
