"""Downloads with several requests in flight: answers in any order, lost, refused, short, and a link that goes."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from smpdfu.client import Client
from smpdfu.client.files import download_file
from smpdfu.client.transfers.file_download import Part, Reading
from smpdfu.errors import DeviceError, ResponseTimeoutError
from smpdfu.link.memory import NO_FAULTS, Faults, served_pipe
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.smp.groups.fs import FileDownload, FileDownloadReply, FsRc
from smpdfu.smp.message import MgmtRc
from smpdfu.smp.transfer.window import Fault, Window
from smpdfu.virtual.server.groups.fs import FsGroup
from smpdfu.virtual.server.server import Refused
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.client.file_board import BUFFER, IMPATIENT, LONG_S, NAME, SHORT_S, Board, content
else:
    from file_board import BUFFER, IMPATIENT, LONG_S, NAME, SHORT_S, Board, content

WIDTH = 3
SIZE = 20_000


class Wide(Window):
    """So many in flight whatever happens; ``faults`` are those that it was told of."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__(8)
        self.size, self.faults = width, 0

    def _choose(self, size: int, now: float) -> None:
        pass

    def send_at(self) -> float:
        return 0.0

    def overdue_s(self) -> float:
        return SHORT_S

    def fault(self, sent_at: float, kind: Fault) -> None:
        self.faults += 1


class Hoarder(Board):
    """Answers when ``WIDTH`` requests have come, the last one first; or all that are there, if no more come."""

    most = 0

    async def serve(self, pipe: Pipe) -> None:
        framing, waiting = ConsoleFraming(), list[bytes]()
        while True:
            try:
                async with asyncio.timeout(0.01 if waiting else None):
                    waiting += framing.feed(await pipe.read())
            except TimeoutError:
                pass
            else:
                if len(waiting) < WIDTH:
                    continue
            self.most = max(self.most, len(waiting))
            for message in reversed(waiting):
                for answer in self.server.answers(message):
                    await pipe.write(framing.encode(answer))
            waiting.clear()


def read(board: Board, window: Window, part: Part, faults: Faults = NO_FAULTS, *, timeout_s: float = LONG_S) -> bytes:
    async def main() -> bytes:
        pipe = served_pipe(board.serve, faults, name="the board")
        got = bytearray()
        async with Client(pipe, ConsoleFraming(), timeout_s=timeout_s, attempts=6, patience=IMPATIENT) as client:
            async with aclosing(Reading(client, window, part).pieces()) as pieces:
                async for reply in pieces:
                    assert reply.off == part.start + len(got)
                    got += reply.data
            assert len(asyncio.all_tasks()) <= 4, "nothing goes on behind our back"
        return bytes(got)

    return simulate(main())


def part(start: int = 0, piece: int = BUFFER - 56) -> Part:
    return Part(NAME, start, SIZE, piece)


def stocked(kind: type[FsGroup] = FsGroup, make: Callable[..., Board] = Board) -> Board:
    board = make(group=kind)
    board.put(content(SIZE))
    return board


def test_several_are_in_flight_and_answers_come_in_any_order() -> None:
    board, window = stocked(make=Hoarder), Wide()
    assert read(board, window, part()) == content(SIZE)
    assert isinstance(board, Hoarder)
    assert board.most == WIDTH


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("piece", [1000, 64])
def test_a_wrong_guess_of_the_length_costs_no_byte(width: int, piece: int) -> None:
    assert read(stocked(), Wide(width), part(1234, piece)) == content(SIZE)[1234:]


def test_what_is_lost_is_asked_for_again() -> None:
    board, window = stocked(), Wide()
    board.lose = {3, 4, 9, 30}
    assert read(board, window, part()) == content(SIZE)
    assert window.faults >= 4


def test_a_lost_link_is_opened_again() -> None:
    assert read(stocked(), Wide(), part(), Faults(cut_after_writes=40)) == content(SIZE)


def test_silence_ends_it() -> None:
    board = stocked()
    board.lose = set(range(10, 10_000))
    with pytest.raises(ResponseTimeoutError):
        read(board, Wide(), part(), timeout_s=SHORT_S)


class Busy(FsGroup):
    """Refuses every third piece."""

    asked = 0

    def on_file_download(self, request: FileDownload) -> FileDownloadReply:
        self.asked += 1
        if self.asked % 3 == 0:
            raise Refused(MgmtRc.ENOMEM)
        return super().on_file_download(request)


def test_a_busy_device_is_asked_again() -> None:
    window = Wide()
    assert read(stocked(Busy), window, part()) == content(SIZE)
    assert window.faults > 10


class Broken(FsGroup):
    """Cannot read behind the beginning."""

    def on_file_download(self, request: FileDownload) -> FileDownloadReply:
        if request.off > 5000:
            raise Refused(FsRc.FILE_READ_FAILED)
        return super().on_file_download(request)


def test_an_error_of_the_device_is_raised() -> None:
    with pytest.raises(DeviceError) as caught:
        read(stocked(Broken), Wide(), part())
    assert caught.value.rc == FsRc.FILE_READ_FAILED


def test_a_download_has_as_many_in_flight_as_the_user_allows() -> None:
    board, target = stocked(make=Hoarder), io.BytesIO()

    async def main() -> None:
        pipe = served_pipe(board.serve, NO_FAULTS, name="the board")
        async with Client(pipe, ConsoleFraming(), timeout_s=LONG_S, patience=IMPATIENT, window_max=1) as client:
            await download_file(client, NAME, target)

    simulate(main())
    assert isinstance(board, Hoarder)
    assert (target.getvalue(), board.most) == (content(SIZE), 1)
