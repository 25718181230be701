"""A virtual device in a process of its own, whose Bluetooth is reached by HCI over TCP: by us, and by others."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from smp.os_management import EchoWriteResponse
from smpclient import SMPClient
from smpclient.requests.os_management import EchoWrite
from smpclient.transport.bumble import SMPBumbleTransport

from smpdfu.virtual.store import devices as store_devices
from tests.deadlines import HANG_S

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.ble.ble_rig import KEY, NET, NEW, OLD
else:
    from ble_rig import KEY, NET, NEW, OLD


@dataclass(frozen=True)
class Desk:
    """``address`` is for --to, ``controller`` for other bumble hosts."""

    address: str
    controller: str
    new: Path

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return smpdfu(*words, "--to", self.address)

    def holds(self) -> bytes:
        """What the slot for uploads starts with."""
        return bytes(store_devices.view_device("desk").images[0].secondary.area.read(0, len(NEW)))


def smpdfu(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "smpdfu", *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=HANG_S)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    key = tmp_path / "key.pem"
    key.write_bytes(KEY.public.to_pem())
    for name, data in (("old", OLD), ("new", NEW), ("net", NET)):
        (tmp_path / name).write_bytes(data)
    made = smpdfu(
        *("virtual", "new", "desk", "-k", str(key), "--app", str(tmp_path / "old"), "--net", str(tmp_path / "net"))
    )
    assert made.returncode == 0, made.stderr
    line = [sys.executable, "-m", "smpdfu", "virtual", "run", "desk", "--ble-hci", "tcp-server:127.0.0.1:0"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as serving:
        try:
            assert serving.stdout is not None
            address = serving.stdout.readline().strip()
            yield Desk(address, address.partition("?hci=")[2], tmp_path / "new")
        finally:
            serving.terminate()
        assert serving.wait(HANG_S) == 0


def test_another_process_reaches_the_device(desk: Desk) -> None:
    sent = desk.call("upload", str(desk.new), "--json")
    assert sent.returncode == 0, sent.stderr
    assert desk.holds() == NEW
    listed = desk.call("list", "--json")
    assert [slot["version"] for slot in json.loads(listed.stdout)["images"]] == ["1.0.0", "2.0.0"]
    by_option = smpdfu("list", "--json", "--ble", "*", "--ble-hci", desk.controller)
    assert (by_option.returncode, by_option.stdout) == (0, listed.stdout)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # theirs
def test_smpclient_reaches_the_device(desk: Desk) -> None:
    """A client that nobody here wrote, with its own use of GATT."""

    async def use() -> None:
        transport = SMPBumbleTransport(hci=desk.controller, preferred_mtu=498)
        async with SMPClient(transport, "desk") as client:
            answer = await client.request(EchoWrite(d="by another road"))
            assert isinstance(answer, EchoWriteResponse)
            assert answer.r == "by another road"
            async for _ in client.upload(NEW):
                pass

    asyncio.run(use())
    assert desk.holds() == NEW
