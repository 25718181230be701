"""A virtual nRF52 in a process of its own, whose Bluetooth another process reaches by HCI over TCP."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from smpdfu.virtual.store.nrf52 import view_nrf52
from tests.deadlines import HANG_S
from tests.securedfu.send.dfu_bench import package_of
from tests.virtual.nrf52.nrf52_bench import KEY, S140_7_2, firmware, init_command, sign

APP_START = S140_7_2.end
NEW = firmware(APP_START, 2, 12_000)
LAYOUT = ("--layout", "nrf52840-secure-dfu")


def smpdfu(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "smpdfu", *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=HANG_S)


@pytest.fixture
def lamp(tmp_path: Path) -> Iterator[str]:
    """The address of a device that runs its application."""
    (tmp_path / "key.pem").write_bytes(KEY.public.to_pem())
    (tmp_path / "app.bin").write_bytes(firmware(APP_START, 1))
    files = ("-k", str(tmp_path / "key.pem"), "--app", str(tmp_path / "app.bin"))
    made = smpdfu(
        "virtual", "new", "lamp", *LAYOUT, "--dfu-wire", "ble", "--save-progress", "--softdevice", "0x100", *files
    )
    assert made.returncode == 0, made.stderr
    line = [sys.executable, "-m", "smpdfu", "virtual", "run", "lamp", "--ble-hci", "tcp-server:127.0.0.1:0"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as serving:
        try:
            assert serving.stdout is not None
            yield serving.stdout.readline().strip()
        finally:
            serving.terminate()
        assert serving.wait(HANG_S) == 0


def test_another_process_updates_the_device(lamp: str, tmp_path: Path) -> None:
    package = tmp_path / "new.zip"
    init = sign(init_command(NEW, sd_req=(S140_7_2.fwid,)))
    package.write_bytes(package_of(NEW, init).to_bytes())
    sent = smpdfu("secure-dfu", "send", str(package), "--to", lamp, "--json")
    assert sent.returncode == 0, sent.stderr
    assert json.loads(sent.stdout)["runs"] == "application"
    device = view_nrf52("lamp")
    assert device.app_runs
    assert device.chip.read(APP_START, len(NEW)) == NEW


def test_a_command_that_is_killed_is_continued_by_the_next(lamp: str, tmp_path: Path) -> None:
    """The device is in its bootloader then, with another name and another address."""
    package = tmp_path / "new.zip"
    package.write_bytes(package_of(NEW, sign(init_command(NEW, sd_req=(S140_7_2.fwid,)))).to_bytes())
    line = [sys.executable, "-m", "smpdfu", "secure-dfu", "send", str(package), "--to", lamp]
    with subprocess.Popen([*line, "--events"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as killed:
        assert killed.stdout is not None
        for event in killed.stdout:
            if json.loads(event).get("off", 0) > 4096:  # the first page is saved
                break
        killed.kill()
    assert not view_nrf52("lamp").app_runs
    only = lamp.replace("ble:lamp", "ble:*")
    done = smpdfu("secure-dfu", "send", str(package), "--to", only, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["runs"], answer["parts"][0]["resumed_at"] >= 4096) == ("application", True)
    assert view_nrf52("lamp").chip.read(APP_START, len(NEW)) == NEW


@pytest.mark.parametrize(
    ("made", "run", "words"),
    [
        ((), ("--ble-hci", "tcp-server:127.0.0.1:0"), "is built for a serial line and has no Bluetooth"),
        (("--dfu-wire", "ble"), (), "is built for Bluetooth and has no serial line"),
        (("--dfu-wire", "ble"), ("--pty",), "is built for Bluetooth and has no serial line"),
        (("--dfu-wire", "ble"), ("--ble-hci", "usb:0", "--ble-interval", "15"), "--ble-interval works only with"),
    ],
)
def test_a_wire_that_the_bootloader_is_not_built_for_is_refused(
    made: tuple[str, ...], run: tuple[str, ...], words: str
) -> None:
    assert smpdfu("virtual", "new", "bare", *LAYOUT, *made).returncode == 0
    refused = smpdfu("virtual", "run", "bare", *run)
    assert refused.returncode == 2
    assert words in " ".join(refused.stderr.split())
