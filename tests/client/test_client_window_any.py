"""The adaptive window over wires and servers of every kind: it ends right, or with a named error."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.errors import DeviceError, LinkError, ProtocolError
from smpdfu.smp.framing import ConsoleFraming, DatagramFraming, Framing

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.client.fake_device import image
    from tests.client.server_models import Outcome, Server, Wire, upload
else:
    from fake_device import image
    from server_models import Outcome, Server, Wire, upload

SHARE = st.sampled_from([0.0, 0.0, 0.02, 0.1, 0.3])
FRAMINGS: st.SearchStrategy[type[Framing]] = st.sampled_from([ConsoleFraming, DatagramFraming])


@settings(max_examples=40)
@given(
    st.builds(
        Wire,
        framing=FRAMINGS,
        delay_s=st.sampled_from([0.0, 0.004, 0.05]),
        loss=SHARE,
        duplication=SHARE,
        reordering=SHARE,
        seed=st.integers(0, 1000),
        max_write=st.just(1472),
    ),
    st.builds(
        Server,
        buffers=st.integers(1, 6),
        service_s=st.sampled_from([0.0, 0.002, 0.03]),
        mute=st.booleans(),
        page_s=st.sampled_from([0.0, 0.2]),
        unit=st.sampled_from([1, 4, 32, 100]),
    ),
    st.sampled_from([None, 1, 3]),
)
def test_whatever_the_wire_does_it_ends_right_or_with_a_named_error(
    wire: Wire, server: Server, bound: int | None
) -> None:
    data = image(12_000)
    chunks = ceil(len(data) / 320)
    try:
        outcome: Outcome = upload(data, server, wire, window_max=bound)
    except (DeviceError, LinkError, ProtocolError):
        assert wire.loss + wire.duplication + wire.reordering >= 0.1
        return
    worst = 1 / (1 - wire.loss) ** 2 + 2 * wire.reordering + 2 * wire.duplication
    assert outcome.result.requests <= chunks * 4 * worst
