"""What a person knows of the device's bootloader: options, with defaults from a table of smpdfu.toml."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from smpdfu.cli.app.command import Connection
    from smpdfu.dfu.decide.evidence import Bootloader

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

    def known(self, connection: Connection) -> Bootloader:
        """The options, else what the profile or [connection] of smpdfu.toml says. Raises typer.BadParameter."""
        from smpdfu.cli.app.connection import resolve
        from smpdfu.dfu.decide.evidence import Bootloader
        from smpdfu.loaders.releases import Partitions

        noted = resolve(connection).bootloader
        partitions = noted.get("partitions") if self.partitions is None else self.partitions
        address = noted.get("net_address") if self.net_address is None else _number(self.net_address)
        try:
            kind = None if partitions is None else Partitions(str(partitions))
            return Bootloader(self.ncs or noted.get("ncs"), kind, address)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    def words(self) -> list[str]:
        """The options as they were given, for a command that repeats this one."""
        values = {"--ncs": self.ncs, "--partitions": self.partitions, "--net-address": self.net_address}
        return [word for option, value in values.items() if value is not None for word in (option, str(value))]


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise typer.BadParameter(f"--net-address {text!r} is not an address: write 0x01008800") from None
