"""The picture of a slot: every byte has its place, and a terminal without line drawing gets ASCII."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from smpdfu.cli.inspect.slot import Part, Picture

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

SIGN = ("-H", "0x200", "--pad-header", "-S", "0x20000", "-v", "1.2.3")


def parts(told: str) -> dict[str, int]:
    """Names and sizes in a picture."""
    return {name: int(size) for name, size in re.findall(r"[│|] (\S.*?) +(\d+) bytes +(?:<1|\d+) % [│|]", told)}


def test_a_padded_image_is_drawn_to_its_last_byte(raw: Path, out: Path, smpdfu: Call) -> None:
    assert smpdfu("sign", *SIGN, "-s", "1", "--confirm", raw, out).code == 0
    told = smpdfu("inspect", out).out
    drawn = parts(told)
    assert list(drawn) == ["header", "payload", "protected TLVs", "TLVs", "free", "trailer"]
    assert sum(drawn.values()) == 0x20000
    assert drawn["header"] == 0x200
    assert "0x20000 └" in told
    assert re.search(rf"free +{drawn['free']} bytes +{100 * drawn['free'] / 0x20000:.0f} % │", told)
    pieces = smpdfu("inspect", "--json", out).document["map"]
    assert [one["end"] - one["start"] for one in pieces] == list(drawn.values())


@pytest.mark.parametrize("mode", ["swap-scratch", "swap-move", "swap-offset", "overwrite-only"])
def test_a_slot_is_drawn_as_the_bootloader_uses_it(signed: Path, smpdfu: Call, mode: str) -> None:
    told = smpdfu("inspect", signed, "-S", "0x20000", "--swap-mode", mode).out
    drawn = parts(told)
    assert sum(drawn.values()) == 0x20000
    assert ("kept by the bootloader for swapping" in drawn) == (mode in ("swap-move", "swap-offset"))
    free = re.search(r"fits: (\d+) of", told)
    assert free is not None
    assert int(free[1]) == drawn["free"]


def test_an_image_that_does_not_fit_is_drawn_too(signed: Path, smpdfu: Call) -> None:
    told = smpdfu("inspect", signed, "-S", "0x3000").out
    assert "does not fit" in told
    assert "free" not in parts(told)


def test_the_key_in_the_trailer_of_an_encrypted_image_counts(raw: Path, keys: Keys, out: Path, smpdfu: Call) -> None:
    assert smpdfu("sign", *SIGN, "-E", keys.encryption_public, raw, out).code == 0
    told = smpdfu("inspect", out, "-S", "0x20000", "--swap-mode", "swap-scratch").out
    assert parts(told)["trailer"] == 1584 + 2 * 16
    assert "payload (encrypted)" in told


@pytest.mark.parametrize(("encoding", "letter"), [("utf-8", "┌"), ("ascii", "+")])
def test_the_letters_are_those_that_the_terminal_has(encoding: str, letter: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    Console(file=stream, width=100).print(Picture((Part("header", "header", 0, 32), Part("free", "free", 32, 64))))
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    drawn = stream.buffer.getvalue().decode(encoding)
    assert drawn.splitlines()[1].startswith(f"0x00 {letter}")


@given(st.lists(st.integers(1, 1 << 32), min_size=1, max_size=8), st.integers(0, 1 << 32), st.booleans())
def test_every_part_has_one_line_and_no_line_is_empty(sizes: list[int], base: int, ascii_only: bool) -> None:
    made, start = [], 0
    for size in sizes:
        made.append(Part("part", "body", start, start + size))
        start += size
    lines = list(Picture(made, base).lines(ascii_only=ascii_only))
    assert len(lines) == 2 * len(sizes) + 1
    assert all(text.strip("│| ") for _, text, _ in lines)
    assert len({len(address) + len(text) for address, text, _ in lines}) == 1
    assert lines[-1][0] == f"0x{base + start:x}"


def test_nothing_is_drawn_of_nothing() -> None:
    assert list(Picture(()).lines(ascii_only=True)) == []
