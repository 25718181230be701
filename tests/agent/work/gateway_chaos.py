"""Kill the agent, the server and the devices at random points, and compare the server's account with the flash.

``python -m tests.agent.work.gateway_chaos [KILLS [SEED]]`` does it for itself. Kills are SIGKILL for the agent and the
devices, whose flash is in files; the server loses its connections, and keeps what it has.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from smpdfu.dfu.package.images import Core, Role
from smpdfu.dfu.package.package import Package, new_package
from smpdfu.image.keys.keys import generate
from smpdfu.virtual.chip.layout import NRF5340DK_STAGED
from smpdfu.virtual.store import devices as store
from tests.agent.servers.management import HawkbitServer
from tests.agent.servers.stand_in.repository import Repository
from tests.agent.servers.stand_in.serve import StandIn, stand_in
from tests.agent.work.gateway_bench import Site
from tests.deadlines import HANG_S
from tests.dfu.conftest import CODE, Maker

HEADER, APP_SIZE, NET_SIZE = 0x200, 12_000, 8_000
COUNT = 3
LONGEST_S = 2.5
"""The longest time between two kills."""
VICTIMS = ("agent", "agent", "server", "device")
ENDS = ("finished", "error", "canceled")


class Stored:
    """A device whose flash is in a file, and the process that runs it at a UDP port."""

    def __init__(self, name: str, make: Maker, number: int) -> None:
        self.name, self.make = name, make
        self.port = _free_port()
        pem = make.encryption.to_private_pem().decode()
        sign = (make.key.to_pem().decode(),)
        store.create(name, store.Recipe("nrf5340dk-staged", sign, (), pem, device_id=f"{number:016x}"))
        with store.open_device(name, switch_on=False) as device:
            app, net = firmware(make, 0)
            device.load_app(app)
            device.load_net(net)
            device.reset()
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        order = [sys.executable, "-m", "smpdfu", "virtual", "run", self.name, "--udp", str(self.port)]
        process = subprocess.Popen(order, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        process.stdout.readline()  # it serves
        return process

    def kill(self) -> None:
        """It loses its power, and gets it back."""
        self.stop()
        self.process = self._start()

    def stop(self) -> None:
        """It loses its power."""
        _kill(self.process)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def holds(self, version: int) -> tuple[bool, bool]:
        """Whether the flash of each core has the firmware of this version, bit for bit, and the application runs."""
        device = store.view_device(self.name)
        layout = NRF5340DK_STAGED
        app, net = firmware(self.make, version)
        on_app = device.app.read(layout.primary.start + HEADER, APP_SIZE)
        on_net = device.net.read(layout.net.app.start, NET_SIZE)
        runs = device.running is not None and str(device.running.header.version) == text_of(version)
        return runs and on_app == app[HEADER : HEADER + APP_SIZE], on_net == net[HEADER : HEADER + NET_SIZE]


def text_of(version: int) -> str:
    """The version as the images have it."""
    return f"1.{version}.0"


def firmware(make: Maker, version: int) -> tuple[bytes, bytes]:
    """Both cores' images, as a debugger loads them."""
    how = {"version": text_of(version), "mark": 7 * version}
    return make.data(**how, size=APP_SIZE), make.data(Core.NET, **how, size=NET_SIZE)  # type: ignore[arg-type]


def package(make: Maker, version: int) -> Package:
    """An encrypted package of both cores."""
    text, mark = text_of(version), 7 * version
    app = make.image(Role.APP, text, mark=mark, size=APP_SIZE, encrypted=True)
    net = make.image(Role.NET, text, mark=mark, size=NET_SIZE)
    return new_package([(app, CODE[Core.APP]), (net, CODE[Core.NET])])


@dataclass
class World:
    """All of it. ``running`` are the actions that the server has open: by device, their version and id."""

    folder: Path
    make: Maker
    random: random.Random
    boards: list[Stored]
    port: int
    repository: Repository
    running: dict[str, tuple[int, str]] = field(default_factory=dict)
    has: dict[str, int] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    next_version: int = 1
    server: HawkbitServer = field(init=False)
    site: Site = field(init=False)
    agent: subprocess.Popen[bytes] | None = None
    _stack: ExitStack = field(default_factory=ExitStack)
    _standing: ExitStack = field(default_factory=ExitStack)

    def begin(self) -> None:
        """Start the server and the agent."""
        self._start_server()
        self.server.gateway_token()
        self.server.polling_time("00:00:00")
        addresses = {one.name: f"udp:127.0.0.1:{one.port}" for one in self.boards}
        self.site = Site(
            self.folder / "gw", self.server, addresses, agent="", update='ncs = "3.2"\nboot_timeout_s = 30'
        )
        self.path = self.site.path
        for one in self.boards:
            self.server.add_target(one.name)
            self.has[one.name] = 0
        self._start_agent()

    def _start_server(self) -> StandIn:
        found = self._standing.enter_context(stand_in(self.port, self.repository))
        self.server = HawkbitServer("stand-in", found.url)
        return found

    def _start_agent(self) -> None:
        order = [sys.executable, "-m", "tests.agent.work.agent_process", str(self.path)]
        log = self._stack.enter_context((self.folder / "agent.log").open("ab"))
        self.agent = subprocess.Popen(order, stdout=log, stderr=log)

    def kill_one(self) -> str:
        """Kill somebody, and start it again."""
        victim = self.random.choice(VICTIMS)
        if victim == "agent":
            assert self.agent is not None
            _kill(self.agent)
            self._start_agent()
        elif victim == "server":
            self._standing.close()
            time.sleep(self.random.uniform(0.0, 0.4))
            self._start_server()
        else:
            self.random.choice(self.boards).kill()
        return victim

    # --- the operator, who compares ---------------------------------------------------------------------------------

    def operate(self) -> None:
        """Look at every action that ended, and give out the next ones."""
        for one in self.boards:
            if one.name in self.running:
                self._check(one)
            if one.name not in self.running:
                self._assign(one)

    def _assign(self, one: Stored) -> None:
        version, self.next_version = self.next_version, self.next_version + 1
        files = {"dfu_application.zip": package(self.make, version).to_bytes()}
        software = self.server.upload(f"fw-{version}", text_of(version), files)
        self.running[one.name] = version, self.server.assign(software, one.name)

    def _check(self, one: Stored) -> None:
        version, number = self.running[one.name]
        status = next(found.status for found in self.server.actions(one.name) if found.number == number)
        if status not in ENDS:
            return
        del self.running[one.name]
        self.ended.append(status)
        seen = one.holds(version)
        where = f"{one.name}, action {number}, version {version}: the server says {status!r}, the flash {seen}"
        kinds = [entry.kind for entry in self.server.history(one.name, number)]
        assert sum(kinds.count(end) for end in ENDS) == 1, f"{where}: {kinds}"
        if status == "finished":
            assert seen == (True, True), where
            self.has[one.name] = version
        else:
            assert seen != (True, True), where

    def settle(self) -> None:
        """Nobody is killed any more: every action ends."""
        end = time.monotonic() + HANG_S
        while self.running:
            assert time.monotonic() < end, f"these actions never end: {self.running}; see {self.folder / 'agent.log'}"
            for one in self.boards:
                if one.name in self.running:
                    self._check(one)
            time.sleep(0.1)

    def check_end(self) -> None:
        """Every device boots, the server knows its version, and no action was done twice."""
        for one in self.boards:
            assert store.view_device(one.name).running is not None, f"{one.name} does not boot"
            ends: dict[str, list[str]] = {}
            number = ""
            for line in self.site.journal(one.name):
                if "update" in line:
                    number = line["action"]["id"]
                    assert "done" not in ends.get(number, []), f"action {number} began again after its end"
                elif "action" in line:
                    number = line["action"]["id"]
                elif "end" in line:
                    ends.setdefault(number, []).append(line["end"])
            assert all(found.count("done") <= 1 for found in ends.values()), ends
            installed = self.server.installed(one.name)
            assert installed in (None, text_of(self.has[one.name])), (installed, self.has)

    def end(self) -> None:
        """Stop everything."""
        if self.agent is not None:
            self.agent.send_signal(signal.SIGTERM)
            self.agent.wait(HANG_S)
        for one in self.boards:
            one.stop()
        self._standing.close()
        self._stack.close()


@contextmanager
def world(folder: Path, seed: int) -> Iterator[World]:
    """Devices, server and agent, until the end."""
    make = Maker(generate("ecdsa-p256"), generate("ecdsa-p256"))
    boards = [Stored(f"roof-{number}", make, number) for number in range(1, COUNT + 1)]
    made = World(folder, make, random.Random(seed), boards, _free_port(socket.SOCK_STREAM), Repository())
    made.begin()
    try:
        yield made
    finally:
        made.end()


def torment(folder: Path, kills: int, seed: int) -> dict[str, int]:
    """Kill so often; how often whom, and how the actions ended. Raises AssertionError for a wrong word."""
    counts: dict[str, int] = {}
    with world(folder, seed) as made:
        for _ in range(kills):
            end = time.monotonic() + made.random.uniform(0.0, LONGEST_S)
            while time.monotonic() < end:
                made.operate()
                time.sleep(0.05)
            victim = made.kill_one()
            counts[victim] = counts.get(victim, 0) + 1
        made.settle()
        made.check_end()
        for status in made.ended:
            counts[status] = counts.get(status, 0) + 1
    return counts


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _free_port(kind: int = socket.SOCK_DGRAM) -> int:
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        os.environ |= {"SMPDFU_STATE_HOME": f"{name}/state", "SMPDFU_VIRTUAL_HOME": f"{name}/virtual"}
        wanted = [int(one) for one in sys.argv[1:]]
        began = time.monotonic()
        found = torment(Path(name), wanted[0] if wanted else 200, wanted[1] if len(wanted) > 1 else 1)
        sys.stdout.write(f"{found} in {time.monotonic() - began:.0f} s: nothing lost, no wrong word\n")
