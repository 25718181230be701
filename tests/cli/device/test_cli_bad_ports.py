"""Ports that are not there, are taken, or have nobody at the far end: one sentence, exit code 4, nothing left open."""

from __future__ import annotations

import os
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.virtual.store import devices as store_devices

if TYPE_CHECKING:
    from tests.cli.conftest import Call
    from tests.cli.device.conftest import Desk

COMMANDS = [("list",), ("info",), ("echo", "hi"), ("reset",), ("test",), ("confirm",), ("erase",)]


@pytest.fixture
def silent() -> Iterator[str]:
    """A port with nobody at the far end."""
    master, slave = os.openpty()
    tty.setraw(slave)
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_says_that_there_is_no_such_port(smpdfu: Call, command: tuple[str, ...]) -> None:
    refused = smpdfu(*command, "--port", "/dev/does-not-exist")
    assert (refused.code, refused.sentence) == (4, "there is no port /dev/does-not-exist")
    assert refused.out == ""


def test_a_port_that_is_taken(smpdfu: Call, silent: str) -> None:
    from serial import Serial

    with Serial(silent, exclusive=True):
        refused = smpdfu("list", "--port", silent)
    assert (refused.code, refused.sentence) == (4, f"{silent} is in use: another program has it open")


def test_a_file_is_no_port(smpdfu: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "file"):
        refused = smpdfu("list", "--port", path)
        assert (refused.code, "is not a serial port" in refused.sentence) == (4, True), refused.err


def test_a_device_that_does_not_answer(smpdfu: Call, silent: str) -> None:
    refused = smpdfu("list", "--port", silent, "-t", "0.05")
    assert refused.code == 4
    assert refused.sentence == "the device did not answer img state read within 0.05 s in 4 attempts"


def test_a_reset_that_nobody_took(smpdfu: Call, silent: str) -> None:
    refused = smpdfu("reset", "--no-wait", "--port", silent, "-t", "0.05")
    assert (refused.code, refused.sentence) == (4, "the device did not answer os reset within 0.05 s")


@pytest.mark.parametrize("command", ["upload", "update"])
def test_files_are_looked_at_before_the_port(smpdfu: Call, tmp_path: Path, command: str) -> None:
    assert smpdfu(command, tmp_path / "none", "--port", "/dev/does-not-exist").code == 3


def test_a_silent_device_gets_no_update(desk: Desk, silent: str) -> None:
    refused = desk.run("update", desk.package(), "--port", silent, "-t", "0.05")
    assert refused.code == 4
    assert "did not answer" in refused.sentence
    refused = desk.run("upload", desk.image(), "--port", silent, "-t", "0.05")
    assert refused.code == 4
    assert "did not answer" in refused.sentence


def test_a_virtual_device_that_is_taken_or_not_there(desk: Desk) -> None:
    with store_devices.open_device("desk"):
        refused = desk.call("list")
    assert (refused.code, "uses the virtual device 'desk'" in refused.sentence) == (4, True)
    assert "use the port that it prints, or stop it with Ctrl-C" in refused.err
    refused = desk.run("list", "--to", "virtual:other")
    assert (refused.code, "no virtual device 'other'. Known devices: desk" in refused.sentence) == (4, True)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("desk", "'desk' is not an address. It must start with ble:, serial:, udp:, virtual:"),
        ("serial:/dev/x?speed=1", "unknown option 'speed'"),
        ("ble:DK?pair=maybe", "pair 'maybe' is wrong. It must be yes or no"),
        ("udp:10.0.0.1:99999", "'99999' is not a UDP port. It must be 1 to 65535"),
        ("udp:10.0.0.1:00000001337", "'00000001337' is not a UDP port"),
        ("serial:/dev/x?baudrate=00000115200", "is not a number of bits per second"),
    ],
)
def test_addresses_that_lead_nowhere(smpdfu: Call, address: str, words: str) -> None:
    refused = smpdfu("list", "--to", address)
    assert refused.code in (2, 4)
    assert words in " ".join(refused.err.split())


def test_without_an_address_what_is_near_is_told(desk: Desk) -> None:
    refused = desk.run("list")
    assert refused.code == 2
    assert "virtual:desk" in refused.err
