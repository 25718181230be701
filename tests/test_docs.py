"""What the documents tell people to type works: blocks marked ``sh run`` are run, every other command is known.

The blocks of one document that are fenced as ```` ```sh run ```` or ```` ```python run ```` make one script, run in a
folder of its own where ``keys``, ``sample_images`` and ``tests`` are the project's. Plain ``sh`` blocks need a board, a
token or a secret: of them it is only checked that the commands and their options are there.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.deadlines import HANG_S

ROOT = Path(__file__).parent.parent
PAPERS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
DOCUMENTS = [*PAPERS, *sorted((ROOT / "docs").rglob("*.md"))]
RUN_TIMEOUT_S = 6 * HANG_S
"""A document is many commands."""


@dataclass(frozen=True)
class Block:
    """A fenced block: the words behind the fence, what is in it, its first line's number."""

    words: tuple[str, ...]
    text: str
    line: int


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown document."""
    fence, start, words, lines = "", 0, (), list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r"\s*(`{3,})(.*)$", line)
        if not fence and found:
            fence, start, words, lines = found[1], number + 1, tuple(found[2].split()), []
        elif fence and line.strip() == fence:
            yield Block(words, "\n".join(lines) + "\n", start)
            fence = ""
        elif fence:
            lines.append(line)


def read(path: Path) -> list[Block]:
    return list(blocks(path.read_text("utf-8")))


def script(path: Path) -> str:
    """All that a document wants to have run; what is Python becomes a step of the script."""
    return "".join(map(_step, read(path)))


def _step(block: Block) -> str:
    if block.words[:2] == ("python", "run"):
        return f"python - <<'END OF PYTHON'\n{block.text}END OF PYTHON\n"
    return block.text if block.words[:2] == ("sh", "run") else ""


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


RUNNABLE = [path for path in DOCUMENTS if script(path)]


@pytest.fixture
def workshop(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A folder with what the documents start from, and the environment to run them in."""
    programs = tmp_path / "bin"
    programs.mkdir()
    python = shlex.quote(sys.executable)
    start = f'{python} -c "from smpdfu.__main__ import {{}} as run; run()"'
    started = {"smpdfu": start.format("main"), "smpdfu-imgtool": start.format("imgtool"), "python": python}
    for name, words in started.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        program.chmod(0o755)
    folder = tmp_path / "work"
    folder.mkdir()
    for name in ("keys", "sample_images", "tests"):
        (folder / name).symlink_to(ROOT / name)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SMPDFU_")}
    environment = kept | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SMPDFU_VIRTUAL_HOME": str(tmp_path / "devices"),
        "SMPDFU_STATE_HOME": str(tmp_path / "state"),
        "SOURCE_DATE_EPOCH": "1767225600",
    }
    return folder, environment


@pytest.mark.skipif(sys.platform == "win32", reason="the documents are written for a POSIX shell")
@pytest.mark.parametrize("path", RUNNABLE, ids=place)
def test_what_a_document_says_works(path: Path, workshop: tuple[Path, dict[str, str]]) -> None:
    folder, environment = workshop
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script(path)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@cache
def command_tree() -> Any:
    """The commands of ``smpdfu``, as the option parser knows them."""
    from typer.main import get_command

    from smpdfu.cli.app.typer_app import build_app

    return get_command(build_app())


def command_lines(block: Block) -> Iterator[list[str]]:
    """The words of every call of ``smpdfu`` in a shell block."""
    text = block.text.replace("\\\n", " ")
    for line in text.splitlines():
        for part in re.split(r"&&|\|\||[|;]", line.split(" #")[0]):
            words = shlex.split(part) if part.count("'") % 2 == part.count('"') % 2 == 0 else part.split()
            if words[:1] == ["smpdfu"]:
                yield words[1:]


def unknown_word(words: list[str]) -> str | None:
    """The first command or option that ``smpdfu`` does not have; None when it has them all."""
    node = command_tree()
    for word in words:
        known = {name for one in node.params for name in (*one.opts, *one.secondary_opts)} | {"--help", "-h"}
        option = word.split("=")[0]
        if re.match(r"--?[A-Za-z]", word) and option not in known and word[:2] not in known:
            return word
        if hasattr(node, "commands") and not word.startswith("-"):
            if word not in node.commands:
                return word
            node = node.commands[word]
    return None


@pytest.mark.parametrize("path", DOCUMENTS, ids=place)
def test_every_command_in_a_document_is_there(path: Path) -> None:
    for block in read(path):
        if block.words[:1] == ("sh",):
            for words in command_lines(block):
                assert unknown_word(words) is None, f"{place(path)}:{block.line}: {unknown_word(words)} in {words}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=place)
def test_every_link_leads_somewhere(path: Path) -> None:
    text = re.sub(r"`[^`]*`", "", path.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target and not target.startswith(("#", "mailto:")):
            assert (path.parent / target.split("#")[0]).exists(), f"{place(path)}: {target}"


OUR_FILES = re.compile(r"`((?:smpdfu|tests|docs|examples|benchmarks|keys|sample_images)/[\w./-]+)`")


@pytest.mark.parametrize("path", DOCUMENTS, ids=place)
def test_every_file_of_ours_that_a_document_names_is_there(path: Path) -> None:
    for name in OUR_FILES.findall(path.read_text("utf-8")):
        assert (ROOT / name).exists(), f"{place(path)}: {name}"


def test_what_is_shown_for_a_build_server_is_what_is_run() -> None:
    path = ROOT / "docs" / "guides" / "release-engineer.md"
    run = script(path)
    shown = [block.text for block in read(path) if block.words[:1] == ("yaml",)]
    assert len(shown) >= 2
    for line in "".join(shown).splitlines():
        found = re.match(r"\s*-?\s*(?:run: |- )((?:sh|smpdfu) .*)", line)
        assert found is None or found[1] in run, line


def test_the_reader_of_documents_reads() -> None:
    text = "a\n```sh run\nsmpdfu list \\\n  --bogus\n```\n```yaml\n- x\n```\n````\n```sh\n````\n"
    found = list(blocks(text))
    assert [(block.words, block.line) for block in found] == [(("sh", "run"), 3), (("yaml",), 7), ((), 10)]
    assert list(command_lines(found[0])) == [["list", "--bogus"]]
    assert unknown_word(["list", "--bogus"]) == "--bogus"
    assert unknown_word(["sing", "--bogus"]) == "sing"
    assert unknown_word(["image", "list"]) is None
