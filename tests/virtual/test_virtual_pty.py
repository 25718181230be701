"""The pseudo terminal: raw, patient with clients that come and go, and never waiting for one that does not read."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from smpdfu.errors import ConnectError, LinkLostError
from smpdfu.virtual.wires.pty import Link, PtyPipe
from tests.deadlines import HANG_S

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")

EVERY_BYTE = bytes(range(256))


def opened(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)


async def read_some(descriptor: int, size: int) -> bytes:
    """``size`` bytes from a client's end."""
    data = b""
    while len(data) < size:
        try:
            data += os.read(descriptor, size - len(data))
        except BlockingIOError:
            await asyncio.sleep(0.001)
    return data


async def read_all(pipe: PtyPipe, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await pipe.read()
    return data


def test_every_byte_passes_as_it_is_in_both_directions() -> None:
    async def talk() -> None:
        pipe = PtyPipe()
        client = opened(pipe.path)
        async with pipe:
            os.write(client, EVERY_BYTE)
            assert await read_all(pipe, 256) == EVERY_BYTE
            await pipe.write(EVERY_BYTE)
            assert await read_some(client, 256) == EVERY_BYTE
        os.close(client)
        pipe.dispose()

    asyncio.run(talk())


def test_clients_come_and_go() -> None:
    async def talk() -> None:
        pipe = PtyPipe()
        async with pipe:
            for number in range(3):
                client = opened(pipe.path)
                os.write(client, b"%d" % number)
                assert await pipe.read() == b"%d" % number
                await pipe.write(b"answer")
                assert await read_some(client, 6) == b"answer"
                os.close(client)
        pipe.dispose()

    asyncio.run(talk())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whether a terminal is marked")
def test_a_client_that_wants_the_port_alone_does_not_shut_out_the_next() -> None:
    import fcntl
    import termios

    is_exclusive = 0x80045440  # TIOCGEXCL of Linux, which termios does not name

    async def talk() -> None:
        pipe = PtyPipe()
        client = opened(pipe.path)
        fcntl.ioctl(client, termios.TIOCEXCL)
        assert fcntl.ioctl(client, is_exclusive, bytes(4)) != bytes(4)
        async with pipe:
            os.write(client, b"x")
            assert await pipe.read() == b"x"
            assert fcntl.ioctl(client, is_exclusive, bytes(4)) == bytes(4)
        os.close(client)
        pipe.dispose()

    asyncio.run(talk())


def test_what_nobody_reads_is_lost_and_nothing_waits_for_it() -> None:
    async def talk() -> None:
        pipe = PtyPipe()
        client = opened(pipe.path)
        async with pipe:
            for _ in range(100):
                await asyncio.wait_for(pipe.write(bytes(10_000)), HANG_S)
            kept = len(await read_some(client, 60_000))
            assert kept == 60_000
            os.write(client, b"still here")
            assert await pipe.read() == b"still here"
        os.close(client)
        pipe.dispose()

    asyncio.run(talk())


def test_a_long_answer_arrives_whole_however_slowly_it_is_read() -> None:
    async def talk() -> None:
        pipe, answer = PtyPipe(), EVERY_BYTE * 200
        client = opened(pipe.path)
        async with pipe:
            await pipe.write(answer)
            assert await read_some(client, len(answer)) == answer
        os.close(client)
        pipe.dispose()

    asyncio.run(talk())


def test_a_closed_pipe_is_lost_and_can_be_opened_again() -> None:
    async def talk() -> None:
        pipe = PtyPipe()
        with pytest.raises(LinkLostError):
            await pipe.read()
        await pipe.open()
        reading = asyncio.create_task(pipe.read())
        await asyncio.sleep(0)
        await pipe.close()
        with pytest.raises(LinkLostError):
            await reading
        with pytest.raises(LinkLostError):
            await pipe.write(b"x")
        client = opened(pipe.path)
        async with pipe:
            os.write(client, b"again")
            assert await pipe.read() == b"again"
        os.close(client)
        pipe.dispose()

    asyncio.run(talk())


def test_a_system_without_terminals_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> tuple[int, int]:
        raise OSError(2, "out of pty devices")

    monkeypatch.setattr(os, "openpty", none)
    with pytest.raises(ConnectError, match="no pseudo terminal to offer"):
        PtyPipe()


def test_a_link_lives_as_long_as_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "port"
    path.symlink_to("/nowhere")
    with Link(path, "/dev/pts/77"):
        assert path.readlink() == Path("/dev/pts/77")
    assert not path.is_symlink()
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_somebody_else_made_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "port"
    with Link(path, "/dev/pts/77"):
        path.unlink()
        path.symlink_to("/dev/pts/78")
    assert path.readlink() == Path("/dev/pts/78")


def test_a_link_replaces_nothing_but_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConnectError, match="is not a link"), Link(tmp_path / "file", "/dev/pts/77"):
        pass
    with pytest.raises(ConnectError, match="cannot be made: No such file"), Link(tmp_path / "no" / "p", "/dev/pts/77"):
        pass
    assert (tmp_path / "file").read_text() == "mine"
