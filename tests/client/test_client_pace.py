"""Transfers that move next to nothing end; slow ones do not."""

from __future__ import annotations

import io
from collections.abc import Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.client import Client
from smpdfu.client.files import download_file, upload_file
from smpdfu.client.pace import ANSWERS, FLOOR, WINDOW_S, Pace
from smpdfu.errors import RemoteProtocolError, TransferTimeoutError
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.smp.groups.fs import FileDownload, FileDownloadReply, FileUpload, FileUploadReply
from smpdfu.smp.groups.image import ImageUpload
from tests.simulated import simulate, timed

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.client.fake_device import Answer, image
    from tests.client.server_models import Server, SimulatedPipe, Wire, upload
else:
    from fake_device import Answer, image
    from server_models import Server, SimulatedPipe, Wire, upload

DATA = image(200_000)
WIRE = Wire(delay_s=0.01)


class OneByte(SimulatedPipe):
    """Takes one byte of every piece."""

    def _upload(self, request: ImageUpload) -> Answer:
        return super()._upload(replace(request, data=request.data[:1]) if request.off else request)


def test_an_upload_of_a_byte_a_request_ends() -> None:
    async def main() -> None:
        async with Client(OneByte(Server(erase_s=0.0), WIRE), ConsoleFraming()) as client:
            await client.upload(DATA)

    with pytest.raises(RemoteProtocolError, match=r"the upload is too slow: \d+ bytes in 64 answers"):
        simulate(main())


def file_client(piece: int, delay_s: float, promised: int = 1 << 20, bound_s: float | None = None) -> Client:
    pipe = SimulatedPipe(Server(), replace(WIRE, delay_s=delay_s))
    pipe.device.answers[FileDownload] = lambda request: FileDownloadReply(
        request.off, bytes(piece), promised if request.off == 0 else None
    )
    pipe.device.answers[FileUpload] = lambda request: FileUploadReply(request.off + len(request.data))
    return Client(pipe, ConsoleFraming(), timeout_s=30, transfer_timeout_s=bound_s)


@pytest.mark.parametrize(("piece", "delay_s", "why"), [(1, 0.005, "64 answers"), (8, 4.0, "bytes in \\d+ seconds")])
def test_a_download_that_trickles_ends(piece: int, delay_s: float, why: str) -> None:
    async def main() -> None:
        async with file_client(piece, delay_s) as client:
            await download_file(client, "/lfs1/a", io.BytesIO())

    with pytest.raises(RemoteProtocolError, match=f"the download of /lfs1/a is too slow: .*{why}"):
        simulate(main())


def test_more_than_a_file_system_can_hold_is_no_promise() -> None:
    async def main() -> None:
        async with file_client(100, 0.01, 1 << 62) as client:
            await download_file(client, "/lfs1/a", io.BytesIO())

    with pytest.raises(RemoteProtocolError, match="reports 4611686018427387904 bytes for /lfs1/a"):
        simulate(main())


def test_an_upload_over_1200_baud_takes_its_time() -> None:
    wire = Wire(bytes_per_s=120.0, delay_s=0.01)
    assert upload(image(40_000), Server(erase_s=30.0), wire, timeout_s=20.0).seconds > 400


def test_the_bounds() -> None:
    slow, fast = Pace("it"), Pace("it")
    for number in range(10 * ANSWERS):
        fast.moved(number * 32, number * (32 / FLOOR))
    slow.moved(0, 0.0)
    with pytest.raises(RemoteProtocolError, match="it is too slow: 1919 bytes in 120 seconds"):
        slow.moved(int(WINDOW_S * FLOOR) - 1, WINDOW_S)


def test_what_falls_back_is_measured_anew() -> None:
    pace = Pace("it")
    for number in range(1000):
        pace.moved((number % 50) * 100, float(number))


# --- a bound that a person sets ---------------------------------------------------------------------------------------


def ended_after(work: Coroutine[Any, Any, None]) -> tuple[TransferTimeoutError, float]:
    """How the transfer ended, and after how many simulated seconds."""

    async def main() -> TransferTimeoutError:
        with pytest.raises(TransferTimeoutError) as caught:
            await work
        return caught.value

    return simulate(timed(main()))


def test_an_upload_ends_at_its_bound() -> None:
    async def main() -> None:
        slow = Wire(bytes_per_s=120.0, delay_s=0.01)
        pipe = SimulatedPipe(Server(erase_s=0.0), slow)
        async with Client(pipe, ConsoleFraming(), timeout_s=20, transfer_timeout_s=60) as client:
            await client.upload(DATA)

    error, seconds = ended_after(main())
    assert 60 <= seconds < 61
    assert error.total == len(DATA)
    assert 0 < error.done < len(DATA)
    assert str(error) == f"the upload did not end within 60 s: {error.done} of {len(DATA)} bytes have arrived"


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_file_ends_at_its_bound(way: str) -> None:
    """The device answers fast enough for the floor, and would go on for hours."""

    async def main() -> None:
        async with file_client(100, 1.0, bound_s=60) as client:
            if way == "up":
                await upload_file(client, io.BytesIO(bytes(1 << 20)), "/lfs1/a", resume=False)
            else:
                await download_file(client, "/lfs1/a", io.BytesIO())

    error, seconds = ended_after(main())
    assert 60 <= seconds < 62
    assert f"the {way}load of /lfs1/a did not end within 60 s" in str(error)
    assert error.total == 1 << 20


def test_a_bound_that_is_none() -> None:
    with pytest.raises(ValueError, match="no transfer ends within 0 s"):
        file_client(1, 0.0, bound_s=0)
