"""Group 0, os, as the application on the application core serves it.

Source: Zephyr, ``subsys/mgmt/mcumgr/grp/os_mgmt/src/os_mgmt.c``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import datetime

from smpdfu.smp.groups.os import (
    ACTIVE_B0_SLOT,
    BootloaderInfo,
    BootloaderInfoReply,
    BootloaderMode,
    DateTimeRead,
    DateTimeReply,
    DateTimeWrite,
    Echo,
    EchoReply,
    Info,
    InfoReply,
    MemoryPool,
    MemoryPools,
    MemoryPoolsReply,
    OsRc,
    Params,
    ParamsReply,
    Reset,
    Task,
    TaskStat,
    TaskStatReply,
)
from smpdfu.smp.message import Empty, MgmtRc
from smpdfu.virtual.boot.nsib.b0 import find_info
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.flash import Area
from smpdfu.virtual.chip.rtc import Rtc
from smpdfu.virtual.server.server import Buffers, Refused

_LETTERS = "snrvbmpio"  # in the order in which the answer has them, whatever the order of the question

# The threads of such a build, as its kernel lists them: the last one first that was made.
TASKS = {
    "mcumgr smp": Task(prio=3, tid=0, state=128, stksiz=512, stkuse=212),
    "BT LW WQ": Task(prio=10, tid=1, state=2, stksiz=352, stkuse=68),
    "sysworkq": Task(prio=-1, tid=2, state=2, stksiz=576, stkuse=166),
    "shell_dummy": Task(prio=14, tid=3, state=2, stksiz=512, stkuse=80),
    "logging": Task(prio=14, tid=4, state=2, stksiz=192, stkuse=114),
    "idle": Task(prio=15, tid=5, state=0, stksiz=80, stkuse=20),
    "main": Task(prio=0, tid=6, state=4, stksiz=1024, stkuse=338),
}
# The calendar in a request: a number for each, and one character of any kind between two.
_CALENDAR = re.compile(r"\s*([+-]?\d+)" + r".\s*([+-]?\d+)" * 5, re.ASCII | re.DOTALL)
_CALENDAR_MIN, _CALENDAR_MAX = (1900, 1, 1, 0, 0, 0), (11899, 12, 31, 23, 59, 59)
_CALENDAR_SIZES = range(19, 26)


@dataclass(frozen=True, slots=True)
class Build:
    """What ``os info`` tells, in the order of the answer."""

    kernel: str = "Zephyr"
    node: str = "unknown"
    release: str = "684c9e8f32e4"
    version: str = "4.4.0"
    built: str = "Wed Jun  3 22:21:59 2026"
    machine: str = "arm"
    processor: str = "cortex-m33"
    platform: str = "nrf5340dk/nrf5340/cpuapp"
    system: str = "Zephyr"


@dataclass(frozen=True, slots=True)
class OsGroup:
    """Handlers. ``reset`` is called with the ``boot_mode`` asked for; it must let the answer go out first.

    ``tasks`` are the threads by name, ``no_downgrade`` tells that MCUboot was built to prevent downgrades.
    ``mcuboot_slots`` are S0 and S1, in a build with NSIB below MCUboot.
    """

    build: Build
    mode: BootMode
    buffers: Buffers
    reset: Callable[[int], None]
    rtc: Rtc = field(default_factory=Rtc)
    tasks: Mapping[str, Task] = field(default_factory=lambda: TASKS)
    no_downgrade: bool = False
    mcuboot_slots: Sequence[Area] | None = None

    def on_echo(self, request: Echo) -> EchoReply:
        """The text, as it came."""
        return EchoReply(request.d)

    def on_task_stat(self, request: TaskStat) -> TaskStatReply:
        """The threads."""
        return TaskStatReply(dict(self.tasks))

    def on_memory_pools(self, request: MemoryPools) -> MemoryPoolsReply:
        """The pool of the SMP server, in a build with this command: a request and its answer are in it."""
        count = self.buffers.count
        free = max(count - 2, 0)
        return MemoryPoolsReply({"smp": MemoryPool(count, free, free, blksiz=self.buffers.size_bytes)})

    def on_date_time_read(self, request: DateTimeRead) -> DateTimeReply:
        """The calendar, in whole seconds and without zone."""
        try:
            now = self.rtc.read()
        except OverflowError:
            raise Refused(OsRc.RTC_COMMAND_FAILED) from None
        if now is None:
            raise Refused(OsRc.RTC_NOT_SET)
        return DateTimeReply(f"{now:%Y-%m-%dT%H:%M:%S}")

    def on_date_time_write(self, request: DateTimeWrite) -> Empty:
        """Set the calendar: six numbers, what stands between them and behind them is not looked at."""
        found = _CALENDAR.match(request.datetime)
        if found is None or len(request.datetime.encode()) not in _CALENDAR_SIZES:
            raise Refused(MgmtRc.EINVAL)
        parts = [int(number) for number in found.groups()]
        if not all(low <= part <= high for low, part, high in zip(_CALENDAR_MIN, parts, _CALENDAR_MAX, strict=True)):
            raise Refused(MgmtRc.EINVAL)
        try:
            year, month, day, hour, minute, second = parts
            self.rtc.set(datetime(year, month, day, hour, minute, second))
        except (ValueError, OverflowError):
            raise Refused(OsRc.RTC_COMMAND_FAILED) from None
        return Empty()

    def on_reset(self, request: Reset) -> Empty:
        """Answer, then restart."""
        self.reset(request.boot_mode or 0)
        return Empty()

    def on_params(self, request: Params) -> ParamsReply:
        """The pool of buffers."""
        return ParamsReply(self.buffers.size_bytes, self.buffers.count)

    def on_info(self, request: Info) -> InfoReply:
        """The facts that the letters ask for; the kernel's name without any."""
        letters = request.format or "s"
        if set(letters) - {*_LETTERS, "a"}:
            raise Refused(OsRc.INVALID_FORMAT)
        facts = zip(_LETTERS, astuple(self.build), strict=True)
        return InfoReply(" ".join(fact for letter, fact in facts if letter in letters or "a" in letters))

    def on_bootloader_info(self, request: BootloaderInfo) -> BootloaderInfoReply:
        """The bootloader's name, how it updates, or which MCUboot is active where NSIB starts it."""
        if not request.query:
            return BootloaderInfoReply(bootloader="MCUboot")
        if request.query == ACTIVE_B0_SLOT and self.mcuboot_slots is not None:
            return BootloaderInfoReply(active=self._active_b0_slot(self.mcuboot_slots))
        if request.query != "mode":
            raise Refused(OsRc.QUERY_YIELDS_NO_ANSWER)
        return BootloaderInfoReply(mode=BootloaderMode(self.mode.number), no_downgrade=self.no_downgrade or None)

    def _active_b0_slot(self, slots: Sequence[Area]) -> int:
        """Where the MCUboot with the higher version is, which b0 starts if it can.

        The hook compares versions and nothing else: a slot that b0 has found invalid counts, too. Source:
        ``subsys/mgmt/mcumgr/grp/os_mgmt_ncs`` of the nRF Connect SDK, ``bootloader_info_hook``.
        """
        first, second = (find_info(slot) for slot in slots)
        if first is None and second is None:
            raise Refused(OsRc.QUERY_RESPONSE_VALUE_NOT_VALID)
        return 0 if second is None or (first is not None and first.version >= second.version) else 1
