"""What people are told to do next, and while an upload runs: it fits what happened."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING

import pytest

from smpdfu.cli.app.advice import ON_COMMAND, ON_REFUSAL, advice
from smpdfu.cli.terminal import show
from smpdfu.errors import DeviceError
from smpdfu.smp.groups import RCS, REQUESTS, rc_name
from smpdfu.smp.groups.image import ImageRc
from smpdfu.smp.message import MgmtRc

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys
    from tests.cli.device.conftest import Desk


def test_a_virtual_device_has_no_cable(desk: Desk, smpdfu: Call) -> None:
    refused = smpdfu("list", "--to", "virtual:nobody")
    assert "there is no virtual device 'nobody'" in refused.refused(4)
    assert "smpdfu virtual list" in refused.err
    assert "cable" not in refused.err
    assert smpdfu("virtual", "new", "blank").code == 0
    silent = smpdfu("list", "--to", "virtual:blank", "-t", "0.02")
    silent.refused(4)
    assert "smpdfu virtual show blank" in silent.err
    assert "baud" not in silent.err


def test_a_port_that_is_not_there_leads_to_scan(smpdfu: Call) -> None:
    refused = smpdfu("list", "--port", "/dev/no-such-port")
    assert "/dev/no-such-port" in refused.refused(4)
    assert "smpdfu scan" in refused.err


def test_a_slot_in_use_is_told_as_that(desk: Desk) -> None:
    refused = desk.call("erase", "--slot", "0")
    assert "img erase" in refused.refused(5)
    assert "A slot that runs" in refused.err
    assert "other slot" not in refused.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("upload", "-n", "5"), "the device has no image 5; it has image 0 only; nothing was written"),
        (
            ("test", "-n", "5"),
            "the device lists no image of number 5 in a slot that does not run",
        ),
    ],
)
def test_an_image_that_is_not_there_is_named(desk: Desk, words: tuple[str, ...], sentence: str) -> None:
    file = [desk.image()] if words[0] == "upload" else []
    assert desk.call(*words, *file).refused(6) == sentence


def test_a_slot_that_is_not_there_leads_to_those_that_are(desk: Desk) -> None:
    refused = desk.call("erase", "-n", "3")
    refused.refused(5)
    assert "smpdfu info" in refused.err


CODES = [(None, code) for code in MgmtRc] + [(group, code) for group, codes in RCS.items() for code in codes]


@pytest.mark.parametrize(("group", "code"), CODES, ids=[f"{group}-{code.name}" for group, code in CODES])
def test_every_code_of_a_refusal_has_a_next_step(group: int | None, code: IntEnum) -> None:
    """One sentence and a next step: a row for each, and none by accident for a code that says that all is well."""
    error = DeviceError(group, code, "some command", name=rc_name(group, code))
    assert code.name in str(error)
    assert ON_REFUSAL[group].keys() == {one.name for one in (MgmtRc if group is None else RCS[group])}
    said = advice(error)
    assert bool(said) is (code != 0)
    assert said == "" or (said.endswith(".") and said[0].upper() == said[0])


def test_a_code_that_nobody_knows_has_a_next_step() -> None:
    assert "the firmware's own" in advice(DeviceError(64, 7, "vendor"))


def test_every_command_with_advice_of_its_own_is_one() -> None:
    titles = {request.title for request in REQUESTS}
    names = {code.name for _, code in CODES}
    assert ON_COMMAND.keys() <= titles
    assert all(rows.keys() <= names for rows in ON_COMMAND.values())


@pytest.mark.parametrize(
    ("command", "group", "code", "words"),
    [
        ("img state write", 1, ImageRc.INVALID_IMAGE_HEADER_MAGIC, "upload the image again, then mark it"),
        ("img upload", 1, ImageRc.INVALID_IMAGE_HEADER_MAGIC, "Upload a signed image"),
        ("img upload", None, MgmtRc.EBADSTATE, "reset or confirm first"),
        ("img upload", None, MgmtRc.EINVAL, "smpdfu inspect FILE"),
        ("img state write", None, MgmtRc.EBADSTATE, "`smpdfu confirm` ends a trial"),
        ("img state write", None, MgmtRc.ENOENT, "smpdfu list"),
        ("img erase", None, MgmtRc.EBADSTATE, "is not erased"),
    ],
)
def test_a_code_means_what_it_means_for_its_command(command: str, group: int | None, code: IntEnum, words: str) -> None:
    """SMP version 1 has few codes for all groups; Zephyr answers a mark that fails with one for wrong headers."""
    assert words in advice(DeviceError(group, code, command, name=code.name))


def test_a_wrong_passphrase_is_not_a_missing_one(smpdfu: Call, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "wrong")
    wrong = smpdfu("getpub", "-k", keys.protected, "--passphrase-env", "SECRET")
    assert str(keys.protected) in wrong.refused(3)
    assert "Type it again" in wrong.err
    missing = smpdfu("getpub", "-k", keys.protected)
    missing.refused(3)
    assert "--passphrase-env NAME" in missing.err


def test_the_summary_counts_what_was_sent(desk: Desk) -> None:
    said = desk.call("upload", desk.image(size=20_000), "-w", "1")
    assert said.code == 0
    assert re.search(r"\d+ bytes in \d+\.\d s, \d+\.\d kB/s\n", said.out)
    assert "in flight" not in said.out
    desk.json("erase")
    found = desk.json("upload", desk.image(size=20_000), "-w", "1")
    assert found["window"] == 1
    assert "not in the range" in desk.call("list", "-w", "0").refused(2)


def test_the_rate_is_that_of_what_was_sent_now() -> None:
    from smpdfu.cli.update.upload import _sent

    answer = {"bytes": 90_000, "resumed_at": 60_000, "seconds": 3.0, "requests": 30, "window": 3, "retries": 2}
    assert _sent(answer) == ("90000 bytes in 3.0 s, 10.0 kB/s; an earlier run sent 60000 of them; 2 requests repeated")


def test_a_log_of_an_upload_has_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("smpdfu.cli.terminal.show.time.monotonic", lambda: clock[0])
    with show.Output().progress("app.bin") as advance:
        for at, done in ((100, 0), (106, 0), (107, 50_000), (112, 100_000), (113, 110_000), (118, 200_000)):
            clock[0] = at
            advance(done, 300_000, show.upload_phase(done))
    assert capsys.readouterr().err.splitlines() == [
        "app.bin: 0 of 300000 bytes, erasing",
        "app.bin: 100000 of 300000 bytes, 10.0 kB/s, 20 s left",
        "app.bin: 200000 of 300000 bytes, 13.6 kB/s, 7 s left",
    ]
    with show.Output(json=True).progress("app.bin") as advance:
        clock[0] += 100
        advance(1, 2, "")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "app.bin: 1 of 2 bytes\n")


def test_the_console_of_a_device_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    from smpdfu.cli.virtual.serving import _console_line

    _console_line("\x1b[2Jhello\x9b")
    assert capsys.readouterr().err == "\ufffd[2Jhello\ufffd\n"
