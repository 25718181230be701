"""Group 63, zephyr basic: commands of Zephyr only.

Source: Zephyr, "Zephyr Management Group" (smp_group_63.rst).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from smpdfu.smp.message import Empty, Op, Request, Response

GROUP = 63


class ZephyrRc(IntEnum):
    """Result codes of the zephyr basic group."""

    OK = 0
    UNKNOWN = 1
    FLASH_OPEN_FAILED = 2
    FLASH_CONFIG_QUERY_FAIL = 3
    FLASH_ERASE_FAILED = 4


@dataclass(frozen=True, slots=True)
class EraseStorage(Request[Empty]):
    """Erase the settings partition."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 0
    op: ClassVar[Op] = Op.WRITE
    title: ClassVar[str] = "zephyr erase storage"
    response: ClassVar[type[Response]] = Empty
