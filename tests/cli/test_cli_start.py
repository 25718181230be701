"""Starting: nothing slow is loaded before it is needed, and leaving: the exit code and all output get through."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.image.keys.keys import generate
from tests.nsib_bench import ADDRESS, network_firmware, unchecked_seal

if TYPE_CHECKING:
    from tests.cli.conftest import Keys

ROOT = Path(__file__).parent.parent.parent
LAYOUT = ("-H", "0x200", "--pad-header", "-S", "0x20000", "-v", "1.2.3")
# Runs a program and prints, at the very end, which modules it has loaded.
LOADED = """
import json, os, sys
real_exit = os._exit
def tell(code):
    sys.stderr.write(json.dumps(sorted(sys.modules)))
    sys.stderr.flush()
    real_exit(code)
os._exit = tell
from smpdfu.__main__ import {entry} as entry
try:
    entry()
finally:
    tell(0)
"""


def started(entry: str, *arguments: object, code: str | None = None) -> subprocess.CompletedProcess[str]:
    program = f"from smpdfu.__main__ import {entry} as entry; entry()" if code is None else code.format(entry=entry)
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def loaded(entry: str, *arguments: object) -> set[str]:
    done = started(entry, *arguments, code=LOADED)
    return set(json.loads(done.stderr.splitlines()[-1]))


SLOW = {"asyncio", "bleak", "cbor2", "imgtool", "intelhex", "pkcs11", "rich", "serial", "uuid", "yaml", "zipfile"}


def test_the_version_needs_next_to_nothing() -> None:
    assert not loaded("imgtool", "version") & (SLOW | {"cryptography", "typer", "hashlib", "smpdfu.image.format"})


def test_signing_loads_what_signs_and_no_more(raw: Path, keys: Keys, out: Path) -> None:
    found = loaded("imgtool", "sign", "-k", keys.signing, *LAYOUT, raw, out)
    assert out.exists()
    assert "cryptography" in found
    rooms = {"smpdfu.dfu", "smpdfu.link", "smpdfu.virtual", "smpdfu.image.verification.verify"}
    assert not found & (SLOW | rooms | {"typer", "lzma", "smpdfu.image.signing.compress"})


def test_sign_itself_loads_no_verifier_and_no_yaml(raw: Path, keys: Keys, out: Path) -> None:
    found = loaded("main", "sign", "-k", keys.signing, *LAYOUT, raw, out)
    assert out.exists()
    unneeded = {"yaml", "smpdfu.image.verification.verify", "smpdfu.untrusted.yamltext", "smpdfu.dfu", "smpdfu.client"}
    assert not found & unneeded


def test_what_needs_no_key_loads_no_cryptography(raw: Path, keys: Keys, out: Path, tmp_path: Path) -> None:
    assert started("imgtool", "sign", "-k", keys.signing, *LAYOUT, raw, out).returncode == 0
    sealed = tmp_path / "sealed.bin"
    sealed.write_bytes(unchecked_seal(network_firmware(3004), ADDRESS, generate("ecdsa-p256")))
    net = tmp_path / "net.bin"
    assert started("imgtool", "sign", *LAYOUT, sealed, net).returncode == 0
    for words in (("verify", out), ("verify", net), ("inspect", out), ("inspect", net), ("inspect", raw)):
        assert "cryptography" not in loaded("main", *words), words
    assert "cryptography" not in loaded("main", "sign", *LAYOUT, "--force", raw, out)
    assert "cryptography" in loaded("main", "verify", "-k", keys.signing, out)


def test_our_own_hex_needs_no_intelhex(raw: Path, out: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "in.hex", out.with_suffix(".hex")
    assert started("imgtool", "sign", *LAYOUT, "-x", "0xc000", raw, source).returncode == 0
    text = source.read_text()
    source.write_text(text.replace(text.splitlines()[1] + "\n", "", 1))  # no header any more: firmware again
    assert "intelhex" not in loaded("imgtool", "sign", *LAYOUT, source, target)


# What --help and completion must not load: everything that does the work.
WORK = {
    *(SLOW - {"uuid"}),  # typer itself loads that
    *("cryptography", "smpdfu.client", "smpdfu.connect", "smpdfu.dfu.do.update", "smpdfu.image.keys.keys"),
    *("smpdfu.smp", "smpdfu.virtual", "tomllib"),
}


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("list",),
        *(("fleet", "run"), ("fleet", "report"), ("virtual", "new"), ("virtual", "run"), ("virtual", "dump")),
        *(("tutorial",), ("key", "gen"), ("key", "pub"), ("scan",), ("doctor",), ("decode",), ("profiles",)),
    ],
)
def test_help_loads_no_more_than_the_words(words: tuple[str, ...]) -> None:
    assert not loaded("main", *words, "--help") & WORK


def test_a_device_is_asked_before_anything_is_loaded_that_asking_does_not_need() -> None:
    found = loaded("main", "list", "--port", os.devnull)  # not a serial port: found out when it is opened
    assert {"asyncio", "serial", "smpdfu.client", "smpdfu.link.serial.pipe"} <= found
    late = {"cryptography", "bleak", "intelhex", "tomllib", "yaml", "rich.table", "rich.progress", "zipfile"}
    rooms = {
        "smpdfu.virtual",
        "smpdfu.image.keys.keys",
        "smpdfu.cli.virtual.commands",
        "smpdfu.cli.image.sign",
        "smpdfu.cli.update.update",
    }
    groups = {"smpdfu.smp.groups.registry", "smpdfu.smp.groups.fs", "smpdfu.smp.groups.settings"}
    assert not found & (late | rooms | groups)


def test_a_call_builds_its_own_command_only() -> None:
    from typer.main import get_command

    from smpdfu.cli.app.typer_app import build_app

    for words in (["list", "--json"], ["--", "list"], ["virtual", "list"]):
        command: Any = get_command(build_app(words))
        assert list(command.commands) == [words[-1] if words[0] == "--" else words[0]]
    whole: Any = get_command(build_app())
    for words in ([], ["--help"]):
        by_name: Any = get_command(build_app(words))
        assert sorted(by_name.commands) == sorted(whole.commands)
        assert not by_name.commands["list"].params
    for words in (["lst"], ["-x", "lst"]):
        asked: Any = get_command(build_app(words))
        assert sorted(asked.commands) == sorted(whole.commands)


def test_help_imports_no_command() -> None:
    rooms = ("cli.update", "cli.image", "cli.keys", "cli.device", "cli.computer", "cli.virtual", "cli.fleet")
    for words in (["--help"], ["lst"], []):
        assert not [name for name in loaded("main", *words) if name.startswith(tuple(f"smpdfu.{r}." for r in rooms))]


def test_the_table_of_commands_is_what_the_modules_register() -> None:
    from importlib import import_module

    from smpdfu.cli.app.groups import Group
    from smpdfu.cli.app.tree import COMMANDS, OLD_NAMES

    modules: dict[str, set[str]] = {}
    for name, module in [*((name, row.module) for name, row in COMMANDS.items()), *_modules(OLD_NAMES)]:
        modules.setdefault(module, set()).add(name)
    for module, names in modules.items():
        app = Group()
        import_module(f"smpdfu.cli.{module}").register(app)
        found = set(app.commands) | set(app.groups)
        assert found == names, module


def _modules(old: Mapping[str, tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, module) for name, (module, _) in old.items()]


def whole_tree() -> Any:
    from typer.main import get_command

    from smpdfu.cli.app.typer_app import build_app

    return get_command(build_app())


def test_each_summary_is_the_first_sentence_of_the_command() -> None:
    from smpdfu.cli.app.tree import COMMANDS

    whole = whole_tree()
    for name, row in COMMANDS.items():
        first = " ".join(whole.commands[name].help.split("\n\n")[0].split())
        assert first == row.summary or first.startswith(f"{row.summary} "), name
        assert row.summary.endswith("."), name


def test_old_names_work_as_the_new_ones_and_are_hidden() -> None:
    from smpdfu.cli.app.tree import COMMANDS, OLD_NAMES

    whole = whole_tree()
    assert {name for name, one in whole.commands.items() if one.hidden} == set(OLD_NAMES)
    assert set(whole.commands) == {*COMMANDS, *OLD_NAMES}
    for name, (_, new) in OLD_NAMES.items():
        if new:
            group, _, sub = new.partition(" ")
            assert _shape(whole.commands[name]) == _shape(whole.commands[group].commands[sub]), name


def _shape(command: Any) -> Any:
    """What a command takes, and the commands under it."""
    below = {name: _shape(one) for name, one in getattr(command, "commands", {}).items()}
    return command.help, [(one.name, one.opts, one.secondary_opts) for one in command.params], below


@pytest.mark.parametrize("entry", ["main", "imgtool"])
@pytest.mark.parametrize(
    ("words", "code"), [(("verify", "missing.bin"), (3, 2)), (("sign", "--bogus"), (2, 2)), (("--help",), (0, 0))]
)
def test_the_exit_code_gets_through(entry: str, words: tuple[str, ...], code: tuple[int, int]) -> None:
    done = started(entry, *words)
    assert done.returncode == code[entry == "imgtool"], done.stderr
    assert done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_all_that_is_said_gets_through() -> None:
    done = started("imgtool", "version")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2.5.0\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_output_that_nobody_takes_is_a_failure() -> None:
    program = "from smpdfu.__main__ import imgtool; imgtool()"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program, "version"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    assert done.returncode == 1
