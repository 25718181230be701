"""The SMP server: its manners, and the rules of the img group that no recording shows."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.errors import DeviceError
from smpdfu.image.format import Header, Image, Tlv, TlvType, Version
from smpdfu.image.trailer import SlotGeometry
from smpdfu.smp.groups import REQUESTS
from smpdfu.smp.groups.image import (
    Erase,
    ImageRc,
    ImageUpload,
    SlotInfo,
    StateRead,
    StateReply,
    StateWrite,
    UploadReply,
)
from smpdfu.smp.groups.os import Echo
from smpdfu.smp.message import MgmtRc, Request, Response
from smpdfu.smp.session import read_outcome
from smpdfu.virtual.boot.slot import Slot, Slots
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.flash import Area, Flash
from smpdfu.virtual.chip.layout import Region
from smpdfu.virtual.server.application import Application, Kept, Options
from smpdfu.virtual.server.groups.image import BLOCK_SIZE, ImageGroup
from smpdfu.virtual.server.groups.os import Build, OsGroup
from smpdfu.virtual.server.server import Buffers

SLOT = 16 * 4096
OK = None


def image_bytes(version: str = "1.0.0", digest: bytes = b"\x11" * 32, size: int = 1000) -> bytes:
    """What an SMP server takes for an image: it looks at the header and at the hash TLV."""
    header = Header(Version.from_text(version), size, 512)
    return Image(header, bytes(480), bytes(size), (), (Tlv(TlvType.SHA256, digest),)).to_bytes()


@dataclass
class Board:
    """A server over blank slots of its own."""

    images: int = 1
    slot_size: int = SLOT
    buffers: Buffers = field(default_factory=Buffers)
    without: Collection[type[Request[Any]]] = ()

    def __post_init__(self) -> None:
        size, geometry = self.slot_size, SlotGeometry(self.slot_size)
        self.flash = Flash(0, 2 * self.images * size)
        regions = [Region(f"slot {number}", number * size, size) for number in range(2 * self.images)]
        slots = [Slot(Area(self.flash, region), geometry) for region in regions]
        self.pairs = [Slots(slots[2 * number], slots[2 * number + 1]) for number in range(self.images)]
        self.group = ImageGroup(self.pairs)
        system = OsGroup(Build(), BootMode.MOVE, self.buffers, lambda mode: None)
        options = Options(without=self.without)
        self.server = Application(system, self.group, Kept(), options).server

    @property
    def slots(self) -> tuple[Slot, ...]:
        return self.group.slots

    def put(self, number: int, image: bytes) -> None:
        self.slots[number].area.erase_all()
        self.slots[number].area.program(0, image + b"\xff" * (-len(image) % 4))

    def ask(self, request: Request[Any], version: int = 2) -> Response | DeviceError:
        (answer,) = self.server.answers(request.to_bytes(7, version))
        assert answer[0] >> 3 == version - 1
        return read_outcome(request, answer[8:])

    def refusal(self, request: Request[Any]) -> tuple[int | None, int] | None:
        outcome = self.ask(request)
        return (outcome.group, outcome.rc) if isinstance(outcome, DeviceError) else None

    def listed(self) -> list[tuple[int, int, str]]:
        """(image, slot, flags by their first letters) of the list."""
        reply = self.ask(StateRead())
        assert isinstance(reply, StateReply)
        names = ("bootable", "pending", "confirmed", "active", "permanent")
        flags = ["".join("bPCAp"[at] for at, name in enumerate(names) if getattr(one, name)) for one in reply.images]
        return [(one.image, one.slot, flags[at]) for at, one in enumerate(reply.images)]


@pytest.fixture
def board() -> Board:
    """A board that runs version 1 and has version 2 in its other slot."""
    made = Board()
    made.put(0, image_bytes())
    made.put(1, image_bytes("2.0.0+5", b"\x22" * 32))
    return made


# --- the server -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.__name__)
def test_every_request_of_the_registry_is_served(kind: type[Request[Any]]) -> None:
    message = bytes((kind.op | 1 << 3, 0, 0, 1, 0, kind.group, 9, kind.command)) + b"\xa0"
    unsupported = bytes.fromhex("bf62726308ff")
    for board, supported in ((Board(), True), (Board(without=[kind]), False)):
        (answer,) = board.server.answers(message)
        assert (answer[8:] != unsupported) == supported


@given(st.binary(max_size=64), st.integers(0, 63), st.sampled_from(REQUESTS))
def test_garbage_gets_an_answer_or_silence_but_never_an_error(
    body: bytes, first: int, kind: type[Request[Any]]
) -> None:
    head = bytes((first, 0, 0, len(body), 0, kind.group, 1, kind.command))
    answers = Board(slot_size=4 * 4096).server.answers(head + body)
    assert [one[6] for one in answers[:1]] == [1]


def test_what_does_not_fit_a_buffer_is_dropped_and_a_too_long_answer_is_refused() -> None:
    server = Board(buffers=Buffers(64, 4)).server
    fits = Echo("x" * 50).to_bytes(1)
    (answer,) = server.answers(fits + bytes(64 - len(fits)))
    assert answer.startswith(b"\x0b")
    assert server.answers(fits + bytes(65 - len(fits))) == []
    longest = Echo("x" * 51).to_bytes(1)  # fills the buffer; the answer has a byte more, its map's end
    assert len(longest) == 64
    (answer,) = server.answers(longest)
    assert answer[8:] == bytes.fromhex("bf62726307ff")


def test_a_command_without_fields_does_not_read_its_body() -> None:
    (answer,) = Board().server.answers(bytes.fromhex("0800000100000106ff"))
    assert b"buf_size" in answer


# --- the list -------------------------------------------------------------------------------------------------------


def pending(board: Board) -> None:
    board.slots[1].set_pending(permanent=False)


def permanent(board: Board) -> None:
    board.slots[1].set_pending(permanent=True)


def on_trial(board: Board) -> None:
    """As a swap leaves the slots: what runs is not confirmed, the old image waits in slot 1."""
    board.slots[0].write_copy_done()
    board.slots[0].write_magic()


def idle(board: Board) -> None:
    """Nothing is marked."""


State = Callable[[Board], None]


@pytest.mark.parametrize(
    ("state", "flags"),
    [(idle, ["bCA", "b"]), (pending, ["bCA", "bP"]), (permanent, ["bCA", "bPp"]), (on_trial, ["bA", "bC"])],
)
def test_the_flags_tell_what_the_next_boot_does(board: Board, state: State, flags: list[str]) -> None:
    state(board)
    assert board.listed() == [(0, 0, flags[0]), (0, 1, flags[1])]


def test_the_list_has_no_image_number_with_one_image_and_has_it_with_two() -> None:
    one, two = Board(images=1), Board(images=2)
    for board in (one, two):
        board.put(0, image_bytes("1.2.3+4"))
    two.put(3, image_bytes())
    (single,), (double,) = (board.server.answers(StateRead().to_bytes(1)) for board in (one, two))
    assert b"eimage" not in single.replace(b"fimages", b"")
    assert b"eimage" in double.replace(b"fimages", b"")
    assert b"1.2.3.4" in single
    assert two.listed() == [(0, 0, "bCA"), (1, 1, "b")]


@pytest.mark.parametrize("damage", ["no magic", "no TLVs", "two hashes", "short hash", "too long", "blank"])
def test_a_slot_without_an_image_is_not_listed(board: Board, damage: str) -> None:
    hashes = {"two hashes": (b"\x11" * 32,) * 2, "short hash": (b"\x11" * 20,)}.get(damage, (b"\x11" * 32,))
    tlvs = tuple(Tlv(TlvType.SHA256, one) for one in hashes)
    image = bytearray(Image(Header(Version(1), 8, 32), b"", bytes(8), (), tlvs).to_bytes())
    if damage == "no magic":
        image[0] ^= 1
    elif damage == "no TLVs":
        image[40] ^= 1
    elif damage == "too long":
        image[12:16] = b"\xff\xff\xff\x7f"
    elif damage == "blank":
        image[:] = b"\xff" * len(image)
    board.put(1, bytes(image))
    assert board.listed() == [(0, 0, "bCA")]


# --- marking --------------------------------------------------------------------------------------------------------

ACTIVE, OTHER = b"\x11" * 32, b"\x22" * 32
DENIED, PENDING = ImageRc.IMAGE_SETTING_TEST_TO_ACTIVE_DENIED, ImageRc.IMAGE_ALREADY_PENDING


@pytest.mark.parametrize(
    ("state", "request_", "refused", "flags"),
    [
        (idle, StateWrite(OTHER, confirm=False), OK, ["bCA", "bP"]),
        (idle, StateWrite(OTHER), OK, ["bCA", "bP"]),
        (idle, StateWrite(OTHER, confirm=True), OK, ["bCA", "bPp"]),
        (idle, StateWrite(None, confirm=True), OK, ["bCA", "b"]),
        (idle, StateWrite(ACTIVE, confirm=True), OK, ["bCA", "b"]),
        (idle, StateWrite(ACTIVE, confirm=False), DENIED, ["bCA", "b"]),
        (idle, StateWrite(), ImageRc.INVALID_HASH, ["bCA", "b"]),
        (idle, StateWrite(b"", confirm=True), OK, ["bCA", "b"]),
        (idle, StateWrite(OTHER[:31], confirm=True), ImageRc.INVALID_HASH, ["bCA", "b"]),
        (idle, StateWrite(b"\x33" * 32), ImageRc.HASH_NOT_FOUND, ["bCA", "b"]),
        (pending, StateWrite(OTHER, confirm=False), OK, ["bCA", "bP"]),
        (pending, StateWrite(OTHER, confirm=True), PENDING, ["bCA", "bP"]),
        (pending, StateWrite(None, confirm=True), PENDING, ["bCA", "bP"]),
        (permanent, StateWrite(OTHER, confirm=True), OK, ["bCA", "bPp"]),
        (permanent, StateWrite(OTHER, confirm=False), PENDING, ["bCA", "bPp"]),
        (permanent, StateWrite(ACTIVE, confirm=True), PENDING, ["bCA", "bPp"]),
        (on_trial, StateWrite(None, confirm=True), OK, ["bCA", "b"]),
        (on_trial, StateWrite(ACTIVE, confirm=True), OK, ["bCA", "b"]),
        (on_trial, StateWrite(OTHER, confirm=True), OK, ["bA", "bC"]),
        (on_trial, StateWrite(OTHER, confirm=False), PENDING, ["bA", "bC"]),
    ],
)
def test_marking(board: Board, state: State, request_: StateWrite, refused: ImageRc | None, flags: list[str]) -> None:
    state(board)
    assert board.refusal(request_) == (refused and (1, refused))
    assert [one[2] for one in board.listed()] == flags


def test_confirming_the_image_of_another_core_is_denied_and_testing_it_is_not() -> None:
    board = Board(images=2)
    board.put(0, image_bytes())
    board.put(3, image_bytes("2.0.0", OTHER))
    assert board.refusal(StateWrite(OTHER, confirm=True)) == (1, ImageRc.IMAGE_CONFIRMATION_DENIED)
    assert board.refusal(StateWrite(OTHER)) is None
    assert board.slots[3].trailer().swap_info == 0x12


def test_a_corrupt_trailer_costs_the_secondary_image(board: Board) -> None:
    board.slots[1].area.program(SLOT - 16, bytes(16))
    assert board.refusal(StateWrite(OTHER)) == (1, ImageRc.INVALID_IMAGE_HEADER_MAGIC)
    assert board.listed() == [(0, 0, "bCA")]


# --- uploads --------------------------------------------------------------------------------------------------------

NEW = image_bytes("3.0.0", b"\x33" * 32, size=3000)


def first(**changes: Any) -> ImageUpload:
    fields: dict[str, Any] = {"image": 0, "off": 0, "len": len(NEW), "sha": b"\x99" * 32, "data": NEW[:100]}
    return ImageUpload(**fields | changes)


@pytest.mark.parametrize("chunk", [33, 512, 700])
def test_an_upload_of_any_chunk_size_ends_up_in_flash(board: Board, chunk: int) -> None:
    board.put(1, b"\x00" * (SLOT - 4096))
    assert board.ask(first(data=NEW[:chunk])) == UploadReply(chunk)
    assert board.listed() == [(0, 0, "bCA")]  # the old image is gone with the first chunk
    for off in range(chunk, len(NEW), chunk):
        end = min(off + chunk, len(NEW))
        assert board.ask(ImageUpload(off=off, data=NEW[off:end])) == UploadReply(end)
    assert board.slots[1].area.read(0, len(NEW)) == NEW
    assert board.group.progress is None
    assert board.listed() == [(0, 0, "bCA"), (0, 1, "b")]


def test_flash_is_written_in_whole_blocks_and_the_rest_waits_in_ram(board: Board) -> None:
    board.ask(first(data=NEW[: BLOCK_SIZE + 100]))
    area = board.slots[1].area
    assert area.read(0, BLOCK_SIZE) == NEW[:BLOCK_SIZE]
    assert area.read(BLOCK_SIZE, 100) == b"\xff" * 100


def test_a_wrong_offset_is_answered_with_the_right_one(board: Board) -> None:
    assert board.ask(ImageUpload(off=64, data=b"x")) == UploadReply(0)
    board.ask(first())
    assert board.ask(ImageUpload(off=64, data=b"x")) == UploadReply(100)
    assert board.ask(ImageUpload(off=4096, data=b"x")) == UploadReply(100)
    assert board.ask(ImageUpload(off=100, data=b"")) == UploadReply(100)


def test_the_same_sha_resumes_and_another_or_none_starts_again(board: Board) -> None:
    board.ask(first())
    board.ask(ImageUpload(off=100, data=NEW[100:900]))
    operations = board.flash.operations
    assert board.ask(first(data=NEW[:40])) == UploadReply(900)
    assert board.flash.operations == operations
    assert board.ask(first(sha=b"\x98" * 32, data=NEW[:40])) == UploadReply(40)
    board.ask(ImageUpload(off=40, data=NEW[40:900]))
    assert board.ask(first(sha=None, data=NEW[:40])) == UploadReply(40)


@pytest.mark.parametrize(
    ("request_", "rc"),
    [
        (first(data=NEW[:31]), ImageRc.INVALID_IMAGE_HEADER),
        (first(len=None), ImageRc.INVALID_LENGTH),
        (first(data=bytes(100)), ImageRc.INVALID_IMAGE_HEADER_MAGIC),
        (first(sha=b"\x99" * 33), ImageRc.INVALID_HASH),
        (first(len=SLOT + 1), ImageRc.INVALID_IMAGE_TOO_LARGE),
        (first(upgrade=True, data=image_bytes("1.0.0+9")), ImageRc.CURRENT_VERSION_IS_NEWER),
        (first(upgrade=True), OK),
        (first(sha=b"\x99" * 20), OK),
        (first(image=3), OK),  # a build with one image does not look at the number
        (ImageUpload(off=100, data=bytes(1500)), ImageRc.INVALID_IMAGE_DATA_OVERRUN),
    ],
)
def test_what_a_piece_is_refused_for_and_that_it_ends_the_upload(
    board: Board, request_: ImageUpload, rc: ImageRc | None
) -> None:
    board.ask(first(sha=b"\x97" * 32, len=1599))
    assert board.refusal(request_) == (rc and (1, rc))
    assert (board.group.progress is None) == (rc is not None)


def test_a_request_without_off_is_refused(board: Board) -> None:
    (answer,) = board.server.answers(bytes.fromhex("0a00000d00010101a264646174614101637368614100"))
    assert answer[8:] == bytes.fromhex("bf63657272bf6567726f75700162726314ffff")


@pytest.mark.parametrize("state", [pending, permanent, on_trial])
def test_a_slot_that_is_needed_takes_no_upload_and_is_not_erased(board: Board, state: State) -> None:
    state(board)
    before = board.slots[1].area.read_all()
    for request in (first(), Erase(), Erase(1)):
        assert board.refusal(request) == (1, ImageRc.NO_FREE_SLOT)
    assert board.slots[1].area.read_all() == before


def test_with_two_images_the_number_chooses_the_slot() -> None:
    board = Board(images=2)
    board.put(0, image_bytes())
    assert board.refusal(first(image=1, len=100)) is None
    assert board.slots[3].area.read(0, 100) == NEW[:100]
    assert board.refusal(first(image=2)) == (1, ImageRc.NO_FREE_SLOT)


def test_without_a_running_image_there_is_no_upgrade() -> None:
    assert Board().refusal(first(upgrade=True)) == (1, ImageRc.VERSION_GET_FAILED)


# --- erase, slot info, version 1 ------------------------------------------------------------------------------------


def test_erase(board: Board) -> None:
    board.ask(first(sha=b"\x97" * 32))
    assert board.refusal(Erase(0)) == (1, ImageRc.NO_FREE_SLOT)
    assert board.refusal(Erase(9)) == (1, ImageRc.FLASH_OPEN_FAILED)
    assert board.group.progress is not None
    assert board.refusal(Erase()) is None
    assert board.slots[1].area.read_all() == b"\xff" * SLOT
    assert board.group.progress is None
    operations = board.flash.operations
    assert board.refusal(Erase()) is None
    assert board.flash.operations == operations  # blank flash is not worn


def test_slot_info() -> None:
    reply = Board(images=2).ask(SlotInfo())
    assert isinstance(reply, Response)
    slots = [
        {"image": number, "slots": [{"slot": 0, "size": SLOT}, {"slot": 1, "size": SLOT, "upload_image_id": number}]}
        for number in (0, 1)
    ]
    assert reply.to_map() == {"images": slots}


@pytest.mark.parametrize(
    ("request_", "rc"),
    [
        (StateWrite(), MgmtRc.EINVAL),
        (StateWrite(b"\x33" * 32), MgmtRc.EUNKNOWN),
        (first(len=None), MgmtRc.EINVAL),
        (first(upgrade=True, data=image_bytes()), MgmtRc.EBADSTATE),
        (Erase(0), MgmtRc.EBADSTATE),
    ],
)
def test_version_1_gets_the_codes_of_smp_itself(board: Board, request_: Request[Any], rc: MgmtRc) -> None:
    outcome = board.ask(request_, version=1)
    assert isinstance(outcome, DeviceError)
    assert (outcome.group, outcome.rc) == (None, rc)
