"""``update`` against a virtual device: to the end, planned only, refused, reverted, killed, gone on with."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.decide.record import DONE
from smpdfu.dfu.decide.steps.rules import STAGED
from smpdfu.dfu.do.health import can_run
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.journal.reading import journal_path, read_record
from smpdfu.dfu.do.steps import Deadlines
from smpdfu.dfu.package.images import Core
from smpdfu.dfu.package.package import Package
from smpdfu.image.keys.keys import generate
from smpdfu.virtual.store import devices as store_devices
from tests.simulated import simulate_commands

if TYPE_CHECKING:
    from tests.cli.device.conftest import Desk

RUNS_1 = (0, "1.0.0", "active confirmed")
RUNS_2 = (0, "2.0.0", "active confirmed")
ALL = [step.name for step in STAGED]
Start = Callable[..., "subprocess.Popen[str]"]


def test_update_brings_both_cores(desk: Desk) -> None:
    package = desk.package()
    said = desk.json("update", package)
    assert (said["result"], said["proven"], said["scheme"]) == ("done", True, "staged")
    assert [step["name"] for step in said["steps"]] == ALL
    took = [said["connect_seconds"], said["preflight_seconds"], *(step["seconds"] for step in said["steps"])]
    assert 0 < sum(took) <= said["total_seconds"] + 0.001 * len(took)
    sent = {step["name"]: step["bytes"] for step in said["steps"] if step["bytes"] is not None}
    assert sent == {f"upload {image.core}": len(image.data) for image in Package.load(package).images}
    found = [finding["code"] for finding in said["findings"]]
    assert found == ["net-erased", "net-no-revert", "net-unproven", "seal"]
    assert said["images"] == desk.json("list")["images"]
    assert desk.slots() == [RUNS_2, (1, "2.0.0", "")]
    assert desk.net_holds("2.0.0")
    again = desk.json("update", package)
    assert (again["result"], again["steps"], again["proven"]) == ("nothing to do", [], True)
    assert (said["proof"]["source"], again["proof"]["source"]) == ("console", "journal")
    assert "If this is another board, or it was reflashed" in desk.call("update", package).err
    assert [step["core"] for step in desk.json("update", package, "--again")["steps"]] == ["net"] * 4


def test_update_tells_people_each_step(desk: Desk) -> None:
    done = desk.call("update", desk.package())
    assert done.code == 0
    lines = [line for line in done.err.splitlines() if line.startswith("[")]
    assert len(lines) == len(ALL)
    assert lines[0] == "[1/9] upload the image of the application core"
    assert "note: the network core cannot be rolled back" in done.err
    assert "2.0.0" in done.out
    steps = done.out.partition("What it took")[2].partition("The device now")[0]
    words = ("connect", "upload the image of the network core", "B/s", "in all")
    assert [word for word in words if word in steps] == list(words)


@pytest.mark.parametrize("command", ["./not-there.sh --now", "no-such-program", " "])
def test_a_health_check_that_cannot_run_is_told_before_anything_is_sent(desk: Desk, command: str) -> None:
    refused = desk.call("update", desk.package(), "--health", command)
    assert (refused.code, "there is no such program" in refused.err) == (2, True)
    assert desk.slots() == [RUNS_1]


@pytest.mark.parametrize("command", ["true", "exit 0", "X=1 true", "(true)", "cd / && test -d .", "/bin/sh -c :"])
def test_what_the_shell_knows_is_a_health_check(command: str) -> None:
    assert can_run(command)


@pytest.mark.parametrize("core", Core)
def test_a_package_for_one_core(desk: Desk, core: Core) -> None:
    desk.json("update", desk.package(cores=(core,)))
    assert desk.slots()[0] == (RUNS_2 if core is Core.APP else RUNS_1)
    assert desk.net_holds("2.0.0" if core is Core.NET else "1.0.0")


def test_plan_changes_nothing(desk: Desk) -> None:
    package, before = desk.package(), desk.flash()
    said = desk.json("update", package, "--plan")
    assert said["result"] == "planned"
    assert {(step["seconds"], step["bytes"]) for step in said["steps"]} == {(None, None)}
    assert [step["name"] for step in said["steps"]] == ALL
    shown = desk.call("update", package, "--plan")
    assert "upload the image of the network core" in shown.out
    assert desk.flash() == before
    assert not journal_path(desk.address).exists()


def test_a_plan_says_which_core_is_up_to_date(desk: Desk) -> None:
    package = desk.package()
    assert desk.json("update", package, "--plan")["up_to_date"] == []
    desk.json("upload", desk.image(), "--confirm")
    assert desk.json("update", package, "--plan")["up_to_date"] == ["app"]
    shown = desk.call("update", package, "--plan").out
    assert "nothing to do for the application core: it has 2.0.0 already" in shown
    assert "nothing to do for the network core" not in shown
    desk.json("update", package)
    assert desk.json("update", package, "--plan")["up_to_date"] == ["app", "net"]
    assert "for the network core: it has 2.0.0 already (by the journal" in desk.call("update", package, "--plan").out
    assert desk.json("update", package, "--plan", "--upload-only", "--only", "net")["up_to_date"] == []


def test_json_shows_its_steps_on_stderr(desk: Desk) -> None:
    done = desk.call("update", desk.package(), "--json")
    assert [line[:6] for line in done.err.splitlines() if line.startswith("[")][:2] == ["[1/9] ", "[2/9] "]
    assert done.document["result"] == "done"


def test_a_plan_that_would_be_refused_is_exit_code_6(desk: Desk) -> None:
    package = desk.package()
    desk.json("upload", desk.image(version="3.0.0"), "--test")
    planned = desk.call("update", package, "--plan", "--json")
    assert planned.code == 6
    assert json.loads(planned.out)["result"] == "refused"
    assert desk.call("update", package, "--plan").sentence == desk.call("update", package).sentence
    refused = desk.call("update", package)
    assert refused.code == 6
    assert refused.sentence.startswith("the image 3.0.0 is waiting in slot 1 for the next boot")
    assert desk.slots() == [RUNS_1, (1, "3.0.0", "pending")]
    assert not read_record(journal_path(desk.address)).package


def test_an_image_on_trial_is_in_the_way(desk: Desk) -> None:
    desk.json("upload", desk.image(version="3.0.0"), "--test")
    desk.json("reset")
    refused = desk.call("update", desk.package())
    assert (refused.code, "is on trial" in refused.sentence) == (6, True)
    desk.json("reset")
    desk.json("update", desk.package())
    assert desk.slots()[0] == RUNS_2


def test_both_images_can_wait_in_a_device_with_two_pairs(two_pairs: Desk) -> None:
    desk, package = two_pairs, two_pairs.package()
    sent = desk.json("update", package, "--upload-only")
    assert [step["name"] for step in sent["steps"]] == ["upload net", "upload app"]
    assert desk.slots()[0] == RUNS_1
    assert desk.json("update", package)["result"] == "unproven"
    assert desk.slots()[0] == RUNS_2


def test_the_scheme_can_be_said(desk: Desk) -> None:
    refused = desk.call("update", desk.package(), "--scheme", "simultaneous")
    assert (refused.code, "staged scheme" in refused.sentence) == (6, True)
    assert desk.json("update", desk.package(), "--scheme", "staged")["result"] == "done"
    assert desk.call("update", desk.package(), "--scheme", "other").code == 2


def test_a_wrong_key_ends_on_the_old_firmware(desk: Desk) -> None:
    refused = desk.call("update", desk.package(key=generate("ecdsa-p256")))
    assert refused.code == 7
    assert "did not take app_update.bin and erased it" in refused.sentence
    assert desk.slots()[0] == RUNS_1
    assert desk.net_holds("1.0.0")
    assert desk.json("update", desk.package())["result"] == "done"


def test_the_cores_must_have_one_key(desk: Desk) -> None:
    refused = desk.call("update", desk.mixed_package())
    assert (refused.code, "is signed with another key than app_update.bin" in refused.sentence) == (6, True)
    assert desk.slots() == [RUNS_1]


def test_a_refused_network_image_is_exit_code_7(desk: Desk) -> None:
    refused = desk.call("update", desk.mixed_package(), "--force")
    assert refused.code == 7
    assert "did not take net_core_update.bin and erased it" in refused.sentence
    assert desk.slots()[0] == RUNS_2
    assert desk.net_holds("1.0.0")


def test_what_cannot_be_proven_is_not_done(overwriting: Desk) -> None:
    package = overwriting.mixed_package()
    done = overwriting.call("update", package, "--force", "--json")
    assert (done.code, done.document["result"], done.document["proven"]) == (0, "unproven", False)
    assert "The bootloader emptied the slot" in done.err
    assert "took the image or refused it, and all do so with an image that they do not accept: check" in done.err
    assert overwriting.net_holds("1.0.0")


def test_what_is_no_package(desk: Desk) -> None:
    (desk.folder / "any.zip").write_bytes(b"PK\5\6" + bytes(18))
    for path, words in (
        (desk.image(), "mcuboot image"),
        (desk.folder / "any.zip", "no manifest.json"),
        (desk.folder / "none.zip", "No such file"),
    ):
        refused = desk.call("update", path)
        assert (refused.code, words in refused.sentence) == (3, True), refused.err


def test_resume_needs_something_to_resume(desk: Desk) -> None:
    package = desk.package()
    assert desk.call("update", package, "--resume").code == 6
    desk.json("update", package)
    refused = desk.call("update", package, "--resume")
    assert (refused.code, "no unfinished update" in refused.sentence) == (6, True)


def test_a_second_tool_on_the_same_device(desk: Desk) -> None:
    with Journal(journal_path(desk.address)):
        refused = desk.call("update", desk.package())
    assert "another process is updating this device" in refused.refused(8)
    assert "When that is solved, or the other process has ended, run the same command again." in refused.err
    assert desk.slots() == [RUNS_1]


def test_the_printed_command_has_what_the_call_had(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its health check the next call would keep what nobody looked at, without --only do another update."""
    simulate_commands(monkeypatch)
    soon = Deadlines(boot_s=0.5, poll_s=0.05, settle_s=0.2)
    monkeypatch.setattr("smpdfu.cli.update.run_update.Deadlines", lambda boot_s: soon)
    package = desk.package(address=0x9_0000, encrypted=True)
    options = ("--only", "app", "--soak", "0.5", "--health", "sh './look at it.sh'", "--boot-timeout", "2", "--force")
    absent = desk.call("update", package, *options)
    assert absent.code == 8, absent.err
    again = shlex.split(absent.sentence.partition("continue with: ")[2])
    assert again[:5] == ["smpdfu", "update", str(package), "--to", desk.address]
    assert sorted(again[5:]) == sorted([*options, "--resume"])
    assert desk.run("virtual", "reset", desk.name).code == 0
    assert desk.run(*again[1:]).code == 7  # and not 6: there is an update to go on with


@pytest.mark.parametrize("waited", [False, True])
def test_a_trial_that_is_over(desk: Desk, waited: bool) -> None:
    """Stopped during the trial, which a reset ended: it proved nothing, unless the device was waited for in vain."""
    package = desk.package()
    desk.json("upload", desk.image(), "--test")
    with Journal(journal_path(desk.address)) as journal:
        journal.begin(Package.load(package).digest)
        for step in ALL[:2]:
            journal.done(step)
        journal.begun("reset app")
        if waited:
            journal.absent("reset app")
    for _ in range(2):
        desk.json("reset")
    assert desk.slots() == [RUNS_1, (1, "2.0.0", "")]
    if waited:
        told = desk.call("update", package, "--resume")
        assert (told.code, "was tried and did not last" in told.sentence) == (7, True)
        assert "an earlier run waited for the device, and it did not come back" in told.sentence
        assert desk.call("update", package, "--resume").code == 6
    done = desk.call("update", package)
    assert done.code == 0, done.err
    assert ("smpdfu repeats the trial" in done.err) is not waited
    assert journal_path(desk.address).read_text().count('"update"') == 2, "what was done before counts for nothing"
    assert desk.slots()[0] == RUNS_2
    assert desk.net_holds("2.0.0")


# --- killed ---------------------------------------------------------------------------------------------------------

# Kills its process after so many entries of the journal: with the entry on the disk, or before it is.
KILLER = """
import os, signal, sys
from smpdfu.dfu.do.journal.journal import Journal
entries, written = int(sys.argv.pop(1)), sys.argv.pop(1) == "written"
append = Journal._append
def kill(self, entry):
    global entries
    entries -= 1
    if entries or written:
        append(self, entry)
    if not entries:
        os.kill(os.getpid(), signal.SIGKILL)
Journal._append = kill
from smpdfu.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("entry", "written"),
    [(1, "lost"), (2, "written"), (5, "lost"), (6, "written"), (11, "written"), (15, "lost"), (17, "written")],
)
def test_kill_9_and_the_next_call_finishes(desk: Desk, entry: int, written: str) -> None:
    """The virtual device loses its power with the process that has it: so it boots in between, too."""
    package = desk.package()
    paths = os.pathsep.join((str(Path(store_devices.__file__).parents[2]), *filter(None, sys.path)))
    command = [sys.executable, "-c", KILLER, str(entry), written, "update", str(package), "--to", desk.address]
    died = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONPATH": paths})
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert desk.slots()[0][:2] in ((0, "1.0.0"), (0, "2.0.0"))
    unfinished = read_record(journal_path(desk.address)).unfinished
    assert unfinished is ((entry, written) != (1, "lost"))
    assert desk.call("update", package, *(["--resume"] if unfinished else [])).code == 0
    assert desk.slots() == [RUNS_2, (1, "2.0.0", "")]
    assert desk.net_holds("2.0.0")
    assert read_record(journal_path(desk.address)).end == DONE


# --- interrupted, pulled, full --------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["upload", "update"])
def test_ctrl_c_is_one_sentence_and_the_next_call_finishes(desk: Desk, started: Start, command: str) -> None:
    file = desk.image(size=400_000) if command == "upload" else desk.package(size=220_000)
    process = started(command, file, "--to", desk.address)
    desk.when_written(40_000, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, ""), err
    assert [line for line in err.splitlines() if line.startswith("error: ")] == [
        "error: interrupted. The running firmware is unchanged. The slot holds part of the new image. Run the same "
        "command again to continue."
    ]
    assert "Traceback" not in err
    assert desk.slots() == [RUNS_1]
    said = desk.json(command, file)
    if command == "upload":
        assert said["resumed_at"] >= 40_000
        assert desk.slots() == [RUNS_1, (1, "2.0.0", "")]
    else:
        assert desk.slots()[0] == RUNS_2
        assert desk.net_holds("2.0.0", size=220_000)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost link is given up after a moment, not after ten seconds."""
    from smpdfu.client import Client, Patience

    defaults = Client.__init__.__kwdefaults__
    assert defaults is not None
    assert defaults["patience"] == Patience()
    monkeypatch.setitem(defaults, "patience", Patience(reconnect_s=0.2))


@pytest.mark.parametrize("command", ["upload", "update"])
def test_a_cable_that_is_pulled(
    desk: Desk,
    started: Start,
    port: tuple[Path, subprocess.Popen[str]],
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    """The far end of the port dies half way, and the device's power with it."""
    path, board = port
    file = desk.image(size=400_000) if command == "upload" else desk.package(size=220_000)

    def pull() -> None:
        desk.when_written(40_000, board)
        board.kill()

    thread = threading.Thread(target=pull)
    thread.start()
    done = desk.run(command, file, "--port", path, "-t", "0.3")
    thread.join()
    assert done.code == (4 if command == "upload" else 8), done.err
    assert "does not come back" in done.sentence
    assert desk.slots() == [RUNS_1]
    if command == "update":
        assert f"continue with: smpdfu update {file} --to serial:{path} --resume" in done.sentence
        board = started("virtual", "run", desk.name, "--pty", "--link", path, "--json")
        assert board.stdout is not None
        assert board.stdout.readline()
        arguments = done.sentence.partition("smpdfu ")[2].split()
        assert desk.run(*arguments).code == 0
        board.terminate()
        board.wait()
        assert desk.slots()[0] == RUNS_2


def test_a_full_disk_for_the_journal(desk: Desk, started: Start) -> None:
    """The flash of the virtual device is there already; what cannot grow is the journal."""
    package, path = desk.package(), journal_path(desk.address)
    path.parent.mkdir(parents=True)
    path.write_text('{"end": "done"}\n' * 20_000)
    process = started("update", package, "--to", desk.address, limit_bytes=path.stat().st_size + 300)
    _, err = process.communicate()
    assert process.returncode == 8, err
    assert "cannot be written: File too large" in err
    assert "Traceback" not in err
    assert desk.slots()[0] == RUNS_1
    assert desk.json("update", package)["result"] == "done"


def test_the_digest_of_the_journal_is_the_packages(desk: Desk) -> None:
    package = desk.package()
    desk.json("update", package)
    record = read_record(journal_path(desk.address))
    assert record.package == Package.load(package).digest
    assert sorted(record.steps) == sorted(ALL)
