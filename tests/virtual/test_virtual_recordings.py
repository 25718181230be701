"""The virtual SMP server against recordings of real ones, byte for byte: those that are kept, and all where they are.

What is left out by name: groups of commands that are not built yet, and lines that test the framing. The builds that
were recorded lack some commands (``without``); one had the text of errors built in, which ours has not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from smpdfu.image.format import Header, Image, Tlv, TlvType, Version
from smpdfu.image.trailer import SlotGeometry, SwapMode
from smpdfu.link.pipe import UNLIMITED
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.smp.groups import REQUESTS
from smpdfu.smp.groups.image import StateWrite
from smpdfu.smp.groups.os import BootloaderInfo, InfoReply, Params
from smpdfu.smp.message import Request
from smpdfu.virtual.flash import Area, Flash
from smpdfu.virtual.groups.image import ImageGroup
from smpdfu.virtual.groups.os import Build, OsGroup
from smpdfu.virtual.layout import Region
from smpdfu.virtual.server import Buffers, Server
from smpdfu.virtual.slot import Slot, Slots


@dataclass(frozen=True)
class Recording:
    """A file, the build that answered in it, and how many of its exchanges are at least compared."""

    file: str
    compared: int
    buf_size: int = 384
    slot_size: int = 65536
    running: str = "11" * 32
    without: tuple[type[Request[Any]], ...] = ()


NO_IMAGES: tuple[type[Request[Any]], ...] = tuple(kind for kind in REQUESTS if kind.group == 1)
RECORDINGS = (
    Recording("native_sim.serial", 110, without=NO_IMAGES),
    Recording("native_sim.serial_buf96", 40, 96, without=NO_IMAGES),
    Recording("native_sim.serial_fs", 110, 1024, without=NO_IMAGES),
    Recording("native_sim.serial_noparams", 110, without=(*NO_IMAGES, Params)),
    Recording("native_sim.shell", 110, without=NO_IMAGES),
    Recording(
        "qemu_cortex_m0.serial",
        110,
        slot_size=106496,
        running="1baa222074cc805faf4e09846d2377886b1e5ef7cfccd9eac1554d82d9aa9d5a",
    ),
    Recording(
        "mps2_an385.serial_recovery",
        110,
        slot_size=524288,
        running="18779b16a62c10405e239b096eae0c54c8b097a260978b21b4cec75f149a617e",
        without=(StateWrite,),  # built for RAM loading: nothing can be marked
    ),
    Recording("upload-edges-mps2_an385", 20, slot_size=524288),
)

# Why an exchange is not compared: its command belongs to a group that is not built yet, or it tests the framing.
OTHER_GROUPS = frozenset({2, 3, 8, 9, 10, 63})
OTHER_COMMANDS = frozenset({(0, 2), (0, 3), (0, 4)})


def exchanges(path: Path) -> list[tuple[str, bytes, list[bytes]]]:
    """(step, request, answers) of what a virtual device can be asked, the wire left out."""
    found = []
    for row in map(json.loads, path.read_text().splitlines()):
        if "request_hex" in row:
            step, request, answers = row["name"], row["request_hex"], [row["response_hex"]]
        elif isinstance(row.get("request"), dict):
            step, request, answers = row["step"], row["request"]["hex"], [one["hex"] for one in row["responses"]]
        else:
            continue
        found.append((step, bytes.fromhex(request), [bytes.fromhex(one) for one in answers]))
    return found


def is_comparable(step: str, request: bytes) -> bool:
    group, command = int.from_bytes(request[4:6], "big"), request[7] if len(request) > 7 else 0
    return group not in OTHER_GROUPS and (group, command) not in OTHER_COMMANDS and not step.startswith("console:")


def without_words(answer: bytes) -> bytes:
    """The answer without the text that builds with verbose errors put beside the code; ours is built without."""
    start = answer.find(b"\x63rsn")
    return answer if start < 0 else answer[:2] + bytes((0, start - 7)) + answer[4:start] + b"\xff"


def build_of(found: list[tuple[str, bytes, list[bytes]]]) -> Build:
    """The build that a recording tells of, letter by letter; how it puts them together is what is compared."""
    outputs = {step: answers[0][8:] for step, _, answers in found if step.startswith("os info ") and answers}
    letters = (outputs.get(f"os info {letter}") for letter in "snrvbmpio")
    return Build(*(InfoReply.from_body(one).output for one in letters if one is not None))


def server_of(recording: Recording, build: Build) -> Server:
    """The server in the build of a recording; its flash holds a header and a hash, which is what a server looks at."""
    size, buffers = recording.slot_size, Buffers(recording.buf_size, 4)
    regions = (Region("primary", 0, size), Region("secondary", size, size))
    flash = Flash(0, 2 * size)
    primary, secondary = (Slot(Area(flash, region), SlotGeometry(size)) for region in regions)
    running = (Tlv(TlvType.SHA256, bytes.fromhex(recording.running)),)
    flash.program(0, Image(Header(Version(0), 1000, 512), bytes(480), bytes(1000), (), running).to_bytes())
    groups = [OsGroup(build, SwapMode.MOVE, buffers, lambda mode: None), ImageGroup([Slots(primary, secondary)])]
    return Server(groups, buffers, without=(BootloaderInfo, *recording.without))


KEPT = Path(__file__).parents[1] / "vectors" / "recordings"
FULL = Path(__file__).parents[3] / "shared" / "transcripts"
PATHS = [
    (path, one) for folder in (KEPT, FULL) for one in RECORDINGS if (path := folder / f"{one.file}.jsonl").exists()
]


@pytest.mark.parametrize(("path", "recording"), PATHS, ids=[f"{path.parent.name}-{one.file}" for path, one in PATHS])
def test_the_answers_are_those_of_the_recorded_server_byte_for_byte(path: Path, recording: Recording) -> None:
    found, compared = exchanges(path), 0
    server = server_of(recording, build_of(found))
    limit = ConsoleFraming().message_max(recording.buf_size, UNLIMITED)
    for step, request, answers in found:
        if is_comparable(step, request):
            given = server.answers(request) if len(request) <= limit else []
            assert given == [without_words(one) for one in answers], step
            compared += 1
    assert compared >= (recording.compared if path.parent == FULL else 20)


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
    server = server_of(RECORDINGS[0], Build())
    assert [one.hex() for one in server.answers(bytes.fromhex(request_))] == answers
