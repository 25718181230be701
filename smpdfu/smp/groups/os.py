"""Group 0, os: the commands for the device as a whole.

Source: Zephyr, "Default / OS Management Group" (smp_group_0.rst).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Self

from smpdfu.smp.body import I32, U8, U16, U32, U64, Body, key
from smpdfu.smp.message import Empty, Op, Request, Response

GROUP = 0


ACTIVE_B0_SLOT = "active_b0_slot"
"""The query of builds with NSIB (b0) below MCUboot. The application compares the firmware versions in the slots S0 and
S1 and does not see whether b0 accepts them (nRF Connect SDK, os_mgmt hook of bootloader info).
"""
BOOT_MODE_BOOTLOADER = 1
"""The ``boot_mode`` of a reset that starts serial recovery or the firmware loader (Zephyr, BOOT_MODE_TYPE_BOOTLOADER).
"""


class OsRc(IntEnum):
    """Result codes of the os group."""

    OK = 0
    UNKNOWN = 1
    INVALID_FORMAT = 2
    QUERY_YIELDS_NO_ANSWER = 3
    RTC_NOT_SET = 4
    RTC_COMMAND_FAILED = 5
    QUERY_RESPONSE_VALUE_NOT_VALID = 6
    HEAP_STATS_FETCH_FAILED = 7


class BootloaderMode(IntEnum):
    """How MCUboot installs updates: the answer to the query "mode". SWAP_WITHOUT_SCRATCH is MCUboot's name for 3.

    Source: ``enum mcuboot_mode`` (boot_status.h) of MCUboot.
    """

    UNKNOWN = -1
    SINGLE_APP = 0
    SWAP_USING_SCRATCH = 1
    OVERWRITE_ONLY = 2
    SWAP_USING_MOVE = 3
    SWAP_WITHOUT_SCRATCH = 3
    DIRECT_XIP = 4
    DIRECT_XIP_WITH_REVERT = 5
    RAM_LOAD = 6
    FIRMWARE_LOADER = 7
    SINGLE_APP_RAM_LOAD = 8
    SWAP_USING_OFFSET = 9


@dataclass(frozen=True, slots=True)
class EchoReply(Response):
    """The text that the device sends back."""

    r: str


@dataclass(frozen=True, slots=True)
class Echo(Request[EchoReply]):
    """Ask the device to send a text back. Servers also accept it as a read."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 0
    op: ClassVar[Op] = Op.WRITE
    also: ClassVar[tuple[Op, ...]] = (Op.READ,)
    title: ClassVar[str] = "os echo"
    response: ClassVar[type[Response]] = EchoReply

    d: str = ""


@dataclass(frozen=True, slots=True)
class Task(Body):
    """One thread. ``stksiz`` and ``stkuse`` are in words of four bytes, ``runtime`` in cycles.

    ``prio`` is signed, except in some builds. A build leaves out a value that it does not know, or sends 0.
    """

    prio: int
    tid: U32
    state: U32
    stksiz: U64 | None = None
    stkuse: U64 | None = None
    runtime: U64 | None = None
    cswcnt: U64 | None = None
    last_checkin: U64 | None = None
    next_checkin: U64 | None = None


@dataclass(frozen=True, slots=True)
class TaskStatReply(Response):
    """The threads, by name. In some builds the name is the priority or the index, as text."""

    tasks: dict[str, Task]

    @property
    def hidden(self) -> int:
        """The number of threads that are missing because another one has the same name: the unused thread numbers."""
        return max((task.tid + 1 for task in self.tasks.values()), default=0) - len(self.tasks)


@dataclass(frozen=True, slots=True)
class TaskStat(Request[TaskStatReply]):
    """Ask for the threads, and how full their stacks have been."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 2
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "os taskstat"
    response: ClassVar[type[Response]] = TaskStatReply


@dataclass(frozen=True, slots=True)
class MemoryPool(Body):
    """A pool of ``nblks`` blocks: ``nfree`` now, ``min`` the fewest so far. ``blksiz``: bytes of one, if reported."""

    nblks: int
    nfree: int
    min: int
    blksiz: int | None = None


@dataclass(frozen=True, slots=True)
class MemoryPoolsReply(Response):
    """The pools, by name. The names are keys of the map itself or, in Zephyr, of a map in it called "tasks"."""

    pools: dict[str, MemoryPool]

    def to_map(self) -> dict[str, object]:
        """Return the map of the pools. Raises ValueError if a field has a wrong type."""
        return {str(name): pool.to_map() for name, pool in self.pools.items()}

    @classmethod
    def from_map(cls, entries: Mapping[Any, object]) -> Self:
        """Read the pools: all maps in ``entries``. Raises RemoteProtocolError if one of them is not a pool."""
        inner = entries.get("tasks")
        if isinstance(inner, dict) and all(isinstance(entry, dict) for entry in inner.values()):
            entries = inner
        found = ((name, entry) for name, entry in entries.items() if isinstance(entry, dict))
        return cls({str(name): MemoryPool.from_map(entry) for name, entry in found})


@dataclass(frozen=True, slots=True)
class MemoryPools(Request[MemoryPoolsReply]):
    """Ask for the memory pools. Few builds have this command; Zephyr's answer is undocumented (zephyr#105317)."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 3
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "os mpstat"
    response: ClassVar[type[Response]] = MemoryPoolsReply


@dataclass(frozen=True, slots=True)
class DateTimeReply(Response):
    """The device's clock in ISO 8601, in Zephyr without a zone: "2026-01-02T03:04:05", in some builds with ".678"."""

    datetime: str


@dataclass(frozen=True, slots=True)
class DateTimeRead(Request[DateTimeReply]):
    """Ask for the device's time."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 4
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "os datetime read"
    response: ClassVar[type[Response]] = DateTimeReply


@dataclass(frozen=True, slots=True)
class DateTimeWrite(Request[Empty]):
    """Set the clock: "yyyy-MM-ddTHH:mm:ss", with or without fractions of a second."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 4
    op: ClassVar[Op] = Op.WRITE
    title: ClassVar[str] = "os datetime write"
    response: ClassVar[type[Response]] = Empty

    datetime: str


@dataclass(frozen=True, slots=True)
class Reset(Request[Empty]):
    """Restart the device, which answers first. ``boot_mode`` 1 starts the bootloader's recovery mode."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 5
    op: ClassVar[Op] = Op.WRITE
    title: ClassVar[str] = "os reset"
    response: ClassVar[type[Response]] = Empty

    force: U8 | None = None
    boot_mode: U8 | None = None


@dataclass(frozen=True, slots=True)
class ParamsReply(Response):
    """``buf_size`` is the size of a buffer in bytes, ``buf_count`` the number of buffers for requests and responses."""

    buf_size: U32
    buf_count: U16


@dataclass(frozen=True, slots=True)
class Params(Request[ParamsReply]):
    """Ask for the size and the number of the server's buffers."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 6
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "os params"
    response: ClassVar[type[Response]] = ParamsReply


@dataclass(frozen=True, slots=True)
class InfoReply(Response):
    """The answer, as one line of text."""

    output: str


@dataclass(frozen=True, slots=True)
class Info(Request[InfoReply]):
    """Ask about the firmware. ``format`` has letters of s n r v b m p i o, or a for all; None: the kernel's name."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 7
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "os info"
    response: ClassVar[type[Response]] = InfoReply

    format: str | None = None


@dataclass(frozen=True, slots=True)
class BootloaderInfoReply(Response):
    """Without a query: ``bootloader``, its name. With the query "mode": ``mode`` and, if set, ``no_downgrade``.

    With ``ACTIVE_B0_SLOT``: ``active``, the slot of MCUboot that b0 prefers, 0 or 1.
    """

    bootloader: str | None = None
    mode: I32 | None = None
    no_downgrade: bool | None = key("no-downgrade", None)
    active: U32 | None = None


@dataclass(frozen=True, slots=True)
class BootloaderInfo(Request[BootloaderInfoReply]):
    """Ask for the bootloader's name, or with ``query`` "mode" how it installs updates (``BootloaderMode``).

    ``ACTIVE_B0_SLOT`` asks which MCUboot runs, where there are two.
    """

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 8
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "os bootloader info"
    response: ClassVar[type[Response]] = BootloaderInfoReply

    query: str | None = None
