"""The options of ``verify`` about what the bootloader remembers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from smpdfu.cli import values
from smpdfu.cli.imageoptions import option

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
