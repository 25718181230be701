"""Receivers that lose bytes, and processors that are busy all the time: what real servers under QEMU do, as models.

Without probes they made of the window what was measured on mps2 and Cortex-M0: 0.98 of one in flight with buffers of
384 bytes and 0.93 with 2,048 where the answer waits for the next request's parser, 0.79 on a starved machine, and 25
resends in five uploads where one in flight needs none (facts: servers.md).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.client.fake_device import image
    from tests.client.file_board import Board
    from tests.client.server_models import Server, Wire, upload
else:
    from fake_device import image
    from file_board import Board
    from server_models import Server, Wire, upload

from smpdfu.client.transfers.transfer import Probe
from smpdfu.smp.groups.os import Params

MS = 0.001
DATA, LONG = image(96 * 1024), image(256 * 1024)
SEEDS = range(1, 6)


def serial(round_trip_ms: float, loss: float = 0.0) -> Wire:
    return Wire(delay_s=round_trip_ms / 2 * MS, loss=loss)


QUICK = Server(erase_s=0.0)
BOUND = replace(QUICK, service_s=2 * MS, byte_s=0.03 * MS, hear_s=0.02 * MS)
PARSING = replace(BOUND, parse_s=0.005 * MS)
STARVED = replace(PARSING, jitter=4.0)
BLOCKING = replace(QUICK, service_s=8 * MS, page_s=20 * MS, deaf_for_s=20 * MS, jitter=0.3)
DROPPER = Server(erase_s=0.0, service_s=20 * MS, ring=256)

DEAF = {
    "small UART": (DROPPER, serial(2)),
    "small UART, long messages": (replace(DROPPER, buf_size=2048), serial(2)),
    "small UART, fast": (replace(DROPPER, buf_size=2048, service_s=5 * MS, ring=64), serial(2)),
    "flash stops it at each page": (BLOCKING, serial(20)),
    "flash stops it at each page, long messages": (replace(BLOCKING, buf_size=2048), serial(20)),
}
BUSY = {
    "bound": (BOUND, serial(1)),
    "bound, long messages": (replace(BOUND, buf_size=2048), serial(1)),
    "parsing": (PARSING, serial(1)),
    "parsing, long messages": (replace(PARSING, buf_size=2048), serial(1)),
    "parsing is dear": (replace(BOUND, parse_s=0.03 * MS), serial(1)),
    "parsing is dear, long messages": (replace(BOUND, parse_s=0.03 * MS, buf_size=2048), serial(1)),
    "starved": (STARVED, serial(10)),
    "starved, long messages": (replace(STARVED, buf_size=2048), serial(10)),
    "bound and blocking": (replace(BOUND, buf_size=2048, page_s=10 * MS, deaf_for_s=10 * MS), serial(4)),
}
EVERY = DEAF | BUSY


@pytest.mark.parametrize("name", EVERY)
def test_a_window_that_does_not_pay_costs_next_to_nothing_and_no_resend(name: str) -> None:
    server, wire = EVERY[name]
    for seed in SEEDS:
        alone, adaptive = (upload(DATA, server, replace(wire, seed=seed), window_max=bound) for bound in (1, None))
        assert alone.seconds / adaptive.seconds >= 0.97
        assert adaptive.result.retries <= alone.result.retries


def test_a_receiver_that_is_deaf_now_and_then_costs_one_fault_at_most() -> None:
    server = replace(BLOCKING, page=512, page_s=3 * MS, deaf_for_s=3 * MS)
    for seed in SEEDS:
        outcome = upload(DATA, server, replace(serial(4), seed=seed))
        assert outcome.result.retries <= 3  # the lost chunk, and what was in flight behind it


@pytest.mark.parametrize("name", DEAF)
def test_a_server_that_misses_bytes_is_asked_one_by_one(name: str) -> None:
    outcome = upload(LONG, *EVERY[name])
    assert 1 <= outcome.pipe.overflows <= 4 * 3  # probes of three lines at most
    assert any("lost a request while it was busy" in sentence for sentence in outcome.links)


@pytest.mark.parametrize("loss", [0.005, 0.01])
@pytest.mark.parametrize(("buffers", "buf_size"), [(4, 384), (8, 2048)])
def test_a_wire_that_loses_messages_is_no_deaf_device(buffers: int, buf_size: int, loss: float) -> None:
    server, gains = replace(QUICK, buffers=buffers, buf_size=buf_size), []
    for seed in SEEDS:
        wire = replace(serial(30, loss), seed=seed)
        alone, adaptive = (upload(LONG, server, wire, window_max=bound) for bound in (1, None))
        gains.append(alone.seconds / adaptive.seconds)
    assert sorted(gains)[len(gains) // 2] > 3


def test_probes_are_what_a_good_device_costs() -> None:
    outcome = upload(LONG, QUICK, serial(30))
    assert outcome.result.retries == outcome.strays == 0
    assert (
        len(outcome.pipe.device.requests(Params)) == 3
    )  # the sizes, and two probes: behind a chunk, and behind a page


def test_a_probe_is_answered_like_the_request_that_it_is() -> None:
    reply = Board().run(lambda client: client.request(Probe(bytes(200))))
    assert (reply.buf_size, reply.buf_count) != (0, 0)
