"""A raw UART as a device reads it: nothing but lengths, against what a real server did with half messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.image.format import Version
from smpdfu.image.keys.keys import generate
from smpdfu.image.signing.build import build
from smpdfu.image.signing.spec import ImageSpec
from smpdfu.smp.groups.os import Echo
from smpdfu.virtual.chip.layout import NRF5340DK_STAGED
from smpdfu.virtual.wires.raw_uart import DeviceRawFraming

BUF_SIZE = 384
# As recorded of Zephyr 4.4.0: half a message, two seconds, and then this request twice.
HALF = bytes.fromhex("0a00001d0000e100a16164781868616c6668616c")
ALIVE = bytes.fromhex("0a0000090000ac00a1616465616c697665")
SWALLOWED = b"halfhal" + ALIVE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")


@given(st.lists(st.binary(min_size=0, max_size=BUF_SIZE - 8), max_size=5), st.integers(1, 64))
def test_messages_come_through_however_they_are_cut(bodies: list[bytes], step: int) -> None:
    messages = [b"\x0a\x00" + len(body).to_bytes(2, "big") + bytes(4) + body for body in bodies]
    wire, framing = b"".join(messages), DeviceRawFraming(BUF_SIZE)
    found = [message for at in range(0, len(wire), step) for message in framing.feed(wire[at : at + step])]
    assert found == messages


def test_half_a_message_takes_its_rest_from_the_next_as_recorded() -> None:
    framing = DeviceRawFraming(BUF_SIZE)
    assert framing.feed(HALF) == []
    (message,) = framing.feed(ALIVE)
    assert message == HALF + ALIVE
    assert SWALLOWED in message
    assert framing.feed(ALIVE) == [ALIVE]


def test_with_a_timeout_half_a_message_is_lost_when_more_comes() -> None:
    now_s = 0.0
    framing = DeviceRawFraming(BUF_SIZE, input_timeout_s=0.1, clock=lambda: now_s)
    assert framing.feed(HALF[:9]) == []
    now_s = 0.05
    assert framing.feed(HALF[9:]) == []  # in time: still one message
    now_s = 0.1
    assert framing.feed(ALIVE) == [ALIVE]


def test_what_no_buffer_holds_is_lost_and_a_message_begins_behind_it() -> None:
    framing = DeviceRawFraming(BUF_SIZE)
    too_long = b"\x0a\x00" + BUF_SIZE.to_bytes(2, "big") + bytes(4 + BUF_SIZE)
    assert framing.feed(too_long[:-9]) == []
    assert framing.feed(too_long[-9:]) == [bytes(8)]  # what was left of it looks like a header
    assert framing.feed(ALIVE) == [ALIVE]


# --- end to end -----------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two releases of an application; the device ``raw`` runs the first one."""
    from smpdfu.virtual.store import devices as store_devices

    monkeypatch.setenv("SMPDFU_VIRTUAL_HOME", str(tmp_path / "devices"))
    monkeypatch.setenv("SMPDFU_STATE_HOME", str(tmp_path / "state"))
    key, start = generate("ecdsa-p256"), NRF5340DK_STAGED.primary.start
    table = b"".join(word.to_bytes(4, "little") for word in (0x2002_0000, *[start + 0x301] * 15))
    for number in (1, 2):
        spec = ImageSpec(Version(number), 0x200, 0, pad_header=True)
        (tmp_path / f"{number}.bin").write_bytes(build(spec, table + bytes([number]) * 9000, key).to_bytes())
    store_devices.create("raw", store_devices.Recipe(NRF5340DK_STAGED.name, sign_keys=(key.public.to_pem().decode(),)))
    with store_devices.open_device("raw") as device:
        device.load_app((tmp_path / "1.bin").read_bytes())
        device.reset()
    return tmp_path


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "smpdfu", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@contextmanager
def running(*options: object) -> Iterator[str]:
    command = [sys.executable, "-m", "smpdfu", "virtual", "run", "raw", "--json", "--raw", *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["port"]
        finally:
            process.terminate()


def write(address: str, data: bytes) -> None:
    """As a program that was killed in the middle of a message."""
    port = os.open(address.removeprefix("serial:").partition("?")[0], os.O_WRONLY | os.O_NOCTTY)
    tty.setraw(port)
    os.write(port, data)
    os.close(port)


def test_an_image_is_installed_over_a_raw_port(desk: Path) -> None:
    with running() as address:
        port = address.removeprefix("serial:").removesuffix("?framing=raw")
        done = call("upload", desk / "2.bin", "--confirm", "--port", port, "--raw")
        assert done.returncode == 0, done.stderr
        listed = call("list", "--json", "--to", address)
        (runs,) = (one for one in json.loads(listed.stdout)["images"] if one["active"])
        assert (runs["version"], runs["confirmed"]) == ("2.0.0", True)


def test_a_long_half_message_is_in_the_way_unless_the_server_drops_it(desk: Path) -> None:
    half = Echo("x" * 1500).to_bytes(0)[:600]
    with running("--raw-timeout", 50) as address:
        write(address, half)
        assert call("echo", "hello", "--to", address, "--timeout", 60).stdout.strip() == "hello"
    with running() as address:
        write(address, half)
        assert call("echo", "hello", "--to", address, "--timeout", 0.2).returncode == 4


def test_the_timeout_goes_with_raw(desk: Path) -> None:
    refused = call("virtual", "run", "raw", "--raw-timeout", 50)
    assert (refused.returncode, "--raw-timeout works only with --raw" in refused.stderr) == (2, True)
