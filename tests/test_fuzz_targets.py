"""Whatever bytes they get, the parsers raise what they promise and nothing else, and need no memory beyond reason."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.target import Target
from fuzz.targets import FIRMWARE, HEX, TARGETS
from smpdfu.errors import ImageError
from smpdfu.image import hexfile
from smpdfu.image.files import parse_firmware

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def spoiled(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A good file with bytes changed, cut out, doubled or put in; or any bytes."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.sampled_from((1, 1, 2, 4, 16, 200)))
        new = draw(st.binary(max_size=size) | st.just(bytes(data[at : at + size])) | st.just(b"\xff" * size))
        data[at : at + draw(st.sampled_from((0, len(new), size)))] = new
    return bytes(data[: draw(st.sampled_from((len(data), len(data), len(data) // 2)))])


def survive(target: Target, data: bytes) -> None:
    try:
        target.run(data)
    except target.errors:
        return


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_taken(name: str) -> None:
    target = TARGETS[name]
    for seed in target.seeds:
        survive(target, seed)
    assert target.seeds


@pytest.mark.parametrize("name", TARGETS)
def test_spoiled_files_are_told_of_and_nothing_else_happens(name: str) -> None:
    target = TARGETS[name]

    @QUICK
    @given(spoiled(target.seeds) | st.binary(max_size=300))
    def run(data: bytes) -> None:
        survive(target, data)

    run()


@pytest.mark.parametrize("name", TARGETS)
def test_memory_stays_within_a_small_multiple_of_the_input(name: str) -> None:
    target = TARGETS[name]
    inputs = [*target.seeds, *(seed * (200_000 // len(seed) + 1) for seed in target.seeds), b"\xff" * 200_000]
    for data in inputs:
        survive(target, data)  # what is imported and cached on the way does not count
        tracemalloc.start()
        survive(target, data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 64 * len(data) + (4 << 20), (name, len(data))


def test_a_small_hex_file_cannot_ask_for_all_the_memory() -> None:
    step = 0x10_0000
    text = hexfile.encode(hexfile.Segment(at * step, b"x") for at in range(1000))
    assert len(text) < 50_000
    with pytest.raises(ImageError, match="gaps"):
        parse_firmware(text).flat()


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b" " * (64 << 20))
    data = bomb.read_bytes()
    for name in ("firmware", "package", "securedfu"):
        tracemalloc.start()
        survive(TARGETS[name], data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 48 << 20, name


def test_the_targets_can_fail() -> None:
    with pytest.raises(ZeroDivisionError):
        survive(Target(lambda data: 1 // len(data), (b"",)), b"")
    assert parse_firmware(HEX).segments[0].address == 0xC1F8
    assert parse_firmware(FIRMWARE).base is None
