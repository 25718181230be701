"""The first chunk of an upload, at which devices erase: another request shows which it is, loss or erase."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from smpdfu.client import Client, UploadResult
from smpdfu.smp.framing import ConsoleFraming, DatagramFraming
from smpdfu.smp.groups import find_request
from smpdfu.smp.groups.image import ImageUpload
from smpdfu.smp.groups.os import Params
from smpdfu.smp.message import split_message
from tests.simulated import simulate

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.client.fake_device import image
    from tests.client.server_models import Server, SimulatedPipe, Wire
else:
    from fake_device import image
    from server_models import Server, SimulatedPipe, Wire

DATA = image(96 * 1024 - 72)
QUICK = Server(erase_s=0.0)


def serial(round_trip_ms: float, loss: float = 0.0) -> Wire:
    return Wire(delay_s=round_trip_ms / 2000, loss=loss)


def udp(round_trip_ms: float) -> Wire:
    return Wire(DatagramFraming, delay_s=round_trip_ms / 2000, max_write=1472)


class LosesFirst(SimulatedPipe):
    """Does not hear the first chunk, as often as ``missed`` says."""

    missed = 1

    def _feed(self, data: bytes) -> None:
        first = any(find(message) is ImageUpload for message in type(self._framing)().feed(data))
        if first and self.missed:
            self.missed -= 1
        else:
            super()._feed(data)


def find(message: bytes) -> type[object] | None:
    header = split_message(message).header
    return find_request(header.op, header.group, header.command)


@pytest.mark.parametrize("wire", [serial(30), udp(30)])
@pytest.mark.parametrize("erase_s", [0.0, 2.0])
def test_a_lost_first_chunk_costs_less_than_the_timeout(erase_s: float, wire: Wire) -> None:
    async def main(pipe: SimulatedPipe) -> UploadResult:
        async with Client(pipe, wire.framing()) as client:
            return await client.upload(DATA)

    server = replace(QUICK, erase_s=erase_s)
    good, lossy = (simulate(main(pipe(server, wire))) for pipe in (SimulatedPipe, LosesFirst))
    assert (good.retries, lossy.retries) == (0, 1)
    assert lossy.seconds - good.seconds < 0.7


def test_a_lost_first_chunk_does_not_make_the_others_be_waited_for_as_long() -> None:
    wire = replace(serial(30, 0.01), seed=2)
    pipe = LosesFirst(QUICK, wire)

    async def main() -> list[float]:
        sent: list[float] = []
        client = Client(pipe, ConsoleFraming(), window_max=1)
        client.trace = lambda trace: sent.append(trace.at_s)
        async with client:
            await client.upload(DATA)
        return [later - earlier for earlier, later in pairwise(sent)]

    gaps = simulate(main())
    assert max(gaps[20:]) < 0.3


@pytest.mark.parametrize("buffers", [1, 2, 4])
def test_a_device_that_erases_is_asked_once(buffers: int) -> None:
    pipe = SimulatedPipe(replace(QUICK, buffers=buffers, erase_s=4.0), serial(30))

    async def main() -> UploadResult:
        async with Client(pipe, ConsoleFraming()) as client:
            return await client.upload(DATA)

    assert simulate(main()).retries == 0
    asked = [message for message in pipe.device.heard if find(message) is Params and len(message) < 20]  # no probe
    assert len(asked) == (2 if buffers > 2 else 1)  # where there is no other buffer, the question gets none
