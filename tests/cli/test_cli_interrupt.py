"""Ctrl-C at any moment from the first line of ours on: 130 and one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from smpdfu.dfu.package.images import PackageImage
from smpdfu.dfu.package.package import new_package
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import generate
from smpdfu.image.signing.build import ImageSpec, build
from tests.deadlines import HANG_S

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a signal to oneself is POSIX")

# Ctrl-C at the N-th import, or at a line of asyncio's: where it comes is a matter of counting, and not of the clock.
AT_IMPORT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return None
from smpdfu.__main__ import main
finder = Finder()
finder.left = {number}
sys.meta_path.insert(0, finder)
main()
"""
AT_CALL = """
import os, signal, sys
import asyncio, {module}
from smpdfu.__main__ import main
original = {place}
def struck(*arguments, **named):
    os.kill(os.getpid(), signal.SIGINT)
    return original(*arguments, **named)
{place} = struck
main()
"""


def struck(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def one_line(done: subprocess.CompletedProcess[str]) -> bool:
    return done.returncode == 130 and len(done.stderr.splitlines()) == 1 and "interrupted" in done.stderr


@pytest.mark.parametrize("number", [1, 2, 5, 10, 20, 40, 80, 120, 160])
def test_while_modules_are_imported(number: int) -> None:
    done = struck(AT_IMPORT.format(number=number), "echo", "x", "--to", "udp:127.0.0.1:9")
    assert one_line(done), done


def test_json_has_its_document() -> None:
    done = struck(AT_IMPORT.format(number=5), "list", "--json")
    assert one_line(done), done
    assert json.loads(done.stdout)["error"]["exit_code"] == 130


@pytest.mark.parametrize(
    ("module", "place"),
    [
        ("asyncio", "asyncio.Runner.__init__"),
        ("asyncio", "asyncio.Runner._lazy_init"),
        ("asyncio", "asyncio.Runner.run"),
        ("smpdfu.virtual.store.devices", "smpdfu.virtual.store.devices.open_device"),
        ("smpdfu.cli.virtual.run", "smpdfu.cli.virtual.run.servings"),
    ],
)
def test_while_a_virtual_device_comes_up(
    module: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMPDFU_VIRTUAL_HOME", str(tmp_path))
    assert struck("from smpdfu.__main__ import main; main()", "virtual", "new", "one").returncode == 0
    done = struck(AT_CALL.format(module=module, place=place), "virtual", "run", "one")
    assert one_line(done), done


# --- from the first line of ours on -----------------------------------------------------------------------------------

# Python reads this before a program: Ctrl-C at the N-th line of ours that is carried out, counted from the first.
AT_LINE = """
import os, signal, sys
left = int(os.environ.get("STRIKE", 0))
def trace(frame, event, argument):
    return at if os.environ["STRIKE_AT"] in frame.f_code.co_filename else None
def at(frame, event, argument):
    global left
    left -= event == "line"
    if left == 0:
        sys.settrace(None)
        os.kill(os.getpid(), signal.SIGINT)
    return at
if left:
    sys.settrace(trace)
"""
SCRIPT = "import re\nimport sys\nfrom smpdfu.__main__ import {0}\nif __name__ == '__main__':\n    sys.exit({0}())\n"
UNSEEN = 3
"""Lines of ours before anything can be done: the docstring, the import from the future, and ``try``."""


@pytest.fixture
def entries(tmp_path: Path) -> dict[str, list[str]]:
    """How the program is started; as pip writes its scripts, with imports of Python's own before ours."""
    (tmp_path / "sitecustomize.py").write_text(AT_LINE)
    for name, function in (("smpdfu", "console"), ("smpdfu-imgtool", "imgtool")):
        (tmp_path / name).write_text(SCRIPT.format(function))
    return {"script": [f"{tmp_path}/smpdfu"], "imgtool": [f"{tmp_path}/smpdfu-imgtool"], "module": ["-m", "smpdfu"]}


def struck_at(number: int, program: list[str], folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join((str(folder), str(ROOT)))
    return subprocess.run(
        [sys.executable, *program, *map(str, words)],
        env=os.environ | {"PYTHONPATH": paths, "STRIKE": str(number), "STRIKE_AT": str(ROOT / "smpdfu")},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.parametrize("entry", ["script", "module", "imgtool"])
def test_from_the_first_line_on(entries: dict[str, list[str]], tmp_path: Path, entry: str) -> None:
    for number in (*range(UNSEEN + 1, UNSEEN + 12), 30, 60, 110, 130):
        done = struck_at(number, entries[entry], tmp_path, "version")
        assert one_line(done), (number, done)


@pytest.mark.parametrize("number", [150, 400, 900, 1600, 2400, 3500, 5000])
@pytest.mark.parametrize("words", [("virtual", "run", "one", "--udp", "0"), ("fleet", "run", "f.toml")])
def test_while_something_comes_up(
    entries: dict[str, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    number: int,
) -> None:
    for name in ("SMPDFU_VIRTUAL_HOME", "SMPDFU_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    assert struck("from smpdfu.__main__ import main; main()", "virtual", "new", "one").returncode == 0
    spec = ImageSpec(Version.from_text("1.0.0"), header_size=0x200, slot_size=0, pad_header=True, rom_fixed=0xC000)
    image = build(spec, bytes(1000), generate("ecdsa-p256")).to_bytes()
    app = PackageImage.from_bytes(image, "app_update.bin", {"load_address": 0xC200})
    new_package([(app, 0xC200)]).write(tmp_path / "app.zip")
    (tmp_path / "f.toml").write_text('[packages]\ndefault = "app.zip"\n[[device]]\naddress = "udp:127.0.0.1:9"\n')
    done = struck_at(number, entries["module"], tmp_path, *words)
    assert done.returncode == 130, done
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    assert "never retrieved" not in done.stderr


def test_a_program_of_another_name_keeps_its_ctrl_c(tmp_path: Path) -> None:
    """A library does not touch the signals of who imports it."""
    program = tmp_path / "mine.py"
    program.write_text("import signal, smpdfu\nassert signal.getsignal(2) is signal.default_int_handler\n")
    done = struck_at(0, [str(program)], tmp_path)
    assert done.returncode == 0, done.stderr
