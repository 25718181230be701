"""Every kind of build, from its folder to the device: package, inspect, update, final state. No option but the key.

``test_cli_build_kinds_cut.py`` has the same with a power cut. Rows are the kinds of ``tests/vectors/build_folders``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.build_folders import built
from tests.cli.device.build_kinds import BOARD_KINDS, NAME, NEW, OLD, Bench
from tests.simulated import simulate_commands

if TYPE_CHECKING:
    from tests.cli.conftest import Call

Row = tuple[str, int, int | None]
APP: Row = ("app", 0, None)
NET: Row = ("net", 1, None)
BOTH: list[Row] = [APP, NET]
VARIANTS: list[Row] = [("app", 0, 0), ("app", 0, 1)]
# What a package of each kind has: role, number, and slot where the image is for one slot (facts, generations.md).
IMAGES: dict[str, list[Row]] = {
    "ncs2.5-child-staged": BOTH,
    "ncs2.5-child-nrf52840-swap": [APP],
    "ncs2.7-sysbuild-pm-staged": BOTH,
    "ncs2.7-sysbuild-pm-simultaneous": BOTH,
    "ncs3.0-sysbuild-pm-staged": BOTH,
    "ncs3.0-sysbuild-pm-staged-encrypted": BOTH,
    "ncs3.0-sysbuild-pm-simultaneous": BOTH,
    "ncs3.0-sysbuild-pm-simultaneous-encrypted": BOTH,
    "ncs3.0-pm-qspi-xip": [APP, ("external", 1, None)],
    "ncs3.0-pm-qspi-xip-net": [APP, ("external", 2, None), NET],
    "ncs3.0-pm-direct-xip": VARIANTS,
    "ncs3.0-pm-single-slot": [APP],
    "ncs3.0-pm-mcuboot-update": [APP],
    "ncs3.4-dts-staged": BOTH,
    "ncs3.4-dts-simultaneous": BOTH,
    "ncs3.4-dts-direct-xip": VARIANTS,
    "ncs3.4-dts-direct-xip-revert": VARIANTS,
    "ncs3.4-dts-firmware-loader": [APP],
    "ncs3.4-dts-ram-load": [APP],
    "ncs3.0-nrf52840-swap": [APP],
    "ncs3.0-nrf9151-swap-tfm": [APP],
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in simulated time: nobody waits for a device without power."""
    simulate_commands(monkeypatch)


each_kind = pytest.mark.parametrize("kind", BOARD_KINDS)
each_way = pytest.mark.parametrize("with_key", [True, False], ids=["signed now", "as the build signed it"])


@each_kind
@each_way
def test_package_and_inspect(kind: str, with_key: bool, smpdfu: Call, tmp_path: Path) -> None:
    bench = Bench(smpdfu, kind, tmp_path)
    made = bench.pack(with_key=with_key).document
    done = smpdfu("inspect", bench.package, "--json")
    assert done.code == 0, done.err
    images = done.document["images"]
    assert [(one["role"], one["image_index"], one["slot"]) for one in images] == IMAGES[kind]
    assert [one["hash"] for one in images] == [one["hash"] for one in made["images"]]
    for one in images:
        assert one["version"] == (NEW if one["role"] != "net" or "2.5" in kind else "0.0.0")
        assert one["encrypted"] is ("encrypted" in kind and one["role"] == "app")
        assert (tmp_path / one["file"]).stat().st_size == one["size_bytes"]


@each_kind
@each_way
def test_update(kind: str, with_key: bool, smpdfu: Call, tmp_path: Path) -> None:
    bench = Bench(smpdfu, kind, tmp_path)
    bench.pack(with_key=with_key)
    bench.new()
    before, wanted = bench.state(), bench.wanted()
    assert before.application[0] == OLD
    assert before.net != wanted.net or wanted.net is None
    done = bench.update()
    assert done.code == 0, done.err
    assert bench.state() == wanted
    again = bench.update("--json")
    assert again.code == 0, again.err
    # Nothing proves what a network core runs after an overwriting bootloader with two pairs: it gets its image again.
    unproven = {"net"} if bench.words.simultaneous else set()
    assert {step["core"] for step in again.document["steps"]} == unproven, again.out
    assert bench.state() == wanted


def test_halves_that_nobody_may_confirm_are_refused_or_permanent(smpdfu: Call, tmp_path: Path) -> None:
    """A build that lets a host confirm what is in the secondary slot only: no trial of the external half can last."""
    bench = Bench(smpdfu, "ncs3.0-pm-qspi-xip", tmp_path)
    bench.pack(with_key=True)
    bench.new("--confirm-others", "secondary")
    before = bench.state()
    refused = bench.update()
    assert refused.code in (6, 7)
    assert "CONFIG_MCUMGR_GRP_IMG_ALLOW_CONFIRM_NON_ACTIVE_IMAGE_ANY" in refused.err
    assert bench.state().application == before.application
    done = bench.update("--confirm")
    assert done.code == 0, done.err
    assert bench.state() == bench.wanted()


def test_the_folder_of_a_board_says_all_that_it_needs(smpdfu: Call) -> None:
    for kind in BOARD_KINDS:
        made = smpdfu("virtual", "new", NAME, "--build", built(kind), "--json")
        assert made.code == 0, (kind, made.err)
        assert json.loads(made.out)["ending"] == "runs"
        assert made.err == "", kind
        smpdfu("virtual", "delete", NAME)
