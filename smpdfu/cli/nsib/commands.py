"""NSIB, the immutable bootloader: ``seal`` and ``provision make|show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.image.options import ADDRESS, Release, option
from smpdfu.cli.image.sign_options import ImageFiles
from smpdfu.cli.keys.options import PassphraseOptions
from smpdfu.cli.nsib.options import ProvisionBuild, ProvisionValues, SealKeys, SealPlace
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal import values
from smpdfu.cli.terminal.outputs import Replace
from smpdfu.cli.terminal.show import Output


def register(app: Group) -> None:
    """Add ``seal`` and the group ``provision`` to ``app``."""
    command(app, "seal")(seal)
    group = Group("Make and read the provisioning data of b0 and b0n.")
    command(group, "make")(make)
    command(group, "show")(show)
    app.add_group("provision", group)


def seal(files: ImageFiles, who: SealKeys, place: SealPlace, guard: Release, replace: Replace, out: Output) -> None:
    """Put the seal of b0 or b0n behind a firmware. It is the first of two signatures; MCUboot's comes around it.

    The firmware needs firmware info (CONFIG_FW_INFO=y). `smpdfu package --nsib-key` does both rounds.
    """
    from smpdfu.cli.nsib.seal import seal_files

    seal_files(files, who, place, guard, replace, out)


def make(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Write to this file, Intel HEX.")],
    data: ProvisionValues,
    build: ProvisionBuild,
    secret: PassphraseOptions,
    guard: Release,
    replace: Replace,
    out: Output,
) -> None:
    """Make provisioning data: the slots, the keys that the bootloader trusts, and its counters."""
    from smpdfu.cli.nsib.provision import make_file

    make_file(output, data, build, secret, guard, replace, out)


def show(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A provision.hex, a merged.hex or a dump of a device. A .bin dump begins at the provision address.",
        ),
    ],
    secret: PassphraseOptions,
    out: Output,
    address: Annotated[
        int | None,
        option(
            "--address",
            parse=values.unsigned32,
            metavar=ADDRESS,
            text="The provision address (0xff8100 for the application core). It is needed if FILE has more in it.",
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            "-k",
            "--key",
            metavar="KEY",
            help="Show where this key is: a PEM file (the public half will do) or a key URI. May be repeated.",
        ),
    ] = None,
) -> None:
    """Show provisioning data: slots, keys with those that are revoked, and counters with the slots that are left."""
    from smpdfu.cli.nsib.provision import show_provision

    show_provision(file, secret, out, address, key or [])
