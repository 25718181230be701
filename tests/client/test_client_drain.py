"""What is given up, what is waited for, and what is taken back when several requests are in flight."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from smpdfu.client import Client, Trace, UploadProgress
from smpdfu.smp.groups.image import ImageUpload
from tests.simulated import simulate

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.client.fake_device import Answer, image
    from tests.client.server_models import Server, SimulatedPipe, Wire
else:
    from fake_device import Answer, image
    from server_models import Server, SimulatedPipe, Wire

DATA = image(96 * 1024 - 72)
WIRE = Wire(delay_s=0.015)


class Stumbling(SimulatedPipe):
    """In the middle it loses one request, and the answer to the one after the next."""

    stumbled_at = -1

    def _upload(self, request: ImageUpload) -> Answer:
        if self.stumbled_at < 0 and request.off > len(DATA) // 2:
            self.stumbled_at = len(self.device.heard)
            return None
        answer = super()._upload(request)
        return None if len(self.device.heard) == self.stumbled_at + 2 and self.stumbled_at > 0 else answer


class Pausing(SimulatedPipe):
    """Once, in the middle, it takes half a second for an answer."""

    def _work(self) -> None:
        self.server = Server(service_s=0.5 if self._is_middle() else 0.001, erase_s=0.0)
        super()._work()

    def _is_middle(self) -> bool:
        return len(self.device.heard) == 150


def test_what_was_sent_behind_a_lost_chunk_is_waited_for_no_longer_than_answers_take() -> None:
    pipe, sent = Stumbling(Server(erase_s=0.0), WIRE), list[Trace]()

    async def main() -> None:
        client = Client(pipe, WIRE.framing(), window_max=3)
        client.trace = lambda trace: sent.append(trace) if trace.kind == "sent" else None
        async with client:
            await client.upload(DATA)

    simulate(main())
    assert pipe.device.stored == DATA
    gaps = [after.at_s - before.at_s for before, after in pairwise(sent)]
    assert 0.03 < max(gaps[5:]) < 0.1  # an answer that counts is given up after 0.125 s


def test_a_pause_of_the_device_does_not_cost_the_window() -> None:
    pipe, seen = Pausing(Server(erase_s=0.0), WIRE), list[UploadProgress]()

    async def main() -> None:
        async with Client(pipe, WIRE.framing(), window_max=3) as client:
            await client.upload(DATA, progress=seen.append)

    simulate(main())
    assert pipe.device.stored == DATA
    sizes = [one.window for one in seen]
    widened = sizes.index(3)
    assert sum(size < 3 for size in sizes[widened:]) <= 4
