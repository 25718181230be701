"""Imports inside functions of ``cli/``: a file that declares commands imports the work of a command when it runs.

Everywhere else imports stand at the top. So ``--help`` and completion are fast, and a reader sees what a module needs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CLI = Path(__file__).parent.parent.parent / "smpdfu" / "cli"

# Files that declare commands or options, beside those with ``register`` and those about options by their name.
DECLARING = {"app/command.py", "app/completion.py", "imgtool/commands.py"}

# Files whose functions import when they are called, as a whole, and why.
LATE = {
    "terminal/show.py": "it loads rich where something is drawn, and --json draws nothing",
    "image/key_files.py": "it loads cryptography where a key is given, and verify needs none",
    "terminal/values.py": "--help names its functions, and reads no image",
}

# Imports that stay inside a function of another file. Each one has its reason on its line, after ``# here:``.
EXCEPTIONS = {
    ("app/advice_by_code.py", "outcome_words"),
    ("app/connection.py", "open_client"),
    ("app/main.py", "_leave_with"),
    ("app/main.py", "_run"),
    ("app/quick.py", "run_words"),
    ("app/typer_app.py", "run_words"),
    ("terminal/lazy_typer.py", "__getattr__"),
    ("fleet/live_view.py", "__rich_console__"),
    ("fleet/live_view.py", "drawn"),
    ("image/pack/from_files.py", "pack"),
    ("image/pack/package_output.py", "_evidence"),
    ("image/sign.py", "_spec"),
    ("image/verify.py", "verify_file"),
    ("imgtool/dumpinfo.py", "as_yaml"),
    ("imgtool/sign.py", "_spec"),
    ("imgtool/words.py", "no_such_option"),
    ("keys/passphrase.py", "read_private"),
    ("inspect/inspect.py", "_foreign"),
    ("inspect/slot.py", "__rich_console__"),
    ("terminal/answers.py", "__rich__"),
    ("terminal/help.py", "examples_of"),
    ("terminal/interrupt.py", "run_async"),
    ("terminal/outputs.py", "check_outputs"),
    ("virtual/nrf52/run.py", "_ble"),
    ("virtual/new.py", "_new_demo"),
    ("virtual/new.py", "_of_build"),
    ("virtual/serve.py", "_ble"),
}


def late_imports(source: str) -> Iterator[tuple[str, list[int]]]:
    """Each function that stands in no other one and has imports inside: its name, and their lines."""
    for function in _outermost(ast.parse(source)):
        lines = [one.lineno for one in ast.walk(function) if isinstance(one, ast.Import | ast.ImportFrom)]
        if lines:
            yield function.name, lines


def _outermost(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        else:
            yield from _outermost(child)


def declares(path: Path) -> bool:
    return (
        path.name.endswith("options.py")
        or path.parent.name == "options"
        or path.relative_to(CLI).as_posix() in DECLARING
        or any(function.name == "register" for function in _outermost(ast.parse(path.read_text("utf-8"))))
    )


FILES = sorted(path for path in CLI.rglob("*.py") if path.relative_to(CLI).as_posix() not in LATE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CLI).as_posix())
def test_a_function_has_at_most_one_import_inside(path: Path) -> None:
    source = path.read_text("utf-8")
    for name, lines in late_imports(source):
        assert len(lines) == 1, f"{name} has imports in the lines {lines}"
        if not declares(path):
            assert (path.relative_to(CLI).as_posix(), name) in EXCEPTIONS, f"{name}, line {lines[0]}"
            assert "# here: " in source.splitlines()[lines[0] - 1], f"line {lines[0]} gives no reason"


def test_each_exception_is_still_one() -> None:
    found = {(path.relative_to(CLI).as_posix(), name) for path in FILES for name, _ in late_imports(path.read_text())}
    assert found >= EXCEPTIONS


def test_the_rule_sees_imports_in_methods_and_in_inner_functions() -> None:
    source = "class A:\n  def f(self):\n    import os\n    def g():\n      from sys import argv\n"
    assert list(late_imports(source)) == [("f", [3, 5])]
