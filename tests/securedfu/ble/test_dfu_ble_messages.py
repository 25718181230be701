"""The messages of the buttonless service, and the addresses of one device."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.errors import FormatError
from smpdfu.securedfu.protocol.buttonless import (
    ButtonlessAnswer,
    EnterBootloader,
    SetName,
    UnknownButtonless,
    read_buttonless,
)
from smpdfu.securedfu.send.ble_addresses import applications_of, bootloaders_of, is_static, name_for


def test_requests_have_the_bytes_of_the_sdk() -> None:
    assert EnterBootloader().to_bytes() == b"\x01"
    assert SetName("DfuTest").to_bytes() == b"\x02\x07DfuTest"
    assert ButtonlessAnswer(1, 1).to_bytes() == b"\x20\x01\x01"
    assert ButtonlessAnswer.from_bytes(b"\x20\x02\x05") == ButtonlessAnswer(2, 5)


@given(st.text(min_size=1, max_size=20).filter(lambda text: 1 <= len(text.encode()) <= 20))
def test_a_name_comes_back(name: str) -> None:
    assert read_buttonless(SetName(name).to_bytes()) == SetName(name)


@given(st.binary(max_size=30))
def test_any_bytes_are_a_request_or_one_error(data: bytes) -> None:
    try:
        request = read_buttonless(data)
    except FormatError:
        assert not data or data[0] == 2
    else:
        assert isinstance(request, EnterBootloader | SetName | UnknownButtonless)
    try:
        ButtonlessAnswer.from_bytes(data)
    except FormatError:
        assert len(data) < 3 or data[0] != 0x20


@pytest.mark.parametrize("name", ["", "é" * 11])
def test_a_name_has_1_to_20_bytes(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 20 bytes"):
        SetName(name)


def test_the_bootloader_adds_1_to_the_last_octet_and_does_not_carry() -> None:
    assert bootloaders_of("C0:11:22:33:44:55") == {"C0:11:22:33:44:55", "C0:11:22:33:44:56"}
    assert bootloaders_of("C0:11:22:33:44:FF") == {"C0:11:22:33:44:FF", "C0:11:22:33:44:00"}
    assert bootloaders_of("11111111-2222-3333-4444-555555555555") == frozenset()


def test_only_a_static_address_tells_the_application_of_a_bootloader() -> None:
    assert applications_of("C0:11:22:33:44:00") == {"C0:11:22:33:44:FF"}
    assert applications_of("4A:11:22:33:44:00") == frozenset()
    assert not is_static("11111111-2222-3333-4444-555555555555")


def test_the_name_of_a_bootloader_is_the_same_each_time() -> None:
    first = name_for("4a:11:22:33:44:55")
    assert first == name_for("4A:11:22:33:44:55") != name_for("4A:11:22:33:44:56")
    assert len(first.encode()) == 8
