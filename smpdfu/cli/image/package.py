"""``package``: sign the firmware of both cores and pack it as the nRF Connect SDK does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smpdfu.cli.app.command import command
from smpdfu.cli.image.options import Release
from smpdfu.cli.image.package_options import Inputs, Labels, Slots
from smpdfu.cli.image.sign_options import PackageKeys
from smpdfu.cli.terminal.outputs import Replace
from smpdfu.cli.terminal.show import HashOutput


def register(app: typer.Typer) -> None:
    """Add ``package`` to ``app``."""
    command(app, "package")(package)


def package(
    inputs: Inputs,
    labels: Labels,
    slots: Slots,
    who: PackageKeys,
    guard: Release,
    replace: Replace,
    out: HashOutput,
    folder: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the files.")],
) -> None:
    """Sign the firmware of both cores and write dfu_application.zip.

    -E encrypts the application core's image only: a bootloader with one pair of slots cannot tell an encrypted
    network core's image from an application.
    """
    from smpdfu.cli.image.packing import pack

    pack(inputs, labels, slots, who, guard, replace, out, folder)
