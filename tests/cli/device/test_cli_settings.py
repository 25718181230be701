"""``settings``: read, write, and keep over a reset."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from smpdfu.cli.device.settings_store import text_of

if TYPE_CHECKING:
    from tests.cli.device.conftest import Desk


def test_a_value_is_there_after_it_was_written(desk: Desk) -> None:
    assert desk.json("settings", "write", "app/name", "Jörg's board") == {
        "name": "app/name",
        "bytes": 13,
        "written": True,
    }
    assert desk.call("settings", "read", "app/name").out == "Jörg's board\n"
    assert desk.json("settings", "read", "app/name") == {
        "name": "app/name",
        "value": "Jörg's board".encode().hex(),
        "text": "Jörg's board",
        "max_size": None,
        "file": None,
    }


def test_bytes_are_hex(desk: Desk) -> None:
    desk.json("settings", "write", "app/raw", "--hex", "0x00FF10")
    assert desk.call("settings", "read", "app/raw").out == "00ff10\n"
    assert desk.json("settings", "read", "app/raw")["text"] is None
    desk.json("settings", "write", "app/raw", "--hex", "6869")
    assert desk.call("settings", "read", "app/raw").out == "hi\n"
    assert desk.call("settings", "read", "app/raw", "--hex").out == "6869\n"


def test_a_value_comes_from_a_file_and_goes_into_one(desk: Desk) -> None:
    here, there = desk.folder / "here.bin", desk.folder / "there.bin"
    here.write_bytes(bytes(range(200)))
    assert desk.json("settings", "write", "app/blob", "--file", here)["bytes"] == 200
    assert desk.json("settings", "read", "app/blob", "-o", there)["file"] == str(there)
    if os.name == "posix":  # a setting may be a secret
        assert there.stat().st_mode & 0o077 == 0
    assert there.read_bytes() == here.read_bytes()


def test_a_part_of_a_value(desk: Desk) -> None:
    desk.json("settings", "write", "app/long", "x" * 100)
    assert desk.call("settings", "read", "app/long", "--max-size", 3).out == "xxx\n"
    done = desk.call("settings", "read", "app/long", "--max-size", 100_000)
    assert "warning: this device sends 256 bytes of a value at most" in done.err


def test_what_is_saved_outlives_a_reset_and_what_is_not_does_not(desk: Desk) -> None:
    desk.json("settings", "write", "app/kept", "1")
    assert desk.json("settings", "save") == {"name": None, "saved": True}
    desk.json("settings", "write", "app/lost", "2")
    desk.json("reset")
    assert desk.call("settings", "read", "app/kept").out == "1\n"
    assert "KEY_NOT_FOUND" in desk.call("settings", "read", "app/lost").refused(5)


def test_load_and_commit_and_delete(desk: Desk) -> None:
    desk.json("settings", "write", "app/a", "old")
    desk.json("settings", "save", "app")
    desk.json("settings", "write", "app/a", "new")
    assert desk.json("settings", "load") == {"loaded": True}
    assert desk.call("settings", "read", "app/a").out == "old\n"
    assert desk.json("settings", "commit") == {"committed": True}
    assert desk.json("settings", "delete", "app/a") == {"name": "app/a", "deleted": True}
    desk.json("reset")
    assert "KEY_NOT_FOUND" in desk.call("settings", "read", "app/a").refused(5)


def test_storage_erase_forgets_what_was_saved(desk: Desk) -> None:
    desk.json("settings", "write", "app/a", "1")
    desk.json("settings", "save")
    assert "--yes" in desk.call("storage", "erase").refused(2)
    assert desk.json("storage", "erase", "--yes") == {"erased": True}
    desk.json("reset")
    assert "KEY_NOT_FOUND" in desk.call("settings", "read", "app/a").refused(5)


def test_refusals_say_what_to_do(desk: Desk) -> None:
    done = desk.call("settings", "write", "other/a", "1")
    assert "ROOT_KEY_NOT_FOUND" in done.refused(5)
    assert "no settings under the first part" in done.err
    assert "KEY_TOO_LONG" in desk.call("settings", "read", "app/" + "x" * 100).refused(5)


@pytest.mark.parametrize("words", [[], ["a", "--hex", "00"], ["--hex", "0"], ["--hex", "zz"]])
def test_one_value_and_no_other(desk: Desk, words: list[str]) -> None:
    assert desk.call("settings", "write", "app/a", *words).refused(2)


def test_a_value_that_no_message_carries(desk: Desk) -> None:
    assert "the device takes" in desk.call("settings", "write", "app/a", "x" * 5000).refused(2)
    assert desk.call("settings", "write", "app/a", "--file", "/dev/zero").refused(3)
    assert "No such file" in desk.call("settings", "write", "app/a", "--file", desk.folder / "none").refused(3)


@pytest.mark.parametrize(
    ("value", "text"),
    [(b"abc", "abc"), (b"abc\0", "abc"), (b"", ""), (b"\x1b[2J", None), (b"a\0b", None), (b"\xff", None)],
)
def test_text_is_what_a_terminal_may_show(value: bytes, text: str | None) -> None:
    assert text_of(value) == text
