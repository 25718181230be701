"""A pseudo terminal as a device's serial port: any SMP client on this computer can open it.

The port stays when a client closes it, as a UART does, and takes no notice of who listens: what does not fit into the
system's buffer and ours, because nobody reads, is lost. What a client writes stays in the system's buffer until it is
its turn, so that a client that is faster than the line has to wait, as at a UART.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path

from smpdfu.errors import ConnectError, LinkLostError
from smpdfu.link.inbox import Inbox
from smpdfu.link.pipe import Pipe, not_open, words
from smpdfu.smp.framing import Framing
from smpdfu.virtual.device import VirtualNrf5340

_READ_SIZE = 4096
_UNREAD_MAX = 1 << 16
"""Bytes that wait for a client that does not read; more are lost."""


class PtyPipe(Pipe):
    """The device's end of a pseudo terminal. ``path`` is what a client opens.

    The terminal exists from the making of the pipe to ``dispose``; ConnectError where the system has none.
    """

    def __init__(self) -> None:
        self._master, self._slave = _open_terminal()
        self.path = os.ttyname(self._slave)
        super().__init__(self.path)
        self._inbox: Inbox | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unread = bytearray()

    def dispose(self) -> None:
        """Give the terminal back: clients lose it."""
        self._stop()
        for descriptor in (self._master, self._slave):
            os.close(descriptor)

    async def _open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox()
        self._loop.add_reader(self._master, self._on_readable)

    async def _close(self) -> None:
        self._stop()

    async def _read(self) -> bytes:
        if self._inbox is None:
            raise not_open(self.name)
        data = await self._inbox.get()
        if self._loop is not None:
            self._loop.add_reader(self._master, self._on_readable)
        return data

    async def _write(self, data: bytes) -> None:
        if self._loop is None:
            raise not_open(self.name)
        self._unread += data[: _UNREAD_MAX - len(self._unread)]
        self._flush()

    def _flush(self) -> None:
        try:
            sent = os.write(self._master, self._unread)
        except BlockingIOError:
            sent = 0
        del self._unread[:sent]
        if self._loop is None:
            return
        if self._unread:
            self._loop.add_writer(self._master, self._flush)
        else:
            self._loop.remove_writer(self._master)

    def _on_readable(self) -> None:
        assert self._inbox is not None
        _share(self._slave)
        try:
            self._inbox.put(os.read(self._master, _READ_SIZE))
            if self._loop is not None:
                self._loop.remove_reader(self._master)
        except BlockingIOError:
            return
        except OSError as error:
            self._inbox.end(LinkLostError(f"the link to {self.name} is lost: {words(error)}"))
            self._stop()

    def _stop(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None and not loop.is_closed():
            loop.remove_reader(self._master)
            loop.remove_writer(self._master)
        if self._inbox is not None:
            self._inbox.end(LinkLostError(f"{self.name} was closed"))


async def serve_pty(
    device: VirtualNrf5340, ready: Callable[[str], None], link: Path | None = None, framing: Framing | None = None
) -> None:
    """Serve ``device`` at a pseudo terminal until cancelled.

    ``ready`` is called with the port as soon as a client can open it: ``link``, if one is to be made, else the
    terminal. ``framing``: the device's console, unless another one is given. Raises ConnectError.
    """
    await serve_at_terminal(lambda pipe: device.serve(pipe, framing), ready, link)


async def serve_at_terminal(
    serve: Callable[[Pipe], Awaitable[None]], ready: Callable[[str], None], link: Path | None = None
) -> None:
    """Let ``serve`` serve the open pipe of a pseudo terminal, until it returns or is cancelled; see ``serve_pty``."""
    pipe = PtyPipe()
    try:
        with nullcontext() if link is None else Link(link, pipe.path):
            async with pipe:
                ready(pipe.path if link is None else str(link))
                await serve(pipe)
    finally:
        pipe.dispose()


class Link:
    """A symbolic link to a terminal, so that a port has a name of its own; used with ``with``.

    Replaces a link that is there, dangling or not; ConnectError if something else is, or if it cannot be made.
    """

    def __init__(self, path: Path, target: str) -> None:
        self.path, self.target = path, target

    def __enter__(self) -> Link:
        if self.path.exists() and not self.path.is_symlink():
            raise ConnectError(f"{self.path} exists and is not a link: it was left as it is", str(self.path))
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            beside.symlink_to(self.target)
            beside.replace(self.path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise ConnectError(f"the link {self.path} cannot be made: {words(error)}", str(self.path)) from error
        return self

    def __exit__(self, *error: object) -> None:
        if self.path.is_symlink() and str(self.path.readlink()) == self.target:  # not somebody else's by now
            self.path.unlink(missing_ok=True)


def _share(slave: int) -> None:
    """Undo a client's TIOCEXCL: the mark would outlive the client, for we keep the terminal, and shut out the next."""
    import fcntl
    import termios

    fcntl.ioctl(slave, termios.TIOCNXCL)


def _open_terminal() -> tuple[int, int]:
    """A raw terminal: (master, slave). The slave stays open here, or the master would end when a client closes."""
    try:
        import tty

        master, slave = os.openpty()
    except (ImportError, AttributeError, OSError) as error:
        raise ConnectError(f"this system has no pseudo terminal to offer: {error}") from error
    tty.setraw(slave)
    os.set_blocking(master, False)
    return master, slave
