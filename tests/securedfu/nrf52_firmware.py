"""Firmware for nRF52 chips as builds of the nRF5 SDK leave it: vector tables, a SoftDevice's structure, settings pages.

It runs on no chip; it has what smpdfu and nrfutil look at. Every file is the same bytes each time.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path

from smpdfu.image import hexfile
from smpdfu.image.hexfile import Segment
from smpdfu.securedfu.making.system_checks import DFU_SERVICE_BASE

S140_7_2 = (0x100, 7_002_000, 0x27000)
"""Firmware ID, version, end."""
S140_6_1 = (0xAE, 6_001_000, 0x26000)
S132_7_2 = (0x101, 7_002_000, 0x26000)


def code(size: int, seed: str = "code") -> bytes:
    """Bytes that look like nothing else."""
    block = hashlib.sha256(seed.encode()).digest()
    return (block * (size // len(block) + 1))[:size]


def vectors(start: int, size: int) -> bytes:
    """A vector table whose handlers point into the firmware at ``start``."""
    handlers = [start + 0x201 + 2 * number for number in range(15)]
    handlers[6:10] = [0, 0, 0, 0]  # reserved
    assert size > 0x240
    return struct.pack("<16I", 0x2000_4000, *handlers)


def program(start: int, size: int = 20_000, *, seed: str = "application", tail: bytes = b"") -> bytes:
    """An application or a bootloader that is linked for ``start``; ``tail`` ends it."""
    table = vectors(start, size)
    return table + code(size - len(table) - len(tail), seed) + tail


def mbr() -> bytes:
    """The master boot record: it begins at 0."""
    return program(0, 0xB00, seed="mbr")


def softdevice(which: tuple[int, int, int] = S140_7_2, size: int | None = None) -> bytes:
    """A SoftDevice from 0x1000 on, with its information structure at 0x3000."""
    fwid, version, end = which
    size = end - 0x1000 - 0x345 if size is None else size
    data = bytearray(program(0x1000, size, seed="softdevice"))
    data[0x2000:0x2018] = struct.pack("<B3xIIH2xII", 0x18, 0x51B1E5DB, end, fwid, 140, version)
    return bytes(data)


def settings(version: int = 2) -> bytes:
    """A settings page of the bootloader, as ``nrfutil settings generate`` makes it."""
    body = struct.pack("<3I", version, 1, 1) + bytes(0x5C - 16)
    return struct.pack("<I", zlib.crc32(body)) + body + bytes(0x200)


def bootloader(start: int = 0xF8000, size: int = 0x5000, *, key: bytes = b"", ble: bool = True) -> bytes:
    """A bootloader with its public key (64 bytes) and, if it has BLE, the UUID of the DFU service."""
    return program(start, size, seed="bootloader", tail=(DFU_SERVICE_BASE if ble else b"") + key)


def hex_of(*parts: tuple[int, bytes]) -> bytes:
    """Intel HEX of parts at their addresses."""
    return hexfile.encode(Segment(address, data) for address, data in parts)


def softdevice_hex(which: tuple[int, int, int] = S140_7_2) -> bytes:
    """A SoftDevice as Nordic publishes it: with the MBR."""
    return hex_of((0, mbr()), (0x1000, softdevice(which)))


def bootloader_hex(start: int = 0xF8000, *, key: bytes = b"", ble: bool = True) -> bytes:
    """A bootloader as its build leaves it: with the words in UICR."""
    return hex_of((start, bootloader(start, key=key, ble=ble)), (0x10001014, struct.pack("<I", start)))


def write_all(folder: Path, key: bytes = b"") -> None:
    """The files that the golden vectors are made of."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "app.hex": hex_of((0x27000, program(0x27000))),
        "app_no_sd.hex": hex_of((0x1000, program(0x1000, 12_345))),
        "app.bin": program(0x27000, 20_002),
        "app_61.hex": hex_of((0x26000, program(0x26000))),
        "sd.hex": softdevice_hex(),
        "sd61.hex": softdevice_hex(S140_6_1),
        "bl.hex": bootloader_hex(key=key),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
