"""``package --merged``: what is not where it is looked for is named, and neither signed nor left out in silence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.format import Version
from smpdfu.image.signing.build import ImageSpec, build
from tests.cli.test_cli_package import APP, NET, code, hex_file

if TYPE_CHECKING:
    from tests.cli.conftest import Call

MCUBOOT = (0x0, code(0x0, 0x6000))
UICR = (0x00FF_8000, b"\xfa\x50\xfa\x50")
PACK = ("package", "-v", "1.0.0")


def signed(address: int) -> tuple[int, bytes]:
    """A signed application in the slot at ``address``."""
    spec = ImageSpec(Version(1), header_size=0x200, slot_size=0, pad_header=True)
    return address, build(spec, code(address + 0x200)).to_bytes()


@pytest.mark.parametrize("option", ["--merged", "--app"])
def test_code_in_external_flash_is_named(smpdfu: Call, tmp_path: Path, option: str) -> None:
    file = hex_file(tmp_path / "merged.hex", MCUBOOT, APP, UICR, (0x1012_0200, bytes(0x100)))
    done = smpdfu(*PACK, option, file, "-o", tmp_path / "out")
    assert "0x10120200 to 0x10120300" in done.refused()
    assert not (tmp_path / "out").exists()
    without = hex_file(tmp_path / "internal.hex", MCUBOOT, APP, UICR)
    assert smpdfu(*PACK, option, without, "-o", tmp_path / "out").code == 0


@pytest.mark.parametrize(
    "app", [signed(0x10000), (0x10200, code(0x10200)), (0x10000, bytes(0x200) + code(0x10200))],
    ids=["signed", "code", "code behind zeros"],
)  # fmt: skip
@pytest.mark.parametrize("parts", [[NET], []], ids=["both cores", "one core"])
def test_an_application_in_another_slot_is_named(
    smpdfu: Call, tmp_path: Path, app: tuple[int, bytes], parts: list[tuple[int, bytes]]
) -> None:
    """Boards such as the Thingy:53 have the slot at 0x10000: MCUboot and the application are not one image."""
    file = hex_file(tmp_path / "merged.hex", MCUBOOT, app, *parts)
    done = smpdfu(*PACK, "--merged", file, "-o", tmp_path / "out")
    assert "the slot starts at 0x10000" in done.refused()
    assert "Use --app-address 0x10000" in done.err
    assert not (tmp_path / "out").exists()
    told = smpdfu(*PACK, "--merged", file, "--app-address", "0x10000", "-o", tmp_path / "out", "--json").document
    (packed,) = (one for one in told["images"] if one["core"] == "app")
    assert packed["load_address"] == 0x10200
    assert packed["size_bytes"] < 0x800


def test_a_bootloader_that_touches_the_slot_is_no_image_with_it(smpdfu: Call, tmp_path: Path) -> None:
    file = hex_file(tmp_path / "merged.hex", (0x0, code(0x0, 0x10000)), signed(0x10000))
    refused = smpdfu(*PACK, "--merged", file, "-o", tmp_path / "out")
    assert "the slot starts at 0x10000" in refused.refused()
    assert "--app-address 0x10000" in refused.err


def test_a_network_application_in_another_place_is_named(smpdfu: Call, tmp_path: Path) -> None:
    b0n = (0x0100_0000, code(0x0100_0000, 0x2000))
    file = hex_file(tmp_path / "merged.hex", MCUBOOT, APP, b0n, (0x0100_4000, code(0x0100_4000)))
    refused = smpdfu(*PACK, "--merged", file, "-o", tmp_path / "out")
    assert "the slot starts at 0x1004000" in refused.refused()
    assert "--net-address 0x1004000" in refused.err


@pytest.mark.parametrize(
    ("part", "other"), [(APP, "merged_CPUNET.hex"), (NET, "merged.hex")], ids=["application", "network"]
)
def test_one_core_in_a_merged_hex_is_said(smpdfu: Call, tmp_path: Path, part: tuple[int, bytes], other: str) -> None:
    file = hex_file(tmp_path / "merged-one.hex", part)
    done = smpdfu(*PACK, "--merged", file, "-o", tmp_path / "out", "--json")
    assert done.code == 0
    (warning,) = (one for one in done.document["warnings"] if "core only" in one)
    assert other in warning
    both = hex_file(tmp_path / "both.hex", APP, NET)
    assert "core only" not in smpdfu(*PACK, "--merged", both, "-o", tmp_path / "out").err
    assert "core only" not in smpdfu(*PACK, "--app", hex_file(file, APP), "-o", tmp_path / "out").err
