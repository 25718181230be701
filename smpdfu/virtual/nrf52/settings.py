"""The bootloader settings of the nRF5 SDK, version 2: a page of flash that the bootloader decides by.

Two checksums guard it: ``crc`` the head, up to the init command, and another one the boot validation. The init command,
the bond and the advertised name have none. Little endian; source: nRF5 SDK 17, ``nrf_dfu_types.h`` (as compilers for
Arm lay it out, an enumeration being one byte), and the settings that nrfutil 6.1.7 generates.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import astuple, dataclass, field
from enum import IntEnum
from typing import Self

from smpdfu.image.secure_dfu.init_packet import INIT_COMMAND_MAX_SIZE, ValidationType

SETTINGS_VERSION = 2
SIZE = 0x380

_HEAD = struct.Struct("<23I")
_INIT_COMMAND_AT = _HEAD.size
_BOOT_CRC = struct.Struct("<I")
_BOOT_CRC_AT = _INIT_COMMAND_AT + INIT_COMMAND_MAX_SIZE
_BOOT_CHECK = struct.Struct("<B64s")
_BOOT_CHECKS_AT = _BOOT_CRC_AT + _BOOT_CRC.size
_PEER_AT = 0x324
_ERASED_WORD = 0xFFFF_FFFF
assert _INIT_COMMAND_AT == 0x5C
assert _BOOT_CRC_AT == 0x25C


class BankCode(IntEnum):
    """What a bank holds (NRF_DFU_BANK_...)."""

    INVALID = 0x00
    VALID_APP = 0x01
    VALID_SD = 0xA5
    VALID_BL = 0xAA
    VALID_SD_BL = 0xAC
    VALID_EXT_APP = 0xB1


@dataclass(frozen=True, slots=True)
class Bank:
    """A bank: the size of what it holds, its CRC-32, and what it is. ``code`` may be a number that is no BankCode."""

    image_size: int = 0
    image_crc: int = 0
    code: int = BankCode.INVALID


EMPTY = Bank()


@dataclass(frozen=True, slots=True)
class BootCheck:
    """How an image is checked at each boot: a type of ValidationType, and the CRC, hash or signature (64 bytes)."""

    type: int = ValidationType.NO_VALIDATION
    value: bytes = bytes(64)

    @classmethod
    def of(cls, kind: int, value: bytes = b"") -> Self:
        """A check with a value that may be shorter than its field."""
        return cls(kind, value.ljust(64, b"\0"))


NO_CHECK = BootCheck()


@dataclass(slots=True)
class Progress:
    """How far a transfer is. The four numbers of the data are also used for ``update_start``, as in the SDK's union."""

    command_size: int = 0
    command_offset: int = 0
    command_crc: int = 0
    object_size: int = 0
    image_crc: int = 0
    image_crc_last: int = 0
    image_offset: int = 0
    image_offset_last: int = 0

    @property
    def update_start(self) -> int:
        """Where a received image begins, after the transfer."""
        return self.image_crc

    @update_start.setter
    def update_start(self, address: int) -> None:
        self.image_crc = address


@dataclass(slots=True)
class Settings:
    """The settings as the bootloader has them in RAM. ``read_pages`` tells which of two pages counts."""

    version: int = SETTINGS_VERSION
    app_version: int = 0
    bootloader_version: int = 0
    bank_layout: int = 0
    bank_current: int = 0
    bank_0: Bank = EMPTY
    bank_1: Bank = EMPTY
    write_offset: int = 0
    sd_size: int = 0
    progress: Progress = field(default_factory=Progress)
    enter_buttonless: int = 0
    init_command: bytes = bytes(INIT_COMMAND_MAX_SIZE)
    check_sd: BootCheck = NO_CHECK
    check_app: BootCheck = NO_CHECK
    check_bootloader: BootCheck = NO_CHECK
    peer_data: bytes = bytes(SIZE - _PEER_AT)
    """The bond and the advertised name; no checksum of the settings covers them."""

    @classmethod
    def from_bytes(cls, page: bytes) -> Self:
        """Read a page, whatever it holds; ``ValueError`` if it is shorter than ``SIZE``."""
        if len(page) < SIZE:
            raise ValueError(f"bootloader settings have {SIZE} bytes, not {len(page)}")
        words = _HEAD.unpack_from(page)
        check_sd, check_app, check_bootloader = (
            BootCheck(*found) for found in _BOOT_CHECK.iter_unpack(page[_BOOT_CHECKS_AT : _PEER_AT - 1])
        )
        return cls(
            version=words[1],
            app_version=words[2],
            bootloader_version=words[3],
            bank_layout=words[4],
            bank_current=words[5],
            bank_0=Bank(*words[6:9]),
            bank_1=Bank(*words[9:12]),
            write_offset=words[12],
            sd_size=words[13],
            progress=Progress(*words[14:22]),
            enter_buttonless=words[22],
            init_command=bytes(page[_INIT_COMMAND_AT:_BOOT_CRC_AT]),
            check_sd=check_sd,
            check_app=check_app,
            check_bootloader=check_bootloader,
            peer_data=bytes(page[_PEER_AT:SIZE]),
        )

    def to_bytes(self) -> bytes:
        """The ``SIZE`` bytes of the page, with both checksums."""
        versions = (self.version, self.app_version, self.bootloader_version, self.bank_layout, self.bank_current)
        banks = (*astuple(self.bank_0), *astuple(self.bank_1))
        progress = astuple(self.progress)
        head = _HEAD.pack(0, *versions, *banks, self.write_offset, self.sd_size, *progress, self.enter_buttonless)[4:]
        checks = b"".join(
            _BOOT_CHECK.pack(one.type, one.value) for one in (self.check_sd, self.check_app, self.check_bootloader)
        )
        ends = _BOOT_CRC.pack(zlib.crc32(checks)) + checks + b"\0" + self.peer_data
        return struct.pack("<I", zlib.crc32(head)) + head + self.init_command + ends


def is_whole(page: bytes) -> bool:
    """Whether the head of a settings page has the right checksum."""
    (crc,) = struct.unpack_from("<I", page)
    return bool(crc != _ERASED_WORD and crc == zlib.crc32(page[4:_INIT_COMMAND_AT]))


def is_whole_backup(page: bytes) -> bool:
    """Whether a backup page can be used: the checksums of the head and, from version 2 on, of the boot validation."""
    (crc,) = _BOOT_CRC.unpack_from(page, _BOOT_CRC_AT)
    is_first_version = page[4:8] == b"\1\0\0\0"
    return is_whole(page) and (is_first_version or crc == zlib.crc32(page[_BOOT_CHECKS_AT : _PEER_AT - 1]))


def read_pages(page: bytes, backup: bytes) -> Settings:
    """The settings that count, of the page and its backup: ``nrf_dfu_settings_reinit``.

    A whole backup is right about everything but what the application may write: how to enter DFU mode, and the bond.
    """
    if is_whole(page):
        found = Settings.from_bytes(page)
        if is_whole_backup(backup):
            written = found
            found = Settings.from_bytes(backup)
            found.enter_buttonless, found.peer_data = written.enter_buttonless, written.peer_data
    elif is_whole_backup(backup):
        found = Settings.from_bytes(backup)
    else:
        found = Settings()
    if found.version == 1:
        _upgrade(found)
    return found


def _upgrade(settings: Settings) -> None:
    """Give settings of version 1 what version 2 has more: an application is checked by its CRC."""
    settings.check_sd = settings.check_bootloader = NO_CHECK
    crc = settings.bank_0.image_crc.to_bytes(4, "little")
    settings.check_app = BootCheck.of(ValidationType.VALIDATE_GENERATED_CRC, crc)
    settings.version = SETTINGS_VERSION
