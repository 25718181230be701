"""The sample firmware: always the same bytes, and changed only where its script says."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest
from intelhex import IntelHex

SLOT_CODE = {"app": 0xC200, "net": 0x01008800}
LINKED = {"app": 0x0, "net": 0x01000000}


def make(root: Path, folder: Path) -> None:
    subprocess.run([sys.executable, str(root / "sample_images" / "make_samples.py"), str(folder)], check=True)


@pytest.fixture(scope="module")
def samples(root: Path, sample_hex: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert sample_hex.exists()
    folder = tmp_path_factory.mktemp("samples")
    make(root, folder)
    return folder


def span(path: Path, start: int) -> bytes:
    """The bytes from ``start`` to the end of its core's flash."""
    image = IntelHex(str(path))
    end = max(address for address in image.addresses() if address >> 24 == start >> 24)
    return bytes(image.tobinstr(start=start, end=end))


def test_two_runs_make_the_same_files(root: Path, samples: Path, tmp_path: Path) -> None:
    make(root, tmp_path)
    made = sorted(path.name for path in tmp_path.iterdir())
    halves = [f"split-{half}-{number}.hex" for half in ("external", "internal") for number in (1, 2)]
    linked = ["linked-at-zero-app.hex", "linked-at-zero-net.hex", "loader.hex"]
    assert made == ["firmware-1.hex", "firmware-2.hex", *linked, *halves]
    for name in made:
        assert (tmp_path / name).read_bytes() == (samples / name).read_bytes()


@pytest.mark.parametrize("core", SLOT_CODE)
def test_relocation_moves_every_vector_and_nothing_else(samples: Path, core: str) -> None:
    before = span(samples / f"linked-at-zero-{core}.hex", LINKED[core])
    after = span(samples / "firmware-1.hex", SLOT_CODE[core])
    assert len(before) == len(after)
    changed = [
        offset for offset in range(0, len(before) & ~3, 4) if before[offset : offset + 4] != after[offset : offset + 4]
    ]
    assert changed[0] == 4, "the reset vector moves, the stack pointer stays"
    for offset in changed:
        old, new = struct.unpack_from("<I", before, offset)[0], struct.unpack_from("<I", after, offset)[0]
        assert new - old == SLOT_CODE[core] - LINKED[core]
        assert new % 2 == 1
        assert SLOT_CODE[core] <= new < SLOT_CODE[core] + len(after)


@pytest.mark.parametrize("core", SLOT_CODE)
def test_the_second_version_differs_in_its_build_id(samples: Path, core: str) -> None:
    one, two = (span(samples / f"firmware-{number}.hex", SLOT_CODE[core]) for number in (1, 2))
    assert one != two
    assert two == one.replace(b"684c9e8f32e4", b"second-build")
