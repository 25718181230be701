"""Virtual nRF5340s in a process of their own, at UDP ports or pseudo terminals, and packages for them.

As a process: ``python -m tests.agent.devices FOLDER KEYS PTYS NAME...``. It writes into FOLDER ``devices.csv`` (the
last PTYS of the devices are at terminals), and the packages ``good.zip`` (version 2 of both cores, encrypted, staged),
``newer.zip`` (version 3) and ``bad.zip`` (version 2, sealed by a stranger: the bootloader takes the old one back). It
says ``ready``, and answers each line on stdin with the ``DeviceFacts`` of all devices.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from smpdfu.dfu.package.images import Core, Role
from smpdfu.dfu.package.package import Package, new_package
from smpdfu.image.keys.keys import generate, load_private
from smpdfu.local.state.limits import allow_open_files
from smpdfu.virtual.boot.bootloader import BootKeys
from smpdfu.virtual.chip.layout import NRF5340DK_STAGED
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import Resources
from smpdfu.virtual.wires.pty import serve_pty
from smpdfu.virtual.wires.udp import serve_udp
from tests.dfu.conftest import CODE, Maker

HEADER = 0x200
APP_SIZE, NET_SIZE = 12_000, 8_000
OLD, NEW, NEWER = "1.0.0", "2.0.0", "3.0.0"
LOADER = "3.2"
STARTS_S = 120.0
ENCRYPTED = True


@dataclass(frozen=True)
class DeviceFacts:
    """What is true of a device: the version that runs and is confirmed, and SHA-256 of the flash of both cores.

    ``app`` and ``net`` are of the bytes of the firmware that runs; ``boots``: how often it started.
    """

    version: str | None
    confirmed: bool
    app: str
    net: str
    boots: int


class CountingDevice(VirtualNrf5340):
    """It counts how often it starts."""

    boots = 0

    def reset(self) -> None:
        """As a device."""
        self.boots += 1
        super().reset()


_KEYS: list[Maker] = []


def keys() -> Maker:
    """What signs and encrypts."""
    return _KEYS[0]


def load_keys(folder: Path) -> None:
    """Take the keys of this folder, or make them."""
    files = [folder / f"{name}.pem" for name in ("signing", "encryption")]
    for file in files:
        if not file.exists():
            file.write_bytes(generate("ecdsa-p256").to_private_pem())
    _KEYS[:] = [Maker(*(load_private(file.read_bytes()) for file in files))]


@cache
def firmware(version: str) -> tuple[bytes, bytes]:
    """Both cores' images of a version, as a debugger loads them."""
    mark = int(version[0]) * 3
    app = keys().data(version=version, mark=mark, size=APP_SIZE)
    return app, keys().data(Core.NET, version=version, mark=mark, size=NET_SIZE)


def package(version: str, *, make: Maker | None = None) -> Package:
    """An encrypted staged package; ``make``: another hand than the devices trust."""
    maker, mark = make or keys(), int(version[0]) * 3
    app = maker.image(Role.APP, version, mark=mark, size=APP_SIZE, encrypted=ENCRYPTED)
    net = maker.image(Role.NET, version, mark=mark, size=NET_SIZE)
    return new_package([(app, CODE[Core.APP]), (net, CODE[Core.NET])])


def device(name: str) -> CountingDevice:
    """A device that runs ``OLD`` on both cores."""
    made = CountingDevice(
        NRF5340DK_STAGED,
        BootKeys((keys().key.public,), keys().encryption),
        name=name,
        resources=Resources(reset_delay_s=0.0),
    )
    app, net = firmware(OLD)
    made.load_app(app)
    made.load_net(net)
    made.reset()
    return made


def facts(made: CountingDevice) -> DeviceFacts:
    """What is true of a device now."""
    primary, net = NRF5340DK_STAGED.primary, NRF5340DK_STAGED.net.app
    app = made.app.read(primary.start + HEADER, APP_SIZE)  # the header of an encrypted image has a flag more
    trailer = made.images[0].primary.trailer()
    running = made.running
    return DeviceFacts(
        None if running is None else str(running.header.version),
        trailer.magic != "good" or trailer.image_ok == "set",
        hashlib.sha256(app).hexdigest(),
        hashlib.sha256(made.net.read(net.start, NET_SIZE)).hexdigest(),
        made.boots,
    )


def truth(version: str) -> tuple[str, ...]:
    """SHA-256 of the flash of both cores while a version runs: ``DeviceFacts.app`` and ``net``."""
    images = zip(firmware(version), (APP_SIZE, NET_SIZE), strict=True)
    return tuple(hashlib.sha256(image[HEADER : HEADER + size]).hexdigest() for image, size in images)


# --- the process ----------------------------------------------------------------------------------------------------


async def serve(folder: Path, names: Sequence[str], terminals: int) -> None:
    """Every device at its wire, until stdin ends."""
    made = {name: device(name) for name in names}
    tasks = {
        name: asyncio.create_task(_at_a_wire(one, folder / name if number >= len(names) - terminals else None))
        for number, (name, one) in enumerate(made.items())
    }
    found = {name: await task for name, task in tasks.items()}
    lines = ["name,address", *(f"{name},{address}" for name, (address, _) in found.items())]
    (folder / "devices.csv").write_text("\n".join(lines) + "\n")
    package(OLD).write(folder / "old.zip")
    package(NEW).write(folder / "good.zip")
    package(NEWER).write(folder / "newer.zip")
    stranger = Maker(generate("ecdsa-p256"), keys().encryption)
    package(NEW, make=stranger).write(folder / "bad.zip")
    (folder / "truth.json").write_text(json.dumps({version: truth(version) for version in (OLD, NEW, NEWER)}))
    print("ready", flush=True)  # noqa: T201
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps({name: asdict(facts(one)) for name, one in made.items()}), flush=True)  # noqa: T201
    for _, serving in found.values():
        serving.cancel()
    await asyncio.wait([serving for _, serving in found.values()])


async def _at_a_wire(one: VirtualNrf5340, terminal: Path | None) -> tuple[str, asyncio.Task[None]]:
    """Serve a device at a terminal of this name, or at a UDP port: its address, and the task that serves it."""
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    if terminal is not None:
        serving = asyncio.create_task(serve_pty(one, lambda path: address.set_result(f"serial:{path}"), terminal))
        return await address, serving
    at_port = serve_udp(one, port=0, ready=lambda _, port: address.set_result(f"udp:127.0.0.1:{port}"))
    serving = asyncio.create_task(at_port)
    return await address, serving


# --- the process, seen from a test -----------------------------------------------------------------------------------


@dataclass
class Devices:
    """Devices in a process of their own, with their packages in ``folder``."""

    process: subprocess.Popen[str]
    folder: Path
    addresses: Mapping[str, str]
    truth: Mapping[str, Sequence[str]]
    """By version: SHA-256 of the flash of both cores while it runs."""

    def facts(self) -> dict[str, DeviceFacts]:
        """What is true of each device now."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("facts\n")
        self.process.stdin.flush()
        return {name: DeviceFacts(**one) for name, one in json.loads(self.process.stdout.readline()).items()}

    def runs(self, facts: DeviceFacts, version: str) -> bool:
        """Whether both cores of a device have the firmware of this version, confirmed, bit for bit."""
        return facts.version == version and facts.confirmed and (facts.app, facts.net) == tuple(self.truth[version])

    def package(self, name: str) -> bytes:
        """A package: good, newer, bad, old."""
        return (self.folder / f"{name}.zip").read_bytes()


@contextmanager
def devices(
    folder: Path, names: Sequence[str], *, terminals: int = 0, keys_from: Path | None = None, prefix: Sequence[str] = ()
) -> Iterator[Devices]:
    """Devices of these names; the last ``terminals`` of them at pseudo terminals. ``prefix``: before the command.

    ``keys_from``: the folder of other devices, whose keys they trust, too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keys_folder = str(keys_from or folder)
    order = [*prefix, sys.executable, "-m", "tests.agent.devices", str(folder), keys_folder, str(terminals), *names]
    process = subprocess.Popen(order, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError("the devices do not start")
        rows = (folder / "devices.csv").read_text().splitlines()[1:]
        addresses = dict(row.split(",") for row in rows)
        yield Devices(process, folder, addresses, json.loads((folder / "truth.json").read_text()))
    finally:
        process.terminate()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


if __name__ == "__main__":
    allow_open_files(len(sys.argv) * 3 + 100)
    load_keys(Path(sys.argv[2]))
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[4:], int(sys.argv[3])))
