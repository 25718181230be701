"""Devices over UDP and at ports with options: what people type, and what they are told."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.cli.app.command import Connection
from smpdfu.cli.app.connection import resolve

if TYPE_CHECKING:
    from tests.cli.conftest import Call
    from tests.cli.device.conftest import Desk

Start = Callable[..., "subprocess.Popen[str]"]


def ports_of(process: subprocess.Popen[str], count: int = 1) -> list[str]:
    """What a device is served at: one line each."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(count)]
    assert all(lines), process.communicate()
    return [json.loads(line)["port"] for line in lines]


def test_a_device_on_udp_is_updated_from_another_process(desk: Desk, started: Start, smpdfu: Call) -> None:
    (address,) = ports_of(started("virtual", "run", desk.name, "--udp", 0, "--json"))
    assert address.startswith("udp:127.0.0.1:")
    place = address.removeprefix("udp:")
    done = smpdfu("upload", desk.image(), "--confirm", "--ip", place)
    assert done.code == 0, done.err
    listed = smpdfu("list", "--json", "--to", address)
    (running,) = (one for one in json.loads(listed.out)["images"] if one["active"])
    assert (running["version"], running["confirmed"]) == ("2.0.0", True)


def test_a_device_is_at_several_wires_at_once(desk: Desk, started: Start, smpdfu: Call, tmp_path: Path) -> None:
    link = tmp_path / "tty"
    ports = ports_of(started("virtual", "run", desk.name, "--udp", 0, "--link", link, "--json"), 2)
    assert str(link) in ports
    for port in ports:
        way = ("--to", port) if port.startswith("udp:") else ("--port", port)
        done = smpdfu("echo", "hello", *way)
        assert (done.code, done.out.strip()) == (0, "hello")


def test_a_port_where_nobody_listens_is_told_of_at_once(smpdfu: Call) -> None:
    done = smpdfu("list", "--ip", "127.0.0.1:9", "--timeout", 30)
    assert done.code == 4
    assert "no program listens at UDP port 9 of 127.0.0.1" in done.sentence


@pytest.mark.parametrize("place", ["999999", "host:0", "fe80::1"])
def test_a_place_that_is_none_is_a_usage_error(desk: Desk, place: str) -> None:
    assert desk.run("virtual", "run", desk.name, "--udp", place).code == 2
    assert place.isdigit() or desk.run("list", "--ip", place).code == 2


def test_a_udp_port_that_is_taken(desk: Desk, started: Start, smpdfu: Call) -> None:
    (address,) = ports_of(started("virtual", "run", desk.name, "--udp", 0, "--json"))
    port = address.rpartition(":")[2]
    assert smpdfu("virtual", "new", "other").code == 0
    done = smpdfu("virtual", "run", "other", "--udp", port)
    assert done.code == 4
    assert f"UDP port {port} of 127.0.0.1 cannot be served" in done.sentence


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({"port": "/dev/x"}, "serial:/dev/x"),
        ({"port": "/dev/x", "raw": True}, "serial:/dev/x?framing=raw"),
        ({"port": "/dev/x", "raw": True, "baudrate": 9600}, "serial:/dev/x?baudrate=9600&framing=raw"),
        ({"port": "/dev/x", "raw": False, "baudrate": 9600}, "serial:/dev/x?baudrate=9600"),
        ({"ip": "[::1]:5"}, "udp:[::1]:5"),
    ],
)
def test_options_make_an_address(options: dict[str, Any], address: str) -> None:
    assert resolve(Connection(**options)).address == address


def test_raw_goes_with_a_port(smpdfu: Call) -> None:
    done = smpdfu("list", "--ip", "127.0.0.1", "--raw")
    assert (done.code, "--raw works only with --port" in done.err) == (2, True)


def test_a_device_that_is_run_in_recovery(desk: Desk, started: Start, smpdfu: Call, tmp_path: Path) -> None:
    link = tmp_path / "tty"
    (port,) = ports_of(started("virtual", "run", desk.name, "--link", link, "--recovery", "--json"))
    refused = smpdfu("upload", desk.image(), "--port", port)
    assert (refused.code, "is in MCUboot's serial recovery" in refused.sentence) == (6, True)
    done = smpdfu("upload", desk.image(), "--recovery", "--port", port)
    assert done.code == 0, done.err
    assert smpdfu("reset", "--no-wait", "--port", port).code == 0
    done = smpdfu("list", "--json", "--port", port, "--timeout", 10)
    assert [one["version"] for one in json.loads(done.out)["images"]] == ["2.0.0"]
