"""``smpdfu fleet``: run, stop, go on, pause, status and report, on virtual devices of the store."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from smpdfu.dfu.package.images import Core
from smpdfu.image.keys.keys import generate
from tests.cli.device.conftest import Desk, new_desk
from tests.deadlines import HANG_S

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PrivateKey
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


def test_run_status_report(smpdfu: Call, desks: dict[str, Desk], fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = smpdfu("fleet", "run", fleet, "--plan", "--json").document
    assert [(one["wave"], one["left"]) for one in planned["waves"]] == [("canary", ["a"]), ("rest", ["b", "c"])]
    assert runs(desks) == ["1.0.0"] * 3
    monkeypatch.setenv("LOGNAME", "night")
    done = smpdfu("fleet", "run", fleet, "--json")
    assert done.code == 7
    said = done.document
    assert [one["outcome"] for one in said["devices"]] == ["done", "done", "reverted"]
    assert (said["phase"], said["counts"]) == ("done", {"done": 2, "left": 0, "reverted": 1})
    assert runs(desks) == ["2.0.0", "2.0.0", "1.0.0"]
    status = smpdfu("fleet", "status", fleet, "--json").document
    assert (status["pid"], status["paused"], status["operators"]) == (None, False, ["night"])
    assert (status["ending"], status["next"]) == ("failed", f"smpdfu fleet run {fleet} --go-on")
    assert status["causes"] == [{"cause": "the device went back to its previous firmware", "devices": ["c"]}]
    again = smpdfu("fleet", "run", fleet)
    assert again.code == 7
    assert "wave" not in again.err, "nothing is left to do"
    page = fleet.with_name("report.html")
    assert smpdfu("fleet", "report", fleet, "-o", page).code == 0
    text = page.read_text("utf-8")
    for wanted in ("Fleet roofs", "virtual:b", "1.0.0 → 2.0.0", "reverted 1 (33.3 %)", "Failures by cause", "night"):
        assert wanted in text
    table = fleet.with_name("report.csv")
    assert smpdfu("fleet", "report", fleet, "-o", table, "--csv").code == 0
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(one["device"], one["outcome"], one["application"]) for one in rows] == [
        ("a", "done", "2.0.0"),
        ("b", "done", "2.0.0"),
        ("c", "reverted", "1.0.0"),
    ]


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
    answer = json.loads(smpdfu("fleet", "run", fleet, "--events", "--json").out.splitlines()[-1])
    assert answer["phase"] == "done"
    assert "event" not in answer


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("virtual:b", "nowhere:b"), "the device 'b' of roofs.toml: 'nowhere:b' is not an address"),
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


def soaking(fleet: Path, started: Started) -> tuple[subprocess.Popen[str], IO[str]]:
    """A run whose canary has ended, with ten minutes of soak time to go, and the events that it writes."""
    fleet.write_text(fleet.read_text().replace('devices = ["a"]', 'devices = ["a"]\nsoak_s = 600'))
    process = started("fleet", "run", fleet, "--events")
    assert process.stdout is not None
    while json.loads(process.stdout.readline())["event"] != "end":
        pass
    return process, process.stdout


def test_paused_and_killed_and_gone_on_with(
    smpdfu: Call, desks: dict[str, Desk], fleet: Path, desk: Desk, started: Started
) -> None:
    """Paused in the soak time; killed there; the next call does the rest."""
    process, events = soaking(fleet, started)
    assert smpdfu("fleet", "pause", fleet, "--json").document["paused"] is True
    while json.loads(events.readline())["event"] != "pause":
        pass
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
    process, _ = soaking(fleet, started)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=HANG_S)
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


# --- waves, identities, damage --------------------------------------------------------------------------------------


def test_a_wave_must_succeed_for_the_next_to_begin(smpdfu: Call, desks: dict[str, Desk], fleet: Path) -> None:
    fleet.write_text(fleet.read_text().replace('devices = ["a"]', 'devices = ["c"]'))
    planned = smpdfu("fleet", "run", fleet, "--plan")
    assert "wave_success in [fleet] sets the share" in planned.err
    assert [one["needed"] for one in smpdfu("fleet", "run", fleet, "--plan", "--json").document["waves"]] == [1, 0]
    for _ in range(2):
        done = smpdfu("fleet", "run", fleet, "--json")
        assert (done.code, done.document["phase"]) == (7, "stopped")
        assert done.document["stopped"] == "wave 'canary' did not succeed: 0 of 1 devices have the package, 1 must"
    assert runs(desks) == ["1.0.0"] * 3
    fleet.write_text(fleet.read_text().replace("[fleet]", "[fleet]\nwave_success = 0.0"))
    assert smpdfu("fleet", "run", fleet).code == 7
    assert runs(desks) == ["2.0.0", "2.0.0", "1.0.0"]


def test_devices_that_are_offline_and_the_way_out(smpdfu: Call, desks: dict[str, Desk], fleet: Path) -> None:
    text = fleet.read_text().replace("at_once = 2", "at_once = 2\nstop_after_failures = 1")
    fleet.write_text(text.replace("virtual:a", "virtual:nobody"))
    for _ in range(2):
        done = smpdfu("fleet", "run", fleet)
        assert done.code == 8
        assert "1 did not answer" in done.err
        assert "set max_unreachable = 1 in [fleet]. To skip them in this run, add --skip-unreachable." in done.err
    assert runs(desks) == ["1.0.0"] * 3
    assert smpdfu("fleet", "run", fleet, "--skip-unreachable").code == 7, "c refused the package"
    assert runs(desks)[1] == "2.0.0"


def test_one_device_under_two_spellings_is_refused(smpdfu: Call, desks: dict[str, Desk], fleet: Path) -> None:
    for one, other in (("udp:H", "udp:h:1337"), ("udp:localhost:9", "udp:127.0.0.1:9"), ("udp:[::1]", "udp:[0::1]")):
        text = fleet.read_text().replace("virtual:a", one).replace("virtual:b", other)
        path = fleet.with_name("twice.toml")
        path.write_text(text)
        assert "'a' and 'b' have the same address" in smpdfu("fleet", "run", path, "--plan").refused(3)


def test_a_board_that_was_replaced_is_asked_anew(smpdfu: Call, desks: dict[str, Desk], fleet: Path) -> None:
    smpdfu("fleet", "run", fleet)
    spare = replace(desks["a"], name="spare")
    new_desk(spare, "nrf5340dk-staged")
    fleet.write_text(fleet.read_text().replace("virtual:a", "virtual:spare"))
    smpdfu("fleet", "run", fleet)
    assert spare.slots()[0][1] == "2.0.0"


def test_a_pause_outlives_its_process(
    smpdfu: Call, desks: dict[str, Desk], fleet: Path, desk: Desk, started: Started
) -> None:
    process, _ = soaking(fleet, started)
    smpdfu("fleet", "pause", fleet)
    process.send_signal(signal.SIGKILL)
    process.wait()
    fleet.write_text(fleet.read_text().replace("soak_s = 600", "soak_s = 0"))
    assert smpdfu("fleet", "status", fleet, "--json").document["paused"] is True
    refused = smpdfu("fleet", "run", fleet)
    assert "is paused" in refused.refused(8)
    assert f"`smpdfu fleet resume {fleet}`" in refused.err
    assert runs(desks) == ["2.0.0", "1.0.0", "1.0.0"]
    assert smpdfu("fleet", "resume", fleet).code == 7
    assert runs(desks) == ["2.0.0", "2.0.0", "1.0.0"]
    assert smpdfu("fleet", "status", fleet, "--json").document["paused"] is False


def test_a_copy_of_the_file_continues(smpdfu: Call, desks: dict[str, Desk], fleet: Path, tmp_path: Path) -> None:
    """Copied with its package; changed afterwards, it is still the same fleet; another one is not."""
    smpdfu("fleet", "run", fleet)
    copy = tmp_path / "elsewhere" / "copy.toml"
    copy.parent.mkdir()
    copy.write_text(fleet.read_text())
    (copy.parent / "dfu_application.zip").write_bytes((fleet.parent / "dfu_application.zip").read_bytes())
    assert smpdfu("fleet", "status", copy, "--json").document["counts"] == {"done": 2, "reverted": 1}
    assert smpdfu("fleet", "run", copy).code == 7
    copy.write_text(copy.read_text().replace("at_once = 2", "at_once = 1"))
    assert smpdfu("fleet", "status", copy, "--json").document["counts"] == {"done": 2, "reverted": 1}
    fresh = copy.with_name("fresh.toml")
    fresh.write_text(copy.read_text().replace("[fleet]", '[fleet]\nname = "other"'))
    assert smpdfu("fleet", "status", fresh, "--json").document["counts"] == {"waiting": 3}
    for path in (fresh, copy):
        path.write_text(path.read_text().replace("[fleet]", '[fleet]\nid = "mine"'))
        assert smpdfu("fleet", "status", path, "--json").document["id"] == "id-mine"


def test_a_damaged_log_is_named_and_repaired(smpdfu: Call, desks: dict[str, Desk], fleet: Path) -> None:
    from smpdfu.dfu.do.journal.reading import journal_path
    from smpdfu.local.state.folders import state_home

    smpdfu("fleet", "run", fleet)
    (log,) = (state_home() / "fleets").glob("*/events.jsonl")
    first, rest = log.read_bytes().split(b"\n", 1)
    log.write_bytes(first + b'\n{"event": "end", "device": "a", "time": 1e400}\n' + rest)
    journal = journal_path("virtual:c")
    journal.write_bytes(b"no json\n" + journal.read_bytes())
    again = smpdfu("fleet", "run", fleet)
    assert again.code == 7
    assert f"line 2 of {log} is damaged" in again.err
    assert f"smpdfu fleet repair {fleet}" in again.err
    assert smpdfu("fleet", "status", fleet, "--json").document["counts"] == {"done": 2, "reverted": 1}
    said = smpdfu("fleet", "repair", fleet, "--json").document
    assert (said["lines"], len(said["journals"])) == ([2], 1)
    assert "is damaged" not in smpdfu("fleet", "run", fleet).err
    assert smpdfu("fleet", "repair", fleet, "--json").document["lines"] == []


def test_a_fleet_takes_no_older_and_no_foreign_package(smpdfu: Call, desks: dict[str, Desk], fleet: Path) -> None:
    public = {}
    for name, key in (("ours", desks["a"].key), ("foreign", generate("ecdsa-p256"))):
        public[name] = fleet.with_name(f"{name}.pem")
        public[name].write_bytes(key.public.to_pem())
    said = smpdfu("fleet", "run", fleet, "--trust", public["foreign"]).refused(6)
    assert "is not signed with a trusted key" in said
    text = fleet.read_text()
    fleet.write_text(text.replace("[update]", '[update]\ntrust = ["foreign.pem"]'))
    smpdfu("fleet", "run", fleet).refused(6)
    assert runs(desks) == ["1.0.0"] * 3
    fleet.write_text(text)
    assert smpdfu("fleet", "run", fleet, "--trust", public["ours"]).code == 7
    desks["a"].package(cores=(Core.APP,), version="1.5.0").replace(fleet.with_name("dfu_application.zip"))
    assert smpdfu("fleet", "run", fleet).code == 7
    assert "preflight: downgrade" in [
        one["cause"] for one in smpdfu("fleet", "status", fleet, "--json").document["causes"]
    ]
    assert runs(desks) == ["2.0.0", "2.0.0", "1.0.0"]
    smpdfu("fleet", "run", fleet, "--go-on", "--allow-downgrade")
    assert runs(desks)[:2] == ["1.5.0", "1.5.0"]
