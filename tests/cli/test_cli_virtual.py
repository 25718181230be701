"""``smpdfu virtual``: devices that are made, run, looked into and deleted from the command line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from smpdfu.dfu.decide.record import Record
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.journal.reading import journal_path, read_record
from tests.deadlines import HANG_S

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

SLOT = 0x7A000


def vectors(address: int) -> bytes:
    """The vector table of firmware that is linked for ``address``."""
    return b"".join(word.to_bytes(4, "little") for word in (0x2000_4000, *[address + 0x101] * 15))


APP = vectors(0xC200) + bytes(range(256)) * 20
NET = vectors(0x0100_8800) + bytes(range(255, -1, -1)) * 10


def sign(folder: Path, name: str, firmware: bytes, key: Path, version: str = "1.2.3+4") -> Path:
    from smpdfu.image.format import Version
    from smpdfu.image.keys.keys import load_private
    from smpdfu.image.signing.build import ImageSpec, build

    spec = ImageSpec(Version.from_text(version), 0x200, 0, pad_header=True)
    path = folder / name
    path.write_bytes(build(spec, firmware, load_private(key.read_bytes())).to_bytes())
    return path


@pytest.fixture
def app(tmp_path: Path, keys: Keys) -> Path:
    return sign(tmp_path, "app_update.bin", APP, keys.signing)


@pytest.fixture
def net(tmp_path: Path, keys: Keys) -> Path:
    return sign(tmp_path, "net_core_update.bin", NET, keys.signing)


@pytest.fixture
def desk(smpdfu: Call, keys: Keys, app: Path, net: Path) -> str:
    made = smpdfu("virtual", "new", "desk", "--key", keys.signing_public, "--app", app, "--net", net)
    assert made.code == 0, made.err
    return "desk"


def flash(name: str, core: str) -> bytes:
    return (Path(os.environ["SMPDFU_VIRTUAL_HOME"]) / name / f"{core}.flash").read_bytes()


# --- new ------------------------------------------------------------------------------------------------------------


def test_new_loads_both_cores_as_a_debugger_does(smpdfu: Call, desk: str, app: Path) -> None:
    assert flash(desk, "app")[0xC000:].startswith(app.read_bytes())
    assert flash(desk, "net")[0x8800:].startswith(NET)
    shown = json.loads(smpdfu("virtual", "show", desk, "--json").out)
    assert (shown["app_runs"], shown["net_runs"], shown["next_boot"]) == (True, True, "none")
    primary, secondary = shown["slots"]
    assert (primary["name"], primary["version"], primary["state"]) == ("primary", "1.2.3+4", "image")
    assert (secondary["name"], secondary["version"], secondary["state"]) == ("secondary", None, "empty")
    assert primary["trailer"] == {"magic": "unset", "swap_info": None, "copy_done": "unset", "image_ok": "unset"}


def test_new_takes_hex_files_signed_and_plain(smpdfu: Call, keys: Keys, app: Path, tmp_path: Path) -> None:
    from smpdfu.image.hexfile import Segment, encode

    signed, plain = tmp_path / "app.hex", tmp_path / "net.hex"
    signed.write_bytes(encode((Segment(0xC000, app.read_bytes()),)))
    plain.write_bytes(encode((Segment(0x0100_8800, NET), Segment(0x0100_0000, b"b0n "))))
    made = smpdfu("virtual", "new", "desk", "-k", keys.signing, "--app", signed, "--net", plain, "--json")
    assert made.code == 0, made.err
    assert json.loads(made.out)["app_runs"]
    assert json.loads(made.out)["net_runs"]
    assert flash("desk", "net").startswith(b"b0n ")


def test_new_says_that_a_protected_key_is_kept_without_its_passphrase(
    smpdfu: Call, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smpdfu.cli.keys.passphrase.Passphrase.ask", lambda self, key: keys.passphrase.encode())
    made = smpdfu("virtual", "new", "desk", "--enc-key", keys.protected)
    assert made.code == 0, made.err
    file = Path(os.environ["SMPDFU_VIRTUAL_HOME"]) / "desk" / "device.json"
    assert f"warning: smpdfu stores the key {keys.protected} without its passphrase" in made.err
    assert f"in {file}. Only you can read that file" in made.err
    assert "BEGIN PRIVATE KEY" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    assert "warning" not in smpdfu("virtual", "new", "bench", "--enc-key", keys.encryption).err


def test_new_leaves_out_what_is_not_flash(smpdfu: Call, tmp_path: Path) -> None:
    from smpdfu.image.hexfile import Segment, encode

    merged = tmp_path / "merged.hex"
    merged.write_bytes(encode((Segment(0x40, b"code"), Segment(0x01FF_8000, b"UICR"))))
    made = smpdfu("virtual", "new", "desk", "--app", merged)
    assert made.code == 0
    assert "warning: skipped 0x1ff8000 to 0x1ff8004: there is no flash of either core" in made.err
    assert flash("desk", "app")[0x40:0x44] == b"code"


def test_new_keeps_public_keys_only_but_for_decryption(smpdfu: Call, keys: Keys) -> None:
    arguments = ("--sign-key", keys.signing, "--net-key", keys.other, "--enc-key", keys.encryption)
    assert smpdfu("virtual", "new", "desk", *arguments).code == 0
    kept = json.loads((Path(os.environ["SMPDFU_VIRTUAL_HOME"]) / "desk" / "device.json").read_text())
    assert kept["sign_keys"] == [keys.signing_public.read_text()]
    assert "PRIVATE" not in "".join(kept["net_keys"])
    assert "PRIVATE" in kept["enc_key"]


def test_new_says_why_the_application_does_not_start(smpdfu: Call, keys: Keys, app: Path) -> None:
    made = smpdfu("virtual", "new", "desk", "--key", keys.other, "--app", app)
    assert made.code == 0
    assert "warning: the device does not start this application: " in made.err
    assert not json.loads(smpdfu("virtual", "show", "desk", "--json").out)["app_runs"]


def test_new_names_the_command_that_deletes_the_device_of_this_name(smpdfu: Call, desk: str) -> None:
    refused = smpdfu("virtual", "new", desk).refused(2)
    assert f"'{desk}' exists already. Choose another name, or delete that device: `smpdfu virtual delete {desk}`" in (
        " ".join(refused.split())
    )
    assert "virtual delete" not in smpdfu("virtual", "new", "-desk").refused(2)


def test_what_new_refuses_leaves_no_device(smpdfu: Call, keys: Keys, tmp_path: Path, desk: str) -> None:
    elf, large = tmp_path / "app.elf", tmp_path / "large.bin"
    elf.write_bytes(b"\x7fELF" + bytes(60))
    large.write_bytes(bytes(0x100001))
    refused: list[tuple[tuple[object, ...], int]] = [
        (("desk",), 2),
        (("../x",), 2),
        (("x", "--layout", "nrf91"), 2),
        (("x", "--key", tmp_path / "missing.pem"), 3),
        (("x", "--enc-key", keys.encryption_public), 3),
        (("x", "--enc-key", keys.protected), 3),
        (("x", "--app", elf), 3),
        (("x", "--app", tmp_path / "missing.bin"), 3),
        (("x", "--app", large), 3),
        (("x", "--net", large), 3),
    ]
    for arguments, code in refused:
        outcome = smpdfu("virtual", "new", *arguments)
        assert outcome.code == code, (arguments, outcome.err)
        assert "unexpected" not in outcome.err
    assert json.loads(smpdfu("virtual", "list", "--json").out)["devices"][0]["name"] == desk
    assert [path.name for path in Path(os.environ["SMPDFU_VIRTUAL_HOME"]).iterdir()] == [desk]


# --- show, list, log, delete ----------------------------------------------------------------------------------------


def test_show_and_list_for_people(smpdfu: Call, desk: str) -> None:
    shown = smpdfu("virtual", "show", desk).out
    assert "nrf5340dk-staged, swap-move" in shown
    assert "application core: runs" in shown
    assert "network core: runs" in shown
    assert "1.2.3+4" in shown
    assert desk in smpdfu("virtual", "list").out


def test_a_damaged_device_does_not_hide_the_others(smpdfu: Call, desk: str) -> None:
    assert smpdfu("virtual", "new", "broken").code == 0
    (Path(os.environ["SMPDFU_VIRTUAL_HOME"]) / "broken" / "app.flash").write_bytes(b"short")
    listed = smpdfu("virtual", "list", "--json")
    broken, whole = json.loads(listed.out)["devices"]
    assert (broken["name"], whole["name"], whole["app_runs"]) == ("broken", desk, True)
    assert "warning: smpdfu cannot use the virtual device 'broken': " in listed.err
    assert smpdfu("virtual", "delete", "broken").code == 0


def test_a_command_sees_what_the_command_before_did(smpdfu: Call, keys: Keys, desk: str, tmp_path: Path) -> None:
    new = sign(tmp_path, "v2.bin", APP + b"new", keys.signing, "2.0.0")
    assert smpdfu("upload", new, "--test", "--to", f"virtual:{desk}").code == 0
    shown = json.loads(smpdfu("virtual", "show", desk, "--json").out)
    assert (shown["slots"][1]["version"], shown["next_boot"]) == ("2.0.0", "test")
    assert smpdfu("reset", "--to", f"virtual:{desk}").code == 0
    shown = json.loads(smpdfu("virtual", "show", desk, "--json").out)
    assert [slot["version"] for slot in shown["slots"]] == ["2.0.0", "1.2.3+4"]
    assert shown["next_boot"] == "revert"
    assert flash(desk, "app")[0xC000:].startswith(new.read_bytes())


def test_log(smpdfu: Call, desk: str) -> None:
    everything = smpdfu("virtual", "log", desk).out.splitlines()
    assert everything[0].startswith("*** Booting MCUboot v")
    assert "I: Starting bootloader" in everything
    assert smpdfu("virtual", "log", desk, "-n", "2").out.splitlines() == everything[-2:]
    assert json.loads(smpdfu("virtual", "log", desk, "--json").out) == {"lines": everything}
    assert smpdfu("virtual", "log", desk, "-n", "0").code == 2


def test_delete(smpdfu: Call, desk: str) -> None:
    assert json.loads(smpdfu("virtual", "delete", desk, "--json").out) == {"deleted": desk}
    assert smpdfu("virtual", "list").out.startswith("There are no virtual devices.")
    assert json.loads(smpdfu("virtual", "list", "--json").out) == {"devices": []}


def test_delete_deletes_the_journal_of_the_updates(smpdfu: Call, desk: str) -> None:
    """A record of an update would say of a new device with the same name that its network core has its image."""
    journal = journal_path(f"virtual:{desk}")
    with Journal(journal) as record:
        record.begin("11" * 32)
        record.done("upload net")
    other = journal_path("virtual:other")
    with Journal(other):
        pass
    assert smpdfu("virtual", "delete", desk).err == ""
    assert read_record(journal) == Record()
    assert not journal.exists()
    assert other.exists()


def test_delete_says_that_a_journal_in_use_stays(smpdfu: Call, desk: str) -> None:
    with Journal(journal_path(f"virtual:{desk}")):
        done = smpdfu("virtual", "delete", desk, "--json")
    assert json.loads(done.out) == {"deleted": desk}
    assert "warning: the record of its updates stays" in done.err


@pytest.mark.parametrize("verb", ["show", "run", "log", "delete"])
def test_a_device_that_is_not_there_is_one_sentence(smpdfu: Call, desk: str, verb: str) -> None:
    outcome = smpdfu("virtual", verb, "nobody")
    assert outcome.code == 4
    assert outcome.sentence == "there is no virtual device 'nobody'. Known devices: desk"


# --- run ------------------------------------------------------------------------------------------------------------


@contextmanager
def running(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any] | str]]:
    """``smpdfu virtual run`` in a process of its own, and the line that it prints."""
    command = [sys.executable, "-m", "smpdfu", "virtual", "run", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = read_line(process.stdout)
            yield process, json.loads(line) if "--json" in arguments else line
        finally:
            process.kill()


def read_line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline().strip()


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals and signals are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_run_serves_at_a_terminal_until_the_signal(
    smpdfu: Call, desk: str, tmp_path: Path, number: signal.Signals
) -> None:
    port = tmp_path / "port"
    with running(desk, "--pty", "--json", "--link", port) as (process, announced):
        assert announced == {"name": desk, "port": str(port)}
        assert port.is_symlink()
        assert smpdfu("echo", "hello", "--port", port).out.strip() == "hello"
        taken = smpdfu("list", "--to", f"virtual:{desk}")
        assert (taken.code, taken.sentence) == (
            4,
            f"process {process.pid} uses the virtual device 'desk' at {port}",
        )
        assert json.loads(smpdfu("virtual", "list", "--json").out)["devices"][0]["pid"] == process.pid
        assert smpdfu("virtual", "delete", desk).code == 4
        assert smpdfu("reset", "--port", port).code == 0
        while "Booting Zephyr" not in read_line(process.stderr):
            pass
        process.send_signal(number)
        assert process.wait(HANG_S) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""
    assert not port.is_symlink()
    assert smpdfu("echo", "still there", "--to", f"virtual:{desk}").out.strip() == "still there"


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")
def test_run_outlives_a_first_piece_that_is_no_header(smpdfu: Call, desk: str) -> None:
    from smpdfu.connect import client_for
    from smpdfu.smp.groups.image import ImageUpload, UploadReply

    async def upload(port: str) -> UploadReply:
        async with client_for(f"serial:{port}") as client:
            return await client.request(ImageUpload(off=0, len=100, data=bytes.fromhex("3db8f396") + bytes(60)))

    with running(desk) as (process, port):
        assert asyncio.run(upload(str(port))) == UploadReply(64)
        assert smpdfu("echo", "still there", "--port", port).out.strip() == "still there"
        process.terminate()
        assert process.wait(HANG_S) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")
def test_run_prints_its_port_alone_on_stdout(smpdfu: Call, desk: str) -> None:
    with running(desk) as (process, port):
        assert isinstance(port, str)
        assert Path(port).is_char_device()
        assert smpdfu("echo", "x", "--port", port).code == 0
        process.terminate()
        assert process.wait(HANG_S) == 0


def test_run_does_not_replace_a_file_by_its_link(smpdfu: Call, desk: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("mine")
    outcome = smpdfu("virtual", "run", desk, "--link", kept)
    assert outcome.code == 4
    assert outcome.sentence == f"{kept} exists and is not a link: it was left as it is"
    assert kept.read_text() == "mine"
