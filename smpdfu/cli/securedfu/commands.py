"""``secure-dfu package``, ``show`` and ``send``.

This file declares the commands and imports little, so that ``--help`` is fast. The file of each name does the work.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.image.options import Release
from smpdfu.cli.keys.options import PassphraseOptions
from smpdfu.cli.securedfu.package_options import DeviceFacts, Files, Requirements, SigningKey, Zigbee
from smpdfu.cli.securedfu.send_options import DfuConnection, SendOptions
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output

Package = Annotated[Path, typer.Argument(metavar="PACKAGE", help="Secure DFU package (.zip).")]


def register(app: Group) -> None:
    """Add the group ``secure-dfu`` to ``app``."""
    group = Group("Make, show and send packages for the bootloader of the nRF5 SDK.")
    command(group, "package")(package)
    command(group, "show")(show)
    command(group, "send")(send)
    app.add_group("secure-dfu", group)


def package(
    files: Files,
    needs: Requirements,
    device: DeviceFacts,
    who: SigningKey,
    zigbee: Zigbee,
    guard: Release,
    out: Output,
    argument: Annotated[
        Path | None, typer.Argument(metavar="[ZIPFILE]", show_default=False, help="The package to write, as with -o.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the package here.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Write the package in spite of all findings, and replace a file that is an input or has a key.",
        ),
    ] = False,
) -> None:
    """Make a package for the bootloader of the nRF5 SDK. It takes the options of nrfutil's `pkg generate`.

    smpdfu looks into the firmware first. If the package would not work, it says why, writes nothing and ends with 6.
    """
    from smpdfu.cli.securedfu.package import Job, make_file, target_of

    target = target_of(output, argument)
    make_file(Job(files, needs, device, who, zigbee, target, force, guard.release), out)


def show(
    package: Package,
    secret: PassphraseOptions,
    out: Output,
    key: Annotated[
        list[str] | None,
        typer.Option(
            "-k",
            "--key",
            metavar="KEY",
            help="Key of the bootloader, to verify the signature: a PEM file (the public half will do) or a key URI. "
            "May be repeated.",
        ),
    ] = None,
) -> None:
    """Show every field of a Secure DFU package, and check its sizes, its hash and, with -k, its signature.

    If the bootloader would refuse the package, the exit code is 3.
    """
    from smpdfu.cli.securedfu.show import show_package

    show_package(package, key or [], secret.source(), out)


async def send(package: Package, how: SendOptions, conn: DfuConnection, out: Output) -> None:
    """Send a Secure DFU package to a device in its bootloader, part after part, and say what runs afterwards.

    If it is interrupted, run the same command again: it continues where the device is.
    """
    from smpdfu.cli.securedfu.send import send_package

    await send_package(package, how, conn, out)
