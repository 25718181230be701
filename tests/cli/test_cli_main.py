"""The front door: options from dataclasses, the address rules, errors into words and exit codes, JSON."""

from __future__ import annotations

import inspect
import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from smpdfu import __version__, errors
from smpdfu.cli.app import ending, main
from smpdfu.cli.app.advice import advice
from smpdfu.cli.app.command import Connection, Interrupted
from smpdfu.cli.app.connection import resolve
from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.app.typer_app import fill
from smpdfu.cli.terminal import lazy_typer, show


def all_errors() -> list[type[errors.SmpdfuError]]:
    found = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.SmpdfuError)]
    return [kind for kind in found if kind is not errors.SmpdfuError]


def specimen(kind: type[errors.SmpdfuError]) -> errors.SmpdfuError:
    special: dict[type, errors.SmpdfuError] = {
        errors.TooLargeError: errors.TooLargeError("too large", 2, 1),
        errors.DeviceError: errors.DeviceError(1, 9, "img upload", name="NO_FREE_SLOT"),
        errors.ShellCommandError: errors.ShellCommandError(-22),
        errors.ResponseTimeoutError: errors.ResponseTimeoutError("os echo", 2.5, 3),
        errors.TransferTimeoutError: errors.TransferTimeoutError("the upload", 60.0),
        errors.DeviceTimeoutError: errors.DeviceTimeoutError(60.0, "upload app"),
        errors.StepError: errors.StepError("failed", "upload", resumable=True),
        errors.AbsentError: errors.AbsentError("away", "reset", resumable=True),
        errors.NotBackError: errors.NotBackError("away", "reset"),
        errors.NoEffectError: errors.NoEffectError("no effect", "mark"),
        errors.NotBootedError: errors.NotBootedError("not reset", "reset", acknowledged=True),
        errors.FleetError: errors.FleetError("a sentence", Path("f.toml")),
        errors.FleetPausedError: errors.FleetPausedError(Path("f.toml")),
        errors.FleetUnfinishedError: errors.FleetUnfinishedError(Path("f.toml"), 1, 3),
        errors.FleetFailedError: errors.FleetFailedError(Path("f.toml"), 1, 3),
        errors.SearchError: errors.SearchError(0, 1, 2),
        errors.AffectedDevicesError: errors.AffectedDevicesError(1, 0, 2),
        errors.UnknownDevicesError: errors.UnknownDevicesError(0, 1, 2),
        errors.FleetUnprovenError: errors.FleetUnprovenError(Path("f.toml"), 1, 3),
        errors.ServerRefusedError: errors.ServerRefusedError("refused", 401),
        errors.DfuRefusedError: errors.DfuRefusedError("refused", "execute", 5, name="INVALID_OBJECT"),
        errors.DamagedLineError: errors.DamagedLineError(3, 0, 100),
        errors.InconsistentBootloaderError: errors.InconsistentBootloaderError(off=0, total=100),
        errors.SilentBootloaderError: errors.SilentBootloaderError(heard=False, off=0, total=100),
        errors.ActionsFailedError: errors.ActionsFailedError(1),
        errors.ActionsUnfinishedError: errors.ActionsUnfinishedError(1),
    }
    return special.get(kind) or kind("a sentence")


CODES = {
    errors.ImageError: 3,
    errors.FormatError: 3,
    errors.TooLargeError: 3,
    errors.SigningError: 3,
    errors.KeyFileError: 3,
    errors.SignatureError: 3,
    errors.PackageError: 3,
    errors.EvidenceError: 3,
    errors.FleetFileError: 3,
    errors.LinkError: 4,
    errors.ConnectError: 4,
    errors.NotReadyError: 4,
    errors.LinkLostError: 4,
    errors.ResponseTimeoutError: 4,
    errors.TransferTimeoutError: 4,
    errors.ProtocolError: 4,
    errors.PassphraseError: 3,
    errors.WrongPassphraseError: 3,
    errors.LocalProtocolError: 2,
    errors.RemoteProtocolError: 4,
    errors.DeviceError: 5,
    errors.AdvisedError: 1,  # a base class, as the next one
    errors.SecureDfuError: 1,  # a base class; what is raised is one of the next three
    errors.DfuRefusedError: 5,
    errors.DfuNotStartedError: 7,
    errors.DfuUnfinishedError: 8,
    errors.DamagedLineError: 4,
    errors.InconsistentBootloaderError: 4,
    errors.SilentBootloaderError: 4,
    errors.ShellCommandError: 5,
    errors.PlanError: 6,
    errors.RevertedError: 7,
    errors.StepError: 8,
    errors.AbsentError: 8,
    errors.NotBootedError: 8,
    errors.NotBackError: 4,
    errors.NoEffectError: 5,
    errors.DeviceTimeoutError: 8,
    errors.JournalError: 8,
    errors.UnprovenError: 9,
    errors.FleetPausedError: 8,
    errors.FleetUnfinishedError: 8,
    errors.FleetFailedError: 7,
    errors.FleetUnprovenError: 9,
    errors.AffectedDevicesError: 10,
    errors.UnknownDevicesError: 11,
    errors.AgentFileError: 3,
    errors.ArtifactError: 3,
    errors.ServerError: 4,
    errors.ServerLinkError: 4,
    errors.ServerProtocolError: 4,
    errors.ServerRefusedError: 5,
    errors.ActionsFailedError: 7,
    errors.ActionsUnfinishedError: 8,
    errors.PublishError: 6,
    errors.RolloutFailedError: 7,
    errors.RolloutUnfinishedError: 8,
    errors.SearchError: 1,  # a base class, as the next two
    errors.FleetError: 1,
    errors.UpdateError: 1,  # a base class; what is raised is one of those above
}


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_every_error_has_its_exit_code(kind: type[errors.SmpdfuError]) -> None:
    assert ending.exit_code(specimen(kind)) == CODES[kind]


def test_a_problem_with_files_of_the_server_that_may_pass_is_no_wrong_file() -> None:
    """A service is not started again after a 3, and is after an 8: the disk has room later."""
    assert ending.exit_code(errors.ArtifactError("no space is left", temporary=True)) == 8


def test_a_step_that_cannot_be_resumed_does_not_claim_the_previous_firmware() -> None:
    error = errors.StepError("failed", "test", resumable=False)
    assert ending.exit_code(error) == 8
    assert "Run the same command again" not in advice(error)


def test_a_device_error_says_group_code_and_what_to_do() -> None:
    error = errors.DeviceError(1, 9, "img upload", name="NO_FREE_SLOT", reason="busy")
    assert str(error) == "the device refused img upload: NO_FREE_SLOT (group 1, rc 9): busy"
    assert "smpdfu list" in advice(error)


@dataclass(frozen=True)
class Pair:
    left: Annotated[int, lazy_typer.Option("--left", help="left")]
    right: Annotated[str, lazy_typer.Option("--right", help="right")] = "r"


def test_a_dataclass_parameter_becomes_options() -> None:
    group, seen = Group(), []

    @command(group, "go")
    async def go(word: Annotated[str, lazy_typer.Argument()], pair: Pair, out: show.Output) -> None:
        """Go."""
        seen.append((word, pair, out.json))

    app = typer.Typer()
    fill(app, group)
    result = CliRunner().invoke(app, ["w", "--left", "3", "--json"])
    assert result.exit_code == 0, result.output
    assert seen == [("w", Pair(3, "r"), True)]
    assert CliRunner().invoke(app, ["w"]).exit_code == 2  # --left has no default


def test_ctrl_c_is_not_swallowed_by_the_option_parser() -> None:
    group, app = Group(), typer.Typer()

    @command(group, "go")
    async def go() -> None:
        """Go."""
        raise KeyboardInterrupt

    fill(app, group)
    with pytest.raises(Interrupted):
        CliRunner().invoke(app, [], standalone_mode=True)


@pytest.mark.parametrize(
    ("connection", "address"),
    [
        (Connection(port="/dev/ttyACM0"), "serial:/dev/ttyACM0"),
        (Connection(port="COM3", baudrate=9600), "serial:COM3?baudrate=9600"),
        (Connection(ble="DK"), "ble:DK"),
        (Connection(ip="10.0.0.1:1337"), "udp:10.0.0.1:1337"),
        (Connection(to="virtual:desk"), "virtual:desk"),
        (Connection(to="/dev/ttyACM0"), "serial:/dev/ttyACM0"),
        (Connection(to="/dev/ttyACM0?baudrate=9600"), "serial:/dev/ttyACM0?baudrate=9600"),
        (Connection(to="COM3"), "serial:COM3"),
    ],
)
def test_address_from_options(connection: Connection, address: str) -> None:
    assert resolve(connection).address == address


@pytest.mark.parametrize(
    "connection",
    [
        Connection(port="a", ble="b"),
        Connection(ble="b", baudrate=9600),
        Connection(to="virtual:x", timeout=0),
        Connection(profile="nowhere"),
        Connection(profile="x", port="y"),
        Connection(),
    ],
)
def test_an_unclear_address_is_a_usage_error(connection: Connection) -> None:
    with pytest.raises(typer.BadParameter):
        resolve(connection)


def test_the_command_line_wins_over_the_environment_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smpdfu.toml").write_text(
        '[connection]\nport = "/dev/a"\nbaudrate = 57600\ntimeout = 9\n[profile.lab]\nip = "[::1]:1337"\n'
    )
    assert resolve(Connection()).address == "serial:/dev/a?baudrate=57600"
    assert resolve(Connection()).timeout_s == 9
    assert resolve(Connection(profile="lab")).address == "udp:[::1]:1337"
    monkeypatch.setenv("SMPDFU_TO", "virtual:env")
    assert resolve(Connection()).address == "virtual:env"
    assert resolve(Connection(ble="x")).address == "ble:x"


@pytest.mark.parametrize(
    "text", ["[connection", "connection = 3", '[connection]\nprot = "x"', '[connection]\ntimeout="x"']
)
def test_a_bad_configuration_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smpdfu.toml").write_text(text)
    with pytest.raises(typer.BadParameter, match=r"smpdfu\.toml"):
        resolve(Connection())


def test_json_writes_bytes_as_hex_and_text_forms_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    show.print_json({"hash": b"\x01\xff", "pair": Pair(1), "path": Path("a")})
    assert json.loads(capsys.readouterr().out) == {"hash": "01ff", "pair": {"left": 1, "right": "r"}, "path": "a"}


def test_what_a_device_sends_is_never_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show.console().print(show.table("t", ["a"], [["[red]evil[/red]"], [True], [None]]))
    out = capsys.readouterr().out
    assert "[red]evil[/red]" in out
    assert "yes" in out


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["smpdfu", "--version"])
    with pytest.raises(SystemExit) as left:
        main.run()
    assert (left.value.code, capsys.readouterr().out) == (0, f"{__version__}\n")


@pytest.mark.parametrize("ends", [KeyboardInterrupt, ValueError, None])
def test_what_ctrl_c_leaves_is_said_by_the_part_that_was_interrupted(
    monkeypatch: pytest.MonkeyPatch, ends: type[BaseException] | None
) -> None:
    from smpdfu.cli.terminal import interruption

    monkeypatch.setattr(interruption, "_words", [interruption.AGAIN])
    with suppress(BaseException), interruption.leaves(interruption.PART_OF_FILE):
        assert interruption.words() == interruption.PART_OF_FILE
        if ends is not None:
            raise ends
    stays = ends is KeyboardInterrupt
    assert interruption.words() == (interruption.PART_OF_FILE if stays else interruption.AGAIN)


def failed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a usage error says."""
    monkeypatch.setattr(sys, "argv", ["smpdfu", *words])
    with pytest.raises(SystemExit) as left:
        main.run()
    assert left.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("lst",), "smpdfu list"),
        (("updat", "a.zip"), "smpdfu update"),
        (("key", "gne"), "smpdfu key gen"),
        (("taskstats",), "smpdfu taskstat"),
        (("flash", "app.hex"), "smpdfu update PACKAGE"),
        (("program",), "smpdfu update PACKAGE"),
        (("dfu", "a.zip"), "smpdfu update PACKAGE"),
    ],
)
def test_a_mistyped_command_names_the_nearest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], named: str
) -> None:
    assert f"`{named}" in failed(monkeypatch, capsys, *words)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("list", "--port", "a", "--ble", "b"), "smpdfu list"),
        (("os", "echo", "x", "--port", "a", "--ble", "b"), "smpdfu os echo"),
        (("verify",), "smpdfu verify"),
        (("key", "gen"), "smpdfu key gen"),
        (("list", "--bogus"), "smpdfu list"),
        (("xyzzy",), "smpdfu"),
    ],
)
def test_a_usage_error_names_the_help_of_the_command_that_was_meant(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], named: str
) -> None:
    assert f"`{named} --help` shows" in failed(monkeypatch, capsys, *words)
