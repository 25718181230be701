"""The table of ``make bench``: what counts as met, what is printed, and that every goal has a bench."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.__main__ import benches, main, results
from benchmarks.goals import GOALS, ISSUE, goal
from benchmarks.rows import Goal, NotRun, Result, Row, document, figure, from_entry, lines, options, summary, tell

AT_MOST = Goal("sign", "bench_sign", 0.6, "CPU", "ms", "imgtool")
AT_LEAST = Goal("link", "bench_upload", 0.95, "wall", "KiB/s", "the link", at_least=True)
ALONE = Goal("fleet", "bench_fleet", 800, "ours", "a minute", at_least=True)

# The rows of the table in issue 18: words that name each of them, and how many goals each became.
ISSUE_ROWS = {
    "sign 1 MiB, whole process": 2,
    "smpdfu --version": 1,
    "smpdfu verify": 1,
    "smpdfu inspect": 1,
    "smpdfu list, to the first byte": 1,
    "rich": 1,
    "in process": 3,
    "hex to hex": 1,
    "client CPU": 4,
    "modelled link": 4,
    "real server in QEMU": 3,
    "raw serial": 1,
    "fs upload": 2,
    "fleet of 1,000": 1,
    "virtual device": 2,
    "make test": 1,
    "make check": 1,
}


@pytest.mark.parametrize("words", ISSUE_ROWS)
def test_each_row_of_the_issue_is_there(words: str) -> None:
    assert sum(words in one.name for one in ISSUE) == ISSUE_ROWS[words]


def test_nothing_else_is_in_the_issues_list_and_no_name_is_there_twice() -> None:
    assert sum(ISSUE_ROWS.values()) == len(ISSUE)
    assert len({one.name for one in GOALS}) == len(GOALS)


@pytest.mark.parametrize("one", GOALS, ids=lambda one: one.name)
def test_each_goal_has_a_bench_that_names_it_and_says_what_it_compares(root: Path, one: Goal) -> None:
    assert one.aim >= 0
    assert one.bench in benches()
    assert (root / "benchmarks" / f"{one.bench}.py").exists()
    assert one.judged == "ours" or one.other, "a ratio is one to somebody"
    assert goal(one.name) is one


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (Row(AT_MOST, 60, 100, cpu=0.6, wall=2), True),
        (Row(AT_MOST, 60, 100, cpu=0.601, wall=0.1), False),
        (Row(AT_LEAST, 96, 100, wall=0.95), True),
        (Row(AT_LEAST, 94, 100, wall=0.9499), False),
        (Row(ALONE, 800), True),
        (Row(ALONE, 799.9), False),
    ],
)
def test_the_value_that_the_aim_is_about_decides_and_is_not_rounded(row: Row, met: bool) -> None:
    assert row.met is met
    (line,) = lines([row])[1:-1]
    assert line.endswith(" yes" if met else " NO")
    assert row.goal.aim_text in line


def test_a_row_without_the_value_that_its_aim_is_about_is_refused() -> None:
    with pytest.raises(ValueError, match="the aim is about CPU"):
        Row(AT_MOST, 60, 100, wall=0.6)


def test_the_table_has_the_figures_the_notes_and_a_summary() -> None:
    rows: list[Result] = [Row(AT_MOST, 201.4, 330, cpu=0.61, wall=0.65, note="5 pairs"), NotRun(ALONE, "too few files")]
    head, signed, note, fleet, reason, last = lines(rows)
    assert head.split() == ["what", "ours", "compared", "with", "CPU", "wall", "aim", "met"]
    assert " ".join(signed.split()) == "sign 201 ms imgtool 330 ms 0.610 0.650 at most 0.6 (CPU) NO"
    assert note == "    5 pairs"
    assert " ".join(fleet.split()) == "fleet at least 800 a minute not run"
    assert reason == "    too few files"
    assert last == "0 of 2 goals are met, 1 are not, 1 were not run (a goal that was not run is not met)"
    assert signed.index("at most") == fleet.index("at least") == head.index("aim")


def test_what_was_not_run_is_not_met() -> None:
    rows: list[Result] = [Row(ALONE, 900), NotRun(AT_MOST, "no imgtool")]
    assert summary(rows).startswith("1 of 2 goals are met, 0 are not, 1 were not run")
    assert [one["met"] for one in document(rows, quick=True)["rows"]] == [True, False]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1234, "0.123 s"), (2.5, "2.500 s"), (12.34, "12.3 s"), (354.4, "354 s"), (0, "0 s"), (7, "7 s")],
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert figure(value, "s") == text


def test_json_holds_all_of_a_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: Sequence[Result] = [
        Row(AT_MOST, 201.4, 330, cpu=0.61, wall=0.65, note="5 pairs"),
        Row(ALONE, 354),
        NotRun(AT_LEAST, "no Bluetooth"),
    ]
    file = tmp_path / "rows.json"
    tell(rows, options(None).parse_args(["--quick", "--json", str(file)]))
    told = json.loads(file.read_text())
    assert told["quick"] is True
    assert [from_entry(one, each.goal) for one, each in zip(told["rows"], rows, strict=True)] == rows
    assert told["rows"][2]["not_run"] == "no Bluetooth"
    assert told["rows"][1]["direction"] == "at least"
    assert capsys.readouterr().out.splitlines() == lines(rows)


def test_a_goal_whose_bench_gave_no_row_is_not_run(tmp_path: Path) -> None:
    found = list(results(tmp_path, {"bench_tests": 3}))
    reason = "bench_tests gave no row (exit code 3)"
    assert found == [NotRun(goal("make test"), reason), NotRun(goal("make check"), reason)]


def test_one_bench_can_be_run_alone_in_a_process_of_its_own(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    assert main(["--quick", "--only", "bench_tests", "--json", str(file)]) == 0
    out = capfd.readouterr().out
    assert "--- bench_tests" in out
    assert "0 of 2 goals are met, 0 are not, 2 were not run" in out
    assert [one["name"] for one in json.loads(file.read_text())["rows"]] == ["make test", "make check"]


@pytest.mark.parametrize("bench", ["bench_tests", "bench_nowhere"])
def test_a_goal_without_a_row_is_an_error_and_so_is_a_bench_that_fails(
    bench: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten = Goal("forgotten", bench, 1, "ours", "s")
    monkeypatch.setattr("benchmarks.__main__.GOALS", (*GOALS, forgotten))
    monkeypatch.setattr("benchmarks.__main__.WITH_GOALS", (bench,))
    assert main(["--quick"]) == 1
    out, err = capfd.readouterr()
    assert f"{bench} gave no row (exit code {int(bench == 'bench_nowhere')})" in out
    assert f"these benches failed, or gave no row for a goal: {bench}" in err
