"""``doctor``: each fault, set up in a tree of files as Linux shows it, is found, explained, and nothing else is."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.errors import ConnectError
from smpdfu.local.doctor.checks import Finding, Level, examine
from smpdfu.local.doctor.system import FILES_MAX, READ_MAX, System, run_program

if TYPE_CHECKING:
    from tests.cli.conftest import Call

STRANGER, DIALOUT = 4242, 20


class Computer:
    """A tree that looks like a Linux computer with a J-Link at /dev/ttyACM0, which anybody may use."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.said: dict[tuple[str, ...], str] = {("bluetoothctl", "--version"): "bluetoothctl: 5.66\n"}
        self.group = os.getgid() or DIALOUT  # root may give files away, others have a group of their own
        self.write("etc/group", f"root:x:0:\ndialout:x:{self.group}:anna\n")
        self.write("proc/1/comm", "systemd\n")
        self.usb("1-2", "1366", "1051", "02")
        self.port("ttyACM0", "1-2", "1-2:1.0")

    def write(self, path: str, text: str) -> Path:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    def link(self, path: str, target: str) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)

    def usb(self, name: str, vendor: str, product: str, *interfaces: str) -> None:
        self.write(f"sys/devices/usb1/{name}/idVendor", f"{vendor}\n")
        self.write(f"sys/devices/usb1/{name}/idProduct", f"{product}\n")
        for number, kind in enumerate(interfaces):
            self.write(f"sys/devices/usb1/{name}/{name}:1.{number}/bInterfaceClass", f"{kind}\n")
        self.link(f"sys/bus/usb/devices/{name}", str(self.root / f"sys/devices/usb1/{name}"))

    def port(self, name: str, usb: str, interface: str, mode: int = 0o666) -> None:
        self.link(f"sys/class/tty/{name}/device", str(self.root / f"sys/devices/usb1/{usb}/{interface}"))
        self.write(f"sys/class/tty/{name}/dev", "166:0\n")
        place = self.write(f"dev/{name}", "")
        place.chmod(mode)
        os.chown(place, -1, self.group)

    def process(self, pid: int, name: str, *files: str) -> None:
        self.write(f"proc/{pid}/comm", f"{name}\n")
        for number, file in enumerate(files):
            self.link(f"proc/{pid}/fd/{number}", file)

    def bluetooth(self) -> None:
        self.write("sys/class/bluetooth/hci0/address", "")
        self.write("run/dbus/system_bus_socket", "")
        self.process(77, "bluetoothd")

    def system(self, user: int = STRANGER, groups: frozenset[int] = frozenset()) -> System:
        return System(
            self.root, "linux", user, groups, lambda words: self.said.get(tuple(words)), answers=Path.exists, bus=""
        )

    def findings(self) -> dict[str, Finding]:
        return {one.code: one for one in examine(self.system())}


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


def test_a_computer_that_is_ready(computer: Computer) -> None:
    computer.bluetooth()
    found = computer.findings()
    assert set(found) == {"port-ready", "bluetooth-ready"}
    assert "/dev/ttyACM0 is ready: SEGGER" in found["port-ready"].what


BLOCKED = {"type": "bluetooth\n", "soft": "1\n", "hard": "0\n"}
Fault = Callable[[Computer], object]
FAULTS: dict[str, tuple[Level, Fault, str, str]] = {
    "permission": (
        Level.ERROR,
        lambda here: (here.root / "dev/ttyACM0").chmod(0o660),
        "/dev/ttyACM0",
        "sudo usermod -aG dialout $USER",
    ),
    "port-held": (
        Level.ERROR,
        lambda here: here.process(812, "minicom", "/dev/null", "/dev/ttyACM0"),
        "minicom (pid 812)",
        "kill 812",
    ),
    "modem-manager": (
        Level.WARNING,
        lambda here: here.process(500, "ModemManager"),
        "/dev/ttyACM0",
        'ATTRS{idVendor}=="1366", ENV{ID_MM_DEVICE_IGNORE}="1"',
    ),
    "jlink-msd": (
        Level.WARNING,
        lambda here: here.write("sys/devices/usb1/1-2/1-2:1.2/bInterfaceClass", "08\n"),
        "/dev/ttyACM0",
        "MSDDisable",
    ),
    "no-driver": (Level.WARNING, lambda here: here.usb("1-3", "1a86", "7523", "ff"), "CH34x", "dmesg"),
    "bluetooth-blocked": (
        Level.ERROR,
        lambda here: [here.write(f"sys/class/rfkill/rfkill0/{name}", text) for name, text in BLOCKED.items()],
        "rfkill",
        "rfkill unblock bluetooth",
    ),
    "no-dbus": (Level.ERROR, lambda here: (here.root / "run/dbus/system_bus_socket").unlink(), "D-Bus", "dbus"),
    "no-bluetoothd": (
        Level.ERROR,
        lambda here: here.write("proc/77/comm", "cat\n"),
        "bluetoothd",
        "systemctl enable --now bluetooth",
    ),
    "bluez-old": (Level.ERROR, lambda here: here.said.update(version("5.54")), "5.54", "Update"),
    "bluez-slow": (Level.WARNING, lambda here: here.said.update(version("5.61")), "5.61", "Update"),
    "no-bluetoothctl": (Level.WARNING, lambda here: here.said.clear(), "bluetoothctl", "bluez"),
    "bluetooth-off": (
        Level.ERROR,
        lambda here: here.said.update({("bluetoothctl", "show"): "Controller A\n\tPowered: no\n"}),
        "turned off",
        "bluetoothctl power on",
    ),
    "bonds": (
        Level.NOTE,
        lambda here: here.said.update({("bluetoothctl", "devices", "Paired"): "Device F0:00:00:00:00:01 DK 7\n"}),
        "DK 7 (F0:00:00:00:00:01)",
        "bluetoothctl remove F0:00:00:00:00:01",
    ),
    "wsl": (Level.NOTE, lambda here: here.write("proc/version", "Linux 5.15-microsoft-standard"), "WSL", "usbipd"),
}


def version(text: str) -> dict[tuple[str, ...], str]:
    return {("bluetoothctl", "--version"): f"bluetoothctl: {text}\n"}


@pytest.mark.parametrize("code", FAULTS)
def test_a_fault_is_found_and_nothing_else_is(computer: Computer, code: str) -> None:
    level, fault, what, do = FAULTS[code]
    computer.bluetooth()
    ready = set(computer.findings())
    fault(computer)
    found = computer.findings()
    assert set(found) - ready == {code}
    assert found[code].level is level
    assert what in found[code].what
    assert do in found[code].do
    assert found[code].why


def test_the_table_of_the_documents_has_every_finding() -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "guides" / "troubleshooting.md").read_text("utf-8")
    assert [code for code in FAULTS if f"`{code}`" not in text] == []


def test_what_is_no_fault(computer: Computer) -> None:
    computer.bluetooth()
    computer.process(500, "ModemManager")
    for tags in (
        "E:ID_MM_DEVICE_IGNORE=1\nE:ID_MM_CANDIDATE=1\n",
        "E:ID_MM_PORT_IGNORE=1\nE:ID_MM_CANDIDATE=1\n",
        "E:ID_BUS=usb\n",
    ):
        computer.write("run/udev/data/c166:0", tags)
        assert "modem-manager" not in computer.findings()
    computer.write("run/udev/data/c166:0", "E:ID_MM_CANDIDATE=1\n")
    assert "modem-manager" in computer.findings()
    computer.process(os.getpid(), "smpdfu", "/dev/ttyACM0")  # we ourselves
    assert "port-held" not in computer.findings()


def test_the_groups_of_a_session_count(computer: Computer) -> None:
    (computer.root / "dev/ttyACM0").chmod(0o660)
    assert not computer.system().may_use("/dev/ttyACM0")
    assert computer.system(groups=frozenset({computer.group})).may_use("/dev/ttyACM0")
    assert computer.system(user=0).may_use("/dev/ttyACM0")
    (computer.root / "dev/ttyACM0").chmod(0o600)
    assert "udev rule" in computer.findings()["permission"].do


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() != 0, reason="only root can give a file to root's group")
def test_nobody_is_told_to_join_the_group_of_root(computer: Computer) -> None:
    (computer.root / "dev/ttyACM0").chmod(0o660)
    os.chown(computer.root / "dev/ttyACM0", 0, 0)
    assert "udev rule" in computer.findings()["permission"].do


def test_no_port_and_no_bluetooth_are_no_errors(tmp_path: Path) -> None:
    found = examine(System(tmp_path, "linux", STRANGER))
    assert [(one.code, one.level) for one in found] == [("no-port", Level.NOTE), ("no-adapter", Level.NOTE)]


def test_braille_takes_adapters_away(computer: Computer) -> None:
    computer.usb("1-3", "1a86", "7523", "ff")
    computer.process(600, "brltty")
    assert "brltty" in computer.findings()["no-driver"].do
    computer.port("ttyUSB0", "1-3", "1-3:1.0")
    assert "no-driver" not in computer.findings()


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_say_what_applies(tmp_path: Path, platform: str) -> None:
    found = examine(System(tmp_path, platform))
    assert {one.topic for one in found} == {"serial", "bluetooth"}
    assert all(one.what and one.why and one.do and one.level is Level.NOTE for one in found)


def test_strange_trees_do_no_harm(computer: Computer) -> None:
    computer.write("proc/900/comm", "x" * (READ_MAX * 2))
    computer.process(901, "many", *(["/dev/null"] * (FILES_MAX // 8)))
    computer.link("proc/902/fd/0", "/dev/\udcff")
    computer.link("sys/class/tty/ttyACM1/device", "device")  # a loop
    computer.write("sys/class/tty/ttyACM2", "a file")
    computer.write("etc/group", "nonsense\n::::\na:b:c:d\n")
    assert "port-ready" in computer.findings()
    assert len(computer.system().text("/proc/900/comm")) == READ_MAX


def test_programs_that_hang_or_fail_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smpdfu.local.doctor.system.RUN_TIMEOUT_S", 0.05)
    assert run_program([sys.executable, "-c", "import time; time.sleep(60)"]) is None
    assert run_program([sys.executable, "-c", "raise SystemExit(3)"]) is None
    assert run_program(["/no/such/program"]) is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_this_computer_really_tells_who_has_a_file_open() -> None:
    ours, theirs = os.openpty()
    path = os.ttyname(theirs)
    script = f"import sys; held = open({path!r}, 'rb', 0); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        held = System().holders(path)
        process.communicate("")
    os.close(ours)
    os.close(theirs)
    assert [one.pid for one in held] == [process.pid]
    assert held[0].name


@pytest.mark.skipif(sys.platform == "win32", reason="there are no Unix sockets")
def test_a_bus_that_does_not_answer_is_no_bus(tmp_path: Path) -> None:
    place = tmp_path / "run" / "dbus" / "system_bus_socket"
    place.parent.mkdir(parents=True)
    short = Path(tempfile.mkdtemp(prefix="bus"))  # the path of a socket has at most 107 bytes
    real = short / "s"
    try:
        with socket.socket(socket.AF_UNIX) as bus:
            bus.bind(str(real))
            place.symlink_to(real)
            assert not System(tmp_path, bus="").bus_answers(), "nobody listens"
            bus.listen()
            assert System(bus=f"unix:path={real}").bus_answers()
            assert System(bus=f"unix:path=/none;unix:path={real},guid=1").bus_answers()
        assert not System(bus=f"unix:path={real}").bus_answers(), "its program has ended"
        assert not System(tmp_path, bus="").bus_answers()
        assert System(bus="tcp:host=127.0.0.1,port=1").bus_answers(), "smpdfu does not know"
    finally:
        shutil.rmtree(short)


def test_the_command_on_this_computer(smpdfu: Call) -> None:
    done = smpdfu("doctor", "--json")
    assert done.code in (0, 4)
    found = done.document["findings"]
    assert {one["topic"] for one in found} == {"serial", "bluetooth"}
    assert (done.code == 4) == any(one["level"] == "error" for one in found) == ("error" in done.document)
    assert {one["topic"] for one in smpdfu("doctor", "--only", "serial", "--json").document["findings"]} == {"serial"}
    assert "Use one of serial, bluetooth" in smpdfu("doctor", "--only", "usb").refused(2)


def test_errors_make_the_exit_code(smpdfu: Call, computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    (computer.root / "dev/ttyACM0").chmod(0o660)
    monkeypatch.setattr("smpdfu.local.doctor.system.System", computer.system)
    done = smpdfu("doctor")
    assert "no permission to open /dev/ttyACM0" in done.refused(4)
    assert "usermod -aG dialout" in done.out
    document = json.loads(smpdfu("doctor", "--json").out)
    assert document["error"]["exit_code"] == 4


BLUETOOTH = ("bluetooth-blocked", "no-dbus", "no-bluetoothd", "bluez-old", "bluetooth-off")


@pytest.mark.parametrize("code", [*BLUETOOTH, "no-adapter"])
def test_scan_gives_the_same_reason(
    smpdfu: Call, computer: Computer, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    async def fail(*_: object) -> None:
        raise ConnectError("cannot look for Bluetooth devices: words of the system")

    if code != "no-adapter":
        computer.bluetooth()
        FAULTS[code][1](computer)
    monkeypatch.setattr("smpdfu.local.doctor.system.System", computer.system)
    monkeypatch.setattr("smpdfu.link.ble.pipe.scan", fail)
    what = computer.findings()[code].what
    assert smpdfu("scan", "--json", "--seconds", "1").document["bluetooth"] == what
    assert f"Bluetooth cannot be used: {what}. `smpdfu doctor` shows what to do." in smpdfu("scan").err
    assert what in smpdfu("doctor").out


def test_scan_says_what_the_system_said_if_the_checks_find_nothing(
    smpdfu: Call, computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ConnectError("cannot look for Bluetooth devices: words of the system")

    computer.bluetooth()
    monkeypatch.setattr("smpdfu.local.doctor.system.System", computer.system)
    monkeypatch.setattr("smpdfu.link.ble.pipe.scan", fail)
    assert smpdfu("scan", "--json").document["bluetooth"].endswith("words of the system")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_port_that_is_taken_names_its_program(smpdfu: Call) -> None:
    ours, theirs = os.openpty()
    port = os.ttyname(theirs)
    script = f"from serial import Serial; Serial({port!r}, exclusive=True); print('open', flush=True); input()"
    script = script.replace("Serial(", "port = Serial(", 1)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        os.close(theirs)
        said = smpdfu("list", "--port", port).refused(4)
        process.communicate("\n")
    os.close(ours)
    assert said.startswith(f"{port} is in use: ")
    assert f"(pid {process.pid}) has it open" in said
