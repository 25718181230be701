"""A folder that somebody else made: its smpdfu.toml names devices, and no file, program or listener."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.connect import ble_backends, client_for
from smpdfu.errors import ConnectError
from smpdfu.link.ble.controllers import check_controller, serial_port_of
from tests.deadlines import HANG_S

if TYPE_CHECKING:
    from tests.cli.conftest import Call

GOOD = (
    "usb:0", "usb:0!", "usb:2b54:5331", "usb:2b54:5331/00E04C239987", "usb:3-3.4.1", "pyusb:0", "hci-socket:0",
    "hci-socket", "serial:/dev/ttyACM0,1000000,rtscts", "serial:COM3", "tcp-client:127.0.0.1:9001",
    "tcp-client:[::1]:9", "tcp-client:localhost:9001",
)  # fmt: skip
# Of bumble's transports, those that open files or listen; and what pyserial and bumble's own options make of a name.
BAD = (
    "", "usb:", "carrier-pigeon", "file:{victim}", "vhci:{victim}", "pty:{victim}", "unix:{victim}",
    "unix-client:{victim}", "unix-server:{victim}", "tcp-server:0.0.0.0:{port}", "udp:0.0.0.0:{port},127.0.0.1:9",
    "ws-server:0.0.0.0:{port}", "ws-client:127.0.0.1:9", "android-netsim:0.0.0.0:{port},mode=controller",
    "android-emulator", "serial:spy:///dev/null?file={victim}", "serial:SPY:///dev/null?file={victim}",
    "serial:spy://{victim}?file={victim},115200", "serial:socket://127.0.0.1:9", "serial:alt:///dev/null?class=x",
    "usb:[driver=rtk]0", "serial:/dev/null[driver=rtk]", "tcp-client:127.0.0.1:9[driver=rtk]",
    "USB:0\n", "tcp-client:x:9\nserial:spy:///dev/null?file={victim}", "file://x", "serial:\0",
)  # fmt: skip


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "thesis.txt"
    path.write_text("years of work")
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = tmp_path / "somebody-elses"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("SMPDFU_TO", raising=False)
    return here


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize("name", GOOD)
def test_controllers_pass(name: str) -> None:
    check_controller(name)


@pytest.mark.parametrize("name", BAD)
def test_what_opens_files_or_listens_is_no_controller(name: str, victim: Path) -> None:
    with pytest.raises(ConnectError, match="smpdfu opens only controllers such as"):
        ble_backends(name.format(victim=victim, port=1))
    assert victim.read_text() == "years of work"


def test_a_long_name_is_judged_at_once() -> None:
    for name in ("tcp-client:" + ":" * 50_000, "usb:" + "0" * 50_000 + "\n", "serial:" + ":/" * 50_000 + "/"):
        with pytest.raises(ConnectError):
            check_controller(name)


def test_the_port_of_a_controller() -> None:
    assert serial_port_of("serial:/dev/ttyACM0,1000000,rtscts") == "/dev/ttyACM0"
    assert serial_port_of("usb:0") is None


def table_of(kind: str, name: str) -> str:
    table = {
        "ble_hci": f"ble = 'x'\nble_hci = {toml(name)}",
        "to": f"to = {toml('ble:x?hci=' + name)}",
    }[kind]
    return f"[connection]\n{table}\n[profile.p]\n{table}\n"


def toml(text: str) -> str:
    return '"' + "".join(one if one.isprintable() and one not in '"\\' else f"\\u{ord(one):04x}" for one in text) + '"'


@pytest.mark.parametrize("kind", ["ble_hci", "to"])
@pytest.mark.parametrize("name", [one for one in BAD if one])
def test_no_table_of_the_folder_opens_them(name: str, kind: str, folder: Path, victim: Path, smpdfu: Call) -> None:
    port = free_port()
    (folder / "smpdfu.toml").write_text(table_of(kind, name.format(victim=victim, port=port)))
    for words in (("list",), ("list", "-c", "p"), ("echo", "x"), ("profiles",)):
        done = smpdfu(*words)
        assert done.code in (2, 3, 4), done.err
        assert victim.read_text() == "years of work"
    with socket.socket() as one, pytest.raises(OSError, match="refused"):
        one.connect(("127.0.0.1", port))


def test_the_issues_own_file(folder: Path, victim: Path) -> None:
    """In a process of its own, as the person has it."""
    (folder / "smpdfu.toml").write_text(table_of("ble_hci", f"serial:spy:///dev/null?file={victim}"))
    done = subprocess.run([sys.executable, "-m", "smpdfu", "list"], capture_output=True, text=True, timeout=HANG_S)
    assert (done.returncode, victim.read_text()) == (2, "years of work")
    assert "smpdfu.toml:3: 'ble_hci' of [connection]" in " ".join(done.stderr.split())


@pytest.mark.parametrize("how", ["port = '{}'", "to = 'serial:{}'", "ble = 'x'\nble_hci = 'serial:{},115200'"])
@pytest.mark.parametrize("what", ["file", "fifo", "folder", "url"])
def test_a_port_of_the_folder_is_a_device(what: str, how: str, folder: Path, victim: Path, smpdfu: Call) -> None:
    os.mkfifo(folder / "fifo")
    place = {"file": victim, "fifo": folder / "fifo", "folder": folder, "url": f"spy:///dev/null?file={victim}"}[what]
    (folder / "smpdfu.toml").write_text(f"[connection]\n{how.format(place)}\n")
    assert smpdfu("list").code == 2
    assert victim.read_text() == "years of work"


def test_no_url_is_a_serial_port_wherever_it_comes_from(victim: Path) -> None:
    with pytest.raises(ConnectError, match="is not a serial port"):
        client_for(f"serial:spy:///dev/null%3Ffile={victim}")
    assert victim.read_text() == "years of work"


def test_stderr_says_that_the_folder_chose_the_device(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, smpdfu: Call
) -> None:
    """Once a command, and not where the person chose it."""
    (folder / "smpdfu.toml").write_text("[connection]\nto = 'virtual:none'\n[profile.p]\nto = 'virtual:other'\n")
    for words, device in ((("list",), "none"), (("list", "--json", "-c", "p"), "other"), (("list",), "none")):
        err = smpdfu(*words).err
        assert err.count(f"note: smpdfu.toml in this folder names the device: virtual:{device}") == 1
    assert "this folder" not in smpdfu("list", "--to", "virtual:none").err
    monkeypatch.setenv("SMPDFU_TO", "virtual:none")
    assert "this folder" not in smpdfu("list").err
    monkeypatch.delenv("SMPDFU_TO")
    mine = tmp_path / "config" / "smpdfu" / "smpdfu.toml"
    mine.parent.mkdir(parents=True)
    (folder / "smpdfu.toml").rename(mine)
    done = smpdfu("list")
    assert "this folder" not in done.err
    assert "none" in done.err
