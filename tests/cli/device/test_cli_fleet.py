"""``smpdfu fleet``: run, stop, go on, pause, status and report, on virtual devices of the store."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.dfu.package import Core
from smpdfu.image.keys import generate
from tests.cli.device.conftest import Desk, new_desk

if TYPE_CHECKING:
    from smpdfu.image.keys import PrivateKey
    from tests.cli.conftest import Call

NAMES = ("a", "b", "c")


@pytest.fixture
def desks(smpdfu: Call, tmp_path: Path, trusted: tuple[PrivateKey, PrivateKey]) -> dict[str, Desk]:
    """Three devices; ``c`` trusts another key than the package is signed with."""
    signing, encryption = trusted
    keys = {"a": signing, "b": signing, "c": encryption}
    made = {name: Desk(smpdfu, name, tmp_path, key, encryption) for name, key in keys.items()}
    return {name: new_desk(desk, "nrf5340dk-staged") for name, desk in made.items()}


@pytest.fixture
def fleet(desks: dict[str, Desk]) -> Path:
    """The file of a fleet of them, ``a`` being the canary."""
    folder = desks["a"].folder
    desks["a"].package(cores=(Core.APP,)).rename(folder / "dfu_application.zip")
    listed = "".join(f'[[device]]\nname = "{name}"\naddress = "virtual:{name}"\n' for name in NAMES)
    path = folder / "roofs.toml"
    path.write_text(
        "[fleet]\nat_once = 2\n[update]\nboot_timeout_s = 5\n"
        '[packages]\ndefault = "dfu_application.zip"\n'
        '[[wave]]\nname = "canary"\ndevices = ["a"]\n[[wave]]\nname = "rest"\n' + listed
    )
    return path


def runs(desks: dict[str, Desk]) -> list[str]:
    return [desks[name].slots()[0][1] for name in NAMES]


def test_run_status_report(smpdfu: Call, desks: dict[str, Desk], fleet: Path) -> None:
    planned = smpdfu("fleet", "run", fleet, "--plan", "--json").document
    assert [(one["wave"], one["left"]) for one in planned["waves"]] == [("canary", ["a"]), ("rest", ["b", "c"])]
    assert runs(desks) == ["1.0.0"] * 3
    done = smpdfu("fleet", "run", fleet, "--json")
    assert done.code == 7
    said = done.document
    assert [one["outcome"] for one in said["devices"]] == ["done", "done", "reverted"]
    assert (said["phase"], said["counts"]) == ("done", {"done": 2, "left": 0, "reverted": 1})
    assert runs(desks) == ["2.0.0", "2.0.0", "1.0.0"]
    status = smpdfu("fleet", "status", fleet, "--json").document
    assert (status["pid"], status["paused"]) == (None, False)
    assert status["causes"] == [{"cause": "the device went back to its previous firmware", "devices": ["c"]}]
    again = smpdfu("fleet", "run", fleet)
    assert again.code == 7
    assert "wave" not in again.err, "nothing is left to do"
    page = fleet.with_name("report.html")
    assert smpdfu("fleet", "report", fleet, "-o", page).code == 0
    check_page(page.read_text("utf-8"))


class Tags(HTMLParser):
    """What opens is closed, and nothing is fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "img", "iframe")
        assert not {name for name, _ in attrs} & {"src", "href"}
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def check_page(html: str) -> None:
    tags = Tags()
    tags.feed(html)
    assert not tags.open
    text = " ".join(tags.text)
    for wanted in ("Fleet roofs", "virtual:b", "1.0.0 → 2.0.0", "reverted 1 (33.3 %)", "Failures by cause"):
        assert wanted in text


def test_what_a_device_says_cannot_break_the_page(smpdfu: Call, desks: dict[str, Desk], fleet: Path) -> None:
    evil = "<script>x</script>\x1b[31m"
    fleet.write_text(fleet.read_text().replace('name = "c"', f"name = {json.dumps(evil)}"))
    page = fleet.with_name("report.html")
    smpdfu("fleet", "report", fleet, "-o", page)
    text = page.read_text("utf-8")
    assert "<script" not in text
    assert "\x1b" not in text


def test_a_browser_runs_and_fetches_nothing_of_the_page(smpdfu: Call, desks: dict[str, Desk], fleet: Path) -> None:
    """The policy stands before everything that came from outside."""
    fleet.write_text(fleet.read_text().replace("[fleet]", "[fleet]\nname = '<script>x</script>'"))
    page = fleet.with_name("report.html")
    assert smpdfu("fleet", "report", fleet, "-o", page).code == 0
    policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    before, found, _ = page.read_text("utf-8").partition(policy)
    assert found
    assert "<title" not in before


EVIL_NAMES = ("x\x1b]0;t\x07", "x\nerror: forged", "x\u202egnp", "x\x9b2J", "[/red]x", "[bold", "x\u2028y")


@pytest.mark.parametrize("evil", EVIL_NAMES)
def test_names_of_a_fleet_file_steer_nothing(smpdfu: Call, desks: dict[str, Desk], fleet: Path, evil: str) -> None:
    """Names of the fleet, a wave and a device, with each command, also where devices fail."""
    name = f"name = {json.dumps(evil)}"
    text = fleet.read_text().replace("[fleet]", f"[fleet]\n{name}")
    for old in ('name = "canary"', 'name = "c"'):
        text = text.replace(old, name)
    fleet.write_text(text.replace("virtual:b", "virtual:nobody"))
    page = fleet.with_name("page.html")
    for words in (("run", "--plan"), ("run",), ("status",), ("run", "--events"), ("report", "-o", page)):
        done = smpdfu("fleet", words[0], fleet, *words[1:])
        assert done.code in (0, 7, 8), done.err
        shown = done.out + done.err
        assert not [one for one in shown if not one.isprintable() and one != "\n"]
        assert not [one for one in shown.splitlines() if one.startswith("error: forged")]


def test_it_stops_and_says_how_to_go_on(smpdfu: Call, desks: dict[str, Desk], fleet: Path) -> None:
    fleet.write_text(fleet.read_text().replace("at_once = 2", "at_once = 1\nstop_after_failures = 1"))
    fleet.write_text(fleet.read_text().replace('devices = ["a"]', 'devices = ["c"]'))
    done = smpdfu("fleet", "run", fleet)
    assert done.code == 7
    assert "stopped: 1 device failed; the limit is 1; --go-on" in done.err
    assert runs(desks) == ["1.0.0"] * 3
    assert smpdfu("fleet", "run", fleet).code == 7
    assert runs(desks) == ["1.0.0"] * 3


def test_exit_code_8_while_the_same_call_may_finish_it(smpdfu: Call, desks: dict[str, Desk], fleet: Path) -> None:
    """A device that is not there may come back; where the limit was reached for good, the same call does nothing."""
    fleet.write_text(fleet.read_text().replace("virtual:b", "virtual:nobody"))
    assert smpdfu("fleet", "run", fleet).code == 8
    fleet.write_text(fleet.read_text().replace("at_once = 2", "at_once = 2\nstop_after_failures = 1"))
    assert smpdfu("fleet", "run", fleet).code == 7
    assert smpdfu("fleet", "run", fleet).code == 7


def test_events_are_lines_of_json(smpdfu: Call, desks: dict[str, Desk], fleet: Path) -> None:
    done = smpdfu("fleet", "run", fleet, "--events")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert events[0]["event"] == "run"
    assert events[-1] == {"event": "leave", "time": events[-1]["time"], "phase": "done"}
    assert {event["device"] for event in events if event["event"] == "end"} == set(NAMES)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("virtual:b", "nowhere:b"), "the device 'b' of roofs.toml: 'nowhere:b' is no address"),
        (("dfu_application.zip", "none.zip"), "none.zip: No such file"),
        (("at_once", "at_one"), "unknown key 'at_one'"),
    ],
)
def test_a_wrong_file_is_refused_before_anything(
    smpdfu: Call, desks: dict[str, Desk], fleet: Path, change: tuple[str, str], says: str
) -> None:
    fleet.write_text(fleet.read_text().replace(*change))
    assert says in smpdfu("fleet", "run", fleet).refused(3)
    assert runs(desks) == ["1.0.0"] * 3


def test_pause_without_a_run(smpdfu: Call, fleet: Path) -> None:
    assert smpdfu("fleet", "pause", fleet, "--json").document == {"paused": False, "pid": None}


Started = Callable[..., "subprocess.Popen[str]"]


def test_paused_and_killed_and_gone_on_with(
    smpdfu: Call, desks: dict[str, Desk], fleet: Path, desk: Desk, started: Started
) -> None:
    """Paused in the soak time; killed there; the next call does the rest."""
    fleet.write_text(fleet.read_text().replace('devices = ["a"]', 'devices = ["a"]\nsoak_s = 600'))
    process = started("fleet", "run", fleet, "--events")
    assert process.stdout is not None
    seen: list[dict[str, Any]] = []
    while not seen or seen[-1]["event"] != "end":
        seen.append(json.loads(process.stdout.readline()))
    assert smpdfu("fleet", "pause", fleet, "--json").document["paused"] is True
    while seen[-1]["event"] != "pause":
        seen.append(json.loads(process.stdout.readline()))
    assert smpdfu("fleet", "status", fleet, "--json").document["paused"] is True
    refused = smpdfu("fleet", "run", fleet)
    assert f"process {process.pid} is running this fleet" in refused.refused(8)
    assert smpdfu("fleet", "status", fleet, "--json").document["paused"] is True, "it is not for others to go on"
    process.send_signal(signal.SIGKILL)
    process.wait()
    fleet.write_text(fleet.read_text().replace("soak_s = 600", "soak_s = 0"))
    assert smpdfu("fleet", "resume", fleet).code == 7
    assert runs(desks) == ["2.0.0", "2.0.0", "1.0.0"]


def test_ctrl_c_leaves_a_fleet_that_can_be_gone_on_with(
    smpdfu: Call, desks: dict[str, Desk], fleet: Path, desk: Desk, started: Started
) -> None:
    fleet.write_text(fleet.read_text().replace('devices = ["a"]', 'devices = ["a"]\nsoak_s = 600'))
    process = started("fleet", "run", fleet, "--events")
    assert process.stdout is not None
    while json.loads(process.stdout.readline())["event"] != "end":
        time.sleep(0)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert replace(desks["a"]).slots()[0][1] == "2.0.0"


@pytest.mark.parametrize("policy", ["continue", "stop"])
def test_unproven_devices_are_counted_apart(
    smpdfu: Call, tmp_path: Path, trusted: tuple[PrivateKey, PrivateKey], policy: str
) -> None:
    """MCUboot erases the network image, which it was not signed for, and so it does with one that was taken."""
    names = ("a", "b")
    for name in names:
        desk = new_desk(Desk(smpdfu, name, tmp_path, *trusted), "nrf5340dk-staged-overwrite")
    desk.package(cores=(Core.NET,), key=generate("ecdsa-p256")).rename(tmp_path / "dfu_application.zip")
    path = tmp_path / "roofs.toml"
    path.write_text(
        f'[fleet]\nat_once = 1\nunproven = "{policy}"\n[packages]\ndefault = "dfu_application.zip"\n'
        + "".join(f'[[device]]\nname = "{name}"\naddress = "virtual:{name}"\n' for name in names)
    )
    planned = smpdfu("fleet", "run", path, "--plan")
    wanted = "the fleet continues" if policy == "continue" else "no further device begins"
    assert wanted in planned.err
    assert smpdfu("fleet", "run", path, "--plan", "--json").document["unproven"] == policy
    assert smpdfu("fleet", "run", path).code == (0 if policy == "continue" else 7)
    done = smpdfu("fleet", "run", path, "--require-proof", "--json")
    assert done.code == 9
    assert done.document["counts"]["unproven"] == (2 if policy == "continue" else 1)
    (found,) = smpdfu("fleet", "status", path, "--json").document["unproven"]
    assert found["devices"] == (["a", "b"] if policy == "continue" else ["a"])
    assert "check the radio" in found["reason"]
    page = tmp_path / "report.html"
    smpdfu("fleet", "report", path, "-o", page)
    assert "Unproven by reason" in page.read_text("utf-8")
    assert not desk.net_holds("2.0.0")
