"""The small parts of an agent, each by itself: files of an action, attributes, limits, pauses, what a journal tells."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smpdfu.agent.actions.attributes import changed, claim_attributes, known_attributes, read_attributes
from smpdfu.agent.actions.choose import choose_artifact
from smpdfu.agent.actions.claims import Claim
from smpdfu.agent.actions.journal import NOTHING, net_version_in, told_of
from smpdfu.agent.ddi.config_data import ConfigData
from smpdfu.agent.ddi.resources import Artifact, Chunk, Deployment, Handling, Metadata
from smpdfu.agent.description.file import GatewayLimits
from smpdfu.agent.work.facts import time_in_words
from smpdfu.agent.work.limits import Limits, usb_hub_of
from smpdfu.agent.work.retry import Retry
from smpdfu.dfu.fleet.description.device_list import FleetDevice
from smpdfu.dfu.fleet.device_outcome import Outcome
from smpdfu.errors import ArtifactError
from tests.dfu.conftest import IDLE
from tests.simulated import now, simulate

# --- which file -----------------------------------------------------------------------------------------------------


def chunk(*files: str, hardware: str | None = None) -> Chunk:
    metadata = () if hardware is None else (Metadata("hardware", hardware),)
    return Chunk("os", "1", "fw", tuple(Artifact(name) for name in files), metadata)


@pytest.mark.parametrize(
    ("chunks", "hardware", "found"),
    [
        ([chunk("dfu_application.zip")], "default", "dfu_application.zip"),
        ([chunk("notes.txt", "dfu_application.zip", "a.sig")], "big", "dfu_application.zip"),
        ([chunk("A.ZIP")], "default", "A.ZIP"),
        ([chunk("dfu_multi_image.bin")], "default", "dfu_multi_image.bin"),
        ([chunk("big.zip", hardware="big"), chunk("small.zip", hardware="small")], "small", "small.zip"),
        ([chunk("big.zip", hardware="big"), chunk("other.zip")], "small", "other.zip"),
        ([chunk("big.zip", hardware="big"), chunk("other.zip")], "big", "big.zip"),
        ([chunk("a.txt"), chunk("b.zip")], "default", "b.zip"),
        ([], "default", None),
        ([chunk()], "default", None),
        ([chunk("a.txt")], "default", None),
        ([chunk("a.zip", "b.zip")], "default", None),
        ([chunk("a.zip"), chunk("b.zip")], "default", None),
        ([chunk("big.zip", hardware="big")], "small", None),
    ],
)
def test_the_file_for_a_device(chunks: list[Chunk], hardware: str, found: str | None) -> None:
    deployment = Deployment("1", Handling.FORCED, Handling.FORCED, tuple(chunks))
    if found is None:
        with pytest.raises(ArtifactError, match=f"the hardware '{hardware}'"):
            choose_artifact(deployment, hardware)
    else:
        assert choose_artifact(deployment, hardware).filename == found


# --- attributes -----------------------------------------------------------------------------------------------------


def test_attributes_are_such_that_a_server_takes_them() -> None:
    claim = Claim("gw-1", "0123456789abcdef")
    device = FleetDevice("roof/1", "udp:10.0.0.7", "big", place="udp:10.0.0.7:1337")
    known = known_attributes(device, claim)
    assert known["smpdfu_hardware"] == "big"
    assert known["smpdfu_wire"] == "udp"
    read = read_attributes(replace(IDLE, hardware="00ff"), "3.2.1")
    assert read == {
        "smpdfu_app_version": "1.0.0",
        "smpdfu_net_version": "3.2.1",
        "smpdfu_board": "nrf5340dk/nrf5340/cpuapp",
        "smpdfu_bootloader": "swap-using-move",
        "smpdfu_scheme": "staged",
        "smpdfu_chip": "00ff",
    }
    everything = known | claim_attributes(claim, "2026-11-30T10:00:00Z") | read
    assert json.loads(ConfigData(everything).to_bytes())["data"] == everything, "nothing is replaced or cut"
    assert not changed(known, everything)
    assert changed({"smpdfu_app_version": "2"}, everything)


def test_a_device_that_tells_nothing_has_few_attributes() -> None:
    silent = replace(IDLE, slots=(), sizes=(), mode=None, board=None)
    assert read_attributes(silent, None) == {}


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "1970-01-01T00:00:00Z"), (1e18, ""), (float("nan"), "")])
def test_times_for_people(seconds: float, text: str) -> None:
    assert time_in_words(seconds) == text


# --- limits and pauses ----------------------------------------------------------------------------------------------


async def most_at_once(limits: Limits, addresses: list[str]) -> tuple[int, float]:
    """How many were inside at a time, and how long all took, each a second."""
    inside, most = 0, 0

    async def work(address: str) -> None:
        nonlocal inside, most
        async with limits.slot(address):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(1.0)
            inside -= 1

    began = now()
    await asyncio.gather(*map(work, addresses))
    return most, now() - began


@pytest.mark.parametrize(
    ("addresses", "most", "seconds"),
    [
        ([f"udp:10.0.0.{number}" for number in range(8)], 4, 2.0),
        ([f"ble:roof-{number}" for number in range(3)], 1, 3.0),
        (["ble:a?adapter=hci0", "ble:b?adapter=hci1"], 2, 1.0),
        (["ble:a?hci=usb:0", "ble:b?hci=usb:0"], 1, 2.0),
        ([f"serial:/dev/ttyACM{number}" for number in range(4)], 2, 2.0),
        (["serial:/dev/ttyS0", "serial:/dev/ttyS1", "serial:/dev/ttyS2"], 3, 1.0),
        (["no address", "nor this", "ble:a", "ble:b"], 3, 2.0),
    ],
)
def test_limits(addresses: list[str], most: int, seconds: float) -> None:
    def hub_of(port: str) -> str:
        return "hub" if "ACM" in port else ""

    limits = Limits(GatewayLimits(at_once=4, per_ble_adapter=1, per_serial_hub=2), hub_of)
    assert simulate(most_at_once(limits, addresses)) == (most, seconds)


def test_who_waits_for_an_adapter_keeps_no_other_device_waiting() -> None:
    limits = Limits(GatewayLimits(at_once=2, per_ble_adapter=1))
    assert simulate(most_at_once(limits, ["ble:a", "ble:b", "ble:c", "udp:10.0.0.1"]))[1] == 3.0


@pytest.mark.parametrize(
    ("path", "hub"),
    [
        ("pci0000:00/0000:00:14.0/usb1/1-1/1-1.4/1-1.4:1.0", "pci0000:00/0000:00:14.0/usb1/1-1"),
        ("platform/usb1/1-2/1-2:1.0/ttyUSB0", "platform/usb1"),
        ("platform/serial8250/tty/ttyS0", ""),
    ],
)
def test_the_hub_of_a_serial_port(tmp_path: Path, path: str, hub: str) -> None:
    place = tmp_path / "devices" / path
    place.mkdir(parents=True)
    (tmp_path / "class" / "ttyX").mkdir(parents=True)
    (tmp_path / "class" / "ttyX" / "device").symlink_to(place)
    found = usb_hub_of("/dev/ttyX", str(tmp_path / "class"))
    assert found == (str((tmp_path / "devices" / hub).resolve()) if hub else "")


def test_pauses_become_longer_and_stay_bounded() -> None:
    retry, dice = Retry(60.0, 3600.0), random.Random(1)
    assert retry.is_due(0.0)
    pauses = [retry.failed(1000.0, dice) - 1000.0 for _ in range(40)]
    for number, pause in enumerate(pauses):
        longest = min(60.0 * 2**number, 3600.0)
        assert longest / 2 <= pause <= longest
    assert not retry.is_due(1000.0)
    retry.reset()
    assert retry.is_due(0.0)
    assert 30.0 <= retry.failed(0.0, dice) <= 60.0


# --- what a journal tells -------------------------------------------------------------------------------------------

OURS = {"server": "https://h", "tenant": "T", "id": "7"}
BEGIN: dict[str, Any] = {
    "update": "d1",
    "images": [{"part": "app", "hash": "", "version": "2"}, {"part": "net", "hash": "", "version": "3"}],
    "uploads_run": False,
    "action": OURS,
}
PROVEN, DOUBTED = ({"proof": {"value": value, "reason": "r", "source": None}} for value in (True, None))
DONE = {"end": "done"}


def step(name: str, word: str = "begun") -> dict[str, str]:
    return {"step": name, "is": word}


def written(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("lines", "begun", "activated", "outcome"),
    [
        ([], False, False, None),
        ([BEGIN], True, False, None),
        ([BEGIN, step("upload app"), step("upload app", "done")], True, False, None),
        ([BEGIN, step("upload app"), step("test app")], True, True, None),
        ([BEGIN | {"uploads_run": True}, step("upload app")], True, True, None),
        ([BEGIN, step("enter-loader app")], True, True, None),
        ([BEGIN, step("test app"), PROVEN, DONE], True, True, Outcome.DONE),
        ([BEGIN, step("test app"), DOUBTED, DONE], True, True, Outcome.UNPROVEN),
        ([BEGIN, step("test app"), PROVEN, DOUBTED, DONE], True, True, Outcome.UNPROVEN),
        ([BEGIN, step("test app"), DONE], True, True, Outcome.UNPROVEN),
        ([BEGIN | {"images": BEGIN["images"][:1]}, step("test app"), DONE], True, True, Outcome.DONE),
        ([BEGIN, step("test app"), {"end": "reverted"}], True, True, Outcome.REVERTED),
        ([BEGIN, step("test app"), {"end": "failed"}], True, True, Outcome.FAILED),
        ([BEGIN | {"action": {**OURS, "id": "8"}}, DONE], False, False, None),
        ([BEGIN | {"action": {**OURS, "server": "https://other"}}, DONE], False, False, None),
        ([BEGIN, DONE, {"update": "d2"}], False, False, None),
        ([BEGIN, {"action": None}, DONE], False, False, None),  # a person continued it by hand
        ([BEGIN | {"action": {**OURS, "id": "6"}}, {"action": OURS}, step("test app")], True, True, None),
    ],
)
def test_what_a_journal_tells_of_an_action(
    tmp_path: Path, lines: list[dict[str, Any]], begun: bool, activated: bool, outcome: Outcome | None
) -> None:
    found = told_of(written(tmp_path / "journal", *lines), OURS)
    assert (found.begun, found.activated) == (begun, activated)
    assert (None if found.result is None else found.result.outcome) == outcome


@pytest.mark.parametrize(
    ("files", "begun"), [((), True), (("a1",), True), (("b2", "a1"), True), (("b2",), False)], ids=str
)
def test_an_update_with_another_file_is_none_of_the_action(tmp_path: Path, files: tuple[str, ...], begun: bool) -> None:
    line = BEGIN | {"action": {**OURS, "sha256": "a1"}}
    assert told_of(written(tmp_path / "journal", line), OURS, files).begun is begun
    assert told_of(written(tmp_path / "old", BEGIN), OURS, files).begun, "earlier releases did not write it"


def test_no_journal_tells_nothing(tmp_path: Path) -> None:
    assert told_of(tmp_path / "none", OURS) == NOTHING
    assert net_version_in(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("lines", "version"),
    [([BEGIN, PROVEN, DONE], "3"), ([BEGIN, DOUBTED, DONE], None), ([BEGIN, PROVEN], None), ([BEGIN, DONE], None)],
)
def test_the_version_of_the_network_core(tmp_path: Path, lines: list[dict[str, Any]], version: str | None) -> None:
    assert net_version_in(written(tmp_path / "journal", *lines)) == version
