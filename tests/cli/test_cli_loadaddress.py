"""The load address in the header: ``sign`` writes or misses it, ``verify`` checks it; and dependencies on image 1."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.format import Image

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys, MakeFirmware, WriteHex

SLOT = ("-S", "0x20000")
HEADER = ("-H", "0x200", "--pad-header", "-v", "1.2.3+4")
HEADER_SIZE = 0x200


@dataclass(frozen=True)
class Fixed:
    """Options of ``sign`` for firmware by its reset vector, as in ``Linked``: the load address that the header gets.

    ``advice``: what the one warning says in place of one; None where there is no warning.
    """

    base: int | None
    reset: int
    options: str
    address: int = 0
    flags: int = 0
    advice: str | None = None
    room: bool = False


ROM, RAM = 0x100, 0x20
FIXED = (
    Fixed(None, 0xC3A0, "--slot-address 0xc000", 0xC000, ROM),
    Fixed(None, 0x0100_8BA0, "--slot-address 0x1008800", 0x0100_8800, ROM),
    Fixed(None, 0xC3A0, "--slot-address 0xc000 --rom-fixed 0xc100", 0xC100, ROM),
    Fixed(None, 0xC3A0, "--slot-address 0xc000 --load-addr 0x20001000", 0x2000_1000, RAM),
    Fixed(None, 0xC3A0, "--slot-address 0xc000 -F 0", advice="--slot-address ADDRESS"),
    Fixed(None, 0xC3A0, "-F 0xc000", 0xC000, ROM),
    Fixed(None, 0xC3A0, "", advice="--slot-address ADDRESS"),
    Fixed(0xC200, 0xC3A0, "", advice="--slot-address 0xc000"),
    Fixed(0xC000, 0xC3A0, "", advice="--slot-address 0xc000", room=True),
    Fixed(0x0100_8800, 0x0100_8BA0, "", advice="--slot-address 0x1008800"),
    Fixed(0x0100_8600, 0x0100_8BA0, "", advice="--slot-address 0x1008800", room=True),
    Fixed(None, 0xC3A0, "--no-link-check"),
    Fixed(None, 0x0800_C3A0, ""),  # another chip's flash
    Fixed(None, 0x1200_03A0, ""),
)


@pytest.mark.parametrize("case", FIXED, ids=str)
def test_the_slots_address_goes_into_the_header_or_is_missed_in_one_sentence(
    case: Fixed, out: Path, smpdfu: Call, firmware: MakeFirmware, write_hex: WriteHex
) -> None:
    data = bytes(HEADER_SIZE if case.room else 0) + firmware(reset=case.reset)
    source = out.with_name("app.bin" if case.base is None else "app.hex")
    if case.base is None:
        source.write_bytes(data)
    else:
        write_hex(source, (case.base, data))
    header = [word for word in HEADER if word != "--pad-header" or not case.room]
    done = smpdfu("sign", "--json", *SLOT, *header, *case.options.split(), source, out)
    assert done.code == 0, done.err
    made = Image.from_bytes(out.read_bytes()).header
    assert (made.load_addr, made.flags) == (case.address, case.flags)
    found = [one["message"] for one in done.document["warnings"] if one["code"] == "no-load-address"]
    assert len(found) == (case.advice is not None)
    core = "network core" if case.reset >= 0x0100_0000 else "application core"
    assert all(message.endswith(f"with {case.advice}") and f"({core})" in message for message in found)


@pytest.mark.parametrize(
    ("reset", "needs", "warned"),
    [
        (0xC3A0, "(1,2.0.0)", True),
        (0xC3A0, "(0,1.0.0),(1,0.0.1)", True),
        (0xC3A0, "(0,1.0.0),(2,2.0.0)", False),
        (0x0100_8BA0, "(0,2.0.0)", False),  # the network image waits for its application: safe
        (0x0100_8BA0, "(1,1.0.0)", False),
        (0x0800_C3A0, "(1,2.0.0)", False),  # another chip, where image 1 is something else
    ],
)
def test_an_application_that_needs_a_version_of_the_network_core_is_warned_about(
    out: Path, smpdfu: Call, firmware: MakeFirmware, reset: int, needs: str, warned: bool
) -> None:
    source = out.with_name("app.bin")
    source.write_bytes(firmware(reset=reset))
    done = smpdfu("sign", "--json", *SLOT, *HEADER, "-F", "0xc000", "--no-link-check", "-d", needs, source, out)
    assert done.code == 0, done.err
    assert [one["code"] for one in done.document["warnings"]] == ["network-dependency"] * warned
    assert ("stops the device at every boot" in done.err) is warned


@dataclass(frozen=True)
class Checked:
    """An image by the load address and flags of its header, a bootloader, and what ``verify`` finds."""

    address: int
    flags: int
    options: str
    code: str | None = None
    offset: int = 0
    words: str = ""


SLOT_AT = "--slot-address 0xc000 --slot-size 0x20000"
NET_SLOT = "--slot-address 0x1008800 --slot-size 0x20000"
CHECKED = (
    Checked(0xC000, ROM, SLOT_AT),
    Checked(0xC000, RAM, SLOT_AT),
    Checked(0x2BFFF, ROM, SLOT_AT),  # the loader looks whether it is within the slot
    Checked(0x2C000, ROM, SLOT_AT, "load-address", 4, "load address is 0x2c000, and the bootloader wants 0xc000"),
    Checked(0xBFFF, ROM, SLOT_AT, "load-address", 4, "is 0xbfff"),
    Checked(
        0, 0, SLOT_AT, "no-load-address", 16, "flags are 0x0, without ROM_FIXED and RAM_LOAD; the bootloader wants"
    ),
    Checked(0xC000, 0, SLOT_AT, "no-load-address", 16, "ROM_FIXED 0xc000"),
    Checked(0x0100_8800, ROM, NET_SLOT),
    Checked(0x0103_FFFF, ROM, NET_SLOT),
    Checked(0x0100_2800, ROM, NET_SLOT, "load-address", 4, "is 0x1002800, and the bootloader wants 0x1008800"),
    Checked(0xC000, ROM, NET_SLOT, "load-address", 4, "is 0xc000"),
)


@pytest.mark.parametrize("case", CHECKED, ids=str)
def test_verify_knows_bootloaders_that_check_the_load_address(
    case: Checked, tmp_path: Path, raw: Path, keys: Keys, smpdfu: Call, firmware: MakeFirmware
) -> None:
    raw.write_bytes(firmware(reset=0x0100_8BA0 if case.options == NET_SLOT else 0xC3A0))
    out, flag = tmp_path / "out.bin", "--load-addr" if case.flags == RAM else "--rom-fixed"
    where = (flag, hex(case.address)) if case.flags else ()
    assert smpdfu("sign", "-k", keys.signing, *SLOT, *HEADER, *where, "--no-link-check", raw, out).code == 0
    if not case.flags and case.address:
        image = Image.from_bytes(out.read_bytes())
        out.write_bytes(replace(image, header=replace(image.header, load_addr=case.address)).to_bytes())
    checked = smpdfu("verify", "--json", out, *case.options.split(), "--check-load-address").document
    wanted = [] if case.code is None else [(case.code, case.offset)]
    found = [(one["code"], one["offset"]) for one in checked["refusals"] if one["code"] != "hash"]
    assert found == wanted
    unknown = smpdfu("verify", "--json", out, *case.options.split()).document
    assert [one["code"] for one in unknown["refusals"] if one["code"] != "hash"] == []
    told = [one for one in unknown["warnings"] if one["code"] != "hash-only"]
    assert [(one["code"], one["offset"]) for one in told] == wanted
    assert all(case.words in one["message"] for one in (*checked["refusals"][-1:], *told))


def test_the_check_of_the_load_address_is_of_a_slot(signed: Path, smpdfu: Call) -> None:
    for options in ((), ("--slot-size", "0x20000"), ("--slot-address", "0xc000")):
        assert smpdfu("verify", signed, "--check-load-address", *options).code == 2
    done = smpdfu("verify", signed, *SLOT_AT.split(), "--check-load-address")
    assert done.code == 3
    assert "(`smpdfu sign --slot-address 0xc000`)" in done.sentence
    assert "ROM_FIXED" not in smpdfu("verify", signed, "--slot-address", "0x0800c000").err  # no nRF5340
