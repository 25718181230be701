"""SMP clients that nobody here wrote drive the virtual device at a pseudo terminal; then we look into its flash."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from smpdfu.image.build import ImageSpec, build
from smpdfu.image.format import Image, Version
from smpdfu.image.keys import load_private
from smpdfu.virtual import store
from smpdfu.virtual.content import next_boot
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.swap import SwapType

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")

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
        return store.view_device(self.name)

    def holds(self, slot: str, file: str) -> bool:
        data = self.files[file].read_bytes()
        return bool(getattr(self.look().images[0], slot).area.read(0, len(data)) == data)

    def runs(self) -> bytes | None:
        running = self.look().running
        return None if running is None else running.hash

    def pending(self) -> SwapType:
        """What the trailers ask the bootloader for."""
        return next_boot(self.look().images[0])

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
    store.create("peer", store.Recipe("nrf5340dk-staged", (key.public.to_pem().decode(),)))
    with store.open_device("peer", switch_on=False) as device:  # it boots when it is run
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
            assert process.wait(10) == 0


# --- smpmgr ---------------------------------------------------------------------------------------------------------


def smpmgr(board: Board, *arguments: object) -> str:
    """Run smpmgr; what it prints. Its exit code must be 0."""
    program = str(Path(sys.executable).parent / "smpmgr")
    command = [program, "--port", board.port, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return "".join(done.stdout.split())  # its tables wrap anywhere


def test_smpmgr_reads_the_state(board: Board) -> None:
    printed = smpmgr(board, "image", "state-read")
    assert "slot=0,version='1.0.0'" in printed
    assert board.hash("app1").hex().upper() in printed
    assert board.holds("primary", "app1")
    assert "r='hello'" in smpmgr(board, "os", "echo", "hello")


def test_smpmgr_uploads_tests_and_the_device_reverts(board: Board) -> None:
    smpmgr(board, "image", "upload", board.files["app2"])
    assert board.holds("secondary", "app2")
    assert board.pending() is SwapType.NONE
    smpmgr(board, "image", "state-write", board.hash("app2").hex())
    assert board.pending() is SwapType.TEST
    smpmgr(board, "os", "reset")
    board.wait_for_boots(2)
    assert board.runs() == board.hash("app2")
    assert board.holds("primary", "app2")
    assert board.holds("secondary", "app1")
    assert board.pending() is SwapType.REVERT
    smpmgr(board, "os", "reset")
    board.wait_for_boots(3)
    assert board.runs() == board.hash("app1")
    assert board.holds("primary", "app1")


def test_smpmgr_upgrades_and_confirms(board: Board) -> None:
    smpmgr(board, "upgrade", "--confirm", board.files["app2"])
    board.wait_for_boots(2)
    assert board.runs() == board.hash("app2")
    assert board.holds("primary", "app2")
    assert board.look().images[0].primary.trailer().image_ok == "set"
    assert board.pending() is SwapType.NONE


def test_smpmgr_erases(board: Board) -> None:
    smpmgr(board, "image", "upload", board.files["app2"])
    smpmgr(board, "image", "erase", "1")
    secondary = board.look().images[0].secondary.area.read_all()
    assert secondary.count(0xFF) == len(secondary)


def test_smpmgr_prints_the_refusal_for_what_is_needed(board: Board) -> None:
    smpmgr(board, "image", "upload", board.files["app2"])
    smpmgr(board, "image", "state-write", board.hash("app2").hex())
    assert "NO_FREE_SLOT" in smpmgr(board, "image", "erase", "1")
    assert board.holds("secondary", "app2")


# --- mcumgr-toolkit -------------------------------------------------------------------------------------------------


def toolkit(board: Board) -> Any:
    from mcumgr_toolkit import MCUmgrClient

    client = MCUmgrClient.serial(board.port, timeout_ms=5000)
    client.use_auto_frame_size()
    return client


def test_mcumgr_toolkit_asks_what_the_device_is(board: Board) -> None:
    client = toolkit(board)
    client.check_connection()
    assert client.os_echo("hello") == "hello"
    params = client.os_mcumgr_parameters()
    assert (params.buf_size, params.buf_count) == (2048, 4)
    assert client.os_application_info("s") == "Zephyr"
    assert "9" in repr(client.os_bootloader_info())
    (image,) = client.image_slot_info()
    assert [slot.size for slot in image.slots] == [pair.area.size_bytes for pair in slots(board)]
    (running,) = client.image_get_state()
    assert (running.version, running.hash, running.active) == ("1.0.0", board.runs(), True)


def slots(board: Board) -> tuple[Any, Any]:
    pair = board.look().images[0]
    return pair.primary, pair.secondary


def test_mcumgr_toolkit_uploads_tests_and_confirms(board: Board) -> None:
    client, data = toolkit(board), board.files["app2"].read_bytes()
    reached: list[int] = []
    client.image_upload(data, progress=lambda done, total: reached.append(done))
    assert reached[-1] == len(data)
    assert board.holds("secondary", "app2")
    client.image_set_state(board.hash("app2"))
    assert board.pending() is SwapType.TEST
    client.os_system_reset()
    board.wait_for_boots(2)
    client.image_set_state(confirm=True)
    client.os_system_reset()
    board.wait_for_boots(3)
    assert [slot.version for slot in client.image_get_state()] == ["2.0.0", "1.0.0"]
    assert board.runs() == board.hash("app2")
    assert board.holds("primary", "app2")


def test_mcumgr_toolkit_updates_the_network_core(board: Board) -> None:
    toolkit(board).firmware_update(board.files["net2"].read_bytes())
    board.wait_for_boots(2)
    device, payload = board.look(), board.image("net2").payload
    assert device.net.read(NET_SLOT, len(payload)) == payload
    assert device.net_core.running
    assert board.runs() == board.hash("app1")


def test_mcumgr_toolkit_is_refused_as_by_a_real_device(board: Board) -> None:
    client = toolkit(board)
    with pytest.raises(Exception, match=r"(?i)magic"):
        client.image_upload(bytes(1000))
    with pytest.raises(Exception, match=r"(?i)hash"):
        client.image_set_state(b"\x01" * 32)
    client.image_erase(1)
    with pytest.raises(Exception, match=r"(?i)slot"):
        client.image_erase(0)
    assert board.holds("primary", "app1")


# --- smpclient ------------------------------------------------------------------------------------------------------


def test_smpclient_uploads_over_whatever_it_negotiates(board: Board) -> None:
    from smpclient import SMPClient
    from smpclient.generics import success
    from smpclient.requests.image_management import ImageStatesRead
    from smpclient.transport.serial import SMPSerialTransport

    data = board.files["app2"].read_bytes()

    async def update() -> None:
        async with SMPClient(SMPSerialTransport(), board.port) as client:
            states = await client.request(ImageStatesRead())
            assert success(states)
            assert [one.hash for one in states.images] == [board.runs()]
            async for off in client.upload(data):
                last = off
            assert last == len(data)

    asyncio.run(update())
    assert board.holds("secondary", "app2")
