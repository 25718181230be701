"""Completion, as bash, zsh and fish ask for it: commands, options, and what is on this computer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from smpdfu.cli.app import completion
from smpdfu.cli.app.shell_scripts import answer
from smpdfu.cli.app.tree import wanted_command

ROOT = Path(__file__).parent.parent.parent
# Prints at the end which modules were loaded.
PROGRAM = """
import json, sys
from smpdfu.__main__ import main
try:
    main()
finally:
    sys.stderr.write(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with two profiles and two virtual devices."""
    (tmp_path / "smpdfu.toml").write_text('[profile.bench]\nport = "COM1"\n[profile.bed]\nport = "COM2"\n')
    for name in ("desk", "dock"):
        folder = tmp_path / "devices" / name
        folder.mkdir(parents=True)
        (folder / "device.json").write_text("{}")
    return tmp_path


def completed(line: str, here: Path) -> tuple[list[str], set[str]]:
    """What bash is offered for the last word of a line, and what was loaded to find it."""
    environment = os.environ | {
        "_SMPDFU_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
        "PYTHONPATH": str(ROOT),
        "SMPDFU_VIRTUAL_HOME": str(here / "devices"),
    }
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, cwd=here, capture_output=True, text=True)
    return done.stdout.split(), set(json.loads(done.stderr.splitlines()[-1]))


HEAVY = {
    *("bleak", "cbor2", "cryptography", "rich"),
    *("smpdfu.client", "smpdfu.virtual.store.devices", "smpdfu.virtual.device"),
}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("smpdfu up", ["update", "upload"]),
        ("smpdfu list --prof", ["--profile"]),
        ("smpdfu list -c be", ["bench", "bed"]),
        ("smpdfu list --to virtual:d", ["virtual:desk", "virtual:dock"]),
        ("smpdfu list --to ud", ["udp:"]),
        ("smpdfu virtual sh", ["show"]),
        ("smpdfu virtual show do", ["dock"]),
        ("smpdfu image up", ["upload"]),
        ("smpdfu list --port /dev/no-such", []),
    ],
)
def test_what_is_offered(here: Path, line: str, offered: list[str]) -> None:
    found, loaded = completed(line, here)
    assert found == offered
    assert not loaded & HEAVY


def test_a_damaged_configuration_offers_nothing(here: Path) -> None:
    (here / "smpdfu.toml").write_text("[profile")
    assert completed("smpdfu list -c be", here)[0] == []


def test_ports_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    from smpdfu.link.serial import pipe as serial_pipe

    ports = (serial_pipe.PortInfo("/dev/ttyACM0", ""), serial_pipe.PortInfo("/dev/ttyUSB0", ""))
    monkeypatch.setattr(serial_pipe, "list_serial_ports", lambda: ports)
    assert completion.ports("/dev/ttyA") == ["/dev/ttyACM0"]
    monkeypatch.setattr(serial_pipe, "list_serial_ports", lambda: 1 / 0)
    assert completion.ports("/dev/ttyA") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_script(shell: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "_SMPDFU_COMPLETE": f"source_{shell}"}
    program = "import sys; sys.argv[0] = 'smpdfu'; from smpdfu.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "_SMPDFU_COMPLETE=complete_" in done.stdout


def test_which_branch_a_line_needs() -> None:
    assert wanted_command(["list", "--json"], {}) == "list"
    assert wanted_command(["--version"], {}) == ""
    assert wanted_command([], {}) == ""
    assert wanted_command(["lst"], {}) == ""
    assert wanted_command(["list"], {"_SMPDFU_COMPLETE": ""}) == "list"
    asked = {"_SMPDFU_COMPLETE": "complete_bash"}
    assert wanted_command([], asked | {"COMP_WORDS": "smpdfu li"}) == ""
    assert wanted_command([], asked | {"COMP_WORDS": "smpdfu list --t"}) == "list"
    assert wanted_command([], asked | {"_TYPER_COMPLETE_ARGS": "smpdfu virtual "}) == "virtual"
    assert wanted_command([], asked) == ""


def in_shell(shell: str, program: str, here: Path) -> str:
    """What a real shell prints that has ``smpdfu`` and its completion script."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    programs = here / "bin"
    programs.mkdir()
    ours = programs / "smpdfu"
    ours.write_text(f"#!{sys.executable}\nfrom smpdfu.__main__ import main\nmain()\n")
    ours.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SMPDFU_VIRTUAL_HOME": str(here / "devices"),
        "HOME": str(here),
    }
    script = subprocess.run([ours, "--show-completion", shell], env=environment, capture_output=True, text=True)
    assert script.returncode == 0, script.stderr
    (here / "script").write_text(script.stdout)
    done = subprocess.run([shell, "-c", program], env=environment, cwd=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


BASH = """
source ./script
COMP_LINE='{line}' COMP_POINT={point} COMPREPLY=()
_smpdfu_completion smpdfu
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
LINES = [
    ("smpdfu list --to virtual:d", ["desk", "dock"]),  # bash replaces what stands behind the colon
    ("smpdfu list --to=virtual:de", ["desk"]),
    ("smpdfu list --to ud", ["udp:"]),
    ("smpdfu conf", ["confirm"]),
]


@pytest.mark.parametrize(("line", "offered"), LINES)
def test_bash_completes_addresses_with_a_colon(here: Path, line: str, offered: list[str]) -> None:
    assert in_shell("bash", BASH.format(line=line, point=len(line)), here).split() == offered


def test_fish_completes_addresses_with_a_colon(here: Path) -> None:
    program = "source ./script; complete -C 'smpdfu list --to virtual:d'"
    assert in_shell("fish", program, here).split() == ["virtual:desk", "virtual:dock"]


def test_zsh_completes_addresses_with_a_colon(here: Path) -> None:
    program = """
    compdef() { }
    compadd() { while [[ $1 != -- ]]; do shift; done; shift; (( $# )) && print -l -- "$@"; true }
    source ./script
    words=(smpdfu list --to virtual:d) CURRENT=4 PREFIX=virtual:d
    _smpdfu_completion
    """
    assert in_shell("zsh", program, here).split() == ["virtual:desk", "virtual:dock"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_installed_once(here: Path, shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from smpdfu.cli.app import shell_scripts

    monkeypatch.setenv("HOME", str(here))
    monkeypatch.delenv("_SMPDFU_COMPLETE", raising=False)
    start = here / f".{shell}rc"
    start.write_text("alias ll=ls")
    assert shell_scripts.answer(["--install-completion", shell])
    assert shell_scripts.answer(["--install-completion", shell])
    assert (here / shell_scripts.PLACES[shell]).read_text().strip() == shell_scripts.SCRIPTS[shell]
    lines = start.read_text().splitlines()
    assert lines[0] == "alias ll=ls"
    assert len(lines) == (2 if shell in shell_scripts.LOADERS else 1)


def test_an_empty_variable_of_completion_installs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_SMPDFU_COMPLETE", "")
    monkeypatch.setenv("SHELL", "/bin/bash")
    assert not answer(["list"])
    assert not answer([])
