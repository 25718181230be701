"""The bootloader settings: as nrfutil writes them, as they survive damage, and which of the two pages counts."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.virtual.nrf52.settings import (
    SIZE,
    Bank,
    BankCode,
    BootCheck,
    Progress,
    Settings,
    is_whole,
    is_whole_backup,
    read_pages,
)

GOLDEN = json.loads((Path(__file__).parents[2] / "vectors" / "bootloader_settings.json").read_text())["settings"]
APP = bytes(range(256)) * 8
ERASED = b"\xff" * SIZE

words = st.integers(0, 0xFFFF_FFFF)
banks = st.builds(Bank, words, words, words)
checks = st.builds(BootCheck, st.integers(0, 255), st.binary(min_size=64, max_size=64))
settings = st.builds(
    Settings,
    version=st.integers(2, 0xFFFF_FFFF),
    app_version=words,
    bootloader_version=words,
    bank_layout=words,
    bank_current=words,
    bank_0=banks,
    bank_1=banks,
    write_offset=words,
    sd_size=words,
    progress=st.builds(Progress, *[words] * 8),
    enter_buttonless=words,
    init_command=st.binary(min_size=512, max_size=512),
    check_sd=checks,
    check_app=checks,
    check_bootloader=checks,
    peer_data=st.binary(min_size=92, max_size=92),
)


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: row["validation"])
def test_the_settings_of_nrfutil_are_read_field_by_field(row: dict[str, str]) -> None:
    page = bytes.fromhex(row["page"]).ljust(SIZE, b"\xff")
    assert is_whole(page)
    assert is_whole_backup(page)
    found = Settings.from_bytes(page)
    assert (found.version, found.app_version, found.bootloader_version) == (2, 3, 2)
    assert found.bank_0 == Bank(len(APP), zlib.crc32(APP), BankCode.VALID_APP)
    value = {
        "NO_VALIDATION": BootCheck.of(0),
        "VALIDATE_GENERATED_CRC": BootCheck.of(1, zlib.crc32(APP).to_bytes(4, "little")),
        "VALIDATE_GENERATED_SHA256": BootCheck.of(2, hashlib.sha256(APP).digest()),
    }
    assert found.check_app == value[row["validation"]]


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: row["validation"])
def test_we_write_the_settings_that_nrfutil_writes(row: dict[str, str]) -> None:
    page = bytes.fromhex(row["page"])
    wanted = Settings.from_bytes(page.ljust(SIZE, b"\xff")).to_bytes()
    assert wanted[:803] == page[:803]


@given(settings)
def test_settings_survive_their_bytes(one: Settings) -> None:
    page = one.to_bytes()
    assert len(page) == SIZE
    assert Settings.from_bytes(page) == one
    assert is_whole(page)
    assert read_pages(page, page) == one


@given(settings, st.integers(0, 0x5B), st.integers(0, 7))
def test_a_damaged_head_is_seen(one: Settings, at: int, bit: int) -> None:
    page = bytearray(one.to_bytes())
    page[at] ^= 1 << bit
    assert not is_whole(bytes(page))


@given(st.binary(min_size=SIZE, max_size=SIZE), st.binary(min_size=SIZE, max_size=SIZE))
def test_any_bytes_give_some_settings(page: bytes, backup: bytes) -> None:
    assert len(read_pages(page, backup).to_bytes()) == SIZE


OLD = Settings(app_version=1, enter_buttonless=0)
NEW = Settings(app_version=2, enter_buttonless=1, peer_data=b"bond".ljust(92, b"\0"))


def test_without_a_whole_page_the_settings_are_empty() -> None:
    assert read_pages(ERASED, ERASED) == Settings()


def test_a_whole_page_counts_where_the_backup_is_not_whole() -> None:
    assert read_pages(NEW.to_bytes(), ERASED) == NEW
    torn = OLD.to_bytes()[: SIZE // 2].ljust(SIZE, b"\xff")  # its head is whole
    assert is_whole(torn)
    assert read_pages(NEW.to_bytes(), torn) == NEW


def test_a_whole_backup_counts_but_for_what_the_application_may_write() -> None:
    assert read_pages(ERASED, OLD.to_bytes()) == OLD
    found = read_pages(NEW.to_bytes(), OLD.to_bytes())
    assert found == replace(OLD, enter_buttonless=1, peer_data=NEW.peer_data)


def test_settings_of_version_1_check_the_application_by_its_crc() -> None:
    first = Settings(
        version=1, bank_0=Bank(8, 0x1234_5678, BankCode.VALID_APP), check_app=BootCheck.of(3, b"\xff" * 64)
    )
    found = read_pages(first.to_bytes(), ERASED)
    assert found.version == 2
    assert found.check_app == BootCheck.of(1, b"\x78\x56\x34\x12")
