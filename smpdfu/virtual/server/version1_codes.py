"""What becomes of the groups' result codes in SMP version 1, which knows only SMP's own.

Source: Zephyr, the ``translate_error`` function of each group.
"""

from __future__ import annotations

from enum import IntEnum

from smpdfu.smp.groups.enum import EnumRc
from smpdfu.smp.groups.fs import FsRc
from smpdfu.smp.groups.image import ImageRc
from smpdfu.smp.groups.os import OsRc
from smpdfu.smp.groups.settings import SettingsRc
from smpdfu.smp.groups.shell import ShellRc
from smpdfu.smp.groups.stat import StatRc
from smpdfu.smp.groups.zephyr import ZephyrRc
from smpdfu.smp.message import MgmtRc

# By enum first: the members of two enums are equal where their numbers are. What is not here is EUNKNOWN.
_TRANSLATED: dict[type[IntEnum], dict[IntEnum, MgmtRc]] = {
    OsRc: {
        OsRc.INVALID_FORMAT: MgmtRc.EINVAL,
        OsRc.QUERY_YIELDS_NO_ANSWER: MgmtRc.ENOENT,
        OsRc.RTC_NOT_SET: MgmtRc.ENOENT,
    },
    ImageRc: {
        ImageRc.NO_IMAGE: MgmtRc.ENOENT,
        ImageRc.NO_TLVS: MgmtRc.ENOENT,
        ImageRc.NO_FREE_SLOT: MgmtRc.EBADSTATE,
        ImageRc.CURRENT_VERSION_IS_NEWER: MgmtRc.EBADSTATE,
        ImageRc.IMAGE_ALREADY_PENDING: MgmtRc.EBADSTATE,
        ImageRc.NO_FREE_MEMORY: MgmtRc.ENOMEM,
        ImageRc.INVALID_SLOT: MgmtRc.EINVAL,
        ImageRc.INVALID_PAGE_OFFSET: MgmtRc.EINVAL,
        ImageRc.INVALID_OFFSET: MgmtRc.EINVAL,
        ImageRc.INVALID_LENGTH: MgmtRc.EINVAL,
        ImageRc.INVALID_IMAGE_HEADER: MgmtRc.EINVAL,
        ImageRc.INVALID_HASH: MgmtRc.EINVAL,
        ImageRc.INVALID_FLASH_ADDRESS: MgmtRc.EINVAL,
    },
    StatRc: {
        StatRc.INVALID_GROUP: MgmtRc.ENOENT,
        StatRc.INVALID_STAT_NAME: MgmtRc.ENOENT,
        StatRc.INVALID_STAT_SIZE: MgmtRc.EINVAL,
    },
    SettingsRc: {
        SettingsRc.KEY_TOO_LONG: MgmtRc.EINVAL,
        SettingsRc.KEY_NOT_FOUND: MgmtRc.ENOENT,
        SettingsRc.READ_NOT_SUPPORTED: MgmtRc.ENOENT,
    },
    FsRc: {
        FsRc.FILE_INVALID_NAME: MgmtRc.EINVAL,
        FsRc.CHECKSUM_HASH_NOT_FOUND: MgmtRc.EINVAL,
        FsRc.FILE_NOT_FOUND: MgmtRc.ENOENT,
        FsRc.MOUNT_POINT_NOT_FOUND: MgmtRc.ENOENT,
    },
    ShellRc: {ShellRc.COMMAND_TOO_LONG: MgmtRc.EINVAL, ShellRc.EMPTY_COMMAND: MgmtRc.EINVAL},
    EnumRc: {EnumRc.TOO_MANY_GROUP_ENTRIES: MgmtRc.EINVAL},
    ZephyrRc: {
        ZephyrRc.FLASH_OPEN_FAILED: MgmtRc.ENOENT,
        # As in the source: a client of version 1 does not see these errors.
        ZephyrRc.FLASH_CONFIG_QUERY_FAIL: MgmtRc.EOK,
        ZephyrRc.FLASH_ERASE_FAILED: MgmtRc.EOK,
    },
}


def in_version_1(rc: IntEnum) -> MgmtRc:
    """The code that a client of version 1 gets instead of ``rc``."""
    return _TRANSLATED.get(type(rc), {}).get(rc, MgmtRc.EUNKNOWN)
