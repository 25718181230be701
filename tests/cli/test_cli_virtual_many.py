"""``smpdfu virtual run`` with several devices: ports that follow each other, copies in memory, and what cannot be."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.cli.test_cli_virtual import APP, sign
from tests.deadlines import HANG_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Call, Keys

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")


@pytest.fixture
def desks(smpdfu: Call, keys: Keys, tmp_path: Path) -> tuple[str, str]:
    app = sign(tmp_path, "app_update.bin", APP, keys.signing)
    for name in ("one", "two"):
        assert smpdfu("virtual", "new", name, "--key", keys.signing_public, "--app", app).code == 0
    return "one", "two"


@contextmanager
def running(count: int, *arguments: object) -> Iterator[list[dict[str, str]]]:
    """``smpdfu virtual run --json`` in a process of its own, and the lines that it prints."""
    command = [sys.executable, "-m", "smpdfu", "virtual", "run", "--json", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield [json.loads(process.stdout.readline()) for _ in range(count)]
            process.send_signal(signal.SIGINT)
            assert process.wait(HANG_S) == 0
        finally:
            process.kill()


def free_ports(count: int) -> int:
    """The first of so many UDP ports in a row that nobody has."""
    for first in range(20_000, 60_000, 64):
        try:
            for port in range(first, first + count):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tried:
                    tried.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no ports are free")


def test_several_devices_at_ports_that_follow_each_other(smpdfu: Call, desks: tuple[str, str]) -> None:
    first = free_ports(2)
    with running(2, *desks, "--udp", first) as told:
        assert sorted((one["name"], one["port"]) for one in told) == [
            ("one", f"udp:127.0.0.1:{first}"),
            ("two", f"udp:127.0.0.1:{first + 1}"),
        ]
        assert smpdfu("settings", "save", "--to", told[0]["port"]).code == 0
        assert smpdfu("echo", "x", "--to", told[1]["port"]).out.strip() == "x"
        listed = smpdfu("virtual", "list", "--json").document["devices"]
        assert {one["name"]: one["port"] for one in listed} == {one["name"]: one["port"] for one in told}


def test_several_devices_at_terminals(smpdfu: Call, desks: tuple[str, str]) -> None:
    with running(2, *desks) as told:
        assert {one["name"] for one in told} == set(desks)
        for one in told:
            assert smpdfu("echo", "x", "--port", one["port"]).out.strip() == "x"


def test_copies_are_served_and_forgotten(smpdfu: Call, desks: tuple[str, str]) -> None:
    with running(30, "one", "--copies", 30, "--udp", 0) as told:
        assert {one["name"] for one in told} == {f"one-{number}" for number in range(1, 31)}
        assert len({one["port"] for one in told}) == 30
        for one in told[::10]:
            assert smpdfu("erase", "--to", one["port"]).code == 0
        assert smpdfu("echo", "mine", "--to", "virtual:one").out.strip() == "mine", "the device itself is free"
    assert [one["name"] for one in smpdfu("virtual", "list", "--json").document["devices"]] == list(desks)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("one", "two", "--copies", 2), "--copies works with one device"),
        (("one", "two", "--link", "here"), "--link works with one device, not with 2"),
        (("one", "--copies", 2, "--ble-hci", "usb:0"), "--ble-hci works with one device, not with 2"),
        (("one", "--copies", 40, "--udp", 65_500), "there are not enough ports from 65500 on for 40 devices"),
    ],
)
def test_what_many_cannot_have(smpdfu: Call, desks: tuple[str, str], arguments: tuple[object, ...], says: str) -> None:
    done = smpdfu("virtual", "run", *arguments)
    assert done.code == 2
    assert says in done.err
