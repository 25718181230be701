"""No packet kills the server: any bytes, any body behind a good header, recorded requests with bytes changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smpdfu.errors import DeviceError
from smpdfu.image.format import Header, Image, Tlv, TlvType, Version
from smpdfu.image.trailer import SlotGeometry
from smpdfu.smp.groups import REQUESTS
from smpdfu.smp.groups.image import ImageRc, ImageUpload, StateRead, StateReply, UploadReply
from smpdfu.smp.groups.os import Echo
from smpdfu.smp.message import MgmtRc, Request
from smpdfu.smp.session import read_outcome
from smpdfu.virtual.boot.slot import Slot, Slots
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.flash import Area, Flash, PowerCut
from smpdfu.virtual.chip.layout import Region
from smpdfu.virtual.server.application import Application, Kept
from smpdfu.virtual.server.groups.image import ImageGroup
from smpdfu.virtual.server.groups.os import Build, OsGroup
from smpdfu.virtual.server.server import DEFAULT_BUFFERS, Server

SLOT = 4 * 4096
RUNNING = Image(Header(Version(1), 8, 32), b"", bytes(8), (), (Tlv(TlvType.SHA256, b"\x11" * 32),)).to_bytes()
MAGIC = bytes.fromhex("3db8f396")


class Target:
    """A server with an image that runs and a blank slot; ``failed`` is what it said about errors of its own."""

    def __init__(self, *more: object) -> None:
        flash, geometry = Flash(0, 2 * SLOT), SlotGeometry(SLOT)
        slots = [Slot(Area(flash, Region(name, at * SLOT, SLOT)), geometry) for at, name in enumerate(("one", "two"))]
        flash.program(0, RUNNING + b"\xff" * (-len(RUNNING) % 4))
        system = OsGroup(Build(), BootMode.MOVE, DEFAULT_BUFFERS, lambda mode: None)
        self.failed: list[str] = []
        groups = Application(system, ImageGroup([Slots(slots[0], slots[1])]), Kept()).groups
        self.server = Server([*more, *groups], log=self.failed.append)

    def ask(self, request: Request[Any]) -> Any:
        (answer,) = self.server.answers(request.to_bytes(7))
        return read_outcome(request, answer[8:])

    def take(self, *packets: bytes) -> None:
        """Nothing that comes in is an error, answers are as long as they say, and the next request is answered."""
        for packet in packets:
            for answer in self.server.answers(packet):
                assert len(answer) == 8 + int.from_bytes(answer[2:4], "big") <= DEFAULT_BUFFERS.size_bytes
                assert isinstance(cbor2.loads(answer[8:]), dict)
        assert self.ask(Echo("still here")).r == "still here"
        assert self.failed == []


def message(kind: type[Request[Any]], body: bytes, *, version: int = 1, sequence: int = 1) -> bytes:
    head = (kind.op | version << 3, 0, *len(body).to_bytes(2, "big"), 0, kind.group, sequence, kind.command)
    return bytes(head) + body


# --- any bytes, any body --------------------------------------------------------------------------------------------

NUMBERS = st.integers(-(2**64), 2**64 - 1) | st.sampled_from([0, 1, 31, 32, 64, 512, SLOT, SLOT + 1, 2**31, 2**32])
BYTES = st.binary(max_size=80) | st.binary(max_size=80).map(MAGIC.__add__) | st.sampled_from([b"\x11" * 32, RUNNING])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ATOMS = st.none() | st.booleans() | NUMBERS | st.floats() | TEXTS | BYTES
VALUES = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ATOMS, inner, max_size=3), max_leaves=6
)
FIELDS = {
    **dict.fromkeys(("off", "len", "image", "slot", "force", "boot_mode"), NUMBERS),
    **dict.fromkeys(("max_size", "index", "transport", "mode"), NUMBERS),
    **dict.fromkeys(("data", "sha", "hash"), BYTES),
    **dict.fromkeys(("upgrade", "confirm", "all"), st.booleans()),
    **dict.fromkeys(("d", "format", "query"), TEXTS),
    "name": TEXTS | st.sampled_from(["/lfs1/a", "/lfs1", "/", "app/a", "app", "smp_svr_stats", "/lfs1/" + "x" * 60]),
    "val": BYTES,
    "type": st.sampled_from(["crc32", "sha256", "md5", ""]),
    "argv": st.lists(TEXTS | st.sampled_from(["kernel", "uptime", "help", " "]), max_size=3),
    "groups": st.lists(NUMBERS, max_size=3),
    "datetime": st.from_regex(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\Z") | TEXTS,
}
"""What the names of the registry's fields may well have for a value."""
BODIES = st.one_of(
    st.fixed_dictionaries({}, optional=FIELDS),
    st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, VALUES)),
    VALUES,
).map(cbor2.dumps)
MESSAGES = st.builds(
    message, st.sampled_from(REQUESTS), BODIES, version=st.integers(0, 3), sequence=st.integers(0, 255)
)


@given(st.lists(st.binary(max_size=64), max_size=4))
def test_any_bytes(packets: list[bytes]) -> None:
    Target().take(*packets)


@given(st.lists(MESSAGES, min_size=1, max_size=5))
@example([message(ImageUpload, cbor2.dumps({"off": 0, "len": 100, "data": MAGIC + bytes(60)}))])
def test_any_body_behind_a_good_header(packets: list[bytes]) -> None:
    Target().take(*packets, b"".join(packets))


@given(st.sampled_from(REQUESTS), st.binary(max_size=64))
def test_any_bytes_behind_a_good_header(kind: type[Request[Any]], body: bytes) -> None:
    Target().take(message(kind, body))


# --- recorded requests, changed -------------------------------------------------------------------------------------


def recorded() -> list[bytes]:
    folder = Path(__file__).parents[1] / "vectors" / "recordings"
    rows = [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]
    return [bytes.fromhex(row["request_hex"] if "request_hex" in row else row["request"]["hex"]) for row in rows]


RECORDED = recorded()
Edit = Callable[[bytearray, int, int], None]


def put(packet: bytearray, at: int, value: int) -> None:
    packet[at : at + 1] = bytes((value,))


def insert(packet: bytearray, at: int, value: int) -> None:
    packet[at:at] = bytes((value,)) * (1 + value % 9)


def remove(packet: bytearray, at: int, value: int) -> None:
    del packet[at : at + 1 + value % 9]


def shorten(packet: bytearray, at: int, value: int) -> None:
    del packet[at:]


EDITS = st.tuples(st.sampled_from([put, put, insert, remove, shorten]), st.integers(0, 400), st.integers(0, 255))


@given(st.lists(st.tuples(st.sampled_from(RECORDED), st.lists(EDITS, max_size=4)), min_size=1, max_size=5))
def test_recorded_requests_with_bytes_changed(packets: list[tuple[bytes, list[tuple[Edit, int, int]]]]) -> None:
    target = Target()
    for packet, edits in packets:
        changed = bytearray(packet)
        for edit, at, value in edits:
            edit(changed, at % (len(changed) + 1), value)
        if len(changed) >= 8:
            changed[2:4] = (len(changed) - 8).to_bytes(2, "big")  # or most of them would go no further
        target.take(bytes(changed))


# --- what a header may be, and what an error of ours becomes --------------------------------------------------------


def test_of_a_first_piece_only_length_and_magic_are_looked_at() -> None:
    """As the real server does. What is no header is no image either, so nothing is listed in its slot."""
    target = Target()
    assert target.ask(ImageUpload(off=0, len=100, data=MAGIC + bytes(60))) == UploadReply(64)
    state = target.ask(StateRead())
    assert isinstance(state, StateReply)
    assert [one.slot for one in state.images] == [0]


@pytest.mark.parametrize(("version", "rc"), [(b"\2\0\0\0", None), (b"\1\0\0\0", ImageRc.CURRENT_VERSION_IS_NEWER)])
def test_an_upgrade_reads_the_version_in_any_header(version: bytes, rc: ImageRc | None) -> None:
    data = MAGIC + bytes(16) + version + bytes(40)
    outcome = Target().ask(ImageUpload(off=0, len=100, data=data, upgrade=True))
    assert (outcome.rc if isinstance(outcome, DeviceError) else None) == rc


class Broken:
    """A handler with a bug, or with the power cut off."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def on_state_read(self, request: StateRead) -> StateReply:
        """Raise."""
        raise self.error


@pytest.mark.parametrize("version", [1, 2])
def test_an_error_that_nobody_expected_is_one_answer_and_a_line_in_the_log(version: int) -> None:
    target = Target(Broken(KeyError("surprise")))
    (answer,) = target.server.answers(StateRead().to_bytes(9, version))
    assert cbor2.loads(answer[8:]) == {"rc": MgmtRc.EUNKNOWN}
    assert answer[6] == 9
    assert target.failed == ["E: group 1, command 0 failed: KeyError: 'surprise'"]
    assert target.ask(Echo("on")).r == "on"


def test_a_power_cut_is_no_such_error() -> None:
    target = Target(Broken(PowerCut(0)))
    with pytest.raises(PowerCut):
        target.server.answers(StateRead().to_bytes(9))
    assert target.failed == []
