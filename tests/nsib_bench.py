"""Firmware for NSIB, and a virtual b0n that takes or refuses it; for the tests of several rooms."""

from __future__ import annotations

import hashlib

from smpdfu.image.keys.keys import PrivateKey, PublicKey
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.nsib.seal import ValidationInfo, raw_public_key
from smpdfu.image.signing.ecdsa_form import numbers
from smpdfu.virtual.boot.network.netcore import NetCore, update_network_core
from smpdfu.virtual.chip.flash import Flash, Memory
from smpdfu.virtual.chip.layout import NRF5340DK_STAGED

ADDRESS = NRF5340DK_STAGED.net.app.start
_INFO_AT = 0x200
_SOURCE = NRF5340DK_STAGED.secondary.start


def network_firmware(size: int = 3001, address: int = ADDRESS, info: FirmwareInfo | None = None) -> bytes:
    """Firmware that describes itself, or is described by ``info``."""
    body = bytes((5 * number + number // 256) % 256 for number in range(size))
    data = (info or FirmwareInfo(size, 7, address)).to_bytes()
    reset = (address + 0x101).to_bytes(4, "little")
    return body[:4] + reset + body[8:_INFO_AT] + data + body[_INFO_AT + len(data) :]


def unchecked_seal(firmware: bytes, address: int, key: PrivateKey) -> bytes:
    """The firmware with a right seal, also if it does not start: ``seal`` refuses that."""
    digest = hashlib.sha256(firmware).digest()
    pair = numbers(key.sign(digest), 32, "psa")
    assert pair is not None
    signature = b"".join(one.to_bytes(32, "big") for one in pair)
    block = ValidationInfo(address, digest, raw_public_key(key), signature)
    return firmware + b"\xff" * (-len(firmware) % 4) + block.to_bytes()


def b0n_takes(firmware: bytes, *keys: PublicKey) -> bool:
    """True if a b0n with these keys copies the firmware that MCUboot hands over."""
    layout = NRF5340DK_STAGED
    app = Flash(layout.flash.start, layout.flash.size_bytes)
    net = Flash(layout.net.flash.start, layout.net.flash.size_bytes, page_size=layout.net.page_size)
    app.program(_SOURCE, firmware + b"\xff" * (-len(firmware) % app.write_size))
    said: list[str] = []
    core = NetCore(net, layout, keys, said.append)
    taken = update_network_core(core, Memory([app]), _SOURCE, len(firmware), said.append).done
    assert net.read(ADDRESS, len(firmware)) == (firmware if taken else b"\xff" * len(firmware)), said
    return taken
