"""``smpdfu secure-dfu send``: its answers and exit codes, the seed's case, and a process that is killed on its way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deadlines import HANG_S
from tests.securedfu.send.dfu_bench import NEW, package_of
from tests.virtual.nrf52.nrf52_bench import KEY, OTHER_KEY, init_command, sign

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals and signals are POSIX")


class Device:
    """A virtual device in a process of its own, at ``port``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = self._ask(KEY.public.to_pem().hex())

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def what_runs(self) -> str:
        """Return what runs; afterwards the device is in its bootloader."""
        return self._ask("")


@contextmanager
def device(corruption: float = 0.0, baudrate: int = 0) -> Iterator[Device]:
    command = [sys.executable, "-m", "tests.securedfu.send.serve_device", str(corruption), str(baudrate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Device(process)
        finally:
            process.kill()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "app.zip"
    path.write_bytes(package_of().to_bytes())
    return path


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def send(package: Path, port: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "smpdfu", "secure-dfu", "send", str(package), "--port", port, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_S)


def test_a_package_arrives_and_the_answer_says_what_is_not_known(package: Path) -> None:
    with device() as board:
        done = send(package, board.port, "--boot-timeout", "0.2")
        assert (done.returncode, board.what_runs()) == (0, "new"), done.stderr
        assert "[1/1] application: 13492 bytes" in done.stderr
        assert "not known: the bootloader took the firmware" in done.stdout
        again = send(package, board.port, "--boot-timeout", "0.2", "--json")
        answer = json.loads(again.stdout)
        assert answer["runs"] is None
        (part,) = answer["parts"]
        assert (part["image"], part["bytes"], part["skipped"]) == ("application", len(NEW), False)


def test_events_are_lines_of_json_and_the_answer_is_the_last(package: Path) -> None:
    with device() as board:
        done = send(package, board.port, "--boot-timeout", "0.2", "--events")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one.get("event") for one in lines if one.get("event") != "progress"] == ["part", "restart", None]
    assert lines[-1]["parts"][0]["bytes"] == len(NEW)


def test_a_refusal_is_a_sentence_with_what_to_do(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.zip"
    wrong.write_bytes(package_of(packet=sign(init_command(NEW), OTHER_KEY)).to_bytes())
    with device() as board:
        done = send(wrong, board.port, "--json")
        error = json.loads(done.stdout)["error"]
        assert (done.returncode, error["kind"], error["exit_code"]) == (5, "DfuRefusedError", 5)
        assert "the signature of the package is not one of the key that this bootloader trusts" in error["message"]
        assert "smpdfu secure-dfu show PACKAGE -k KEY" in error["next"]
        assert board.what_runs() == "old"


def test_a_line_that_damages_most_ends_with_4_and_names_the_mass_storage(package: Path) -> None:
    with device(corruption=0.3) as board:
        done = send(package, board.port, "-t", "0.2")
        assert done.returncode == 4
        assert "on-board J-Link debugger whose disk (JLINK, mass storage) damages serial bytes" in done.stderr
        assert "MSDDisable" in done.stderr
        assert "Traceback" not in done.stderr
        assert board.what_runs() == "old"


def test_a_command_that_is_killed_is_continued_by_the_next(package: Path) -> None:
    command = [sys.executable, "-m", "smpdfu", "secure-dfu", "send", str(package), "--events", "--port"]
    with device(baudrate=57_600) as board:
        for _ in range(2):
            with subprocess.Popen([*command, board.port], stdout=subprocess.PIPE, text=True) as killed:
                assert killed.stdout is not None
                for line in killed.stdout:
                    if json.loads(line).get("off", 0) > 0:
                        break
                killed.kill()
        done = send(package, board.port, "--json", "--boot-timeout", "0.2")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["parts"][0]["resumed_at"] > 0
        assert board.what_runs() == "new"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--to", "udp:host"), "does not carry Secure DFU"),
        (("--to", "virtual:lamp"), "smpdfu virtual run lamp"),
        (("--port", "/dev/null", "--boot-timeout", "1e300"), "is not in the range"),
        (("--ble", "x", "--flow-control"), "--flow-control works only with --port"),
        (("--port", "/dev/null", "--bootloader-name", "x"), "--bootloader-name works only with --ble"),
        (("--ble", "x", "--bootloader-name", "x" * 21), "--bootloader-name has 1 to 20 bytes"),
        (("--ble", "x", "--bootloader-name", ""), "--bootloader-name has 1 to 20 bytes"),
    ],
)
def test_wrong_use_ends_with_2(package: Path, options: tuple[str, ...], said: str) -> None:
    command = [sys.executable, "-m", "smpdfu", "secure-dfu", "send", str(package), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_without_a_device_the_advice_has_only_what_the_command_takes(package: Path) -> None:
    command = [sys.executable, "-m", "smpdfu"]
    layout = ("--layout", "nrf52840-secure-dfu")
    subprocess.run([*command, "virtual", "new", "lamp", *layout], check=True, capture_output=True, timeout=HANG_S)
    sending = [*command, "secure-dfu", "send", str(package)]
    done = subprocess.run(sending, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 2
    assert "Give --port, --ble or --to, or set SMPDFU_TO." in done.stderr
    assert "--ip" not in done.stderr
    assert "virtual" not in done.stderr


def test_a_line_that_damages_a_byte_now_and_then_brings_the_package(package: Path) -> None:
    with device(corruption=0.0002) as board:
        done = send(package, board.port, "-t", "0.3", "--boot-timeout", "0.2", "--json")
        assert (done.returncode, board.what_runs()) == (0, "new"), done.stderr
        assert json.loads(done.stdout)["parts"][0]["repeats"] > 0


def test_a_silent_port_is_named(package: Path) -> None:
    with device() as board:
        assert send(package, board.port, "--boot-timeout", "0.2").returncode == 0
        done = send(package, board.port)  # the application runs
    assert done.returncode == 4
    assert f"no Secure DFU bootloader answers at {board.port}" in " ".join(done.stderr.split())
