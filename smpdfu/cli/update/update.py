"""``update``: a whole package onto a device, both cores in the right order, checked at every step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from smpdfu.cli.app.command import Connection
from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.image.trust_options import NsibOptions, TrustOptions
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import HashOutput
from smpdfu.cli.update.bootloader_options import BootloaderOptions
from smpdfu.cli.update.update_options import How
from smpdfu.cli.update.upload_options import TransferOptions


def register(app: Group) -> None:
    """Add ``update`` to ``app``."""
    command(app, "update")(update)


async def update(
    package: Annotated[
        Path,
        typer.Argument(metavar="PACKAGE", help="A dfu_application.zip, dfu_mcuboot.zip or dfu_multi_image.bin."),
    ],
    how: How,
    bootloader: BootloaderOptions,
    trust: TrustOptions,
    nsib: NsibOptions,
    transfer: TransferOptions,
    conn: Connection,
    out: HashOutput,
) -> None:
    """Update both cores from a package. It tests the application core first, then updates the network core.

    With dfu_mcuboot.zip, it updates MCUboot itself on a device with b0 (NSIB).

    If it is interrupted, run the same command again: it continues where it stopped.
    """
    from smpdfu.cli.update.run_update import run_update

    await run_update(package, how, bootloader, trust, nsib, transfer, conn, out)
