"""Every kind of build with a power cut in the middle of its update: the same command again ends in the same state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.device.build_kinds import BOARD_KINDS, NAME, Bench
from tests.simulated import simulate_commands

if TYPE_CHECKING:
    from tests.cli.conftest import Call


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in simulated time: nobody waits for a device without power."""
    simulate_commands(monkeypatch)


CUTS = {"early in the upload": 0.02, "in the uploads": 0.25, "in the middle": 0.55, "late": 0.8, "near the end": 0.97}
"""After which part of all flash operations of an update the power goes.

With both cores staged this is in the upload of the application, twice in its swap, in the upload of the network core's
image, and while b0n copies that; with both at once in the uploads, at the marks, in the overwriting and in b0n's copy.
"""
_OPERATIONS: dict[str, int] = {}


def operations(bench: Bench) -> int:
    """How many flash operations an update of this kind has; counted once."""
    if bench.kind not in _OPERATIONS:
        bench.new()
        _OPERATIONS[bench.kind] = bench.operations()
        assert bench.smpdfu("virtual", "delete", NAME).code == 0
    return _OPERATIONS[bench.kind]


@pytest.mark.parametrize("where", CUTS)
@pytest.mark.parametrize("kind", BOARD_KINDS)
def test_power_cut(kind: str, where: str, smpdfu: Call, tmp_path: Path) -> None:
    bench = Bench(smpdfu, kind, tmp_path)
    bench.pack(with_key=True)
    after = int(operations(bench) * CUTS[where])
    bench.new()
    bench.cut(after)
    codes = [bench.update().code]
    assert not bench.is_armed(), codes
    while codes[-1] and len(codes) < 4:
        codes.append(bench.update().code)
    assert codes[-1] == 0, codes
    assert bench.state() == bench.wanted()
