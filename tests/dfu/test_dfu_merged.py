"""Which bytes of a firmware file are the image of a core."""

from __future__ import annotations

import struct

import pytest

from smpdfu.dfu.merged import Slot, code_of
from smpdfu.dfu.package import Core
from smpdfu.errors import ImageError
from smpdfu.image.build import ImageSpec, build
from smpdfu.image.encrypt import Recipient
from smpdfu.image.files import Firmware, Segment
from smpdfu.image.format import Version
from smpdfu.image.keys import generate

APP = Slot(0xC000, 0x86000, 0x200)
NET = Slot(0x0100_8800, 0x0104_0000)


def code(address: int, size: int = 400) -> bytes:
    table = struct.pack("<16I", 0x2002_0000, *(address + 0x101 + 4 * number for number in range(15)))
    return table + bytes(at % 251 for at in range(size - len(table)))


def firmware(*parts: tuple[int, bytes]) -> Firmware:
    return Firmware(tuple(Segment(address, data) for address, data in parts), addressed=True)


def signed(payload: bytes, recipient: Recipient | None = None) -> bytes:
    spec = ImageSpec(Version(1), header_size=0x200, slot_size=0, pad_header=True)
    return build(spec, payload, None, recipient).to_bytes()


MCUBOOT = (0x0, code(0x0, 0x9000))
B0N = (0x0100_0000, code(0x0100_0000, 0x8000))
APP_CODE, NET_CODE = code(0xC200), code(0x0100_8800, 900)


def test_the_slots_part_of_a_merged_hex_with_bootloaders() -> None:
    merged = firmware(MCUBOOT, (0xC200, APP_CODE), (0x00FF_8000, b"\0" * 4), B0N, (0x0100_8800, NET_CODE))
    app, net = code_of(merged, Core.APP, APP), code_of(merged, Core.NET, NET)
    assert app is not None
    assert net is not None
    assert (app.payload, app.whole) == (APP_CODE, False)
    assert (net.payload, net.whole) == (NET_CODE, False)


def test_a_gap_in_the_slot_is_filled_and_what_is_behind_it_is_left() -> None:
    merged = firmware((0xC200, APP_CODE), (0xC200 + 500, b"more"), (0x86000, b"the other slot"))
    app = code_of(merged, Core.APP, APP)
    assert app is not None
    assert app.payload == APP_CODE + b"\xff" * 100 + b"more"


def test_a_bootloader_and_its_slot_in_one_piece() -> None:
    merged = firmware((0x0, MCUBOOT[1].ljust(0xC200, b"\xff") + APP_CODE))
    app = code_of(merged, Core.APP, APP)
    assert app is not None
    assert (app.payload, app.whole) == (APP_CODE, False)


def test_a_signed_application_in_the_slot_is_unwrapped() -> None:
    merged = firmware(MCUBOOT, (0xC000, signed(APP_CODE)))
    app = code_of(merged, Core.APP, APP)
    assert app is not None
    assert (app.payload, app.whole) == (APP_CODE, False)


def test_an_encrypted_application_cannot_be_unwrapped() -> None:
    merged = firmware((0xC000, signed(APP_CODE, generate("ecdsa-p256").public)))
    with pytest.raises(ImageError, match="0xc000 is encrypted"):
        code_of(merged, Core.APP, APP)


@pytest.mark.parametrize("size", [400, 0x10_000])
def test_firmware_that_is_linked_for_the_start_is_taken_whole(size: int) -> None:
    """Also where it reaches over the slot: what lies there is no vector table."""
    merged = firmware((0x0, code(0x0, size)), (0x0100_0000, code(0x0100_0000, size)))
    app, net = code_of(merged, Core.APP, APP), code_of(merged, Core.NET, NET)
    assert app is not None
    assert net is not None
    assert (app.payload, app.whole) == (code(0x0, size), True)
    assert (net.payload, net.whole) == (code(0x0100_0000, size), True)


def test_a_core_that_is_not_there() -> None:
    assert code_of(firmware((0xC200, APP_CODE)), Core.NET, NET) is None
    assert code_of(firmware((0x0100_8800, NET_CODE)), Core.APP, APP) is None


def test_a_bin_is_meant_as_it_is() -> None:
    app = code_of(Firmware((Segment(0, b"1234"),), addressed=False), Core.APP, APP)
    assert app is not None
    assert (app.payload, app.whole) == (b"1234", False)
