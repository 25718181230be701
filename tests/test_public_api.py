"""The public API: each name once, each with a type, and enough of them that a program needs no private module."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import subprocess
import sys
import typing
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import smpdfu
from smpdfu.agent.actions.events import AgentEvent
from tests.deadlines import HANG_S

ROOT = Path(__file__).parent.parent
STUB = ROOT / "smpdfu" / "__init__.pyi"
PROGRAMS = sorted((ROOT / "tests" / "public_programs").glob("[!_]*.py"))
DOCUMENTED = ("smpdfu.client.files", "smpdfu.smp.groups")
"""Modules that a program may import besides ``smpdfu`` itself."""
ONE_NAME = re.compile(r"from (smpdfu[.\w]*) import (\w+) as (\w+)")

# Types that public values have inside, and that no program has to name.
INNER = {
    *("Past", "Clue", "Evidence", "BootLog", "Build", "B0State"),  # what a DeviceState was decided from
    *(
        "KeyKind",
        "SignatureAlgorithm",
        "RemoteSigner",
        "TlvType",
        "Header",
        "Padding",
        "Lzma",
        "FirmwareInfo",
    ),  # of keys and images
    *("Pipe", "Framing", "Window"),  # `client_for` makes a Client; nobody else has to
    *("Board", "Runs", "Ran", "Question"),  # what the answer of `affected` was made from
    *("Reach",),  # `open_fleet` makes a FleetSession; nobody else has to
    *("Counter", "CounterUse", "Tokens", "Place", "VariableData", "LifeCycle"),  # of a Provision
    *("Token", "Rollout", "Group", "Counts"),  # of a login, and of a RolloutState
    *(
        "Entry",
        "FileKind",
        "Firmware",
        "Packet",
        "Segment",
        "SoftDeviceInfo",
        "Vectors",
    ),  # of a SecureDfuPackage, and of an Nrf52Firmware
    *("TransferProgress",),  # of a SecureDfuProgress
    *("Finding", "VersionRule"),  # of a Verdict (image), and of the text `settings:net/version`
    *(kind.__name__ for kind in typing.get_args(AgentEvent)),  # an event has a NAME: no program has to name its class
}


def names() -> list[tuple[str, str]]:
    """Module and name of everything public, as the stub has it."""
    return [(found[1], found[3]) for line in STUB.read_text("utf-8").splitlines() if (found := ONE_NAME.match(line))]


def public() -> list[str]:
    """``smpdfu.__all__``; the stub does not declare it, for it would name everything twice."""
    found: dict[str, Any] = {}
    exec("from smpdfu import __all__", found)
    return list(found["__all__"])


def test_each_line_of_the_stub_is_one_name() -> None:
    lines = [line for line in STUB.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not ONE_NAME.fullmatch(line)] == ["__version__: str"]
    for line in lines[:-1]:
        found = ONE_NAME.fullmatch(line)
        assert found is not None
        assert found[2] == found[3], f"{line}: type checkers only export a name under its own name"
    assert len({name for _, name in names()}) == len(lines) - 1


def test_every_public_name_is_there() -> None:
    assert public() == [*(name for _, name in names()), "__version__"]
    assert set(public()) <= set(dir(smpdfu))
    for module, name in names():
        assert getattr(smpdfu, name) is getattr(import_module(module), name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        smpdfu.nothing  # type: ignore[attr-defined] # noqa: B018 - that is the test


def test_a_star_brings_every_name() -> None:
    found: dict[str, Any] = {}
    exec("from smpdfu import *", found)
    assert set(public()) <= set(found)


def test_an_import_brings_nothing_in() -> None:
    program = "import sys; import smpdfu; print([name for name in sys.modules if name.startswith('smpdfu.')])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"


def test_the_names_are_there_in_a_zip(tmp_path: Path) -> None:
    archive = tmp_path / "smpdfu.zip"
    with zipfile.ZipFile(archive, "w") as whole:
        for path in (*ROOT.glob("smpdfu/__init__.py*"), *ROOT.glob("smpdfu/errors/*.py")):
            whole.write(path, path.relative_to(ROOT))
    program = "import smpdfu; print(smpdfu.StepError.__module__, smpdfu.__file__)"
    environment = {"PYTHONPATH": str(archive)}
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.startswith("smpdfu.errors"), done.stderr
    assert str(archive) in done.stdout


# --- enough of them -------------------------------------------------------------------------------------------------


def types_in(annotation: Any) -> Iterator[type]:
    """The classes that an annotation mentions."""
    if isinstance(annotation, list | tuple):
        for one in annotation:
            yield from types_in(one)
        return
    if isinstance(annotation, type):
        yield annotation
    yield from types_in(typing.get_args(annotation))


def functions_of(name: str) -> Iterator[Any]:
    """A public function, or a public class with its public methods and properties."""
    found = getattr(smpdfu, name)
    if inspect.isfunction(found) or inspect.isclass(found):
        yield found
    if inspect.isclass(found):
        for method, value in vars(found).items():
            plain = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
            if inspect.isfunction(plain) and (method == "__init__" or not method.startswith("_")):
                yield plain


def types_of(function: Any) -> set[type]:
    """The classes of ours in the annotations of a function or a class."""
    hidden = {name: getattr(smpdfu, name) for name in public()} | {"Self": typing.Self}
    for module in ("signing.compress", "signing.encrypt", "signers.remote"):  # imported there for types alone
        hidden |= vars(import_module(f"smpdfu.image.{module}"))
    hints = typing.get_type_hints(function, localns=hidden)
    return {one for hint in hints.values() for one in types_in(hint) if one.__module__.startswith("smpdfu")}


@pytest.mark.parametrize("name", [name for _, name in names()])
def test_what_a_public_name_takes_and_gives_is_public(name: str) -> None:
    named = [getattr(smpdfu, one) for one in public()]
    for function in functions_of(name):
        for one in types_of(function):
            known = one in named or one.__name__ in INNER or one.__module__.startswith(DOCUMENTED)
            assert known, f"{function.__qualname__} has {one.__module__}.{one.__qualname__}"


def test_the_programs_use_every_public_name_and_import_nothing_private() -> None:
    tree = ast.parse("\n".join(path.read_text("utf-8") for path in PROGRAMS))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    ours = {one for one in modules if one and one.startswith(("smpdfu", "tests"))}
    assert {one for one in ours if not one.startswith(DOCUMENTED)} == {"smpdfu"}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert set(public()) <= used


def test_the_programs_pass_mypy(tmp_path: Path) -> None:
    """In a folder of its own, as a user's program: the types come from the installed package."""
    for path in PROGRAMS:
        shutil.copy(path, tmp_path)
    program = tmp_path / "devices.py"
    with program.open("a", encoding="utf-8") as file:
        file.write("\nsmpdfu.client_for(17)\nWish(polcy=Policy.UPLOAD_ONLY)\n")
    copies = [str(tmp_path / path.name) for path in PROGRAMS]
    words = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--follow-imports=silent", *copies]
    environment = {"MYPYPATH": str(ROOT), "MYPY_CACHE_DIR": str(tmp_path), "PATH": ""}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=3 * HANG_S)
    last = len(program.read_text("utf-8").splitlines())
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    expected = [("devices.py", str(last - 1)), ("devices.py", str(last))]
    assert [(Path(line.split(":")[0]).name, line.split(":")[1]) for line in errors] == expected, (
        done.stdout + done.stderr
    )
