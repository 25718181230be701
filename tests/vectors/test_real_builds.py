"""Real build folders, where somebody has them: ``take_real_builds.py`` says how. What they show holds for ours, too."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from smpdfu.dfu.package.package import Package
from smpdfu.image.format import Image
from smpdfu.image.hashes import digest
from smpdfu.image.tlv import TlvType
from tests.vectors.build_folders import texts
from tests.vectors.build_folders.kinds import TABLE
from tests.vectors.build_folders.layouts import NET_START

_PLACE = os.environ.get("SMPDFU_REAL_BUILDS")
FOLDERS = sorted(path.parent for path in Path(_PLACE).rglob("domains.yaml")) if _PLACE else []
real = pytest.mark.skipif(not FOLDERS, reason="SMPDFU_REAL_BUILDS names no folder with real builds")


@real
@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_a_real_package_is_read_and_nothing_in_it_is_doubted(folder: Path) -> None:
    package = Package.load(folder / "dfu_application.zip")
    for image in package.images:
        assert image.link_warning is None
        assert image.code_address is not None
        assert image.image.hash == digest(TlvType.SHA256, image.image.hashed_parts())
        assert image.data in {path.read_bytes() for path in folder.rglob("*signed*.bin")}
    assert Package.from_bytes(package.to_bytes()).images == package.images


@real
@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_the_network_core_s_partitions_are_written_as_ours(folder: Path) -> None:
    ours = texts.pm_config(TABLE["ncs3.0-sysbuild-pm-simultaneous"].layout.net, NET_START)
    assert (folder / "pm_CPUNET.config").read_text() == ours


@real
@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_the_signed_network_image_is_what_the_unsigned_file_holds(folder: Path) -> None:
    for path in folder.glob("signed_by_mcuboot_and_b0_*.bin"):
        inner = path.with_name(path.name.replace("mcuboot_and_", ""))
        assert Image.from_bytes(path.read_bytes()).payload == inner.read_bytes()


def test_the_known_builds_are_named_by_whole_commits() -> None:
    from tests.vectors.take_real_builds import KNOWN

    assert all(re.fullmatch("[0-9a-f]{40}", commit) for _, commit, _ in KNOWN)
