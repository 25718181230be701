"""Where firmware is linked for, compared with where it will lie."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.image.files import read_firmware, split_cores
from smpdfu.image.linked import Vectors, link_warning


def table(*handlers: int, size: int = 0x1000) -> bytes:
    """Firmware that begins with a vector table; handlers that are not given are 0."""
    words = (0x2001_0000, *handlers, *(0 for _ in range(15 - len(handlers))))
    return b"".join(word.to_bytes(4, "little") for word in words).ljust(size, b"\x5a")


def test_vectors_are_read_without_their_lowest_bit() -> None:
    assert Vectors.of(table(0xC345, 0xC281, 0, 0xC283)) == Vectors(reset=0xC344, lowest=0xC280)
    assert Vectors.of(table(0xC345, size=64)) == Vectors(reset=0xC344, lowest=0xC344)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        bytes(63),
        bytes(64),
        table(0, 0xC281),
        table(0xC344),
        table(0xC345, 0xC280),
        table(0xC345)[:63],
        b"\xff" * 63,
    ],
)
def test_what_is_no_vector_table(payload: bytes) -> None:
    assert Vectors.of(payload) is None
    assert link_warning(payload, 0xC200) is None


@pytest.mark.parametrize(
    ("reset", "address", "words"),
    [
        (0xC200, 0xC200, None),
        (0xD1FE, 0xC200, None),
        (0xC1FE, 0xC200, "0xc1fe is not within 0xc200 to 0xd200"),
        (0xD200, 0xC200, "0xd200 is not within 0xc200 to 0xd200"),
        (0x0100_8A00, 0xC200, "linked for another place"),
        (0xC200, 0x0100_8A00, "linked for another place"),
        (0x0100_8A00, 0x0100_8A00, None),
        (0xC200, None, None),
        (0x0100_8A00, None, None),
        (0x200, None, "application core's flash, where the bootloader is"),
        (0x0100_0200, None, "network core's flash, where the bootloader is"),
        (0x200, 0, "application core's flash, where the bootloader is"),
        (0x4000, None, None),
        (0, 0, "application core's flash, where the bootloader is"),
    ],
)
def test_what_is_linked_elsewhere_is_noticed(reset: int, address: int | None, words: str | None) -> None:
    warning = link_warning(table(reset | 1), address)
    if words is None:
        assert warning is None
    else:
        assert warning is not None
        assert words in warning


def test_a_handler_in_the_bootloader_is_fine_for_code_in_a_slot() -> None:
    assert link_warning(table(0xC345, 0x281), 0xC200) is None
    assert link_warning(table(0xC345, 0x281), None) is not None


@given(st.binary(max_size=200), st.none() | st.integers(0, 2**32 - 1))
def test_any_bytes_are_judged(payload: bytes, address: int | None) -> None:
    assert link_warning(payload, address) is None or Vectors.of(payload) is not None


def test_the_sample_firmware_is_linked_to_replace_the_bootloader(sample_hex: Path) -> None:
    split = split_cores(read_firmware(sample_hex))
    for firmware, core in ((split.app, "application core"), (split.net, "network core")):
        assert firmware is not None
        warning = link_warning(firmware.flat(), None)
        assert warning is not None
        assert core in warning
