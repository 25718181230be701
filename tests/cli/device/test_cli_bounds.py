"""How long a transfer may take, by the command line; and what is no number of seconds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.package.images import Core

if TYPE_CHECKING:
    from tests.cli.conftest import Call
    from tests.cli.device.conftest import Desk

Started = Callable[..., "subprocess.Popen[str]"]
SLOW_MS, SIZE = 200, 100_000
"""So many answers that late: no computer is fast enough for one second."""


@pytest.fixture
def slow(desk: Desk, started: Started) -> str:
    """The address of the device behind a link that takes its time."""
    process = started("virtual", "run", desk.name, "--udp", "0", "--latency", SLOW_MS, "--json")
    assert process.stdout is not None
    return str(json.loads(process.stdout.readline())["port"])


def test_transfers_end_at_their_bound_and_go_on(smpdfu: Call, desk: Desk, slow: str, tmp_path: Path) -> None:
    image = desk.image(size=SIZE)
    done = smpdfu("upload", image, "--to", slow, "--transfer-timeout", 1, "-w", 1, "--json")
    assert done.code == 4
    error = done.document["error"]
    assert error["kind"] == "TransferTimeoutError"
    assert error["message"].startswith("the upload did not end within 1 s")
    assert "--transfer-timeout" in error["next"]
    file = tmp_path / "a.bin"
    file.write_bytes(bytes(SIZE))
    said = smpdfu("fs", "upload", file, "/lfs1/a", "--to", slow, "--transfer-timeout", 1).refused(4)
    assert "the upload of /lfs1/a did not end within 1 s" in said
    package = desk.package(cores=(Core.APP,), size=SIZE)
    said = smpdfu("update", package, "--to", slow, "--transfer-timeout", 1, "-w", 1).refused(8)
    assert "the upload did not end within 1 s" in said
    assert f"--to {slow} --transfer-timeout 1 --resume" in said


def test_the_plan_tells_the_bound(desk: Desk) -> None:
    package = desk.package(cores=(Core.APP,))
    assert desk.json("update", package, "--plan")["transfer_timeout_s"] is None
    assert desk.json("update", package, "--plan", "--transfer-timeout", 90)["transfer_timeout_s"] == 90
    said = desk.call("update", package, "--plan", "--transfer-timeout", 90).err
    assert "smpdfu stops an upload after 90 s (--transfer-timeout)." in said


@pytest.mark.parametrize("number", ["nan", "inf", "0", "-1"])
@pytest.mark.parametrize("option", ["--transfer-timeout", "--boot-timeout"])
def test_what_is_no_number_of_seconds(desk: Desk, option: str, number: str) -> None:
    said = desk.call("upload", desk.image(), option, number).refused(2)
    assert option in said


@pytest.mark.parametrize("option", ["--soak", "--health-timeout", "--timeout"])
def test_nan_is_none_anywhere(desk: Desk, option: str) -> None:
    said = desk.call("update", desk.package(), option, "nan").refused(2)
    assert option in said


def test_a_fleet_tells_its_bounds(smpdfu: Call, desk: Desk, tmp_path: Path) -> None:
    desk.package(cores=(Core.APP,)).rename(tmp_path / "dfu_application.zip")
    path = tmp_path / "roofs.toml"
    text = '[update]\n{}[packages]\ndefault = "dfu_application.zip"\n[[device]]\naddress = "virtual:desk"\n'
    path.write_text(text.format(""))
    said = smpdfu("fleet", "run", path, "--plan", "--json").document
    assert (said["device_timeout_s"], said["transfer_timeout_s"]) == (14400, None)
    path.write_text(text.format("device_timeout_s = 900\ntransfer_timeout_s = 600\n"))
    said = smpdfu("fleet", "run", path, "--plan", "--json").document
    assert (said["device_timeout_s"], said["transfer_timeout_s"]) == (900, 600)
    words = smpdfu("fleet", "run", path, "--plan").err
    assert "smpdfu stops the update of a device after 900 s (device_timeout_s)" in words
    assert "smpdfu stops an upload after 600 s (transfer_timeout_s)" in words
    path.write_text(text.format("device_timeout_s = 900\nsoak_s = 900\n"))
    assert "'soak_s' in [update] of roofs.toml is 900 and leaves no time" in smpdfu("fleet", "run", path).refused(3)
    path.write_text(text.format("device_timeout_s = 0\n"))
    assert "'device_timeout_s'" in smpdfu("fleet", "run", path).refused(3)
    assert "device_timeout_s" in smpdfu("fleet", "run", "--help").out
