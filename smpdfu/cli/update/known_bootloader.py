"""What a person knows of the device's bootloader, from the options and from smpdfu.toml."""

from __future__ import annotations

from smpdfu.cli.app.command import Connection
from smpdfu.cli.app.connection import resolve
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.update.bootloader_options import BootloaderOptions
from smpdfu.dfu.decide.evidence import Bootloader
from smpdfu.loaders.releases import Partitions


def known_bootloader(options: BootloaderOptions, connection: Connection) -> Bootloader:
    """The options, else what the profile or [connection] of smpdfu.toml says. Raises typer.BadParameter."""
    noted = resolve(connection).bootloader
    partitions = noted.get("partitions") if options.partitions is None else options.partitions
    address = noted.get("net_address") if options.net_address is None else _number(options.net_address)
    try:
        kind = None if partitions is None else Partitions(str(partitions))
        return Bootloader(options.ncs or noted.get("ncs"), kind, address)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise typer.BadParameter(f"--net-address {text!r} is not an address: write 0x01008800") from None
