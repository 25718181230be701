"""A virtual device under load, as its options have it: what the server bears, what the wire does."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.virtual.line.load import Resources
from smpdfu.virtual.server.server import Buffers
from smpdfu.virtual.store import devices as store_devices

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

FIRMWARE = b"".join(word.to_bytes(4, "little") for word in (0x2000_4000, *[0xC200 + 0x101] * 15)) + bytes(1000)


@pytest.fixture
def app(tmp_path: Path, keys: Keys) -> Path:
    """A signed application."""
    from smpdfu.image.format import Version
    from smpdfu.image.keys.keys import load_private
    from smpdfu.image.signing.build import ImageSpec, build

    path = tmp_path / "app.bin"
    spec = ImageSpec(Version(1), 0x200, 0, pad_header=True)
    path.write_bytes(build(spec, FIRMWARE, load_private(keys.signing.read_bytes())).to_bytes())
    return path


@contextmanager
def running(name: str, *options: str) -> Iterator[str]:
    """The address for ``--to`` of a device that runs in a process of its own."""
    command = [sys.executable, "-m", "smpdfu", "virtual", "run", name, "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["port"]
            yield port if ":" in port else f"serial:{port}"
        finally:
            process.terminate()


def test_new_takes_what_the_server_has_and_clients_are_told(smpdfu: Call, keys: Keys, app: Path) -> None:
    options = ("--buffers", 2, "--buffer-size", 512, "--uart-ring", 64, "--time-factor", 0.01, "--erase", "progressive")
    made = smpdfu(
        "virtual", "new", "slow", "--key", keys.signing_public, "--app", app, "--allow-erase-pending", *options
    )
    assert made.code == 0, made.err
    expected = Resources(
        Buffers(512, 2), uart_ring=64, time_factor=0.01, erase_progressively=True, allow_erase_pending=True
    )
    assert store_devices.view_device("slow").resources == expected
    assert smpdfu("echo", "x" * 400, "--to", "virtual:slow").code == 0
    assert "the device takes 508" in smpdfu("echo", "x" * 600, "--to", "virtual:slow").refused(2)


def test_a_device_from_before_there_was_a_choice_has_the_defaults(smpdfu: Call) -> None:
    assert smpdfu("virtual", "new", "old").code == 0
    recipe = store_devices.home() / "old" / "device.json"
    found = json.loads(recipe.read_text())
    del found["resources"]
    recipe.write_text(json.dumps(found))
    assert store_devices.view_device("old").resources == Resources()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--buffers", 0),
        ("--buffer-size", 63),
        ("--buffer-size", 65536),
        ("--uart-ring", 0),
        ("--time-factor", -1),
        ("--erase", "never"),
    ],
)
def test_new_refuses_what_no_build_has(smpdfu: Call, option: str, value: object) -> None:
    assert option in smpdfu("virtual", "new", "odd", option, value).refused(2)
    assert store_devices.list_devices() == ()


@pytest.mark.parametrize(
    ("option", "value"),
    [("--baudrate", 0), ("--latency", -1), ("--interval", -1), ("--loss", 101), ("--duplicate", -1)],
)
def test_run_refuses_what_no_wire_does(smpdfu: Call, option: str, value: object) -> None:
    assert smpdfu("virtual", "new", "desk").code == 0
    assert option in smpdfu("virtual", "run", "desk", option, value).refused(2)


@pytest.mark.parametrize("option", ["--duplicate", "--reorder"])
def test_run_refuses_to_reshuffle_a_stream(smpdfu: Call, option: str) -> None:
    assert smpdfu("virtual", "new", "desk").code == 0
    for wires in ((), ("--pty", "--udp", "0"), ("--ble-hci", "tcp-server:127.0.0.1:0")):
        assert "only UDP duplicates or reorders" in smpdfu("virtual", "run", "desk", *wires, option, 5).refused(2)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")
@pytest.mark.parametrize("wire", [(), ("--udp", "0")], ids=["pty", "udp"])
def test_the_wire_is_as_slow_as_it_was_asked_to_be(smpdfu: Call, keys: Keys, app: Path, wire: tuple[str, ...]) -> None:
    assert smpdfu("virtual", "new", "desk", "--key", keys.signing_public, "--app", app).code == 0
    with running("desk", *wire, "--latency", "150") as address:
        start = time.monotonic()
        answer = smpdfu("echo", "hello", "--to", address)
        assert answer.code == 0, answer.err
        assert time.monotonic() - start >= 0.3


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")
def test_a_wire_that_loses_everything_is_silent(smpdfu: Call, keys: Keys, app: Path) -> None:
    assert smpdfu("virtual", "new", "desk", "--key", keys.signing_public, "--app", app).code == 0
    with running("desk", "--loss", "100") as address:
        smpdfu("echo", "hello", "--to", address, "--timeout", "0.1").refused(4)
