"""A program that runs the agent of a gateway with the public names for it, and shows what it does."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from smpdfu import (
    ActionsFailedError,
    ActionsUnfinishedError,
    AgentFileError,
    AgentReporting,
    AgentRound,
    AgentStatus,
    ArtifactError,
    DevicePhase,
    DeviceStatus,
    GatewayStatus,
    agent_once,
    agent_status,
    examine_gateway,
    run_agent,
    service_unit,
)


def watch(event: Any) -> None:
    if event.NAME == "action-ended":
        print(event.device, event.outcome)


async def work(file: Path, hours: float) -> None:
    """Work for some hours, with a log on stderr."""
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(hours * 3600, stop.set)
    try:
        await run_agent(file, reporting=AgentReporting(watch, sys.stderr), stop=stop)
    except (AgentFileError, ArtifactError) as error:
        print(error)


async def one_round(file: Path) -> AgentRound:
    done = await agent_once(file)
    if done.failed:
        raise ActionsFailedError(len(done.failed))
    if done.waiting:
        raise ActionsUnfinishedError(len(done.waiting))
    return done


def show(file: Path) -> None:
    found: GatewayStatus = agent_status(file)
    last: AgentStatus | None = found.last
    print(found.gateway, found.running, None if last is None else last.time)
    devices: dict[str, DeviceStatus] = found.devices
    print([name for name, one in devices.items() if one.phase is DevicePhase.WAITING])


async def prepare(file: Path) -> str:
    print([finding.what for finding in await examine_gateway(file, topics=("files", "server"))])
    return service_unit(file, ["/opt/smpdfu/bin/smpdfu", "agent", "run"])
