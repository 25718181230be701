"""Completion, as bash, zsh and fish ask for it: commands, options, and what is on this computer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.cli.app import completion
from smpdfu.cli.app.shell_scripts import answer
from smpdfu.cli.app.tree import wanted_command

if TYPE_CHECKING:
    from tests.cli.conftest import Call

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
    """A folder with two profiles, two virtual devices, and files that describe fleets."""
    (tmp_path / "smpdfu.toml").write_text('[profile.bench]\nport = "COM1"\n[profile.bed]\nport = "COM2"\n')
    for name in ("desk", "dock"):
        folder = tmp_path / "devices" / name
        folder.mkdir(parents=True)
        (folder / "device.json").write_text("{}")
    (tmp_path / "roofs.toml").write_text("")
    (tmp_path / "read me.toml").write_text("")
    (tmp_path / "roofs.txt").write_text("")
    (tmp_path / "region").mkdir()
    (tmp_path / "region" / "north.toml").write_text("")
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
    return list(filter(None, done.stdout.splitlines())), set(json.loads(done.stderr.splitlines()[-1]))


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
        ("smpdfu key gen -t ed", ["ed25519"]),
        ("smpdfu keygen --type rsa", ["rsa-2048", "rsa-3072"]),
        ("smpdfu virtual new desk --layout nrf5340dk-sim", ["nrf5340dk-simultaneous"]),
        ("smpdfu virtual new desk --layout ./pm_static", []),
        ("smpdfu fleet run ro", ["roofs.toml"]),
        ("smpdfu fleet status r", ["read me.toml", "roofs.toml", "region/"]),
        ("smpdfu fleet report region/", ["region/north.toml"]),
        ("smpdfu fleet run no-such/", []),
        ("smpdfu doctor --only b", ["bluetooth"]),
        ("smpdfu decode --format c", ["console"]),
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
    ("smpdfu key gen -t ed", ["ed25519"]),
    ("smpdfu virtual new desk --layout nrf5340dk-sim", ["nrf5340dk-simultaneous"]),
    ("smpdfu list -c be", ["bench", "bed"]),
    ("smpdfu fleet run re", [r"read\ me.toml", "region/"]),
    ("smpdfu fleet run ./ro", ["./roofs.toml"]),
]


@pytest.mark.parametrize(("line", "offered"), LINES)
def test_bash_completes_addresses_with_a_colon(here: Path, line: str, offered: list[str]) -> None:
    assert in_shell("bash", BASH.format(line=line, point=len(line)), here).splitlines() == offered


FISH_AND_ZSH = [
    ("list --to", "virtual:d", ["virtual:desk", "virtual:dock"]),
    ("fleet run", "r", ["read me.toml", "roofs.toml", "region/"]),
    ("key gen -t", "ed", ["ed25519"]),
]


@pytest.mark.parametrize(("words", "last", "offered"), FISH_AND_ZSH)
def test_fish_completes_values(here: Path, words: str, last: str, offered: list[str]) -> None:
    program = f"source ./script; complete -C 'smpdfu {words} {last}'"
    assert sorted(in_shell("fish", program, here).splitlines()) == sorted(offered)


@pytest.mark.parametrize(("words", "last", "offered"), FISH_AND_ZSH)
def test_zsh_completes_values(here: Path, words: str, last: str, offered: list[str]) -> None:
    program = f"""
    compdef() {{ }}
    compadd() {{ while [[ $1 != -- ]]; do shift; done; shift; (( $# )) && print -l -- "$@"; true }}
    source ./script
    words=(smpdfu {words} {last}) CURRENT={len(words.split()) + 2} PREFIX={last}
    _smpdfu_completion
    """
    assert in_shell("zsh", program, here).splitlines() == offered


def test_fleet_files_are_completed_by_name_and_by_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    (here / ".hidden.toml").write_text("")
    assert ".hidden.toml" not in completion.fleet_files("")
    assert completion.fleet_files(".h") == [".hidden.toml"]
    assert completion.fleet_files(f"{here}/region/n") == [f"{here}/region/north.toml"]


def test_the_types_of_keys_are_those_that_can_be_made() -> None:
    from smpdfu.cli.keys.names import KEY_TYPES
    from smpdfu.image.keys.keys import KINDS

    assert tuple(KINDS) == KEY_TYPES


@pytest.mark.parametrize("words", [("--show-completion", "bash"), ("list", "--show-completion", "bash")])
def test_the_script_is_printed_where_it_is_asked_for(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("_SMPDFU_COMPLETE", raising=False)
    assert answer(words)
    assert "complete_bash" in capsys.readouterr().out
    assert answer([*words[:-2], "--show-completion=fish"])
    assert "complete_fish" in capsys.readouterr().out
    monkeypatch.setenv("SHELL", "/usr/bin/zsh")
    assert answer(words[:-1])
    assert "#compdef smpdfu" in capsys.readouterr().out


def test_an_option_of_completion_behind_other_options_is_a_clear_error(smpdfu: Call) -> None:
    for words in (("list", "--port", "x", "--show-completion"), ("fleet", "run", "--show-completion")):
        assert "--show-completion must be the first word" in smpdfu(*words).refused(2)


def test_a_shell_without_a_script_is_named(smpdfu: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no completion for tcsh" in smpdfu("--install-completion", "tcsh").refused(2)
    monkeypatch.setenv("SHELL", "")
    monkeypatch.setattr("sys.platform", "linux")
    assert "SHELL is empty" in smpdfu("--show-completion").refused(2)


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
