"""``Client.close`` while another task uses the client: everything that runs on it ends, and nothing reconnects."""

from __future__ import annotations

import asyncio
import io
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from smpdfu.client import Client, Patience, UploadProgress
from smpdfu.client.files import download_file, upload_file
from smpdfu.errors import LinkLostError
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import generate
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.link.memory import Faults, served_pipe
from smpdfu.link.pipe import Pipe
from smpdfu.link.udp import UdpPipe
from smpdfu.smp.framing import DatagramFraming
from smpdfu.smp.groups.os import Echo
from smpdfu.virtual.boot.bootloader import BootKeys
from smpdfu.virtual.chip.layout import NRF5340DK_STAGED
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.wires.udp import serve_udp
from tests.deadlines import HANG_S
from tests.simulated import now, simulate

KEY = generate("ecdsa-p256")
NAME = "/lfs1/data.bin"
CONTENT = bytes(range(256)) * 400
RECONNECT_S = 600.0
PATIENCE = Patience(reconnect_s=RECONNECT_S, quiet_s=0.0, pause_s=0.01)
Report = Callable[[UploadProgress], None]


def signed_image(version: int) -> bytes:
    start = NRF5340DK_STAGED.primary.start + 512
    firmware = struct.pack("<2I", 0x2000_4000, start + 0x101) + random.Random(version).randbytes(60_000)
    return build(ImageSpec(Version(version), 512, 0, pad_header=True), firmware, KEY).to_bytes()


OLD, NEW = signed_image(1), signed_image(2)


def new_device() -> VirtualNrf5340:
    device = VirtualNrf5340(NRF5340DK_STAGED, BootKeys((KEY.public,)))
    device.load_app(OLD)
    device.reset()
    return device


@asynccontextmanager
async def at_udp() -> AsyncIterator[Client]:
    """A client of a virtual device at a real UDP port."""
    place: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(serve_udp(new_device(), "127.0.0.1", 0, lambda *where: place.set_result(where)))
    try:
        yield Client(UdpPipe(*await place), DatagramFraming(), timeout_s=HANG_S, patience=PATIENCE)
    finally:
        serving.cancel()
        await asyncio.wait([serving])


def upload_image(client: Client, report: Report) -> Awaitable[object]:
    return client.upload(NEW, progress=report)


def upload_one_file(client: Client, report: Report) -> Awaitable[object]:
    return upload_file(client, io.BytesIO(CONTENT), NAME, progress=report)


def download_one_file(client: Client, report: Report) -> Awaitable[object]:
    return download_file(client, NAME, io.BytesIO(), progress=report)


TRANSFERS = [upload_image, upload_one_file, download_one_file]


@pytest.mark.parametrize("reopened", [False, True], ids=["closed", "closed and opened again"])
@pytest.mark.parametrize("transfer", TRANSFERS)
def test_close_ends_a_transfer(transfer: Callable[[Client, Report], Awaitable[object]], reopened: bool) -> None:
    async def use() -> None:
        async with at_udp() as client, asyncio.timeout(HANG_S):
            links: list[str] = []
            client.trace = lambda event: links.append(event.text) if event.kind == "link" else None
            await client.open()
            await upload_file(client, io.BytesIO(CONTENT), NAME)
            under_way = asyncio.Event()
            running = asyncio.ensure_future(
                transfer(client, lambda progress: under_way.set() if progress.off else None)
            )
            await under_way.wait()
            await client.close()
            if reopened:
                await client.open()
            with pytest.raises(LinkLostError, match="this program closed the link") as ended:
                await running
            assert ended.value.closed
            assert [text.split()[-1] for text in links] == ["open", "closed"] + ["open"] * reopened
            if reopened:
                assert (await client.request(Echo("again"))).r == "again"
            await client.close()

    asyncio.run(use())


QUESTIONS: dict[str, Callable[[Client], Awaitable[object]]] = {
    "request": lambda client: client.request(Echo("x")),
    "params": lambda client: client.params(),
    "reset": lambda client: client.reset(),
    "wait_for_device": lambda client: client.wait_for_device(HANG_S),
    "upload": lambda client: client.upload(NEW),
}


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=list(QUESTIONS))
def test_close_ends_a_question_that_nobody_answers(ask: Callable[[Client], Awaitable[object]]) -> None:
    async def use() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            client = Client(UdpPipe(*silent.getsockname()), DatagramFraming(), timeout_s=HANG_S, patience=PATIENCE)
            async with asyncio.timeout(HANG_S):
                asked = asyncio.Event()
                client.trace = lambda event: asked.set() if event.kind == "sent" else None
                await client.open()
                running = asyncio.ensure_future(ask(client))
                await asked.wait()
                await client.close()
                with pytest.raises(LinkLostError) as ended:
                    await running
                assert ended.value.closed

    asyncio.run(use())


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=list(QUESTIONS))
def test_a_closed_client_asks_nothing(ask: Callable[[Client], Awaitable[object]]) -> None:
    async def use() -> None:
        async with at_udp() as client, asyncio.timeout(HANG_S):
            await client.open()
            await client.close()
            sent: list[bytes] = []
            client.trace = lambda event: sent.append(event.data)
            with pytest.raises(LinkLostError) as refused:
                await ask(client)
            assert (refused.value.closed, sent) == (True, [])

    asyncio.run(use())


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_close_ends_the_wait_for_a_lost_link(transfer: Callable[[Client, Report], Awaitable[object]]) -> None:
    """The wire is cut and does not come back: without ``close`` the client tries for ``RECONNECT_S``."""

    async def use() -> float:
        device = new_device()
        gone = served_pipe(
            lambda pipe: device.serve(pipe, DatagramFraming()),
            Faults(cut_after_bytes=25_000, reconnect=False),
            to_host=Faults(cut_after_bytes=10_000, reconnect=False),
        )
        client = Client(gone, DatagramFraming(), timeout_s=HANG_S, patience=PATIENCE)
        cut = asyncio.Event()
        client.trace = lambda event: cut.set() if event.kind == "link" and "lost" in event.text else None
        await client.open()
        if transfer is download_one_file:
            await upload_file(client, io.BytesIO(CONTENT[:20_000]), NAME)
        running = asyncio.ensure_future(transfer(client, lambda progress: None))
        await cut.wait()
        await asyncio.sleep(1.0)
        assert not running.done()
        began = now()
        await client.close()
        with pytest.raises(LinkLostError) as ended:
            await running
        assert ended.value.closed
        return now() - began

    assert simulate(use()) <= 2 * PATIENCE.pause_s


class SlowToOpen(Pipe):
    """A wire that opens when it is allowed to, and never closes by itself."""

    def __init__(self) -> None:
        super().__init__("the slow wire")
        self.asked, self.allowed = asyncio.Event(), asyncio.Event()
        self.is_open = False

    async def _open(self) -> None:
        self.asked.set()
        await self.allowed.wait()
        self.is_open = True

    async def _close(self) -> None:
        self.is_open = False

    async def _read(self) -> bytes:
        await asyncio.sleep(HANG_S)
        return b""

    async def _write(self, data: bytes) -> None:
        pass


def test_close_ends_an_open_that_is_under_way() -> None:
    async def use() -> None:
        pipe = SlowToOpen()
        client = Client(pipe, DatagramFraming())
        opening = asyncio.ensure_future(client.open())
        await pipe.asked.wait()
        await client.close()
        pipe.allowed.set()
        with pytest.raises(LinkLostError) as ended:
            await opening
        assert (ended.value.closed, pipe.is_open) == (True, False)

    simulate(use())


class SlowToClose(SlowToOpen):
    """A wire that takes for ever to close once it was open."""

    async def _close(self) -> None:
        if self.is_open:
            await asyncio.sleep(HANG_S)


def test_a_close_that_is_cancelled_ends_what_waits() -> None:
    async def use() -> None:
        pipe = SlowToClose()
        pipe.allowed.set()
        client = Client(pipe, DatagramFraming(), timeout_s=10 * HANG_S)
        await client.open()
        running = asyncio.ensure_future(client.request(Echo("x")))
        await asyncio.sleep(1.0)
        closing = asyncio.ensure_future(client.close())
        await asyncio.sleep(1.0)
        closing.cancel()
        with pytest.raises(LinkLostError) as ended:
            await running
        assert ended.value.closed
        await asyncio.wait([closing])

    simulate(use())
