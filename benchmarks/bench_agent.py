"""Gateway agents under load: how many devices a minute, what a poll costs, how much memory, what an idle day costs?

Agents (``smpdfu agent run``) are processes of their own; virtual nRF5340s are served at UDP ports by one more; the
server is the tests' stand-in for hawkBit in this process, or with ``--url`` a real one that runs. First every device
registers; then nothing happens for some intervals of polls; then one order installs version 2 of both cores
everywhere. At the end the server's account is compared with the flash of every device.

``python -m benchmarks.bench_agent --count 1000 --agents 10``; 60 devices behind three agents without options.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.boards import at_ports, put_away
from benchmarks.fleet_rig import NEW, good, package, versions
from smpdfu.local.state.limits import allow_open_files
from tests.agent.servers.management import HawkbitServer
from tests.agent.servers.stand_in.serve import StandIn, stand_in

INTERVALS = 3
"""For so many intervals of polls nothing happens."""
INTERVAL_S = 30.0
"""The shortest that an agent takes from a server."""
USUAL_INTERVAL_S = 300.0
DAY_S = 86_400.0
PATIENCE_S = 3600.0
MIB = 1 << 20
POLL = re.compile("/DEFAULT/controller/v1/[^/]*")
TICKS = os.sysconf("SC_CLK_TCK")

AGENT = """
[agent]
gateway = "{name}"
devices = "devices.csv"
state = "state"
[server]
url = "{url}"
[authentication]
gateway_token_file = "token"
[limits]
at_once = 8
[log]
form = "json"
"""


@dataclass
class Figures:
    """What was measured."""

    registered_s: float = 0.0
    polls: int = 0
    idle_s: float = 0.0
    idle_cpu_s: float = 0.0
    install_s: float = 0.0
    install_cpu_s: float = 0.0
    idle_bytes: int = 0
    peak_bytes: list[int] = field(default_factory=list)


# --- the devices, a process ---


async def serve(folder: Path, names: Sequence[str]) -> None:
    """Every device at a UDP port, until stdin ends; each line on stdin is answered with what runs."""
    made = {name: good(name) for name in names}
    ports, serving = await at_ports(list(made.values()))
    addresses = {name: f"udp:127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)}
    package().write(folder / "package.zip")
    print(json.dumps(addresses), flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(versions(made)), flush=True)
    await put_away(serving)


@contextmanager
def rig(folder: Path, names: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A process with devices: the process, and their addresses."""
    folder.mkdir()
    order = [sys.executable, "-m", "benchmarks.bench_agent", "--serve", str(folder), *names]
    process = subprocess.Popen(order, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def running_versions(process: subprocess.Popen[str]) -> dict[str, str | None]:
    """What runs in each device."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("versions\n")
    process.stdin.flush()
    return dict(json.loads(process.stdout.readline()))


# --- the agents ---


def write_agent(folder: Path, name: str, server: HawkbitServer, devices: Mapping[str, str]) -> None:
    """The folder of a gateway."""
    folder.mkdir()
    (folder / "agent.toml").write_text(AGENT.format(name=name, url=server.url))
    (folder / "token").write_text(server.gateway_token())
    (folder / "token").chmod(0o600)
    rows = "".join(f"{one},{address}\n" for one, address in devices.items())
    (folder / "devices.csv").write_text("name,address\n" + rows)


@contextmanager
def running(folders: Sequence[Path]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """All agents at work; they end with SIGTERM."""
    agents: list[subprocess.Popen[bytes]] = []
    try:
        for folder in folders:
            order = [str(Path(sys.executable).with_name("smpdfu")), "agent", "run", str(folder / "agent.toml")]
            environ = {**os.environ, "SMPDFU_STATE_HOME": str(folder / "home")}
            with (folder / "log").open("wb") as log:
                agents.append(subprocess.Popen(order, stdout=log, stderr=log, env=environ))
        yield agents
    finally:
        for agent in agents:
            agent.send_signal(signal.SIGTERM)
        for agent in agents:
            agent.wait()


def cpu_s(agents: Sequence[subprocess.Popen[bytes]]) -> float:
    """CPU seconds of all agents so far."""
    fields = [Path(f"/proc/{agent.pid}/stat").read_text().rpartition(")")[2].split() for agent in agents]
    return sum(int(one[11]) + int(one[12]) for one in fields) / TICKS


def memory(agents: Sequence[subprocess.Popen[bytes]], row: str) -> list[int]:
    """Bytes of each agent: ``VmRSS`` now, ``VmHWM`` at most."""
    found = []
    for agent in agents:
        lines = Path(f"/proc/{agent.pid}/status").read_text().splitlines()
        found += [int(line.split()[1]) << 10 for line in lines if line.startswith(row)]
    return found


# --- the measurement ---


def wait_for(true: Callable[[], bool], what: str) -> None:
    """Wait until ``true()``."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.5)


def measure(
    server: HawkbitServer, standing: StandIn | None, folders: Sequence[Path], names: Sequence[str], data: bytes
) -> Figures:
    """All three parts."""
    figures = Figures()
    tag = names[0].partition("-")[0]
    query = f"id=={tag}-*"
    server.polling_time(f"00:00:{INTERVAL_S:02.0f}")
    began = time.monotonic()
    with running(folders) as agents:
        known = f"targets?q=attribute.smpdfu_app_version=='*' and {query}&limit=1".replace(" ", "%20")
        wait_for(lambda: server.call("GET", known)["total"] == len(names), "not all devices registered")
        figures.registered_s = time.monotonic() - began
        time.sleep(INTERVAL_S)  # until the first polls are spread
        before, cpu, polls = time.monotonic(), cpu_s(agents), count(standing)
        time.sleep(INTERVALS * INTERVAL_S)
        figures.idle_s, figures.idle_cpu_s = time.monotonic() - before, cpu_s(agents) - cpu
        expected = round(len(names) * figures.idle_s / INTERVAL_S)
        figures.polls = expected if standing is None else count(standing) - polls
        figures.idle_bytes = max(memory(agents, "VmRSS"))
        software = server.upload(tag, NEW, {"dfu_application.zip": data})
        cpu, began = cpu_s(agents), time.monotonic()
        rollout = server.rollout(tag, software, query, 1)
        wait_for(lambda: server.rollout_facts(rollout).status == "finished", "the rollout is not finished")
        figures.install_s, figures.install_cpu_s = time.monotonic() - began, cpu_s(agents) - cpu
        assert server.rollout_facts(rollout).counts["finished"] == len(names), server.rollout_facts(rollout)
        figures.peak_bytes = memory(agents, "VmHWM")
    return figures


def count(standing: StandIn | None) -> int:
    """Polls that the stand-in answered so far."""
    if standing is None:
        return 0
    return sum(
        one.method == "GET" and one.path.count("/") == 4 and "/controller/v1/" in one.path for one in standing.seen
    )


def show(figures: Figures, devices: int, agents: int) -> None:
    """Print the figures."""
    a_poll, most = figures.idle_cpu_s / figures.polls, max(figures.peak_bytes)
    rows = (
        ("devices, agents", f"{devices}, {agents}"),
        ("registered", f"{devices / figures.registered_s * 60:.0f} devices a minute"),
        ("installed", f"{devices / figures.install_s * 60:.0f} devices a minute"),
        ("CPU of the agents", f"{figures.install_cpu_s / devices:.2f} s a device installed"),
        ("idle", f"{figures.polls / figures.idle_s:.1f} polls a second; {a_poll * 1000:.2f} ms of CPU each"),
        ("polls that one core can do", f"{1 / a_poll:.0f} a second"),
        ("idle day", f"{a_poll * DAY_S / USUAL_INTERVAL_S:.2f} CPU s a device, polled every five minutes"),
        (
            "memory of an agent",
            f"{figures.idle_bytes / MIB:.0f} MiB idle, {most / MIB:.0f} MiB at most",
        ),
    )
    for name, value in rows:
        print(f"{name:28} {value}")


def main() -> None:
    """Measure, and check that nothing untrue was reported."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--agents", type=int, default=3)
    parser.add_argument("--url", help="a hawkBit server that runs, with user and password admin")
    chosen = parser.parse_args()
    tag = f"bench{os.getpid()}"
    names = [f"{tag}-{number:04}" for number in range(chosen.count)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        standing = None if chosen.url else stack.enter_context(stand_in())
        server = HawkbitServer("hawkbit", chosen.url or (standing.url if standing else ""))
        devices, addresses = stack.enter_context(rig(folder / "rig", names))
        folders = [folder / f"gateway-{number}" for number in range(chosen.agents)]
        for number, one in enumerate(folders):
            own = {name: addresses[name] for name in names[number :: chosen.agents]}
            write_agent(one, f"bench-{number}", server, own)
        figures = measure(server, standing, folders, names, (folder / "rig" / "package.zip").read_bytes())
        wrong = {name: version for name, version in running_versions(devices).items() if version != NEW}
        assert not wrong, f"the server says finished, and the devices run {wrong}"
    show(figures, chosen.count, chosen.agents)


if __name__ == "__main__":
    allow_open_files(8192)
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(Path(sys.argv[2]), sys.argv[3:]))
    else:
        main()
