"""``smpdfu agent unit``: the unit is one that systemd takes, with the paths and secrets of the agent's file."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.deadlines import HANG_S

if TYPE_CHECKING:
    from tests.cli.conftest import Call

SERVER = '[agent]\ngateway = "b17"\n[server]\nurl = "https://h.example"\n'
TOKEN = '[authentication]\ngateway_token_file = "gateway.token"\n'
DEVICE = '[[device]]\nname = "a"\naddress = "udp:10.0.0.1"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An agent's file at a path that a unit can have."""
    path = tmp_path / "agent.toml"
    path.write_text(SERVER + TOKEN + DEVICE)
    return path


def unit(smpdfu: Call, file: Path) -> dict[str, str]:
    """The service section of the unit; of a key that is there twice, the last value."""
    done = smpdfu("agent", "unit", file)
    assert done.code == 0, done.err
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(done.out)
    return dict(parser["Service"])


def test_it_starts_this_agent_with_its_secrets(smpdfu: Call, file: Path) -> None:
    found = unit(smpdfu, file)
    assert found["ExecStart"].endswith(f"agent run {file}")
    assert Path(found["ExecStart"].split()[0]).parent == Path(sys.executable).parent
    assert found["LoadCredential"] == f"gateway.token:{file.parent / 'gateway.token'}"
    assert (found["Restart"], found["DynamicUser"], found["ProtectSystem"]) == ("on-failure", "yes", "strict")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd-analyze")
def test_systemd_takes_it(smpdfu: Call, file: Path, tmp_path: Path) -> None:
    place = tmp_path / "smpdfu-agent.service"
    place.write_text(smpdfu("agent", "unit", file).out)
    words = ["systemd-analyze", "verify", "--man=no", str(place)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=HANG_S)
    said = [line for line in done.stderr.splitlines() if "smpdfu" in line]
    assert (done.returncode, said) == (0, [])
    place.write_text(place.read_text().replace("ProtectSystem=strict", "ProtectSystem=perhaps"))
    done = subprocess.run(words, capture_output=True, text=True, timeout=HANG_S)
    assert "perhaps" in done.stderr, "it would say what it does not know"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (TOKEN, '[authentication]\ngateway_token_env = "X"\n', "use 'gateway_token_file'"),
        (TOKEN, '[authentication]\ntarget_tokens = "."\n', "a service takes 'target_tokens' in one CSV file"),
        ('gateway = "b17"\n', 'gateway = "b17"\nstate = "state"\n', "leave 'state' in .agent. out"),
        (DEVICE, DEVICE + '[artifacts]\nfolder = "files"\n', "leave 'folder' in .artifacts. out"),
        ('"gateway.token"', '"gateway token %i"', "has characters that mean something in a unit"),
    ],
)
def test_what_a_service_cannot_have(old: str, new: str, says: str, smpdfu: Call, file: Path) -> None:

    file.write_text(file.read_text().replace(old, new))
    assert re.search(says, smpdfu("agent", "unit", file).refused(3))


def test_all_secrets_go_to_the_service(smpdfu: Call, file: Path) -> None:
    file.write_text(
        file.read_text().replace(TOKEN, '[authentication]\ncertificate = "c.pem"\nkey = "k.pem"\n')
        + '[management]\nuser = "reader"\npassword_file = "reader.password"\n'
    )
    text = smpdfu("agent", "unit", file).out
    assert "LimitCORE=0" in text.splitlines()
    lines = [line for line in text.splitlines() if line.startswith("LoadCredential")]
    folder = file.parent
    assert lines == [
        f"LoadCredential=k.pem:{folder / 'k.pem'}",
        f"LoadCredential=reader.password:{folder / 'reader.password'}",
    ]
