"""The documentation site: it builds without a warning and without a network, and has every public name and page."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.deadlines import HANG_S
from tests.test_public_api import names

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference" / "api.md"
ELSEWHERE = {"health_command": "smpdfu.dfu.do.health.command", "health_soak": "smpdfu.dfu.do.health.soak"}
"""Public names of functions that have another name where they stand."""

# No name is looked up and no address is connected to: what the build needs is on this computer.
OFFLINE = """
import socket, sys
def refuse(*_): raise OSError("the build asks the network for something")
socket.socket.connect = socket.getaddrinfo = refuse
from mkdocs.__main__ import cli
cli(sys.argv[1:])
"""


class Page(HTMLParser):
    """What a page has: the ids, its text, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.loads: list[str] = []
        self.text = ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids.add(found.get("id") or "")
        if tag in ("script", "img", "link", "iframe"):
            self.loads += filter(None, (found.get("src"), found.get("href")))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    if find_spec("mkdocs") is None or find_spec("mkdocstrings") is None:
        pytest.skip("mkdocs is not installed (pip install 'smpdfu[docs]')")
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-c", OFFLINE, "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_public_name_has_its_description(site: Path) -> None:
    page = Page(site / "reference" / "api.html")
    for _, name in names():
        assert ELSEWHERE.get(name, f"smpdfu.{name}") in page.ids, name
    assert "Call it again after any interruption" in page.text
    assert {"smpdfu.client.files.upload_file", "smpdfu.smp.groups.image.StateWrite"} <= page.ids


def test_every_page_is_built_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted((ROOT / "docs").rglob("*.md"))
    for path in pages:
        built = site / path.relative_to(ROOT / "docs").with_suffix(".html")
        page = Page(built)
        heading = path.read_text("utf-8").splitlines()[0].removeprefix("# ").replace("`", "")
        assert heading in page.text, built
        assert [one for one in page.loads if "//" in one] == [], built
    assert len(pages) >= 25


def test_the_reference_names_each_public_name_once() -> None:
    told = re.findall(r"^::: ([\w.]+)$", REFERENCE.read_text("utf-8"), re.MULTILINE)
    assert len(told) == len(set(told))
    wanted = {ELSEWHERE.get(name, f"smpdfu.{name}") for _, name in names()}
    assert {one for one in told if not one.startswith(("smpdfu.smp.groups", "smpdfu.client.files"))} == wanted


def test_every_block_of_code_is_one(site: Path) -> None:
    for path in (ROOT / "docs").rglob("*.md"):
        page = Page(site / path.relative_to(ROOT / "docs").with_suffix(".html"))
        assert "```" not in page.text, path


def test_every_page_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text("utf-8")
    for path in (ROOT / "docs").rglob("*.md"):
        assert f"- {path.relative_to(ROOT / 'docs').as_posix()}\n" in menu, path
