"""One device under several names: one update at a time, in whichever process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from smpdfu.dfu.do.journal.device_lock import locked
from smpdfu.dfu.fleet.causes import cause
from smpdfu.errors import JournalError

ROOT = Path(__file__).parent.parent.parent
HOLD = """
import sys
from smpdfu.dfu.do.journal.device_lock import locked
with locked(sys.argv[1:]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SMPDFU_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def refused(*places: str) -> JournalError:
    with pytest.raises(JournalError) as caught, locked(places):
        pass
    return caught.value


def test_another_process_has_it() -> None:
    """By one of the addresses that its name leads to; the system gives it back when that process dies."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, "udp:10.0.0.7:1337", "udp:10.0.0.8:1337"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        error = refused("udp:10.0.0.6:1337", "udp:10.0.0.8:1337")
        assert str(error) == (
            f"process {other.pid} is updating the device at udp:10.0.0.8:1337, perhaps under another name"
        )
        assert cause(error) == "another process has the device"
        with locked(["udp:10.0.0.6:1337", "udp:10.0.0.8:1338"]):
            pass
        other.kill()
        other.wait()
    with locked(["udp:10.0.0.8:1337"]):
        assert refused("udp:10.0.0.8:1337", "udp:10.0.0.6:1337")
    with locked(["udp:10.0.0.6:1337"]), locked([]):
        pass


def test_a_folder_that_cannot_be_had(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "locks").write_text("")
    assert "cannot be taken" in str(refused("udp:10.0.0.7:1337"))
