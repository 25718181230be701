"""All devices of a gateway: who is polled when, and an end that leaves every device in a state to continue from.

One asyncio process. Idle devices cost their polls and no more: no file is read or written, and no device is opened.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

from smpdfu.agent.actions.claims import Claim
from smpdfu.agent.actions.events import (
    ActionEnded,
    AgentBegins,
    AgentEnds,
    AgentEvent,
    RecordDamaged,
    Unexpected,
    Watch,
)
from smpdfu.agent.actions.record import DeviceRecord
from smpdfu.agent.ddi.polling import spread
from smpdfu.agent.description.file import AgentFile
from smpdfu.agent.work.device import DeviceWork
from smpdfu.agent.work.facts import time_in_words
from smpdfu.agent.work.ports import Ports
from smpdfu.dfu.fleet.description.device_list import FleetDevice
from smpdfu.errors import SmpdfuError

_SPREAD_S = 0.05  # between the first polls of two devices
_MOST_SPREAD_S = 60.0
_ROUNDS = 8  # polls of one device in ``once``: an action that ends may be followed by another one


@dataclass(frozen=True, slots=True)
class AgentRound:
    """What became of one round: names of devices.

    ``ended``: an action ended well; ``failed``: it ended as a failure; ``waiting``: it is not finished, or the server
    does not have its result, or this gateway has a problem; ``unpolled``: the server did not answer as it should.
    """

    ended: tuple[str, ...]
    failed: tuple[str, ...]
    waiting: tuple[str, ...]
    unpolled: tuple[str, ...]


class Gateway:
    """The agent at work: ``await run()`` until ``stop()``, or ``await once()``."""

    def __init__(self, file: AgentFile, ports: Ports) -> None:
        self._file = file
        self._broken: Exception | None = None
        self._ended: dict[str, bool] = {}  # whether the last action that ended in this run ended well, by device
        self._ports = replace(ports, watch=partial(self._tell, ports.watch))
        self.devices: dict[str, DeviceWork] = {}
        self._queue: list[tuple[float, int, DeviceWork]] = []
        self._numbers = count()
        self._valid: dict[str, int] = {}
        self._polling: dict[asyncio.Task[None], DeviceWork] = {}
        self._news = asyncio.Event()
        self._stopping = False
        self._gate = asyncio.Semaphore(ports.pace.polls_at_once)

    def stop(self) -> None:
        """Let ``run`` end: nothing new begins, and every device is left in a state that the next run continues."""
        self._stopping = True
        self._news.set()

    async def run(self) -> None:
        """Work until ``stop``, or until the call is cancelled. An error of ``Ports.watch`` ends it, and comes out.

        Raises JournalError if the records cannot be read.
        """
        searching: asyncio.Task[None] | None = None
        try:
            await self._begin()
            if self._ports.find is not None:
                searching = asyncio.create_task(self._search_again_and_again())
            while not self._stopping:
                self._news.clear()
                self._start_due()
                await self._rest()
        finally:
            if searching is not None:
                searching.cancel()
                await asyncio.wait([searching])  # a search for BLE devices ends in order
            await self._let_go()
        if self._broken is not None:
            raise self._broken

    async def once(self) -> AgentRound:
        """Poll every device, finish what can be finished now, and tell what became of it. Raises what ``run`` does."""
        try:
            await self._begin()
            await asyncio.gather(*map(self._once_for, self.devices.values()))
        finally:
            await self._let_go()
        if self._broken is not None:
            raise self._broken
        return self._round()

    async def _once_for(self, work: DeviceWork) -> None:
        for _ in range(_ROUNDS):
            if self._stopping:
                return
            async with self._gate:
                await work.poll()
            if work.polls.failures:
                return
            if work.busy:
                await work.settle()
            elif work.due_s > asyncio.get_running_loop().time():
                return
            if work.waits and work.open:
                return

    def _round(self) -> AgentRound:
        works = self.devices.values()
        unpolled = [work.name for work in works if work.unanswered]
        waiting = [work.name for work in works if work.open or (work.polls.failures and not work.unanswered)]
        good, bad = (tuple(name for name, well in self._ended.items() if well is wanted) for wanted in (True, False))
        return AgentRound(good, bad, tuple(waiting), tuple(unpolled))

    # --- the devices ------------------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        found = dict(self._file.devices)
        if self._ports.find is not None:
            found |= {name: one for name, one in (await self._search()).items() if name not in found}
        await self._add(found.values())
        opened = sum(work.open for work in self.devices.values())
        self._ports.watch(AgentBegins(len(self.devices), opened, self._file.gateway))

    async def _search(self) -> dict[str, FleetDevice]:
        assert self._ports.find is not None
        try:
            return dict(await self._ports.find())
        except (SmpdfuError, OSError) as error:
            self._ports.watch(Unexpected("", f"the search for devices failed: {error}", ""))
            return {}

    async def _search_again_and_again(self) -> None:
        every_s = 3600.0 if self._file.scan is None else self._file.scan.every_s
        while True:
            await asyncio.sleep(every_s)
            found = await self._search()
            await self._add(one for name, one in found.items() if name not in self.devices)

    async def _add(self, devices: Iterable[FleetDevice]) -> None:
        new = {one.name: one for one in devices}
        records = await asyncio.to_thread(self._ports.files.read_all, new)
        now_s, total = asyncio.get_running_loop().time(), len(new)
        for at, (name, (record, moved)) in enumerate(records.items()):
            if moved is not None:
                self._ports.watch(RecordDamaged(name, str(moved)))
            work = DeviceWork(new[name], self._claimed(record), self._file, self._ports, self._woken)
            self.devices[name] = work
            within_s = min(total * _SPREAD_S, _MOST_SPREAD_S)
            work.polls.due_s = now_s + (0.0 if work.open else spread(at, total, within_s))
            self._plan(work)

    def _claimed(self, record: DeviceRecord) -> DeviceRecord:
        """The record with this gateway's claim; the disk has it before the server."""
        if record.claim:
            return record
        claim = Claim.new(self._file.gateway)
        return replace(record, claim=claim.id, claimed=time_in_words(self._ports.now()))

    # --- the polls --------------------------------------------------------------------------------------------------

    def _plan(self, work: DeviceWork) -> None:
        number = next(self._numbers)
        self._valid[work.name] = number  # entries with other numbers are old
        heapq.heappush(self._queue, (work.due_s, number, work))

    def _woken(self, work: DeviceWork) -> None:
        if work not in self._polling.values():
            self._plan(work)
            self._news.set()

    def _start_due(self) -> None:
        now_s = asyncio.get_running_loop().time()
        while self._queue and self._queue[0][0] <= now_s:
            _, number, work = heapq.heappop(self._queue)
            if self._valid.get(work.name) == number:
                del self._valid[work.name]
                task = asyncio.create_task(self._poll(work))
                self._polling[task] = work
                task.add_done_callback(self._polled)

    async def _poll(self, work: DeviceWork) -> None:
        async with self._gate:
            await work.poll()

    def _polled(self, task: asyncio.Task[None]) -> None:
        self._plan(self._polling.pop(task))
        self._news.set()

    async def _rest(self) -> None:
        """Wait until a device is due, or something happens."""
        due_s = self._queue[0][0] if self._queue else None
        with suppress(TimeoutError):
            async with asyncio.timeout_at(due_s):
                await self._news.wait()

    async def _let_go(self) -> None:
        """Stop everything. Whatever a device was doing, the next run continues it."""
        self._stopping = True
        for task in list(self._polling):
            task.cancel()
        if self._polling:
            await asyncio.wait(list(self._polling))
        await asyncio.gather(*(work.stop() for work in self.devices.values() if work.busy))
        await asyncio.gather(*(work.keeper.stop() for work in self.devices.values()))
        self._ports.watch(AgentEnds(sum(work.open for work in self.devices.values())))

    def _tell(self, watch: Watch, event: AgentEvent) -> None:
        """Call the caller's ``watch``. An error of it ends the run, when every device is in a safe state."""
        if isinstance(event, ActionEnded):
            self._ended[event.device] = event.success
        try:
            watch(event)
        except Exception as error:
            self._broken = self._broken or error
            self.stop()
