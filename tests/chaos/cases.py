"""What can go wrong, one function a kind. Each yields a line per case that it went through; AssertionError is a loss.

After every case: the device boots, its cores fit together, the exit code is right, and the next calls finish the update
or say why it must not be.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import cycle, product
from pathlib import Path
from typing import Any

import pytest

from smpdfu.client import Client
from smpdfu.dfu.decide.device_state import Scheme
from smpdfu.dfu.decide.evidence import Bootloader
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.update import Wish
from smpdfu.dfu.package.images import Core
from smpdfu.errors import UpdateError
from smpdfu.image.keys.keys import generate
from smpdfu.link.memory import Faults
from smpdfu.loaders.rules import NORDIC, Loader
from smpdfu.virtual.boot.bootloader import BootOptions
from smpdfu.virtual.boot.network.netcore import B0n
from smpdfu.virtual.chip.flash import Tear
from smpdfu.virtual.store import devices as store_devices
from tests.chaos.stage import ENOUGH_CALLS, LAYOUT, NEW, OLD, Stage
from tests.dfu.conftest import Maker
from tests.dfu.dfu_device import KilledError, MortalJournal

Cases = Iterator[str]
Kind = Callable[[Maker, Scheme, int], Cases]
INTERRUPTED = (0, 4, 7, 8)
"""How a call may end that something cut off: 0 if that came too late, 7 if it met a trial that was over by then."""


# Every entry of a journal is an fsync.
_RAM = "/dev/shm" if Path("/dev/shm").is_dir() else None


LOADERS = sorted(NORDIC, key=lambda one: one.name)
ERASES_NETWORK = Loader.from_name("3.4.0/dts")
"""With it a staged update of the network core ends with 7 for ever."""
# One case after the other on the next loader, with the console and without, so that a run goes through all of them.
_TURN = {
    scheme: cycle(
        [(one, console) for console in (True, False) for one in LOADERS if one != ERASES_NETWORK or scheme != "staged"]
    )
    for scheme in Scheme
}


@contextmanager
def stage(make: Maker, scheme: Scheme, **how: Any) -> Iterator[Stage]:
    """A stage in a folder of its own, with the next loader unless one is given."""
    if "options" not in how:
        loader, console = next(_TURN[scheme])
        how = {"console": console, **how, "options": BootOptions(loader=loader)}
    with tempfile.TemporaryDirectory(dir=_RAM) as folder:
        yield Stage.new(make, scheme, Path(folder), **how)


MANY, CUT_CALLS = 100, 3


def killed(make: Maker, scheme: Scheme, limit: int) -> Cases:
    """The tool is killed at every entry of its journal, and the device is switched off and on 0, 1 or 2 times."""
    for written in (True, False):
        for resets in range(3):
            entry, alive = 0, True
            while alive and entry < limit:
                with stage(make, scheme) as one:
                    alive = _kill(one, entry, written=written)
                    for _ in range(resets):
                        one.power_cycle()
                    assert one.fits(), one.runs()
                    assert one.finish() == [0], "a trial that nobody watched says nothing about the image"
                yield f"entry {entry}, written {written}, {resets} resets"
                entry += 1


def _kill(one: Stage, entry: int, *, written: bool) -> bool:
    with MortalJournal(one.journal) as journal:
        journal.life, journal.written = entry, written
        try:
            assert one.call(journal=journal) == 0
        except KilledError:
            return True
    return False


def link_cut(make: Maker, scheme: Scheme, limit: int) -> Cases:
    """The link is cut for good after so many writes, in each of the first three calls."""
    step = 50 if limit < MANY else 1
    for cut in range(1, step * limit, step):
        with stage(make, scheme, size=40_000) as one:
            codes: list[int] = []
            while len(codes) < CUT_CALLS and 0 not in codes:
                codes.append(one.call(faults=Faults(cut_after_writes=cut, reconnect=False)))
                assert codes[-1] in INTERRUPTED, codes
                assert one.fits(), one.runs()
            one.finish()
            yield f"after {cut} writes: exit codes {codes}"
            if codes[0] == 0:
                return


def power_cut(make: Maker, scheme: Scheme, limit: int, *, other: bool = False) -> Cases:
    """The device loses its power at a random flash operation, torn in one of three ways.

    Half the time it loses it once more while it boots.
    """
    dice = random.Random(f"{scheme} {limit}")
    with stage(make, scheme, size=20_000, other=other) as one:
        before = one.device.chip.power.operations
        assert one.call() == 0
        operations = one.device.chip.power.operations - before
    for number in range(limit):
        with stage(make, scheme, size=20_000, other=other) as one:
            power = one.device.chip.power
            power.tear = dice.choice(list(Tear))
            at = power.cut_after = dice.randrange(operations)
            code = one.call()
            assert code in INTERRUPTED, code
            if number % 2:  # and once more while it boots
                power.cut_after = dice.randrange(operations // 4)
                one.device.reset()
            one.power_cycle()
            assert one.fits(), f"operation {at}: {one.runs()}"
            one.finish()
        yield f"{number}: operation {at} of {operations}: exit code {code}"


def unhealthy(make: Maker, scheme: Scheme, limit: int) -> Cases:
    """The new image runs but fails its check. Where it can, the device goes back; where not, that is said."""

    async def ill(client: Client) -> None:
        raise UpdateError("the pump does not turn")

    for _ in range(min(limit, 3)):
        with stage(make, scheme) as one:
            for _ in range(2):
                code = one.call(health=ill)
                assert code == (7 if scheme is Scheme.STAGED else 8), code
                one.power_cycle()
                assert one.runs() == ((OLD, OLD) if scheme is Scheme.STAGED else (NEW, NEW))
            one.finish()
        yield f"exit code {code}"


def refused_by_b0n(make: Maker, scheme: Scheme, limit: int) -> Cases:
    """The network core's own bootloader does not take the image: its seal is damaged, or signed with another key.

    The former is seen before the first byte. The latter is not, for a seal names no key that a device would tell; with
    a pair for each core such a device never starts its application again, so it is gone through in the other scheme.
    """
    for offset in (0x300, 6000 + 30, 6000 + 5)[:limit]:
        with stage(make, scheme) as one:
            one.package = one.sealed_wrongly(offset)
            assert one.call() == 6
            one.power_cycle()
            assert one.runs() == (OLD, OLD)
            assert not one.device.images[0].secondary.header()
        yield f"seal damaged at {offset}: exit code 6"
    for _ in range(min(limit, 3) if scheme is Scheme.STAGED else 0):
        with stage(make, scheme) as one:
            one.device.net_core.keys = (generate("ecdsa-p256").public,)
            codes = [one.call()]
            one.power_cycle()
            codes.append(one.call())
            # 0 where nothing tells: then it is unproven, or the stage counts a false word.
            assert all(code in (0, 6, 7, 8) for code in codes), codes
            app, _ = one.runs()
            assert app == NEW, "the application core is not drawn into it"
            assert one.device.running is not None
        yield f"sealed with another key: exit codes {codes}"


def wrong_key(make: Maker, scheme: Scheme, limit: int) -> Cases:
    """The bootloader does not trust the key of the package."""
    for _ in range(min(limit, 3)):
        with stage(make, scheme) as one:
            one.package = Stage.new(Maker(make.encryption, make.encryption), scheme, one.folder).package
            code = one.call()
            assert code == 7, code
            assert one.runs()[0] == OLD
            assert one.device.running is not None
        yield f"exit code {code}"


def every_loader(make: Maker, scheme: Scheme, limit: int) -> Cases:
    """Every loader, swapping and overwriting, a network core that takes its image and one that refuses it.

    The tool is cut off at random and called again; a person may have said which release the bootloader is from. What
    the tool says is compared with the flash in every call. With a pair for each core a refusal ends the device, so
    there the network core takes what it gets.
    """
    dice = random.Random(f"{scheme} {limit}")
    ends = (B0n.ACCEPTS, B0n.REFUSES) if scheme is Scheme.STAGED else (B0n.ACCEPTS,)
    for _ in range(limit):
        for loader, other, b0n in product(LOADERS, (False, True), ends):
            console = dice.random() < 0.5
            with stage(make, scheme, other=other, options=BootOptions(loader=loader, b0n=b0n), console=console) as one:
                if dice.random() < 0.5:
                    one.wish = Wish(bootloader=Bootloader(loader.release.name, loader.partitions))
                faults = Faults(cut_after_writes=dice.randrange(20, 120), reconnect=False)
                codes = [one.call(faults=faults), one.call(), one.call()]
                assert all(code in (0, 4, 6, 7, 8) for code in codes), codes
                assert one.device.running is not None
            yield f"{loader.name}, {one.device.layout.mode}, b0n {b0n}, console {console}: exit codes {codes}"


_UPDATE = "from smpdfu.__main__ import main; main()"


def disk_full(make: Maker, scheme: Scheme, limit: int) -> Cases:
    """The journal cannot be written from some byte on."""
    import resource
    import signal

    for size in range(0, 150 * limit, 150):
        with stage(make, scheme) as one:
            kept, bytecode = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
            sys.dont_write_bytecode = True  # it would be cut short, and stay so
            handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, kept[1]))
            try:
                code = one.call()
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, kept)
                sys.dont_write_bytecode = bytecode
                signal.signal(signal.SIGXFSZ, handler)
            assert code in (0, 8), code
            one.power_cycle()
            assert one.fits(), one.runs()
            one.finish()
        yield f"{size} bytes: exit code {code}"
        if code == 0:
            return


def two_tools(make: Maker, scheme: Scheme, limit: int) -> Cases:
    """Two tools at one device. On one computer the second is turned away; two computers cannot know of each other."""
    for _ in range(min(limit, 3)):
        with stage(make, scheme) as one:
            with Journal(one.journal):
                assert one.call() == 8
            assert one.runs() == (OLD, OLD)
            with Journal(one.folder / "elsewhere.jsonl") as other, MortalJournal(one.journal) as first:
                first.life = 3
                with suppress(KilledError):
                    one.call(journal=first)
                code = one.call(journal=other)
            assert one.fits(), one.runs()
            one.finish()
        yield f"exit code {code} from elsewhere"


def kill_9(make: Maker, scheme: Scheme, limit: int) -> Cases:
    """The real program, in a process of its own, is killed by signal 9 when its journal has one more line."""
    for lines in range(1, limit + 1):
        with tempfile.TemporaryDirectory() as folder, stored(make, scheme, Path(folder)) as (command, environment):
            process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _wait_for_lines(Path(folder), lines, process)
            process.kill()
            process.wait()
            codes: list[int] = []
            while not codes or codes[-1] != 0:
                assert len(codes) < ENOUGH_CALLS, codes
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
                assert "Traceback" not in done.stderr, done.stderr
                codes.append(done.returncode)
        yield f"{lines} lines: then exit codes {codes}"
        if process.returncode == 0:
            return


@contextmanager
def stored(make: Maker, scheme: Scheme, folder: Path) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The device in a store of its own; the command that updates it, and its environment. In the end it is updated."""
    one = Stage.new(make, scheme, folder)
    package = folder / "dfu_application.zip"
    one.package.write(package)
    homes = {"SMPDFU_VIRTUAL_HOME": str(folder / "devices"), "SMPDFU_STATE_HOME": str(folder / "state")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in homes.items():
            patch.setenv(name, value)
        pem = make.encryption.to_private_pem().decode()
        store_devices.create("desk", store_devices.Recipe(LAYOUT[scheme], (make.key.to_pem().decode(),), (), pem))
        with store_devices.open_device("desk") as device:
            device.load_app(make.data(version=OLD, mark=1, address=one.package.images[0].load_address, size=6000))
            device.load_net(make.data(Core.NET, version=OLD, mark=1))
            device.reset()
        call = ["update", str(package), "--to", "virtual:desk", "--boot-timeout", "5"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        yield [sys.executable, "-c", _UPDATE, *call], environment
        with store_devices.open_device("desk") as device:
            assert device.running is not None
            assert str(device.running.header.version) == NEW
            assert device.net_core.running


def _wait_for_lines(folder: Path, lines: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        found = [path.read_bytes().count(b"\n") for path in (folder / "state").rglob("*.jsonl")]
        if found and found[0] >= lines:
            return
        time.sleep(0.002)


KINDS: dict[str, tuple[Kind, int, int]] = {
    "tool killed at every journal entry": (killed, 99, 99),
    "tool killed by signal 9": (kill_9, 2, 99),
    "link cut after a write": (link_cut, 4, 10_000),
    "device's power cut at a random flash operation": (power_cut, 6, 1000),
    "the same, on a device that was built in another way": (partial(power_cut, other=True), 6, 500),
    "new image not well": (unhealthy, 1, 3),
    "network image refused by b0n": (refused_by_b0n, 1, 3),
    "application image refused by MCUboot": (wrong_key, 1, 3),
    "every loader, cut off at random": (every_loader, 1, 10),
    "disk full": (disk_full, 3, 99),
    "two tools at one device": (two_tools, 1, 3),
}
"""What goes wrong -> how, with the bounds of the short and the long form."""
