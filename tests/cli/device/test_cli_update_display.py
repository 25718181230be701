"""While the device boots, a terminal shows a spinner; a good end is green there. A pipe gets plain lines."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from smpdfu.cli.terminal.show import Good, Output, facts, words
from smpdfu.cli.update.steps import WAITING, Reporter
from smpdfu.dfu.decide.steps.rules import BOOTS, Action, Step
from smpdfu.dfu.do.events import Progress, StepBegun
from smpdfu.dfu.do.one_image import ImageStage
from smpdfu.dfu.package.images import Core, Role
from tests.cli.test_cli_cut_off import Terminal

if TYPE_CHECKING:
    from smpdfu.dfu.do.events import Event
    from smpdfu.dfu.do.one_image import ImageEvent
    from tests.cli.device.conftest import Desk

GREEN, HIDE, SHOW = "\x1b[32m", "\x1b[?25l", "\x1b[?25h"


class Screen(io.StringIO):
    """A terminal that keeps what was written."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a usual terminal."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


STEPS: list[tuple[Event | ImageEvent, bool]] = [
    *((StepBegun(Step(action, Role.APP), 1, 1), action in BOOTS | {Action.CHECK}) for action in Action),
    *((stage, stage is ImageStage.STEPS) for stage in ImageStage),
]


@pytest.mark.parametrize(("event", "spins"), STEPS, ids=lambda one: str(one) if isinstance(one, bool) else None)
@pytest.mark.parametrize("json", [False, True])
def test_a_boot_is_waited_for_with_a_spinner(
    monkeypatch: pytest.MonkeyPatch, colours: None, event: Event | ImageEvent, spins: bool, json: bool
) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    with Reporter(Output(json=json), "app.bin") as report:
        report(event)
    assert (WAITING in screen.getvalue()) is (spins and not json)
    assert screen.getvalue().count(HIDE) == screen.getvalue().count(SHOW)


@pytest.mark.parametrize(
    ("step", "label"),
    [
        (Step(Action.UPLOAD, Role.APP), "app core"),
        (Step(Action.UPLOAD, Role.NET), "net core"),
        (Step(Action.UPLOAD, Role.EXTERNAL), "external flash"),
        (Step(Action.UPLOAD, Role.OTHER, 3), "image 3"),
    ],
)
def test_the_progress_names_what_is_sent(
    monkeypatch: pytest.MonkeyPatch, colours: None, step: Step, label: str
) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    with Reporter(Output()) as report:
        report(StepBegun(step, 1, 1))
        report(Progress(step, 10, 100, 0, 1))
    assert label in screen.getvalue()


def test_in_a_pipe_nothing_spins(capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter(Output()) as report:
        report(StepBegun(Step(Action.RESET, Role.APP), 3, 9))
    assert capsys.readouterr().err == "[3/9] reset the device and wait for it\n"


@pytest.mark.parametrize("show", [words, lambda text: facts([("now", text)])], ids=["words", "facts"])
def test_a_good_end_is_green_where_there_are_colours(
    monkeypatch: pytest.MonkeyPatch, colours: None, show: object
) -> None:
    assert callable(show)

    def shown(stream: io.StringIO, text: str) -> str:
        monkeypatch.setattr("sys.stdout", stream)
        Output().emit({}, lambda: show(text))
        return stream.getvalue()

    assert f"{GREEN}runs permanently" in shown(Screen(), Good("runs permanently"))
    assert "\x1b[3" not in shown(Screen(), "runs permanently")
    assert "\x1b" not in shown(io.StringIO(), Good("runs permanently"))
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in shown(Screen(), Good("runs permanently"))


def test_an_upload_on_a_terminal_and_in_a_pipe(desk: Desk, monkeypatch: pytest.MonkeyPatch, colours: None) -> None:
    terminal = Terminal("upload", desk.image(), "--confirm", "--to", desk.address)
    assert terminal.end() == 0, terminal.text
    assert WAITING in terminal.text
    assert f"{GREEN}runs permanently" in terminal.text
    assert "in flight" not in terminal.text
    piped = desk.call("upload", desk.image(version="3.0.0"), "--confirm")
    assert piped.code == 0
    assert "runs permanently: the trial succeeded and the image is confirmed\n" in piped.out
    assert "\x1b" not in piped.out + piped.err
    assert WAITING not in piped.out + piped.err


def test_an_update_says_that_it_is_done_and_only_then(desk: Desk) -> None:
    package = desk.package()
    done = desk.call("update", package)
    assert done.out.endswith("\nThe update is done.\n"), done.out
    again = desk.call("update", package)
    assert (again.code, "is done" in again.out) == (0, False)
    sent = desk.call("update", desk.package("3.0.0", cores=(Core.APP,)), "--upload-only")
    assert sent.out.endswith("\nThe images are uploaded.\n"), sent.out
