"""``--log FILE``: what a whole run leaves behind, what it does not, and what happens when it cannot be written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.cli.app.frame_log import FrameLog
from smpdfu.client.trace import Trace
from smpdfu.dfu.package.images import Core
from smpdfu.loaders.console import read_boot
from smpdfu.smp.groups.image import ImageUpload
from smpdfu.smp.groups.os import Echo
from smpdfu.smp.groups.settings import SettingsWrite
from smpdfu.smp.message import Header

if TYPE_CHECKING:
    from tests.cli.conftest import Call
    from tests.cli.device.conftest import Desk


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "frames.log"


def test_a_run_is_written_down(desk: Desk, path: Path) -> None:
    desk.json("echo", "hello", "--log", path)
    head, *rest = records(path)
    assert (head["log"], head["device"]) == ("smpdfu frames 1", desk.address)
    assert [one["dir"] for one in rest if one["dir"] != "console"] == ["link", "sent", "received", "link"]
    sent, received = (one for one in rest if "name" in one)
    assert (sent["name"], sent["body"], received["body"]) == ("os echo", {"d": "hello"}, {"r": "hello"})
    assert bytes.fromhex(sent["hex"]) == Echo("hello").to_bytes(sent["sequence"])
    assert sent["sequence"] == received["sequence"]
    assert received["ms"] >= 0
    assert [one["t"] for one in rest] == sorted(one["t"] for one in rest)


@pytest.mark.parametrize("wire", ["memory", "pty"])
def test_the_console_lines_of_a_boot_are_marked(
    desk: Desk, path: Path, wire: str, request: pytest.FixtureRequest
) -> None:
    desk.json("upload", desk.image(Core.NET), "--test")
    where = ("--to", desk.address) if wire == "memory" else ("--port", request.getfixturevalue("port")[0])
    assert desk.run("reset", *where, "--log", path).code == 0
    _, *rest = records(path)
    said = [one for one in rest if one["dir"] == "console"]
    marked = "\n".join(one["text"] for one in said if one.get("boot"))
    assert read_boot(marked).network_taken is True
    answered = next(one["t"] for one in rest if one["dir"] == "received" and one["name"] == "os reset")
    assert all(one["t"] >= answered for one in said if one.get("boot"))
    assert not any("boot" in one for one in rest if one["dir"] != "console")


def test_only_its_owner_reads_it_and_the_next_run_is_added(desk: Desk, path: Path) -> None:
    desk.json("list", "--log", path)
    first = path.read_text()
    desk.json("list", "--log", path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().startswith(first)
    assert sum("log" in one for one in records(path)) == 2


def test_what_is_logged_can_be_decoded(desk: Desk, path: Path, smpdfu: Call) -> None:
    desk.json("upload", desk.image(), "--log", path)
    shown = smpdfu("decode", path)
    assert shown.code == 0
    frames = [one for one in records(path) if "name" in one]
    assert len([line for line in shown.out.splitlines() if "  > #" in line or "  < #" in line]) == len(frames)
    assert "img upload off=0" in shown.out


def test_firmware_is_in_it_only_on_demand(desk: Desk, path: Path) -> None:
    firmware = desk.image(version="2.0.0").read_bytes()
    part = firmware[0x200 + 64 : 0x200 + 128]
    desk.json("upload", desk.image(version="2.0.0"), "--log", path)
    assert part.hex() not in path.read_text()
    assert "hex" not in next(one for one in records(path) if one.get("name") == "img upload" and one["dir"] == "sent")
    desk.json("erase")
    desk.json("upload", desk.image(version="2.0.0"), "--log", path, "--log-data")
    assert part.hex() in path.read_text()


def test_settings_are_in_it_never(path: Path) -> None:
    log = FrameLog(path, "virtual:x", data=True)
    log(Trace(1.0, "sent", SettingsWrite("wifi/psk", b"hunter2").to_bytes(1)))
    assert "hex" not in records(path)[1]
    assert b"hunter2".hex() not in path.read_text()


def test_retries_strays_and_damage(path: Path) -> None:
    log, request = FrameLog(path, "virtual:x"), Echo("hi").to_bytes(9)
    reply = Header.from_bytes(request).reply(b"\xa1arbhi")
    log(Trace(5.0, "sent", request))
    log(Trace(5.5, "sent", request))
    log(Trace(5.75, "sent", Echo("hi").to_bytes(9, version=1)))
    log(Trace(6.0, "received", reply))
    log(Trace(6.5, "stray", reply))
    log(Trace(7.0, "received", b"\xff"))
    log(Trace(7.0, "sent", request))
    _, first, again, older, answer, stray, damaged, anew = records(path)
    assert [one.get("retry") for one in (first, again, older, answer, anew)] == [None, 1, 2, None, None]
    assert (first["t"], answer["t"], answer["ms"]) == (0, 1.0, 250.0)
    assert (stray["dir"], "ms" in stray) == ("stray", False)
    assert "fault" in damaged


def test_the_console_is_in_it_and_moves_no_cursor(path: Path) -> None:
    log = FrameLog(path, "virtual:x")
    log(Trace(1.0, "console", b"one\n\x1b[2Jtwo\n\xff\n"))
    log(Trace(1.0, "link", b"opened"))
    assert [(one["dir"], one["text"]) for one in records(path)[1:]] == [
        ("console", "one"),
        ("console", "\\x1b[2Jtwo"),
        ("console", "\ufffd"),
        ("link", "opened"),
    ]


def test_sequence_numbers_bound_what_it_remembers(path: Path) -> None:
    log = FrameLog(path, "virtual:x")
    for number in range(2000):
        log(Trace(float(number), "sent", ImageUpload(off=number, data=b"").to_bytes(number % 256)))
    assert len(log._asked) == 256


def test_a_log_that_cannot_be_begun_stops_before_anything_is_sent(desk: Desk, tmp_path: Path) -> None:
    nowhere = tmp_path / "missing" / "log"
    assert str(nowhere) in desk.call("erase", "--log", nowhere).refused(3)


def test_a_log_that_breaks_off_does_not_stop_the_work(
    desk: Desk, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log, request = FrameLog(path, "virtual:x"), Echo("hi").to_bytes(9)
    path.unlink()
    path.mkdir()  # as if the disk were full
    log(Trace(1.0, "sent", request))
    log(Trace(2.0, "sent", request))
    said = capsys.readouterr().err
    assert said.count("the log ends here") == 1
    assert str(path) in said.replace("\n", "")
