"""smpdfu.toml: what ``-c`` takes, what ``smpdfu profiles`` says, and mistakes with file and line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer

from smpdfu.cli.app.command import Connection
from smpdfu.cli.app.config_file import KEYS, MAX_BYTES, config_files, read_config
from smpdfu.cli.app.connection import resolve
from smpdfu.cli.update.bootloader_options import BootloaderOptions

if TYPE_CHECKING:
    from tests.cli.conftest import Call

GOOD = """\
[connection]
port = "/dev/ttyACM0"
baudrate = 57600

[profile.bench]
ip = "10.0.0.7"
timeout = 5
window = 2

[profile."two words"]
to = "virtual:desk"
"""


def test_a_port_may_be_a_connection_string_of_mcumgr() -> None:
    assert resolve(Connection(port="dev=/dev/ttyACM0,baud=9600")).address == "serial:/dev/ttyACM0?baudrate=9600"
    assert resolve(Connection(to="dev=/dev/ttyACM0")).address == "serial:/dev/ttyACM0"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The smpdfu.toml of the current folder; that of the user is in ``home``."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("smpdfu.cli.app.config_file.sys.platform", "linux")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("SMPDFU_TO", raising=False)
    return folder / "smpdfu.toml"


@pytest.fixture
def home(here: Path) -> Path:
    path = here.parent.parent / "config" / "smpdfu" / "smpdfu.toml"
    path.parent.mkdir(parents=True)
    return path


def test_a_profile_is_a_device_with_its_bounds(here: Path) -> None:
    here.write_text(GOOD)
    found = resolve(Connection(profile="bench"))
    assert (found.address, found.timeout_s, found.window_max) == ("udp:10.0.0.7", 5.0, 2)
    assert resolve(Connection(profile="two words")).address == "virtual:desk"
    assert Connection(profile="bench").timeout_or(40) == 5
    assert Connection(profile="bench", timeout=1.5).timeout_or(40) == 1.5
    assert Connection(profile="two words").timeout_or(40) == 40
    assert resolve(Connection()).address == "serial:/dev/ttyACM0?baudrate=57600"


def test_the_command_line_wins(here: Path) -> None:
    here.write_text(GOOD)
    found = resolve(Connection(profile="bench", timeout=1.5, window=7))
    assert (found.timeout_s, found.window_max) == (1.5, 7)


def test_the_nearer_file_wins(here: Path, home: Path, smpdfu: Call) -> None:
    home.write_text('[profile.bench]\nport = "COM3"\n[profile.far]\nport = "COM4"\n')
    here.write_text(GOOD)
    assert resolve(Connection(profile="bench")).address == "udp:10.0.0.7"
    assert resolve(Connection(profile="far")).address == "serial:COM4"
    rows = smpdfu("profiles", "--json").document["profiles"]
    assert [(row["name"], row["hidden"]) for row in rows] == [
        ("", False),
        ("bench", False),
        ("two words", False),
        ("bench", True),
        ("far", False),
    ]
    assert "hidden by the nearer file" in smpdfu("profiles").out


def test_profiles_are_listed(here: Path, smpdfu: Call) -> None:
    here.write_text(GOOD)
    done = smpdfu("profiles")
    assert done.code == 0
    for text in ("(default)", "serial:/dev/ttyACM0?baudrate=57600", "bench", "udp:10.0.0.7", "two words"):
        assert text in done.out
    assert smpdfu("profiles", "--json").document["profiles"][1] == {
        "name": "bench",
        "address": "udp:10.0.0.7",
        "timeout_s": 5,
        "window": 2,
        "file": "smpdfu.toml",
        "hidden": False,
    }


def test_no_file_is_no_error(here: Path, smpdfu: Call) -> None:
    done = smpdfu("profiles")
    assert done.code == 0
    assert "There are no profiles. Write [connection] or [profile.NAME] into smpdfu.toml" in done.out
    assert str(config_files()[1]) in done.out


def test_a_profile_that_is_not_there_names_those_that_are(here: Path) -> None:
    with pytest.raises(typer.BadParameter, match=r"no \[profile\.lab\] in smpdfu\.toml or"):
        resolve(Connection(profile="lab"))
    here.write_text(GOOD)
    with pytest.raises(typer.BadParameter, match=r"no profile 'lab'\. Known profiles: bench, two words"):
        resolve(Connection(profile="lab"))


MISTAKES = {
    'prot = "x"': (7, "unknown key 'prot'; known: baudrate, ble, "),
    "port = 3": (7, "'port' of [profile.a] must be a text"),
    'port = ""': (7, "'port' of [profile.a] must be a text"),
    'port = "x"\nbaudrate = 0': (8, "'baudrate' of [profile.a] must be a whole number above 0"),
    'port = "x"\n# timeout = 1\ntimeout = "5"': (9, "'timeout' of [profile.a] must be a number"),
    'port = "x"\nwindow = true': (8, "'window' of [profile.a] must be a whole number above 0"),
    "timeout = 3": (6, "[profile.a] names no device; it needs one of port, "),
    'port = "x"\nip = "y"': (6, "[profile.a] has port and ip; it needs one of"),
}


@pytest.mark.parametrize("lines", MISTAKES)
def test_a_mistake_is_named_with_its_line(here: Path, smpdfu: Call, lines: str) -> None:
    number, words = MISTAKES[lines]
    here.write_text(f'# mine\n[profile.b]\nport = "COM1"\ntimeout = 1\nwindow = 1\n[profile.a]\n{lines}\n')
    with pytest.raises(typer.BadParameter) as caught:
        resolve(Connection(profile="a"))
    assert caught.value.message.startswith(f"smpdfu.toml:{number}: ")
    assert words in caught.value.message
    assert resolve(Connection(profile="b")).address == "serial:COM1"
    done = smpdfu("profiles", "--json")
    assert done.code == 3
    assert done.document["problems"] == [caught.value.message]
    assert [row["name"] for row in done.document["profiles"]] == ["b"]
    assert done.document["error"]["exit_code"] == 3


def test_an_address_that_is_none_is_a_mistake(here: Path, smpdfu: Call) -> None:
    here.write_text('[profile.a]\nto = "nonsense"\n')
    assert "'nonsense' is not an address" in smpdfu("profiles", "--json").document["problems"][0]


def test_tables_that_mean_nothing_are_told_and_harm_nothing(here: Path, smpdfu: Call) -> None:
    here.write_text(GOOD + "[conection]\nx = 1\n")
    assert resolve(Connection(profile="bench")).address == "udp:10.0.0.7"
    assert smpdfu("profiles", "--json").document["problems"] == [
        "smpdfu.toml:12: [conection] has no effect. Known tables: [connection] and [profile.NAME]"
    ]


@pytest.mark.parametrize(
    "data", [b"[connection", b"\xff\xfe", b"a = " + b"[" * 5000, b"x" * (MAX_BYTES + 1), b"profile = 3", b"[[profile]]"]
)
def test_a_file_that_is_no_configuration_is_a_sentence(here: Path, smpdfu: Call, data: bytes) -> None:
    here.write_bytes(data)
    assert "smpdfu.toml" in smpdfu("list", "-c", "a").refused(2)
    done = smpdfu("profiles")
    assert done.code == 3
    assert "Traceback" not in done.err


def test_a_folder_in_its_place_is_a_sentence(here: Path, smpdfu: Call) -> None:
    here.mkdir()
    assert "smpdfu.toml cannot be read" in smpdfu("list", "-c", "a").refused(2)


def test_every_key_is_an_option(here: Path) -> None:
    assert set(KEYS) <= {*Connection.__dataclass_fields__, *BootloaderOptions.__dataclass_fields__}
    here.write_text("")
    found = read_config(here)
    assert found is not None
    assert found.connection is None
