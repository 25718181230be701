"""``help``, ``version``, the examples of ``--help``, the man page."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from smpdfu import __version__
from smpdfu.cli.app import completion
from smpdfu.cli.app.man_page import escaped
from smpdfu.cli.app.tree import COMMANDS, RELEASE, UPDATE
from smpdfu.cli.app.typer_app import build_app
from smpdfu.cli.terminal.examples import EXAMPLES

if TYPE_CHECKING:
    from tests.cli.conftest import Call


def said(*words: str) -> str:
    """What a command prints that succeeds."""
    done = CliRunner().invoke(build_app(list(words)), list(words), prog_name="smpdfu")
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize(("path", "typed"), [(path, typed) for path, rows in EXAMPLES.items() for typed, _ in rows])
def test_each_example_is_a_command_that_the_parser_takes(path: str, typed: str) -> None:
    program, *words = shlex.split(typed)
    assert program == "smpdfu"
    assert " ".join(words).startswith(path)
    command: Any = get_command(build_app(words))
    ctx = command.make_context("smpdfu", words)
    while hasattr(ctx.command, "commands"):
        name, one, rest = ctx.command.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
        ctx = one.make_context(name, rest, parent=ctx)


@pytest.mark.parametrize("name", [name for name, row in COMMANDS.items() if row.group in (UPDATE, RELEASE)])
def test_help_of_the_first_two_groups_has_examples_that_can_be_copied(name: str) -> None:
    lines = said(name, "--help").splitlines()
    assert EXAMPLES[name]
    assert all(f"  {typed}" in lines for typed, _ in EXAMPLES[name])


def test_help_of_each_command_in_a_group_has_examples() -> None:
    for group in ("fleet", "virtual", "key", "provision", "secure-dfu"):
        whole: Any = get_command(build_app([group]))
        for name in whole.commands[group].commands:
            lines = said(group, name, "--help").splitlines()
            assert EXAMPLES[f"{group} {name}"]
            assert all(f"  {typed}" in lines for typed, _ in EXAMPLES[f"{group} {name}"])


@pytest.mark.parametrize("words", [(), ("list",), ("key", "gen"), ("os", "datetime"), ("image", "list")])
def test_help_of_a_command_is_that_of_its_option(words: tuple[str, ...]) -> None:
    assert said("help", *words).strip() == said(*words, "--help").strip()


def test_connection_options_are_folded_and_shown_whole_elsewhere() -> None:
    short, whole = said("list", "--help"), said("help", "connection")
    assert "smpdfu help connection" in short
    assert "--log-data" not in short
    for option in ("--port", "--baudrate", "--ble", "--ip", "--to", "--profile", "--timeout", "--window", "--log-data"):
        assert option in whole


@pytest.mark.parametrize("words", [("lst",), ("list", "more"), ("key", "gne")])
def test_help_of_no_command_is_a_usage_error(words: tuple[str, ...]) -> None:
    assert CliRunner().invoke(build_app(["help"]), ["help", *words]).exit_code == 2


@pytest.mark.parametrize(
    ("path", "usage"),
    [
        ("update", "PACKAGE"),
        ("sign", "IN [OUT]"),
        ("help", "[COMMAND]..."),
        ("virtual run", "NAME..."),
        ("os datetime", "[TEXT|now]"),
    ],
)
def test_usage_names_the_arguments_as_man_pages_do(path: str, usage: str) -> None:
    assert said(*path.split(), "--help").splitlines()[0] == f"Usage: smpdfu {path} [OPTIONS] {usage}"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("update", "--plna", "x.zip"), "there is no option '--plna'. Did you mean `--plan`?"),
        (("upload", "--confim", "x.bin"), "there is no option '--confim'. Did you mean `--confirm`?"),
        (("list", "-Z"), "there is no option '-Z'."),
    ],
)
def test_a_mistyped_option_is_answered_with_the_nearest_one(smpdfu: Call, words: tuple[str, ...], says: str) -> None:
    assert smpdfu(*words).refused(2) == says


def test_the_names_of_commands_complete_after_help() -> None:
    assert completion.commands("up") == ["update", "upload"]
    assert completion.commands("conn") == ["connection"]


def test_the_version_command() -> None:
    assert json.loads(said("version", "--json"))["version"] == __version__
    assert __version__ in said("version")


def test_the_man_page_names_every_command_and_is_well_formed(tmp_path: Path) -> None:
    page = said("help", "--man")
    assert page.startswith(".TH SMPDFU 1")
    for name in COMMANDS:
        assert f".SS smpdfu {escaped(name)}" in page
    assert all(rf"\-\-{word}" in page for word in ("baudrate", "confirm", "merged"))
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed: the page is not checked by it")
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning"], input=page, capture_output=True, text=True)
    faults = [line for line in done.stdout.splitlines() if "missing date" not in line]
    assert not faults
