"""Checksums of the beginnings of a firmware: right, and without a look at all bytes for each."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.securedfu.protocol import checksums
from smpdfu.securedfu.protocol.checksums import Checksums
from smpdfu.securedfu.protocol.transfer import Transfer
from tests.securedfu.dfu_line import Line
from tests.virtual.nrf52.nrf52_bench import firmware, init_command, new_device, sign

SIZE = 5 * 4096 + 100
DATA = firmware(0x1000, 1, SIZE)


@given(st.lists(st.integers(0, SIZE)))
def test_each_beginning_has_its_checksum_in_whatever_order_they_are_asked(ends: list[int]) -> None:
    sums = Checksums(DATA)
    assert [sums.of(end) for end in ends] == [zlib.crc32(DATA[:end]) for end in ends]


def test_a_receipt_for_each_write_costs_no_look_at_the_whole_firmware(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counted(data: memoryview, value: int = 0) -> int:
        seen.append(len(data))
        return zlib.crc32(data, value)

    monkeypatch.setattr(checksums, "crc32", counted)
    device = new_device()
    device.enter_dfu()
    Line(device).carry(Transfer(sign(init_command(DATA)), DATA, write_size=20, receipts=1, writes_max=2, pings=False))
    assert device.app_runs
    assert len(seen) > SIZE // 20
    assert max(seen) <= 4096
