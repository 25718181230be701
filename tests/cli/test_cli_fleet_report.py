"""The report of a fleet: what is in it, that nothing from outside steers it, and what a browser makes of it."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from smpdfu import __version__
from smpdfu.cli.fleet.csv_report import csv_table
from smpdfu.cli.fleet.html_report import page
from smpdfu.cli.fleet.report_page import POLICY, SCRIPT
from smpdfu.dfu.fleet.outcome import Ending
from tests.fleet_example import browse, chromium, example

FORMATS = Path(__file__).parents[2] / "docs" / "reference" / "file-formats.md"
EVIL = '<script>x</script>"\x1b[31m\u202e'


class Page(HTMLParser):
    """What opens is closed, nothing is fetched, and the only script is ours. ``rows`` are those of the devices."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.rows: list[tuple[str, str]] = []
        self._inside = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        assert tag not in ("link", "img", "iframe", "object", "base", "a")
        assert not set(found) & {"src", "href", "action"}
        assert not [name for name in found if name.startswith("on")]
        if found.get("id") == "devices":
            self._inside = True
        if tag == "tr" and self._inside and "hidden" not in found and found.get("data-state"):
            self.rows.append((found["data-state"] or "", ""))
        if tag == "td" and self.rows and self.rows[-1][1] == "" and self._inside:
            self.rows[-1] = (self.rows[-1][0], found.get("data-v") or "")
        if tag not in ("meta", "br", "input", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "rect":
            assert self.open.pop() == tag
        if tag == "table":
            self._inside = False

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open[-1:] == ["script"] else self.text).append(data)


def test_what_the_page_says() -> None:
    found = Page(page(example()))
    assert not found.open
    assert found.scripts == [SCRIPT]
    text = " ".join(found.text)
    for wanted in (
        "Fleet roofs",
        f"Operator: night shift. smpdfu of the runs: 0.1.0; of this report: {__version__}",
        "smpdfu fleet run roofs.toml",
        "unreachable 2 (8.3 %)",
        "2.0.3 → 2.1.0",
        "dfu_application.zip",
        "2026-11-25 10:00:00 to 2026-11-25 10:08:05 UTC, 8 min 5 s",
        "6 min",
    ):
        assert wanted in text
    causes, silent = text.index("Failures by cause"), text.index("Devices that do not answer")
    assert causes < text.index("preflight: downgrade") < silent < text.index("no answer")


def test_failures_come_first_and_devices_that_do_not_answer_after_them() -> None:
    states = [state for state, _ in Page(page(example())).rows]
    assert states[:6] == ["failed", "reverted", "refused", "unreachable", "unreachable", "unproven"]
    assert set(states[6:]) == {"done"}
    assert len(states) == 24


def test_versions_and_hashes_are_those_of_the_package() -> None:
    status = example()
    html = page(status)
    package = status.packages["default"]
    for image in package.images:
        assert image.hash is not None
        assert f'title="{image.hash.hex()}"' in html
    assert f'title="{package.digest}"' in html
    assert html.count('<td class="v">1.4.0</td><td>yes</td>') == 18
    assert html.count('<td class="v">1.4.0</td><td>no</td>') == 1


def test_the_next_command_is_none_when_nothing_is_left() -> None:
    status = example()
    for ending, words in ((Ending.COMPLETE, "nothing is left to do"), (Ending.FAILED, "roofs.toml --go-on")):
        made = type(status)(status.history, status.packages, ending, None, paused=False)
        assert words in page(made)


def test_nothing_from_outside_steers_the_page() -> None:
    """The policy stands before everything that came from outside, and names the one script that may run."""
    html = page(example(names=lambda at: f"{EVIL}{at}"))
    assert Page(html).scripts == [SCRIPT]
    assert "\x1b" not in html
    assert "\u202e" not in html
    before, found, _ = html.partition(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">')
    assert found
    assert "<title" not in before
    assert "default-src 'none'" in POLICY
    assert not re.search(r"script-src[^;]*unsafe", POLICY)


def test_every_device_has_a_cell_below_each_head() -> None:
    table = page(example()).partition('<table id="devices">')[2].partition("</table>")[0]
    head, *rows = table.split("<tr")[1:]
    assert len(rows) == 24
    assert {len(re.findall(r"<td\b", row)) for row in rows} == {len(re.findall(r"<th\b", head))}


def test_the_columns_of_the_table_are_documented() -> None:
    text = FORMATS.read_text("utf-8").partition("## Fleet table")[2].partition("\n## ")[0]
    first_cells = [row.split("|")[1] for row in text.splitlines() if row.startswith("| `")]
    documented = set(re.findall(r"`(\w+)`", " ".join(first_cells)))
    assert documented == set(csv_table(example()).splitlines()[0].split(","))


def test_the_table_for_spreadsheets() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_table(example(names="=roof,{:02}".format)))))
    assert len(rows) == 24
    first, failed, unproven = rows[0], rows[21], rows[17]
    assert (first["device"], first["outcome"], first["application_before"]) == ("'=roof,00", "done", "2.0.3")
    assert (first["application"], first["network_core"], first["proven"]) == ("2.1.0", "1.4.0", "yes")
    assert (first["ended"], first["attempts"], first["bytes"]) == ("2026-11-25T10:01:18Z", "1", "180000")
    assert (failed["outcome"], failed["cause"]) == ("failed", "the device refused img upload: FLASH_WRITE_FAILED")
    assert (failed["network_core"], failed["proven"]) == ("", "")
    assert (unproven["proven"], unproven["message"]) == ("no", "nothing was heard on the console")


# --- in a browser ---------------------------------------------------------------------------------------------------

BROWSER = chromium()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a thousand devices."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page(example(1000, "roof-{:03}".format)), "utf-8")
    return path


@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed (apt-get install chromium)")
@pytest.mark.parametrize(
    ("address", "count", "first", "last"),
    [
        ("", 1000, ("failed", "roof-021"), ("done", "roof-999")),
        ("#state=unreachable", 83, ("unreachable", "roof-003"), ("unreachable", "roof-987")),
        ("#q=ROOF-12&sort=-device", 10, ("done", "roof-129"), ("done", "roof-120")),
        ("#sort=device", 1000, ("done", "roof-000"), ("done", "roof-999")),
        ("#sort=-time&state=done", 751, ("done", "roof-004"), ("done", "roof-995")),
        ("#sort=-outcome", 1000, ("done", "roof-000"), ("failed", "roof-981")),
        ("#sort=nonsense&q=%22%3Cb%3E", 0, None, None),
    ],
)
def test_a_browser_sorts_and_filters_a_thousand_rows(
    large: Path, address: str, count: int, first: tuple[str, str] | None, last: tuple[str, str] | None
) -> None:
    assert BROWSER is not None
    rows = Page(browse(BROWSER, large.as_uri() + address, "--dump-dom")).rows
    assert len(rows) == count
    assert (rows[0], rows[-1]) == (first, last) if count else first is None


@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed (apt-get install chromium)")
def test_a_browser_runs_no_other_script(tmp_path: Path) -> None:
    """Not even one that got past the escaping."""
    path = tmp_path / "report.html"
    html = page(example()).replace("<h1>", "<script>document.title = 'taken'</script><h1>", 1)
    path.write_text(html, "utf-8")
    assert BROWSER is not None
    shown = browse(BROWSER, path.as_uri(), "--dump-dom")
    assert "<title>Fleet roofs</title>" in shown
    assert "24 of 24 devices" in shown, "ours has run"
