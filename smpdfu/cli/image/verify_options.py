"""The options of ``verify`` about what the bootloader remembers, and what it was built to check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from smpdfu.cli.image.options import SLOT, flag, option
from smpdfu.cli.terminal import values

_PANEL = "What the bootloader remembers"


@dataclass(frozen=True, slots=True)
class Memory:
    """What a bootloader that refuses older images compares with; None where it does not look."""

    current_version: Annotated[
        Any,
        option(
            "--current-version",
            parse=values.version,
            metavar="VERSION",
            text="Version that runs now: for bootloaders that refuse older ones.",
            panel=_PANEL,
        ),
    ] = None
    current_counter: Annotated[
        int | None,
        option(
            "--current-counter",
            parse=values.unsigned32,
            metavar="NUMBER",
            text="Security counter that is stored: for bootloaders that refuse lower ones.",
            panel=_PANEL,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class Checks:
    """What some bootloaders are built to check."""

    check_load_address: Annotated[
        bool,
        flag(
            "--check-load-address",
            text="The bootloader compares the header's load address with its slot: nRF Connect SDK 3.4 and later, "
            "nRF5340 without Partition Manager. Needs --slot-address and --slot-size.",
            panel=SLOT,
        ),
    ] = False
