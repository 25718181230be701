"""MCUboot's serial recovery against the recording of a real one, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.image.format import Header, Image, Tlv, TlvType, Version
from smpdfu.image.trailer import SlotGeometry
from smpdfu.virtual.boot.network.netcore import NetCore
from smpdfu.virtual.boot.slot import Slot, Slots
from smpdfu.virtual.chip.flash import Area, Flash
from smpdfu.virtual.chip.layout import Region
from smpdfu.virtual.server.serial_recovery import RecoveryServer

if TYPE_CHECKING:
    from tests.virtual.conftest import Bench

RECORDING = Path(__file__).parents[1] / "vectors" / "recordings" / "cycle-mps2_an385.serial_recovery.jsonl"
SLOT_SIZE = 0x8_0000
RECORDED = bytes.fromhex("1c6e0b3b5842cb94ec50a8a290f6ab073a69506142a0def922711bded31414e8")


def recorded() -> list[dict[str, Any]]:
    """What was asked of MCUboot, and what it answered."""
    rows = map(json.loads, RECORDING.read_text("utf-8").splitlines())
    return [row for row in rows if row["step"].startswith("recovery: ") and "request" in row]


def test_every_recorded_request_gets_the_recorded_answer(bench: Bench) -> None:
    flash = Flash(0, 2 * SLOT_SIZE)
    regions = (Region("primary", 0, SLOT_SIZE), Region("secondary", SLOT_SIZE, SLOT_SIZE))
    primary, secondary = (Slot(Area(flash, region), SlotGeometry(SLOT_SIZE)) for region in regions)
    image = Image(Header(Version(1, 2, 3, 4), 1000, 512), bytes(480), bytes(1000), (), (Tlv(TlvType.SHA256, RECORDED),))
    flash.program(0, image.to_bytes() + b"\xff" * (-len(image.to_bytes()) % 4))
    resets: list[str] = []
    net = NetCore(bench.net_flash, bench.layout, (), bench.log.append)
    server = RecoveryServer(
        [Slots(primary, secondary)], net, lambda slots, role: True, lambda: resets.append("reset"), bench.log.append
    )
    steps = recorded()
    assert len(steps) > 15
    for row in steps:
        answers = server.answers(bytes.fromhex(row["request"]["hex"]))
        assert [answer.hex() for answer in answers] == [one["hex"] for one in row["responses"]], row["step"]
    assert resets == ["reset"]
