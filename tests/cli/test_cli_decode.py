"""``decode``: every kind of capture, live pipes, and files that are none."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.cli.computer import decode
from smpdfu.smp.captures import LINE_MAX, PEEK, CaptureFormat, Seen, guess, read_capture
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.smp.groups.image import ImageUpload, StateRead
from smpdfu.smp.groups.os import Echo
from smpdfu.untrusted import files

if TYPE_CHECKING:
    from tests.cli.conftest import Call

RECORDINGS = sorted((Path(__file__).parent.parent / "vectors" / "recordings").glob("*.jsonl"))
FIRST, SECOND = Echo("one").to_bytes(1), ImageUpload(off=0, len=900, data=bytes(300)).to_bytes(2)


def on_a_line(*messages: bytes) -> bytes:
    return b"".join(map(ConsoleFraming().encode, messages))


CAPTURES = {
    "hex": f"{FIRST.hex()}\n\n0x{SECOND.hex(' ')}\r\n".encode(),
    "hex of a serial line": on_a_line(FIRST, SECOND).replace(b"\n", b"\n\n").hex().replace("0a0a", "0a\n").encode(),
    "console": b"*** Booting ***\n" + on_a_line(FIRST) + b"uart:~$ " + on_a_line(SECOND) + b"bye",
    "raw": FIRST + SECOND,
    "json": b"".join(json.dumps({"dir": "sent", "hex": one.hex()}).encode() + b"\n" for one in (FIRST, SECOND)),
}


def frames(found: Iterator[Seen]) -> list[str]:
    return [one.text for one in found if one.frame]


@pytest.mark.parametrize("name", CAPTURES)
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_every_kind_of_capture_is_read_however_it_comes(name: str, step: int) -> None:
    data = CAPTURES[name]
    pieces = [data[start : start + step] for start in range(0, len(data), step)]
    seen = frames(read_capture(pieces))
    assert len(seen) == 2, seen
    assert seen[0] == "#1 os echo d=one"
    assert seen[1].startswith("#2 img upload off=0 len=900 data=<300 bytes")


def test_noise_at_the_start_of_a_raw_capture_does_not_hide_the_rest() -> None:
    """It can look like a header that promises more than the file has."""
    seen = frames(read_capture([b"\x0b\x00\xff\xff\xff\xff" + FIRST + SECOND], CaptureFormat.RAW))
    assert "#1 os echo d=one" in seen


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" + "0" * 400, "1e300"])
@pytest.mark.parametrize("field", ["t", "ms", "retry", "other"])
def test_numbers_that_no_log_has_are_borne(number: str, field: str, smpdfu: Call, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f'{{"dir": "sent", "hex": "{FIRST.hex()}"}}\n{{"dir": "link", "text": "x", "{field}": {number}}}\n')
    assert smpdfu("decode", log).code == 0
    done = smpdfu("decode", log, "--json")
    assert done.code == 0
    json.loads(done.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@pytest.mark.parametrize("form", [CaptureFormat.JSON, CaptureFormat.HEX])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_that_is_too_long_is_told(form: CaptureFormat, end: bytes) -> None:
    pieces = [b"\n", b"00" * 1000, b"00" * LINE_MAX, b"00", end]
    assert [one.text for one in read_capture(pieces, form)] == [f"line 2 is longer than {LINE_MAX} bytes"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")
@pytest.mark.parametrize("form", ["auto", "hex", "console", "raw", "json"])
def test_what_never_ends_ends(smpdfu: Call, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "_MOST_WITHOUT", 1 << 18)
    assert "no SMP message in it" in smpdfu("decode", "--format", form, "/dev/zero").refused()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")
def test_a_pipe_that_nobody_writes_to_is_an_error(
    smpdfu: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "FIRST_BYTE_S", 0.05)
    os.mkfifo(tmp_path / "pipe")
    assert "no program writes to it" in smpdfu("decode", tmp_path / "pipe").refused()


def test_the_console_between_the_frames_is_kept() -> None:
    seen = [one.text for one in read_capture([CAPTURES["console"]]) if one.way == "console"]
    assert seen == ["*** Booting ***", "uart:~$ ", "bye"]


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_recordings_are_read(path: Path, smpdfu: Call) -> None:
    done = smpdfu("decode", path)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    wanted = len(re.findall(r'hex": ?"[0-9a-f]', path.read_text()))
    assert sum(line.startswith(("> ", "< ")) for line in lines) == wanted > 20


def test_json_is_one_document(smpdfu: Call, tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(CAPTURES["console"])
    found = smpdfu("decode", path, "--json").document["seen"]
    assert [one["dir"] for one in found] == ["console", "frame", "console", "frame", "console"]
    assert (found[1]["name"], found[1]["body"]) == ("os echo", {"d": "one"})


def test_the_format_can_be_said(smpdfu: Call, tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(b"noise" + FIRST)
    assert "os echo" in smpdfu("decode", path, "--format", "raw").out
    assert "Use one of auto, json" in smpdfu("decode", path, "--format", "pcap").refused(2)


def test_a_capture_is_read_while_it_is_written() -> None:
    command = [sys.executable, "-m", "smpdfu", "decode", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(on_a_line(FIRST))
        process.stdin.flush()
        assert process.stdout.readline() == b"  #1 os echo d=one\n"  # the pipe is still open
        process.stdin.close()
    assert process.returncode == 0


@pytest.mark.parametrize("data", [b"", b"hello\n", b'{"a": 1}\n{"b"', bytes(5000), b"\xff" * 9000])
def test_a_file_without_a_message_is_told_as_that(data: bytes, smpdfu: Call, tmp_path: Path) -> None:
    path = tmp_path / "nothing"
    path.write_bytes(data)
    assert "contains no SMP message" in smpdfu("decode", path).refused(3)
    assert "No such file" in smpdfu("decode", tmp_path / "missing").refused(3)


def test_bad_lines_are_named_and_the_rest_is_read() -> None:
    lines = [b'{"dir": "sent", "hex": "zz"}', b"[1]", b'{"x": NaN}', b"[" * 100_000, CAPTURES["json"]]
    seen = list(read_capture([b"{}\n" + b"\n".join(lines)]))
    assert [one.text for one in seen if one.way == "note"] == [
        f"line {number} is not a JSON object" for number in (3, 4, 5)
    ]
    assert len([one for one in seen if one.readable]) == 2
    mixed = list(read_capture([FIRST.hex().encode() + b"\nabc\nwords\n" + FIRST.hex().encode()]))
    assert [one.way for one in mixed] == ["", "note", "note", ""]


def test_an_endless_line_takes_no_memory() -> None:
    size = LINE_MAX // 8

    def endless() -> Iterator[bytes]:
        yield b'{"dir": "'
        for _ in range(64):
            yield b"x" * size
        yield b"\n" + CAPTURES["json"]

    import tracemalloc

    tracemalloc.start()
    try:
        assert len(frames(read_capture(endless()))) == 2
        assert tracemalloc.get_traced_memory()[1] < 6 * LINE_MAX
    finally:
        tracemalloc.stop()


def test_what_would_move_a_cursor_is_not_printed(smpdfu: Call, tmp_path: Path) -> None:
    path = tmp_path / "evil.log"
    evil = "\x1b[2J\x9b1m\u202e"
    records = [{"dir": "console", "text": evil}, {"step": evil}, {"dir": evil, "text": evil, "hex": FIRST.hex()}]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    shown = smpdfu("decode", path).out
    assert "os echo" in shown
    assert not set(shown) & set("\x1b\x9b\u202e")


def test_formats_are_told_apart() -> None:
    assert guess(b"\n0a") is CaptureFormat.HEX
    assert guess(b"  {") is CaptureFormat.JSON
    assert guess(b"0a 00\nno hex") is CaptureFormat.HEX
    assert guess(b"text\n\x06\x09") is CaptureFormat.CONSOLE
    assert guess(b"text") is CaptureFormat.CONSOLE
    assert guess(bytes(8) + on_a_line(FIRST)) is CaptureFormat.CONSOLE  # a line that was at rest while the port opened
    assert guess(StateRead().to_bytes(1)) is CaptureFormat.RAW
    assert guess(base64.b64encode(b"a" * PEEK)) is CaptureFormat.CONSOLE


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=5), st.sampled_from(CaptureFormat))
def test_no_bytes_make_reading_fail(chunks: list[bytes], form: CaptureFormat) -> None:
    for one in read_capture(chunks, form):
        json.dumps(one.to_dict(), allow_nan=False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("t", "dir", "text", "hex", "ms", "retry", "step", "name", "request", "responses", "lines", "log", "size_bytes")


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_no_json_makes_reading_fail(record: dict[str, object]) -> None:
    from smpdfu.cli.computer.decode import line_of_seen

    for one in read_capture([json.dumps(record).encode()], CaptureFormat.JSON):
        line_of_seen(one)
        json.dumps(one.to_dict(), allow_nan=False)


def test_a_file_without_messages_is_one_document(smpdfu: Call, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("no message\n")
    done = smpdfu("decode", path, "--json")
    assert done.code == 3
    assert done.document["seen"] == [{"dir": "console", "text": "no message"}]
    assert done.document["error"]["kind"] == "FormatError"


# --- hex dumps -------------------------------------------------------------------------------------------------------


def hex_dump(data: bytes) -> str:
    """As Go's ``hex.Dump`` writes it, and ``hexdump -C`` but for its last line."""
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        halves = "  ".join(" ".join(f"{one:02x}" for one in row[start : start + 8]) for start in (0, 8))
        text = "".join(chr(one) if 32 <= one < 127 else "." for one in row)
        lines.append(f"{at:08x}  {halves:<48}  |{text}|\n")
    return "".join(lines)


def xxd(data: bytes) -> str:
    rows = (data[at : at + 16] for at in range(0, len(data), 16))
    return "".join(f"{16 * at:08x}: {row.hex(' ', -2):<39}  {'.' * len(row)}\n" for at, row in enumerate(rows))


def debug_log(*messages: tuple[str, bytes]) -> str:
    """As ``mcumgr -l DEBUG`` prints it: each message as it is, then each of its lines in three dumps."""
    text = "DEBU[2026-11-29 10:00:00] Using connection profile: type=serial connstring=dev=/dev/ttyACM0\n"
    for way, message in messages:
        text += f"DEBU[2026-11-29 10:00:00] {way} NMP request: {hex_dump(message)}"
        for line in ConsoleFraming().encode(message).splitlines(keepends=True):
            text += f"DEBU[2026-11-29 10:00:00] {way} serial\n"
            text += hex_dump(line[:2]) + hex_dump(line[2:-1]) + hex_dump(line[-1:])
    return text


@pytest.mark.parametrize("form", [hex_dump, xxd])
@pytest.mark.parametrize("way", ["auto", "console"])
def test_hex_dumps(form: Callable[[bytes], str], way: str) -> None:
    seen = frames(read_capture([(form(FIRST) + form(SECOND)).encode()], CaptureFormat(way)))
    assert seen[0] == "#1 os echo d=one"
    assert seen[1].startswith("#2 img upload off=0 len=900 data=<300 bytes")
    assert len(seen) == 2


@pytest.mark.parametrize("step", [1, 100_000])
def test_a_debug_log_of_mcumgr(step: int) -> None:
    """A message that is dumped as it is and as the bytes on the wire is one; one that was sent twice is two."""
    data = debug_log(("Tx", FIRST), ("Tx", FIRST), ("Rx", SECOND)).encode()
    seen = list(read_capture(data[start : start + step] for start in range(0, len(data), step)))
    assert [(one.way, one.text[:11]) for one in seen if one.frame] == [
        ("sent", "#1 os echo "),
        ("sent", "#1 os echo "),
        ("received", "#2 img uplo"),
    ]
    assert "connection profile" in seen[0].text


def test_a_dump_that_is_no_message_is_shown_as_it_is() -> None:
    text = hex_dump(b"hello, what is this?")
    assert [one.text for one in read_capture([text.encode()], CaptureFormat.CONSOLE)] == text.splitlines()
