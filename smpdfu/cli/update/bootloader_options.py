"""What a person knows of the device's bootloader: options, with defaults from a table of smpdfu.toml."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from smpdfu.cli.terminal import lazy_typer as typer

_PANEL = "Bootloader"


class PartitionsChoice(StrEnum):
    """Who laid out the flash: Nordic's Partition Manager, or the devicetree."""

    PM = "pm"
    DTS = "dts"


@dataclass(frozen=True, slots=True)
class BootloaderOptions:
    """What no SMP answer tells; see ``smpdfu info``."""

    ncs: Annotated[
        str | None,
        typer.Option(
            "--ncs",
            metavar="RELEASE",
            rich_help_panel=_PANEL,
            help="nRF Connect SDK release of the device's bootloader, if you know it: 2.9, 3.4.1.",
        ),
    ] = None
    partitions: Annotated[
        PartitionsChoice | None,
        typer.Option(
            "--partitions",
            rich_help_panel=_PANEL,
            help="How that build laid out its flash: Partition Manager or devicetree.",
        ),
    ] = None
    net_address: Annotated[
        str | None,
        typer.Option(
            "--net-address",
            metavar="ADDRESS",
            rich_help_panel=_PANEL,
            help="Where the network core's application begins on the device: 0x01008800, 0x01002800.",
        ),
    ] = None

    def words(self) -> list[str]:
        """The options as they were given, for a command that repeats this one."""
        values = {"--ncs": self.ncs, "--partitions": self.partitions, "--net-address": self.net_address}
        return [word for option, value in values.items() if value is not None for word in (option, str(value))]
