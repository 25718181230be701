"""A virtual device in a process of its own, at a pseudo terminal, for SMP clients that nobody here wrote."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from smpdfu.image.format import Image, Version
from smpdfu.image.keys.keys import load_private
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.virtual.boot.swap.swap_type import SwapType
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.store import devices as store_devices
from tests.deadlines import HANG_S

collect_ignore_glob = ["test_*"] if sys.platform == "win32" else []  # pseudo terminals are POSIX

NET_SLOT = 0x0100_8800


def firmware(address: int, size: int, mark: int) -> bytes:
    """Firmware that is linked for ``address``."""
    table = b"".join(word.to_bytes(4, "little") for word in (0x2000_4000, *[address + 0x101] * 15))
    return table + bytes((mark + at * at) % 251 for at in range(size))


@dataclass
class Board:
    """A virtual device that runs in a process of its own, the files to update it with, and its flash."""

    name: str
    port: str
    files: dict[str, Path]
    console: Path

    def image(self, file: str) -> Image:
        return Image.from_bytes(self.files[file].read_bytes())

    def hash(self, file: str) -> bytes:
        digest = self.image(file).hash
        assert digest is not None
        return digest

    def look(self) -> VirtualNrf5340:
        return store_devices.view_device(self.name)

    def holds(self, slot: str, file: str) -> bool:
        data = self.files[file].read_bytes()
        return bool(getattr(self.look().images[0], slot).area.read(0, len(data)) == data)

    def runs(self) -> bytes | None:
        running = self.look().running
        return None if running is None else running.hash

    def pending(self) -> SwapType:
        """What the trailers ask the bootloader for."""
        return self.look().application.images.next_boot()

    def wait_for_boots(self, count: int) -> None:
        """Until the console shows ``count`` starts of the application, and the device, which notes it a moment later,
        that it runs; the clock only ends a hang."""
        for _ in range(3000):
            if self.console.read_text().count("*** Booting Zephyr") >= count and self.look().running is not None:
                return
            time.sleep(0.01)
        pytest.fail(self.console.read_text())


@pytest.fixture
def board(tmp_path: Path, keys_dir: Path) -> Iterator[Board]:
    """A device that runs version 1.0.0 on both cores, served at a port."""
    key = load_private((keys_dir / "dev-sign-p256.pem").read_bytes())
    parts = {
        "app1": (0xC200, 20_000, "1.0.0"),
        "app2": (0xC200, 24_000, "2.0.0"),
        "net1": (NET_SLOT, 9_000, "1.0.0"),
        "net2": (NET_SLOT, 10_000, "2.0.0"),
    }
    files = {}
    for mark, (name, (address, size, version)) in enumerate(parts.items()):
        spec = ImageSpec(Version.from_text(version), 0x200, 0, pad_header=True)
        files[name] = tmp_path / f"{name}.bin"
        files[name].write_bytes(build(spec, firmware(address, size, mark), key).to_bytes())
    store_devices.create("peer", store_devices.Recipe("nrf5340dk-staged", (key.public.to_pem().decode(),)))
    with store_devices.open_device("peer", switch_on=False) as device:  # it boots when it is run
        device.load_app(files["app1"].read_bytes())
        device.load_net(files["net1"].read_bytes())
    yield from served("peer", files, tmp_path / "console.log")


def served(name: str, files: dict[str, Path], console: Path) -> Iterator[Board]:
    command = [sys.executable, "-m", "smpdfu", "virtual", "run", name, "--pty", "--json"]
    with console.open("wb") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process:
        try:
            assert process.stdout is not None
            yield Board(name, json.loads(process.stdout.readline())["port"], files, console)
        finally:
            process.terminate()
            assert process.wait(HANG_S) == 0
