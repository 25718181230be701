"""Every kind of build with a power cut in the middle of its update: the same command again ends in the same state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.package import Package
from tests.cli.device.build_kinds import BOARD_KINDS, NAME, NEW, Bench
from tests.simulated import simulate_commands

if TYPE_CHECKING:
    from tests.cli.conftest import Call


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in simulated time: nobody waits for a device without power."""
    simulate_commands(monkeypatch)


CUTS = {"early in the upload": 0.02, "in the uploads": 0.2, "in the middle": 0.55, "late": 0.8, "near the end": 0.97}
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


def test_halves_and_a_network_image_have_one_moment_of_danger(smpdfu: Call, tmp_path: Path) -> None:
    """Between the marks of the halves, for a bootloader that overwrites: preflight says so before the first byte.

    It installs the marked half alone, and no dependency keeps Nordic's loader from it while a network image is marked.
    """
    bench = Bench(smpdfu, "ncs3.0-pm-qspi-xip-net", tmp_path)
    bench.pack(with_key=True)
    after = int(operations(bench) * 0.25)
    bench.new()
    bench.cut(after)
    cut = bench.update()
    assert cut.code != 0
    assert "would install it alone" in " ".join(cut.err.split())
    shown = smpdfu("virtual", "reset", NAME, "--json")
    assert shown.code == 0, shown.err
    assert smpdfu("virtual", "show", NAME, "--json").document["app_runs"] is False


def test_a_tie_binds_the_external_half(smpdfu: Call, tmp_path: Path) -> None:
    bench = Bench(smpdfu, "ncs3.0-pm-qspi-xip", tmp_path)
    bench.pack("--tie", with_key=True)
    images = {one.role: one.image for one in Package.load(bench.package).images}
    assert [(one.image, str(one.version)) for one in images[Role.EXTERNAL].dependencies] == [(0, NEW)]
    bench.new()
    assert bench.update().code == 0
    assert bench.state() == bench.wanted()
