"""Files of other tools: what they say about themselves, and that damaged ones say less and do no harm."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.image.inspect.foreign import Facts, elf_facts, srec_facts, suit_facts, uf2_facts

ELF = b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HHII", 2, 40, 1, 0xC2A1) + bytes(40)
UF2 = struct.pack("<IIIIIIII", 0x0A324655, 0x9E5D5157, 0x2000, 0x26000, 256, 0, 3, 0xADA52840) + bytes(480)
SREC = b"S00600004844521B\nS2140C2000000000000000000000000000000000BF\nS9030000FC\n"
# 107({2: h'', 3: << {1: 1, 2: 9, 3: [0, {0: true}]} >>, "#app": h'00'})
SUIT = b"\xd8\x6b\xa3\x02\x40\x03\x4b\xa3\x01\x01\x02\x09\x03\x82\x00\xa1\x00\xf5\x64#app\x41\x00"
READERS: dict[Callable[[bytes], Facts], bytes] = {elf_facts: ELF, uf2_facts: UF2, srec_facts: SREC, suit_facts: SUIT}


def test_an_elf_file_names_its_processor() -> None:
    assert elf_facts(ELF) == {"machine": "Arm", "type": "program", "entry": 0xC2A1, "for_this_chip": True}
    other = b"\x7fELF\x02\x02\x01" + bytes(9) + struct.pack(">HHIQ", 3, 999, 1, 1 << 40)
    assert elf_facts(other) == {
        "machine": "number 999",
        "type": "shared object",
        "entry": 1 << 40,
        "for_this_chip": False,
    }


def test_a_uf2_file_names_its_chip() -> None:
    assert uf2_facts(UF2) == {"blocks": 3, "address": 0x26000, "payload_bytes": 768, "family": "nRF52840"}
    unnamed = UF2[:8] + bytes(4) + UF2[12:]
    assert uf2_facts(unnamed)["family"] is None


def test_s_records_are_counted() -> None:
    assert srec_facts(SREC) == {"name": "HDR", "records": 3, "address": 0x0C2000}
    assert srec_facts(b"S1zz\nS10") == {"records": 1}


def test_a_suit_envelope_tells_its_sequence_number() -> None:
    assert suit_facts(SUIT) == {"manifest_version": 1, "sequence_number": 9, "payloads": ["#app"]}


@pytest.mark.parametrize(
    "data", [b"", b"\xd8\x6b", b"\xd8\x6b\xbf", b"\xd8\x6b\xa1\x03\x9b", b"\xd8\x6b" + b"\x81" * 99]
)
def test_an_envelope_that_is_none_tells_nothing(data: bytes) -> None:
    assert suit_facts(data) == {}


@pytest.mark.parametrize("reader", READERS)
def test_a_file_cut_anywhere_does_no_harm(reader: Callable[[bytes], Facts]) -> None:
    whole = READERS[reader]
    for size in range(len(whole)):
        reader(whole[:size])


@pytest.mark.parametrize("reader", READERS)
@given(data=st.data())
def test_garbage_does_no_harm(reader: Callable[[bytes], Facts], data: st.DataObject) -> None:
    whole = bytearray(READERS[reader])
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    reader(bytes(whole))
