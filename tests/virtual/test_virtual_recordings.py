"""The virtual SMP server against recordings of real ones, byte for byte: those that are kept, and all where they are.

The server is configured like the build that answered: its buffers, groups and names, which the recording tells. What
still differs is in ``EXCEPTIONS``, with the reason. Console recordings go through the framing as they came over the
wire, broken frames included; what went over a raw UART is taken message by message.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from smpdfu.image.format import Header, Image, Tlv, TlvType, Version
from smpdfu.image.trailer import SlotGeometry
from smpdfu.link.pipe import UNLIMITED
from smpdfu.smp.framing import ConsoleFraming, DeviceConsoleFraming
from smpdfu.smp.groups import REQUESTS
from smpdfu.smp.groups.image import StateWrite
from smpdfu.smp.groups.os import (
    BootloaderInfo,
    DateTimeRead,
    DateTimeWrite,
    InfoReply,
    MemoryPools,
    Params,
    TaskStatReply,
)
from smpdfu.smp.groups.shell import ShellReply
from smpdfu.smp.groups.stat import StatDataReply, StatListReply
from smpdfu.smp.message import Request, decode_map
from smpdfu.virtual.boot.slot import Slot, Slots
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.flash import Area, Flash
from smpdfu.virtual.chip.layout import Region
from smpdfu.virtual.chip.rtc import Rtc
from smpdfu.virtual.server.application import Application, Kept, Options
from smpdfu.virtual.server.groups.image import ImageGroup
from smpdfu.virtual.server.groups.os import TASKS, Build, OsGroup
from smpdfu.virtual.server.server import Buffers, Server

KEPT = Path(__file__).parents[1] / "vectors" / "recordings"
FULL = Path(__file__).parents[3] / "shared" / "transcripts"

# What no build that was recorded has: no bootloader that shares its facts, no calendar.
NOWHERE: tuple[type[Request[Any]], ...] = (BootloaderInfo, DateTimeRead, DateTimeWrite, MemoryPools)
RUNNING = "18779b16a62c10405e239b096eae0c54c8b097a260978b21b4cec75f149a617e"


@dataclass(frozen=True)
class Recording:
    """A file, and the build that answered in it: its groups (SMP's numbers), buffers, and slots."""

    file: str
    groups: tuple[int, ...]
    buf_size: int = 384
    slot_size: int = 65536
    running: str = RUNNING
    without: tuple[type[Request[Any]], ...] = ()
    raw: bool = False
    line_max: int = 128


RECORDINGS = (
    Recording("native_sim.serial", (10, 8, 0, 3, 9, 2, 63)),
    Recording("native_sim.serial_buf96", (10, 0, 2), 96),
    Recording("native_sim.serial_fs", (10, 8, 0, 2), 1024, line_max=512),
    Recording("native_sim.serial_noparams", (10, 0, 2), without=(Params,), line_max=512),
    Recording("native_sim.serial_raw", (10, 0, 3, 9, 2), raw=True),
    Recording("native_sim.shell", (10, 0, 2)),
    Recording(
        "qemu_cortex_m0.serial",
        (10, 1, 0, 2),
        slot_size=106496,
        running="1baa222074cc805faf4e09846d2377886b1e5ef7cfccd9eac1554d82d9aa9d5a",
    ),
    # These are built for loading to RAM: nothing can be marked.
    Recording("mps2_an385.serial_recovery", (10, 8, 1, 0, 3, 9, 2, 63), slot_size=524288, without=(StateWrite,)),
    Recording("cycle-mps2_an385.serial_recovery", (10, 8, 1, 0, 3, 9, 2, 63), slot_size=524288, without=(StateWrite,)),
    Recording("upload-edges-mps2_an385", (10, 1, 0, 2), slot_size=524288),
)

# (file, beginning of the step) -> why the answer is not compared.
RAW = "a raw UART has nothing to tell where a message begins: the rest of one step is in front of the next"
RAM_LOAD = "this MCUboot loads to RAM, which none of an nRF5340 does: the newest image runs, from either slot"
RECOVERY = "MCUboot's serial recovery answered, and not the application"
EXCEPTIONS = {
    ("native_sim.serial_raw", "op 7"): "the driver drops what cannot be a header",
    ("native_sim.serial_raw", "CBOR: empty payload"): RAW,
    ("native_sim.serial_raw", "CBOR: ff"): RAW,
    ("native_sim.serial_raw", "message of buf_size+"): RAW,
    ("native_sim.serial_raw", "alive after "): RAW,
    ("native_sim.serial_raw", "raw: "): RAW,
    ("cycle-mps2_an385.serial_recovery", "state read: "): RAM_LOAD,
    ("cycle-mps2_an385.serial_recovery", "slot info after "): RAM_LOAD,
    ("cycle-mps2_an385.serial_recovery", "recovery: "): RECOVERY,
}


def exception(file: str, step: str) -> tuple[str, str] | None:
    """The row of ``EXCEPTIONS`` that a step falls under."""
    return next((row for row in EXCEPTIONS if row[0] == file and step.startswith(row[1])), None)


@dataclass(frozen=True)
class Exchange:
    """What was tried, the request, what went over the wire for it (empty: not recorded), the answers."""

    step: str
    request: bytes
    wire: bytes
    answers: list[bytes]


def exchanges(path: Path) -> Iterator[Exchange]:
    """The exchanges in a file, in their order; lines that only tell what was going on are left out."""
    for row in map(json.loads, path.read_text("utf-8").splitlines()):
        if "request_hex" in row:
            answers = [bytes.fromhex(row["response_hex"])] if row["response_hex"] else []
            yield Exchange(row["name"], bytes.fromhex(row["request_hex"]), b"", answers)
        elif "hex" in (row.get("request") or {}):
            answers = [bytes.fromhex(one["hex"]) for one in row["responses"]]
            yield Exchange(row["step"], bytes.fromhex(row["request"]["hex"]), bytes.fromhex(row["wire"]), answers)
        elif "wire" in row and "responses" in row:
            yield Exchange(
                row["step"], b"", bytes.fromhex(row["wire"]), [bytes.fromhex(one["hex"]) for one in row["responses"]]
            )


@dataclass
class Replay:
    """The virtual server in the build of a recording. Its flash holds a header and a hash: that is what it looks at."""

    recording: Recording
    found: list[Exchange]
    now_s: float = 0.0

    def __post_init__(self) -> None:
        one = self.recording
        self.framing = DeviceConsoleFraming(one.line_max)
        regions = (Region("primary", 0, one.slot_size), Region("secondary", one.slot_size, one.slot_size))
        flash = Flash(0, 2 * one.slot_size)
        primary, secondary = (Slot(Area(flash, region), SlotGeometry(one.slot_size)) for region in regions)
        running = (Tlv(TlvType.SHA256, bytes.fromhex(one.running)),)
        flash.program(0, Image(Header(Version(0), 1000, 512), bytes(480), bytes(1000), (), running).to_bytes())
        system = OsGroup(
            self.build(),
            BootMode.MOVE,
            Buffers(one.buf_size, 4),
            lambda mode: None,
            Rtc(lambda: self.now_s),
            self.tasks(),
        )
        absent = (kind for kind in REQUESTS if kind.group not in one.groups)
        options = Options((), counters=self.counters(), without=(*NOWHERE, *one.without, *absent), saves_settings=False)
        self.server: Server = Application(system, ImageGroup([Slots(primary, secondary)]), Kept(), options).server
        self.limit = one.buf_size if one.raw else ConsoleFraming().message_max(one.buf_size, UNLIMITED)

    def body(self, step: str) -> bytes | None:
        """The body of the answer to a step; None if that was not recorded, or refused."""
        answers = next((one.answers for one in self.found if one.step == step), None)
        return answers[0][8:] if answers and b"\x62rc" not in answers[0] else None

    def build(self) -> Build:
        """What ``os info`` told letter by letter; how it puts them together is what is compared."""
        bodies = (self.body(f"os info {letter}") for letter in "snrvbmpio")
        return Build(*(InfoReply.from_map(decode_map(one)).output for one in bodies if one is not None))

    def tasks(self) -> dict[str, Any]:
        """The threads of the build; of one that had no room to tell them, as many of ours."""
        body = self.body("os task statistics")
        return TASKS if body is None else TaskStatReply.from_map(decode_map(body)).tasks

    def counters(self) -> dict[str, Any]:
        """The names of the counters of the build's drivers, which nobody looks into."""
        body = self.body("stat list")
        names = StatListReply.from_map(decode_map(body)).stat_list if body is not None else ()
        return {name: dict for name in names if name != "smp_svr_stats"}

    def answers(self, one: Exchange) -> list[bytes]:
        """Ours to an exchange, at the time at which it was recorded."""
        self.now_s = self.time_of(one)
        packets = [one.request] if self.recording.raw or not one.wire else self.framing.feed(one.wire)
        self.framing.take_text()
        return [answer for packet in packets if len(packet) <= self.limit for answer in self.server.answers(packet)]

    def time_of(self, one: Exchange) -> float:
        """Seconds since the start, if the answer tells them."""
        body = one.answers[0][8:] if one.answers else b""
        if b"eticks" in body:
            return StatDataReply.from_map(decode_map(body)).fields["ticks"]
        if b"Uptime" in body:
            return int(ShellReply.from_map(decode_map(body)).o.split()[1]) / 1000
        return self.now_s


def without_words(answer: bytes) -> bytes:
    """The answer without the text that builds with verbose errors put beside the code; ours is built without."""
    start = answer.find(b"\x63rsn")
    return answer if start < 0 else answer[:2] + bytes((0, start - 7)) + answer[4:start] + b"\xff"


PATHS = [
    (path, one) for folder in (KEPT, FULL) for one in RECORDINGS if (path := folder / f"{one.file}.jsonl").exists()
]


@pytest.mark.parametrize(("path", "recording"), PATHS, ids=[f"{path.parent.name}-{one.file}" for path, one in PATHS])
def test_the_answers_are_those_of_the_recorded_server_byte_for_byte(path: Path, recording: Recording) -> None:
    found = list(exchanges(path))
    replay, compared, excepted = Replay(recording, found), 0, set()
    for one in found:
        given, expected = replay.answers(one), [without_words(answer) for answer in one.answers]
        row = exception(recording.file, one.step)
        if row is None:
            assert given == expected, one.step
            compared += 1
        elif given != expected:
            excepted.add(row)
    assert compared >= len(found) * 0.4
    if path.parent == FULL:
        assert excepted == {row for row in EXCEPTIONS if row[0] == recording.file}, "a row that nothing needs"


def test_every_recording_is_replayed() -> None:
    for folder in (KEPT, FULL):
        assert {path.stem for path in folder.glob("*.jsonl")} <= {one.file for one in RECORDINGS}


# Some of the same, to be read by people: (request, answers) as recorded.
RECORDED = {
    "echo": ("0a00000900000300a161646568656c6c6f", ["0b00000a00000300bf61726568656c6c6fff"]),
    "echo as a read": ("0800000900000400a161646568656c6c6f", ["0900000a00000400bf61726568656c6c6fff"]),
    "version 1": ("0200000900000500a161646568656c6c6f", ["0300000a00000500bf61726568656c6c6fff"]),
    "version 3": ("1200000900000600a161646568656c6c6f", ["0b00000600000600bf6272630dff"]),
    "bad format": ("0800000a00002007a166666f726d61746151", ["0900001300002007bf63657272bf6567726f75700062726302ffff"]),
    "a response": ("0900000500007b00a161646178", ["0b00000600007b00bf62726308ff"]),
    "operation 7": ("0f00000500007f00a161646178", ["0b00000600007f00bf62726308ff"]),
    "trailing bytes": ("0a00000700009700a1616461740000", ["0b00000600009700bf61726174ff"]),
    "length too small": ("0a0000060000c800a16164636c656e", ["0b0000080000c800bf6172636c656eff"]),
    "length too large": ("0a0000080000c800a16164636c656e", ["0b0000060000c800bf62726309ff"]),
    "two in one packet": (
        "0a0000070000ca00a16164636f6e650a0000070000cb00a161646374776f",
        ["0b0000080000ca00bf6172636f6e65ff", "0b0000080000cb00bf61726374776fff"],
    ),
    "seven bytes": ("0a000000000000", []),
    "an erase where there is nothing to erase with": ("0a00000100012e05a0", ["0b00000600012e05bf62726308ff"]),
}


@pytest.mark.parametrize(("request_", "answers"), RECORDED.values(), ids=RECORDED)
def test_recorded_exchanges(request_: str, answers: list[str]) -> None:
    server = Replay(RECORDINGS[0], []).server
    assert [one.hex() for one in server.answers(bytes.fromhex(request_))] == answers
