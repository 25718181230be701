"""The search for devices that ``[scan]`` describes: ports, BLE and virtual devices, as ``smpdfu scan`` finds them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from smpdfu.agent.description.file import AgentFile
from smpdfu.agent.search import search_devices
from smpdfu.connect import place_of
from smpdfu.errors import ConnectError
from smpdfu.link.ble.search import Found
from smpdfu.link.serial import pipe as serial_pipe

PORTS = (
    serial_pipe.PortInfo("/dev/ttyACM0", "J-Link", "1050012345", "1366:1051"),
    serial_pipe.PortInfo("/dev/ttyACM1", "J-Link", "9999", "1366:1051"),
    serial_pipe.PortInfo("/dev/ttyUSB0", "no number", None, "0403:6001"),
)


def agent(folder: Path, scan: str, devices: str = "") -> AgentFile:
    path = folder / "AGENT.toml"
    path.write_text(
        '[agent]\ngateway = "g"\n[server]\nurl = "https://h.example"\n[authentication]\ngateway_token_file = "t"\n'
        f"[scan]\n{scan}\n{devices}"
    )
    return AgentFile.load(path, place_of)


@pytest.fixture
def reach(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What listening for BLE gives: devices, or an error."""
    heard: list[object] = []

    async def listen(seconds: float, *_: object) -> tuple[Found, ...]:
        if heard and isinstance(heard[0], Exception):
            raise heard[0]
        assert seconds == 3
        return tuple(one for one in heard if isinstance(one, Found))

    monkeypatch.setattr(serial_pipe, "list_serial_ports", lambda: PORTS)
    monkeypatch.setattr("smpdfu.link.ble.pipe.scan", listen)
    return heard


def test_names_become_controller_ids(reach: list[object], tmp_path: Path) -> None:
    reach += [Found("roof-1", "C0:00:00:00:00:01", -40), Found(None, "C0:00:00:00:00:02", -50)]
    reach += [Found("roof-2", "C0:00:00:00:00:03", -50), Found("roof-2", "C0:00:00:00:00:04", -50)]
    reach.append(Found("roof-old", "C0:00:00:00:00:05", -40, secure_dfu=True))  # it does not speak SMP
    refused: list[str] = []
    file = agent(tmp_path, 'ble = ["roof-*"]\nserial = ["1050*"]\nlisten_s = 3\nprefix = "b17-"')
    found = asyncio.run(search_devices(file, refused=lambda name, why: refused.append(f"{name}: {why}")))
    assert {name: one.address for name, one in found.items()} == {
        "b17-1050012345": "serial:/dev/ttyACM0",
        "b17-roof-1": "ble:C0:00:00:00:00:01",
    }
    assert refused == ["b17-roof-2: more than one device has this name"]


def test_only_the_wires_of_the_rule_are_searched(reach: list[object], tmp_path: Path) -> None:
    reach.append(ConnectError("nobody listens"))
    assert list(asyncio.run(search_devices(agent(tmp_path, 'serial = ["9*"]')))) == ["9999"]


def test_without_bluetooth_the_rest_counts(
    reach: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smpdfu.local.doctor.checks.why_no_bluetooth", lambda system: None)
    reach.append(ConnectError("no adapter"))
    both = agent(tmp_path, 'ble = ["*"]\nserial = ["9*"]')
    assert list(asyncio.run(search_devices(both))) == ["9999"]
    with pytest.raises(ConnectError, match="the search for BLE devices failed: no adapter"):
        asyncio.run(search_devices(agent(tmp_path, 'ble = ["*"]')))


def test_without_a_rule_nothing_is_searched(reach: list[object], tmp_path: Path) -> None:
    path = tmp_path / "AGENT.toml"
    path.write_text(
        '[agent]\ngateway = "g"\n[server]\nurl = "https://h.example"\n[authentication]\ngateway_token_file = "t"\n'
        '[[device]]\nname = "a"\naddress = "udp:10.0.0.1"\n'
    )
    reach.append(ConnectError("nobody listens"))
    assert asyncio.run(search_devices(AgentFile.load(path, place_of))) == {}
