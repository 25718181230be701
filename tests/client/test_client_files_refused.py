"""Files to and from devices that refuse, lie, or get nowhere."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from smpdfu.client import Client
from smpdfu.client.files import FileResult, download_file, upload_file
from smpdfu.client.transfers import file_download, file_upload
from smpdfu.client.transfers.file_hash import HASHES, hash_bytes
from smpdfu.errors import DeviceError, LocalProtocolError, RemoteProtocolError
from smpdfu.link.memory import served_pipe
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.smp.groups.fs import (
    FileDownload,
    FileDownloadReply,
    FileHash,
    FileHashReply,
    FileUpload,
    FileUploadReply,
    FsRc,
    HashTypes,
)
from smpdfu.smp.message import MgmtRc
from smpdfu.smp.transfer.upload import PATIENCE, UploadProgress
from smpdfu.virtual.server.groups.fs import FsGroup
from smpdfu.virtual.server.server import Refused
from tests.simulated import START_S, simulate

if TYPE_CHECKING:
    from tests.client.file_board import NAME, SHORT_S, Board, content
else:
    from file_board import NAME, SHORT_S, Board, content


class BusyFor(FsGroup):
    """Busy until the event loop's clock shows ``until_s``."""

    until_s = START_S + 5.0

    def _wait(self) -> None:
        if asyncio.get_running_loop().time() < self.until_s:
            raise Refused(MgmtRc.EBUSY)

    def on_file_upload(self, request: FileUpload) -> FileUploadReply:
        """Take it, later."""
        self._wait()
        return super().on_file_upload(request)


class BusyForReaders(BusyFor):
    until_s = START_S + 0.3

    def on_file_download(self, request: FileDownload) -> FileDownloadReply:
        """Give it, later."""
        self._wait()
        return super().on_file_download(request)


def test_a_device_that_is_busy_for_seconds_is_waited_for_with_ever_longer_pauses() -> None:
    """By the default patience, whose first pauses are much shorter than that."""
    board, data = Board(group=BusyFor), content(1000)

    async def main() -> FileResult:
        pipe = served_pipe(board.serve, name="the board")
        async with Client(pipe, ConsoleFraming()) as client:
            return await upload_file(client, io.BytesIO(data), NAME)

    result = simulate(main())
    assert board.stored == data
    assert 5 < result.seconds < 12
    assert board.heard < 50


def test_a_device_that_is_busy_is_asked_again_for_a_download() -> None:
    board, target = Board(group=BusyForReaders), io.BytesIO()
    board.put(content(1000))

    async def main() -> FileResult:
        pipe = served_pipe(board.serve, name="the board")
        async with Client(pipe, ConsoleFraming()) as client:
            return await download_file(client, NAME, target)

    assert simulate(main()).verified
    assert target.getvalue() == content(1000)


def test_no_progress_ends() -> None:
    class Stuck(FsGroup):
        def on_file_upload(self, request: FileUpload) -> FileUploadReply:
            """Never take anything."""
            return FileUploadReply(0)

    board = Board(group=Stuck, without=(HashTypes,))
    with pytest.raises(RemoteProtocolError, match="no progress"):
        board.up(content(2000))
    assert board.heard < 6 + 4 * PATIENCE


@pytest.mark.parametrize("code", [MgmtRc.EBUSY, MgmtRc.ENOMEM])
def test_a_device_that_is_busy_for_ever_is_an_error(code: MgmtRc) -> None:
    class Busy(FsGroup):
        def on_file_upload(self, request: FileUpload) -> FileUploadReply:
            raise Refused(code)

    with pytest.raises(RemoteProtocolError, match="no progress"):
        Board(group=Busy).up(content(500))


@pytest.mark.parametrize(
    "code", [FsRc.FILE_WRITE_FAILED, FsRc.MOUNT_POINT_NOT_FOUND, MgmtRc.EACCESSDENIED, MgmtRc.EUNKNOWN]
)
@pytest.mark.parametrize("at", [0, 600])
def test_a_refusal_is_raised_at_once(code: FsRc | MgmtRc, at: int) -> None:
    class Refuses(FsGroup):
        asked = 0

        def on_file_upload(self, request: FileUpload) -> FileUploadReply:
            if request.off >= at:
                self.asked += 1
                raise Refused(code)
            return super().on_file_upload(request)

    board = Board(group=Refuses)
    with pytest.raises(DeviceError) as caught:
        board.up(content(2000))
    assert caught.value.name == code.name
    assert isinstance(board.fs, Refuses)
    assert board.fs.asked == 1


def test_a_device_that_takes_only_short_messages_is_found_out() -> None:
    board, data = Board(), content(1000)
    board.deaf = lambda message: len(message) > 200
    result = board.run(lambda client: upload_file(client, io.BytesIO(data), NAME), timeout_s=SHORT_S / 5)
    assert board.stored == data
    assert result.verified


def test_a_device_that_turns_the_bytes_around_is_noticed() -> None:
    class Liar(FsGroup):
        def on_file_hash(self, request: FileHash) -> FileHashReply:
            """A hash of something else."""
            reply = super().on_file_hash(request)
            return FileHashReply(reply.type, None, reply.len, bytes(32))

    board = Board(group=Liar)
    with pytest.raises(RemoteProtocolError, match="holds other bytes"):
        board.up(content(1000))
    with pytest.raises(RemoteProtocolError, match="changed on the way"):
        board.down()


def test_a_name_that_leaves_no_room_is_refused() -> None:
    board = Board()
    with pytest.raises(LocalProtocolError, match="no room"):
        board.run(lambda client: upload_file(client, io.BytesIO(content(1000)), "/lfs1/" + "x" * 330, resume=False))


def test_a_file_that_shrinks_while_it_is_sent_is_an_error() -> None:
    board, source = Board(), io.BytesIO(content(2000))

    def cut(progress: UploadProgress) -> None:
        if progress.off > 500:
            source.truncate(600)

    with pytest.raises(LocalProtocolError, match="shorter"):
        board.run(lambda client: upload_file(client, source, NAME, progress=cut))


REPLIES: dict[str, tuple[Callable[[FileDownload], FileDownloadReply], str]] = {
    "no length": (lambda request: FileDownloadReply(request.off, b"x"), "does not report the size"),
    "another place": (lambda request: FileDownloadReply(request.off + 1, b"x", 100), "asked for byte 0"),
    "nothing": (lambda request: FileDownloadReply(request.off, b"", 100), "ends at byte 0"),
    "too much": (lambda request: FileDownloadReply(request.off, b"x" * 300, 100), "sends more"),
    "an early end": (
        lambda request: FileDownloadReply(request.off, b"" if request.off else b"x" * 60, None if request.off else 100),
        "ends at byte 60",
    ),
}


@pytest.mark.parametrize("case", REPLIES)
def test_wrong_pieces_of_a_download_are_errors(case: str) -> None:
    reply, sentence = REPLIES[case]

    class Odd(FsGroup):
        def on_file_download(self, request: FileDownload) -> FileDownloadReply:
            """Send what is wrong."""
            return reply(request)

    with pytest.raises(RemoteProtocolError, match=sentence):
        Board(group=Odd).down()


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(DeviceError) as caught:
        Board().down()
    assert caught.value.is_code(FsRc.FILE_NOT_FOUND, 8)


def test_a_checksum_is_compared_where_there_is_no_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (file_upload, file_download):
        monkeypatch.setattr(module, "HASHES", {"crc32": HASHES["crc32"]})
    board = Board()
    assert board.up(content(1000)).hash_type == "crc32"
    assert board.down()[0].hash_type == "crc32"


def test_numbers_are_hashes_with_all_their_bytes() -> None:
    assert hash_bytes(FileHashReply("crc32", output=1)) == b"\0\0\0\1"
    assert hash_bytes(FileHashReply("sum16", output=0x1234)) == b"\x12\x34"
    assert hash_bytes(FileHashReply("sum8", output=0)) == b"\0"
    assert hash_bytes(FileHashReply("sha1", output=b"abc")) == b"abc"
