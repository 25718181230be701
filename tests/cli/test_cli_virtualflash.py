"""``smpdfu virtual load``, ``dump`` and ``cut``, and the bootloader's options of ``virtual new``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.cli.virtual.flash import hex_lines
from smpdfu.cli.virtual.options.boot import Mode
from smpdfu.image.files import read_firmware
from smpdfu.image.hexfile import Segment, encode
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.store import devices as store_devices

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMPDFU_VIRTUAL_HOME", str(tmp_path / "virtual"))


@pytest.fixture
def desk(smpdfu: Call) -> str:
    made = smpdfu("virtual", "new", "desk")
    assert made.code == 0, made.err
    return "desk"


def test_the_ways_of_updating_are_those_that_there_are() -> None:
    assert [str(mode) for mode in Mode] == [str(mode) for mode in BootMode]


def test_hex_goes_to_its_addresses_and_comes_back(smpdfu: Call, desk: str, tmp_path: Path) -> None:
    merged = (Segment(0x1000, b"application"), Segment(0x00FF_8100, b"UICR"), Segment(0x0100_0000, b"network"))
    source, target = tmp_path / "merged.hex", tmp_path / "back.hex"
    source.write_bytes(encode(merged))
    loaded = smpdfu("virtual", "load", desk, source)
    assert (loaded.code, loaded.err) == (0, "")
    assert smpdfu("virtual", "dump", desk, "-o", target).code == 0
    back = {segment.address: segment.data.rstrip(b"\xff") for segment in read_firmware(target).segments}
    assert back == {0x1000: b"application", 0x00FF_8000: b"\xff" * 256 + b"UICR", 0x0100_0000: b"network"}


@pytest.mark.parametrize(
    ("region", "address"), [("primary", 0xC000), ("secondary", 0x8_6000), ("net app", 0x0100_8800)]
)
def test_a_file_goes_into_a_region(smpdfu: Call, desk: str, tmp_path: Path, region: str, address: int) -> None:
    source = tmp_path / "any.bin"
    source.write_bytes(b"anything at all!")
    assert smpdfu("virtual", "load", desk, source, "--region", region).code == 0
    dumped = smpdfu("virtual", "dump", desk, "--address", hex(address), "--size", "16")
    assert dumped.out == f"{address:08x}  61 6e 79 74 68 69 6e 67 20 61 74 20 61 6c 6c 21  anything at all!\n"
    (segment,) = json.loads(smpdfu("virtual", "dump", desk, "--region", region, "--json").out)["segments"]
    assert segment["address"] == address
    assert segment["data"].startswith(b"anything".hex())


def test_a_signed_image_is_loaded_where_its_core_runs_it(smpdfu: Call, keys: Keys, tmp_path: Path) -> None:
    made = smpdfu("virtual", "new", "board", "-k", keys.signing)
    assert made.code == 0, made.err
    firmware, signed = tmp_path / "app.bin", tmp_path / "signed.bin"
    firmware.write_bytes(b"".join(word.to_bytes(4, "little") for word in (0x2000_4000, *[0xC301] * 15)) + bytes(400))
    arguments = ("--version", "1.0.0", "-H", "0x200", "-S", "0x7a000", "--pad-header")
    assert smpdfu("sign", "-k", keys.signing, *arguments, firmware, signed).code == 0
    loaded = smpdfu("virtual", "load", "board", signed)
    assert (loaded.code, loaded.out) == (0, "Loaded and reset board. Its application core runs\n")


def test_a_power_cut_waits_for_the_operation_that_it_was_armed_for(smpdfu: Call, desk: str, tmp_path: Path) -> None:
    source = tmp_path / "any.bin"
    source.write_bytes(bytes(8))
    armed = smpdfu("virtual", "cut", desk, "--after", "200", "--tear", "upper")
    assert armed.out == "desk loses its power after 200 more flash operations\n"
    with store_devices.open_device(desk) as device:
        assert (device.chip.power.cut_after, str(device.chip.power.tear)) == (200, "upper")
        device.app.program(0x9_0000, bytes(4))
    with store_devices.open_device(desk) as device:
        assert device.chip.power.cut_after == 199
    assert smpdfu("virtual", "cut", desk, "--off").out == "desk keeps its power\n"
    with store_devices.open_device(desk) as device:
        assert device.chip.power.cut_after is None


@pytest.mark.parametrize("damage", ["", "[]", '{"after": -1, "tear": "lower"}', '{"after": "x", "tear": "lower"}'])
def test_a_damaged_note_of_a_cut_is_none(desk: str, damage: str) -> None:
    (store_devices.home() / desk / "cut.json").write_text(damage)
    with store_devices.open_device(desk) as device:
        assert device.chip.power.cut_after is None


def test_new_takes_a_partition_table_and_how_mcuboot_is_built(smpdfu: Call, tmp_path: Path) -> None:
    table = tmp_path / "pm_static.yml"
    table.write_text(
        "mcuboot: {address: 0, size: 0x10000}\nmcuboot_primary: {address: 0x10000, size: 0x60000}\n"
        "mcuboot_secondary: {address: 0x70000, size: 0x60000}\nsettings_storage: {address: 0xd0000, size: 0x8000}\n"
    )
    options = ("--mode", "swap-offset", "--prevent-downgrade", "counter", "--rollback-protection")
    made = smpdfu("virtual", "new", "own", "--layout", table, *options, "--encrypt-keylen", "256", "--json")
    assert made.code == 0, made.err
    shown = json.loads(made.out)
    assert (shown["layout"], shown["mode"], shown["slots"][1]["address"]) == ("pm_static", "swap-offset", 0x7_0000)
    with store_devices.open_device("own") as device:
        options_built = device.keys.options
        assert (options_built.downgrade_prevention, options_built.by_counter) == (True, True)
        assert (options_built.rollback_protection, device.keys.content_key_size) == (True, 32)


BAD = [
    (("new", "x", "--layout", "nowhere"), "there is no layout 'nowhere'. Use one of: nrf5340dk-staged, "),
    (("new", "x", "--layout", "missing.yml"), "missing.yml: No such file or directory"),
    (("new", "x", "--mode", "swap-scratch"), "has no scratch area, which swap-scratch needs"),
    (("cut", "desk"), "give --after N, or --off"),
    (("dump", "desk", "--region", "attic"), "the device's layout has no region 'attic'. Use one of: mcuboot, primary"),
    (("dump", "desk", "--address", "0x30000000"), "there is no flash"),
    (("dump", "desk", "--address", "x"), "not a whole number"),
    (("dump", "ghost"), "there is no virtual device 'ghost'"),
]


@pytest.mark.parametrize(("arguments", "reason"), BAD)
def test_what_cannot_be_done_is_one_sentence(smpdfu: Call, desk: str, arguments: tuple[str, ...], reason: str) -> None:
    outcome = smpdfu("virtual", *arguments)
    assert outcome.code != 0
    assert reason in outcome.err
    assert "Traceback" not in outcome.err


def test_a_file_that_does_not_fit_its_region_is_one_sentence(smpdfu: Call, desk: str, tmp_path: Path) -> None:
    source = tmp_path / "large.bin"
    source.write_bytes(bytes(0x7_A001))
    outcome = smpdfu("virtual", "load", desk, source, "--region", "primary")
    assert outcome.code != 0
    assert "499713 bytes do not fit primary, which has 499712" in outcome.err


def test_lines_that_repeat_are_an_asterisk() -> None:
    lines = list(hex_lines(0x100, bytes(16) * 4 + b"end"))
    assert lines == [
        "00000100  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................",
        "*",
        "00000140  65 6e 64                                         end",
    ]
