"""Where the numbers of a client's messages begin: anywhere, so that an earlier process's late answers are not ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from smpdfu.smp.groups.os import Echo
from smpdfu.smp.message import split_message
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.client.fake_device import FakeDevice
else:
    from fake_device import FakeDevice


@pytest.mark.parametrize("first", [0, 77, 255])
def test_the_first_number_is_drawn(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smpdfu.client.exchange.os.urandom", lambda size: bytes([first]) * size)
    device = FakeDevice()

    async def talk() -> None:
        async with device.client() as client:
            await client.request(Echo("one"))
            await client.request(Echo("two"))

    simulate(talk())
    assert [split_message(one).header.sequence for one in device.heard][:2] == [first, (first + 1) % 256]
