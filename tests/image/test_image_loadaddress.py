"""The check of the header's load address, as Nordic's loaders of nRF Connect SDK 3.4 and later make it."""

from __future__ import annotations

import pytest

from smpdfu.image.format import Flag, Header, Version
from smpdfu.image.load_address import load_address_refusal, slot_range, with_load_address
from smpdfu.image.verification.verdict import Code, Verdict

APP, NET = slot_range(0xC000, 0x7A000), slot_range(0x0100_8800, 0x7A000)
GOOD = Verdict((), (), None, None, signature_checked=False)


def header(address: int, flags: Flag) -> Header:
    return Header(Version(1), 0x1000, 0x200, load_addr=address, flags=flags)


def test_a_network_image_is_for_the_rest_of_the_network_cores_flash() -> None:
    assert (range(0xC000, 0x86000), range(0x0100_8800, 0x0104_0000)) == (APP, NET)


# The truth: cases of move+load and over+load that end with the image erased or installed by its header alone.
@pytest.mark.parametrize(
    ("address", "flags", "allowed", "code"),
    [
        (0xC000, Flag.ROM_FIXED, (APP,), None),
        (0xC000, Flag.RAM_LOAD, (APP,), None),
        (0x85FFF, Flag.ROM_FIXED, (APP,), None),
        (0, Flag(0), (APP, NET), Code.NO_LOAD_ADDRESS),
        (0xC000, Flag.ENCRYPTED_AES128, (APP, NET), Code.NO_LOAD_ADDRESS),
        (0x90000, Flag.ROM_FIXED, (APP, NET), Code.LOAD_ADDRESS),
        (0x86000, Flag.ROM_FIXED, (APP,), Code.LOAD_ADDRESS),
        (0xBFFF, Flag.ROM_FIXED, (APP,), Code.LOAD_ADDRESS),
        (0x1200_0000, Flag.ROM_FIXED, (APP, NET), Code.LOAD_ADDRESS),
        (0x0100_8800, Flag.ROM_FIXED, (APP,), Code.LOAD_ADDRESS),  # 3.4.0 erases every network image
        (0x0100_8800, Flag.ROM_FIXED, (APP, NET), None),  # 3.4.1 does not
        (0x0100_2800, Flag.ROM_FIXED, (APP, NET), Code.LOAD_ADDRESS),
        (0x0104_0000, Flag.ROM_FIXED, (APP, NET), Code.LOAD_ADDRESS),
        (0, Flag(0), (), Code.NO_LOAD_ADDRESS),  # such a primary does not boot
        (0x90000, Flag.ROM_FIXED, (), None),  # in the primary only the flags count
    ],
)
def test_what_such_a_loader_refuses(address: int, flags: Flag, allowed: tuple[range, ...], code: Code | None) -> None:
    finding = load_address_refusal(header(address, flags), allowed)
    assert (None if finding is None else finding.code) == code


def test_the_finding_names_the_field_and_both_values() -> None:
    finding = load_address_refusal(header(0x90000, Flag.ROM_FIXED), (APP, NET))
    assert finding is not None
    assert (finding.offset, finding.message) == (
        4,
        "the header's load address is 0x90000, and the bootloader wants 0xc000 or 0x1008800",
    )


@pytest.mark.parametrize("checked", [True, False])
def test_where_the_check_is_not_known_there_is_a_warning(checked: bool) -> None:
    verdict = with_load_address(GOOD, header(0, Flag(0)), APP, checked=checked)
    assert (verdict.accepted, len(verdict.refusals), len(verdict.warnings)) == (not checked, checked, not checked)
    assert with_load_address(GOOD, header(0xC000, Flag.ROM_FIXED), APP, checked=checked) == GOOD
