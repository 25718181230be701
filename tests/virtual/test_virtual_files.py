"""The file system of the virtual application, beyond what was recorded."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import pytest

from smpdfu.smp import cbor
from smpdfu.smp.groups.fs import (
    FileClose,
    FileDownload,
    FileDownloadReply,
    FileHash,
    FileHashReply,
    FileStatus,
    FileStatusReply,
    FileUpload,
    FileUploadReply,
    FsRc,
)
from smpdfu.smp.groups.raw import RawRequest
from smpdfu.smp.message import Empty, MgmtRc, Op
from smpdfu.virtual.server.application import Kept
from smpdfu.virtual.server.files import CAPACITY, FILE_COST, Files, FolderFiles, Full, MemoryFiles
from tests.virtual.served_app import App


@pytest.fixture
def app() -> App:
    return App()


DATA = bytes(range(256)) * 5


def put(app: App, name: str = "/lfs1/data", data: bytes = DATA) -> None:
    for off in range(0, len(data), 300):
        piece = FileUpload(name=name, off=off, len=None if off else len(data), data=data[off : off + 300])
        assert app.ask(piece) == FileUploadReply(min(off + 300, len(data)))


def get(app: App, name: str = "/lfs1/data") -> bytes:
    found = b""
    while True:
        reply = app.ask(FileDownload(name, len(found)))
        assert isinstance(reply, FileDownloadReply)
        assert (reply.off, reply.len) == (len(found), len(DATA) if not found else None)
        if not reply.data:
            return found
        found += reply.data


def test_a_file_goes_up_and_down_and_outlives_a_reset(app: App) -> None:
    put(app)
    assert get(app) == DATA
    assert app.ask(FileStatus("/lfs1/data")) == FileStatusReply(len(DATA))
    assert get(app.restarted()) == DATA
    put(app, data=DATA[::-1])
    assert get(app) == DATA[::-1]


def test_a_piece_of_a_download_fills_the_buffer_but_for_what_fs_mgmt_sets_aside(app: App) -> None:
    put(app)
    reply = app.ask(FileDownload("/lfs1/data", 0))
    assert isinstance(reply, FileDownloadReply)
    assert len(reply.data) == 512 - 50


def test_an_upload_goes_on_where_the_file_ends_also_after_a_reset(app: App) -> None:
    app.ask(FileUpload(name="/lfs1/data", off=0, len=9, data=b"abc"))
    gap = FileUpload(name="/lfs1/data", off=5, data=b"xyz")
    (answer,) = app.application.server.answers(gap.to_bytes(1))
    assert cbor.loads(answer[8:]) == {"err": {"group": 8, "rc": FsRc.FILE_OFFSET_NOT_VALID}, "len": 3}
    (answer,) = app.application.server.answers(gap.to_bytes(1, version=1))
    assert cbor.loads(answer[8:]) == {"rc": MgmtRc.EUNKNOWN}
    app = app.restarted()
    assert app.ask(FileUpload(name="/lfs1/data", off=3, data=b"def")) == FileUploadReply(6)
    assert app.ask(FileUpload(name="/lfs1/data", off=6, data=b"ghi")) == FileUploadReply(9)
    assert app.ask(FileHash("/lfs1/data")) == FileHashReply("crc32", len=9, output=zlib.crc32(b"abcdefghi"))


def test_a_first_piece_begins_anew_in_the_middle_of_an_upload(app: App) -> None:
    put(app, data=DATA[:300])
    app.ask(FileUpload(name="/lfs1/data", off=0, len=900, data=b"abc"))
    # The file begins anew, Zephyr's count does not.
    assert app.ask(FileUpload(name="/lfs1/data", off=0, len=900, data=b"de")) == FileUploadReply(3 + 2)
    assert app.ask(FileStatus("/lfs1/data")) == FileStatusReply(2)


def test_an_empty_first_piece_makes_a_file_and_spares_one_that_is_there(app: App) -> None:
    assert app.ask(FileUpload(name="/lfs1/empty", off=0, len=0)) == FileUploadReply(0)
    assert app.ask(FileClose()) == Empty()
    assert app.ask(FileStatus("/lfs1/empty")) == FileStatusReply(0)
    put(app)
    app.ask(FileUpload(name="/lfs1/data", off=0, len=0))
    assert app.ask(FileStatus("/lfs1/data")) == FileStatusReply(len(DATA))


def test_hashes_of_parts(app: App) -> None:
    put(app)
    part = hashlib.sha256(DATA[100:150]).digest()
    assert app.ask(FileHash("/lfs1/data", "sha256", 100, 50)) == FileHashReply("sha256", 100, 50, part)
    rest = zlib.crc32(DATA[1000:])
    assert app.ask(FileHash("/lfs1/data", None, 1000, 10**6)) == FileHashReply("crc32", 1000, len(DATA) - 1000, rest)
    assert app.refusal(FileHash("/lfs1/data", len=0)) == (None, MgmtRc.EINVAL)
    assert app.refusal(FileHash("/lfs1/data", "sha256sum")) == (None, MgmtRc.EINVAL)
    assert app.refusal(FileHash("/lfs1/data", "md5")) == (8, FsRc.CHECKSUM_HASH_NOT_FOUND)
    assert app.refusal(FileHash("/lfs1/data", off=len(DATA))) == (8, FsRc.FILE_OFFSET_LARGER_THAN_FILE)
    app.ask(FileUpload(name="/lfs1/empty", off=0, len=0))
    assert app.refusal(FileHash("/lfs1/empty")) == (8, FsRc.FILE_EMPTY)


def test_paths(app: App) -> None:
    def refused(name: str) -> tuple[int | None, int] | None:
        return app.refusal(FileUpload(name=name, off=0, len=1, data=b"x"))

    assert refused("data") == refused("/") == (8, FsRc.FILE_INVALID_NAME)
    assert refused("/other/data") == refused("/lfs1/folder/data") == (8, FsRc.MOUNT_POINT_NOT_FOUND)
    assert refused("/lfs1") == refused("/lfs1/") == (8, FsRc.UNKNOWN)
    assert refused("") == refused("/lfs1/" + "x" * 59) == (None, MgmtRc.EINVAL)
    assert refused("/lfs1/" + "x" * 58) is None
    assert app.refusal(FileStatus("/lfs1")) == (8, FsRc.FILE_IS_DIRECTORY)
    assert app.refusal(FileStatus("data")) == (8, FsRc.FILE_INVALID_NAME)
    assert app.refusal(FileStatus("data"), version=1) == (None, MgmtRc.EINVAL)


def test_a_download_needs_its_offset(app: App) -> None:
    put(app)
    payload: dict[str, object] = {"name": "/lfs1/data"}
    assert app.refusal(RawRequest(8, FileDownload.command, Op.READ, payload)) == (None, MgmtRc.EINVAL)


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_files(kind: str, tmp_path: Path) -> None:
    files: Files = MemoryFiles(3000) if kind == "memory" else FolderFiles(tmp_path / "files", 3000)
    assert files.size("/lfs1/a") is None
    files.clear("/lfs1/a")
    files.append("/lfs1/a", b"abc")
    files.append("/lfs1/a", b"def")
    assert files.size("/lfs1/a") == 6
    assert files.read("/lfs1/a", 2, 3) == b"cde"
    assert files.read("/lfs1/a", 2**64 - 1, 3) == b""
    files.append("/lfs1/a", bytes(3000 - FILE_COST - 6))
    with pytest.raises(Full):
        files.append("/lfs1/a", b"x")
    with pytest.raises(Full):
        files.clear("/lfs1/b")
    files.clear("/lfs1/a")
    assert files.size("/lfs1/a") == 0


def test_a_file_system_that_is_full_says_so(app: App) -> None:
    app = App(Kept(files=MemoryFiles(1000)))
    assert app.refusal(FileUpload(name="/lfs1/a", off=0, len=400, data=bytes(400))) is None
    assert app.refusal(FileUpload(name="/lfs1/b", off=0, len=400, data=bytes(400))) == (8, FsRc.FILE_WRITE_FAILED)
    assert app.refusal(FileUpload(name="/lfs1/c", off=0, len=1, data=b"x")) == (8, FsRc.UNKNOWN)
    assert CAPACITY > 1000
