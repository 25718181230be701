"""The agent of a gateway in one call, for programs: its file, its devices, and what it reports while it works."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

import smpdfu
from smpdfu.agent.actions.events import AgentEvent, Watch, ignore
from smpdfu.agent.description.file import AgentFile
from smpdfu.agent.gateway_status import state_folder
from smpdfu.agent.report.log import EventLog, Level
from smpdfu.agent.report.metrics import AgentMetrics, served
from smpdfu.agent.report.status import AgentStatus, StatusBook, read_status
from smpdfu.agent.report.status_writer import status_kept
from smpdfu.agent.search import search_devices
from smpdfu.agent.target_attributes import opened_attributes
from smpdfu.agent.work.gateway import AgentRound, Gateway
from smpdfu.agent.work.opening import load_agent_file, open_gateway
from smpdfu.errors import FormatError
from smpdfu.local.state.json_lines import as_time


@dataclass(frozen=True, slots=True)
class AgentReporting:
    """Where an agent reports, beside its file of status and its metrics.

    ``watch`` is called with every event and must return at once; an error of it ends the agent. ``log`` gets a line for
    each event that is news. ``clock`` gives seconds since 1970.
    """

    watch: Watch = ignore
    log: TextIO | None = None
    clock: Callable[[], float] = time.time


_SILENT = AgentReporting()


async def run_agent(
    path: Path | str, *, reporting: AgentReporting = _SILENT, stop: asyncio.Event | None = None
) -> None:
    """Work for the devices of a gateway until ``stop`` is set or the call is cancelled. The next run continues.

    Raises AgentFileError, SigningError or OSError for a file that is not usable, ConnectError, NotReadyError without
    the extra ``agent``, ArtifactError or JournalError if another agent uses the same folders.
    """
    async with _open(path, reporting, metrics=True) as gateway, _stopped_by(gateway, stop):
        await gateway.run()


async def agent_once(
    path: Path | str, *, reporting: AgentReporting = _SILENT, stop: asyncio.Event | None = None
) -> AgentRound:
    """Poll every device once, finish what can be finished now, and return what became of it in this call.

    The metrics are not served: that is for an agent that keeps running. Raises what ``run_agent`` raises.
    """
    async with _open(path, reporting, metrics=False) as gateway, _stopped_by(gateway, stop):
        return await gateway.once()


@asynccontextmanager
async def _open(path: Path | str, reporting: AgentReporting, *, metrics: bool) -> AsyncIterator[Gateway]:
    file = load_agent_file(path)
    credentials = file.authentication.credentials(file.devices)
    password = None if file.management is None else file.management.password()

    def hide(text: str) -> str:
        text = credentials.hide(text)
        return text.replace(password, "[password]") if password else text

    book = _book(file, hide, reporting.clock)
    watchers: list[Watch] = [book]
    log = None
    if reporting.log is not None:
        log = EventLog(reporting.log, file.log, hide=hide, clock=reporting.clock)
        watchers.append(log)
    async with AsyncExitStack() as stack:
        counts = AgentMetrics(book.devices, gateway=file.gateway, version=smpdfu.__version__, clock=reporting.clock)
        watchers += [counts, reporting.watch]
        attributes = None
        if password is not None:
            attributes = await stack.enter_async_context(opened_attributes(file, password))
        find = None if file.scan is None else partial(search_devices, file, refused=_refused_to(log))
        opened = open_gateway(file, credentials, _all(watchers), attributes_of=attributes, find=find)
        gateway = await stack.enter_async_context(opened)  # first: another agent has its own address of metrics
        if metrics and file.metrics is not None:
            stack.enter_context(served(counts, file.metrics))
        await stack.enter_async_context(status_kept(book, state_folder(file)))
        yield gateway


def _book(file: AgentFile, hide: Callable[[str], str], clock: Callable[[], float]) -> StatusBook:
    """Begin with what an earlier run knew of the past."""
    now = as_time(clock())
    address = file.server.address
    begin = AgentStatus(file.gateway, address.url, address.tenant, os.getpid(), now, now, ended=False)
    book = StatusBook(begin, file.devices, clock=clock, hide=hide)
    with suppress(FormatError, OSError):
        before = read_status(state_folder(file))
        if before is not None:
            book.remember(before.devices)
    return book


def _all(watchers: list[Watch]) -> Watch:
    def tell(event: AgentEvent) -> None:
        for one in watchers:
            one(event)

    return tell


def _refused_to(log: EventLog | None) -> Callable[[str, str], None]:
    """Say once in the log, for each device that a search leaves out, why."""
    said: set[tuple[str, str]] = set()

    def refused(name: str, why: str) -> None:
        if log is not None and (name, why) not in said and len(said) < _MOST_SAID:
            said.add((name, why))
            log.write(Level.WARNING, "device-left-out", [("device", name), ("message", why)])

    return refused


_MOST_SAID = 1000


@asynccontextmanager
async def _stopped_by(gateway: Gateway, stop: asyncio.Event | None) -> AsyncIterator[None]:
    if stop is None:
        yield
        return

    async def wait() -> None:
        await stop.wait()
        gateway.stop()

    task = asyncio.create_task(wait())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
