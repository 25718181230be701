"""Files to and from the fs group of a virtual application, over good and bad wires."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.client.files import download_file
from smpdfu.errors import LinkLostError, RemoteProtocolError, ResponseTimeoutError
from smpdfu.link.memory import Faults
from smpdfu.smp.framing import RawFraming
from smpdfu.smp.groups.fs import (
    FileClose,
    FileHash,
    FileHashReply,
    FileStatus,
    HashTypes,
    HashTypesReply,
)
from smpdfu.smp.message import Empty, MgmtRc, Request
from smpdfu.smp.transfer.upload import UploadProgress
from smpdfu.virtual.server.groups.fs import FsGroup
from smpdfu.virtual.server.server import Refused

if TYPE_CHECKING:
    from tests.client.file_board import BUFFER, NAME, Board, content
else:
    from file_board import BUFFER, NAME, Board, content

# --- good wires -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 31, 32, 300, 321, 10_000])
def test_a_file_goes_there_and_back(size: int) -> None:
    board, data = Board(), content(size)
    there = board.up(data)
    assert board.fs.upload is None  # nothing is left open
    back, got = board.down()
    assert board.stored == got == data
    assert (there.len, there.resumed_at, there.retries, there.verified) == (size, 0, 0, True)
    assert (back.len, back.resumed_at, back.verified) == (size, 0, True)
    assert there.hash_type == back.hash_type == ("sha256" if size else None)


def test_pieces_fill_the_buffer() -> None:
    board = Board()
    board.up(content(3200))
    assert board.heard <= 5 + 3200 // (BUFFER - 4 - 60) + 1


def test_progress_tells_every_piece() -> None:
    board = Board()
    seen: list[UploadProgress] = []
    board.up(content(2000), progress=seen.append)
    offs = [one.off for one in seen]
    assert offs == sorted(set(offs))
    assert (offs[0], offs[-1], len(offs)) == (0, 2000, 7)


def test_an_old_file_is_replaced() -> None:
    board = Board()
    board.put(content(5000)[::-1])
    board.up(content(700))
    assert board.stored == content(700)


def test_a_file_that_cannot_be_emptied_is_noticed() -> None:
    board = Board()
    board.put(b"old")  # the piece without data leaves it alone
    with pytest.raises(RemoteProtocolError, match="holds other bytes"):
        board.up(b"")


def test_an_upload_goes_on_behind_a_beginning_that_is_there() -> None:
    board, data = Board(), content(6000)
    board.put(data[:4000])
    heard_whole = Board().up(data)
    result = board.up(data)
    assert (board.stored, result.resumed_at, heard_whole.resumed_at) == (data, 4000, 0)
    assert board.heard < 16


def test_a_beginning_that_is_not_ours_is_written_over() -> None:
    board, data = Board(), content(6000)
    board.put(b"x" + data[1:4000])
    result = board.up(data)
    assert (board.stored, result.resumed_at, result.retries) == (data, 0, 0)


def test_bytes_that_were_stored_wrong_are_sent_again_once() -> None:
    class Spoils(FsGroup):
        spoilt = False

        def on_file_hash(self, request: FileHash) -> FileHashReply:
            """Once something else is there than was written."""
            if not self.spoilt:
                self.spoilt = True
                self.files.clear(NAME)
                self.files.append(NAME, b"?" * 1000)
            return super().on_file_hash(request)

    board = Board(group=Spoils)
    result = board.up(content(1000))
    assert (board.stored, result.verified, result.retries) == (content(1000), True, 1)


def test_what_is_there_already_is_not_sent() -> None:
    board, data = Board(), content(6000)
    board.put(data)
    assert board.up(data).resumed_at == 6000
    assert board.heard <= 7  # how long it is, and its hash, twice
    assert board.up(data, resume=False).resumed_at == 0


def test_a_download_goes_on_where_it_stopped() -> None:
    board, data = Board(), content(6000)
    board.put(data)
    target = io.BytesIO(data[:4000])
    result = board.run(lambda client: download_file(client, NAME, target, resume=True))
    assert (target.getvalue(), result.resumed_at, result.verified) == (data, 4000, True)


@pytest.mark.parametrize("left", [b"x" * 4000, content(7000)])
def test_a_download_does_not_go_on_with_something_else(left: bytes) -> None:
    board, data = Board(), content(6000)
    board.put(data)
    target = io.BytesIO(left)
    result = board.run(lambda client: download_file(client, NAME, target, resume=True))
    assert (target.getvalue(), result.resumed_at) == (data, 0)


# --- builds that have less ------------------------------------------------------------------------------------------


def test_without_hashes_nothing_is_said_to_be_verified() -> None:
    board, data = Board(without=(FileHash, HashTypes)), content(2000)
    board.put(data[:1000])
    result = board.up(data)  # a beginning cannot be proved either
    assert (board.stored, result.verified, result.resumed_at) == (data, False, 0)
    back, got = board.down()
    assert (got, back.verified) == (data, False)


@pytest.mark.parametrize("lost", range(1, 10))
def test_without_hash_and_status_a_lost_answer_means_from_the_start(lost: int) -> None:
    board, data = Board(without=(FileHash, HashTypes, FileStatus), lose={lost}), content(2000)
    board.up(data)
    assert board.stored == data


# --- lost answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", range(16))
@pytest.mark.parametrize("without", [(), (FileHash, HashTypes)], ids=["hash", "no hash"])
def test_any_lost_answer_leaves_the_file_whole(lost: int, without: tuple[type[Request[Any]], ...]) -> None:
    board, data = Board(without=without, lose={lost}), content(3000)
    result = board.up(data)
    assert board.stored == data
    assert result.verified is not bool(without)


def test_two_copies_of_the_first_piece_do_not_make_a_hole() -> None:
    board, data = Board(lose={2}), content(3000)  # what comes before: params, types
    result = board.up(data, resume=False)
    assert (board.stored, result.retries) == (data, 1)


@pytest.mark.parametrize("version_1", [False, True])
def test_a_server_of_version_1_has_no_name_for_a_wrong_offset(version_1: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    board, data = Board(lose={8}), content(3000)
    if version_1:
        answers = board.server.answers

        def old(message: bytes) -> list[bytes]:
            return answers(bytes((message[0] & 0b111,)) + message[1:])

        monkeypatch.setattr(board.server, "answers", old)
    assert board.up(data).retries == 1
    assert board.stored == data


@pytest.mark.parametrize(("size", "pieces"), [(1, 1), (300, 1), (2000, 6)])
def test_a_small_file_takes_as_few_requests_as_can_be(size: int, pieces: int) -> None:
    board, data = Board(), content(size)
    result = board.up(data)
    assert (board.stored, result.hash_type, result.verified) == (data, "sha256", True)
    assert board.heard == 1 + pieces + 1  # the sizes of the buffers, and one hash at the end


@pytest.mark.parametrize(
    ("how", "trips"),
    [
        ({"buffers": 4}, 6),
        ({"buffers": 3}, 6),
        ({"buffers": 2}, 7),
        ({"buffers": 1}, 7),
        ({"window_max": 2}, 6),
        ({"window_max": 1}, 7),
        ({"framing": RawFraming}, 7),
    ],
)
def test_the_hash_of_a_small_file_costs_no_round_trip_where_two_may_be_in_flight(
    how: dict[str, Any], trips: int
) -> None:
    board, data = Board(latency_s=0.05, **how), content(2000)
    result = board.up(data)
    assert (board.stored, result.hash_type, board.heard) == (data, "sha256", 8)
    assert result.seconds / 0.1 == pytest.approx(trips + 1, abs=0.1)  # one more for the sizes of the buffers


def test_an_early_question_that_gets_lost_is_asked_again() -> None:
    board, data = Board(lose={7}), content(2000)
    result = board.up(data)
    assert (board.stored, result.hash_type, result.retries, board.heard) == (data, "sha256", 0, 9)


def test_an_early_answer_about_other_bytes_proves_nothing() -> None:
    class Early(FsGroup):
        asked = 0

        def on_file_hash(self, request: FileHash) -> FileHashReply:
            self.asked += 1
            reply = super().on_file_hash(request)
            return replace(reply, output=bytes(32)) if self.asked == 1 else reply

    board, data = Board(Early), content(2000)
    result = board.up(data)
    assert (board.stored, result.hash_type, result.retries) == (data, "sha256", 0)
    assert isinstance(board.fs, Early)
    assert board.fs.asked == 2


def test_a_last_piece_that_gets_lost_comes_before_the_proof() -> None:
    number = count()
    board, data = Board(deaf=lambda message: next(number) == 6), content(2000)  # the first time, the last piece
    result = board.up(data)
    assert (board.stored, result.hash_type, result.retries) == (data, "sha256", 0)


@pytest.mark.parametrize(("size", "pieces"), [(1, 1), (300, 1), (2000, 6)])
def test_a_download_asks_for_nothing_but_sizes_pieces_and_a_hash(size: int, pieces: int) -> None:
    board, data = Board(), content(size)
    board.put(data)
    result, got = board.down()
    assert (got, result.hash_type, result.verified) == (data, "sha256", True)
    assert board.heard <= 1 + pieces + 1 + 1  # the device's pieces may be shorter than ours


@pytest.mark.parametrize("size", [1, 2000])
def test_a_small_file_in_a_build_without_hashes(size: int) -> None:
    board, data = Board(without=(FileHash, HashTypes)), content(size)
    result = board.up(data)
    assert (board.stored, result.hash_type, result.verified) == (data, None, False)


@pytest.mark.parametrize("seed", range(8))
def test_files_survive_a_bad_wire(seed: int) -> None:
    board, data = Board(), content(3000)
    faults = Faults(seed=seed, loss=0.05, duplication=0.05, corruption=0.03)
    board.up(data, faults)
    _, got = board.down(faults)
    assert board.stored == got == data


def test_files_survive_a_link_that_is_cut_again_and_again() -> None:
    board, data = Board(), content(9000)
    result = board.up(data, Faults(cut_after_writes=7, cuts=12))
    assert board.stored == data
    assert result.retries >= 5
    _, got = board.down(Faults(cut_after_writes=7, cuts=12))
    assert got == data


def test_a_device_that_forgets_at_the_cut_is_begun_anew() -> None:
    class Forgets(FsGroup):
        def on_hash_types(self, request: HashTypes) -> HashTypesReply:
            raise Refused(MgmtRc.ENOTSUP)

        def on_file_close(self, request: FileClose) -> Empty:
            if self.files.size(NAME):  # a reset lost what was written, and an older file of the same length is there
                size = self.files.size(NAME) or 0
                self.files.clear(NAME)
                self.files.append(NAME, b"?" * size)
            return super().on_file_close(request)

    board, data = Board(group=Forgets), content(3000)
    board.up(data, Faults(cut_after_writes=6, cuts=1))
    assert board.stored == data


def test_a_link_that_stays_lost_is_an_error() -> None:
    board = Board()
    with pytest.raises((LinkLostError, ResponseTimeoutError)):
        board.up(content(9000), Faults(cut_after_writes=7, reconnect=False))
