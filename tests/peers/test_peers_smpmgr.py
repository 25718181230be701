"""smpmgr drives the virtual device through every command that it has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.virtual.boot.swap.swap_type import SwapType
from tests.deadlines import HANG_S

if TYPE_CHECKING:
    from tests.peers.conftest import Board

# It runs many commands in one process, for its start takes longer than they do.
MANY = """
import json, sys
from smpmgr.main import app
for words in json.loads(sys.argv[2]):
    print("\\n@@@", flush=True)
    app(["--port", sys.argv[1], *words], standalone_mode=False)
"""


def smpmgr(board: Board, *arguments: object) -> str:
    """Run smpmgr; what it prints. Its exit code must be 0."""
    program = str(Path(sys.executable).parent / "smpmgr")
    command = [program, "--port", board.port, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANG_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return "".join(done.stdout.split())  # its tables wrap anywhere


def test_smpmgr_reads_the_state(board: Board) -> None:
    printed = smpmgr(board, "image", "state-read")
    assert "slot=0,version='1.0.0'" in printed
    assert board.hash("app1").hex().upper() in printed
    assert board.holds("primary", "app1")
    assert "r='hello'" in smpmgr(board, "os", "echo", "hello")


def test_smpmgr_uploads_tests_and_the_device_reverts(board: Board) -> None:
    smpmgr(board, "image", "upload", board.files["app2"])
    assert board.holds("secondary", "app2")
    assert board.pending() is SwapType.NONE
    smpmgr(board, "image", "state-write", board.hash("app2").hex())
    assert board.pending() is SwapType.TEST
    smpmgr(board, "os", "reset")
    board.wait_for_boots(2)
    assert board.runs() == board.hash("app2")
    assert board.holds("primary", "app2")
    assert board.holds("secondary", "app1")
    assert board.pending() is SwapType.REVERT
    smpmgr(board, "os", "reset")
    board.wait_for_boots(3)
    assert board.runs() == board.hash("app1")
    assert board.holds("primary", "app1")


def test_smpmgr_upgrades_and_confirms(board: Board) -> None:
    smpmgr(board, "upgrade", "--confirm", board.files["app2"])
    board.wait_for_boots(2)
    assert board.runs() == board.hash("app2")
    assert board.holds("primary", "app2")
    assert board.look().images[0].primary.trailer().image_ok == "set"
    assert board.pending() is SwapType.NONE


def test_smpmgr_erases(board: Board) -> None:
    smpmgr(board, "image", "upload", board.files["app2"])
    smpmgr(board, "image", "erase", "1")
    secondary = board.look().images[0].secondary.area.read_all()
    assert secondary.count(0xFF) == len(secondary)


def test_smpmgr_prints_the_refusal_for_what_is_needed(board: Board) -> None:
    smpmgr(board, "image", "upload", board.files["app2"])
    smpmgr(board, "image", "state-write", board.hash("app2").hex())
    assert "NO_FREE_SLOT" in smpmgr(board, "image", "erase", "1")
    assert board.holds("secondary", "app2")


# --- all others -----------------------------------------------------------------------------------------------------

# Command -> its arguments, and what it prints, without blanks, of this device.
COMMANDS: dict[str, tuple[list[str], str]] = {
    "statistics list": ([], "smp_svr_stats"),
    "statistics smp_svr_stats": ([], "fields={'ticks':"),
    "statistics get": (["smp_svr_stats"], "fields={'ticks':"),
    "statistics fetch-all": ([], "ticks"),
    "enum get-supported-groups": ([], "<GroupId.SETTINGS_MANAGEMENT:3>"),
    "enum get-group-details": (["0", "8"], "name='fsmgmt',handlers=5"),
    "file get-supported-hash-types": ([], "'sha256'"),
    "file upload": (["{here}", "/lfs1/file"], "100.0%"),
    "file read-size": (["/lfs1/file"], "20000"),
    "file get-hash": (["/lfs1/file"], "type='crc32'"),
    "file download": (["/lfs1/file", "{back}"], "Downloaded"),
    "shell": (["kernel version"], "Zephyrversion4.4.0"),
}
TESTED_ABOVE = {
    *("image state-read", "image state-write", "image upload", "image erase", "os echo", "os reset", "upgrade"),
}
NOT_FOR_A_SCRIPT = {"terminal", "interactive"}  # a person sits at them
OF_ANOTHER_VENDOR = {"ic upload"}  # a group of its maker's own devices


def commands() -> set[str]:
    """The names of all commands of smpmgr."""
    from smpmgr.main import app
    from typer.main import get_command

    def names(node: Any, path: tuple[str, ...]) -> set[str]:
        below = getattr(node, "commands", None)
        if below is None:
            return {" ".join(path)}
        return {name for word, inner in below.items() for name in names(inner, (*path, word))}

    return names(get_command(app), ())


def test_smpmgr_has_no_command_that_is_not_tried() -> None:
    assert commands() == {*COMMANDS, *TESTED_ABOVE, *NOT_FOR_A_SCRIPT, *OF_ANOTHER_VENDOR}


def test_every_other_command_of_smpmgr_works(board: Board, tmp_path: Path) -> None:
    data = bytes(at * at % 251 for at in range(20_000))
    here, back = tmp_path / "here", tmp_path / "back"
    here.write_bytes(data)
    lines = [
        [*name.split(), *(word.format(here=here, back=back) for word in words)] for name, (words, _) in COMMANDS.items()
    ]
    run = [sys.executable, "-c", MANY, board.port, json.dumps(lines)]
    wide = {**os.environ, "COLUMNS": "400"}  # else a long path pushes the figures out of its progress line
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=HANG_S, env=wide)
    assert done.returncode == 0, done.stdout + done.stderr
    printed = ["".join(part.split()) for part in done.stdout.split("@@@")[1:]]
    for (name, (_, wanted)), said in zip(COMMANDS.items(), printed, strict=True):
        assert wanted in said, f"{name}: {said}"
    assert back.read_bytes() == data
