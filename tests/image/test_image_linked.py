"""Where firmware is linked for, compared with where it will lie."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.image.files import read_firmware, split_cores
from smpdfu.image.nrf5340 import APP, NET, CoreMemory
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.vector_table import Vectors, claim_warning, code_address, code_start, link_warning, linked_core


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
        (0x0100_8A00, 0xC200, "linked for another address"),
        (0xC200, 0x0100_8A00, "linked for another address"),
        (0x0100_8A00, 0x0100_8A00, None),
        (0xC200, None, None),
        (0x0100_8A00, None, None),
        (0x200, None, "application core's flash, where the bootloader is"),
        (0x0100_0200, None, "network core's flash, where the bootloader is"),
        (0x200, 0, "application core's flash, where the bootloader is"),
        (0x4000, None, None),
        (0x0100_2A00, 0x0100_2800, None),  # the smallest b0n
        (0x0100_2A00, 0x0100_2000, "network core's flash, where the bootloader is"),
        (0x0100_2A00, None, None),
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


def test_firmware_of_the_whole_network_flash_is_told_from_what_lies_behind_a_small_b0n() -> None:
    """Its lowest handler may lie where code behind a small b0n does; b0n starts only what has firmware info."""
    handlers = (0x0100_2901, 0x0100_2A01)
    whole = table(*handlers, size=0x20000)
    warning = link_warning(whole, None)
    assert warning is not None
    assert "start of the network core's flash" in warning
    assert linked_core(whole) is None
    info = FirmwareInfo(0x20000, 1, 0x0100_2800).to_bytes()
    behind = whole[:0x200] + info + whole[0x200 + len(info) :]
    assert link_warning(behind, None) is None
    assert linked_core(behind) is NET


@pytest.mark.parametrize(
    ("reset", "core"),
    [(0xC345, APP), (0x0100_8A01, NET), (0x345, None), (0x2000_0001, None), (0x1200_0201, None), (0x0800_C345, None)],
)
def test_the_core_whose_slot_firmware_is_for(reset: int, core: CoreMemory | None) -> None:
    assert linked_core(table(reset)) is core


@pytest.mark.parametrize(("slot", "start"), [(0xC000, 0xC200), (0x10000, 0x10200), (0x0100_8800, 0x0100_8800)])
def test_a_network_image_lies_in_flash_without_its_header(slot: int, start: int) -> None:
    assert code_start(slot, 0x200) == start


# A reset vector, what somebody claims, where the code then is, and whether the claim is contradicted.
CLAIMS: tuple[tuple[int, int | None, int | None, bool], ...] = (
    (0xC345, 0xC200, 0xC200, False),  # of the code: builds with Partition Manager
    (0xC345, 0xC000, 0xC200, False),  # of the slot: builds without
    (0xD1FD, 0xC000, 0xC200, False),
    (0xD201, 0xC000, None, True),
    (0xC345, 0x10000, None, True),
    (0xC345, 0x9000, None, True),
    (0x0100_8A01, 0x0100_8800, 0x0100_8800, False),
    (0x0100_2A01, 0x0100_2800, 0x0100_2800, False),
    (0x0100_2A01, 0x0100_8800, None, True),
    (0x0100_8A01, 0x0100_2800, None, True),
    (0x0100_8A01, 0x2001_0000, None, False),  # the RAM slot, as builds without Partition Manager have it
    (0x0100_8A01, 0xF7000, None, False),  # nor is the application core's flash a place for it
    (0x0100_8A01, 0, None, False),
    (0x0100_8A01, None, None, False),
    (0xC345, 0x2000_0000, None, False),
    (0xC345, 0x0100_8800, None, False),  # that it is for the other core is told elsewhere
    (0xC345, 0xFFFF_FFFF_FFFF_FFFF, None, False),
    (0x345, 0x200, 0x200, True),  # where the bootloader is
    (0x345, 0x2000_0000, None, True),
    (0x1200_0345, 0x1200_0200, 0x1200_0200, False),
    (0x1200_0345, 0xC200, None, True),
)


@pytest.mark.parametrize(("reset", "claim", "start", "wrong"), CLAIMS)
def test_the_reset_vector_decides_what_a_claim_is_worth(
    reset: int, claim: int | None, start: int | None, wrong: bool
) -> None:
    payload = table(reset | 1)
    assert code_address(payload, 0x200, (claim,)) == start
    assert (claim_warning(payload, 0x200, claim) is not None) is wrong


def test_the_first_claim_that_is_borne_out_counts() -> None:
    assert code_address(table(0xC345), 0x200, (None, 0x2000_0000, 0xC000, 0xC300)) == 0xC200
    assert code_address(b"no table", 0x200, (0xC000,)) is None
    assert claim_warning(b"no table", 0x200, 0xC000) is None


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


@pytest.mark.parametrize("slot", [0xC000, 0x10000])
def test_a_claim_that_is_the_application_behind_tfm(slot: int) -> None:
    """Builds with TF-M have the address of the non-secure half in the manifest (Thingy:53 and nRF91 boards)."""
    start, claim = slot + 0x200, slot + 0x8000
    payload = table(start + 0xBB1).ljust(claim - start, b"\xff") + table(claim + 0x401).ljust(0x3000, b"\xff")
    assert code_address(payload, 0x200, (claim,)) == start
    assert claim_warning(payload, 0x200, claim) is None
    without = payload[: claim - start] + bytes(0x3000)
    assert code_address(without, 0x200, (claim,)) is None
    assert claim_warning(without, 0x200, claim) is not None
    elsewhere = payload[: claim - start] + table(claim + 0x90_001).ljust(0x3000, b"\xff")
    assert claim_warning(elsewhere, 0x200, claim) is not None
