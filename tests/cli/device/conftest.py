"""A virtual device on the desk, with files to update it; commands run in this process or, to be hurt, in their own."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu import connect
from smpdfu.dfu.package.images import Core, PackageImage
from smpdfu.dfu.package.package import new_package
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.nsib.seal import seal
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.loaders.rules import Loader
from smpdfu.virtual.boot.bootloader import DEFAULT_OPTIONS, BootOptions
from smpdfu.virtual.boot.network.netcore import B0n
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.layout import EXECUTABLE_RAM, LAYOUTS, NRF5340DK_STAGED
from smpdfu.virtual.server.application import DEVICE_ID_SIZE
from smpdfu.virtual.store import devices as store_devices

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Outcome

CODE = {Core.APP: 0xC200, Core.NET: 0x0100_8800}
FILES = {Core.APP: "app_update.bin", Core.NET: "net_core_update.bin"}


def firmware(address: int, size: int, mark: int) -> bytes:
    """A vector table for this address, and filling that differs with ``mark``."""
    table = struct.pack("<16I", 0x2002_0000, *(address + 0x101 + 4 * number for number in range(15)))
    return table + bytes((mark + at) % 251 for at in range(size - len(table)))


def sealed(code: bytes, address: int, key: PrivateKey) -> bytes:
    """The same with b0n's firmware info in it and its validation info behind it."""
    info = FirmwareInfo(len(code), 1, address).to_bytes()
    return seal(code[:0x200] + info + code[0x200 + len(info) :], address, key)


@dataclass(frozen=True)
class Desk:
    """The device, at ``address``, and a folder for files. ``key`` and ``encryption`` are those that it trusts."""

    run: Call
    name: str
    folder: Path
    key: PrivateKey
    encryption: PrivateKey

    @property
    def address(self) -> str:
        return f"virtual:{self.name}"

    def call(self, *arguments: object) -> Outcome:
        """``smpdfu ARGUMENTS --to`` this device."""
        return self.run(*arguments, "--to", self.address)

    def json(self, *arguments: object) -> Any:
        """What a command that must succeed says with ``--json``."""
        done = self.call(*arguments, "--json")
        assert done.code == 0, done.err
        return json.loads(done.out)

    def slots(self) -> list[tuple[int, str, str]]:
        """Slot, version and flags of each image listed: the proof that the device lives."""
        flags = ("active", "confirmed", "pending", "permanent")
        return [
            (slot["slot"], slot["version"], " ".join(flag for flag in flags if slot[flag]))
            for slot in self.json("list")["images"]
        ]

    def data(
        self, core: Core = Core.APP, version: str = "2.0.0", *, key: PrivateKey | None = None, **how: Any
    ) -> bytes:
        """A signed image; ``size`` of the firmware, ``address`` where it is linked, ``encrypted``, ``sealed``.

        ``ram``: the bootloader loads it to this address.
        """
        where = how.get("address", CODE[core])
        code = firmware(where, how.get("size", 3000), how.get("mark", ord(version[0])))
        if core is Core.NET and how.get("sealed", True):
            code = sealed(code, where, self.key)
        spec = ImageSpec(Version.from_text(version), header_size=0x200, slot_size=0, pad_header=True)
        spec = replace(spec, rom_fixed=where if core is Core.NET else max(where - 0x200, 0))
        if how.get("ram"):
            spec = replace(spec, rom_fixed=0, load_addr=how["ram"])
        recipient = self.encryption.public if how.get("encrypted") else None
        return build(spec, code, key or self.key, recipient).to_bytes()

    def image(self, core: Core = Core.APP, version: str = "2.0.0", **how: Any) -> Path:
        """A file with an image."""
        path = self.folder / f"{core}-{version}.bin"
        path.write_bytes(self.data(core, version, **how))
        return path

    def package(self, version: str = "2.0.0", cores: tuple[Core, ...] = tuple(Core), **how: Any) -> Path:
        """A file with a package for these cores."""
        return self._package(f"package-{version}.zip", {core: self.data(core, version, **how) for core in cores})

    def mixed_package(self) -> Path:
        """One whose network image is signed with a key that the device does not trust."""
        net = self.data(Core.NET, key=generate("ecdsa-p256"))
        return self._package("mixed.zip", {Core.APP: self.data(), Core.NET: net})

    def _package(self, name: str, found: dict[Core, bytes]) -> Path:
        path = self.folder / name
        images = {
            core: PackageImage.from_bytes(data, FILES[core], {"load_address": CODE[core]})
            for core, data in found.items()
        }
        new_package([(image, CODE[core]) for core, image in images.items()]).write(path)
        return path

    def net_holds(self, version: str, **how: Any) -> bool:
        """Is the network core's firmware that of this version?"""
        payload = sealed(firmware(CODE[Core.NET], how.get("size", 3000), ord(version[0])), CODE[Core.NET], self.key)
        region = NRF5340DK_STAGED.net.app
        return store_devices.view_device(self.name).net.read(region.start, len(payload)) == payload

    def flash(self) -> bytes:
        """The application core's flash, as it is at this moment, whoever has the device."""
        return (store_devices.home() / self.name / "app.flash").read_bytes()

    def when_written(self, offset: int, process: subprocess.Popen[str]) -> None:
        """Wait until ``offset`` of the secondary slot is written."""
        at = NRF5340DK_STAGED.secondary.start + offset
        while self.flash()[at : at + 16] == b"\xff" * 16:
            assert process.poll() is None, process.communicate()
            time.sleep(0.0005)

    def start(self, *arguments: object, limit_bytes: int = 0) -> subprocess.Popen[str]:
        """A command in a process of its own, which can write no file larger than ``limit_bytes``, if that is given."""
        limited = LIMITED.format(limit=limit_bytes) if limit_bytes else "pass"
        program = f"{limited}\nfrom smpdfu.__main__ import main\nmain()"
        paths = os.pathsep.join((str(Path(store_devices.__file__).parents[2]), *filter(None, sys.path)))
        environment = {**os.environ, "PYTHONPATH": paths}
        command = [sys.executable, "-c", program, *map(str, arguments)]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )


# Without the bytecode, which Python would leave behind cut short.
LIMITED = (
    "import resource, signal, sys; sys.dont_write_bytecode = True; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    "resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
)


@pytest.fixture(scope="session")
def trusted() -> tuple[PrivateKey, PrivateKey]:
    return generate("ecdsa-p256"), generate("ecdsa-p256")


@pytest.fixture
def desk(smpdfu: Call, tmp_path: Path, trusted: tuple[PrivateKey, PrivateKey]) -> Desk:
    """A device that runs version 1.0.0 on both cores."""
    return new_desk(Desk(smpdfu, "desk", tmp_path, *trusted), "nrf5340dk-staged")


@pytest.fixture
def overwriting(
    smpdfu: Call, tmp_path: Path, trusted: tuple[PrivateKey, PrivateKey], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    """The same with a bootloader that only overwrites; commands in this process alone know such a layout."""
    layout = replace(NRF5340DK_STAGED, name="overwriting", mode=BootMode.OVERWRITE_ONLY)
    monkeypatch.setitem(LAYOUTS, layout.name, layout)
    return new_desk(Desk(smpdfu, "desk", tmp_path, *trusted), layout.name)


@pytest.fixture
def two_pairs(
    smpdfu: Call, tmp_path: Path, trusted: tuple[PrivateKey, PrivateKey], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    """One with a pair of slots for each core, whose application is where the others have it; in this process alone."""
    known = LAYOUTS["nrf5340dk-simultaneous"]
    app = replace(known.images[0], primary=replace(known.primary, start=NRF5340DK_STAGED.primary.start))
    layout = replace(known, name="two-pairs", mcuboot=NRF5340DK_STAGED.mcuboot, images=(app, *known.images[1:]))
    monkeypatch.setitem(LAYOUTS, layout.name, layout)
    return new_desk(Desk(smpdfu, "desk", tmp_path, *trusted), layout.name)


@pytest.fixture(autouse=True)
def named_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports are known by their names in the test's folder, for a new pseudo terminal may have another number."""
    monkeypatch.setattr(connect, "_SERIAL_NAMES", tmp_path)


def new_desk(made: Desk, layout: str, options: BootOptions = DEFAULT_OPTIONS) -> Desk:
    """Bring a device with this layout to life. As those of ``virtual new`` do, it tells the number of its chip."""
    keys, number = (made.key.to_pem().decode(),), hashlib.sha256(made.name.encode()).digest()[:DEVICE_ID_SIZE].hex()
    recipe = store_devices.Recipe(layout, keys, (), encryption_pem(made.encryption), options=options, device_id=number)
    store_devices.create(made.name, recipe)
    with store_devices.open_device(made.name) as device:
        device.load_app(made.data(Core.APP, "1.0.0"))
        device.load_net(made.data(Core.NET, "1.0.0"))
        device.reset()
    return made


def encryption_pem(key: PrivateKey) -> str:
    return key.to_private_pem().decode()


@pytest.fixture
def started(desk: Desk) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``desk.start``, and nothing of it is left running."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: object, **how: Any) -> subprocess.Popen[str]:
        processes.append(desk.start(*arguments, **how))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


@pytest.fixture
def port(desk: Desk, started: Callable[..., subprocess.Popen[str]]) -> tuple[Path, subprocess.Popen[str]]:
    """The device behind a pseudo terminal with a name that stays; killing the process pulls the cable."""
    path = desk.folder / "port"
    process = started("virtual", "run", desk.name, "--pty", "--link", path, "--json")
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()
    return path, process


# --- by generation ---------------------------------------------------------------------------------------------------

Board = Callable[..., Desk]
"""``board("3.4.1/pm", layout, b0n)``: a device with this loader that runs 1.0.0 on both cores."""
Serve = Callable[[Desk], str]


@pytest.fixture
def board(smpdfu: Call, tmp_path: Path, trusted: tuple[PrivateKey, PrivateKey]) -> Board:
    """Makes a device with a loader; it runs 1.0.0 on both cores."""

    def make(loader: str, layout: str = "nrf5340dk-staged", b0n: B0n = B0n.KEYS) -> Desk:
        options = BootOptions(loader=Loader.from_name(loader), b0n=b0n)
        return new_desk(Desk(smpdfu, "board", tmp_path, *trusted), layout, options)

    return make


@dataclass(frozen=True)
class ModeDesk(Desk):
    """A device whose bootloader is built in a ``mode`` that swaps nothing."""

    mode: str = ""

    def made_for(self, slot: int, version: str, key: PrivateKey | None = None) -> Path:
        """A file with an image for a slot, with the address in its header as the SDK puts it there."""
        in_ram = self.mode == "ram-load"
        start = EXECUTABLE_RAM.start + 0x1_0000 if in_ram else NRF5340DK_STAGED.images[0].places[slot].start
        spec = ImageSpec(Version.from_text(version), header_size=0x200, slot_size=0, pad_header=True)
        spec = replace(spec, load_addr=start) if in_ram else replace(spec, rom_fixed=start)
        path = self.folder / f"{version}-{slot}.bin"
        path.write_bytes(build(spec, firmware(start + 0x200, 3000, ord(version[0])), key or self.key).to_bytes())
        return path


InMode = Callable[[str], ModeDesk]


@pytest.fixture
def in_mode(smpdfu: Call, tmp_path: Path, trusted: tuple[PrivateKey, PrivateKey]) -> InMode:
    """Makes a device by ``virtual new --mode``, which runs version 1.0.0 from its primary slot."""

    def make(mode: str) -> ModeDesk:
        desk = ModeDesk(smpdfu, "desk", tmp_path, *trusted, mode)
        key = tmp_path / "key.pem"
        key.write_bytes(desk.key.to_pem())
        made = smpdfu("virtual", "new", "desk", "--mode", mode, "-k", key, "--app", desk.made_for(0, "1.0.0"), "--json")
        assert made.code == 0, made.err
        assert json.loads(made.out)["app_runs"] is True
        return desk

    return make


@pytest.fixture
def over_udp(started: Callable[..., subprocess.Popen[str]]) -> Serve:
    """Serves a device by UDP, where no console is: its address."""

    def serve(desk: Desk) -> str:
        process = started("virtual", "run", desk.name, "--udp", 0, "--json")
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()
        return str(json.loads(line)["port"])

    return serve


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that answers as before a reset is not waited for as long as a real one needs."""
    from smpdfu.dfu.do.steps import Deadlines

    defaults = Deadlines.__init__.__defaults__
    assert defaults == (120.0, 0.25, 2.0, 15.0)
    monkeypatch.setattr(Deadlines.__init__, "__defaults__", (*defaults[:3], 0.5))
